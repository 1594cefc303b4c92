//! Servers that their TLSA records authenticate, and servers that only seem so.

use std::sync::Arc;

use rcgen::{CertificateParams, DnType, IsCa, Issuer, KeyPair, PublicKeyData, date_time_ymd};
use sha2::{Digest, Sha256, Sha512};
use starttls::dane::{DaneVerifier, TlsaRecord};
use starttls::rustls::crypto::aws_lc_rs;
use starttls::rustls::pki_types::CertificateDer;
use starttls::{CertificateVerdict, Connector, Error, TlsVersion};

use crate::authority::NAME;
use crate::chains::{authority, dial, leaf};
use crate::unverifiable::version_1;

/// The certificates of a test. `chain` is what the server presents.
struct Server {
    chain: Vec<CertificateDer<'static>>,
    key: KeyPair,
    ca: CertificateDer<'static>,
    ca_spki: Vec<u8>,
}

impl Server {
    /// Returns a server whose certificate a CA issued. The CA is not trusted otherwise.
    fn new(change: impl FnOnce(&mut CertificateParams)) -> Self {
        let ca_key = KeyPair::generate().unwrap();
        let ca_params = authority("a CA of our own", 2090);
        let ca = ca_params.self_signed(&ca_key).unwrap().der().clone();
        let ca_spki = ca_key.subject_public_key_info();
        let key = KeyPair::generate().unwrap();
        let mut params = leaf();
        change(&mut params);
        let own = params.signed_by(&key, &Issuer::new(ca_params, ca_key)).unwrap().der().clone();
        Self { chain: vec![own, ca.clone()], key, ca, ca_spki }
    }

    fn own(&self, selector: u8) -> Vec<u8> {
        if selector == 0 { self.chain[0].to_vec() } else { self.key.subject_public_key_info() }
    }

    fn ca(&self, selector: u8) -> Vec<u8> {
        if selector == 0 { self.ca.to_vec() } else { self.ca_spki.clone() }
    }

    async fn connect(&self, records: Vec<TlsaRecord>, names: &[&str]) -> Result<CertificateVerdict, Error> {
        let names = names.iter().map(|it| (*it).to_owned()).collect();
        let verifier = DaneVerifier::new(records, names, Arc::new(aws_lc_rs::default_provider()));
        let connector = Connector::builder().no_system_roots().verifier(Arc::new(verifier));
        let chain: Vec<_> = self.chain.iter().collect();
        Ok(dial(connector, &chain, &self.key).await?.facts().verdict.clone())
    }
}

fn record(usage: u8, selector: u8, matching: u8, of: &[u8]) -> TlsaRecord {
    let data = match matching {
        0 => of.to_vec(),
        1 => Sha256::digest(of).to_vec(),
        _ => Sha512::digest(of).to_vec(),
    };
    TlsaRecord { usage, selector, matching, data }
}

