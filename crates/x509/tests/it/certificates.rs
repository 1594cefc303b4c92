//! The fields of certificates.

use proptest::prelude::*;
use starttls_x509::{Certificate, GeneralName, SignatureError, hex, validity};
use x509_parser::prelude::{FromDer, ParsedExtension, X509Certificate};

use crate::samples;

fn algorithms() -> &'static [&'static dyn starttls_x509::pki_types::SignatureVerificationAlgorithm] {
    rustls::crypto::aws_lc_rs::default_provider().signature_verification_algorithms.all
}

#[test]
fn every_field_is_the_one_of_another_parser() {
    for der in samples::all() {
        let own = Certificate::from_der(&der).unwrap();
        let (_, other) = X509Certificate::from_der(&der).unwrap();
        assert_eq!(u32::from(own.version()), other.version().0 + 1);
        assert_eq!((own.serial(), own.serial_text()), (other.raw_serial(), other.raw_serial_as_string()));
        assert_eq!(own.issuer().der(), other.issuer().as_raw());
        assert_eq!(own.subject().der(), other.subject().as_raw());
        assert_eq!(own.not_before(), other.validity().not_before.timestamp());
        assert_eq!(own.not_after(), other.validity().not_after.timestamp());
        assert_eq!(own.spki_der(), other.public_key().raw);
        assert_eq!(own.is_ca(), other.is_ca());
        let extensions =
            other.extensions().iter().map(|it| (it.oid.as_bytes().to_vec(), it.critical, it.value));
        let own_extensions =
            own.extensions().iter().map(|it| (it.oid.content().to_vec(), it.critical, it.value));
        assert_eq!(own_extensions.collect::<Vec<_>>(), extensions.collect::<Vec<_>>());
        let names = other.subject_alternative_name().unwrap();
        assert_eq!(own.subject_alt_names().len(), names.map_or(0, |it| it.value.general_names.len()));
        for extension in other.extensions() {
            assert!(!matches!(extension.parsed_extension(), ParsedExtension::ParseError { .. }));
        }
        let usage = other
            .extended_key_usage()
            .unwrap()
            .map(|it| (it.value.server_auth, it.value.client_auth, it.value.ocsp_signing));
        let own_usage = own
            .extended_key_usage()
            .map(|it| (it.allows_servers(), it.allows_clients(), it.allows_ocsp_signing()));
        assert_eq!(own_usage, usage);
        assert_eq!(
            own.verify_signed_by(&own.public_key(), algorithms()),
            Ok(()),
            "{}",
            own.signature_algorithm()
        );
    }
}

#[test]
fn names_of_every_kind_are_read() {
    let all = samples::all();
    let names = |der| {
        Certificate::from_der(der)
            .unwrap()
            .subject_alt_names()
            .iter()
            .map(GeneralName::to_string)
            .collect::<Vec<_>>()
    };
    let every = all.iter().map(|der| names(der)).max_by_key(Vec::len).unwrap();
    assert_eq!(
        every,
        [
            "mail.example.com",
            "*.example.com",
            "192.0.2.7",
            "2001:db8::7",
            "email:postmaster@example.com",
            "uri:https://example.com/",
            "xmpp:example.com",
            "other:1.3.6.1.4.1.99999.7",
        ]
    );
    let authority =
        all.iter().map(|der| Certificate::from_der(der).unwrap()).find(Certificate::is_ca).unwrap();
    assert_eq!(
        authority.subject().to_string(),
        "CN=mail.example.com, C=DE, O=\"Example, Inc.\", OU=\"R&D + \\\"tests\\\"\", 2.5.4.99=unusual, L=Größe"
    );
    assert_eq!(authority.common_names(), ["mail.example.com"]);
    assert!(authority.is_self_issued() && authority.dns_names().is_empty());
}

