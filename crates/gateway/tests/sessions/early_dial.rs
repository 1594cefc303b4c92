//! `early-dial`: a backend is dialed while the client completes its handshake.

use std::net::SocketAddr;
use std::sync::Arc;

use starttls::proto::smtp::SUBMISSION;
use starttls::proto::{AfterUpgrade, Protocol, each_protocol};
use starttls::rustls::crypto::aws_lc_rs;
use starttls::rustls::pki_types::CertificateDer;
use starttls::rustls::pki_types::pem::PemObject;
use starttls::rustls::{ClientConfig, ClientConnection, RootCertStore};
use starttls_gateway::config::Listener;
use starttls_gateway::{Config, EarlyDialUse, Gateway, SessionOutcome, SessionRecord};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;

use crate::conversions::{backends, listeners, message_that_is_answered};
use crate::environment::{Environment, has_tls, nowhere, say, within};

/// Limits that a test reaches on no machine.
const PATIENT: &str = "negotiation = \"10m\", dial = \"10m\"";

const SAID: &[u8] = b"EHLO me\r\nQUIT\r\n";

/// What a session's record contains.
type Ended = (Option<EarlyDialUse>, SessionOutcome, Option<Arc<str>>);

/// A gateway with one listener, which reports each session that has ended.
struct Running {
    _gateway: Gateway,
    address: SocketAddr,
    ended: mpsc::UnboundedReceiver<Ended>,
}

impl Running {
    /// Starts a gateway that forwards to `forward`, a value of TOML. `more` are keys of the listener.
    fn start(env: &Environment, listen: &str, more: &str, forward: &str) -> Self {
        let text = format!(
            "[[listener]]\nlisten = \"{listen}://127.0.0.1:0\"\ncert = {:?}\nkey = {:?}\n{more}\nforward = {forward}\n",
            env.certificate.0, env.certificate.1
        );
        let config = Config::parse(&text, "test").unwrap_or_else(|error| panic!("{error}\n{text}"));
        let (sender, ended) = mpsc::unbounded_channel();
        let observer = move |listener: &Listener, record: &SessionRecord| {
            let outcome = SessionOutcome::of(listener, record);
            // The test may be over.
            let _ = sender.send((record.early_dial, outcome, record.backend.clone()));
        };
        let gateway = Gateway::start(config, Arc::new(observer)).unwrap();
        let address = gateway.addresses()[0].1.unwrap();
        Self { _gateway: gateway, address, ended }
    }

    async fn ended(&mut self) -> Ended {
        within(self.ended.recv()).await.unwrap()
    }
}

/// A backend that greets like a mail server, and that the test accepts by hand.
struct Backend(TcpListener);

impl Backend {
    async fn new() -> Self {
        Self(TcpListener::bind("127.0.0.1:0").await.unwrap())
    }

    fn url(&self) -> String {
        format!("\"submission://{}\"", self.0.local_addr().unwrap())
    }

    async fn accept(&self) -> TcpStream {
        within(self.0.accept()).await.unwrap().0
    }

    /// Accepts the next connection and greets.
    async fn greeted(&self) -> TcpStream {
        let mut tcp = self.accept().await;
        tcp.write_all(b"220 backend ESMTP\r\n").await.unwrap();
        tcp
    }
}

/// Reads everything that the gateway sends, up to the end of the connection, which may be a reset.
async fn heard_to_the_end(tcp: &mut TcpStream) -> Vec<u8> {
    let mut heard = Vec::new();
    let _ = within(tcp.read_to_end(&mut heard)).await;
    heard
}

/// Receives [`SAID`] from the gateway, and nothing else, and answers.
async fn serve(mut tcp: TcpStream) {
    let mut heard = vec![0; SAID.len()];
    within(tcp.read_exact(&mut heard)).await.unwrap();
    assert_eq!(heard.escape_ascii().to_string(), SAID.escape_ascii().to_string());
    tcp.write_all(b"250 backend\r\n221 bye\r\n").await.unwrap();
}