#[tokio::test]
async fn the_records_decide() {
    let sound = Server::new(|_| ());
    let other = Server::new(|_| ());
    let expired = Server::new(|params| params.not_after = date_time_ymd(2021, 1, 1));
    let elsewhere = Server::new(|params| {
        params.subject_alt_names.clear();
        params.subject_alt_names.push(rcgen::SanType::DnsName("elsewhere.example".try_into().unwrap()));
    });
    let wildcard = Server::new(|params| {
        params.subject_alt_names.clear();
        params.subject_alt_names.push(rcgen::SanType::DnsName("*.example.com".try_into().unwrap()));
    });
    let common = Server::new(|params| {
        params.subject_alt_names.clear();
        params.distinguished_name.push(DnType::CommonName, NAME);
    });
    let mut without_ca = Server::new(|_| ());
    without_ca.chain.pop();
    let mut alone = Server::new(|_| ());
    let mut params = leaf();
    params.is_ca = IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    alone.chain = vec![params.self_signed(&alone.key).unwrap().der().clone()];
    let (mismatch, wrong_name, no_path) =
        (Some("no TLSA record matches"), Some("is not for"), Some("does not lead to it"));
    /// The name, the server, its records, the names, and a part of the error.
    type Case<'a> = (&'a str, &'a Server, Vec<TlsaRecord>, &'a str, Option<&'a str>);
    let cases: Vec<Case<'_>> = vec![
        ("3 0 0", &sound, vec![record(3, 0, 0, &sound.own(0))], "", None),
        ("3 0 1", &sound, vec![record(3, 0, 1, &sound.own(0))], "", None),
        ("3 1 1", &sound, vec![record(3, 1, 1, &sound.own(1))], "", None),
        ("3 1 2", &sound, vec![record(3, 1, 2, &sound.own(1))], "", None),
        ("3 1 0", &sound, vec![record(3, 1, 0, &sound.own(1))], "", None),
        ("3 1 1 of another key", &sound, vec![record(3, 1, 1, &other.own(1))], NAME, mismatch),
        (
            "one of two",
            &sound,
            vec![record(3, 1, 1, &other.own(1)), record(3, 1, 1, &sound.own(1))],
            "",
            None,
        ),
        ("usage 3: dates do not count", &expired, vec![record(3, 1, 1, &expired.own(1))], NAME, None),
        ("usage 3: names do not count", &elsewhere, vec![record(3, 1, 1, &elsewhere.own(1))], NAME, None),
        ("3 1 1 of the CA", &sound, vec![record(3, 1, 1, &sound.ca(1))], NAME, mismatch),
        ("2 0 1", &sound, vec![record(2, 0, 1, &sound.ca(0))], NAME, None),
        ("2 1 1", &sound, vec![record(2, 1, 1, &sound.ca(1))], NAME, None),
        (
            "2 0 1, one of two names",
            &sound,
            vec![record(2, 0, 1, &sound.ca(0))],
            "example.org mail.example.com",
            None,
        ),
        ("2 0 1, another name", &sound, vec![record(2, 0, 1, &sound.ca(0))], "example.org", wrong_name),
        ("2 0 1, no name", &sound, vec![record(2, 0, 1, &sound.ca(0))], "", wrong_name),
        (
            "2 0 1, certificate for elsewhere",
            &elsewhere,
            vec![record(2, 0, 1, &elsewhere.ca(0))],
            NAME,
            wrong_name,
        ),
        ("2 0 1, wildcard", &wildcard, vec![record(2, 0, 1, &wildcard.ca(0))], NAME, None),
        (
            "2 0 1, wildcard for two labels",
            &wildcard,
            vec![record(2, 0, 1, &wildcard.ca(0))],
            "a.mail.example.com",
            wrong_name,
        ),
        ("2 0 1, common name", &common, vec![record(2, 0, 1, &common.ca(0))], NAME, None),
        ("2 0 1, expired", &expired, vec![record(2, 0, 1, &expired.ca(0))], NAME, no_path),
        ("2 0 1 of another CA", &sound, vec![record(2, 0, 1, &other.ca(0))], NAME, mismatch),
        ("2 0 1 of the own certificate", &alone, vec![record(2, 0, 1, &alone.chain[0])], NAME, mismatch),
        ("2 0 1, the CA is not sent", &without_ca, vec![record(2, 0, 1, &without_ca.ca(0))], NAME, mismatch),
        ("2 0 0, the CA is not sent", &without_ca, vec![record(2, 0, 0, &without_ca.ca(0))], NAME, None),
        ("2 0 0 of another CA", &without_ca, vec![record(2, 0, 0, &other.ca(0))], NAME, mismatch),
        ("2 0 0 of garbage", &without_ca, vec![record(2, 0, 0, &[0x30, 1, 0])], NAME, mismatch),
        ("1 1 1", &sound, vec![record(1, 1, 1, &sound.own(1))], NAME, mismatch),
        ("0 0 1", &sound, vec![record(0, 0, 1, &sound.ca(0))], NAME, mismatch),
        (
            "selector 2",
            &sound,
            vec![TlsaRecord { selector: 2, ..record(3, 1, 1, &sound.own(1)) }],
            NAME,
            mismatch,
        ),
        (
            "matching 3",
            &sound,
            vec![TlsaRecord { matching: 3, ..record(3, 1, 1, &sound.own(1)) }],
            NAME,
            mismatch,
        ),
        ("no record", &sound, vec![], NAME, mismatch),
    ];
    for (name, server, records, names, expected) in cases {
        let names: Vec<&str> = names.split_ascii_whitespace().collect();
        match (server.connect(records, &names).await, expected) {
            (Ok(verdict), None) => assert_eq!(verdict, CertificateVerdict::AcceptedByCaller, "{name}"),
            (Err(error @ Error::Certificate { .. }), Some(part)) => {
                assert!(error.to_string().contains(part), "{name}: {error}");
            }
            (other, _) => panic!("{name}: {other:?}"),
        }
    }
}

/// A CA that a record names issued a certificate that the server's certificate does not lead to.
#[tokio::test]
async fn a_ca_in_the_chain_must_have_issued_the_certificate() {
    let (mut sound, other) = (Server::new(|_| ()), Server::new(|_| ()));
    sound.chain[1] = other.ca.clone();
    let error = sound.connect(vec![record(2, 0, 1, &other.ca(0))], &[NAME]).await.unwrap_err();
    assert!(error.to_string().contains("does not lead to it"), "{error}");
}

#[tokio::test]
async fn usage_3_accepts_certificates_of_version_1_whose_key_the_server_holds() {
    for algorithm in [&rcgen::PKCS_ECDSA_P256_SHA256, &rcgen::PKCS_ED25519, &rcgen::PKCS_RSA_SHA256] {
        let key = KeyPair::generate_for(algorithm).unwrap();
        let certificate = version_1(&key);
        let records = vec![record(3, 1, 1, &key.subject_public_key_info())];
        let other = KeyPair::generate_for(algorithm).unwrap();
        for tls in [TlsVersion::Tls12, TlsVersion::Tls13] {
            let verifier =
                DaneVerifier::new(records.clone(), Vec::new(), Arc::new(aws_lc_rs::default_provider()));
            let verifier = Arc::new(verifier);
            let connector = || {
                let builder = Connector::builder().no_system_roots().tls_versions(tls, tls);
                builder.verifier(verifier.clone())
            };
            dial(connector(), &[&certificate], &key).await.unwrap();
            let error = dial(connector(), &[&certificate], &other).await.unwrap_err();
            assert!(matches!(error, Error::Certificate { .. }), "{error:?}");
        }
    }
}
