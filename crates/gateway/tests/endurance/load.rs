//! A gateway for SMTP, a backend that echoes every line, and clients.

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

/// The certificates and the client configuration of a test.
pub(crate) struct Setup {
    pub(crate) connector: Connector,
    folder: TempDir,
}

pub(crate) struct Running {
    pub(crate) gateway: Gateway,
    pub(crate) address: SocketAddr,
    /// The results of the finished sessions.
    pub(crate) ended: Arc<Mutex<Vec<String>>>,
}

/// Applies the deadline of all tests.
pub(crate) async fn within<T>(step: impl Future<Output = T>) -> T {
    tokio::time::timeout(Duration::from_secs(120), step).await.expect("it was not done in time")
}

/// Waits until the condition holds.
pub(crate) async fn until(what: &str, mut so: impl FnMut() -> bool) {
    let waiting = async {
        while !so() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(60), waiting).await.unwrap_or_else(|_| panic!("never: {what}"));
}

impl Setup {
    /// Creates two certificates of the same authority for the same name, `0` and `1`.
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

    /// Returns the configuration of a listener in front of this backend, with one of the certificates.
    pub(crate) fn config(&self, backend: SocketAddr, certificate: usize) -> Config {
        self.try_config(backend, certificate).unwrap()
    }

    /// The same for a certificate that may be invalid.
    pub(crate) fn try_config(
        &self,
        backend: SocketAddr,
        certificate: usize,
    ) -> Result<Config, starttls_gateway::SetupError> {
        Config::parse(&self.text(&format!("\"smtp://{backend}\""), certificate), "test")
    }

    /// Returns the same configuration as text; `forward` is written as it is.
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

    /// Returns a client inside TLS that has sent nothing.
    pub(crate) async fn connect(&self, to: SocketAddr) -> Result<Client, Error> {
        let endpoint = Endpoint::new("localhost", to.port()).at("127.0.0.1", to.port());
        self.connector.connect(&SMTP, endpoint).await
    }

    /// Returns a client inside TLS that has received an answer from the backend.
    pub(crate) async fn client(&self, to: SocketAddr) -> Client {
        let mut client = self.connect(to).await.unwrap_or_else(|error| panic!("{error}: {error:?}"));
        ask(&mut client, "first").await;
        client
    }

    /// Runs a complete session.
    pub(crate) async fn session(&self, to: SocketAddr) {
        let mut client = self.client(to).await;
        ask(&mut client, "second").await;
        client.shutdown().await.unwrap();
        assert_eq!(client.read(&mut [0; 16]).await.unwrap(), 0);
    }
}

/// Sends a line and expects its echo.
pub(crate) async fn ask(client: &mut Client, word: &str) {
    client.write_all(format!("{word}\r\n").as_bytes()).await.unwrap();
    let expected = format!("250 {word}\r\n");
    let mut heard = vec![0; expected.len()];
    client.read_exact(&mut heard).await.unwrap_or_else(|error| panic!("{word}: {error}"));
    assert_eq!(String::from_utf8(heard).unwrap(), expected);
}

/// Starts a backend that sends its greeting and then runs `serve` for each connection.
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

/// Starts a backend that echoes every line.
pub(crate) async fn echo() -> SocketAddr {
    backend(answer).await
}

/// Echoes every line until the client ends.
pub(crate) async fn answer(mut stream: BufReader<impl AsyncRead + AsyncWrite + Unpin>) {
    let mut line = String::new();
    // A broken connection is not an error here: the test checks its client.
    while stream.read_line(&mut line).await.is_ok_and(|count| count > 0) {
        let answer = format!("250 {line}");
        if stream.write_all(answer.as_bytes()).await.is_err() || stream.flush().await.is_err() {
            return;
        }
        line.clear();
    }
    // The client may have closed the connection.
    let _ = stream.shutdown().await;
}

/// Clients that run sessions in a loop until they are stopped.
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

    /// Stops the clients and returns the number of sessions. Panics if a session has failed.
    pub(crate) async fn stop(self) -> usize {
        self.stop.store(1, Ordering::Relaxed);
        for client in self.clients {
            client.await.unwrap();
        }
        self.done.load(Ordering::Relaxed)
    }
}
