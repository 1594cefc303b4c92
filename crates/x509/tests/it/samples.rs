//! Certificates of many kinds.

use std::net::IpAddr;

use rcgen::string::Ia5String;
use rcgen::{
    BasicConstraints, CertificateParams, CustomExtension, DistinguishedName, DnType, DnValue,
    ExtendedKeyUsagePurpose, IsCa, KeyPair, KeyUsagePurpose, SanType, SerialNumber, SigningKey,
    date_time_ymd,
};

pub(crate) fn key() -> KeyPair {
    KeyPair::generate().unwrap()
}

/// Returns the contents of a server's certificate.
pub(crate) fn leaf() -> CertificateParams {
    let mut params = CertificateParams::new(vec![String::from("mail.example.com")]).unwrap();
    (params.not_before, params.not_after) = (date_time_ymd(2024, 2, 29), date_time_ymd(2051, 3, 1));
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, "mail.example.com");
    params
}

/// Returns certificates with every kind of key and of content, in DER.
pub(crate) fn all() -> Vec<Vec<u8>> {
    let mut found = Vec::new();
    for algorithm in [
        &rcgen::PKCS_ECDSA_P256_SHA256,
        &rcgen::PKCS_ECDSA_P384_SHA384,
        &rcgen::PKCS_ED25519,
        &rcgen::PKCS_RSA_SHA256,
        &rcgen::PKCS_RSA_SHA512,
    ] {
        let key = KeyPair::generate_for(algorithm).unwrap();
        found.push(leaf().self_signed(&key).unwrap().der().to_vec());
    }
    let key = key();
    for params in [authority(), every_name(), restricted(), critical()] {
        found.push(params.self_signed(&key).unwrap().der().to_vec());
    }
    found
}

fn authority() -> CertificateParams {
    let mut params = leaf();
    params.subject_alt_names.clear();
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    params.serial_number = Some(SerialNumber::from(vec![0xff; 19]));
    for (kind, value) in [
        (DnType::CountryName, "DE"),
        (DnType::OrganizationName, "Example, Inc."),
        (DnType::OrganizationalUnitName, "R&D + \"tests\""),
        (DnType::CustomDnType(vec![2, 5, 4, 99]), "unusual"),
    ] {
        params.distinguished_name.push(kind, value);
    }
    let bmp = rcgen::string::BmpString::try_from("Größe").unwrap();
    params.distinguished_name.push(DnType::LocalityName, DnValue::BmpString(bmp));
    params
}

fn every_name() -> CertificateParams {
    let mut params = leaf();
    let ia5 = |text: &str| Ia5String::try_from(text).unwrap();
    params.subject_alt_names.extend([
        SanType::DnsName(ia5("*.example.com")),
        SanType::IpAddress("192.0.2.7".parse::<IpAddr>().unwrap()),
        SanType::IpAddress("2001:db8::7".parse::<IpAddr>().unwrap()),
        SanType::Rfc822Name(ia5("postmaster@example.com")),
        SanType::URI(ia5("https://example.com/")),
        // id-on-xmppAddr, and a type that is not registered.
        SanType::OtherName((vec![1, 3, 6, 1, 5, 5, 7, 8, 5], "example.com".into())),
        SanType::OtherName((vec![1, 3, 6, 1, 4, 1, 99999, 7], "unknown".into())),
    ]);
    params
}

fn restricted() -> CertificateParams {
    let mut params = leaf();
    params.extended_key_usages =
        vec![ExtendedKeyUsagePurpose::ClientAuth, ExtendedKeyUsagePurpose::OcspSigning];
    // tlsFeature with status_request.
    let must_staple =
        CustomExtension::from_oid_content(&[1, 3, 6, 1, 5, 5, 7, 1, 24], vec![0x30, 3, 2, 1, 5]);
    let issuer = b"\x30\x1d\x30\x1b\x06\x08\x2b\x06\x01\x05\x05\x07\x30\x02\x86\x0fhttp://ca.test/";
    let access = CustomExtension::from_oid_content(&[1, 3, 6, 1, 5, 5, 7, 1, 1], issuer.to_vec());
    params.custom_extensions.extend([must_staple, access]);
    params
}

fn critical() -> CertificateParams {
    let mut params = leaf();
    let mut extension = CustomExtension::from_oid_content(&[1, 3, 6, 1, 4, 1, 99999, 1], vec![5, 0]);
    extension.set_criticality(true);
    params.custom_extensions.push(extension);
    params
}

/// Returns an element of DER.
pub(crate) fn element(tag: u8, parts: &[&[u8]]) -> Vec<u8> {
    let content = parts.concat();
    let length = u16::try_from(content.len()).unwrap().to_be_bytes();
    [&[tag, 0x82], &length[..], &content].concat()
}

/// Returns a certificate of X.509 version 1, without a version and without extensions, for this key.
pub(crate) fn version_1(key: &KeyPair) -> Vec<u8> {
    // ecdsa-with-SHA256
    let algorithm = b"\x30\x0a\x06\x08\x2a\x86\x48\xce\x3d\x04\x03\x02";
    let name = b"\x30\x11\x31\x0f\x30\x0d\x06\x03\x55\x04\x03\x0c\x06old.ca";
    let validity = b"\x30\x1e\x17\x0d240101000000Z\x17\x0d400101000000Z";
    let spki = rcgen::PublicKeyData::subject_public_key_info(key);
    let content = element(0x30, &[b"\x02\x01\x07", algorithm, name, validity, name, &spki]);
    let signature = element(0x03, &[&[0], &key.sign(&content).unwrap()]);
    element(0x30, &[&content, algorithm, &signature])
}