/// A client that has the whole answer to its ClientHello, and has not sent its Finished.
struct Halted {
    tcp: TcpStream,
    tls: ClientConnection,
}

impl Halted {
    /// Connects, upgrades if the listener does not start with TLS, and stops before the client's Finished.
    async fn new(env: &Environment, to: SocketAddr, implicit: bool) -> Self {
        let mut tcp = TcpStream::connect(to).await.unwrap();
        if !implicit {
            read_line(&mut tcp).await;
            tcp.write_all(b"STARTTLS\r\n").await.unwrap();
            assert!(read_line(&mut tcp).await.starts_with(b"220 "));
        }
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from_pem_slice(env.root_pem.as_bytes()).unwrap()).unwrap();
        let config = ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots)
            .with_no_client_auth();
        let tls = ClientConnection::new(Arc::new(config), "localhost".try_into().unwrap()).unwrap();
        let mut halted = Self { tcp, tls };
        halted.send().await;
        while halted.tls.is_handshaking() {
            assert!(halted.receive().await > 0, "the gateway ended the handshake");
        }
        halted
    }

    /// Sends what rustls has queued.
    async fn send(&mut self) {
        let mut octets = Vec::new();
        while self.tls.wants_write() {
            self.tls.write_tls(&mut octets).unwrap();
        }
        self.tcp.write_all(&octets).await.unwrap();
    }

    async fn receive(&mut self) -> usize {
        let mut chunk = [0; 4096];
        let count = within(self.tcp.read(&mut chunk)).await.unwrap();
        let mut octets = &chunk[..count];
        while !octets.is_empty() {
            self.tls.read_tls(&mut octets).unwrap();
            self.tls.process_new_packets().unwrap();
        }
        count
    }

    /// Sends the Finished, `said` and `close_notify` in one segment, and reads to the end of the session.
    async fn finish(mut self, said: &[u8]) -> String {
        std::io::Write::write_all(&mut self.tls.writer(), said).unwrap();
        self.tls.send_close_notify();
        self.send().await;
        while self.receive().await > 0 {}
        let mut heard = Vec::new();
        std::io::Read::read_to_end(&mut self.tls.reader(), &mut heard).unwrap();
        String::from_utf8(heard).unwrap()
    }
}

async fn read_line(tcp: &mut TcpStream) -> Vec<u8> {
    let mut line = Vec::new();
    while !line.ends_with(b"\r\n") {
        line.push(within(tcp.read_u8()).await.unwrap());
    }
    line
}

