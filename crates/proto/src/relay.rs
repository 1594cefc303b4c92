//! A relay between a client and a server, which observes or edits both directions of a negotiation.

mod edit;
mod rule;

use alloc::borrow::Cow;
use alloc::boxed::Box;
use alloc::collections::VecDeque;
use alloc::string::String;
use alloc::vec::Vec;

use crate::inbox::Inbox;
use crate::{
    ClientMessage, Dialect, DialectContext, Error, Flow, Protocol, ReplyTo, ServerMessage, Side, Upgrade,
};
use edit::Fate;

pub use rule::{Edit, EventKind, Outgoing, RelayEvent, RelayRule, Trigger};

/// A relay between a client and a server that parses both directions.
///
/// Without rules the relay is an observer: it passes every byte at once and unchanged, and reports the meaning of
/// each message. With rules it passes whole messages, edited where a rule applies. After the boundary, and after
/// bytes that it cannot parse, it passes everything unread.
pub struct Relay {
    dialect: Box<dyn Dialect>,
    flow: Flow,
    rules: Cow<'static, [RelayRule]>,
    client: Lane,
    server: Lane,
    /// Whether bytes after the boundary are kept for the caller.
    stops: bool,
    /// Whether a rule has applied.
    applied: bool,
    /// The answers that the client waits for, oldest first.
    due: VecDeque<Due>,
}

/// An answer that the client waits for.
#[derive(Debug)]
enum Due {
    /// The server's answer to this.
    Reply(ReplyTo),
    /// The relay's own answer, which is sent when it is the oldest.
    Ours(Vec<u8>),
}

struct Lane {
    inbox: Inbox,
    reading: Reading,
    /// The bytes after the boundary, if the relay stops there.
    beyond: Vec<u8>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Reading {
    Messages,
    /// The client has sent the request. The server's answer decides whether TLS follows.
    AwaitingVerdict,
    /// The request is granted. Bytes after it stay unread.
    Granted,
    Opaque,
    /// The relay has ended the session and drops everything that this side sends.
    Over,
    /// After the boundary, if the relay stops there.
    Beyond,
}

/// The most commands that may wait for answers. After that the relay stops parsing.
const MAX_DUE: usize = 1024;

impl core::fmt::Debug for Relay {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Relay").field("rules", &self.rules).field("due", &self.due).finish_non_exhaustive()
    }
}

impl Relay {
    /// Returns a relay for one connection, from its first byte.
    #[cfg(feature = "std")]
    pub fn new(protocol: &Protocol, rules: Vec<RelayRule>) -> Self {
        let mut relay = Self::for_session(protocol, crate::Identity::observer(), rules);
        relay.due.extend(protocol.flow.greeting.then_some(Due::Reply(ReplyTo::Connect)));
        relay
    }

    /// Returns a relay for a session in which the server has already sent its greeting. `identity` is used in the
    /// messages that the relay sends in place of the server.
    pub fn for_session(
        protocol: &Protocol,
        identity: impl Into<DialectContext>,
        rules: Vec<RelayRule>,
    ) -> Self {
        let lane = |from| Lane {
            inbox: Inbox::endless(from, protocol),
            reading: Reading::Messages,
            beyond: Vec::new(),
        };
        Self {
            dialect: protocol.new_dialect(identity),
            flow: protocol.flow,
            rules: rules.into(),
            client: lane(Side::Client),
            server: lane(Side::Server),
            stops: false,
            applied: false,
            due: VecDeque::new(),
        }
    }

    /// Returns a relay for a caller that does TLS with both sides: bytes after the boundary do not pass, but are kept
    /// for [`into_beyond`](Self::into_beyond).
    #[must_use]
    pub fn until_boundary(self) -> Self {
        Self { stops: true, ..self }
    }

    /// Returns whether any rule has applied.
    pub fn has_applied(&self) -> bool {
        self.applied
    }

    /// Returns the bytes that this side sent after the boundary, if the relay stops there.
    #[must_use]
    pub fn into_beyond(self, from: Side) -> Vec<u8> {
        match from {
            Side::Client => self.client.beyond,
            Side::Server => self.server.beyond,
        }
    }

    /// Sets the rules for all later messages. The relay refers to them, so that many relays can share them.
    pub fn set_rules(&mut self, rules: &'static [RelayRule]) {
        self.rules = Cow::Borrowed(rules);
    }

    /// Returns the service that the client's last hello names; see [`Dialect::service`].
    pub fn service(&self) -> Option<String> {
        self.dialect.service()
    }

    /// Returns the client that the last hello names; see [`Dialect::client`].
    pub fn client(&self) -> Option<String> {
        self.dialect.client()
    }

    /// Returns whether everything passes unread from here on, in both directions.
    pub fn is_opaque(&self) -> bool {
        self.client.reading == Reading::Opaque && self.server.reading == Reading::Opaque
    }

    /// Returns whether the client's request was granted ([`Edit::Grant`]) and every answer before it was sent.
    pub fn is_granted(&self) -> bool {
        self.client.reading == Reading::Granted && self.due.is_empty()
    }

