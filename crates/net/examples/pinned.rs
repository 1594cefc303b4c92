//! A verifier of the program's own: it accepts one certificate, by its SHA-256.
//!
//! `cargo run --example pinned -- mail.example.com 0123…ef`
#![expect(clippy::print_stdout, reason = "it is a program")]

use std::sync::Arc;

use sha2::{Digest, Sha256};
use starttls::rustls::client::danger::{
    HandshakeSignatureValid as Valid, ServerCertVerified, ServerCertVerifier,
};
use starttls::rustls::crypto::{aws_lc_rs, verify_tls12_signature, verify_tls13_signature};
use starttls::rustls::pki_types::{CertificateDer as Der, ServerName, UnixTime};
use starttls::rustls::{DigitallySignedStruct as Signed, Error, SignatureScheme, crypto::CryptoProvider};
use starttls::{Connector, proto::smtp::SMTP};

#[derive(Debug)]
struct Pinned(String, CryptoProvider);

impl ServerCertVerifier for Pinned {
    fn verify_server_cert(
        &self,
        own: &Der<'_>,
        _: &[Der<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let found: String = Sha256::digest(own).iter().map(|octet| format!("{octet:02x}")).collect();
        match found == self.0 {
            true => Ok(ServerCertVerified::assertion()),
            false => Err(Error::General(format!("expected the certificate {}, found {found}", self.0))),
        }
    }

    // The signatures show that the server holds the key of the certificate.
    fn verify_tls12_signature(&self, message: &[u8], own: &Der<'_>, signed: &Signed) -> Result<Valid, Error> {
        verify_tls12_signature(message, own, signed, &self.1.signature_verification_algorithms)
    }
    fn verify_tls13_signature(&self, message: &[u8], own: &Der<'_>, signed: &Signed) -> Result<Valid, Error> {
        verify_tls13_signature(message, own, signed, &self.1.signature_verification_algorithms)
    }
    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.1.signature_verification_algorithms.supported_schemes()
    }
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1);
    let (Some(host), Some(pin)) = (arguments.next(), arguments.next()) else {
        return Err("expected HOST and SHA-256".into());
    };
    let verifier = Arc::new(Pinned(pin, aws_lc_rs::default_provider()));
    let connector = Connector::builder().verifier(verifier).build()?;
    let stream = connector.blocking().connect(&SMTP, (host, 25))?;
    println!("{}, certificate {}", stream.facts().version_name(), stream.facts().verdict);
    Ok(())
}
