//! A client built on rustls directly, with session resumption and configurable limits.

use std::net::TcpStream;
use std::sync::Arc;
use std::time::Duration;

use starttls::rustls::client::{
    ClientSessionMemoryCache, ClientSessionStore, Resumption, Tls12ClientSessionValue,
    Tls13ClientSessionValue,
};
use starttls::rustls::crypto::{CryptoProvider, aws_lc_rs};
use starttls::rustls::pki_types::pem::PemObject;
use starttls::rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use starttls::rustls::{
    self, CipherSuite, ClientConfig, ClientConnection, HandshakeKind, NamedGroup, RootCertStore, StreamOwned,
};
use starttls::{Acceptor, Encrypted};
use starttls_lab::ca::Issued;
use std::io::{Read, Write};
use tokio::net::TcpListener;
use tokio::time::timeout;

use crate::folder::Folder;

pub(crate) const DEADLINE: Duration = Duration::from_secs(30);

/// What client and server observed in one session.
#[derive(Debug)]
pub(crate) struct Met {
    pub(crate) kind: HandshakeKind,
    /// The certificate chain that the server presented.
    pub(crate) chain: Vec<CertificateDer<'static>>,
    /// The certificate chain that the client presented, as the server received it.
    pub(crate) client_chain: Vec<CertificateDer<'static>>,
}

/// Returns the configuration of a client that trusts the folder's authority.
pub(crate) fn config(
    folder: &Folder,
    suites: Option<CipherSuite>,
    own: Option<&Issued>,
) -> Arc<ClientConfig> {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_slice(folder.authority.root_pem().as_bytes()).unwrap()).unwrap();
    let mut provider = aws_lc_rs::default_provider();
    if let Some(only) = suites {
        provider.cipher_suites.retain(|suite| suite.suite() == only);
    }
    let builder = ClientConfig::builder_with_provider(Arc::<CryptoProvider>::new(provider));
    let versions: &[_] = match suites {
        Some(_) => &[&rustls::version::TLS12],
        None => rustls::ALL_VERSIONS,
    };
    let builder = builder.with_protocol_versions(versions).unwrap().with_root_certificates(roots);
    Arc::new(match own {
        None => builder.with_no_client_auth(),
        Some(own) => {
            let chain = CertificateDer::pem_slice_iter(own.chain_pem.as_bytes()).collect::<Result<_, _>>();
            let key = PrivateKeyDer::from_pem_slice(own.key_pem.as_bytes()).unwrap();
            builder.with_client_auth_cert(chain.unwrap(), key).unwrap()
        }
    })
}

/// Runs one session of TLS from the first byte, in which each side sends one byte.
pub(crate) async fn meet(
    acceptor: &Acceptor,
    config: &Arc<ClientConfig>,
    name: &str,
) -> Result<Met, starttls::Error> {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (config, name) = (config.clone(), name.to_owned());
    let client = tokio::task::spawn_blocking(move || {
        let tcp = TcpStream::connect(address).unwrap();
        tcp.set_read_timeout(Some(DEADLINE)).unwrap();
        let tls = ClientConnection::new(config, name.try_into().unwrap()).unwrap();
        let mut stream = StreamOwned::new(tls, tcp);
        // The client reads the session tickets before the byte.
        let mut byte = [0];
        let talked = stream.write_all(b"x").and_then(|()| stream.read_exact(&mut byte));
        talked.map(|()| (stream.conn.handshake_kind(), stream.conn.peer_certificates().map(<[_]>::to_vec)))
    });
    let serving = async {
        let (tcp, _) = listener.accept().await.unwrap();
        let mut session: Encrypted<_> = acceptor.accept_implicit(tcp).await?;
        let mut byte = [0];
        tokio::io::AsyncReadExt::read_exact(&mut session, &mut byte).await.unwrap();
        tokio::io::AsyncWriteExt::write_all(&mut session, b"y").await.unwrap();
        tokio::io::AsyncWriteExt::flush(&mut session).await.unwrap();
        Ok::<_, starttls::Error>(session.facts().chain.clone())
    };
    let (served, asked) = timeout(DEADLINE, async { tokio::join!(serving, client) }).await.unwrap();
    let client_chain = served?;
    let (kind, chain) = asked.unwrap().unwrap();
    Ok(Met { kind: kind.unwrap(), chain: chain.unwrap_or_default(), client_chain })
}

/// A session cache that uses the same entry for every server name.
#[derive(Debug)]
pub(crate) struct Forgetful(ClientSessionMemoryCache);

impl Forgetful {
    pub(crate) fn resumption() -> Resumption {
        Resumption::store(Arc::new(Self(ClientSessionMemoryCache::new(8))))
    }
}

fn any() -> ServerName<'static> {
    "any.example".try_into().unwrap()
}

impl ClientSessionStore for Forgetful {
    fn set_kx_hint(&self, _: ServerName<'static>, group: NamedGroup) {
        self.0.set_kx_hint(any(), group);
    }

    fn kx_hint(&self, _: &ServerName<'_>) -> Option<NamedGroup> {
        self.0.kx_hint(&any())
    }

    fn set_tls12_session(&self, _: ServerName<'static>, value: Tls12ClientSessionValue) {
        self.0.set_tls12_session(any(), value);
    }

    fn tls12_session(&self, _: &ServerName<'_>) -> Option<Tls12ClientSessionValue> {
        self.0.tls12_session(&any())
    }

    fn remove_tls12_session(&self, _: &ServerName<'static>) {
        self.0.remove_tls12_session(&any());
    }

    fn insert_tls13_ticket(&self, _: ServerName<'static>, value: Tls13ClientSessionValue) {
        self.0.insert_tls13_ticket(any(), value);
    }

    fn take_tls13_ticket(&self, _: &ServerName<'static>) -> Option<Tls13ClientSessionValue> {
        self.0.take_tls13_ticket(&any())
    }
}
