//! The checks of the server's certificate and of the TLS session.

use starttls::rustls::server::ParsedCertificate;
use starttls::{CertificateFault, CertificateVerdict, TlsFacts};
use starttls_hello::Version;
use starttls_x509::{HashAlgorithm, KeyAlgorithm, SignatureAlgorithm, validity};

use crate::check::id;
use crate::finding::FindingBuilder;
use crate::message::{self, Statement};
use crate::ocsp;
use crate::report::{CertificateReport, CheckOutcome, Presented, Severity, TlsSummary};
use crate::requirement::Requirement;
use crate::tls_version::tls_version;

/// Judges the certificate and its chain. A certificate with fewer days left than `soon` is a finding.
pub(crate) fn certificate(
    presented: &Presented,
    facts: &TlsFacts,
    server_name: &str,
    soon: i64,
) -> Vec<FindingBuilder> {
    let Some(own) = presented.chain.first() else {
        return vec![FindingBuilder::fail(id::CERT_CHAIN, "the server presents no certificate")];
    };
    if let Some(error) = &own.unreadable {
        return vec![FindingBuilder::fail(
            id::CERT_CHAIN,
            message::CERTIFICATE_UNREADABLE.with(&[("why", error)]),
        )];
    }
    let parsed = facts.chain.first().and_then(|der| starttls_x509::Certificate::from_der(der).ok());
    let mut findings = match unparsable(presented, facts) {
        Some(unparsable) => [unparsable].into_iter().chain(self_signed(own)).collect(),
        None => {
            // Certificates that an intermediate CA issued usually contain the URL of its certificate.
            let fetchable = parsed.as_ref().is_some_and(|own| !own.issuer_urls().is_empty());
            vec![chain(presented, &facts.verdict, fetchable)]
        }
    };
    findings.extend([
        name(parsed.as_ref(), server_name, &own.names),
        dates(presented, &facts.verdict),
        expiry(presented, soon),
    ]);
    findings.push(match own.names.is_empty() {
        true => FindingBuilder::fail(
            id::CERT_SAN,
            "the certificate has no names in subjectAltName, and clients ignore the common name",
        ),
        false => FindingBuilder::pass(id::CERT_SAN, message::VALUE.with(&[("value", &own.names.join(", "))])),
    });
    if let Some(parsed) = parsed {
        findings.push(key(&parsed.public_key().algorithm()));
        findings.push(signature(&parsed.signature_algorithm()));
        findings.push(usage(&parsed));
        findings.push(ocsp::stapling(&parsed, facts));
        findings.push(ocsp::timestamps(&parsed, facts.ocsp_response.as_deref(), None));
    }
    findings
}

fn chain(presented: &Presented, verdict: &CertificateVerdict, fetchable: bool) -> FindingBuilder {
    let own = presented.chain.first();
    let issuer = own.map_or("", |own| own.issuer.as_str());
    let (rooted, reason) = match verdict {
        CertificateVerdict::Failed(failure) => (failure.has_trusted_root, failure.to_string()),
        CertificateVerdict::AcceptedByCaller => (None, verdict.to_string()),
        _ => (Some(presented.verified), String::new()),
    };
    if rooted == Some(true) {
        return verified(presented);
    }
    if let Some(finding) = own.and_then(self_signed) {
        return finding;
    }
    if rooted.is_none() {
        let why = message::CHAIN_UNKNOWN.with(&[("why", &reason)]);
        return FindingBuilder::new(id::CERT_CHAIN, CheckOutcome::Inconclusive, why);
    }
    if presented.path.len() < 2 {
        // Without the issuer's certificate, its kind is unknown.
        if fetchable || issuer.to_ascii_lowercase().contains("intermediate") {
            let why = message::INTERMEDIATE_MISSING.with(&[("issuer", &issuer)]);
            return FindingBuilder::fail(id::CERT_INCOMPLETE, why).needs(Requirement::TrustedAuthority);
        }
        let why = message::ISSUER_NOT_TRUSTED.with(&[("issuer", &issuer)]);
        return FindingBuilder::fail(id::CERT_CHAIN, why).needs(Requirement::TrustedAuthority);
    }
    let top = presented.on_path().last().map_or("", |top| top.issuer.as_str());
    FindingBuilder::fail(id::CERT_CHAIN, message::ROOT_NOT_TRUSTED.with(&[("issuer", &top)]))
}

