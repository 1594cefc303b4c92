//! The certificates that a server presents up to TLS 1.2.

use starttls_hello::{Authentication, Known, Support};

use super::judge::Judge;
use crate::check::id;
use crate::finding::FindingBuilder;
use crate::message;
use crate::report::{CertificateReport, CheckOutcome};

/// Compares the certificates for the different types of keys.
pub(super) fn types(judge: &Judge<'_>) -> FindingBuilder {
    let check = id::CERT_TYPES;
    let chains = judge.facts.chains();
    let own: Vec<_> =
        chains.iter().filter_map(|chain| chain.first()).map(|der| CertificateReport::read(der)).collect();
    let keys: Vec<_> = own.iter().map(|it| it.key.as_str()).collect();
    if let [first, second, ..] = own.as_slice() {
        let same = |one: &CertificateReport, other: &CertificateReport| {
            one.names.iter().all(|name| other.names.contains(name)) && one.names.len() == other.names.len()
        };
        let hellos: Vec<_> =
            judge.flights().filter(|(_, it)| !it.certificates.is_empty()).map(|(hello, _)| hello).collect();
        let details = own.iter().flat_map(CertificateReport::identification).collect();
        return match same(first, second) && first.not_after == second.not_after {
            true => FindingBuilder::pass(
                check,
                format!("certificates with {}, for the same names", keys.join(" and ")),
            ),
            false => {
                let summary =
                    format!("the certificates with {} differ in names or dates", keys.join(" and "));
                let ends = [hellos.first(), hellos.last()].into_iter().flatten().copied();
                judge.found(check, summary, ends).details(details)
            }
        };
    }
    let types = [Authentication::Rsa, Authentication::Ecdsa].map(|kind| judge.facts.key_type(kind));
    let only = types.iter().any(|known| known.value() == Some(Support::NotOffered));
    match (keys.first(), types) {
        (Some(key), _) if only => FindingBuilder::pass(check, message::ONE_CERTIFICATE.with(&[("key", key)])),
        (None, _) if judge.has_classic() == Some(false) => {
            FindingBuilder::new(check, CheckOutcome::NotApplicable, "TLS 1.3 encrypts the certificates")
        }
        (_, [rsa, ecdsa]) => {
            let unknown = if matches!(rsa, Known::Is(..)) { ecdsa } else { rsa };
            judge.unknown(check, unknown)
        }
    }
}