    /// Returns whether the relay has ended the session in the server's place.
    pub fn is_over(&self) -> bool {
        self.client.reading == Reading::Over
    }

    /// Returns whether the relay has ended the session and sent every answer that the client waited for.
    pub fn is_finished(&self) -> bool {
        self.is_over() && self.due.is_empty()
    }

    /// Returns the goodbye that the relay sends in place of the server to a client that broke a rule.
    pub fn goodbye(&mut self) -> Vec<u8> {
        let mut words = Vec::new();
        self.dialect.write_server(ServerMessage::Bye, &mut words);
        words
    }

    /// Writes the go-ahead for the granted request, unless the client sent bytes after it (rules B1, B2, B4). The
    /// relay is consumed, and all cleartext with it.
    ///
    /// # Errors
    /// [`Error`] if the client sent a byte after the request. `out` then ends with a goodbye.
    pub fn upgrade(self, out: &mut Vec<u8>) -> Result<Upgrade, Box<Error>> {
        let Self { mut dialect, flow, client, .. } = self;
        if !flow.request_is_answered {
            return Upgrade::without_go_ahead(&client.inbox, &[]);
        }
        let proof = Upgrade::after_request(&client.inbox, &[], flow.space_before_tls);
        dialect.write_server(if proof.is_ok() { ServerMessage::Accept } else { ServerMessage::Bye }, out);
        proof
    }

    /// Reads `input` from the side `from`. Appends the bytes to pass on to `out`, and the parsed messages to
    /// `events`.
    pub fn receive(
        &mut self,
        from: Side,
        mut input: &[u8],
        out: &mut Outgoing,
        events: &mut Vec<RelayEvent>,
    ) {
        if self.observes() {
            out.to(from.peer()).extend_from_slice(input);
        }
        while !input.is_empty() {
            match self.lane(from).reading {
                Reading::Beyond => return self.lane(from).beyond.extend_from_slice(input),
                Reading::Opaque => return self.pass(from.peer(), input, out),
                Reading::Over => return,
                Reading::Messages | Reading::AwaitingVerdict | Reading::Granted => {}
            }
            let rest = self.lane(from).inbox.push(input);
            self.read(from, out, events);
            // An answer may have made the client's bytes after its request readable.
            self.read(from.peer(), out, events);
            let reading = self.lane(from).reading;
            let passed = matches!(reading, Reading::Opaque | Reading::Beyond | Reading::Over);
            if rest.len() == input.len() && !passed {
                self.lose("the answer to the request", from, out, events);
            }
            input = rest;
        }
    }

    fn lane(&mut self, side: Side) -> &mut Lane {
        match side {
            Side::Client => &mut self.client,
            Side::Server => &mut self.server,
        }
    }

    /// Returns whether every byte passes at once and unchanged.
    fn observes(&self) -> bool {
        self.rules.is_empty() && !self.stops
    }

    /// Sends edited bytes. An observer has already sent the original bytes.
    fn pass(&self, to: Side, bytes: &[u8], out: &mut Outgoing) {
        if !self.observes() {
            out.to(to).extend_from_slice(bytes);
        }
    }

    fn read(&mut self, from: Side, out: &mut Outgoing, events: &mut Vec<RelayEvent>) {
        while self.lane(from).reading == Reading::Messages {
            if from == Side::Client && self.flow.client_hello_is_request {
                match self.client.inbox.starts_with_handshake() {
                    Some(true) => return self.request_by_handshake(out, events),
                    Some(false) => {}
                    None => return,
                }
            }
            let reply_to = match self.due.front() {
                Some(Due::Reply(reply_to)) => *reply_to,
                Some(Due::Ours(_)) | None => ReplyTo::Other,
            };
            let lane = if from == Side::Client { &mut self.client } else { &mut self.server };
            let message = match lane.inbox.next(&*self.dialect, reply_to) {
                Ok(Some(message)) => lane.inbox.bytes(&message).to_vec(),
                Ok(None) => return,
                Err(error) => return self.lose(error.expected, from, out, events),
            };
            let end = lane.inbox.offset();
            let what = match from {
                Side::Client => self.dialect.read_client(&message).map(EventKind::Client),
                Side::Server => self.dialect.read_server(reply_to, &message).map(EventKind::Server),
            };
            let what = what.unwrap_or_else(|cause| EventKind::Lost { expected: cause.expected });
            let text = self.dialect.describe(from, &message);
            events.push(RelayEvent { from, at: end - message.len() as u64..end, kind: what, text });
            let fate = self.edit(from, reply_to, message, what, out);
            match what {
                EventKind::Client(_) if fate == Fate::Released => return self.release(out),
                EventKind::Client(_) if fate == Fate::Granted => self.client.reading = Reading::Granted,
                EventKind::Client(_) if fate == Fate::Ended => {
                    self.client.reading = Reading::Over;
                    drop(self.client.inbox.take());
                }
                EventKind::Client(meaning) if fate != Fate::Swallowed => {
                    self.follow_client(meaning, out, events)
                }
                EventKind::Server(meaning) => self.follow_server(meaning, fate, out, events),
                EventKind::Lost { .. } => self.open(out),
                EventKind::Client(_) | EventKind::Boundary | EventKind::BeyondBoundary => {}
            }
            if self.due.len() > MAX_DUE {
                return self.lose("answers to the commands", from.peer(), out, events);
            }
        }
    }

