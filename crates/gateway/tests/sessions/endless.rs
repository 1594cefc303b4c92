//! Backends that never complete an answer: sessions and health checks end in time and use little memory.

use std::fmt::Write as _;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use starttls::proto::{PROTOCOLS, Protocol};
use starttls_gateway::{Config, probe};
use starttls_lab::ca::Authority;
use starttls_lab::rogue::{Endless, Noise, StallPoint};
use tokio::io::AsyncReadExt;
use tokio::net::TcpStream;
use tokio::task::JoinSet;

use crate::environment::{Environment, within};

/// The limit for reaching a backend, and the additional time on a busy machine.
const DIAL: Duration = Duration::from_secs(2);
const SLACK: Duration = Duration::from_secs(20);
/// The number of parallel health checks.
const AT_ONCE: usize = 24;
/// Limit for the memory of all health checks together.
const MEMORY: u64 = 64 << 20;

const PAUSE: Duration = Duration::from_millis(100);
const NOISES: [Noise; 5] =
    [Noise::Interim, Noise::Trickled(PAUSE), Noise::Unfinished, Noise::Dribbled(PAUSE), Noise::Repeated];

/// Returns the configuration of a listener on this machine with this backend.
fn text(
    env: &Environment,
    root: &std::path::Path,
    protocol: &Protocol,
    backend: SocketAddr,
    login: bool,
) -> String {
    let (cert, key) = &env.certificate;
    let (name, port) = (protocol.name, backend.port());
    let login = match login {
        true => {
            format!(", login = {{ user = \"u\", password-file = {:?} }}", env.folder.path().join("password"))
        }
        false => String::new(),
    };
    format!(
        "drain = \"1s\"\n[[listener]]\nlisten = \"{name}+starttls://127.0.0.1:0\"\nallow = [\"127.0.0.1\"]\n\
         cert = {cert:?}\nkey = {key:?}\nlimits = {{ dial = \"2s\" }}\n\
         forward = {{ url = \"{name}+starttls://localhost:{port}\", ca-file = {root:?}{login} }}\n"
    )
}

/// Returns the peak memory of this process.
fn peak() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    line.trim().trim_end_matches(" kB").parse::<u64>().unwrap() << 10
}

#[tokio::test(flavor = "multi_thread")]
async fn every_look_at_an_endless_backend_ends_in_time() {
    let (env, authority) = (Environment::new(), Authority::new().unwrap());
    let root = env.folder.path().join("endless.pem");
    std::fs::write(&root, authority.root_pem()).unwrap();
    std::fs::write(env.folder.path().join("password"), "secret\n").unwrap();
    let mut all = Vec::new();
    for protocol in PROTOCOLS {
        for stage in StallPoint::ALL.into_iter().filter(|stage| stage.applies_to(protocol)) {
            all.extend(NOISES.map(|noise| (*protocol, stage, noise)));
        }
    }
    let (before, mut looks, mut slow) = (peak(), JoinSet::new(), String::new());
    let mut took = Vec::new();
    for (protocol, stage, noise) in all {
        if looks.len() >= AT_ONCE {
            took.push(looks.join_next().await.unwrap().unwrap());
        }
        let server = Endless::start(protocol, stage, noise, &authority).unwrap();
        let text = text(&env, &root, protocol, server.address(), protocol.flow.login_is_optional);
        let config = Config::parse(&text, "test").unwrap_or_else(|error| panic!("{error}\n{text}"));
        looks.spawn(async move {
            let began = Instant::now();
            let backend = &config.listeners[0].routes()[0].backends[0];
            let looked = tokio::time::timeout(DIAL + SLACK, probe(backend, DIAL)).await;
            drop(server);
            (format!("{} {stage:?} {noise:?}", protocol.name), looked.map(|it| it.err()), began.elapsed())
        });
    }
    took.extend(looks.join_all().await);
    let reached = took.iter().filter(|(_, looked, _)| matches!(looked, Ok(None))).count();
    for (what, looked, time) in &took {
        if looked.is_err() {
            writeln!(slow, "{what}: not over after {time:?}").unwrap();
        }
    }
    assert!(slow.is_empty(), "\n{slow}");
    // A backend that stalls only after its login is healthy for the health check. Most of them stall earlier.
    assert!(took.len() > 2 * reached, "{reached} of {}", took.len());
    let grown = peak() - before;
    assert!(grown < MEMORY, "{} MiB for {} looks", grown >> 20, took.len());
}

#[tokio::test(flavor = "multi_thread")]
async fn clients_receive_an_error_and_a_drain_is_not_delayed() {
    const CLIENTS: usize = 10;
    let (env, authority) = (Environment::new(), Authority::new().unwrap());
    let root = env.folder.path().join("endless.pem");
    std::fs::write(&root, authority.root_pem()).unwrap();
    let imap = starttls::proto::protocol("imap").unwrap();
    for noise in [Noise::Interim, Noise::Trickled(PAUSE)] {
        let server = Endless::start(imap, StallPoint::Hello, noise, &authority).unwrap();
        let config = Config::parse(&text(&env, &root, imap, server.address(), false), "test").unwrap();
        let mut running = env.start(config);
        let mut clients = JoinSet::new();
        for _ in 0..CLIENTS {
            let stream = within(env.connect(imap, running.address, false)).await;
            clients.spawn(async move {
                let mut stream = stream;
                let mut heard = String::new();
                within(stream.read_to_string(&mut heard)).await.unwrap();
                heard
            });
        }
        for heard in within(clients.join_all()).await {
            assert!(heard.starts_with("* BYE"), "{heard}");
        }
        let ended = running.ended(CLIENTS).await;
        assert!(ended.iter().all(|it| !it.is_empty() && it != "ok"), "{ended:?}");
        // Clients that wait for the backend when the gateway stops.
        let waiting = TcpStream::connect(running.address).await.unwrap();
        let stream = within(env.connector.upgrade(imap, "localhost", waiting)).await;
        let gateway = running.gateway.take().unwrap();
        let drained = tokio::task::spawn_blocking(move || gateway.drain());
        within(drained).await.unwrap();
        drop(stream);
    }
}

/// After the handshake, the stream of an XMPP client selects the backend. The gateway limits the octets before the
/// start of the stream.
#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_never_names_its_service_is_not_kept() {
    use tokio::io::AsyncWriteExt;
    let env = Environment::new();
    let xmpp = starttls::proto::protocol("xmpp").unwrap();
    let forward = [format!("xmpp://127.0.0.1:{}", env.cleartext.address("xmpp").unwrap().port())];
    let running = env.gateway("xmpp+starttls://{}", &forward, None);
    for piece in [" ".repeat(16 << 10), "<!-- -->".repeat(2 << 10), "<?xml version='1.0'?>".repeat(1 << 10)] {
        let mut stream = within(env.connect(xmpp, running.address, false)).await;
        let mut sent = 0;
        let talking = async {
            while stream.write_all(piece.as_bytes()).await.is_ok() && stream.flush().await.is_ok() {
                sent += piece.len();
                assert!(sent < 64 << 20, "64 MiB before the start of a stream were taken");
            }
        };
        within(talking).await;
    }
    let ended = running.ended(3).await;
    assert!(ended.iter().all(|it| it.starts_with("client: expected")), "{ended:?}");
}
