//! Properties of the handshake up to TLS 1.2.

use starttls::proto::Escaped;
use starttls_hello::{CertificateRequest, Known, Support, Version, extension_kind};
use starttls_x509::DistinguishedName;

use super::judge::Judge;
use super::versions::offered;
use crate::check::id;
use crate::finding::FindingBuilder;
use crate::report::CheckOutcome;

/// The most names of authorities that a finding contains.
const MAX_AUTHORITIES: usize = 10;

pub(super) fn compression(judge: &Judge<'_>) -> FindingBuilder {
    let text = ("the server compresses what it encrypts", "the server does not accept compression");
    judge.property(id::TLS_COMPRESSION, judge.facts.compression(), Support::Offered, text)
}

pub(super) fn master_secret(judge: &Judge<'_>) -> FindingBuilder {
    let known = judge.facts.extension(extension_kind::EXTENDED_MASTER_SECRET);
    let text = ("the server ignores extended master secret", "the server supports extended master secret");
    judge.property(id::TLS_MASTER, known, Support::NotOffered, text)
}

pub(super) fn heartbeat(judge: &Judge<'_>) -> FindingBuilder {
    let known = judge.facts.extension(extension_kind::HEARTBEAT);
    let text = ("the server negotiates heartbeat", "the server ignores heartbeat");
    judge.property(id::TLS_HEARTBEAT, known, Support::Offered, text)
}

/// A mark that is missing counts more than TLS_FALLBACK_SCSV, because the client need not know about it.
pub(super) fn fallback(judge: &Judge<'_>) -> FindingBuilder {
    let check = id::TLS_FALLBACK;
    let (mark, scsv) = (judge.facts.downgrade_mark(), judge.facts.fallback_scsv());
    let old = offered(judge, &[Version::Tls11, Version::Tls10, Version::Ssl3]);
    match (mark, scsv) {
        (Known::Is(Support::NotOffered, witness), _) => {
            let summary =
                String::from("the server offers TLS 1.3, and does not mark older versions in its random");
            judge.found(check, summary, [witness.hello])
        }
        (_, Known::Is(Support::NotOffered, witness)) => {
            let summary = String::from("the server accepts an older version with TLS_FALLBACK_SCSV");
            judge.found(check, summary, [witness.hello])
        }
        (_, Known::Is(Support::Offered, witness)) => {
            judge.absent(check, "the server refuses a fallback with TLS_FALLBACK_SCSV", witness)
        }
        (Known::Is(Support::Offered, witness), Known::Unasked) if old.is_empty() => {
            judge.absent(check, "the server marks older versions in its random", witness)
        }
        (_, Known::Unasked) if judge.has_classic() == Some(false) => {
            FindingBuilder::new(check, CheckOutcome::NotApplicable, "the server offers TLS 1.3 only")
        }
        (_, unknown) => judge.unknown(check, unknown),
    }
}

/// A request for a client certificate is a note, with the names of its authorities.
pub(super) fn client_certificate(judge: &Judge<'_>) -> FindingBuilder {
    let known = judge.facts.client_certificate();
    let text = ("the server asks for a client certificate", "the server asks for no client certificate");
    let finding = judge.property(id::TLS_CLIENT_AUTH, known, Support::Offered, text);
    let Known::Is(Support::Offered, witness) = known else { return finding };
    let request = judge.flight(witness.hello).and_then(|flight| flight.certificate_request.as_ref());
    finding.into_note(text.0.to_owned()).details(request.map(authorities).unwrap_or_default())
}

fn authorities(request: &CertificateRequest) -> Vec<String> {
    let names =
        request.authorities.iter().take(MAX_AUTHORITIES).map(|der| match DistinguishedName::from_der(der) {
            Ok(name) => format!("authority: {}", Escaped(name.to_string().as_bytes())),
            Err(_) => format!("authority: {} octets that are not a name", der.len()),
        });
    let more = request.authorities.len().saturating_sub(MAX_AUTHORITIES);
    names.chain((more > 0).then(|| format!("and {more} more"))).collect()
}
