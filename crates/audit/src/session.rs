//! One connection of a probe, in cleartext and then inside TLS. Unlike the client of the engine it continues after the
//! server breaks a rule, because that is what a probe looks for.

use std::net::IpAddr;
use std::time::{Duration, Instant};

use starttls::dialer::TcpRoute;
use starttls::proto::{
    ClientMessage, Flow, HelloRefusal, Identity, OfferPlace, Protocol, Refusal, ReplyTo, ServerMessage,
};
use starttls::{Connector, Deadline, Dialer, Encrypted, Endpoint, Error, Step};
use tokio::net::TcpStream;

use crate::channel::{Channel, Chunk};
use crate::error::{GO_AHEAD, GREETING, HELLO, NoConnection, ProbeError};
use crate::hello;
use crate::observe::Observed;
use crate::profile::ProtocolProfile;
use crate::record::Log;
use crate::report::{EntryKind, Reach};

/// The start of the event after the boundary of a handshake that failed.
pub(crate) const NO_HANDSHAKE: &str = "no handshake: ";

/// What the server sent before the request for TLS.
#[derive(Clone, Debug, Default)]
pub(crate) struct Opening {
    /// Whether the server offers the upgrade; `None` if the protocol has no offer.
    pub(crate) offered: Option<bool>,
    /// Whether the server reports the session as authenticated.
    pub(crate) preauthenticated: bool,
    /// Why the list of capabilities is missing, if the server refused the hello.
    pub(crate) no_list: Option<HelloRefusal>,
    /// The bytes of the greeting.
    pub(crate) greeting: Vec<u8>,
    /// The bytes of the answer to the hello, or to its last message.
    pub(crate) hello: Vec<u8>,
    /// The same in words, in binary protocols.
    pub(crate) hello_text: Option<String>,
    /// Milliseconds until the greeting.
    pub(crate) greeting_ms: Option<f64>,
    /// Milliseconds until the answer to the hello.
    pub(crate) hello_ms: Option<f64>,
}

/// The server's answer to the request for TLS.
pub(crate) enum GoAhead {
    Accepted,
    /// The refusal, and everything that the server sent.
    Refused(Refusal, Vec<u8>),
}

/// A connection in cleartext.
pub(crate) type CleartextSession = Channel<TcpStream>;

/// A connection inside TLS.
pub(crate) type TlsSession = Channel<Encrypted<TcpStream>>;

impl CleartextSession {
    /// Dials, and sends nothing yet.
    pub(crate) async fn open(
        protocol: &'static Protocol,
        identity: Identity,
        (route, to): (&TcpRoute, &Endpoint),
        (reply_timeout, deadline): (Duration, Instant),
        (purpose, log, observed): (&str, &Log, Option<Observed>),
    ) -> Result<Self, ProbeError> {
        let record = log.start_observed(protocol, purpose, observed);
        let address = to.dialed_address();
        let limit = reply_timeout.min(deadline.saturating_duration_since(Instant::now()));
        let io = match route.dial(to, Deadline::starting_now(limit)).await {
            // The dialer turns off Nagle's algorithm: several probes rely on each write being one segment.
            Ok(dialed) => dialed.stream,
            Err(_) if Instant::now() >= deadline => return Err(ProbeError::Deadline),
            Err(error) => {
                let error = undialed(error);
                record.text(EntryKind::Event, format!("no connection to {address}: {}", error.cause()));
                return Err(error);
            }
        };
        record.text(EntryKind::Event, format!("connected to {address}"));
        let dialect = protocol.new_dialect(identity);
        let kinds = [EntryKind::Client, EntryKind::Server];
        Ok(Self::new(io, protocol, dialect, record, (reply_timeout, deadline), kinds))
    }

    /// Returns the local address of the connection.
    pub(crate) fn source(&self) -> Option<IpAddr> {
        self.io.local_addr().ok().map(|it| it.ip())
    }

    fn flow(&self) -> Flow {
        self.protocol.flow
    }

