//! The engine of a rogue: it frames commands as the sound engine does, and permits what its behavior permits.

use std::sync::{Arc, Mutex, PoisonError};

use starttls::proto::{
    ClientMessage, Dialect, Flow, Identity, MessageReader, Phase, Protocol, Refusal, ReplyTo, Scan,
    ServerMessage, SessionCommand, Side,
};

use super::behavior::{AfterRequest, Behavior, CleartextAccess, InnerOffer};
use super::response_patch::{self, patched};
use crate::session::{Engine, LIMIT, SessionError};

/// The request of a client, and the bytes around it.
#[derive(Debug, Default)]
pub(super) struct UpgradeRequest {
    /// The bytes that followed the request.
    pub(super) pipelined: Vec<u8>,
    /// The messages before the request: hellos, and commands that reached the application.
    pub(super) before: Vec<u8>,
}

/// The octets in which a hidden request is searched.
const HUNT: usize = 2048;

/// The request that an engine leaves for the server, since the session owns the engine.
pub(super) type Note = Arc<Mutex<Option<UpgradeRequest>>>;

/// Takes the request, if the client sent one.
pub(super) fn taken(note: &Note) -> Option<UpgradeRequest> {
    note.lock().unwrap_or_else(PoisonError::into_inner).take()
}

pub(super) struct PermissiveEngine {
    protocol: &'static Protocol,
    behavior: Behavior,
    dialect: Box<dyn Dialect>,
    /// Writes the capabilities from before TLS, if the server sends those inside TLS.
    before_tls: Option<Box<dyn Dialect>>,
    inside: bool,
    inbox: MessageReader,
    before: Vec<u8>,
    note: Note,
    /// A client has chosen a session without TLS.
    has_begun: bool,
    over: bool,
}

impl PermissiveEngine {
    /// Returns the engine before TLS.
    pub(super) fn clear(
        protocol: &'static Protocol,
        identity: &Identity,
        behavior: Behavior,
        note: Note,
    ) -> Self {
        // Where packet numbers continue across the boundary, a preamble comes first, or a hello is not repeated, the messages
        // differ on both sides.
        let Flow { request_is_answered, client_preamble, hello_rounds, .. } = protocol.flow;
        let alike = request_is_answered && client_preamble.is_empty() && hello_rounds == 1;
        let wording = match behavior.lists && alike {
            true => Phase::InsideTls,
            false => Phase::Cleartext,
        };
        // A request that has no octets of its own has been sent already.
        if protocol.flow.client_hello_is_request && behavior.refuses.is_none() {
            *note.lock().unwrap_or_else(PoisonError::into_inner) = Some(UpgradeRequest::default());
        }
        Self::new(protocol, identity, behavior, note, wording, false)
    }

    /// Returns the engine inside TLS, or of a server that continues in cleartext instead of TLS.
    pub(super) fn inside(protocol: &'static Protocol, identity: &Identity, behavior: Behavior) -> Self {
        let mut engine = Self::new(protocol, identity, behavior, Note::default(), Phase::InsideTls, true);
        if behavior.inside == InnerOffer::Kept {
            let before = identity.clone();
            engine.before_tls = Some(protocol.new_dialect(before));
        }
        engine
    }

    fn new(
        protocol: &'static Protocol,
        identity: &Identity,
        behavior: Behavior,
        note: Note,
        phase: Phase,
        inside: bool,
    ) -> Self {
        let dialect = protocol.new_dialect(identity.clone().in_phase(phase));
        let inbox = MessageReader::with_max_message(Side::Client, LIMIT);
        Self {
            protocol,
            behavior,
            dialect,
            before_tls: None,
            inside,
            inbox,
            before: Vec::new(),
            note,
            has_begun: false,
            over: false,
        }
    }

    /// Writes a response with the changes that apply to it.
    pub(super) fn say(&mut self, message: ServerMessage, at: ReplyTo, out: &mut Vec<u8>) {
        let mut text = Vec::new();
        match (message, &mut self.before_tls) {
            (ServerMessage::Offer { .. }, Some(before)) => before.write_server(message, &mut text),
            _ => self.dialect.write_server(message, &mut text),
        }
        if !self.inside {
            text = patched(self.behavior.patches, self.protocol, at, text);
        }
        out.extend(text);
    }

    fn offers(&self) -> bool {
        match (self.inside, self.behavior.inside) {
            (false, _) => self.behavior.offers,
            (true, InnerOffer::Sound) => false,
            (true, InnerOffer::Offered | InnerOffer::Kept) => true,
        }
    }

