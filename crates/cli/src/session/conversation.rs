//! Reads the negotiation as an observer does, shows each message and records it for the report.

use std::sync::Mutex;
use std::time::Duration;

use serde::Serialize;
use starttls::proto::{
    ClientMessage, Escaped, EventKind, HelloRefusal, Identity, LoginDialect, Outgoing, Protocol, Refusal,
    Relay, RelayEvent, ReplyTo, ServerMessage, Side,
};
use starttls::{Chunk, ConnectionPhase, Observer};

use crate::console::{Console, Tone};

/// One message of the negotiation.
#[derive(Clone, Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(crate) struct Message {
    /// "client" or "server".
    pub(crate) from: &'static str,
    /// Its meaning for the upgrade, such as "offer" or "request".
    pub(crate) meaning: &'static str,
    /// Its lines, escaped; a description if the protocol is binary.
    pub(crate) lines: Vec<String>,
    /// The time since the connection was opened.
    #[serde(skip)]
    pub(crate) at: Duration,
}

/// The messages in cleartext, and their result.
#[derive(Clone, Debug, Default, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(crate) struct Negotiation {
    /// Whether the server offered the upgrade; null if the protocol has no offer, or if the server sent no list.
    pub(crate) offered: Option<bool>,
    /// The server's reply to the hello, escaped, if it was an error instead of a list.
    pub(crate) hello_refused: Option<String>,
    /// Whether the client requested the upgrade.
    pub(crate) requested: bool,
    /// Whether the server accepted the request.
    pub(crate) accepted: bool,
    /// Octets that the client sent in cleartext.
    pub(crate) client_bytes: u64,
    /// Octets that the server sent in cleartext.
    pub(crate) server_bytes: u64,
    /// The messages in order.
    pub(crate) messages: Vec<Message>,
}

/// Observes a connection through the library.
pub(crate) struct Conversation {
    console: Console,
    state: Mutex<State>,
}

struct State {
    protocol: &'static Protocol,
    relay: Relay,
    /// The bytes of each side that no event has covered yet, and their offset.
    client: (u64, Vec<u8>),
    server: (u64, Vec<u8>),
    /// The time of the last bytes.
    at: Duration,
    seen: Negotiation,
    /// Reads the mechanisms that the server offers in cleartext, where the protocol has a login.
    login: Option<Box<dyn LoginDialect>>,
    mechanisms: Vec<String>,
}

impl Conversation {
    pub(crate) fn new(protocol: &'static Protocol, console: Console) -> Self {
        let relay = Relay::new(protocol, Vec::new());
        let nothing = || (0, Vec::new());
        let login = protocol.new_dialect(Identity::new("")).into_login();
        let (client, server, seen) = (nothing(), nothing(), Negotiation::default());
        let (at, mechanisms) = (Duration::ZERO, Vec::new());
        let state = State { protocol, relay, client, server, at, seen, login, mechanisms };
        Self { console, state: Mutex::new(state) }
    }

    /// Returns the mechanisms that were offered in cleartext. They are reported and never used.
    pub(crate) fn mechanisms(&self) -> Vec<String> {
        self.state.lock().map(|state| state.mechanisms.clone()).unwrap_or_default()
    }

    /// Returns the negotiation so far. Incomplete messages are shown too.
    pub(crate) fn finish(&self) -> Negotiation {
        let Ok(mut state) = self.state.lock() else { return Negotiation::default() };
        for side in [Side::Server, Side::Client] {
            let (_, rest) = std::mem::take(state.lane(side));
            if !rest.is_empty() {
                let at = state.at;
                self.show(&mut state.seen, at, side, "incomplete", lines(&rest), Tone::Bad);
            }
        }
        state.seen.clone()
    }

    fn show(
        &self,
        seen: &mut Negotiation,
        at: Duration,
        from: Side,
        meaning: &'static str,
        lines: Vec<String>,
        tone: Tone,
    ) {
        let prefix = if from == Side::Client { 'C' } else { 'S' };
        for line in &lines {
            self.console.line(tone, format_args!("{prefix}: {line}"));
        }
        seen.messages.push(Message { from: from.name(), meaning, lines, at });
    }

