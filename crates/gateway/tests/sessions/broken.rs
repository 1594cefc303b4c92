//! A connection that breaks on one leg must not end cleanly on the other leg: the peer would take a truncated message
//! for a complete one.

use std::io;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use socket2::SockRef;
use starttls::proto::smtp::SUBMISSION;
use starttls::{Acceptor, Encrypted};
use starttls_gateway::Config;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use crate::environment::{Environment, Running, within};

/// One peer of a session.
enum Peer {
    Clear(TcpStream),
    Tls(Box<Encrypted<TcpStream>>),
}

trait Io: AsyncRead + AsyncWrite + Unpin {}
impl<T: AsyncRead + AsyncWrite + Unpin> Io for T {}

impl Peer {
    fn io(&mut self) -> &mut dyn Io {
        match self {
            Self::Clear(tcp) => tcp,
            Self::Tls(tls) => tls,
        }
    }

    async fn say(&mut self, text: &str) {
        within(self.io().write_all(text.as_bytes())).await.unwrap();
        within(self.io().flush()).await.unwrap();
    }

    async fn hear(&mut self, text: &str) {
        let mut heard = vec![0; text.len()];
        within(self.io().read_exact(&mut heard)).await.unwrap();
        assert_eq!(String::from_utf8_lossy(&heard), text);
    }

    /// Breaks the connection: with a reset, or with a FIN without close_notify.
    fn break_off(self, how: Break) {
        let tcp = match &self {
            Self::Clear(tcp) => tcp,
            Self::Tls(tls) => tls.io(),
        };
        if how == Break::Reset {
            SockRef::from(tcp).set_linger(Some(Duration::ZERO)).unwrap();
        }
    }

