//! The JSON report of sslyze.

use std::collections::BTreeSet;

use serde::Deserialize;
use starttls_hello::{CipherSuite, NamedGroup, Version};

use super::sha256;
use crate::offer::Offer;

/// The part of the report that is read. The rest contains numbers of thousands of bits, which are no JSON values in Rust.
#[derive(Deserialize)]
struct Report {
    server_scan_results: Vec<Server>,
}

#[derive(Deserialize)]
struct Server {
    scan_result: Scan,
}

#[derive(Deserialize)]
struct Scan {
    ssl_2_0_cipher_suites: Attempt<Suites>,
    ssl_3_0_cipher_suites: Attempt<Suites>,
    tls_1_0_cipher_suites: Attempt<Suites>,
    tls_1_1_cipher_suites: Attempt<Suites>,
    tls_1_2_cipher_suites: Attempt<Suites>,
    tls_1_3_cipher_suites: Attempt<Suites>,
    elliptic_curves: Attempt<Curves>,
    certificate_info: Attempt<Certificates>,
}

#[derive(Deserialize)]
struct Attempt<T> {
    result: Option<T>,
}

#[derive(Deserialize)]
struct Suites {
    is_tls_version_supported: bool,
    accepted_cipher_suites: Vec<Accepted>,
}

#[derive(Deserialize)]
struct Accepted {
    cipher_suite: Named,
    ephemeral_key: Option<Key>,
}

#[derive(Deserialize)]
struct Named {
    name: String,
}

#[derive(Deserialize)]
struct Key {
    type_name: String,
    size: u32,
}

#[derive(Deserialize)]
struct Curves {
    supported_curves: Option<Vec<Named>>,
}

#[derive(Deserialize)]
struct Certificates {
    certificate_deployments: Vec<Chain>,
}

#[derive(Deserialize)]
struct Chain {
    received_certificate_chain: Vec<Certificate>,
}

#[derive(Deserialize)]
struct Certificate {
    as_pem: String,
}

pub(super) fn read(report: &str) -> Option<Offer> {
    let report: Report = serde_json::from_str(report).ok()?;
    let scan = report.server_scan_results.into_iter().next()?.scan_result;
    let mut offer = Offer::empty();
    for (version, attempt) in [
        (Version::Ssl2, scan.ssl_2_0_cipher_suites),
        (Version::Ssl3, scan.ssl_3_0_cipher_suites),
        (Version::Tls10, scan.tls_1_0_cipher_suites),
        (Version::Tls11, scan.tls_1_1_cipher_suites),
        (Version::Tls12, scan.tls_1_2_cipher_suites),
        (Version::Tls13, scan.tls_1_3_cipher_suites),
    ] {
        let suites = attempt.result?;
        if suites.is_tls_version_supported {
            offer.versions.get_or_insert_default().insert(version);
        }
        for Accepted { cipher_suite, ephemeral_key } in suites.accepted_cipher_suites {
            let suite = CipherSuite::by_name(&cipher_suite.name)?;
            offer.suites.get_or_insert_default().insert((version, suite));
            let prime = ephemeral_key.filter(|key| key.type_name == "DH" && version < Version::Tls13);
            offer.primes.get_or_insert_default().extend(prime.map(|key| key.size));
        }
    }
    let curves = scan.elliptic_curves.result?.supported_curves.unwrap_or_default();
    offer.groups = Some(curves.iter().filter_map(|curve| NamedGroup::by_name(&curve.name)).collect());
    let chains = scan.certificate_info.result?.certificate_deployments;
    let leaves: Option<BTreeSet<_>> =
        chains.iter().map(|chain| sha256(&chain.received_certificate_chain.first()?.as_pem)).collect();
    offer.certificates = Some(leaves?);
    Some(offer)
}
