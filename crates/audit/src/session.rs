//! One connection of a probe. It speaks the protocol's words and writes down what comes back; unlike the
//! engine's client it goes on when the server breaks a rule, since that is what it is there to see.

use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};

use starttls::proto::{
    ClientMessage, Flow, HelloRefusal, Identity, OfferPlace, Protocol, Refusal, ReplyTo, ServerMessage,
};
use starttls::{Connector, Encrypted};
use tokio::net::TcpStream;

use crate::channel::{Channel, Reply};
pub(crate) use crate::error::ProbeError;
use crate::error::{GO_AHEAD, GREETING, HELLO};
use crate::hello;
use crate::profile::ProtocolProfile;
use crate::record::{Mark, Record};
use crate::report::EntryKind;

/// What the server said before anybody asked for TLS.
#[derive(Clone, Debug, Default)]
pub(crate) struct Opening {
    /// Whether it offered the upgrade; `None` where the protocol has no offer.
    pub(crate) offered: Option<bool>,
    /// Whether it called the session authenticated.
    pub(crate) preauthenticated: bool,
    /// Why there is no list of capabilities, if the hello was refused.
    pub(crate) no_list: Option<HelloRefusal>,
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
pub(crate) type CleartextSession = Channel<TcpStream>;

/// A connection inside TLS.
pub(crate) type TlsSession = Channel<Encrypted<TcpStream>>;

impl CleartextSession {
    /// Dials and says nothing yet.
    pub(crate) async fn open(
        protocol: &'static Protocol,
        identity: Identity,
        address: SocketAddr,
        (reply_timeout, ends): (Duration, Instant),
        purpose: &str,
    ) -> Result<Self, (ProbeError, Record)> {
        let mut record = Record::new(purpose).of(protocol);
        let until = (Instant::now() + reply_timeout).min(ends);
        let dialled = tokio::time::timeout_at(until.into(), TcpStream::connect(address)).await;
        let io = match dialled {
            Ok(Ok(io)) => io,
            Ok(Err(error)) => {
                record.text(EntryKind::Event, format!("no connection to {address}: {error}"));
                return Err((ProbeError::Unreachable(error.to_string()), record));
            }
            Err(_) if Instant::now() >= ends => return Err((ProbeError::Deadline, record)),
            Err(_) => {
                record.text(EntryKind::Event, format!("no connection to {address} in time"));
                return Err((ProbeError::Unreachable(String::from("timed out")), record));
            }
        };
        // A segment is what is written at once: that is the point of several probes.
        let _ = io.set_nodelay(true);
        record.text(EntryKind::Event, format!("connected to {address}"));
        let dialect = (protocol.dialect)(identity);
        Ok(Self::new(
            io,
            protocol,
            dialect,
            record,
            (reply_timeout, ends),
            [EntryKind::Client, EntryKind::Server],
        ))
    }

    /// The address that the server sees this client at.
    pub(crate) fn source(&self) -> Option<IpAddr> {
        self.io.local_addr().ok().map(|it| it.ip())
    }

    pub(crate) fn flow(&self) -> Flow {
        self.protocol.flow
    }

    /// The greeting, and the answer to the hello where the offer stands in it.
    pub(crate) async fn read_greeting_and_hello(&mut self) -> Result<Opening, ProbeError> {
        let mut opening = Opening::default();
        let first = self.record.last();
        if self.flow().greeting {
            let reply = self.answer_to(ReplyTo::Connect, GREETING).await?;
            opening.greeting_ms = Some(self.record.elapsed_ms());
            opening.greeting = reply.all();
            match reply.meaning {
                ServerMessage::Offer { starttls } => opening.offered = Some(starttls),
                ServerMessage::PreAuthenticated => opening.preauthenticated = true,
                _ => {}
            }
        }
        if self.flow().offer == OfferPlace::AfterHello && opening.offered != Some(true) {
            let hello = self.words(ClientMessage::Hello);
            self.send(&hello).await?;
            let reply = self.answer_to(ReplyTo::Hello, HELLO).await?;
            opening.hello_ms = Some(self.record.elapsed_ms());
            opening.hello = reply.all();
            if let ServerMessage::Offer { starttls } = reply.meaning {
                opening.offered = Some(starttls);
            }
            opening.no_list = HelloRefusal::read(self.protocol, &opening.hello);
            if let Some(older) = opening.no_list.as_ref().and_then(|_| hello::older(&hello)) {
                // Whatever becomes of it: the request decides.
                let _ = self.send(&older).await;
                let _ = self.answer_to(ReplyTo::Other, "the answer to HELO").await;
            }
        }
        opening.seen = Some(self.record.since(first));
        Ok(opening)
    }