#[test]
fn extensions_that_checks_need_are_read() {
    let all = samples::all();
    let all: Vec<_> = all.iter().map(|der| Certificate::from_der(der).unwrap()).collect();
    let staple: Vec<_> = all.iter().filter(|it| it.requires_stapling()).collect();
    assert_eq!(staple.len(), 1);
    assert_eq!(staple[0].issuer_urls(), ["http://ca.test/"]);
    assert!(staple[0].ocsp_urls().is_empty() && staple[0].timestamps() == 0);
    let unknown = all.iter().flat_map(Certificate::unknown_critical_extensions).map(|it| it.oid.to_string());
    assert_eq!(unknown.collect::<Vec<_>>(), ["1.3.6.1.4.1.99999.1"]);
}

#[test]
fn signed_certificate_timestamps_are_counted() {
    let with = |list: &[u8]| {
        let mut params = samples::leaf();
        let content = samples::element(4, &[list]);
        let oid = &[1, 3, 6, 1, 4, 1, 11129, 2, 4, 2];
        params.custom_extensions.push(rcgen::CustomExtension::from_oid_content(oid, content));
        let der = params.self_signed(&samples::key()).unwrap().der().to_vec();
        Certificate::from_der(&der).unwrap().timestamps()
    };
    for (list, count) in [
        (&b"\0\x07\0\x01a\0\x02bc"[..], 2),
        (b"\0\x03\0\x01a", 1),
        (b"\0\0", 0),
        (b"\0\x02\0\0", 0),
        (b"\0\x03\0\x02a", 0),
        (b"\0\x03\0\x01ab", 0),
        (b"", 0),
    ] {
        assert_eq!(with(list), count, "{list:?}");
    }
}

#[test]
fn a_certificate_of_version_1_is_read_and_its_signature_verified() {
    let key = samples::key();
    let der = samples::version_1(&key);
    let own = Certificate::from_der(&der).unwrap();
    assert_eq!((own.version(), own.subject().to_string()), (1, String::from("CN=old.ca")));
    assert_eq!(validity::rfc3339(own.not_after()), "2040-01-01T00:00:00Z");
    assert_eq!((own.extensions(), own.dns_names()), (&[][..], vec![]));
    assert_eq!(hex(&own.sha256()).len(), 64);
    assert_ne!(own.sha256(), own.spki_sha256());
    assert_eq!(own.verify_signed_by(&own.public_key(), algorithms()), Ok(()));
    let other = samples::version_1(&samples::key());
    let other = Certificate::from_der(&other).unwrap();
    assert_eq!(own.verify_signed_by(&other.public_key(), algorithms()), Err(SignatureError::Invalid));
    assert_eq!(own.verify_signed_by(&own.public_key(), &[]), Err(SignatureError::Unsupported));
}

#[test]
fn every_cut_is_an_error_that_names_the_field() {
    let der = &samples::all()[0];
    for length in 0..der.len() {
        let error = Certificate::from_der(&der[..length]).unwrap_err();
        assert_eq!((error.field(), error.offset()), ("certificate", 0), "{length} octets");
    }
    let trailing = Certificate::from_der(&[der, &b"\0"[..]].concat()).unwrap_err();
    let expected =
        format!("invalid certificate at octet {}: expected the end, found 1 more octets", der.len());
    assert_eq!(trailing.to_string(), expected);
}

/// Reads everything that a certificate has.
fn describe(der: &[u8]) {
    let Ok(own) = Certificate::from_der(der) else { return };
    let _ = (own.subject().to_string(), own.issuer().to_string(), own.serial_text(), own.common_names());
    let _ = own.subject_alt_names().iter().map(GeneralName::to_string).collect::<Vec<_>>();
    let _ = (own.is_ca(), own.extended_key_usage(), own.requires_stapling(), own.issuer_urls());
    let _ = (own.public_key().algorithm().to_string(), own.signature_algorithm().to_string());
}

proptest! {
    #[test]
    fn damaged_certificates_never_panic(
        which in any::<prop::sample::Index>(),
        at in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..4),
    ) {
        thread_local!(static ALL: Vec<Vec<u8>> = samples::all());
        ALL.with(|all| {
            let mut der = which.get(all).clone();
            for (place, octet) in &at {
                let place = place.index(der.len());
                der[place] = *octet;
            }
            describe(&der);
        });
    }
}
