//! Runs machines over vectors at any cut.

use starttls_proto::{
    Client, DeclinedReason, DialectContext, ErrorKind, EventKind, Identity, Outgoing, Progress, Protocol,
    Quit, Refusal, Relay, RelayEvent, Server, ServerMessage, Side, TlsSupport,
};

#[path = "vector.rs"]
mod vector;

pub(crate) use vector::{Turn, Vector};

/// The position at which each turn is cut.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Cut {
    Whole,
    EachByte,
    At(usize),
}

impl Vector {
    /// Returns the result that this vector expects of `role`, if any.
    pub(crate) fn expected(&self, role: &str) -> Option<&str> {
        let roles = self.header("roles").unwrap_or("client server relay");
        let listed = roles.split(' ').any(|listed| listed == role);
        self.header(role).or(self.header("result").filter(|_| listed))
    }

    /// Returns every way to cut the vector.
    pub(crate) fn cuts(&self) -> impl Iterator<Item = Cut> {
        let longest = self.turns.iter().map(|turn| turn.bytes.len()).max().unwrap_or(0);
        [Cut::Whole, Cut::EachByte].into_iter().chain((1..longest.min(400)).map(Cut::At))
    }
}

pub(crate) fn pieces(bytes: &[u8], cut: Cut) -> Vec<&[u8]> {
    match cut {
        Cut::Whole => vec![bytes],
        Cut::EachByte => bytes.chunks(1).collect(),
        Cut::At(at) if at < bytes.len() => vec![&bytes[..at], &bytes[at..]],
        Cut::At(_) => vec![bytes],
    }
}

/// Returns the identity that the vectors use, so that their tags, ids and addresses match.
pub(crate) fn identity() -> DialectContext {
    let mut identity = Identity::new("mail.example.com");
    identity.client_name = "client.example".parse().unwrap();
    identity.with_nonce(0)
}

/// The result of a role for a vector, and the bytes that it sent in each of its turns.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Outcome {
    pub(crate) result: String,
    pub(crate) sent: Vec<Vec<u8>>,
}

/// An upgrade with the start of the ClientHello after the request.
const EARLY_TLS: &str = "upgrade with early TLS";

fn result_of(kind: ErrorKind) -> String {
    match kind {
        ErrorKind::BeyondBoundary => "beyond-boundary",
        ErrorKind::EarlyAnswer => "early-answer",
        ErrorKind::PreAuthenticated => "pre-authenticated",
        ErrorKind::Malformed => "malformed",
        ErrorKind::TooLong => "too-long",
        ErrorKind::TlsNotCleartext => "tls-not-cleartext",
        ErrorKind::OtherProtocol => "other-protocol",
        ErrorKind::Closed => "closed",
        other => panic!("no word for {other:?}"),
    }
    .to_owned()
}

/// A machine that runs over a vector: it reads a piece of input, and appends its output.
pub(crate) trait Machine: Sized {
    const SIDE: Side;
    /// Continues, or ends with a result.
    fn feed(self, input: &[u8], out: &mut Vec<u8>) -> Result<Self, String>;
    fn closed(self) -> String;
}

impl Machine for Client {
    const SIDE: Side = Side::Client;
    fn feed(self, input: &[u8], out: &mut Vec<u8>) -> Result<Self, String> {
        match self.receive(input, out) {
            Ok(Progress::Continue(machine)) => Ok(machine),
            Ok(Progress::Upgrade(_)) => Err("upgrade".to_owned()),
            Ok(Progress::End(declined)) => Err(match declined.reason {
                DeclinedReason::NotOffered => "not-offered",
                DeclinedReason::Refused(Refusal::Temporary) => "declined-temporary",
                DeclinedReason::Refused(Refusal::Permanent) => "declined-permanent",
                DeclinedReason::Bye => "declined-bye",
                other => panic!("no word for {other:?}"),
            }
            .to_owned()),
            Err(error) => Err(result_of(error.kind)),
        }
    }
    fn closed(self) -> String {
        result_of(Client::closed(self).kind)
    }
}

impl Machine for Server {
    const SIDE: Side = Side::Server;
    fn feed(self, input: &[u8], out: &mut Vec<u8>) -> Result<Self, String> {
        match self.receive(input, out) {
            Ok(Progress::Continue(machine)) => Ok(machine),
            Ok(Progress::Upgrade(proof)) => {
                Err(if proof.into_early_tls().is_empty() { "upgrade" } else { EARLY_TLS }.to_owned())
            }
            Ok(Progress::End(Quit::ByClient)) => Err("quit".to_owned()),
            Ok(Progress::End(Quit::TlsRequired(_))) => Err("tls-required".to_owned()),
            Ok(Progress::End(other)) => panic!("no word for {other:?}"),
            Err(error) => Err(result_of(error.kind)),
        }
    }
    fn closed(self) -> String {
        result_of(Server::closed(self).kind)
    }
}