fn self_signed(own: &CertificateReport) -> Option<FindingBuilder> {
    let why = "the certificate is signed by its own key, so no authority confirms its name";
    (own.issuer == own.subject).then(|| FindingBuilder::fail(id::CERT_SELF_SIGNED, why))
}

/// The chain leads to a trusted root. A certificate that it does not need is worth a note: clients ignore it.
fn verified(presented: &Presented) -> FindingBuilder {
    let length = crate::filter::plural(presented.path.len(), "certificate", "certificates");
    let summary = format!("{length}, up to a trusted root");
    let more: Vec<_> = presented
        .superfluous()
        .map(|it| match it.days_left < 0 {
            true => format!(
                "not needed: {}, issued by {}, which ended on {}",
                it.subject, it.issuer, it.not_after
            ),
            false => format!("not needed: {}, issued by {}", it.subject, it.issuer),
        })
        .collect();
    match more.len() {
        0 => {
            let count = presented.path.len();
            let text = if count == 1 { message::CERTIFICATE_TRUSTED } else { message::CHAIN_TRUSTED };
            FindingBuilder::pass(id::CERT_CHAIN, text.with(&[("count", &count)]))
        }
        count => {
            let more_of = crate::filter::plural(count, "more certificate", "more certificates");
            let summary = format!("{summary}; the server sends {more_of}, which clients ignore");
            FindingBuilder::new(id::CERT_CHAIN, CheckOutcome::Info, summary).details(more)
        }
    }
}

/// RFC 9525: whether the certificate is for this name is asked by itself, whatever becomes of the chain.
fn name(own: Option<&starttls_x509::Certificate<'_>>, server_name: &str, names: &[String]) -> FindingBuilder {
    if names.is_empty() {
        let why = message::NAME_MISSING.with(&[("name", &server_name)]);
        return FindingBuilder::fail(id::CERT_NAME, why);
    }
    match own.is_some_and(|own| own.is_for(server_name)) {
        true => FindingBuilder::pass(id::CERT_NAME, message::NAME_MATCHES.with(&[("name", &server_name)])),
        false => FindingBuilder::fail(
            id::CERT_NAME,
            message::NAME_DIFFERS.with(&[("name", &server_name), ("names", &names.join(", "))]),
        ),
    }
}

/// Of the path that clients verify. What else the server sends may have ended: no client looks at it.
fn dates(presented: &Presented, verdict: &CertificateVerdict) -> FindingBuilder {
    let ended = presented.expires.as_ref().filter(|it| it.days_left < 0);
    let early = matches!(
        verdict,
        CertificateVerdict::Failed(failure) if matches!(failure.fault, CertificateFault::NotYetValid { .. })
    );
    match (ended, early) {
        (Some(ended), _) => {
            let values: [(_, &dyn std::fmt::Display); 2] =
                [("subject", &ended.subject), ("date", &ended.not_after)];
            FindingBuilder::fail(id::CERT_DATES, message::CERTIFICATE_ENDED.with(&values))
        }
        (None, true) => {
            let starts = presented.chain.first().map(|own| own.not_before.as_str()).unwrap_or_default();
            FindingBuilder::fail(id::CERT_DATES, message::CERTIFICATE_NOT_STARTED.with(&[("date", &starts)]))
        }
        (None, false) => FindingBuilder::pass(id::CERT_DATES, "valid now"),
    }
}

fn expiry(presented: &Presented, soon: i64) -> FindingBuilder {
    let check = id::CERT_EXPIRY;
    let Some(first) = &presented.expires else {
        return FindingBuilder::new(
            check,
            CheckOutcome::NotApplicable,
            "no certificate has a date that can be read",
        );
    };
    let own = presented.chain.first().is_some_and(|own| own.not_after_unix == first.not_after_unix);
    let left = match first.days_left {
        days @ 2.. if own => message::DAYS_LEFT.with(&[("count", &days)]),
        days @ 2.. => {
            message::DAYS_LEFT_BY_INTERMEDIATE.with(&[("count", &days), ("subject", &first.subject)])
        }
        days if own => validity::remaining(days).into(),
        days => format!("{}, by the intermediate {}", validity::remaining(days), first.subject).into(),
    };
    match first.days_left {
        ..0 => FindingBuilder::new(check, CheckOutcome::NotApplicable, "it has expired"),
        days if days < soon => FindingBuilder::new(check, CheckOutcome::Warning, left),
        _ => FindingBuilder::pass(check, left),
    }
}

