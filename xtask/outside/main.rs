//! A program outside of the workspace that uses the published library: its own verifier, ring, and a SOCKS5 proxy.
//!
//! `cargo xtask outside` builds it against the packaged crates, and runs it. It plays all parts on the loopback interface: the
//! server, the proxy, and the client, which must accept the pinned certificate and reject another.

use std::io::{Read, Write, copy};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use starttls::dialer::Socks5;
use starttls::proto::smtp::SMTP;
use starttls::rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use starttls::rustls::crypto::{CryptoProvider, ring, verify_tls12_signature, verify_tls13_signature};
use starttls::rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use starttls::rustls::{DigitallySignedStruct, Error, SignatureScheme};
use starttls::{Acceptor, Connector, x509};

/// A name that only the proxy can look up, so that a connection without it fails.
const NAME: &str = "mail.behind-the-proxy.invalid";
const TIMEOUT: Duration = Duration::from_secs(20);

/// Accepts the certificate with this SHA-256, and no other.
#[derive(Debug)]
struct Pinned([u8; 32], CryptoProvider);

impl ServerCertVerifier for Pinned {
    fn verify_server_cert(
        &self,
        own: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        if x509::sha256(own) == self.0 {
            Ok(ServerCertVerified::assertion())
        } else {
            Err(Error::General(String::from("the certificate is not the pinned one")))
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        own: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(message, own, signed, &self.1.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        own: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, own, signed, &self.1.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.1.signature_verification_algorithms.supported_schemes()
    }
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let key = rcgen::KeyPair::generate()?;
    let certificate = rcgen::CertificateParams::new([NAME.to_owned()])?.self_signed(&key)?;
    let server = serve(&certificate.pem(), &key.serialize_pem())?;
    let (proxy, dialed) = proxy(server)?;

    let pin = x509::sha256(certificate.der());
    let connect = |pin| {
        let verifier = Arc::new(Pinned(pin, ring::default_provider()));
        let connector = Connector::builder().verifier(verifier).timeout(TIMEOUT).build()?;
        let dialer = Socks5::new((proxy.ip().to_string(), proxy.port()));
        connector.with_dialer(dialer).blocking().connect(&SMTP, (NAME, 25))
    };

    let mut stream = connect(pin)?;
    stream.write_all(b"NOOP\r\n")?;
    stream.flush()?;
    let mut answer = [0; 6];
    stream.read_exact(&mut answer)?;
    assert_eq!(&answer, b"250 ok");
    let facts = stream.facts();
    println!("{} ({}), certificate {}", facts.version_name(), facts.cipher_suite_name(), facts.verdict);
    // ring has no post-quantum key exchange, so this shows whose cryptography was used.
    assert!(!facts.is_post_quantum(), "{:?}", facts.group_name());

    let error = connect([0; 32]).expect_err("another certificate must be rejected");
    println!("another certificate: {error:?}");
    assert_eq!(error.name(), "certificate");
    assert_eq!(dialed.load(Ordering::SeqCst), 2, "each connection went through the proxy");
    Ok(())
}

/// Starts a server that answers one line inside TLS, and returns its address.
fn serve(chain: &str, key: &str) -> Result<SocketAddr, Box<dyn std::error::Error>> {
    let acceptor = Acceptor::builder(&SMTP, NAME).certificate_pem(chain, key).timeout(TIMEOUT).build()?;
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let address = listener.local_addr()?;
    thread::spawn(move || {
        for tcp in listener.incoming().flatten() {
            // The second client rejects the certificate.
            let Ok(mut stream) = acceptor.blocking().accept(tcp) else { continue };
            let mut line = [0; 6];
            if stream.read_exact(&mut line).is_ok() {
                let _ = stream.write_all(b"250 ok\r\n").and_then(|()| stream.flush());
            }
        }
    });
    Ok(address)
}

/// Starts a SOCKS5 proxy (RFC 1928) that knows one name, and returns its address and the number of its connections.
fn proxy(server: SocketAddr) -> Result<(SocketAddr, Arc<AtomicUsize>), std::io::Error> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let address = listener.local_addr()?;
    let dialed = Arc::new(AtomicUsize::new(0));
    let count = dialed.clone();
    thread::spawn(move || {
        for client in listener.incoming().flatten() {
            if relay(client, server).is_ok() {
                count.fetch_add(1, Ordering::SeqCst);
            }
        }
    });
    Ok((address, dialed))
}

fn relay(mut client: TcpStream, server: SocketAddr) -> std::io::Result<()> {
    let mut methods = [0; 2];
    client.read_exact(&mut methods)?;
    client.read_exact(&mut vec![0; usize::from(methods[1])])?;
    client.write_all(&[5, 0])?;
    let mut request = [0; 5];
    client.read_exact(&mut request)?;
    // A connection to a host by its name.
    assert_eq!(request[..4], [5, 1, 0, 3]);
    let mut name = vec![0; usize::from(request[4])];
    client.read_exact(&mut name)?;
    assert_eq!(name, NAME.as_bytes());
    client.read_exact(&mut [0; 2])?;
    let target = TcpStream::connect(server)?;
    client.write_all(&[5, 0, 0, 1, 127, 0, 0, 1, 0, 25])?;
    for (mut from, mut to) in [(client.try_clone()?, target.try_clone()?), (target, client)] {
        thread::spawn(move || {
            let _ = copy(&mut from, &mut to);
            let _ = to.shutdown(Shutdown::Write);
        });
    }
    Ok(())
}
