//! A session inside TLS: commands that the engine frames, and raw lines where a command announces them.

use std::collections::VecDeque;
use std::fmt;
use std::future::Future;
use std::io::{self, ErrorKind};
use std::net::IpAddr;
use std::time::Duration;

use starttls::Encrypted;
use starttls::proto::{self, Identity, OfferPlace, Protocol, ServerMessage, ServerSession, SessionCommand};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

/// The size limit of a line, a literal, a message or a file, in octets.
pub(crate) const LIMIT: usize = 1 << 20;

/// Why a session ended before its goodbye.
#[derive(Debug)]
#[non_exhaustive]
pub enum SessionError {
    /// The negotiation or the handshake failed.
    Negotiation(starttls::Error),
    /// The client sent an invalid command inside TLS.
    Protocol(Box<proto::Error>),
    /// The connection failed, or ended without a close_notify alert.
    Io(io::Error),
    /// The client sent or read nothing for too long.
    Idle,
    /// The client sent a message that is too long, or malformed in a part that the engine does not check.
    Bad(&'static str),
}

impl fmt::Display for SessionError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Negotiation(error) => error.fmt(f),
            Self::Protocol(error) => error.fmt(f),
            Self::Io(error) => write!(f, "the connection failed: {error}"),
            Self::Idle => f.write_str("the client was idle for too long"),
            Self::Bad(expected) => write!(f, "invalid input of the client: expected {expected}"),
        }
    }
}

impl std::error::Error for SessionError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Negotiation(error) => Some(error),
            Self::Protocol(error) => Some(error),
            Self::Io(error) => Some(error),
            Self::Idle | Self::Bad(_) => None,
        }
    }
}

impl From<starttls::Error> for SessionError {
    fn from(error: starttls::Error) -> Self {
        Self::Negotiation(error)
    }
}

impl From<io::Error> for SessionError {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

/// The stream of a session: TLS, or the stream of a rogue.
pub(crate) trait SessionStream: AsyncRead + AsyncWrite + Unpin + Send {}
impl<S: AsyncRead + AsyncWrite + Unpin + Send> SessionStream for S {}

/// What cuts the input into commands and answers some of them: [`ServerSession`], or what a rogue has instead.
pub(crate) trait Engine: Send {
    /// Takes input, and returns the part that does not fit the buffer.
    fn receive<'a>(&mut self, input: &'a [u8]) -> &'a [u8];
    /// Takes the unread input back.
    fn take_unread(&mut self) -> Vec<u8>;
    /// Returns the next command, or `None` if more input is needed.
    fn next(&mut self, out: &mut Vec<u8>) -> Result<Option<SessionCommand>, SessionError>;
    /// Returns whether the session is over.
    fn is_over(&self) -> bool {
        false
    }
    /// Restarts the session, as another service.
    fn restart(&mut self, protocol: &'static Protocol, identity: Identity);
}

impl Engine for ServerSession {
    fn receive<'a>(&mut self, input: &'a [u8]) -> &'a [u8] {
        self.receive(input)
    }

    fn take_unread(&mut self) -> Vec<u8> {
        self.take_unread()
    }

    fn next(&mut self, out: &mut Vec<u8>) -> Result<Option<SessionCommand>, SessionError> {
        self.next(out).map_err(SessionError::Protocol)
    }

    fn restart(&mut self, protocol: &'static Protocol, identity: Identity) {
        *self = Self::new(protocol, identity, &mut Vec::new());
    }
}

/// The addresses of the two ends of a connection.
#[derive(Clone, Copy)]
pub(crate) struct ConnectionAddresses {
    pub(crate) local: IpAddr,
    pub(crate) peer: IpAddr,
}

impl ConnectionAddresses {
    pub(crate) fn of(stream: &TcpStream) -> io::Result<Self> {
        Ok(Self { local: stream.local_addr()?.ip(), peer: stream.peer_addr()?.ip() })
    }
}