pub(crate) fn client(vector: &Vector, cut: Cut) -> Outcome {
    let mut out = Vec::new();
    let machine = Client::new(vector.protocol, identity(), &mut out);
    drive(vector, cut, machine, out)
}

pub(crate) fn server(vector: &Vector, cut: Cut) -> Outcome {
    let tls = if vector.header("tls") == Some("unavailable") {
        TlsSupport::Unavailable
    } else {
        TlsSupport::Available
    };
    let mut out = Vec::new();
    let machine = Server::new(vector.protocol, identity(), tls, &mut out);
    drive(vector, cut, machine, out)
}

fn is_space(protocol: &Protocol, piece: &[u8]) -> bool {
    piece.iter().all(|octet| protocol.flow.space_before_tls.contains(octet))
}

fn drive<M: Machine>(vector: &Vector, cut: Cut, machine: M, mut out: Vec<u8>) -> Outcome {
    let mut machine = Some(machine);
    let mut result = String::from("open");
    let mut sent = Vec::new();
    for turn in &vector.turns {
        if turn.from == M::SIDE {
            // Where the ClientHello is the request, the TLS library sends it.
            if vector.protocol.flow.client_hello_is_request && result == "upgrade" {
                out.extend_from_slice(&turn.bytes);
            }
            sent.push(std::mem::take(&mut out));
            continue;
        }
        // A client with unsent output has not sent its request yet, so its turn comes first.
        if !out.is_empty() {
            sent.push(std::mem::take(&mut out));
        }
        for piece in pieces(&turn.bytes, cut) {
            let Some(current) = machine.take() else {
                // Bytes after the boundary in a later segment go to TLS, where they are not a valid record. In a
                // protocol without a go-ahead, the ClientHello may follow at once.
                match result.as_str() {
                    "upgrade"
                        if !vector.protocol.flow.request_is_answered
                            && M::SIDE == Side::Server
                            && piece[0] == 0x16 =>
                    {
                        result = EARLY_TLS.to_owned();
                    }
                    // A server's driver drops the same bytes that its machine drops within a segment.
                    "upgrade" if M::SIDE == Side::Server && is_space(vector.protocol, piece) => {}
                    "upgrade" => result = "beyond-boundary".to_owned(),
                    _ => {}
                }
                continue;
            };
            match current.feed(piece, &mut out) {
                Ok(next) => machine = Some(next),
                Err(word) => result = word,
            }
        }
    }
    if !out.is_empty() {
        sent.push(out);
    }
    if let (Some(machine), true) = (machine, vector.closes == Some(M::SIDE.peer())) {
        result = machine.closed();
    }
    if result == EARLY_TLS {
        result = "upgrade".to_owned();
    }
    Outcome { result, sent }
}

/// Returns the events that an observer reports for the vector. Checks that every byte passes.
pub(crate) fn observe(vector: &Vector, turns: &[Turn], cut: Cut) -> Vec<RelayEvent> {
    let mut relay = Relay::new(vector.protocol, Vec::new());
    let (mut out, mut events) = (Outgoing::default(), Vec::new());
    for turn in turns {
        for piece in pieces(&turn.bytes, cut) {
            relay.receive(turn.from, piece, &mut out, &mut events);
        }
    }
    let sent = |from| -> Vec<u8> {
        turns.iter().filter(|turn| turn.from == from).flat_map(|turn| turn.bytes.clone()).collect()
    };
    assert_eq!(out.to_server, sent(Side::Client), "{}: the client's bytes changed", vector.path.display());
    assert_eq!(out.to_client, sent(Side::Server), "{}: the server's bytes changed", vector.path.display());
    events
}

/// Returns the meanings in order, without those that answer nothing.
pub(crate) fn meanings(events: &[RelayEvent]) -> Vec<(Side, EventKind)> {
    let spoken = events.iter().map(|event| (event.from, event.kind));
    spoken.filter(|(_, what)| *what != EventKind::Server(ServerMessage::Interim)).collect()
}

pub(crate) fn result_of_events(events: &[RelayEvent]) -> String {
    events.iter().fold(String::new(), |result, event| match event.kind {
        EventKind::Boundary if result != "beyond-boundary" => "upgrade".to_owned(),
        EventKind::BeyondBoundary => "beyond-boundary".to_owned(),
        EventKind::Server(ServerMessage::Refuse(Refusal::Temporary)) => "declined-temporary".to_owned(),
        EventKind::Server(ServerMessage::Refuse(Refusal::Permanent)) => "declined-permanent".to_owned(),
        EventKind::Lost { .. } => "malformed".to_owned(),
        _ => result,
    })
}