    /// Frames the next message. The flag marks a request in an invalid form.
    fn cut(&mut self) -> Result<Option<(Vec<u8>, bool)>, &'static str> {
        if self.behavior.hunts
            && !self.inside
            && let Some(request) = hunted(self.protocol, self.inbox.unread())
        {
            // The bytes around the request are dropped.
            self.inbox.take_unread();
            return Ok(Some((request, false)));
        }
        if self.behavior.sloppy
            && !self.inside
            && let Some(end) = self.inbox.unread().iter().position(|byte| *byte == b'\n')
            && let Some(exact) = meant(self.protocol, &self.inbox.unread()[..=end])
        {
            let unread = self.inbox.take_unread();
            let (line, rest) = unread.split_at(end + 1);
            let sloppy = line != exact;
            self.inbox.push(rest);
            return Ok(Some((exact, sloppy)));
        }
        match self.inbox.next(&*self.dialect, ReplyTo::Other) {
            Ok(message) => Ok(message.map(|message| (message.to_vec(), false))),
            Err(malformed) => Err(malformed.expected),
        }
    }

    fn admits(&self, meaning: ClientMessage) -> bool {
        match self.behavior.gate {
            _ if self.inside => true,
            CleartextAccess::Open => true,
            CleartextAccess::Credentials => {
                matches!(meaning, ClientMessage::Credentials | ClientMessage::Partial)
            }
            CleartextAccess::Closed => false,
        }
    }

    fn fail<T>(&mut self, expected: &'static str, out: &mut Vec<u8>) -> Result<T, SessionError> {
        self.say(ServerMessage::Bye, ReplyTo::Other, out);
        Err(SessionError::Bad(expected))
    }

    /// Receives cleartext in place of a ClientHello. A sound server reads it, and accepts no ClientHello after it. Other servers
    /// keep it for the session inside TLS.
    fn precede_client_hello(&mut self) {
        let mut note = self.note.lock().unwrap_or_else(PoisonError::into_inner);
        match (&mut *note, self.behavior.after_request) {
            (Some(asked), kept) if !matches!(kept, AfterRequest::Close | AfterRequest::EagerIfSloppy) => {
                asked.pipelined.extend(self.inbox.take_unread());
            }
            (note, _) => *note = None,
        }
    }

    /// Answers a request. Returns whether the session continues in cleartext.
    fn request(&mut self, sloppy: bool, out: &mut Vec<u8>) -> Result<bool, SessionError> {
        if let Some(refusal) = self.behavior.refuses.filter(|_| !self.inside) {
            self.say(ServerMessage::Refuse(refusal), ReplyTo::Request, out);
            return Ok(true);
        }
        if self.inside {
            let answer = match self.behavior.inside {
                InnerOffer::Offered => ServerMessage::Accept,
                InnerOffer::Sound | InnerOffer::Kept => ServerMessage::Refuse(Refusal::Permanent),
            };
            self.say(answer, ReplyTo::Request, out);
            return Ok(true);
        }
        let pipelined = self.inbox.take_unread();
        self.over = true;
        match self.behavior.after_request {
            _ if pipelined.is_empty() => {}
            AfterRequest::Close => return self.fail("no bytes after the request", out),
            AfterRequest::EagerIfSloppy if !sloppy => return self.fail("no bytes after the request", out),
            AfterRequest::Refuse => {
                self.say(ServerMessage::Refuse(Refusal::Permanent), ReplyTo::Request, out);
                return Ok(false);
            }
            _ => {}
        }
        if self.protocol.flow.request_is_answered {
            self.say(ServerMessage::Accept, ReplyTo::Request, out);
        }
        let asked = UpgradeRequest { pipelined, before: std::mem::take(&mut self.before) };
        *self.note.lock().unwrap_or_else(PoisonError::into_inner) = Some(asked);
        Ok(false)
    }
}

