//! What a survey adds to the checks of a session. If the handshake of the TLS library failed, it decides them alone.

use starttls_hello::{Known, NamedGroup, SuiteClass, Support, Version, extension_kind};
use starttls_x509::{Certificate, timestamp_count};

use super::judge::{CLASSIC, Judge};
use super::suites::name;
use crate::check::id;
use crate::finding::FindingBuilder;
use crate::message;
use crate::ocsp;
use crate::report::CheckOutcome;

/// The suites that the TLS library does not speak: the best one counts.
pub(super) fn suite(judge: &Judge<'_>) -> Option<FindingBuilder> {
    let check = id::TLS_SUITE;
    if judge.handshake.version.is_some() {
        return None;
    }
    let flights = judge.flights().filter(|(_, flight)| flight.version().is_some());
    let (hello, best) = flights.max_by_key(|(_, flight)| flight.suite().class())?;
    let suite = name(best.suite());
    if best.suite().class() >= SuiteClass::Aead {
        return Some(FindingBuilder::pass(check, suite).at_all(judge.survey.mark(hello)));
    }
    let summary = format!(
        "no cipher suite has both forward secrecy and authenticated encryption; the best that was seen is {suite}, of \
         the class {}",
        best.suite().class()
    );
    // Suites with authenticated encryption exist from TLS 1.2 on (RFC 5246 section 6.2.3.3).
    let aead =
        match (judge.facts.version(Version::Tls13), judge.facts.class(Version::Tls12, SuiteClass::Aead)) {
            (Known::Is(Support::NotOffered, _), aead) => aead,
            (unknown, _) => unknown,
        };
    Some(match aead {
        Known::Is(Support::NotOffered, witness) => judge.found(check, summary, [hello, witness.hello]),
        unknown => judge.unknown(check, unknown),
    })
}

/// Whether the server has a post-quantum group, although the session did not use one.
pub(super) fn group(judge: &Judge<'_>) -> Option<FindingBuilder> {
    let check = id::TLS_GROUP;
    let info = |text: String| FindingBuilder::new(check, CheckOutcome::Info, text);
    let groups = judge.facts.groups();
    let post_quantum = judge.facts.post_quantum();
    let quantum: Vec<_> =
        groups.iter().filter(|group| group.is_post_quantum()).map(ToString::to_string).collect();
    let listed = vec![format!("groups that were seen: {}", list(&groups))];
    let finding = match (post_quantum, judge.handshake.group) {
        (Known::Is(Support::Offered, witness), Some(session)) if !quantum.iter().any(|it| it == session) => {
            let text = format!(
                "{session} in the session; the server also offers {}, which resists quantum computers, and did not \
                 choose it",
                quantum.join(", ")
            );
            info(text).at_all(judge.survey.mark(witness.hello))
        }
        // The session shows the group.
        (_, Some(_)) => return None,
        (Known::Is(Support::Offered, witness), None) => {
            let text = message::QUANTUM_RESISTANT.with(&[("group", &quantum.join(", "))]);
            FindingBuilder::pass(check, text).at_all(judge.survey.mark(witness.hello))
        }
        (Known::Is(Support::NotOffered, witness), None) => {
            let seen = if groups.is_empty() {
                String::from("a key exchange without a group")
            } else {
                list(&groups)
            };
            info(format!(
                "{seen}, which does not resist quantum computers: a session that is recorded today can be decrypted later"
            ))
                .at_all(judge.survey.mark(witness.hello))
        }
        (unknown, None) => return Some(judge.unknown(check, unknown)),
    };
    Some(if groups.is_empty() { finding } else { finding.details(listed) })
}

/// The signed certificate timestamps in the handshake, up to TLS 1.2. Those in the certificate and in the OCSP response count
/// too.
pub(super) fn timestamps(judge: &Judge<'_>) -> Option<FindingBuilder> {
    let kind = extension_kind::SIGNED_CERTIFICATE_TIMESTAMP;
    let Known::Is(_, witness) = judge.facts.extension(kind) else { return None };
    let flight = judge.flight(witness.hello)?;
    let in_handshake = flight.hello.extension(kind).and_then(timestamp_count);
    let der = judge.handshake.certificate.or_else(|| flight.certificates.first().map(Vec::as_slice))?;
    let own = Certificate::from_der(der).ok()?;
    let response = judge.handshake.ocsp_response.or(flight.ocsp_response.as_deref());
    let finding = ocsp::timestamps(&own, response, Some(in_handshake.unwrap_or_default()));
    Some(finding.at_all(judge.survey.mark(witness.hello)))
}

fn list(groups: &[NamedGroup]) -> String {
    groups.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}

/// Whether the answers up to TLS 1.2 contain renegotiation_info. A session with TLS 1.3 cannot show it.
pub(super) fn renegotiation(judge: &Judge<'_>) -> Option<FindingBuilder> {
    let check = id::TLS_RENEGOTIATION;
    let known = judge.facts.extension(extension_kind::RENEGOTIATION_INFO);
    match known {
        Known::Is(Support::NotOffered, witness) => {
            let summary = "the server ignores renegotiation_info: secure renegotiation is not supported";
            Some(judge.found(check, summary.to_owned(), [witness.hello]))
        }
        Known::Is(Support::Offered, witness) => {
            Some(judge.absent(check, "secure renegotiation is supported (RFC 5746)", witness))
        }
        _ if judge.handshake.version.is_some() => None,
        _ if CLASSIC
            .iter()
            .all(|version| judge.facts.version(*version).value() == Some(Support::NotOffered)) =>
        {
            let why = "the server offers TLS 1.3 only, which has no renegotiation";
            Some(FindingBuilder::new(check, CheckOutcome::NotApplicable, why))
        }
        unknown => Some(judge.unknown(check, unknown)),
    }
}