    /// Returns the answer to the last message of ours.
    pub(crate) async fn answer_to(
        &mut self,
        reply_to: ReplyTo,
        what: &'static str,
    ) -> Result<Reply, ProbeError> {
        self.answer(self.question(reply_to, what)).await
    }

    /// The answer to a request for TLS that was sent already; a refusal in the server's own words too.
    pub(crate) async fn verdict(&mut self) -> Result<Result<(), (Refusal, Vec<u8>)>, ProbeError> {
        if !self.flow().request_is_answered {
            return Ok(Ok(()));
        }
        let reply = self.reply(self.question(ReplyTo::Request, GO_AHEAD)).await?;
        match reply.meaning {
            ServerMessage::Accept => Ok(Ok(())),
            ServerMessage::Refuse(refusal) => Ok(Err((refusal, reply.all()))),
            ServerMessage::Bye if ProtocolProfile::of(self.protocol).refuses(&reply.own) => {
                Ok(Err((Refusal::Permanent, reply.all())))
            }
            ServerMessage::Bye => Err(ProbeError::Bye(self.shown(&reply.own))),
            _ => Err(ProbeError::Malformed("the exact go-ahead")),
        }
    }

    /// Opens the session, asks for TLS and takes the go-ahead.
    pub(crate) async fn agree(&mut self) -> Result<(), ProbeError> {
        self.read_greeting_and_hello().await?;
        self.request().await
    }

    /// Asks for TLS and takes the go-ahead. A refusal is an error.
    pub(crate) async fn request(&mut self) -> Result<(), ProbeError> {
        self.write(ClientMessage::Request).await?;
        self.verdict().await?.map_err(|_| ProbeError::Refused)
    }

    /// Starts TLS, with a connector that finishes whatever the certificate.
    pub(crate) async fn secure(
        mut self,
        connector: &Connector,
        server_name: &str,
        identity: Identity,
    ) -> Result<TlsSession, (starttls::Error, Record)> {
        self.record.text(EntryKind::Boundary, "TLS from here");
        let dialect = (self.protocol.dialect)(Identity { inside_tls: true, ..identity });
        let shaking = connector.handshake(self.protocol, server_name, self.io);
        let limit = self.reply_timeout.min(self.ends.saturating_duration_since(Instant::now()));
        let late = |_| Err(starttls::Error::Timeout { step: starttls::Step::Handshake, limit });
        match tokio::time::timeout(limit, shaking).await.unwrap_or_else(late) {
            Ok(io) => {
                let facts = io.facts();
                let text = format!("handshake done: {}, {}", facts.version_name(), facts.cipher_suite_name());
                self.record.text(EntryKind::Event, text);
                let kinds = [EntryKind::ClientInside, EntryKind::ServerInside];
                Ok(TlsSession::new(
                    io,
                    self.protocol,
                    dialect,
                    self.record,
                    (self.reply_timeout, self.ends),
                    kinds,
                ))
            }
            Err(error) => {
                self.record.text(EntryKind::Event, format!("no handshake: {error}"));
                Err((error, self.record))
            }
        }
    }
}

impl TlsSession {
    pub(crate) fn session(&self) -> &Encrypted<TcpStream> {
        &self.io
    }
}
