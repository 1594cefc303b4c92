//! The findings of one connection. Each requires evidence that stays valid whatever else the capture misses.

use starttls_hello::SuiteClass;

use super::{Confidence, Observation, Weight, rule};
use crate::facts::{ClueKind, Exposure, Facts, Handshake, Offered, Readable, RequestAnswer, TlsUse};

/// Returns the findings of one connection, the most severe first.
pub fn judge(facts: &Facts) -> Vec<Observation> {
    let mut found = Vec::new();
    credentials(facts, &mut found);
    negotiation(facts, &mut found);
    boundary(facts, &mut found);
    if let Some(handshake) = &facts.handshake {
        tls(handshake, facts, &mut found);
    }
    found.sort_by_key(|it| std::cmp::Reverse(it.severity));
    found
}

/// Returns a finding with the clues of these kinds as its evidence.
fn finding(facts: &Facts, id: &'static str, kinds: &[ClueKind], summary: String) -> Observation {
    Observation {
        id,
        severity: rule(id).map_or(Weight::Info, |rule| rule.severity),
        certainty: Confidence::Proven,
        summary,
        evidence: facts.clues.iter().filter(|clue| kinds.contains(&clue.kind)).take(4).cloned().collect(),
    }
}

fn has(facts: &Facts, kind: ClueKind) -> bool {
    facts.clue(kind).is_some()
}

fn credentials(facts: &Facts, found: &mut Vec<Observation>) {
    for login in &facts.credentials {
        let user = login.user.as_ref().map_or(String::new(), |user| format!(" as \"{user}\""));
        let (id, severity, verb) = match login.exposure {
            Exposure::Readable => ("obs-credentials", Weight::High, "logged in with"),
            Exposure::Guessable => ("obs-credentials", Weight::High, "logged in with"),
            Exposure::Identity => ("obs-names", Weight::Info, "named itself with"),
            Exposure::Attempted => ("obs-login-attempted", Weight::Info, "began"),
        };
        let exposed = match login.exposure {
            Exposure::Readable => "; the secret is readable",
            Exposure::Guessable => "; the secret can be guessed offline",
            Exposure::Identity => "; no secret was sent",
            Exposure::Attempted => " and sent no secret",
        };
        let summary = format!("the client {verb} {}{user} in cleartext{exposed}", login.mechanism);
        let mut observation = finding(facts, id, &[], summary);
        observation.severity = severity;
        observation.evidence = facts
            .clues
            .iter()
            .filter(|it| it.kind == ClueKind::Login && it.packet == login.packet)
            .take(1)
            .cloned()
            .collect();
        if !found.iter().any(|it: &Observation| it.summary == observation.summary) {
            found.push(observation);
        }
    }
    if !facts.names.is_empty() {
        let names = facts.names.join(", ");
        found.push(finding(facts, "obs-names", &[], format!("the client named {names} in cleartext")));
    }
}

fn negotiation(facts: &Facts, found: &mut Vec<Observation>) {
    let substance = facts.readable >= Readable::Content;
    let between_servers = facts.protocol.is_some_and(|it| it.name == "smtp" || it.name == "lmtp");
    let crossed = match facts.readable {
        Readable::Credentials => "a login",
        _ => "content",
    };
    let refused = matches!(facts.answer, RequestAnswer::RefusedPermanent | RequestAnswer::RefusedTemporary);
    if facts.offered == Offered::Yes && facts.crossed_before_request {
        let kinds = [ClueKind::Offer, ClueKind::Content, ClueKind::Login];
        let summary = format!("the server offered the upgrade, and {crossed} crossed without it");
        let mut observation = finding(facts, "obs-not-used", &kinds, summary);
        if between_servers && facts.readable == Readable::Content {
            observation.severity = Weight::Low;
        }
        found.push(observation);
    }
    if facts.offered == Offered::No && substance && !refused {
        let kinds = [ClueKind::NoOffer, ClueKind::Content, ClueKind::Login];
        let summary = format!("the server did not offer the upgrade, and {crossed} crossed in cleartext");
        found.push(finding(facts, "obs-not-offered", &kinds, summary));
    }
    if has(facts, ClueKind::Mask) {
        let summary = "a firewall has overwritten what the server sent; which keyword it was is unknown";
        found.push(finding(facts, "obs-masked", &[ClueKind::Mask], summary.to_owned()));
    }
    if refused {
        let summary = match facts.answer {
            RequestAnswer::RefusedTemporary => "the server refused the upgrade for now",
            _ => "the server refused the upgrade",
        };
        found.push(finding(facts, "obs-refused", &[ClueKind::Request, ClueKind::Refuse], summary.to_owned()));
    }
    // The server may send something that does not answer the request, and the client continues.
    if refused && substance || facts.crossed_after_request {
        let kinds = [ClueKind::Refuse, ClueKind::Content, ClueKind::Login];
        let summary = match refused {
            true => format!("the server refused the upgrade, and the client sent {crossed} in cleartext"),
            false => {
                format!("the server did not accept the upgrade, and the client sent {crossed} in cleartext")
            }
        };
        found.push(finding(facts, "obs-fell-back", &kinds, summary));
    }
    if has(facts, ClueKind::AlteredRequest) {
        let summary = "the server quotes a request that the client did not send";
        let kinds = [ClueKind::Request, ClueKind::AlteredRequest];
        found.push(finding(facts, "obs-stripped", &kinds, summary.to_owned()));
    }
    if facts.offered == Offered::No && has(facts, ClueKind::NoOffer) && has(facts, ClueKind::TlsRequired) {
        let summary = "the server did not offer the upgrade and yet requires it";
        let mut observation =
            finding(facts, "obs-stripped", &[ClueKind::NoOffer, ClueKind::TlsRequired], summary.to_owned());
        observation.certainty = Confidence::Likely;
        found.push(observation);
    }
    if facts.answer == RequestAnswer::Missing && facts.tls != TlsUse::WrongMode {
        let summary = "the connection ended without an answer to the request";
        found.push(finding(facts, "obs-request-lost", &[ClueKind::Request], summary.to_owned()));
    }
    if has(facts, ClueKind::ForgedOffer) {
        let summary = "one copy of the same octets offers the upgrade, and the other one does not";
        found.push(finding(facts, "obs-stripped", &[ClueKind::ForgedOffer], summary.to_owned()));
    }
    if has(facts, ClueKind::Conflict) {
        let summary = "the network carried two versions of the same octets";
        found.push(finding(facts, "obs-conflict", &[ClueKind::Conflict], summary.to_owned()));
    }
}