impl Engine for PermissiveEngine {
    fn receive<'a>(&mut self, input: &'a [u8]) -> &'a [u8] {
        self.inbox.push(input);
        &[]
    }

    fn take_unread(&mut self) -> Vec<u8> {
        self.inbox.take_unread()
    }

    fn next(&mut self, out: &mut Vec<u8>) -> Result<Option<SessionCommand>, SessionError> {
        if self.protocol.flow.client_hello_is_request && !self.inside && !self.inbox.unread().is_empty() {
            self.precede_client_hello();
        }
        while !self.over && !self.inbox.unread().is_empty() {
            let (message, sloppy) = match self.cut() {
                Ok(Some(cut)) => cut,
                Ok(None) => return Ok(None),
                Err(expected) => return self.fail(expected, out),
            };
            let meaning = match self.dialect.read_client(&message) {
                Ok(meaning) => meaning,
                Err(malformed) => return self.fail(malformed.expected, out),
            };
            if let Some(before) = &mut self.before_tls {
                // Only its writer is needed, so errors do not matter.
                let _ = before.read_client(&message);
            }
            match meaning {
                ClientMessage::Request => {
                    if self.request(sloppy, out)? {
                        return Ok(Some(SessionCommand::Answered(message)));
                    }
                }
                ClientMessage::Hello => {
                    self.before.extend_from_slice(&message);
                    self.say(ServerMessage::Offer { starttls: self.offers() }, ReplyTo::Hello, out);
                    return Ok(Some(SessionCommand::Answered(message)));
                }
                ClientMessage::Probe | ClientMessage::OnBehalf => {
                    self.say(ServerMessage::Other, ReplyTo::Other, out);
                    return Ok(Some(SessionCommand::Answered(message)));
                }
                ClientMessage::Silent => {}
                ClientMessage::Quit => {
                    self.say(ServerMessage::Bye, ReplyTo::Other, out);
                    return Ok(Some(SessionCommand::Quit));
                }
                // IMAP sends the rest of a command after a continuation request.
                ClientMessage::Partial if self.behavior.hunts => out.extend_from_slice(b"+ Go on\r\n"),
                ClientMessage::Credentials | ClientMessage::Partial | ClientMessage::Other => {
                    if self.admits(meaning) {
                        self.before.extend_from_slice(&message);
                        // Where a client chooses a session without TLS in its hello, the session begins as inside TLS.
                        if !self.inside
                            && self.protocol.flow.hello_rounds > 1
                            && !std::mem::replace(&mut self.has_begun, true)
                        {
                            let mut inside = self.protocol.new_dialect(Identity::new("").inside_tls());
                            inside.write_server(ServerMessage::Offer { starttls: false }, out);
                            return Ok(Some(SessionCommand::Answered(message)));
                        }
                        return Ok(Some(SessionCommand::Message(message)));
                    }
                    self.say(ServerMessage::TlsRequired, ReplyTo::Other, out);
                    if self.protocol.flow.closes_when_tls_required || meaning == ClientMessage::Partial {
                        self.over = true;
                    }
                }
            }
        }
        Ok(None)
    }

    fn is_over(&self) -> bool {
        self.over
    }

    fn restart(&mut self, protocol: &'static Protocol, identity: Identity) {
        self.protocol = protocol;
        self.dialect = protocol.new_dialect(identity.inside_tls());
    }
}

/// Returns the request that a line resembles: in another case, with another line ending, with arguments.
fn meant(protocol: &Protocol, line: &[u8]) -> Option<Vec<u8>> {
    let request = response_patch::request_line(protocol)?;
    let ending: &[u8] = if request.ends_with(b"\r\n") { b"\r\n" } else { b"\n" };
    let is_request = |line: &[u8]| {
        let mut dialect = protocol.new_dialect(Identity::new("localhost"));
        let whole = dialect.frame(Side::Client, ReplyTo::Other, line, &mut Scan::default());
        whole == Ok(Some(line.len())) && dialect.read_client(line) == Ok(ClientMessage::Request)
    };
    if is_request(line) {
        return Some(line.to_vec());
    }
    let words: Vec<&[u8]> =
        line.trim_ascii().split(|byte| *byte == b' ').filter(|it| !it.is_empty()).collect();
    (1..=words.len()).rev().find_map(|count| {
        let form = [&words[..count].join(&b' '), ending].concat();
        [form.clone(), form.to_ascii_uppercase()].into_iter().find(|form| is_request(form))
    })
}

/// Returns the first request at any offset of these bytes, which may be the middle of a message.
fn hunted(protocol: &Protocol, bytes: &[u8]) -> Option<Vec<u8>> {
    let bytes = bytes.get(..HUNT).unwrap_or(bytes);
    (0..bytes.len()).find_map(|start| {
        let rest = &bytes[start..];
        let end = rest.iter().position(|byte| *byte == b'\n');
        let mut dialect = protocol.new_dialect(Identity::new(""));
        let framed = dialect.frame(Side::Client, ReplyTo::Other, rest, &mut Scan::default());
        match framed {
            Ok(Some(end)) if dialect.read_client(&rest[..end]) == Ok(ClientMessage::Request) => {
                Some(rest[..end].to_vec())
            }
            _ => end.and_then(|end| meant(protocol, &rest[..=end])),
        }
    })
}

/// Returns the complete messages at the start of these bytes, and the incomplete one after them. Invalid bytes are dropped.
pub(super) fn messages(protocol: &Protocol, bytes: &[u8]) -> (Vec<u8>, Vec<u8>) {
    let mut dialect = protocol.new_dialect(Identity::new("localhost").inside_tls());
    let mut reader = MessageReader::with_max_message(Side::Client, bytes.len() + 1);
    reader.push(bytes);
    let mut whole = Vec::new();
    loop {
        match reader.next(&*dialect, ReplyTo::Other) {
            Ok(Some(message)) if dialect.read_client(message).is_ok() => whole.extend_from_slice(message),
            Ok(None) => return (whole, reader.take_unread()),
            Ok(Some(_)) | Err(_) => return (whole, Vec::new()),
        }
    }
}
