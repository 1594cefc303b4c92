//! One connection of a probe. It speaks the protocol's words and writes down what comes back; unlike the
//! engine's client it goes on when the server breaks a rule, since that is what it is there to see.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use starttls::proto::{
    ClientMessage, Dialect, Flow, Identity, Offer, Protocol, Refusal, ReplyTo, Scan, ServerMessage, Side,
};
use starttls::{Connector, Encrypted};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::record::{Mark, Record};
use crate::report::Kind;

/// Octets that a server may say before a probe gives up listening.
const MAX_UNREAD: usize = 256 * 1024;

/// Why a connection did not get as far as the probe wanted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Stop {
    /// No connection at all.
    Unreachable(String),
    /// The server said nothing in time; what was waited for.
    Silent(&'static str),
    /// The server closed the connection; before what.
    Closed(&'static str),
    /// The server turned us away: 421, BYE and their relatives.
    Bye(String),
    /// The server's bytes are no message of the protocol: what was expected.
    Malformed(&'static str),
    /// No more connections may be opened.
    Budget,
}

impl std::fmt::Display for Stop {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Unreachable(why) => write!(f, "no connection: {why}"),
            Self::Silent(what) => write!(f, "the server was silent where {what} belongs"),
            Self::Closed(what) => write!(f, "the server closed the connection where {what} belongs"),
            Self::Bye(text) => write!(f, "the server turned us away: \"{text}\""),
            Self::Malformed(expected) => write!(f, "the server's answer is malformed: expected {expected}"),
            Self::Budget => f.write_str("the limit of connections was reached"),
        }
    }
}

/// What the server said before anybody asked for TLS.
#[derive(Clone, Debug, Default)]
pub(crate) struct Opening {
    /// Whether it offered the upgrade; `None` where the protocol has no offer.
    pub(crate) offered: Option<bool>,
    /// Whether it called the session authenticated.
    pub(crate) preauthenticated: bool,
    /// Its greeting and the answer to the hello, raw.
    pub(crate) greeting: Vec<u8>,
    pub(crate) hello: Vec<u8>,
    /// Where they stand.
    pub(crate) seen: Option<Mark>,
    /// Milliseconds until the greeting and until the answer to the hello.
    pub(crate) greeting_ms: Option<f64>,
    pub(crate) hello_ms: Option<f64>,
}

/// A connection in cleartext.
pub(crate) struct Dialogue {
    io: TcpStream,
    pub(crate) protocol: &'static Protocol,
    dialect: Box<dyn Dialect>,
    unread: Vec<u8>,
    /// The last answer.
    pub(crate) last: Vec<u8>,
    pub(crate) record: Record,
    /// The longest wait for one answer.
    pub(crate) patience: Duration,
}

/// A connection inside TLS.
pub(crate) struct Inside {
    io: Encrypted<TcpStream>,
    dialect: Box<dyn Dialect>,
    unread: Vec<u8>,
    pub(crate) record: Record,
    patience: Duration,
}

impl Dialogue {
    /// Dials and says nothing yet.
    pub(crate) async fn open(
        protocol: &'static Protocol,
        identity: Identity,
        address: SocketAddr,
        patience: Duration,
        purpose: &str,
    ) -> Result<Self, (Stop, Record)> {
        let mut record = Record::new(purpose);
        let dialled = tokio::time::timeout(patience, TcpStream::connect(address)).await;
        let io = match dialled {
            Ok(Ok(io)) => io,
            Ok(Err(error)) => {
                record.text(Kind::Event, format!("no connection to {address}: {error}"));
                return Err((Stop::Unreachable(error.to_string()), record));
            }
            Err(_) => {
                record.text(Kind::Event, format!("no connection to {address} in time"));
                return Err((Stop::Unreachable(String::from("timed out")), record));
            }
        };
        // A segment is what is written at once: that is the point of several probes.
        let _ = io.set_nodelay(true);
        record.text(Kind::Event, format!("connected to {address}"));
        let dialect = (protocol.dialect)(identity);
        Ok(Self { io, protocol, dialect, unread: Vec::new(), last: Vec::new(), record, patience })
    }

    pub(crate) fn flow(&self) -> Flow {
        self.protocol.flow
    }

    /// The greeting, and the answer to the hello where the offer stands in it.
    pub(crate) async fn open_up(&mut self) -> Result<Opening, Stop> {
        let mut opening = Opening::default();
        let first = self.record.last();
        if self.flow().greeting {
            let (meaning, bytes) = self.answer(ReplyTo::Connect, "the greeting").await?;
            opening.greeting_ms = Some(self.record.elapsed_ms());
            opening.greeting = bytes;
            match meaning {
                ServerMessage::Offer { starttls } => opening.offered = Some(starttls),
                ServerMessage::PreAuthenticated => opening.preauthenticated = true,
                _ => {}
            }
        }
        if self.flow().offer == Offer::AfterHello && opening.offered != Some(true) {
            self.write(ClientMessage::Hello).await?;
            let (meaning, bytes) = self.answer(ReplyTo::Hello, "the answer to the hello").await?;
            opening.hello_ms = Some(self.record.elapsed_ms());
            opening.hello = bytes;
            if let ServerMessage::Offer { starttls } = meaning {
                opening.offered = Some(starttls);
            }
        }
        opening.seen = Some(self.record.since(first));
        Ok(opening)
    }