    fn record(&self, state: &mut State, event: &RelayEvent) {
        let (start, bytes) = state.lane(event.from);
        let end = usize::try_from(event.at.end - *start).unwrap_or(usize::MAX).min(bytes.len());
        let message: Vec<u8> = bytes.drain(..end).collect();
        *start = event.at.end;
        if let (Some(login), EventKind::Server(_)) = (&mut state.login, event.kind) {
            // Some dialects interpret a list by the messages before it.
            let _ = login.read_server(ReplyTo::Hello, &message);
            state.mechanisms.extend(login.mechanisms(&message).into_iter().map(|offered| offered.name));
        }
        let (mut meaning, tone) = meaning(event.from, event.kind);
        let (protocol, at) = (state.protocol, state.at);
        let seen = &mut state.seen;
        let greeted = seen.messages.iter().any(|said| said.meaning == "hello");
        match event.kind {
            EventKind::Server(ServerMessage::Offer { starttls }) => {
                let refusal = HelloRefusal::read(protocol, &message).filter(|_| !starttls && greeted);
                seen.offered = refusal.is_none().then_some(starttls);
                seen.hello_refused = refusal.map(|it| it.answer().to_owned());
                if seen.hello_refused.is_some() {
                    meaning = "no-list";
                }
            }
            EventKind::Client(ClientMessage::Request) => seen.requested = true,
            EventKind::Server(ServerMessage::Accept) => seen.accepted = true,
            EventKind::Boundary => {
                // In a protocol without an accepting reply, the request alone is the agreement.
                seen.accepted |= seen.requested;
                return;
            }
            _ => {}
        }
        if !message.is_empty() {
            let lines = event.text.clone().map_or_else(|| lines(&message), |text| vec![text]);
            self.show(seen, at, event.from, meaning, lines, tone);
        }
    }
}

impl State {
    fn lane(&mut self, side: Side) -> &mut (u64, Vec<u8>) {
        match side {
            Side::Client => &mut self.client,
            Side::Server => &mut self.server,
        }
    }
}

impl Conversation {
    /// Returns whether the server has sent nothing yet.
    pub(crate) fn is_silent(&self) -> bool {
        self.state.lock().is_ok_and(|state| state.seen.server_bytes == 0)
    }
}

impl Observer for Conversation {
    fn observe(&self, chunk: &Chunk<'_>) {
        let Ok(mut state) = self.state.lock() else { return };
        if chunk.phase != ConnectionPhase::Negotiation {
            let begins_tls = (chunk.phase, chunk.from) == (ConnectionPhase::Handshake, Side::Client);
            if begins_tls && state.protocol.flow.client_hello_is_request {
                (state.seen.requested, state.seen.accepted) = (true, true);
            }
            return;
        }
        state.at = chunk.at;
        state.lane(chunk.from).1.extend_from_slice(chunk.bytes);
        match chunk.from {
            Side::Client => state.seen.client_bytes += chunk.bytes.len() as u64,
            Side::Server => state.seen.server_bytes += chunk.bytes.len() as u64,
        }
        let (mut out, mut events) = (Outgoing::default(), Vec::new());
        state.relay.receive(chunk.from, chunk.bytes, &mut out, &mut events);
        for event in &events {
            self.record(&mut state, event);
        }
    }
}

/// Returns the lines of a message, without their endings, escaped.
pub(crate) fn lines(message: &[u8]) -> Vec<String> {
    let text = message.strip_suffix(b"\n").unwrap_or(message);
    let lines = text.split(|&byte| byte == b'\n').map(|line| line.strip_suffix(b"\r").unwrap_or(line));
    lines.map(|line| shortened(&readable(line))).collect()
}

/// Escapes a line. Quotes and backslashes stay unchanged in a printable line, because the line is not quoted.
fn readable(line: &[u8]) -> String {
    if line.iter().all(|byte| (0x20..0x7f).contains(byte)) {
        String::from_utf8_lossy(line).into_owned()
    } else {
        Escaped(line).to_string()
    }
}

fn shortened(line: &str) -> String {
    const LONGEST: usize = 1000;
    match line.get(..LONGEST) {
        Some(start) if line.len() > LONGEST => format!("{start}… ({} more)", line.len() - LONGEST),
        _ => line.to_owned(),
    }
}

fn meaning(from: Side, kind: EventKind) -> (&'static str, Tone) {
    let tone = if from == Side::Client { Tone::Client } else { Tone::Server };
    match kind {
        EventKind::Client(message) => match message {
            ClientMessage::Hello => ("hello", tone),
            ClientMessage::Request => ("request", tone),
            ClientMessage::Probe | ClientMessage::OnBehalf => ("probe", tone),
            ClientMessage::Quit => ("quit", tone),
            ClientMessage::Credentials => ("credentials", Tone::Bad),
            ClientMessage::Silent | ClientMessage::Partial | ClientMessage::Other => ("other", tone),
        },
        EventKind::Server(message) => match message {
            ServerMessage::Greeting => ("greeting", tone),
            ServerMessage::Offer { starttls: true } => ("offer", tone),
            ServerMessage::Offer { starttls: false } => ("no-offer", Tone::Bad),
            ServerMessage::Accept => ("accept", Tone::Good),
            ServerMessage::Refuse(Refusal::Temporary) => ("refuse-temporary", Tone::Bad),
            ServerMessage::Refuse(Refusal::Permanent) => ("refuse-permanent", Tone::Bad),
            ServerMessage::TlsRequired => ("tls-required", tone),
            ServerMessage::PreAuthenticated => ("pre-authenticated", Tone::Bad),
            ServerMessage::Bye | ServerMessage::Unavailable => ("bye", Tone::Bad),
            ServerMessage::Interim => ("interim", tone),
            ServerMessage::Other => ("other", tone),
        },
        EventKind::BeyondBoundary => ("beyond-boundary", Tone::Bad),
        _ => ("malformed", Tone::Bad),
    }
}