    /// Reads the greeting, sends the hello if the protocol lists the offer in its answer, and reads that answer. Of a hello
    /// of several messages, this is the first: a client may continue without TLS after it.
    pub(crate) async fn read_greeting_and_hello(&mut self) -> Result<Opening, ProbeError> {
        let mut opening = Opening::default();
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
            let hello = self.encode(ClientMessage::Hello);
            self.send(&hello).await?;
            let reply = self.answer_to(ReplyTo::Hello, HELLO).await?;
            opening.hello_ms = Some(self.record.elapsed_ms());
            opening.hello = reply.all();
            opening.hello_text = self.describe(&opening.hello);
            if let ServerMessage::Offer { starttls } = reply.meaning {
                opening.offered = Some(starttls);
            }
            opening.no_list = HelloRefusal::read(self.protocol, &opening.hello);
            if let Some(older) = opening.no_list.as_ref().and_then(|_| hello::older(&hello)) {
                // The answer does not matter: the answer to the request for TLS decides.
                let _ = self.send(&older).await;
                let _ = self.answer_to(ReplyTo::Other, "the answer to HELO").await;
            }
        }
        Ok(opening)
    }

    /// Sends the rest of a hello of several messages, as long as the server offers the upgrade. Returns whether the client can
    /// request it.
    pub(crate) async fn finish_hello(&mut self, opening: &mut Opening) -> Result<bool, ProbeError> {
        for _ in 1..self.flow().hello_rounds {
            if opening.offered != Some(true) {
                return Ok(false);
            }
            self.write(ClientMessage::Hello).await?;
            let reply = self.answer_to(ReplyTo::Hello, HELLO).await?;
            opening.offered = Some(reply.meaning == ServerMessage::Offer { starttls: true });
            opening.hello = reply.all();
            opening.hello_text = self.describe(&opening.hello);
        }
        Ok(self.flow().hello_rounds == 1 || opening.offered == Some(true))
    }

    /// Reads the answer to the request for TLS, which was sent already.
    pub(crate) async fn read_go_ahead(&mut self) -> Result<GoAhead, ProbeError> {
        if !self.flow().request_is_answered {
            return Ok(GoAhead::Accepted);
        }
        let reply = self.reply(self.question(ReplyTo::Request, GO_AHEAD)).await?;
        match reply.meaning {
            ServerMessage::Accept => Ok(GoAhead::Accepted),
            ServerMessage::Refuse(refusal) => Ok(GoAhead::Refused(refusal, reply.all())),
            ServerMessage::Bye if ProtocolProfile::of(self.protocol).refuses(&reply.own) => {
                Ok(GoAhead::Refused(Refusal::Permanent, reply.all()))
            }
            ServerMessage::Bye => Err(ProbeError::Bye(self.shown(&reply.own))),
            _ => Err(ProbeError::Malformed("the exact go-ahead")),
        }
    }

    /// Negotiates up to the go-ahead: greeting, hello, request. A refusal is an error.
    pub(crate) async fn negotiate(&mut self) -> Result<(), ProbeError> {
        let mut opening = self.read_greeting_and_hello().await?;
        match self.finish_hello(&mut opening).await? {
            true => self.request().await,
            false => Err(ProbeError::Refused),
        }
    }

    /// Requests TLS and reads the go-ahead. A refusal is an error.
    pub(crate) async fn request(&mut self) -> Result<(), ProbeError> {
        self.write(ClientMessage::Request).await?;
        match self.read_go_ahead().await? {
            GoAhead::Accepted => Ok(()),
            GoAhead::Refused(..) => Err(ProbeError::Refused),
        }
    }

    /// Completes the TLS handshake. The connector has to finish it whatever the certificate.
    pub(crate) async fn secure(
        self,
        connector: &Connector,
        server_name: &str,
        identity: Identity,
    ) -> Result<TlsSession, starttls::Error> {
        self.record.text(EntryKind::Boundary, "TLS starts here");
        let dialect = self.protocol.new_dialect(identity.inside_tls());
        let handshake = connector.handshake(self.protocol, server_name, self.io);
        let limit = self.reply_timeout.min(self.deadline.saturating_duration_since(Instant::now()));
        let late = |_| Err(starttls::Error::Timeout { step: starttls::Step::Handshake, limit });
        match tokio::time::timeout(limit, handshake).await.unwrap_or_else(late) {
            Ok(io) => {
                let facts = io.facts();
                let text = format!("handshake done: {}, {}", facts.version_name(), facts.cipher_suite_name());
                self.record.text(EntryKind::Event, text);
                let limits = (self.reply_timeout, self.deadline);
                let kinds = [EntryKind::ClientInside, EntryKind::ServerInside];
                Ok(TlsSession::new(io, self.protocol, dialect, self.record, limits, kinds))
            }
            Err(error) => {
                self.record.text(EntryKind::Event, format!("{NO_HANDSHAKE}{error}"));
                Err(error)
            }
        }
    }
}

/// Returns the error of a probe that has no connection. What a proxy did is not the server's fault.
fn undialed(error: Error) -> ProbeError {
    match error {
        Error::Proxy(_) => ProbeError::Proxy(format!("{error:?}")),
        Error::Timeout { step: Step::ProxyMethod | Step::ProxyLogin | Step::ProxyConnect, .. } => {
            ProbeError::Proxy(error.to_string())
        }
        Error::Timeout { .. } => ProbeError::Unreachable(NoConnection::timed_out()),
        Error::Connect { source, .. } => ProbeError::Unreachable(NoConnection::new(&source)),
        error => {
            ProbeError::Unreachable(NoConnection { why: format!("{error:?}"), reach: Reach::Unroutable })
        }
    }
}

impl TlsSession {
    pub(crate) fn session(&self) -> &Encrypted<TcpStream> {
        &self.io
    }

    /// Waits for a session ticket, and returns whether all first tickets have arrived within this time: a ticket is there, or
    /// the server has answered, because it sends its tickets before it answers.
    pub(crate) async fn wait_for_tickets(&mut self, limit: Duration) -> bool {
        const STEP: Duration = Duration::from_millis(20);
        let until = Instant::now() + limit;
        let has_asked = !self.record.sent(EntryKind::ClientInside).is_empty();
        loop {
            if self.io.tickets_received() > 0 || (has_asked && self.has_received()) {
                return true;
            }
            let now = Instant::now();
            if now >= until || !matches!(self.chunk(until.min(now + STEP)).await, Chunk::Late) {
                return self.io.tickets_received() > 0;
            }
        }
    }
}
