//! OCSP responses for the certificates of the lab (RFC 6960 section 4.2.1).

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rcgen::{CustomExtension, KeyPair, SigningKey};
use sha1::{Digest, Sha1};
use starttls::rustls::sign::CertifiedKey;
use starttls::x509::{Certificate, validity};

use crate::ca::{Authority, Leaf, der_element};
use crate::error::Error;

/// What a server staples.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Staple {
    /// The certificate is not revoked.
    Good,
    /// The certificate is revoked.
    Revoked,
    /// The response has ended.
    Outdated,
    /// The response is signed with a key that the CA does not know.
    Forged,
    /// The certificate requires a response, and none is stapled.
    Missing,
}

impl Authority {
    /// Issues a certificate with a response as this staple describes. The certificate of [`Staple::Missing`] requires one (RFC
    /// 7633).
    pub(crate) fn issue_with_staple(&self, leaf: &Leaf, staple: Staple) -> Result<CertifiedKey, Error> {
        // The TLS feature status_request.
        let feature =
            CustomExtension::from_oid_content(&[1, 3, 6, 1, 5, 5, 7, 1, 24], vec![0x30, 3, 2, 1, 5]);
        let extensions = if staple == Staple::Missing { vec![feature] } else { Vec::new() };
        let mut key = self.issue_with(leaf, extensions)?;
        let own = key.cert.first().and_then(|der| Certificate::from_der(der).ok());
        if let Some(own) = own.filter(|_| staple != Staple::Missing) {
            let stranger = KeyPair::generate()?;
            let signer = if staple == Staple::Forged { &stranger } else { self.issuer_key() };
            key.ocsp = Some(response(&own, self.issuer_key(), staple, signer)?);
        }
        Ok(key)
    }
}

/// Returns a response with one answer.
fn response(
    own: &Certificate<'_>,
    issuer: &KeyPair,
    staple: Staple,
    signer: &KeyPair,
) -> Result<Vec<u8>, Error> {
    const SHA1: &[u8] = b"\x30\x07\x06\x05\x2b\x0e\x03\x02\x1a";
    const ECDSA_SHA256: &[u8] = b"\x30\x0a\x06\x08\x2a\x86\x48\xce\x3d\x04\x03\x02";
    const BASIC: &[u8] = b"\x06\x09\x2b\x06\x01\x05\x05\x07\x30\x01\x01";
    const DAY: i64 = 24 * 60 * 60;
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO);
    let now = i64::try_from(now.as_secs()).unwrap_or_default();
    let (start, end) = match staple {
        Staple::Outdated => (now - 9 * DAY, now - 2 * DAY),
        _ => (now - DAY, now + 6 * DAY),
    };
    let time = |time| der_element(0x18, &[generalized(time).as_bytes()]);
    let octets = |octets: &[u8]| der_element(4, &[octets]);
    let key = issuer.public_key_raw();
    let name = octets(&Sha1::digest(own.issuer().der()));
    let id = der_element(0x30, &[SHA1, &name, &octets(&Sha1::digest(key)), &der_element(2, &[own.serial()])]);
    let status = match staple {
        Staple::Revoked => der_element(0xa1, &[&time(start)]),
        _ => vec![0x80, 0],
    };
    let answer = der_element(0x30, &[&id, &status, &time(start), &der_element(0xa0, &[&time(end)])]);
    let responder = der_element(0xa2, &[&octets(&Sha1::digest(key))]);
    let data = der_element(0x30, &[&responder, &time(start), &der_element(0x30, &[&answer])]);
    let signature = der_element(3, &[&[0], &signer.sign(&data)?]);
    let basic = der_element(0x30, &[&data, ECDSA_SHA256, &signature]);
    let typed = der_element(0x30, &[BASIC, &octets(&basic)]);
    Ok(der_element(0x30, &[b"\x0a\x01\0", &der_element(0xa0, &[&typed])]))
}

/// Returns a time as GeneralizedTime: "20300101000000Z".
fn generalized(time: i64) -> String {
    validity::rfc3339(time).chars().filter(|it| it.is_ascii_digit() || *it == 'Z').collect()
}