/// Reports a certificate of X.509 version 1 or 2, or with unknown critical extensions. Clients cannot verify it, whatever
/// its issuer.
fn unparsable(presented: &Presented, facts: &TlsFacts) -> Option<FindingBuilder> {
    let is_read = facts.chain.first().is_some_and(|der| ParsedCertificate::try_from(der).is_ok());
    let why = message::CERTIFICATE_UNVERIFIABLE.with(&[("why", &presented.verdict)]);
    (!is_read).then(|| FindingBuilder::fail(id::CERT_CHAIN, why))
}

pub(crate) fn key(kind: &KeyAlgorithm) -> FindingBuilder {
    match kind.is_weak() {
        true => FindingBuilder::fail(id::CERT_KEY, message::KEY_TOO_SHORT.with(&[("key", kind)])),
        false => FindingBuilder::pass(id::CERT_KEY, message::VALUE.with(&[("value", kind)])),
    }
}

fn signature(kind: &SignatureAlgorithm) -> FindingBuilder {
    let check = id::CERT_SIGNATURE;
    if kind.hash().is_some_and(HashAlgorithm::is_broken) {
        return FindingBuilder::fail(check, message::SIGNED_BROKEN.with(&[("algorithm", kind)]));
    }
    match kind.is_known() {
        true => FindingBuilder::pass(check, message::SIGNED.with(&[("algorithm", kind)])),
        // An algorithm that is not in the table is not known to be secure.
        false => {
            let what = message::SIGNED_UNKNOWN.with(&[("algorithm", kind)]);
            FindingBuilder::new(check, CheckOutcome::Info, what)
        }
    }
}

fn usage(parsed: &starttls_x509::Certificate<'_>) -> FindingBuilder {
    // RFC 5280 section 4.2.1.9: its key is to verify certificates, and WebPKI takes it for nothing else.
    if parsed.is_ca() {
        return FindingBuilder::fail(
            id::CERT_USAGE,
            "the certificate is an authority's, not a server's (CA:TRUE)",
        );
    }
    match parsed.extended_key_usage() {
        Some(usage) if !usage.allows_servers() => FindingBuilder::fail(
            id::CERT_USAGE,
            "the certificate is not meant for servers (extendedKeyUsage lacks serverAuth)",
        ),
        _ => FindingBuilder::pass(id::CERT_USAGE, "meant for servers"),
    }
}

const ALPN_NEEDED: &str = "Check that the port serves this protocol. Then enable ALPN on the server, or on the proxy that \
    terminates TLS before it.";

/// The session that was agreed upon.
pub(crate) fn session(
    facts: &TlsFacts,
    tls: &TlsSummary,
    required_alpn: Option<&str>,
    has_early_data_profile: bool,
) -> Vec<FindingBuilder> {
    let value =
        |name: &Option<String>| message::VALUE.with(&[("value", &name.as_deref().unwrap_or_default())]);
    let info = |check, text: Statement| FindingBuilder::new(check, CheckOutcome::Info, text);
    let group = tls.group.as_deref().unwrap_or("no key exchange");
    let quantum = match tls.post_quantum {
        true => FindingBuilder::pass(id::TLS_GROUP, message::QUANTUM_RESISTANT.with(&[("group", &group)])),
        false => info(id::TLS_GROUP, message::NOT_QUANTUM_RESISTANT.with(&[("group", &group)])),
    };
    let resumption = match tls.resumption {
        true => "sessions can be resumed",
        false => "no session ticket was seen",
    };
    // RFC 8446 has no renegotiation, and our TLS 1.2 refuses servers without RFC 5746.
    let renegotiation = match tls_version(facts) {
        Some(Version::Tls13) => "TLS 1.3 has none",
        _ => "secure renegotiation is supported (RFC 5746)",
    };
    let alpn = match (required_alpn, tls.alpn.as_deref()) {
        (Some(required), chosen) if chosen != Some(required) => FindingBuilder::fail(
            id::TLS_ALPN,
            format!("the server does not select the ALPN id {required}, and clients refuse the connection"),
        )
        .severity(Severity::Error)
        .fix(ALPN_NEEDED),
        (_, Some(id)) => info(id::TLS_ALPN, message::ALPN_CHOSEN.with(&[("id", &id)])),
        (_, None) => info(id::TLS_ALPN, message::NO_ALPN.with(&[])),
    };
    vec![
        FindingBuilder::pass(id::TLS_VERSION, value(&tls.version)),
        FindingBuilder::pass(id::TLS_SUITE, value(&tls.cipher_suite)),
        quantum,
        info(id::TLS_RESUMPTION, resumption.into()),
        alpn,
        FindingBuilder::pass(id::TLS_RENEGOTIATION, renegotiation).severity(Severity::Info),
        early_data(tls_version(facts), tls, has_early_data_profile),
    ]
}

