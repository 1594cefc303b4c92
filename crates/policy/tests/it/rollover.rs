//! The state of published records, and the plan for the next key.

use starttls_dns::TlsaData;
use starttls_policy::rollover::{RolloverState, classify, has_rollover_scheme, plan};
use starttls_policy::tlsa::{PublicKeyFacts, matching_index, record, zone_line};

fn key(octet: u8) -> PublicKeyFacts {
    PublicKeyFacts { certificate: Some(vec![octet, 0]), spki: vec![octet, 1] }
}

fn own(octet: u8) -> TlsaData {
    record(3, 1, 1, &key(octet)).unwrap()
}

fn issuer(octet: u8) -> TlsaData {
    record(2, 0, 1, &key(octet)).unwrap()
}

#[test]
fn the_state_of_the_records() {
    let (current, next, ca) = (1, 2, 9);
    for (name, published, leaf, known_next, expected) in [
        ("one record", vec![own(current)], current, false, RolloverState::Single),
        ("leaf and issuer", vec![own(current), issuer(ca)], current, false, RolloverState::Single),
        ("another record", vec![own(current), own(7)], current, false, RolloverState::Spare),
        ("another record, next known", vec![own(current), own(7)], current, true, RolloverState::Spare),
        ("next published", vec![own(current), own(next)], current, true, RolloverState::PrePublished),
        ("next in use", vec![own(current), own(next)], next, true, RolloverState::NotRetired),
        ("old one removed", vec![own(next)], next, true, RolloverState::Single),
        ("no match", vec![own(7)], current, false, RolloverState::Broken),
        ("removed too early", vec![own(next)], current, true, RolloverState::Broken),
        (
            "only usage 1",
            vec![record(1, 1, 1, &key(current)).unwrap()],
            current,
            false,
            RolloverState::Broken,
        ),
        ("the leaf as issuer", vec![issuer(current)], current, false, RolloverState::Broken),
        ("no record", vec![], current, false, RolloverState::Broken),
    ] {
        let chain = [key(leaf), key(ca)];
        let next = key(next);
        assert_eq!(classify(&published, &chain, known_next.then_some(&next)), expected, "{name}");
    }
    assert!(has_rollover_scheme(&[own(1), own(2)]) && has_rollover_scheme(&[own(1), issuer(9)]));
    assert!(!has_rollover_scheme(&[own(1)]) && !has_rollover_scheme(&[issuer(8), issuer(9)]));
}

/// Every cache holds the zone of now or of up to one TTL ago; in each, a record must match the key in use.
#[test]
fn a_record_matches_at_every_moment_of_a_plan() {
    let (ttl, propagation) = (3600, 600);
    let steps = plan(&[own(1)], &own(2), ttl, propagation);
    assert_eq!(steps.iter().map(|it| it.after).collect::<Vec<_>>(), [0, 7800, 7800]);
    let at = |time: i64| steps.iter().rfind(|it| i64::try_from(it.after).unwrap() <= time);
    let delay = i64::from(ttl) + i64::try_from(propagation).unwrap();
    for time in (0..20_000).step_by(60) {
        for age in [0, delay / 2, delay] {
            let zone = at(time - age).map_or(vec![own(1)], |it| it.zone.clone());
            let server = if at(time).is_some_and(|it| it.server == "next") { 2 } else { 1 };
            assert!(zone.iter().any(|it| matching_index(it, &[key(server)]).is_some()), "{time} {age}");
        }
    }
}

#[test]
fn zone_lines_have_both_forms() {
    let record = TlsaData { usage: 3, selector: 1, matching: 1, data: vec![0xab; 32] };
    let hex = "ab".repeat(32);
    let owner = "_25._tcp.mx.example.com";
    assert_eq!(zone_line(owner, 3600, &record, false), format!("{owner}. 3600 IN TLSA 3 1 1 {hex}"));
    assert_eq!(zone_line(owner, 60, &record, true), format!("{owner}. 60 IN TYPE52 \\# 35 030101{hex}"));
}

#[test]
fn digests_are_those_of_openssl() {
    // printf '\001\002' | sha256sum, sha512sum
    let facts = PublicKeyFacts { certificate: None, spki: vec![1, 2] };
    let sha256 = record(3, 1, 1, &facts).unwrap().to_string();
    assert_eq!(sha256, "3 1 1 a12871fee210fb8619291eaea194581cbd2531e4b23759d225f6806923f63222");
    assert_eq!(record(3, 1, 2, &facts).unwrap().data.len(), 64);
    assert_eq!(record(3, 1, 0, &facts).unwrap().data, [1, 2]);
    assert_eq!(record(3, 0, 1, &facts), None);
    assert_eq!(record(3, 1, 3, &facts), None);
}
