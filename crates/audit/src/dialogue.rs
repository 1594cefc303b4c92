//! One connection of a probe. It speaks the protocol's words and writes down what comes back; unlike the
//! engine's client it goes on when the server breaks a rule, since that is what it is there to see.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use starttls::proto::{
    ClientMessage, Escaped, Flow, Identity, Offer, Protocol, Refusal, ReplyTo, ServerMessage,
};
use starttls::{Connector, Encrypted};
use tokio::net::TcpStream;

use crate::channel::{Channel, Next};
use crate::hello::{self, NoList};
use crate::record::{Mark, Record};
use crate::report::Kind;

/// Why a connection did not get as far as the probe wanted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Stop {
    /// No connection at all.
    Unreachable(String),
    /// The server said nothing in time; what was waited for.
    Silent(&'static str),
    /// The server answered what came behind, and not this.
    PassedOver(&'static str),
    /// The server closed the connection; before what.
    Closed(&'static str),
    /// The server turned us away: 421, BYE and their relatives.
    Bye(String),
    /// The server's bytes are no message of the protocol: what was expected.
    Malformed(&'static str),
    /// The upgrade was agreed, and the handshake failed: how.
    Unshaken(String),
    /// No more connections may be opened.
    Budget,
}

impl Stop {
    /// Whether a server that has had enough of us may have done it.
    pub(crate) fn turns_away(&self) -> bool {
        matches!(self, Self::Unreachable(_) | Self::Bye(_) | Self::Closed(_) | Self::Silent("the greeting"))
    }
}

impl std::fmt::Display for Stop {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Unreachable(why) => write!(f, "no connection: {why}"),
            Self::Silent(what) => write!(f, "the server was silent where {what} belongs"),
            Self::PassedOver(what) => write!(f, "the server passed over where {what} belongs"),
            Self::Closed(what) => write!(f, "the server closed the connection where {what} belongs"),
            Self::Bye(text) => write!(f, "the server turned us away: \"{text}\""),
            Self::Malformed(expected) => write!(f, "the server's answer is malformed: expected {expected}"),
            Self::Unshaken(why) => write!(f, "the handshake fails: {why}"),
            Self::Budget => f.write_str("the limit of connections (--max-connections) was reached"),
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
    /// Why there is no list of capabilities, if the hello was refused.
    pub(crate) no_list: Option<NoList>,
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
pub(crate) type Dialogue = Channel<TcpStream>;

/// A connection inside TLS.
pub(crate) type Inside = Channel<Encrypted<TcpStream>>;

impl Dialogue {
    /// Dials and says nothing yet.
    pub(crate) async fn open(
        protocol: &'static Protocol,
        identity: Identity,
        address: SocketAddr,
        patience: Duration,
        purpose: &str,
    ) -> Result<Self, (Stop, Record)> {
        let mut record = Record::new(purpose).of(protocol);
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
        Ok(Self::new(io, protocol, dialect, record, patience, [Kind::Client, Kind::Server]))
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
            let hello = self.words(ClientMessage::Hello);
            self.send(&hello).await?;
            let (meaning, bytes) = self.answer(ReplyTo::Hello, "the answer to the hello").await?;
            opening.hello_ms = Some(self.record.elapsed_ms());
            opening.hello = bytes;
            if let ServerMessage::Offer { starttls } = meaning {
                opening.offered = Some(starttls);
            }
            opening.no_list = NoList::read(self.protocol, &opening.hello);
            if let Some(older) = opening.no_list.as_ref().and_then(|_| hello::older(&hello)) {
                // Whatever becomes of it: the request decides.
                let _ = self.send(&older).await;
                let _ = self.answer(ReplyTo::Other, "the answer to HELO").await;
            }
        }
        opening.seen = Some(self.record.since(first));
        Ok(opening)
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
            let bytes = match self.next(reply_to, until).await {
                Next::Message(bytes) => bytes,
                // What answers a command of ours is judged by what it says, known to the dialect or not.
                Next::Broken(bytes, _) if reply_to == ReplyTo::Other => bytes,
                Next::Broken(_, expected) => return Err(Stop::Malformed(expected)),
                Next::Closed(_) => return Err(Stop::Closed(what)),
                Next::Silent => return Err(Stop::Silent(what)),
            };
            all.extend_from_slice(&bytes);
            match self.dialect.read_server(reply_to, &bytes) {
                Ok(ServerMessage::Interim) => {}
                Ok(ServerMessage::Bye) => {
                    let escaped = || Escaped(bytes.trim_ascii_end()).to_string();
                    return Err(Stop::Bye(self.describe(&bytes).unwrap_or_else(escaped)));
                }
                Ok(meaning) => return Ok((meaning, all)),
                Err(_) if reply_to == ReplyTo::Other => return Ok((ServerMessage::Other, all)),
                Err(malformed) => return Err(Stop::Malformed(malformed.expected)),
            }
        }
    }

    /// The answer to a request for TLS that was sent already; a refusal in the server's own words too.
    pub(crate) async fn verdict(&mut self) -> Result<Result<(), (Refusal, Vec<u8>)>, Stop> {
        if !self.flow().verdict {
            return Ok(Ok(()));
        }
        match self.answer(ReplyTo::Request, "the answer to the upgrade request").await? {
            (ServerMessage::Accept, _) => Ok(Ok(())),
            (ServerMessage::Refuse(refusal), answer) => Ok(Err((refusal, answer))),
            _ => Err(Stop::Malformed("the exact go-ahead")),
        }
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
                let kinds = [Kind::ClientInside, Kind::ServerInside];
                Ok(Inside::new(io, self.protocol, dialect, self.record, self.patience, kinds))
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

    /// The next message within `wait`; `None` at the end of the connection or in silence. An answer that is cut
    /// short, or is none of the protocol's, is one too.
    pub(crate) async fn message(&mut self, reply_to: ReplyTo, wait: Duration) -> Option<Vec<u8>> {
        match self.next(reply_to, Instant::now() + wait).await {
            Next::Message(message) => Some(message),
            Next::Broken(rest, _) | Next::Closed(rest) => Some(rest).filter(|rest| !rest.is_empty()),
            Next::Silent => None,
        }
    }

    /// What the message means here.
    pub(crate) fn meaning(&mut self, reply_to: ReplyTo, message: &[u8]) -> Option<ServerMessage> {
        self.dialect.read_server(reply_to, message).ok()
    }
}
