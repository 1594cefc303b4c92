//! OCSP responses, signed here with keys of rcgen. The gateway's tests read responses of openssl.

use proptest::prelude::*;
use rcgen::{
    BasicConstraints, CertificateParams, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, SigningKey,
};
use sha1::{Digest, Sha1};
use starttls_x509::{Certificate, CertificateStatus, OcspFault, OcspResponse, ResponseStatus};

use crate::samples::{element, key, leaf};

const NOW: i64 = 1_900_000_000;
/// ecdsa-with-SHA256, with its tag.
const ALGORITHM: &[u8] = b"\x30\x0a\x06\x08\x2a\x86\x48\xce\x3d\x04\x03\x02";
/// The time NOW is in the year 2030.
const BEFORE: &str = "20300101000000Z";
const AFTER: &str = "20310101000000Z";

pub(crate) fn algorithms() -> &'static [&'static dyn starttls_x509::pki_types::SignatureVerificationAlgorithm]
{
    rustls::crypto::aws_lc_rs::default_provider().signature_verification_algorithms.all
}

/// A CA, a certificate of it, and a responder that it authorized.
struct Hierarchy {
    ca: Vec<u8>,
    ca_key: KeyPair,
    own: Vec<u8>,
    responder: Vec<u8>,
    responder_key: KeyPair,
}

fn hierarchy() -> Hierarchy {
    let (ca_key, own_key, responder_key) = (key(), key(), key());
    let mut params = leaf();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let ca = params.self_signed(&ca_key).unwrap().der().to_vec();
    let issuer = Issuer::new(params, &ca_key);
    let own = leaf().signed_by(&own_key, &issuer).unwrap().der().to_vec();
    let mut params: CertificateParams = leaf();
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::OcspSigning];
    let responder = params.signed_by(&responder_key, &issuer).unwrap().der().to_vec();
    Hierarchy { ca, ca_key, own, responder, responder_key }
}

impl Hierarchy {
    fn own(&self) -> Certificate<'_> {
        Certificate::from_der(&self.own).unwrap()
    }

    fn ca(&self) -> Certificate<'_> {
        Certificate::from_der(&self.ca).unwrap()
    }

    /// Returns the CertID of a certificate of this CA (RFC 6960 section 4.1.1).
    fn id(&self) -> Vec<u8> {
        let ca = self.ca();
        // The key without the algorithm and without the octet of unused bits: 65 octets of an uncompressed point.
        let point = &ca.spki_der()[ca.spki_der().len() - 65..];
        let [name, key] = [self.own().issuer().der(), point].map(|it| element(4, &[&Sha1::digest(it)]));
        element(
            0x30,
            &[b"\x30\x07\x06\x05\x2b\x0e\x03\x02\x1a", &name, &key, &element(2, &[self.own().serial()])],
        )
    }

    /// Returns a response with one answer.
    fn response(&self, status: &[u8], next: Option<&str>, by: &KeyPair, certificates: &[&[u8]]) -> Vec<u8> {
        self.response_with(status, (next, &[]), by, certificates)
    }

    /// Returns a response with one answer, which has extensions.
    fn response_with(
        &self,
        status: &[u8],
        (next, extensions): (Option<&str>, &[u8]),
        by: &KeyPair,
        certificates: &[&[u8]],
    ) -> Vec<u8> {
        let time = |text: &str| element(0x18, &[text.as_bytes()]);
        let next = next.map(|next| element(0xa0, &[&time(next)])).unwrap_or_default();
        let answer = element(0x30, &[&self.id(), status, &time(BEFORE), &next, extensions]);
        let data = element(
            0x30,
            &[&element(0xa2, &[&element(4, &[&[7; 20]])]), &time(BEFORE), &element(0x30, &[&answer])],
        );
        let signature = element(3, &[&[0], &by.sign(&data).unwrap()]);
        let certificates = match certificates {
            [] => Vec::new(),
            all => element(0xa0, &[&element(0x30, all)]),
        };
        let basic = element(0x30, &[&data, ALGORITHM, &signature, &certificates]);
        let typed = element(0x30, &[b"\x06\x09\x2b\x06\x01\x05\x05\x07\x30\x01\x01", &element(4, &[&basic])]);
        element(0x30, &[b"\x0a\x01\x00", &element(0xa0, &[&typed])])
    }
}

const GOOD: &[u8] = b"\x80\x00";

