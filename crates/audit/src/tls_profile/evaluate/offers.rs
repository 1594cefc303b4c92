//! Suites, groups, primes and signatures: what a server accepts, by the levels of a profile.

use std::collections::BTreeMap;

use starttls_hello::{
    CipherSuite, GroupInfo, GroupKind, KeyExchange, NamedGroup, Strength, Support, Version, Walk,
};
use starttls_x509::HashAlgorithm;

use super::facts::{Asked, CLASSIC, State};
use super::{Offers, Row, Verdict};
use crate::tls_profile::rules::{Level, Limit, Permissions, SuiteRule};

const ASK_MORE: &str = "a full TLS survey asks for more";

/// The suites from SSL 3.0 to TLS 1.2.
pub(super) fn classic_suites(asked: &Asked<'_>, rules: &Permissions<SuiteRule>) -> Offers {
    let not_applicable = asked.is_modern_only().then(|| String::from("TLS 1.3 is the only version"));
    Offers { not_applicable, ..suites(asked, rules, &CLASSIC) }
}

pub(super) fn modern_suites(asked: &Asked<'_>, rules: &Permissions<SuiteRule>) -> Offers {
    let refused = matches!(asked.version(Version::Tls13), State::No(_));
    let not_applicable = refused.then(|| String::from("TLS 1.3 is not offered"));
    Offers { not_applicable, ..suites(asked, rules, &[Version::Tls13]) }
}

fn suites(asked: &Asked<'_>, rules: &Permissions<SuiteRule>, versions: &[Version]) -> Offers {
    let mut accepted: BTreeMap<CipherSuite, Vec<&str>> = BTreeMap::new();
    let mut open: BTreeMap<CipherSuite, Vec<&str>> = BTreeMap::new();
    let mut unknown = Vec::new();
    for version in versions.iter().copied() {
        for suite in asked.facts.suites(version) {
            accepted.entry(suite).or_default().push(version.name());
        }
        match asked.facts.version(version).value() {
            Some(Support::NotOffered) => continue,
            Some(Support::Offered) => {}
            None => unknown.extend(Level::FAULTS.map(|level| (format!("the suites of {version}"), level))),
        }
        for suite in Walk::suites(version) {
            if asked.offers(version) && asked.suite(version, suite).is_none() {
                open.entry(suite).or_default().push(version.name());
            }
        }
    }
    let any = |list: &[SuiteRule]| {
        let wanted = |suite: &CipherSuite| list.contains(&SuiteRule::Suite(*suite));
        match (accepted.keys().any(wanted), open.keys().any(wanted) || !unknown.is_empty()) {
            (true, _) => Some(true),
            (false, true) => None,
            (false, false) => Some(false),
        }
    };
    let (has_required, has_recommended) = (any(&rules.required_any), any(&rules.recommended_any));
    let named = |(suite, versions): (CipherSuite, Vec<&str>)| {
        (format!("{suite} ({})", versions.join(", ")), rules.level_of(suite))
    };
    let open = open.into_iter().map(named).chain(unknown).collect();
    Offers {
        accepted: accepted.into_iter().map(named).collect(),
        open,
        has_required,
        has_recommended,
        not_applicable: None,
        advice: ASK_MORE,
    }
}

/// The groups of all versions. Servers have one list for all versions, so a group that TLS 1.3 refuses counts as refused.
pub(super) fn groups(asked: &Asked<'_>, rules: &Permissions<NamedGroup>) -> Offers {
    let found = asked.facts.groups();
    let is_open =
        |group: NamedGroup, info: &GroupInfo| !found.contains(&group) && !is_refused(asked, group, info);
    let named = |group: NamedGroup| (group.to_string(), level(rules, group));
    let open: Vec<_> =
        NamedGroup::all().filter(|(group, info)| is_open(*group, info)).map(|(group, _)| group).collect();
    let any = |list: &[NamedGroup]| match list.iter().any(|group| found.contains(group)) {
        true => Some(true),
        false => (!list.iter().any(|group| open.contains(group))).then_some(false),
    };
    Offers {
        has_required: any(&rules.required_any),
        has_recommended: any(&rules.recommended_any),
        accepted: found.iter().copied().map(named).collect(),
        open: open.into_iter().map(named).collect(),
        not_applicable: None,
        advice: ASK_MORE,
    }
}

/// Returns the level of a group. A group that is wanted is accepted.
fn level(rules: &Permissions<NamedGroup>, group: NamedGroup) -> Level {
    let is_wanted = rules.required_any.iter().chain(&rules.recommended_any).any(|wanted| *wanted == group);
    let is_rated = rules.rated.iter().any(|(rated, _)| *rated == group);
    if is_wanted && !is_rated { Level::Accepted } else { rules.level(&group) }
}

fn is_refused(asked: &Asked<'_>, group: NamedGroup, info: &GroupInfo) -> bool {
    let has_curves = asked.any_classic(is_ecdhe);
    // These two need suites of their own up to TLS 1.2.
    let is_curve = info.tls12 && !matches!(info.kind, GroupKind::Ffdhe | GroupKind::Gost);
    let modern = !info.tls13 || asked.modern_group(group) == Some(false);
    // A survey asks for the weak curves of older versions in a hello of their own.
    let is_weak = info.class <= Strength::Exotic && info.share == 0;
    let classic = match has_curves {
        _ if !is_curve => true,
        Some(false) => true,
        _ if is_weak => asked.facts.weak_curve().value() == Some(Support::NotOffered),
        _ if info.tls13 && asked.offers(Version::Tls13) => true,
        _ => asked.facts.classic_group(group).value() == Some(Support::NotOffered),
    };
    modern && classic
}