fn boundary(facts: &Facts, found: &mut Vec<Observation>) {
    let (client, server) = (has(facts, ClueKind::ClientBeyond), has(facts, ClueKind::ServerBeyond));
    let beyond = [ClueKind::Request, ClueKind::Accept, ClueKind::ClientBeyond, ClueKind::ServerBeyond];
    let injected = match (client, server) {
        (true, _) => Some("the client sent cleartext after its request"),
        (false, true) => Some("the server sent cleartext after the go-ahead"),
        (false, false) => None,
    };
    if let Some(summary) = injected {
        found.push(finding(facts, "obs-injected", &beyond, summary.to_owned()));
    }
    if client && server {
        let summary = "the server accepted the upgrade, and both sides continued in cleartext";
        found.push(finding(facts, "obs-broken", &beyond, summary.to_owned()));
    }
    if facts.tls == TlsUse::WrongMode {
        let kinds = [ClueKind::CleartextToTls, ClueKind::TlsToCleartext];
        let summary = "the client started TLS at the first octet, and the server answered in cleartext";
        found.push(finding(facts, "obs-wrong-mode", &kinds, summary.to_owned()));
    }
    if has(facts, ClueKind::AfterTls) {
        let mut observation =
            finding(facts, "obs-left-tls", &[ClueKind::AfterTls], "cleartext followed TLS".to_owned());
        if facts.protocol.is_some_and(|it| it.flow.may_leave_tls) {
            observation.severity = Weight::Info;
        }
        found.push(observation);
    }
}

fn tls(handshake: &Handshake, facts: &Facts, found: &mut Vec<Observation>) {
    if let Some(alert) = &handshake.alert {
        let side = match alert.side {
            crate::facts::SideName::Client => "client",
            crate::facts::SideName::Server => "server",
        };
        let summary = format!("the {side} ended the handshake with the alert {}", alert.name);
        found.push(finding(facts, "obs-tls-failed", &[], summary));
    } else if facts.tls == TlsUse::Failed {
        let summary = "the connection ended within the handshake";
        found.push(finding(facts, "obs-tls-failed", &[], summary.to_owned()));
    }
    if let (Some(code), Some(version)) = (handshake.version_code, &handshake.version)
        && code <= 0x0302
    {
        found.push(finding(facts, "obs-old-tls", &[], format!("the session uses {version}")));
    }
    if !handshake.certificate_faults.is_empty() {
        let mut observation = finding(facts, "obs-certificate", &[], handshake.certificate_faults.join("; "));
        // Between mail servers most clients do not verify certificates (RFC 7672 section 1.3).
        if facts.protocol.is_some_and(|it| it.name == "smtp") {
            observation.severity = Weight::Low;
        }
        found.push(observation);
    }
    let broken =
        [SuiteClass::Null, SuiteClass::Anonymous, SuiteClass::Export, SuiteClass::Rc4, SuiteClass::Des];
    if let (Some(class), Some(suite)) = (handshake.suite_class, &handshake.suite)
        && broken.contains(&class)
    {
        found.push(finding(facts, "obs-weak-suite", &[], format!("the session uses {}", suite.name)));
    }
}