#[test]
fn a_response_of_the_ca_or_of_its_responder_is_verified() {
    let all = hierarchy();
    let stranger = key();
    for (by, certificates, expected) in [
        (&all.ca_key, &[][..], Ok(())),
        (&all.responder_key, &[&all.responder[..]], Ok(())),
        (&all.responder_key, &[], Err(OcspFault::BadSignature)),
        (&stranger, &[&all.responder[..]], Err(OcspFault::BadSignature)),
        // The server's certificate is of the CA, but not for OCSP.
        (&all.responder_key, &[&all.own[..]], Err(OcspFault::BadSignature)),
    ] {
        let response = all.response(GOOD, Some(AFTER), by, certificates);
        let response = OcspResponse::from_der(&response).unwrap();
        assert_eq!(response.verify(&all.ca(), algorithms(), NOW), expected);
        assert_eq!(response.status(), ResponseStatus::Successful);
        let answer = response.answer_for(&all.own(), Some(&all.ca())).unwrap();
        assert_eq!(answer.status, CertificateStatus::Good);
        assert_eq!(answer.check_time(NOW), Ok(()));
    }
    let response = all.response(GOOD, None, &all.ca_key, &[]);
    let response = OcspResponse::from_der(&response).unwrap();
    assert_eq!(response.verify(&all.ca(), &[], NOW), Err(OcspFault::UnverifiableSignature));
    // The certificate of the responder has expired by then.
    let by_responder = all.response(GOOD, None, &all.responder_key, &[&all.responder]);
    let by_responder = OcspResponse::from_der(&by_responder).unwrap();
    assert_eq!(by_responder.verify(&all.ca(), algorithms(), 3_000_000_000), Err(OcspFault::BadSignature));
}

#[test]
fn timestamps_in_the_extensions_of_an_answer_are_counted() {
    let all = hierarchy();
    let list = element(4, &[&element(4, &[b"\0\x07\0\x01a\0\x02bc"])]);
    let extension = element(0x30, &[b"\x06\x0a\x2b\x06\x01\x04\x01\xd6\x79\x02\x04\x05", &list]);
    let extensions = element(0xa1, &[&element(0x30, &[&extension])]);
    for (extensions, count) in [(&extensions[..], 2), (&[], 0)] {
        let response = all.response_with(GOOD, (Some(AFTER), extensions), &all.ca_key, &[]);
        let response = OcspResponse::from_der(&response).unwrap();
        assert_eq!(response.answer_for(&all.own(), None).unwrap().timestamps, count);
        assert_eq!(response.verify(&all.ca(), algorithms(), NOW), Ok(()));
    }
}

#[test]
fn statuses_and_times_are_read() {
    let all = hierarchy();
    let revoked = b"\xa1\x16\x18\x0f20300101000000Z\xa0\x03\x0a\x01\x01";
    for (status, expected) in [
        (GOOD, CertificateStatus::Good),
        (revoked, CertificateStatus::Revoked { at: 1_893_456_000, reason: Some(1) }),
        (b"\x82\x00", CertificateStatus::Unknown),
    ] {
        let response = all.response(status, Some(AFTER), &all.ca_key, &[]);
        let answer = OcspResponse::from_der(&response).unwrap().answer_for(&all.own(), None).unwrap();
        assert_eq!(answer.status, expected);
        let (start, end) = (1_893_456_000, 1_924_992_000);
        assert_eq!((answer.this_update, answer.next_update), (start, Some(end)));
        for (now, expected) in [
            (start - 301, Err(OcspFault::NotYetValid { this_update: start })),
            (start - 300, Ok(())),
            (end - 1, Ok(())),
            (end, Err(OcspFault::Outdated { next_update: end })),
        ] {
            assert_eq!(answer.check_time(now), expected);
        }
    }
}

#[test]
fn answers_about_other_certificates_are_not_used() {
    let (one, other) = (hierarchy(), hierarchy());
    let response = one.response(GOOD, None, &one.ca_key, &[]);
    let response = OcspResponse::from_der(&response).unwrap();
    assert_eq!(response.answer_for(&other.own(), None), Err(OcspFault::OtherCertificate));
    // The CA has the same name, but another key.
    assert_eq!(response.answer_for(&one.own(), Some(&other.ca())), Err(OcspFault::OtherCertificate));
    for code in 0..8 {
        let refusal = [0x30, 3, 0x0a, 1, code];
        let refusal = OcspResponse::from_der(&refusal).unwrap();
        let fault = OcspFault::NotSuccessful(refusal.status());
        assert_eq!(refusal.answer_for(&one.own(), None), Err(fault));
        assert_eq!(refusal.verify(&one.ca(), algorithms(), NOW), Err(fault));
    }
}

#[test]
fn every_cut_is_malformed() {
    let all = hierarchy();
    let response = all.response(GOOD, None, &all.responder_key, &[&all.responder]);
    for length in 0..response.len() {
        assert!(OcspResponse::from_der(&response[..length]).is_err(), "{length} octets");
    }
    assert!(OcspResponse::from_der(&[&response[..], b"\0"].concat()).is_err());
}

proptest! {
    #[test]
    fn a_damaged_response_is_never_verified(at in any::<prop::sample::Index>(), bit in 0_u8..8) {
        thread_local!(static ALL: Hierarchy = hierarchy());
        ALL.with(|all| {
            let mut response = all.response(GOOD, None, &all.ca_key, &[]);
            let place = at.index(response.len());
            response[place] ^= 1 << bit;
            let Ok(read) = OcspResponse::from_der(&response) else { return Ok(()) };
            let verified = read.verify(&all.ca(), algorithms(), NOW);
            let signed = all.response(GOOD, None, &all.ca_key, &[]);
            let before_data = signed.windows(4).position(|it| it == [0xa2, 0x82, 0, 0x18]).unwrap();
            prop_assert!(verified.is_err() || place < before_data, "octet {place}");
            Ok(())
        })?;
    }
}