#[tokio::test(flavor = "multi_thread")]
async fn the_backend_is_dialed_before_the_clients_finished() {
    let env = Environment::new();
    for implicit in [true, false] {
        let backend = Backend::new().await;
        let (_reserved, nowhere) = nowhere();
        // The name in the ClientHello decides, and a backend that is down is passed over.
        let more = format!(
            "early-dial = true\nroute = [{{ names = [\"localhost\"], forward = [\"submission://{nowhere}\", {}] }}]",
            backend.url()
        );
        let scheme = if implicit { "smtps" } else { "submission+starttls" };
        let mut running = Running::start(&env, scheme, &more, &format!("\"submission://{nowhere}\""));
        let client = Halted::new(&env, running.address, implicit).await;
        let tcp = backend.greeted().await;
        let (heard, ()) = tokio::join!(client.finish(SAID), serve(tcp));
        let greeting = if implicit { "220 backend ESMTP\r\n" } else { "" };
        assert_eq!(heard, format!("{greeting}250 backend\r\n221 bye\r\n"));
        let name = format!("submission://{}", backend.0.local_addr().unwrap());
        assert_eq!(
            running.ended().await,
            (Some(EarlyDialUse::Used), SessionOutcome::Done, Some(name.into()))
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_backend_is_dropped_when_the_client_gives_up() {
    let env = Environment::new();
    let backend = Backend::new().await;
    let mut running = Running::start(&env, "smtps", "early-dial = true", &backend.url());
    for is_ready in [true, false] {
        let client = Halted::new(&env, running.address, true).await;
        let mut tcp = if is_ready { backend.greeted().await } else { backend.accept().await };
        drop(client);
        assert_eq!(heard_to_the_end(&mut tcp).await, b"");
        let (early_dial, outcome, _) = running.ended().await;
        assert_eq!((early_dial, outcome), (Some(EarlyDialUse::Unused), SessionOutcome::ClientBroke));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_learns_of_a_backend_that_is_down_inside_tls() {
    let env = Environment::new();
    let (_reserved, nowhere) = nowhere();
    let forward = format!("\"submission://{nowhere}\"");
    let mut running = Running::start(&env, "smtps", "early-dial = true", &forward);
    let client = Halted::new(&env, running.address, true).await;
    assert!(client.finish(b"").await.starts_with("421 "));
    let used = Some(EarlyDialUse::Used);
    assert_eq!(running.ended().await, (used, SessionOutcome::BackendDown, None));
}

#[tokio::test(flavor = "multi_thread")]
async fn without_the_option_no_backend_is_dialed_before_the_clients_finished() {
    let env = Environment::new();
    let backend = Backend::new().await;
    let more = format!("limits = {{ {PATIENT} }}");
    let mut running = Running::start(&env, "smtps", &more, &backend.url());
    let halted = Halted::new(&env, running.address, true).await;
    // The first connection that the backend sees belongs to a client that came later.
    let other = env.connect(&SUBMISSION, running.address, true);
    let (other, tcp) = tokio::join!(within(other), backend.greeted());
    let (heard, ()) = tokio::join!(say(other, SAID), serve(tcp));
    assert!(heard.ends_with("221 bye\r\n"), "{heard}");
    assert_eq!(running.ended().await.0, None);
    let serving = async { serve(backend.greeted().await).await };
    let (heard, ()) = tokio::join!(halted.finish(SAID), serving);
    assert!(heard.ends_with("221 bye\r\n"), "{heard}");
    assert_eq!(running.ended().await.0, None);
}

/// Clients that send only a ClientHello cost the backend as many connections as `early-dials` permits, however many there are.
/// Others are served as without the option.
#[tokio::test(flavor = "multi_thread")]
async fn clients_that_stop_after_the_hello_cost_a_bounded_number_of_connections() {
    let env = Environment::new();
    let backend = Backend::new().await;
    let more =
        format!("early-dial = true\nlimits = {{ early-dials = 2, connections-per-address = 6, {PATIENT} }}");
    let mut running = Running::start(&env, "smtps", &more, &backend.url());
    let mut halted = Vec::new();
    for _ in 0..5 {
        halted.push(Halted::new(&env, running.address, true).await);
    }
    let mut waiting = [backend.accept().await, backend.accept().await];
    let client = Halted::new(&env, running.address, true).await;
    // The limit of the address applies to them as to all connections.
    let mut refused = TcpStream::connect(running.address).await.unwrap();
    assert_eq!(heard_to_the_end(&mut refused).await, b"");
    assert_eq!(running.ended().await.1, SessionOutcome::Refused);
    // The third connection of the backend belongs to a client that has completed its handshake.
    let serving = async { serve(backend.greeted().await).await };
    let (heard, ()) = tokio::join!(client.finish(SAID), serving);
    assert!(heard.ends_with("221 bye\r\n"), "{heard}");
    assert_eq!(running.ended().await.0, None);

    // All of them leave, and give their places back.
    drop(halted);
    for tcp in &mut waiting {
        assert_eq!(heard_to_the_end(tcp).await, b"");
    }
    for _ in 0..5 {
        assert_eq!(running.ended().await.1, SessionOutcome::ClientBroke);
    }
    let _halted = Halted::new(&env, running.address, true).await;
    backend.accept().await;
}

/// A backend may close a connection on which nothing happens, so the gateway does not wait with it for as long as a client may
/// take.
#[tokio::test(flavor = "multi_thread")]
async fn a_slow_client_gets_a_new_connection() {
    let env = Environment::new();
    let backend = Backend::new().await;
    // A dial has to succeed within this time on a slow machine too.
    let more = "early-dial = true\nlimits = { dial = \"3s\" }";
    let mut running = Running::start(&env, "smtps", more, &backend.url());
    let client = Halted::new(&env, running.address, true).await;
    let mut first = backend.greeted().await;
    assert_eq!(heard_to_the_end(&mut first).await, b"");
    let serving = async { serve(backend.greeted().await).await };
    let (heard, ()) = tokio::join!(client.finish(SAID), serving);
    assert!(heard.ends_with("221 bye\r\n"), "{heard}");
    let (early_dial, outcome, _) = running.ended().await;
    assert_eq!((early_dial, outcome), (Some(EarlyDialUse::Unused), SessionOutcome::Done));
}

/// A PROXY header of version 1 contains nothing of the handshake.
#[tokio::test(flavor = "multi_thread")]
async fn a_header_with_addresses_is_sent_at_once() {
    let env = Environment::new();
    let backend = Backend::new().await;
    let forward = format!("{{ url = {}, send-proxy = \"v1\" }}", backend.url());
    let running = Running::start(&env, "smtps", "early-dial = true", &forward);
    let client = Halted::new(&env, running.address, true).await;
    let mut tcp = backend.accept().await;
    let line = String::from_utf8(read_line(&mut tcp).await).unwrap();
    let (own, to) = (client.tcp.local_addr().unwrap().port(), running.address.port());
    assert_eq!(line, format!("PROXY TCP4 127.0.0.1 127.0.0.1 {own} {to}\r\n"));
}

/// Returns whether the ClientHello decides the backend, and the backend is not needed before.
fn is_possible(protocol: &Protocol) -> bool {
    !protocol.flow.login_needs_greeting && protocol.flow.after != AfterUpgrade::StreamRestart
}

each_protocol! { async if |it| super::is_possible(it) => every_session_is_served_with_an_early_dial }

async fn every_session_is_served_with_an_early_dial(protocol: &'static Protocol) {
    let env = Environment::new();
    let said = message_that_is_answered(protocol);
    for backend in backends(&env, protocol) {
        for (scheme, implicit) in listeners(protocol) {
            let ca_file = match has_tls(&backend) {
                true => format!(", ca-file = {:?}", env.lab.ca_file()),
                false => String::new(),
            };
            let forward = format!("{{ url = {backend:?}{ca_file} }}");
            let mut running = Running::start(&env, &scheme, "early-dial = true", &forward);
            let stream = within(env.connect(protocol, running.address, implicit)).await;
            let heard = say(stream, &said).await;
            assert!(!heard.is_empty(), "{scheme} -> {backend}");
            let (early_dial, outcome, _) = running.ended().await;
            let expected = (Some(EarlyDialUse::Used), SessionOutcome::Done);
            assert_eq!((early_dial, outcome), expected, "{scheme} -> {backend}: {heard}");
        }
    }
}

each_protocol! { if |it| !super::is_possible(it) => an_early_dial_is_refused_where_the_hello_does_not_decide }

fn an_early_dial_is_refused_where_the_hello_does_not_decide(protocol: &'static Protocol) {
    let (env, name) = (Environment::new(), protocol.name);
    let text = format!(
        "[[listener]]\nlisten = \"{name}+starttls://127.0.0.1:0\"\ncert = {:?}\nkey = {:?}\nearly-dial = true\n\
         forward = \"{name}://127.0.0.1:1\"\n",
        env.certificate.0, env.certificate.1
    );
    let error = Config::parse(&text, "test").unwrap_err();
    assert!(error.to_string().contains("\"early-dial\""), "{name}: {error}");
    assert!(error.hint().is_some_and(|hint| hint.contains("remove")), "{name}: {error}");
}
