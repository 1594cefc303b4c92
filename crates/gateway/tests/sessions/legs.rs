//! Sessions with TLS on either leg or on both, whose peers are both in the test.

use std::io;
use std::time::Duration;

use socket2::SockRef;
use starttls::proto::smtp::SUBMISSION;
use starttls::{Acceptor, Encrypted};
use starttls_gateway::Config;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use crate::environment::{Environment, Running, within};

/// One peer of a session.
pub(crate) enum Peer {
    Clear(TcpStream),
    Tls(Box<Encrypted<TcpStream>>),
}

pub(crate) trait Io: AsyncRead + AsyncWrite + Unpin {}
impl<T: AsyncRead + AsyncWrite + Unpin> Io for T {}

impl Peer {
    pub(crate) fn io(&mut self) -> &mut dyn Io {
        match self {
            Self::Clear(tcp) => tcp,
            Self::Tls(tls) => tls,
        }
    }

    pub(crate) async fn say(&mut self, text: &str) {
        within(self.io().write_all(text.as_bytes())).await.unwrap();
        within(self.io().flush()).await.unwrap();
    }

    pub(crate) async fn hear(&mut self, text: &str) {
        let mut heard = vec![0; text.len()];
        within(self.io().read_exact(&mut heard)).await.unwrap();
        assert_eq!(String::from_utf8_lossy(&heard), text);
    }

    /// Breaks the connection: with a reset, or with a FIN without close_notify.
    pub(crate) fn break_off(self, how: Break) {
        let tcp = match &self {
            Self::Clear(tcp) => tcp,
            Self::Tls(tls) => tls.io(),
        };
        if how == Break::Reset {
            SockRef::from(tcp).set_linger(Some(Duration::ZERO)).unwrap();
        }
    }

    /// Returns what the peer receives until the end, or `Err` if the connection does not end cleanly.
    pub(crate) async fn rest(&mut self) -> io::Result<String> {
        let mut heard = String::new();
        within(self.io().read_to_string(&mut heard)).await?;
        Ok(heard)
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Break {
    Reset,
    /// A FIN without close_notify. It exists only inside TLS: in cleartext, a FIN is a clean end.
    Truncation,
}

/// The legs that use TLS.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Legs {
    pub(crate) front: bool,
    pub(crate) back: bool,
}

/// The combination without any TLS is missing: a listener without TLS requires a backend with TLS.
pub(crate) const LEGS: [Legs; 3] =
    [Legs { front: true, back: false }, Legs { front: true, back: true }, Legs { front: false, back: true }];

/// A gateway between clients and a backend of the test.
pub(crate) struct Between<'a> {
    env: &'a Environment,
    legs: Legs,
    listener: TcpListener,
    pub(crate) running: Running,
}

impl<'a> Between<'a> {
    /// Starts a gateway. `more` are settings of its listener.
    pub(crate) async fn start(env: &'a Environment, legs: Legs, more: &str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let backend = listener.local_addr().unwrap();
        let (cert, key) = &env.certificate;
        let front = match legs.front {
            true => {
                format!("listen = \"submission+starttls://127.0.0.1:0\"\ncert = {cert:?}\nkey = {key:?}\n")
            }
            false => String::from("listen = \"submission://127.0.0.1:0\"\n"),
        };
        let back = match legs.back {
            true => {
                format!("{{ url = \"smtps://localhost:{}\", ca-file = {:?} }}", backend.port(), env.root)
            }
            false => format!("\"submission://{backend}\""),
        };
        let text = format!("[[listener]]\n{front}forward = {back}\n{more}");
        let running = env.start(Config::parse(&text, "test").unwrap());
        Self { env, legs, listener, running }
    }

    /// Returns the client and the backend of a session in which both have sent data.
    pub(crate) async fn session(&self, opaque: bool) -> (Peer, Peer) {
        let Self { env, legs, listener, running } = self;
        let [chain, key] = [&env.certificate.0, &env.certificate.1].map(|path| std::fs::read(path).unwrap());
        let acceptor =
            Acceptor::builder(&SUBMISSION, "localhost").certificate_pem(chain, key).build().unwrap();
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
}