/// A session of an application: the stream, the engine that frames commands, and an output buffer that is written before
/// the next read.
pub(crate) struct Session {
    stream: Box<dyn SessionStream>,
    ends: ConnectionAddresses,
    protocol: &'static Protocol,
    identity: Identity,
    engine: Box<dyn Engine>,
    /// Bytes that were received and are not in the engine yet.
    input: VecDeque<u8>,
    out: Vec<u8>,
    idle: Duration,
}

impl Session {
    /// Starts the session that follows an upgrade.
    pub(crate) fn upgraded(
        protocol: &'static Protocol,
        identity: Identity,
        stream: Encrypted<TcpStream>,
        idle: Duration,
    ) -> io::Result<Self> {
        let mut out = Vec::new();
        let inside = ServerSession::new(protocol, identity.clone(), &mut out);
        let ends = ConnectionAddresses::of(stream.io())?;
        Ok(Self::over(Box::new(stream), ends, protocol, identity, Box::new(inside), out, idle))
    }

    /// Starts a session on any stream with any engine. `out` is sent first.
    pub(crate) fn over(
        stream: Box<dyn SessionStream>,
        ends: ConnectionAddresses,
        protocol: &'static Protocol,
        identity: Identity,
        engine: Box<dyn Engine>,
        out: Vec<u8>,
        idle: Duration,
    ) -> Self {
        Self { stream, ends, protocol, identity, engine, input: VecDeque::new(), out, idle }
    }

    /// Starts the session of a connection with implicit TLS, which starts with the greeting.
    pub(crate) fn implicit(
        protocol: &'static Protocol,
        identity: Identity,
        stream: Encrypted<TcpStream>,
        idle: Duration,
    ) -> io::Result<Self> {
        let mut session = Self::upgraded(protocol, identity, stream, idle)?;
        session.out.clear();
        if protocol.flow.greeting {
            let greeting = match protocol.flow.offer {
                OfferPlace::InGreeting => ServerMessage::Offer { starttls: false },
                OfferPlace::AfterHello | OfferPlace::Unannounced => ServerMessage::Greeting,
            };
            let inside = session.identity.clone().inside_tls();
            protocol.new_dialect(inside).write_server(greeting, &mut session.out);
        }
        Ok(session)
    }

    /// Restarts the engine with other capabilities, as an XMPP stream restarts after the login.
    pub(crate) fn restart(&mut self, capabilities: &[&str]) {
        self.reclaim();
        self.identity.capabilities = capabilities.iter().filter_map(|it| it.parse().ok()).collect();
        self.engine.restart(self.protocol, self.identity.clone());
    }

    /// Returns the next command, whether the engine has answered it or not, or the goodbye. Returns `None` if the client closed
    /// the connection.
    pub(crate) async fn next(&mut self) -> Result<Option<SessionCommand>, SessionError> {
        loop {
            match self.engine.next(&mut self.out) {
                Ok(Some(command)) => return Ok(Some(command)),
                Ok(None) if self.engine.is_over() => return Ok(None),
                Ok(None) => {}
                Err(error) => {
                    self.flush().await?;
                    return Err(error);
                }
            }
            if self.input.is_empty() && !self.fill().await? {
                return Ok(None);
            }
            let input = self.input.make_contiguous();
            let left = self.engine.receive(input).len();
            self.input.drain(..self.input.len() - left);
        }
    }

    /// Returns the next command that the application must answer, or `None` at the end of the session.
    pub(crate) async fn next_command(&mut self) -> Result<Option<Vec<u8>>, SessionError> {
        loop {
            match self.next().await? {
                Some(SessionCommand::Message(message)) => return Ok(Some(message)),
                Some(SessionCommand::Answered(_)) => {}
                Some(SessionCommand::Quit) | None => return Ok(None),
            }
        }
    }