    /// The bytes of a message of ours, not sent yet.
    pub(crate) fn words(&mut self, message: ClientMessage) -> Vec<u8> {
        let mut bytes = Vec::new();
        self.dialect.write_client(message, &mut bytes);
        bytes
    }

    pub(crate) async fn write(&mut self, message: ClientMessage) -> Result<(), Stop> {
        let bytes = self.words(message);
        self.send(&bytes).await
    }

    /// Sends bytes in one segment, as far as that is ours to decide.
    pub(crate) async fn send(&mut self, bytes: &[u8]) -> Result<(), Stop> {
        self.record.bytes(Kind::Client, bytes);
        let sent = tokio::time::timeout(self.patience, self.io.write_all(bytes)).await;
        match sent {
            Ok(Ok(())) => Ok(()),
            _ => {
                self.record.text(Kind::Event, "the connection is closed");
                Err(Stop::Closed("our own words"))
            }
        }
    }

    /// The next message that answers something; notices and provisional replies are written down and passed over.
    pub(crate) async fn answer(
        &mut self,
        reply_to: ReplyTo,
        what: &'static str,
    ) -> Result<(ServerMessage, Vec<u8>), Stop> {
        self.answer_within(reply_to, what, self.patience).await
    }

    /// The same, with a patience of its own.
    pub(crate) async fn answer_within(
        &mut self,
        reply_to: ReplyTo,
        what: &'static str,
        patience: Duration,
    ) -> Result<(ServerMessage, Vec<u8>), Stop> {
        let until = Instant::now() + patience;
        let mut all = Vec::new();
        loop {
            let bytes = self.frame(reply_to, what, until).await?;
            all.extend_from_slice(&bytes);
            self.last.clone_from(&bytes);
            match self.dialect.read_server(reply_to, &bytes) {
                Ok(ServerMessage::Interim) => {}
                Ok(ServerMessage::Bye) => {
                    return Err(Stop::Bye(starttls::proto::Escaped(bytes.trim_ascii_end()).to_string()));
                }
                Ok(meaning) => return Ok((meaning, all)),
                // What answers a command of ours is judged by what it says, known to the dialect or not.
                Err(_) if reply_to == ReplyTo::Other => return Ok((ServerMessage::Other, all)),
                Err(malformed) => return Err(Stop::Malformed(malformed.expected)),
            }
        }
    }

    async fn frame(
        &mut self,
        reply_to: ReplyTo,
        what: &'static str,
        until: Instant,
    ) -> Result<Vec<u8>, Stop> {
        let mut scan = Scan::default();
        loop {
            if !self.unread.is_empty() {
                match self.dialect.frame(Side::Server, reply_to, &self.unread, &mut scan) {
                    Ok(Some(len)) => {
                        let message: Vec<u8> = self.unread.drain(..len).collect();
                        self.record.bytes(Kind::Server, &message);
                        return Ok(message);
                    }
                    Ok(None) if self.unread.len() < MAX_UNREAD => {}
                    Ok(None) => return Err(Stop::Malformed("an answer of reasonable length")),
                    Err(malformed) => {
                        let unread = std::mem::take(&mut self.unread);
                        self.record.bytes(Kind::Server, &unread);
                        if reply_to == ReplyTo::Other {
                            return Ok(unread);
                        }
                        return Err(Stop::Malformed(malformed.expected));
                    }
                }
            }
            let mut buffer = [0; 8192];
            match tokio::time::timeout_at(until.into(), self.io.read(&mut buffer)).await {
                Ok(Ok(len)) if len > 0 => {
                    self.unread.extend_from_slice(buffer.get(..len).unwrap_or_default())
                }
                Ok(_) => {
                    self.drop_unread();
                    self.record.text(Kind::Event, "the server closed the connection");
                    return Err(Stop::Closed(what));
                }
                Err(_) => {
                    self.drop_unread();
                    self.record.text(Kind::Event, "silence");
                    return Err(Stop::Silent(what));
                }
            }
        }
    }

    fn drop_unread(&mut self) {
        let unread = std::mem::take(&mut self.unread);
        if !unread.is_empty() {
            self.record.bytes(Kind::Server, &unread);
        }
    }

    /// The answer to a request for TLS that was sent already.
    pub(crate) async fn verdict(&mut self) -> Result<Result<(), Refusal>, Stop> {
        if !self.flow().verdict {
            return Ok(Ok(()));
        }
        match self.answer(ReplyTo::Request, "the answer to the upgrade request").await? {
            (ServerMessage::Accept, _) => Ok(Ok(())),
            (ServerMessage::Refuse(refusal), _) => Ok(Err(refusal)),
            _ => Err(Stop::Malformed("the exact go-ahead")),
        }
    }

