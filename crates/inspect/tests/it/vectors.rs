//! Every vector is a capture.

use std::ops::Range;

use starttls_inspect::{ConnectionReport, RequestAnswer, Requested, TlsUse};
use starttls_proto::Side;

use crate::packets::{connection, frames, handshake, inspect_one, pcap};
use crate::vector::Vector;

/// Returns the turns of a vector, with a TLS handshake where both sides agreed.
pub(crate) fn turns(vector: &Vector) -> Vec<(Side, Vec<u8>)> {
    let mut turns = vector.conversation();
    if vector.result() == "upgrade" && vector.is_for_observers() {
        // Where no answer exists, a vector may contain the start of a ClientHello.
        if let Some((Side::Client, last)) = turns.last_mut() {
            let hello =
                last.iter().position(|octet| *octet == 0x16).filter(|at| last.ends_with(&last[*at..]));
            if let Some(at) = hello.filter(|at| last[*at..].starts_with(&[0x16, 3])) {
                last.truncate(at);
            }
        }
        turns.extend(handshake());
    } else if vector.header("handshake").is_some() {
        turns.extend(handshake());
    }
    turns
}

/// Returns the octets that an observer does not see: the side, and their offsets in what it sends.
fn lost(vector: &Vector) -> Vec<(Side, Range<u32>)> {
    let (mut sent, mut lost) = ([0; 2], Vec::new());
    for turn in &vector.turns {
        let at = &mut sent[usize::from(turn.from == Side::Server)];
        let range = *at..*at + turn.bytes.len() as u32;
        *at = range.end;
        lost.extend(turn.is_lost.then_some((turn.from, range)));
    }
    lost
}

pub(crate) fn report(vector: &Vector, segment: usize) -> ConnectionReport {
    let mut segments = connection(&turns(vector), [1000, 2000], segment);
    for (side, range) in lost(vector) {
        // The SYN has the initial number.
        let start = if side == Side::Client { 1001 } else { 2001 };
        segments.retain(|it| it.from != side || it.payload.is_empty() || !range.contains(&(it.seq - start)));
    }
    inspect_one(&pcap(1, &frames(&segments, vector.protocol.port)))
}

/// Returns whether a report contains a finding.
pub(crate) fn has(report: &ConnectionReport, id: &str) -> bool {
    report.findings.iter().any(|finding| finding.id == id)
}

#[test]
fn every_vector_yields_its_facts() {
    let mut count = 0;
    for vector in Vector::all() {
        let Some(_) = vector.turns.first() else { continue };
        count += 1;
        let path = vector.path.display();
        let report = report(&vector, 1448);
        let facts = &report.facts;
        let agreed = matches!(facts.answer, RequestAnswer::Accepted | RequestAnswer::Implied);
        let is_named = facts.protocol == Some(vector.protocol);
        match (vector.result(), vector.is_for_observers()) {
            ("upgrade", true) => {
                assert!(is_named && agreed, "{path}: {facts:#?}");
                assert_eq!((facts.requested, facts.tls), (Requested::Yes, TlsUse::Upgrade), "{path}");
                for wrong in ["obs-injected", "obs-broken", "obs-stripped", "obs-tls-failed", "obs-refused"] {
                    assert!(!has(&report, wrong), "{path}: {wrong}");
                }
                let handshake = facts.handshake.as_ref().unwrap();
                assert_eq!(handshake.established, Some(true), "{path}");
                assert_eq!(handshake.version.as_deref(), Some("TLS 1.3"), "{path}");
            }
            // White space before TLS carries nothing, and clients are known to send it.
            ("beyond-boundary", true) if vector.header("result") == Some("upgrade") => {
                assert!(is_named && agreed && !has(&report, "obs-injected"), "{path}: {report:#?}");
            }
            ("beyond-boundary", true) => {
                assert!(is_named && agreed && has(&report, "obs-injected"), "{path}: {report:#?}");
                assert_ne!(facts.tls, TlsUse::Upgrade, "{path}");
            }
            ("declined-temporary", true) => {
                assert!(is_named && has(&report, "obs-refused"), "{path}: {report:#?}");
                assert_eq!(facts.answer, RequestAnswer::RefusedTemporary, "{path}");
            }
            ("declined-permanent", true) => {
                assert!(is_named && has(&report, "obs-refused"), "{path}: {report:#?}");
                assert_eq!(facts.answer, RequestAnswer::RefusedPermanent, "{path}");
            }
            // What one role finds here is not always visible to an observer.
            ("upgrade" | "beyond-boundary" | "declined-temporary" | "declined-permanent", false) => {
                assert_ne!(facts.tls, TlsUse::Upgrade, "{path}");
            }
            ("open", true) if vector.header("handshake").is_some() => assert!(!agreed, "{path}: {facts:#?}"),
            (
                "declined-bye" | "not-offered" | "early-answer" | "pre-authenticated" | "malformed"
                | "too-long" | "tls-not-cleartext" | "other-protocol" | "closed" | "quit" | "tls-required"
                | "open",
                _,
            ) => {
                assert!(!agreed && facts.tls != TlsUse::Upgrade, "{path}: {facts:#?}");
                assert!(!has(&report, "obs-injected") && !has(&report, "obs-broken"), "{path}");
            }
            (other, _) => panic!("{path}: no expectation for {other}"),
        }
    }
    assert!(count > 400, "{count}");
}

/// Returns where a report differs from the header `observed` of its vector.
fn differences(observed: &str, report: &ConnectionReport) -> Vec<String> {
    let facts = serde_json::to_value(report).unwrap();
    let (mut wrong, mut logins) = (Vec::new(), Vec::new());
    for item in observed.split(", ") {
        let found = match item.split(' ').collect::<Vec<_>>()[..] {
            ["login", ..] => {
                logins.push(item.to_owned());
                continue;
            }
            ["boundary", _] => match facts["boundary"]["negotiated"].as_bool() {
                Some(is_negotiated) => {
                    format!("boundary {}", if is_negotiated { "negotiated" } else { "seen" })
                }
                None => String::from("no boundary"),
            },
            ["finding" | "no-finding", id] if has(report, id) => format!("finding {id}"),
            ["finding" | "no-finding", id] => format!("no-finding {id}"),
            [fact, _] => format!("{fact} {}", facts[fact].as_str().unwrap_or("-")),
            _ => panic!("invalid part {item:?} of {observed:?}"),
        };
        if found != item {
            wrong.push(format!("expected {item}, found {found}"));
        }
    }
    let credentials = facts["credentials"].as_array().unwrap().iter();
    let found: Vec<String> = credentials
        .map(|login| {
            let word = |key: &str| login[key].as_str().unwrap_or("-").replace(' ', "%20");
            format!("login {} {} {}", word("mechanism"), word("user"), word("exposure"))
        })
        .collect();
    if found != logins {
        wrong.push(format!("expected {logins:?}, found {found:?}"));
    }
    wrong
}

#[test]
fn observers_report_what_the_vectors_say() {
    let vectors = Vector::all();
    let (mut families, mut wrong) = (Vec::new(), Vec::new());
    for vector in &vectors {
        let Some(observed) = vector.header("observed") else { continue };
        families.push(vector.protocol.family);
        for segment in [1448, 7, 1] {
            for difference in differences(observed, &report(vector, segment)) {
                wrong.push(format!("{} in segments of {segment}: {difference}", vector.path.display()));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    families.dedup();
    assert!(families.len() > 12, "logins of few protocols have a vector: {families:?}");
}
