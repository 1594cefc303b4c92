//! A gateway with an authority of its own, servers, and clients that trust this authority.

use std::future::Future;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use starttls::proto::{ClientMessage, Identity, Protocol};
use starttls::{Connector, Encrypted, Endpoint};
use starttls_gateway::config::Listener;
use starttls_gateway::config::{Arguments, UpgradePolicy};
use starttls_gateway::{Config, Gateway, SessionRecord};
use starttls_lab::ca::{Authority, Leaf};
use starttls_lab::{CleartextServers, Lab, Options};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};

/// Everything that a session needs.
pub(crate) struct Environment {
    pub(crate) lab: Lab,
    pub(crate) cleartext: CleartextServers,
    pub(crate) connector: Connector,
    /// The root certificate of the gateway.
    pub(crate) root_pem: String,
    pub(crate) certificate: (PathBuf, PathBuf),
    /// The CA file for clients.
    pub(crate) root: PathBuf,
    pub(crate) folder: TempDir,
}

/// A running gateway with one listener, and the results of its finished sessions.
pub(crate) struct Running {
    pub(crate) gateway: Option<Gateway>,
    pub(crate) address: SocketAddr,
    records: Arc<Mutex<Vec<String>>>,
}

pub(crate) async fn within<T>(step: impl Future<Output = T>) -> T {
    tokio::time::timeout(Duration::from_secs(60), step).await.expect("it was not done in time")
}

impl Environment {
    pub(crate) fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let authority = Authority::new().unwrap();
        let leaf = Leaf { dns: vec![String::from("localhost")], ..Leaf::default() };
        let certificate = authority.issue(&leaf).unwrap().write_to(folder.path(), "front").unwrap();
        let root = folder.path().join("root.pem");
        std::fs::write(&root, authority.root_pem()).unwrap();
        let connector = Connector::builder()
            .no_system_roots()
            .roots_pem(authority.root_pem())
            .timeout(Duration::from_secs(20))
            .build()
            .unwrap();
        let lab = Lab::start(Options::default()).unwrap();
        let (cleartext, root_pem) = (CleartextServers::start().unwrap(), authority.root_pem());
        Self { lab, cleartext, connector, root_pem, certificate, root, folder }
    }

    /// Starts a gateway between these URLs. `{}` in the first stands for a free port.
    pub(crate) fn gateway(
        &self,
        listen: &str,
        forward: &[String],
        starttls: Option<UpgradePolicy>,
    ) -> Running {
        self.start(self.config(listen, forward, starttls))
    }

    /// Returns the configuration of a gateway with one listener.
    pub(crate) fn config(&self, listen: &str, forward: &[String], starttls: Option<UpgradePolicy>) -> Config {
        let listen = listen.replace("{}", "127.0.0.1:0");
        let cleartext_front = !has_tls(&listen);
        let config = Config::from_arguments(&Arguments {
            listen: listen.clone(),
            forward: forward.to_vec(),
            certificate: (!cleartext_front).then(|| self.certificate.clone()),
            starttls,
            ca_file: forward.iter().any(|url| has_tls(url)).then(|| self.lab.ca_file().to_owned()),
            ..Arguments::default()
        });
        config.unwrap_or_else(|error| panic!("{listen} {forward:?}: {error}"))
    }

    pub(crate) fn start(&self, config: Config) -> Running {
        let records = Arc::new(Mutex::new(Vec::new()));
        let kept = records.clone();
        let observer = move |_: &Listener, record: &SessionRecord| {
            kept.lock().unwrap().push(match &record.failure {
                None => String::from("ok"),
                Some(failure) => failure.to_string(),
            });
        };
        let gateway = Gateway::start(config, Arc::new(observer)).unwrap();
        let address = gateway.addresses()[0].1.unwrap();
        Running { gateway: Some(gateway), address, records }
    }

    /// Returns a client's connection inside TLS.
    pub(crate) async fn connect(
        &self,
        protocol: &Protocol,
        to: SocketAddr,
        implicit: bool,
    ) -> Encrypted<TcpStream> {
        let endpoint = Endpoint::new("localhost", to.port()).at("127.0.0.1", to.port());
        let connected = match implicit {
            true => self.connector.connect_implicit(protocol, endpoint).await,
            false => self.connector.connect(protocol, endpoint).await,
        };
        connected.unwrap_or_else(|error| panic!("{}: {error}: {error:?}", protocol.name))
    }
}

