//! Exported keying material of TLS 1.3 (RFC 8446 section 7.5).
//!
//! rustls' unbuffered connections do not export keying material. Its key log gets the secret from which the material is
//! derived, and the crypto provider has the function to derive it.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use rustls::crypto::tls13::{HkdfExpander, OkmBlock};
use rustls::{CommonState, KeyLog, SupportedCipherSuite, Tls13CipherSuite};

/// The label of the exporter secret in a key log.
const LABEL: &str = "EXPORTER_SECRET";

/// The key log of one connection: it keeps the exporter secret, and passes all secrets on to the configured key log.
pub(crate) struct ExporterLog {
    inner: Arc<dyn KeyLog>,
    secret: Mutex<Option<OkmBlock>>,
}

impl ExporterLog {
    pub(crate) fn new(inner: Arc<dyn KeyLog>) -> Arc<Self> {
        Arc::new(Self { inner, secret: Mutex::default() })
    }

    /// Takes the exporter of the connection. It is `None` before the end of the handshake, and with TLS 1.2.
    pub(crate) fn exporter(&self, tls: &CommonState) -> Option<Exporter> {
        let secret = self.secret.lock().unwrap_or_else(PoisonError::into_inner).take()?;
        match tls.negotiated_cipher_suite()? {
            SupportedCipherSuite::Tls13(suite) => Some(Exporter { secret: Box::new(secret), suite }),
            SupportedCipherSuite::Tls12(_) => None,
        }
    }
}

impl KeyLog for ExporterLog {
    fn log(&self, label: &str, client_random: &[u8], secret: &[u8]) {
        if label == LABEL {
            *self.secret.lock().unwrap_or_else(PoisonError::into_inner) = Some(OkmBlock::new(secret));
        }
        if self.inner.will_log(label) {
            self.inner.log(label, client_random, secret);
        }
    }

    fn will_log(&self, label: &str) -> bool {
        label == LABEL || self.inner.will_log(label)
    }
}

impl fmt::Debug for ExporterLog {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ExporterLog")
    }
}

/// The exporter of one connection. Its secret is erased when it is dropped.
pub(crate) struct Exporter {
    secret: Box<OkmBlock>,
    suite: &'static Tls13CipherSuite,
}

impl Exporter {
    /// Returns 32 octets for this label, with an empty context.
    pub(crate) fn export(&self, label: &[u8]) -> Option<[u8; 32]> {
        let (hkdf, empty) = (self.suite.hkdf_provider, self.suite.common.hash_provider.hash(&[]));
        let from_secret = hkdf.expander_for_okm(&self.secret);
        let mut derived = [0; OkmBlock::MAX_LEN];
        let derived = &mut derived[..from_secret.hash_len()];
        expand_label(&*from_secret, label, empty.as_ref(), derived)?;
        let mut material = [0; 32];
        expand_label(
            &*hkdf.expander_for_okm(&OkmBlock::new(derived)),
            b"exporter",
            empty.as_ref(),
            &mut material,
        )?;
        derived.fill(0);
        Some(material)
    }
}

impl fmt::Debug for Exporter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Exporter")
    }
}

/// Computes HKDF-Expand-Label (RFC 8446 section 7.1). `None` if a length does not fit.
fn expand_label(expander: &dyn HkdfExpander, label: &[u8], context: &[u8], output: &mut [u8]) -> Option<()> {
    const PREFIX: &[u8] = b"tls13 ";
    let length = u16::try_from(output.len()).ok()?.to_be_bytes();
    let label_length = [u8::try_from(PREFIX.len() + label.len()).ok()?];
    let context_length = [u8::try_from(context.len()).ok()?];
    let info = [&length[..], &label_length, PREFIX, label, &context_length, context];
    expander.expand_slice(&info, output).ok()
}

#[cfg(test)]
#[cfg(feature = "aws-lc-rs")]
mod tests {
    use std::io::{Read, Write};
    use std::os::unix::net::UnixStream;
    use std::thread;

    use rustls::pki_types::ServerName;
    use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};
    use starttls_proto::{ChannelBinding, smtp::SMTP};

    use crate::Acceptor;

    #[test]
    fn the_material_is_the_one_that_rustls_exports() {
        let key = rcgen::KeyPair::generate().unwrap();
        let params = rcgen::CertificateParams::new([String::from("localhost")]).unwrap();
        let certificate = params.self_signed(&key).unwrap();
        let acceptor = Acceptor::builder(&SMTP, "")
            .certificate_pem(certificate.pem(), key.serialize_pem())
            .build()
            .unwrap();
        for suite in rustls::crypto::aws_lc_rs::ALL_CIPHER_SUITES {
            if suite.tls13().is_none() {
                continue;
            }
            let mut provider = rustls::crypto::aws_lc_rs::default_provider();
            provider.cipher_suites = vec![*suite];
            let mut roots = RootCertStore::empty();
            roots.add(certificate.der().clone()).unwrap();
            let config = ClientConfig::builder_with_provider(provider.into())
                .with_safe_default_protocol_versions()
                .unwrap()
                .with_root_certificates(roots)
                .with_no_client_auth();
            let (near, far) = UnixStream::pair().unwrap();
            let client = thread::spawn(move || {
                let name = ServerName::try_from("localhost").unwrap();
                let mut tls = StreamOwned::new(ClientConnection::new(config.into(), name).unwrap(), near);
                tls.write_all(b"x").unwrap();
                tls.flush().unwrap();
                let label = b"EXPORTER-Channel-ChannelBinding";
                tls.conn.export_keying_material([0; 32], label, Some(b"")).unwrap()
            });
            let mut server = acceptor.blocking().accept_implicit(far).unwrap();
            server.read_exact(&mut [0]).unwrap();
            let material = client.join().unwrap();
            assert_eq!(
                server.channel_binding(ChannelBinding::Exporter),
                Some(material.to_vec()),
                "{suite:?}"
            );
        }
    }
}