    /// What the server has said beyond its last message, and whatever comes within `wait`.
    pub(crate) async fn listen(&mut self, wait: Duration) -> Vec<u8> {
        let mut buffer = [0; 8192];
        let until = Instant::now() + wait;
        while self.unread.len() < MAX_UNREAD {
            match tokio::time::timeout_at(until.into(), self.io.read(&mut buffer)).await {
                Ok(Ok(len)) if len > 0 => {
                    self.unread.extend_from_slice(buffer.get(..len).unwrap_or_default())
                }
                _ => break,
            }
        }
        let heard = std::mem::take(&mut self.unread);
        if !heard.is_empty() {
            self.record.bytes(Kind::Server, &heard);
        }
        heard
    }

    /// The server's message in words, where bytes do not speak for themselves.
    pub(crate) fn describe(&self, message: &[u8]) -> Option<String> {
        self.dialect.describe(Side::Server, message)
    }

    /// What has come beyond the go-ahead already, without waiting.
    pub(crate) fn beyond(&mut self) -> Vec<u8> {
        let beyond = std::mem::take(&mut self.unread);
        if !beyond.is_empty() {
            self.record.bytes(Kind::Server, &beyond);
        }
        beyond
    }

    /// Starts TLS, with a connector that finishes whatever the certificate.
    pub(crate) async fn secure(
        mut self,
        connector: &Connector,
        server_name: &str,
        identity: Identity,
    ) -> Result<Inside, (starttls::Error, Record)> {
        self.record.text(Kind::Boundary, "TLS from here");
        let dialect = (self.protocol.dialect)(Identity { inside_tls: true, ..identity });
        let shaking = connector.upgrade_implicit(self.protocol, server_name, self.io);
        let limit = self.patience;
        let late = |_| Err(starttls::Error::Timeout { step: "the TLS handshake", limit });
        match tokio::time::timeout(limit, shaking).await.unwrap_or_else(late) {
            Ok(io) => {
                let facts = io.facts();
                let text = format!("handshake done: {}, {}", facts.version_name(), facts.cipher_suite_name());
                self.record.text(Kind::Event, text);
                Ok(Inside { io, dialect, unread: Vec::new(), record: self.record, patience: self.patience })
            }
            Err(error) => {
                self.record.text(Kind::Event, format!("no handshake: {error}"));
                Err((error, self.record))
            }
        }
    }
}

impl Inside {
    pub(crate) fn session(&self) -> &Encrypted<TcpStream> {
        &self.io
    }

    pub(crate) fn words(&mut self, message: ClientMessage) -> Vec<u8> {
        let mut bytes = Vec::new();
        self.dialect.write_client(message, &mut bytes);
        bytes
    }

    /// Sends bytes; whether they could be sent.
    pub(crate) async fn send(&mut self, bytes: &[u8]) -> bool {
        if bytes.is_empty() {
            return true;
        }
        self.record.bytes(Kind::ClientInside, bytes);
        let sent = tokio::time::timeout(self.patience, async {
            self.io.write_all(bytes).await?;
            self.io.flush().await
        });
        matches!(sent.await, Ok(Ok(())))
    }

    /// The next whole message, within `wait`; `None` at the end of the connection or in silence.
    pub(crate) async fn message(&mut self, reply_to: ReplyTo, wait: Duration) -> Option<Vec<u8>> {
        let until = Instant::now() + wait;
        let mut scan = Scan::default();
        loop {
            if !self.unread.is_empty() {
                match self.dialect.frame(Side::Server, reply_to, &self.unread, &mut scan) {
                    Ok(Some(len)) => {
                        let message: Vec<u8> = self.unread.drain(..len).collect();
                        self.record.bytes(Kind::ServerInside, &message);
                        return Some(message);
                    }
                    Ok(None) if self.unread.len() < MAX_UNREAD => {}
                    _ => return self.rest(),
                }
            }
            let mut buffer = [0; 8192];
            match tokio::time::timeout_at(until.into(), self.io.read(&mut buffer)).await {
                Ok(Ok(len)) if len > 0 => {
                    self.unread.extend_from_slice(buffer.get(..len).unwrap_or_default())
                }
                Ok(_) => {
                    let rest = self.rest();
                    self.record.text(Kind::Event, "the server closed the connection");
                    return rest;
                }
                Err(_) => {
                    self.record.text(Kind::Event, "silence");
                    return None;
                }
            }
        }
    }

    /// What is left when nothing more comes: an answer that is cut short is one, too.
    fn rest(&mut self) -> Option<Vec<u8>> {
        let rest = std::mem::take(&mut self.unread);
        if rest.is_empty() {
            return None;
        }
        self.record.bytes(Kind::ServerInside, &rest);
        Some(rest)
    }

    /// What the message means here.
    pub(crate) fn meaning(&mut self, reply_to: ReplyTo, message: &[u8]) -> Option<ServerMessage> {
        self.dialect.read_server(reply_to, message).ok()
    }

    /// The message in words, where bytes do not speak for themselves.
    pub(crate) fn describe(&self, message: &[u8]) -> Option<String> {
        self.dialect.describe(Side::Server, message)
    }
}