    /// Returns the next line with its line ending: the continuation of a command, or a line of a message.
    pub(crate) async fn line(&mut self) -> Result<Vec<u8>, SessionError> {
        self.reclaim();
        let mut seen = 0;
        loop {
            if let Some(end) = self.input.iter().skip(seen).position(|&byte| byte == b'\n') {
                return Ok(self.input.drain(..=seen + end).collect());
            }
            seen = self.input.len();
            if seen >= LIMIT {
                return Err(SessionError::Bad("a line of at most 1 MiB"));
            }
            self.more().await?;
        }
    }

    /// Returns the lines up to one with a single dot, without the doubled dots (RFC 5321 section 4.5.2).
    pub(crate) async fn block(&mut self) -> Result<Vec<u8>, SessionError> {
        let mut block = Vec::new();
        loop {
            let line = self.line().await?;
            if line == b".\r\n" {
                return Ok(block);
            }
            block.extend_from_slice(line.strip_prefix(b".").unwrap_or(&line));
            if block.len() > LIMIT {
                return Err(SessionError::Bad("a message of at most 1 MiB"));
            }
        }
    }

    /// Queues bytes, which are written before the next read.
    pub(crate) fn send(&mut self, bytes: impl AsRef<[u8]>) {
        self.out.extend_from_slice(bytes.as_ref());
    }

    /// Queues a line.
    pub(crate) fn say(&mut self, line: impl AsRef<str>) {
        self.send(line.as_ref());
        self.send("\r\n");
    }

    /// Queues a text as a multi-line answer: with doubled dots, and a line with a single dot at the end.
    pub(crate) fn send_block(&mut self, text: &[u8]) {
        for line in text.split_inclusive(|&byte| byte == b'\n') {
            if line.starts_with(b".") {
                self.send(".");
            }
            self.send(line);
        }
        self.send(if text.is_empty() || text.ends_with(b"\n") { ".\r\n" } else { "\r\n.\r\n" });
    }

    /// Writes the queued bytes.
    pub(crate) async fn flush(&mut self) -> Result<(), SessionError> {
        let out = std::mem::take(&mut self.out);
        let stream = &mut self.stream;
        within(self.idle, async {
            stream.write_all(&out).await?;
            stream.flush().await
        })
        .await
    }

    /// Replaces the end of the queued bytes: an answer of the engine for which the application has a better one.
    pub(crate) fn amend(&mut self, end: &str, better: &str) {
        if self.out.ends_with(end.as_bytes()) {
            self.out.truncate(self.out.len() - end.len());
            self.out.extend_from_slice(better.as_bytes());
        }
    }

    /// Ends TLS with close_notify.
    pub(crate) async fn close(mut self) -> Result<(), SessionError> {
        self.flush().await?;
        // The client may be gone after its goodbye.
        let _ = within(self.idle, self.stream.shutdown()).await;
        Ok(())
    }

    /// Returns the addresses of the connection.
    pub(crate) fn ends(&self) -> ConnectionAddresses {
        self.ends
    }

    /// Returns the time limit of one read or write.
    pub(crate) fn idle(&self) -> Duration {
        self.idle
    }

    fn unread(&mut self, bytes: &[u8]) {
        for byte in bytes.iter().rev() {
            self.input.push_front(*byte);
        }
    }

    fn reclaim(&mut self) {
        let unread = self.engine.take_unread();
        self.unread(&unread);
    }

    async fn more(&mut self) -> Result<(), SessionError> {
        if self.fill().await? { Ok(()) } else { Err(io::Error::from(ErrorKind::UnexpectedEof).into()) }
    }

    async fn fill(&mut self) -> Result<bool, SessionError> {
        self.flush().await?;
        let mut buffer = [0; 8 * 1024];
        let read = within(self.idle, self.stream.read(&mut buffer)).await?;
        self.input.extend(&buffer[..read]);
        Ok(read > 0)
    }
}

/// Runs one step with a time limit.
pub(crate) async fn within<T>(
    limit: Duration,
    step: impl Future<Output = io::Result<T>>,
) -> Result<T, SessionError> {
    timeout(limit, step).await.map_err(|_| SessionError::Idle)?.map_err(SessionError::Io)
}
