//! Whether a certificate is for a name, compared with rustls.

use rcgen::SanType;
use rcgen::string::Ia5String;
use rustls::client::verify_server_name;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::server::ParsedCertificate;
use starttls_x509::{Certificate, matches_host};

use crate::samples;

const PRESENTED: &[&str] = &[
    "example.com",
    "mail.example.com",
    "*.example.com",
    "*.mail.example.com",
    "MAIL.Example.COM",
    "*.com",
    "com",
    "xn--bcher-kva.example",
    "*.xn--bcher-kva.example",
    "192.0.2.7",
    "localhost",
];

const HOSTS: &[&str] = &[
    "example.com",
    "mail.example.com",
    "a.mail.example.com",
    "a.b.example.com",
    "other.example",
    "com",
    "localhost",
    "mail.localhost",
    "xn--bcher-kva.example",
    "www.xn--bcher-kva.example",
    "192.0.2.7",
    "2001:db8::7",
    "mailXexample.com",
];

#[test]
fn names_match_where_rustls_finds_a_match() {
    let key = samples::key();
    let mut certificates: Vec<Vec<u8>> = Vec::new();
    for presented in PRESENTED {
        let mut params = samples::leaf();
        params.subject_alt_names = vec![SanType::DnsName(Ia5String::try_from(*presented).unwrap())];
        certificates.push(params.self_signed(&key).unwrap().der().to_vec());
    }
    let mut params = samples::leaf();
    params.subject_alt_names =
        ["192.0.2.7", "2001:db8::7"].map(|it| SanType::IpAddress(it.parse().unwrap())).to_vec();
    certificates.push(params.self_signed(&key).unwrap().der().to_vec());
    let mut matches = 0;
    for der in &certificates {
        let own = Certificate::from_der(der).unwrap();
        let other = CertificateDer::from(der.as_slice());
        let other = ParsedCertificate::try_from(&other).unwrap();
        for host in HOSTS {
            let expected = verify_server_name(&other, &ServerName::try_from(*host).unwrap()).is_ok();
            assert_eq!(own.is_for(host), expected, "{:?} for {host}", own.subject_alt_names());
            matches += usize::from(expected);
        }
    }
    assert!(matches > 10, "{matches} matches");
}

#[test]
fn a_wildcard_is_a_whole_label_and_stands_for_one() {
    for (presented, host, expected) in [
        ("*.example.com", "mail.example.com", true),
        ("*.example.com", "mail.example.com.", true),
        ("*.example.com", ".example.com", false),
        ("*.example.com", "example.com", false),
        ("m*.example.com", "mail.example.com", false),
        ("mail.*.com", "mail.example.com", false),
        ("*.*.com", "mail.example.com", false),
        ("*", "localhost", false),
        ("", "", false),
        (".", ".", false),
        ("mail.example.com\0.evil.example", "mail.example.com", false),
    ] {
        assert_eq!(matches_host(presented, host), expected, "{presented} for {host}");
    }
}