/// Early data can be replayed (RFC 8446 section 8), so that a protocol may use it only if a profile defines how (appendix
/// E.5). HTTP has one (RFC 8470).
fn early_data(version: Option<Version>, tls: &TlsSummary, has_profile: bool) -> FindingBuilder {
    let check = id::TLS_EARLY_DATA;
    match (version, tls.early_data_limit) {
        (Some(Version::Tls13), Some(0)) => {
            FindingBuilder::pass(check, "no session ticket permits early data")
        }
        (Some(Version::Tls13), Some(limit)) => {
            let what = format!("session tickets permit {limit} octets of early data");
            if has_profile {
                let why = format!("{what}, which an attacker can replay; RFC 8470 defines how HTTP uses it");
                return FindingBuilder::new(check, CheckOutcome::Info, why);
            }
            let why = message::EARLY_DATA_PERMITTED.with(&[("count", &limit)]);
            FindingBuilder::new(check, CheckOutcome::Warning, why)
        }
        (Some(Version::Tls13), None) => FindingBuilder::new(
            check,
            CheckOutcome::Inconclusive,
            "no session ticket was seen, and the server may send one later",
        ),
        _ => FindingBuilder::new(check, CheckOutcome::NotApplicable, "only TLS 1.3 has early data"),
    }
}

#[cfg(test)]
mod tests {
    use starttls::CertificateFailure;

    use super::*;

    #[test]
    fn an_issuer_that_is_not_sent_may_be_an_authority_or_an_intermediate() {
        for (issuer, fetchable, check) in [
            ("CN=Our Root", false, id::CERT_CHAIN),
            ("CN=Our Root", true, id::CERT_INCOMPLETE),
            ("CN=Example Intermediate 2", false, id::CERT_INCOMPLETE),
        ] {
            let (issuer, subject) = (issuer.to_owned(), String::from("CN=localhost"));
            let own = crate::report::CertificateReport { issuer, subject, ..Default::default() };
            let presented = Presented { chain: vec![own], ..Presented::default() };
            let verdict = CertificateVerdict::Failed(CertificateFailure::new(
                CertificateFault::UntrustedRoot,
                Some(false),
            ));
            let finding = chain(&presented, &verdict, fetchable);
            assert_eq!(
                (finding.check, finding.outcome),
                (check, CheckOutcome::Fail),
                "{}",
                finding.summary()
            );
            assert_eq!(finding.statement().requirement, Some(Requirement::TrustedAuthority));
            for either in ["authority", "intermediate", "not se"] {
                assert!(finding.summary().contains(either), "{}", finding.summary());
            }
        }
    }

    #[test]
    fn broken_hashes_fail_and_unknown_algorithms_do_not_pass() {
        for (kind, outcome) in [
            (SignatureAlgorithm::Rsa(HashAlgorithm::Md5), CheckOutcome::Fail),
            (SignatureAlgorithm::Ecdsa(HashAlgorithm::Sha1), CheckOutcome::Fail),
            (SignatureAlgorithm::Rsa(HashAlgorithm::Sha1), CheckOutcome::Fail),
            (SignatureAlgorithm::Ecdsa(HashAlgorithm::Sha256), CheckOutcome::Pass),
            (SignatureAlgorithm::RsaPss(Some(HashAlgorithm::Sha256)), CheckOutcome::Pass),
            (SignatureAlgorithm::Ed25519, CheckOutcome::Pass),
            (SignatureAlgorithm::Unknown("1.2.3.4".to_owned()), CheckOutcome::Info),
        ] {
            assert_eq!(signature(&kind).outcome, outcome, "{kind}");
        }
    }
}