/// Returns whether the URL is one with TLS.
pub(crate) fn has_tls(url: &str) -> bool {
    let scheme = url.split("://").next().unwrap();
    scheme.ends_with("+starttls")
        || starttls::proto::PROTOCOLS.iter().any(|it| it.implicit_tls.is_some_and(|tls| tls.name == scheme))
}

impl Running {
    /// Waits for `count` finished sessions and returns their results.
    pub(crate) async fn ended(&self, count: usize) -> Vec<String> {
        within(async {
            loop {
                let records = self.records.lock().unwrap().clone();
                if records.len() >= count {
                    return records;
                }
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        })
        .await
    }

    /// Waits until this many sessions are parked.
    pub(crate) async fn parked(&self, count: usize) {
        parked(self.gateway.as_ref().unwrap(), count).await;
    }
}

/// Waits until this many sessions of a gateway are parked.
pub(crate) async fn parked(gateway: &Gateway, count: usize) {
    within(async {
        while gateway.parked() != count {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    })
    .await;
}

impl Drop for Running {
    fn drop(&mut self) {
        if let Some(gateway) = self.gateway.take() {
            drop(gateway);
        }
    }
}

/// Returns the bytes of a client's messages.
pub(crate) fn words(protocol: &Protocol, messages: &[ClientMessage]) -> Vec<u8> {
    let mut dialect = protocol.new_dialect(Identity::new("localhost").inside_tls().with_nonce(0));
    let mut out = Vec::new();
    messages.iter().for_each(|message| dialect.write_client(*message, &mut out));
    out
}

/// Sends `said`, ends the direction, and reads up to the close_notify of the server.
pub(crate) async fn say(mut stream: Encrypted<TcpStream>, said: &[u8]) -> String {
    within(async {
        stream.write_all(said).await.unwrap();
        stream.shutdown().await.unwrap();
        let mut heard = Vec::new();
        let end = stream.read_to_end(&mut heard).await;
        assert!(end.is_ok(), "{end:?} behind {}", heard.escape_ascii());
        String::from_utf8_lossy(&heard).into_owned()
    })
    .await
}

/// Returns a client without TLS that has read the greeting, if the protocol has one.
pub(crate) async fn cleartext(protocol: &Protocol, to: SocketAddr) -> TcpStream {
    let mut tcp = TcpStream::connect(to).await.unwrap();
    if protocol.flow.greeting {
        within(tcp.readable()).await.unwrap();
        // The greeting arrives in one piece.
        assert!(tcp.read(&mut [0; 4096]).await.unwrap() > 0, "{}", protocol.name);
    }
    tcp
}

/// Sends `said` in cleartext, ends the direction, and reads to the end, including a reset.
pub(crate) async fn tell(mut tcp: TcpStream, said: &[u8]) -> Vec<u8> {
    within(async {
        let mut heard = Vec::new();
        // The gateway may have closed the connection of a refused client.
        let _ = tcp.write_all(said).await;
        let _ = tcp.shutdown().await;
        let _ = tcp.read_to_end(&mut heard).await;
        heard
    })
    .await
}

/// Returns an address that refuses connections. It is reserved as long as the socket is held: a port that was freed
/// could be taken by a server of another test.
pub(crate) fn nowhere() -> (TcpSocket, SocketAddr) {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let address = socket.local_addr().unwrap();
    (socket, address)
}
