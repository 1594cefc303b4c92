//! A gateway for SMTP, a backend that answers every line with itself, and clients.

use std::future::Future;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use starttls::proto::smtp::SMTP;
use starttls::{Connector, Encrypted, Endpoint, Error};
use starttls_gateway::config::Listener;
use starttls_gateway::{Config, Gateway, SessionRecord};
use starttls_lab::ca::{Authority, Leaf};
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};

pub(crate) type Client = Encrypted<TcpStream>;

/// What a test is built of.
pub(crate) struct Setup {
    pub(crate) connector: Connector,
    folder: TempDir,
}

/// A running gateway.
pub(crate) struct Running {
    pub(crate) gateway: Gateway,
    pub(crate) address: SocketAddr,
    /// How the sessions ended that are over.
    pub(crate) ended: Arc<Mutex<Vec<String>>>,
}

/// The deadline of everything.
pub(crate) async fn within<T>(step: impl Future<Output = T>) -> T {
    tokio::time::timeout(Duration::from_secs(120), step).await.expect("it was not done in time")
}

/// Waits for something to become so.
pub(crate) async fn until(what: &str, mut so: impl FnMut() -> bool) {
    let waiting = async {
        while !so() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(60), waiting).await.unwrap_or_else(|_| panic!("never: {what}"));
}

impl Setup {
    /// With two certificates of the same authority for the same name, `0` and `1`.
    pub(crate) fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let authority = Authority::new().unwrap();
        for name in ["0", "1"] {
            authority.issue(&Leaf::named("localhost")).unwrap().write_to(folder.path(), name).unwrap();
        }
        let connector = Connector::builder()
            .no_system_roots()
            .roots_pem(authority.root_pem())
            .timeout(Duration::from_secs(60))
            .build()
            .unwrap();
        Self { connector, folder }
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// A listener in front of this backend, with one of the certificates.
    pub(crate) fn config(&self, backend: SocketAddr, certificate: usize) -> Config {
        self.try_config(backend, certificate).unwrap()
    }

    /// The same, where the certificate may be broken.
    pub(crate) fn try_config(
        &self,
        backend: SocketAddr,
        certificate: usize,
    ) -> Result<Config, starttls_gateway::SetupError> {
        Config::parse(&self.text(&format!("\"smtp://{backend}\""), certificate), "test")
    }

    /// The same as text, for this backend as it stands in a configuration.
    pub(crate) fn text(&self, forward: &str, certificate: usize) -> String {
        let stem = self.path(&certificate.to_string());
        let stem = stem.display();
        format!(
            "log = \"none\"\ndrain = \"60s\"\n[limits]\nconnections = 9000\n[[listener]]\n\
             listen = \"smtp+starttls://127.0.0.1:0\"\ncert = \"{stem}.pem\"\nkey = \"{stem}.key\"\n\
             forward = {forward}\n\
             limits = {{ connections-per-address = 9000, handshakes-per-second = 100000, negotiation = \"60s\" }}\n"
        )
    }

    pub(crate) fn gateway(&self, backend: SocketAddr) -> Running {
        self.run(self.config(backend, 0))
    }

    pub(crate) fn run(&self, config: Config) -> Running {
        let ended = Arc::new(Mutex::new(Vec::new()));
        let kept = ended.clone();
        let observer = move |_: &Listener, record: &SessionRecord| {
            let how = record.failure.as_ref().map_or_else(|| String::from("ok"), ToString::to_string);
            kept.lock().unwrap().push(how);
        };
        let gateway = Gateway::start(config, Arc::new(observer)).unwrap();
        let address = gateway.addresses()[0].1.unwrap();
        Running { gateway, address, ended }
    }

    /// A client inside TLS, which has said nothing yet.
    pub(crate) async fn connect(&self, to: SocketAddr) -> Result<Client, Error> {
        let endpoint = Endpoint::new("localhost", to.port()).at("127.0.0.1", to.port());
        self.connector.connect(&SMTP, endpoint).await
    }

    /// A client inside TLS that has been answered by the backend.
    pub(crate) async fn client(&self, to: SocketAddr) -> Client {
        let mut client = self.connect(to).await.unwrap_or_else(|error| panic!("{error}: {error:?}"));
        ask(&mut client, "first").await;
        client
    }

    /// A whole session.
    pub(crate) async fn session(&self, to: SocketAddr) {
        let mut client = self.client(to).await;
        ask(&mut client, "second").await;
        client.shutdown().await.unwrap();
        assert_eq!(client.read(&mut [0; 16]).await.unwrap(), 0);
    }
}

/// Says a line, and hears it back.
pub(crate) async fn ask(client: &mut Client, word: &str) {
    client.write_all(format!("{word}\r\n").as_bytes()).await.unwrap();
    let expected = format!("250 {word}\r\n");
    let mut heard = vec![0; expected.len()];
    client.read_exact(&mut heard).await.unwrap_or_else(|error| panic!("{word}: {error}"));
    assert_eq!(String::from_utf8(heard).unwrap(), expected);
}

/// A backend that does this with each connection, after the greeting.
pub(crate) async fn backend<F: Future<Output = ()> + Send + 'static>(
    serve: impl Fn(BufReader<TcpStream>) -> F + Send + 'static,
) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            stream.set_nodelay(true).unwrap();
            stream.write_all(b"220 backend\r\n").await.unwrap();
            tokio::spawn(serve(BufReader::with_capacity(512, stream)));
        }
    });
    address
}

/// A backend that answers every line with itself.
pub(crate) async fn echo() -> SocketAddr {
    backend(answer).await
}

/// Answers every line with itself until there are no more.
pub(crate) async fn answer(mut stream: BufReader<impl AsyncRead + AsyncWrite + Unpin>) {
    let mut line = String::new();
    // A client that is gone is the client's test's concern.
    while stream.read_line(&mut line).await.is_ok_and(|count| count > 0) {
        let answer = format!("250 {line}");
        if stream.write_all(answer.as_bytes()).await.is_err() || stream.flush().await.is_err() {
            return;
        }
        line.clear();
    }
    // The client may be gone.
    let _ = stream.shutdown().await;
}

/// Clients that have one session after the other until told to stop.
pub(crate) struct Crowd {
    pub(crate) done: Arc<AtomicUsize>,
    stop: Arc<AtomicUsize>,
    clients: Vec<tokio::task::JoinHandle<()>>,
}

impl Crowd {
    pub(crate) fn new(setup: &Arc<Setup>, to: SocketAddr, size: usize) -> Self {
        let (done, stop) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
        let client = |_| {
            let (setup, done, stop) = (setup.clone(), done.clone(), stop.clone());
            tokio::spawn(async move {
                while stop.load(Ordering::Relaxed) == 0 {
                    setup.session(to).await;
                    done.fetch_add(1, Ordering::Relaxed);
                }
            })
        };
        let clients = (0..size).map(client).collect();
        Self { done, stop, clients }
    }

    /// How many sessions there were; fails if one of them failed.
    pub(crate) async fn stop(self) -> usize {
        self.stop.store(1, Ordering::Relaxed);
        for client in self.clients {
            client.await.unwrap();
        }
        self.done.load(Ordering::Relaxed)
    }
}
