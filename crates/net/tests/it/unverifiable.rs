//! Certificates that this library cannot verify: they are named, and they do not defeat `insecure`.

use std::os::unix::net::UnixStream;
use std::thread;

use rcgen::{CustomExtension, KeyPair, PublicKeyData, SigningKey};
use starttls::proto::smtp::SMTP;
use starttls::rustls::pki_types::CertificateDer;
use starttls::{
    Acceptor, CertificateFailure, CertificateFault, CertificateVerdict, Connector, ConnectorBuilder, Error,
    TlsVersion,
};

use crate::authority::{DEADLINE, NAME};
use crate::chains::{dial, leaf, presenting};

/// The drivers of the library.
#[derive(Clone, Copy, Debug)]
enum Driver {
    Tokio,
    Blocking,
}

/// Returns the verdict on this certificate after a handshake that the server signs with this key.
async fn verdict(
    driver: Driver,
    connector: ConnectorBuilder,
    certificate: &CertificateDer<'static>,
    key: &KeyPair,
) -> Result<CertificateVerdict, Error> {
    match driver {
        Driver::Tokio => Ok(dial(connector, &[certificate], key).await?.facts().verdict.clone()),
        Driver::Blocking => {
            let (near, far) = UnixStream::pair().unwrap();
            let acceptor = Acceptor::builder(&SMTP, NAME)
                .cert_resolver(presenting(&[certificate], key))
                .timeout(DEADLINE)
                .build()
                .unwrap();
            let server = thread::spawn(move || acceptor.blocking().accept(far).map(drop));
            let connector = connector.timeout(DEADLINE).build().unwrap();
            let verdict =
                connector.blocking().upgrade(&SMTP, NAME, near).map(|it| it.facts().verdict.clone());
            let _ = server.join().unwrap();
            verdict
        }
    }
}

/// Returns a certificate of X.509 version 1, which has no version and no extensions, for this key.
pub(crate) fn version_1(key: &KeyPair) -> CertificateDer<'static> {
    let element = |tag: u8, parts: &[&[u8]]| {
        let content = parts.concat();
        let length = match u16::try_from(content.len()).unwrap().to_be_bytes() {
            [0, short @ 0..=0x7f] => vec![short],
            [0, low] => vec![0x81, low],
            [high, low] => vec![0x82, high, low],
        };
        [&[tag], &length[..], &content].concat()
    };
    let algorithm: &[u8] = match key.algorithm() {
        it if it == &rcgen::PKCS_ECDSA_P256_SHA256 => b"\x30\x0a\x06\x08\x2a\x86\x48\xce\x3d\x04\x03\x02",
        it if it == &rcgen::PKCS_ED25519 => b"\x30\x05\x06\x03\x2b\x65\x70",
        _ => b"\x30\x0d\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x01\x0b\x05\x00",
    };
    let name = b"\x30\x14\x31\x12\x30\x10\x06\x03\x55\x04\x03\x0c\x09localhost";
    let validity = b"\x30\x1e\x17\x0d240101000000Z\x17\x0d400101000000Z";
    let content =
        element(0x30, &[b"\x02\x01\x07", algorithm, name, validity, name, &key.subject_public_key_info()]);
    let signature = element(0x03, &[&[0], &key.sign(&content).unwrap()]);
    CertificateDer::from(element(0x30, &[&content, algorithm, &signature]))
}

fn with_unknown_critical_extension(key: &KeyPair) -> CertificateDer<'static> {
    let mut params = leaf();
    let mut extension = CustomExtension::from_oid_content(&[1, 3, 6, 1, 4, 1, 99999, 1], vec![5, 0]);
    extension.set_criticality(true);
    params.custom_extensions.push(extension);
    params.self_signed(key).unwrap().der().clone()
}

fn failed(verdict: CertificateVerdict) -> CertificateFailure {
    match verdict {
        CertificateVerdict::Failed(failure) => failure,
        verdict => panic!("{verdict:?}"),
    }
}

#[tokio::test]
async fn certificates_that_webpki_cannot_parse_are_named_and_insecure_goes_on() {
    for key in [&rcgen::PKCS_ECDSA_P256_SHA256, &rcgen::PKCS_ED25519, &rcgen::PKCS_RSA_SHA256] {
        let key = KeyPair::generate_for(key).unwrap();
        let other = KeyPair::generate_for(key.algorithm()).unwrap();
        for (certificate, expected) in [
            (version_1(&key), "it is an X.509 certificate of version 1"),
            (with_unknown_critical_extension(&key), "it has an unknown critical extension"),
        ] {
            for tls in [TlsVersion::Tls12, TlsVersion::Tls13] {
                for driver in [Driver::Tokio, Driver::Blocking] {
                    let builder = || Connector::builder().no_system_roots().tls_versions(tls, tls);
                    let strict = builder().roots_pem(leaf().self_signed(&other).unwrap().pem());
                    let error = verdict(driver, strict, &certificate, &key).await.unwrap_err();
                    assert!(error.to_string().contains(expected), "{error}");
                    let accepted = verdict(driver, builder().insecure(), &certificate, &key).await.unwrap();
                    let failure = failed(accepted);
                    assert_eq!((failure.has_trusted_root, failure.proves_key), (None, true));
                    assert!(failure.to_string().starts_with(expected), "{failure}");
                    // The signature can be verified, so it must be valid in any case.
                    let error =
                        verdict(driver, builder().insecure(), &certificate, &other).await.unwrap_err();
                    let Error::Certificate { failure, .. } = error else { panic!("{error:?}") };
                    assert_eq!(failure.fault, CertificateFault::KeyNotHeld);
                }
            }
        }
    }
}

#[tokio::test]
async fn a_key_that_cannot_verify_signatures_is_not_called_one_that_the_server_does_not_hold() {
    let key = KeyPair::generate().unwrap();
    let sound = leaf().self_signed(&key).unwrap().der().to_vec();
    // prime256v1 becomes prime192v1, which no provider has.
    let curve = sound.windows(8).position(|it| it == b"\x2a\x86\x48\xce\x3d\x03\x01\x07").unwrap();
    let mut other_curve = sound.clone();
    other_curve[curve + 7] = 1;
    let unverifiable = "whether the server holds its key cannot be verified";
    for (certificate, trusted, fault) in [
        (other_curve, true, CertificateFault::UnsupportedKey { key: String::from("EC P-192") }),
        ([&sound[..], b"\0"].concat(), false, CertificateFault::Malformed),
        (b"not a certificate".to_vec(), false, CertificateFault::Malformed),
    ] {
        let certificate = CertificateDer::from(certificate);
        for tls in [TlsVersion::Tls12, TlsVersion::Tls13] {
            for driver in [Driver::Tokio, Driver::Blocking] {
                let builder = || Connector::builder().no_system_roots().tls_versions(tls, tls);
                let accepted = verdict(driver, builder().insecure(), &certificate, &key).await.unwrap();
                let failure = failed(accepted);
                assert!(!failure.proves_key && failure.to_string().contains(unverifiable), "{failure}");
                let expected = if trusted { CertificateFault::UntrustedRoot } else { fault.clone() };
                assert_eq!(failure.fault, expected);
            }
        }
    }
}