    /// Returns what the peer receives until the end, or `Err` if the connection does not end cleanly.
    async fn rest(&mut self) -> io::Result<String> {
        let mut heard = String::new();
        within(self.io().read_to_string(&mut heard)).await?;
        Ok(heard)
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Break {
    Reset,
    /// A FIN without close_notify. It exists only inside TLS: in cleartext, a FIN is a clean end.
    Truncation,
}

/// The legs that use TLS.
#[derive(Clone, Copy, Debug)]
struct Legs {
    front: bool,
    back: bool,
}

/// The combination without any TLS is missing: a listener without TLS requires a backend with TLS.
const LEGS: [Legs; 3] =
    [Legs { front: true, back: false }, Legs { front: true, back: true }, Legs { front: false, back: true }];

fn gateway(env: &Environment, legs: Legs, backend: SocketAddr, more: &str) -> Running {
    let (cert, key) = &env.certificate;
    let front = match legs.front {
        true => format!("listen = \"submission+starttls://127.0.0.1:0\"\ncert = {cert:?}\nkey = {key:?}\n"),
        false => String::from("listen = \"submission://127.0.0.1:0\"\n"),
    };
    let back = match legs.back {
        true => format!("{{ url = \"smtps://localhost:{}\", ca-file = {:?} }}", backend.port(), env.root),
        false => format!("\"submission://{backend}\""),
    };
    let text = format!("[[listener]]\n{front}forward = {back}\n{more}");
    env.start(Config::parse(&text, "test").unwrap())
}

/// Returns the client and the backend of a session in which both have sent data.
async fn session(
    env: &Environment,
    running: &Running,
    listener: &TcpListener,
    legs: Legs,
    opaque: bool,
) -> (Peer, Peer) {
    let [chain, key] = [&env.certificate.0, &env.certificate.1].map(|path| std::fs::read(path).unwrap());
    let acceptor = Acceptor::builder(&SUBMISSION, "localhost").certificate_pem(chain, key).build().unwrap();
    let backend = async {
        let (tcp, _) = within(listener.accept()).await.unwrap();
        let mut backend = match legs.back {
            true => Peer::Tls(Box::new(within(acceptor.accept_implicit(tcp)).await.unwrap())),
            false => Peer::Clear(tcp),
        };
        backend.say("220 backend\r\n").await;
        backend
    };
    let client = async {
        match legs.front {
            true => Peer::Tls(Box::new(within(env.connect(&SUBMISSION, running.address, false)).await)),
            false => {
                let mut client = Peer::Clear(TcpStream::connect(running.address).await.unwrap());
                client.hear("220 backend\r\n").await;
                client
            }
        }
    };
    let (mut client, mut backend) = tokio::join!(client, backend);
    // After MAIL FROM, the gateway relays the session without parsing it.
    let command = if opaque { "MAIL FROM:<a@example.test>\r\n" } else { "NOOP\r\n" };
    client.say(command).await;
    backend.hear(command).await;
    backend.say("250 ok\r\n").await;
    client.hear("250 ok\r\n").await;
    (client, backend)
}

/// One way to break a session.
#[derive(Clone, Copy, Debug)]
struct Case {
    legs: Legs,
    opaque: bool,
    client_breaks: bool,
    /// Whether the other side has ended its direction before.
    half_closed: bool,
    how: Break,
}

impl Case {
    /// Returns what the other side receives up to its end, or `Err` if that end is not clean.
    async fn end(self, env: &Environment, running: &Running, listener: &TcpListener) -> io::Result<String> {
        let (client, backend) = session(env, running, listener, self.legs, self.opaque).await;
        let (mut breaking, mut other, part) = match self.client_breaks {
            true => (client, backend, "NOOP\r\n"),
            false => (backend, client, "250 a part of it\r\n"),
        };
        if self.half_closed {
            within(other.io().shutdown()).await.unwrap();
            assert_eq!(breaking.rest().await.unwrap(), "");
        }
        breaking.say(part).await;
        other.hear(part).await;
        breaking.break_off(self.how);
        other.rest().await
    }
}

/// How long the gateway waits for a client after the backend has ended its direction. The session then ends in good order.
const LINGER: Duration = Duration::from_secs(5);

/// Tests both ways to break a connection, on each leg, in both phases, before and after the other side has ended its
/// direction.
#[tokio::test(flavor = "multi_thread")]
async fn g7_a_broken_end_stays_broken() {
    let env = Environment::new();
    let mut wrong = Vec::new();
    for legs in LEGS {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let running = gateway(&env, legs, listener.local_addr().unwrap(), "");
        for number in 0..16 {
            let [opaque, client_breaks, half_closed, resets] = [1, 2, 4, 8].map(|bit| number & bit != 0);
            let how = if resets { Break::Reset } else { Break::Truncation };
            let broken_leg_has_tls = if client_breaks { legs.front } else { legs.back };
            if how == Break::Truncation && !broken_leg_has_tls {
                continue;
            }
            let case = Case { legs, opaque, client_breaks, half_closed, how };
            // A case that took longer than the gateway waits for the client shows nothing, and is repeated.
            for attempt in 1..=3 {
                let began = Instant::now();
                let Ok(rest) = case.end(&env, &running, &listener).await else { break };
                if began.elapsed() < LINGER || attempt == 3 {
                    wrong.push(format!("{case:?}: the other side saw an end in good order after {rest:?}"));
                    break;
                }
            }
        }
    }
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
}

/// The same with a clean end of each direction.
#[tokio::test(flavor = "multi_thread")]
async fn an_end_in_good_order_stays_one() {
    let env = Environment::new();
    for legs in LEGS {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let running = gateway(&env, legs, listener.local_addr().unwrap(), "");
        for opaque in [false, true] {
            for client_first in [true, false] {
                let (client, backend) = session(&env, &running, &listener, legs, opaque).await;
                let (mut first, mut second) =
                    if client_first { (client, backend) } else { (backend, client) };
                // As long as the gateway parses messages, further text would have to be a valid command or reply.
                let part = if opaque { "250 ok\r\n" } else { "" };
                for _ in 0..2 {
                    first.say(part).await;
                    within(first.io().shutdown()).await.unwrap();
                    assert_eq!(second.rest().await.unwrap(), part, "{legs:?} {opaque} {client_first}");
                    std::mem::swap(&mut first, &mut second);
                }
            }
        }
        assert_eq!(running.ended(4).await, ["ok"; 4], "{legs:?}");
    }
}

/// A session that the gateway ends, because of the idle limit or a stop, does not end cleanly.
#[tokio::test(flavor = "multi_thread")]
async fn what_the_gateway_cuts_off_is_seen_to_be_cut_off() {
    let env = Environment::new();
    let [one, two, three] = LEGS.map(|legs| cut_off(&env, legs));
    tokio::join!(one, two, three);
}

async fn cut_off(env: &Environment, legs: Legs) {
    for stop in [false, true] {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let limits = if stop { "" } else { "limits = { idle = \"6s\" }\n" };
        let mut running = gateway(env, legs, listener.local_addr().unwrap(), limits);
        let (mut client, mut backend) = session(env, &running, &listener, legs, true).await;
        if stop {
            drop(running.gateway.take());
        }
        for (name, peer) in [("client", &mut client), ("backend", &mut backend)] {
            let rest = peer.rest().await;
            assert!(rest.is_err(), "{legs:?}, stop: {stop}: the {name} saw an end in good order: {rest:?}");
        }
    }
}