fn is_ecdhe(suite: CipherSuite) -> bool {
    suite.info().is_some_and(|info| info.key_exchange == KeyExchange::Ecdhe)
}

fn is_dhe(suite: CipherSuite) -> bool {
    suite.info().is_some_and(|info| info.key_exchange == KeyExchange::Dhe)
}

/// The SHA-256 of the primes of RFC 7919.
const PRIMES: [(u16, &str); 5] = [
    (0x0100, "9cd3b7f336872f46c09428d1bbc19877a4d440512cda8d1c1cf0cd6e33698966"),
    (0x0101, "0eaf67db3a839156d5013494a5318a772b5697d270d721f37f092efc69ea5a17"),
    (0x0102, "4648414224ac881b3d0dc59b466f96d06a558278776807797ecf1f66ff397b3e"),
    (0x0103, "227ac9066b3ddd9e193670cda2388fa884f65ba0cf98b742d1fe77a6687c79c7"),
    (0x0104, "770b14efaf6f049929c523113b3fa99a8d11dab1b18af3609590122075d19833"),
];

/// The primes of finite-field Diffie-Hellman up to TLS 1.2.
pub(super) fn primes(asked: &Asked<'_>, rules: &Permissions<NamedGroup>) -> Offers {
    let mut accepted = Vec::new();
    for parameters in asked.facts.dh_parameters() {
        let hash: String = starttls_x509::hex(&starttls_x509::sha256(parameters.prime));
        let known = PRIMES.iter().find(|(_, known)| *known == hash).map(|(code, _)| NamedGroup(*code));
        accepted.push(match known {
            Some(group) => (group.to_string(), rules.level(&group)),
            None => (format!("a prime of {} bits that is not in RFC 7919", parameters.bits), rules.other),
        });
    }
    accepted.sort();
    accepted.dedup();
    let (open, not_applicable) = unseen_primes(asked, accepted.is_empty());
    let open = open.map(|what| Level::FAULTS.map(|level| (what.clone(), level)));
    Offers {
        accepted,
        open: open.into_iter().flatten().collect(),
        not_applicable,
        advice: ASK_MORE,
        ..Offers::default()
    }
}

/// Returns what is not known about the primes, or why the server has none.
fn unseen_primes(asked: &Asked<'_>, none_seen: bool) -> (Option<String>, Option<String>) {
    match asked.any_classic(is_dhe) {
        Some(false) => (None, Some(String::from("finite-field Diffie-Hellman is not offered up to TLS 1.2"))),
        _ if none_seen => (Some(String::from("the prime")), None),
        _ => (None, None),
    }
}

pub(super) fn prime_sizes(asked: &Asked<'_>, limit: Limit) -> Vec<Row> {
    let sizes: Vec<_> = asked.facts.dh_parameters().iter().map(|it| it.bits).collect();
    let (open, none) = unseen_primes(asked, sizes.is_empty());
    let row = |bits: u32, word: &str, otherwise| {
        let (verdict, detail) = match (sizes.iter().min(), &none, &open) {
            (_, Some(why), _) => (Verdict::Pass, why.clone()),
            (Some(least), ..) if *least < bits => (otherwise, format!("a prime has {least} bits")),
            (Some(least), ..) => (Verdict::Pass, format!("the shortest prime has {least} bits")),
            (None, ..) => (Verdict::Inconclusive, format!("no prime was seen; {ASK_MORE}")),
        };
        Row { requirement: format!("Diffie-Hellman primes of {bits} bits {word}"), verdict, detail }
    };
    let required = limit.required.map(|bits| row(bits, "required", Verdict::Fail));
    let recommended = limit.recommended.map(|bits| row(bits, "recommended", Verdict::Warn));
    required.into_iter().chain(recommended).collect()
}

/// The hashes with which the server signs its key exchange in TLS 1.2 if the client permits nothing else.
pub(super) fn signatures(asked: &Asked<'_>, rules: &Permissions<HashAlgorithm>) -> Option<Row> {
    let level =
        rules.rated.iter().map(|(_, level)| *level).max().filter(|level| *level >= Level::Discouraged)?;
    let hashes: Vec<_> = rules.rated.iter().map(|(hash, _)| hash.to_string()).collect();
    let known = asked.facts.legacy_signature();
    let (verdict, detail) = match (known.value(), asked.version(Version::Tls12)) {
        (_, State::No(_)) => (Verdict::Pass, String::from("TLS 1.2 is not offered")),
        (Some(Support::Offered), _) if level == Level::Forbidden => (Verdict::Fail, String::from("used")),
        (Some(Support::Offered), _) => (Verdict::Warn, String::from("used")),
        (Some(Support::NotOffered), _) => (Verdict::Pass, String::from("not used")),
        (None, _) => match known {
            starttls_hello::Known::Inconclusive(why) => (Verdict::Inconclusive, why.to_string()),
            _ => (Verdict::Inconclusive, String::from("not asked")),
        },
    };
    let word = if level == Level::Forbidden { "forbidden" } else { "discouraged" };
    let requirement = format!("handshake signatures with {} in TLS 1.2 {word}", hashes.join(" or "));
    Some(Row { requirement, verdict, detail })
}
