//! Channel bindings, which tie a login or another proof to its TLS connection.

use rustls::pki_types::CertificateDer;
use sha2::{Digest, Sha256, Sha384, Sha512};
use starttls_proto::ChannelBinding;
use starttls_x509::{Certificate, HashAlgorithm, SignatureAlgorithm};

use crate::Encrypted;

/// The channel bindings of one TLS connection, for mechanisms whose names end in `-PLUS`.
#[derive(Clone, Default)]
pub struct ChannelBindings {
    exporter: Option<Vec<u8>>,
    server_end_point: Option<Vec<u8>>,
}

impl ChannelBindings {
    /// Returns the data of this binding, if the connection has it.
    pub fn data(&self, binding: ChannelBinding) -> Option<&[u8]> {
        match binding {
            ChannelBinding::Exporter => self.exporter.as_deref(),
            ChannelBinding::ServerEndPoint => self.server_end_point.as_deref(),
        }
    }
}

impl std::fmt::Debug for ChannelBindings {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ChannelBindings").finish_non_exhaustive()
    }
}

impl<IO> Encrypted<IO> {
    /// Returns the data of a channel binding, which is the same on both sides: a secret of the session, or the hash of the
    /// server's certificate.
    ///
    /// It is `None` if the connection does not have this binding: `tls-exporter` needs TLS 1.3 here, and
    /// `tls-server-end-point` a certificate whose signature has a hash function.
    pub fn channel_binding(&self, binding: ChannelBinding) -> Option<Vec<u8>> {
        match binding {
            // RFC 9266 section 2. With TLS 1.2 it is safe only with the extended master secret, which rustls does not report.
            ChannelBinding::Exporter => {
                let material = self.exporter.as_ref()?.export(b"EXPORTER-Channel-ChannelBinding");
                material.map(|it| it.to_vec())
            }
            ChannelBinding::ServerEndPoint => self.server_certificate().and_then(server_end_point),
        }
    }

    /// Returns all channel bindings of the connection, for a login.
    pub fn channel_bindings(&self) -> ChannelBindings {
        ChannelBindings {
            exporter: self.channel_binding(ChannelBinding::Exporter),
            server_end_point: self.channel_binding(ChannelBinding::ServerEndPoint),
        }
    }

    /// Erases the secret from which `tls-exporter` is derived, for a connection on which no login follows: less memory, and
    /// one secret less in it.
    pub fn erase_exporter(&mut self) {
        self.exporter = None;
    }

    fn server_certificate(&self) -> Option<&CertificateDer<'static>> {
        match self.tls.is_server() {
            true => self.presented.as_ref()?.cert.first(),
            false => self.tls.state().peer_certificates()?.first(),
        }
    }
}

/// Returns `tls-server-end-point` (RFC 5929 section 4.1): the hash of the certificate, with the hash function of its
/// signature, or SHA-256 instead of MD5 and SHA-1. A signature without a separate hash function has no binding.
fn server_end_point(certificate: &CertificateDer<'_>) -> Option<Vec<u8>> {
    let hash = match Certificate::from_der(certificate).ok()?.signature_algorithm() {
        // With RSA-PSS a second hash function is in the parameters, so the binding is not defined.
        SignatureAlgorithm::Rsa(hash) | SignatureAlgorithm::Ecdsa(hash) => hash,
        _ => return None,
    };
    match hash {
        HashAlgorithm::Md5 | HashAlgorithm::Sha1 | HashAlgorithm::Sha256 => {
            Some(Sha256::digest(certificate).to_vec())
        }
        HashAlgorithm::Sha384 => Some(Sha384::digest(certificate).to_vec()),
        HashAlgorithm::Sha512 => Some(Sha512::digest(certificate).to_vec()),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_binding_uses_the_hash_function_of_the_signature() {
        let params = rcgen::CertificateParams::new([String::from("mail.example.com")]).unwrap();
        for (algorithm, length) in [
            (&rcgen::PKCS_ECDSA_P256_SHA256, Some(32)),
            (&rcgen::PKCS_ECDSA_P384_SHA384, Some(48)),
            (&rcgen::PKCS_ED25519, None),
        ] {
            let key = rcgen::KeyPair::generate_for(algorithm).unwrap();
            let certificate = params.clone().self_signed(&key).unwrap();
            let hash = server_end_point(certificate.der());
            assert_eq!(hash.as_ref().map(Vec::len), length);
            assert_ne!(hash, Some(vec![0; 32]));
        }
        assert_eq!(server_end_point(&CertificateDer::from(b"\x30\x84\xff\xff\xff\xff".as_slice())), None);
    }
}