    /// Applies the rules to a request by a ClientHello, which has no octets of its own.
    fn request_by_handshake(&mut self, out: &mut Outgoing, events: &mut Vec<RelayEvent>) {
        let kind = EventKind::Client(ClientMessage::Request);
        events.push(RelayEvent { from: Side::Client, at: 0..0, kind, text: None });
        match self.edit(Side::Client, ReplyTo::Other, Vec::new(), kind, out) {
            Fate::Untouched | Fate::Changed => self.boundary(out, events),
            Fate::Granted => self.client.reading = Reading::Granted,
            Fate::Released => self.release(out),
            // The request and the handshake are the same octets.
            Fate::Ended | Fate::Swallowed => {
                self.client.reading = Reading::Over;
                drop(self.client.inbox.take());
            }
        }
    }

    /// Stops parsing the client. The server is parsed until every answer has arrived.
    fn release(&mut self, out: &mut Outgoing) {
        let pending = self.client.inbox.take();
        self.pass(Side::Server, &pending, out);
        self.client.reading = Reading::Opaque;
        if self.due.is_empty() {
            self.open(out);
        }
    }

    fn follow_client(&mut self, meaning: ClientMessage, out: &mut Outgoing, events: &mut Vec<RelayEvent>) {
        let reply_to = match meaning {
            ClientMessage::Request if !self.flow.request_is_answered => return self.boundary(out, events),
            ClientMessage::Request => {
                self.client.reading = Reading::AwaitingVerdict;
                ReplyTo::Request
            }
            ClientMessage::Hello => ReplyTo::Hello,
            ClientMessage::Silent | ClientMessage::Partial => return,
            ClientMessage::Probe
            | ClientMessage::OnBehalf
            | ClientMessage::Quit
            | ClientMessage::Credentials
            | ClientMessage::Other => ReplyTo::Other,
        };
        self.due.push_back(Due::Reply(reply_to));
    }

    fn follow_server(
        &mut self,
        meaning: ServerMessage,
        fate: Fate,
        out: &mut Outgoing,
        events: &mut Vec<RelayEvent>,
    ) {
        if meaning == ServerMessage::Interim {
            return;
        }
        // Accept and Refuse answer only the request, even if commands before it get no answer (NICK in IRC).
        let verdict = matches!(meaning, ServerMessage::Accept | ServerMessage::Refuse(_));
        let mut answered = self.due.pop_front();
        while verdict && matches!(answered, Some(Due::Reply(due)) if due != ReplyTo::Request) {
            self.answer(out);
            answered = self.due.pop_front();
        }
        self.answer(out);
        if self.client.reading == Reading::Opaque && self.due.is_empty() {
            return self.open(out);
        }
        if !matches!(answered, Some(Due::Reply(ReplyTo::Request))) {
            return;
        }
        if meaning == ServerMessage::Accept && fate == Fate::Untouched {
            self.boundary(out, events);
        } else {
            self.client.reading = Reading::Messages;
        }
    }

    /// Ends the cleartext of both sides after the last message.
    fn boundary(&mut self, out: &mut Outgoing, events: &mut Vec<RelayEvent>) {
        let lanes = [(Side::Client, &self.client), (Side::Server, &self.server)];
        for (from, lane) in lanes {
            let end = lane.inbox.offset();
            events.push(RelayEvent { from, at: end..end, kind: EventKind::Boundary, text: None });
        }
        for (from, lane) in lanes {
            let (end, beyond) = (lane.inbox.offset(), lane.inbox.pending());
            // A TLS record starts with its content type, 20 to 23 (RFC 8446 section 5.1).
            if beyond.first().is_some_and(|first| !(20..=23).contains(first)) {
                let at = end..end + beyond.len() as u64;
                events.push(RelayEvent { from, at, kind: EventKind::BeyondBoundary, text: None });
            }
        }
        if !self.stops {
            return self.open(out);
        }
        for lane in [&mut self.client, &mut self.server] {
            lane.beyond = lane.inbox.take();
            lane.reading = Reading::Beyond;
        }
    }

    fn lose(&mut self, expected: &'static str, from: Side, out: &mut Outgoing, events: &mut Vec<RelayEvent>) {
        let inbox = &self.lane(from).inbox;
        let at = inbox.offset()..inbox.offset() + inbox.pending().len() as u64;
        events.push(RelayEvent { from, at, kind: EventKind::Lost { expected }, text: None });
        self.open(out);
    }

    /// Passes everything unread from here on, in both directions.
    fn open(&mut self, out: &mut Outgoing) {
        for from in [Side::Client, Side::Server] {
            let pending = self.lane(from).inbox.take();
            self.pass(from.peer(), &pending, out);
            self.lane(from).reading = Reading::Opaque;
        }
    }
}
