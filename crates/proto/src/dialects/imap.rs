//! IMAP: RFC 3501 and RFC 9051 section 6.2.1, RFC 2595 section 3.

mod list;
mod login;
mod observed;

use alloc::boxed::Box;
use alloc::collections::VecDeque;
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

use list::{capabilities, is_offer, is_text};

use crate::cleartext::{Cleartext, unlisted};
use crate::dialect::sealed::Sealed;
use crate::malformed::malformed;
use crate::nonce::unguessable;
use crate::probe_credentials;
use crate::text::{
    announcement, command, command_with_literals, line, lines, lines_with_literals, literal, starts_with,
    verb, words,
};
use crate::{
    Capability, CapabilityRewrite, CleartextPermission, ClientMessage, Correlation, Dialect, DialectContext,
    Flow, ImplicitTls, LoginDialect, Malformed, ObservedDialect, Protocol, ProtocolFamily, Refusal, ReplyTo,
    Scan, ServerMessage, Side,
};

/// IMAP, access to mailboxes.
pub const IMAP: Protocol = Protocol {
    name: "imap",
    aliases: &[],
    title: "IMAP",
    port: 143,
    implicit_tls: Some(ImplicitTls { name: "imaps", port: 993, alpn_required: false }),
    alpn: Some("imap"),
    family: ProtocolFamily::Imap,
    spec: "RFC 9051 section 6.2.1",
    flow: Flow::USUAL,
    dialect: |context| {
        Box::new(Imap {
            context,
            written: 0,
            tag: b"*".to_vec(),
            asked: VecDeque::new(),
            tagless: 0,
            offered: false,
            answer: ("", "OK"),
            quitting: false,
            turn: Turn::Command,
            command: ClientMessage::Other,
            has_ambiguous_continuation: false,
            login: login::State::default(),
        })
    },
};

struct Imap {
    context: DialectContext,
    /// The number of commands written so far.
    written: u32,
    /// The tag of the last command read, or `*` if it had none.
    tag: Vec<u8>,
    /// The tags of hello and upgrade requests that wait for their answers.
    asked: VecDeque<Vec<u8>>,
    /// The number of lines without a valid tag that wait for their `* BAD`.
    tagless: u32,
    /// Whether the last capability list offered STARTTLS.
    offered: bool,
    /// The answer to the last harmless command: the untagged lines, and the text after the tag.
    answer: (&'static str, &'static str),
    quitting: bool,
    turn: Turn,
    /// The meaning of a command that is sent in several pieces.
    command: ClientMessage,
    /// A literal was announced for a command that a server refuses before TLS.
    has_ambiguous_continuation: bool,
    login: login::State,
}

/// What the client sends next.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Turn {
    Command,
    /// A literal of this many octets, or a line. The server decides with `+` or a refusal.
    Undecided(Option<usize>),
    /// The remaining octets of a literal.
    Literal(usize),
    /// The rest of the command after a literal.
    Rest,
    /// A line that is not a command: a SASL response or DONE.
    Line,
}

impl Turn {
    fn literal(octets: usize) -> Self {
        if octets == 0 { Self::Rest } else { Self::Literal(octets) }
    }
}

/// Literals are processed in pieces of this size, because a literal can be longer than the buffer.
const PIECE: usize = 16 * 1024;
/// The most hello and upgrade requests that may wait for answers. A sound client sends one at a time.
const MAX_ASKED: usize = 32;
const MAX_TAG: usize = 128;

impl Imap {
    fn answering(&mut self, untagged: &'static str, tagged: &'static str) -> ClientMessage {
        self.answer = (untagged, tagged);
        ClientMessage::Probe
    }

    fn asking(&mut self, tag: Vec<u8>) {
        if self.asked.len() >= MAX_ASKED {
            self.asked.pop_front();
        }
        self.asked.push_back(tag);
    }

    /// Returns a new tag. An attacker cannot guess it, and so cannot answer the command before the client sends it.
    fn next_tag(&mut self) -> String {
        self.written = self.written.wrapping_add(1);
        if self.context.nonce == 0 {
            return format!("a{}", self.written);
        }
        format!("a{:x}", unguessable(self.context.nonce, self.written))
    }

    fn read_command(&mut self, msg: &[u8]) -> ClientMessage {
        self.turn = Turn::Command;
        let (tag, rest) = split(lines(msg).next().unwrap_or_default());
        let tagged = is_tag(tag);
        self.tag = if tagged { tag.to_vec() } else { b"*".to_vec() };
        let rest = rest.unwrap_or_default();
        let (name, _) = command(rest);
        let arguments = (name.len() != rest.len()).then_some(());
        match (tagged, name) {
            // A SASL response or DONE, which the application reads.
            (_, []) | (false, _) if self.context.is_inside_tls() => return ClientMessage::Other,
            (false, _) => {
                self.tagless = self.tagless.saturating_add(1);
                let bad = self.answering("", "BAD A tag and a command are expected");
                // Some servers accept such lines, so a login in one must be recognized.
                let mut words = msg.split(|byte| !byte.is_ascii_alphanumeric());
                return words.find_map(private).unwrap_or(bad);
            }
            (true, []) => return self.answering("", "BAD A command is missing"),
            (true, _) => {}
        }
        match (verb(name, &mut [0; 16]), arguments) {
            (b"STARTTLS", None) => {
                self.asking(tag.to_vec());
                ClientMessage::Request
            }
            (b"CAPABILITY", None) => {
                self.asking(tag.to_vec());
                ClientMessage::Hello
            }
            (b"LOGOUT", None) => {
                self.quitting = true;
                ClientMessage::Quit
            }
            (b"NOOP", None) => self.answering("", "OK Nothing to report"),
            (b"STARTTLS" | b"CAPABILITY" | b"LOGOUT" | b"NOOP", Some(_)) => {
                self.answering("", "BAD No arguments are expected")
            }
            // RFC 2971 section 3.2: a client does not identify itself before TLS.
            (b"ID", _) => {
                self.answering("* ID NIL\r\n", "OK Pleased");
                ClientMessage::OnBehalf
            }
            // XCLIENT is in no RFC, but some servers trust it.
            (b"XCLIENT", _) => {
                self.answering("", "NO This command is not accepted from clients");
                ClientMessage::OnBehalf
            }
            (b"LOGIN", _) => ClientMessage::Credentials,
            (b"AUTHENTICATE", _) => {
                self.turn = Turn::Undecided(None);
                ClientMessage::Credentials
            }
            (b"IDLE", _) => {
                self.turn = Turn::Undecided(None);
                ClientMessage::Other
            }
            _ => ClientMessage::Other,
        }
    }

    fn read_untagged(&mut self, reply_to: ReplyTo, msg: &[u8]) -> Result<ServerMessage, Malformed> {
        let (_, rest) = split(lines(msg).next().unwrap_or_default());
        let (word, _) = split(rest.unwrap_or_default());
        let listed = capabilities(msg).map(|list| words(&msg[list]).any(is_offer));
        Ok(match (reply_to, verb(word, &mut [0; 16])) {
            (_, b"BYE") => ServerMessage::Bye,
            (_, b"PREAUTH") => ServerMessage::PreAuthenticated,
            (ReplyTo::Connect, b"OK") => {
                listed.map_or(ServerMessage::Greeting, |starttls| ServerMessage::Offer { starttls })
            }
            (ReplyTo::Connect, _) => return Err(malformed("a greeting: * OK")),
            // RFC 3501 section 7.1.3: this answers a line whose tag the server could not read.
            (ReplyTo::Other, b"BAD") if self.tagless > 0 => {
                self.tagless -= 1;
                ServerMessage::Other
            }
            // RFC 9051 section 7.2.2: each list is complete, so the last list counts, whether the client asked for it
            // or not.
            _ => {
                self.offered = listed.unwrap_or(self.offered);
                ServerMessage::Interim
            }
        })
    }

    fn read_tagged(&mut self, reply_to: ReplyTo, msg: &[u8]) -> Result<ServerMessage, Malformed> {
        let (tag, rest) = split(lines(msg).next().unwrap_or_default());
        let (word, text) = split(rest.unwrap_or_default());
        match reply_to {
            ReplyTo::Connect => return Err(malformed("a greeting: * OK")),
            ReplyTo::Hello | ReplyTo::Request => match self.asked.iter().position(|asked| asked == tag) {
                Some(at) => drop(self.asked.drain(..=at)),
                None => return Err(malformed("an answer with the tag of the command")),
            },
            ReplyTo::Other => {}
        }
        if tag == self.tag && matches!(self.turn, Turn::Undecided(_) | Turn::Line) {
            self.turn = Turn::Command;
        }
        let listed = capabilities(msg).is_some_and(|list| words(&msg[list]).any(is_offer));
        let offered = reply_to == ReplyTo::Hello && core::mem::take(&mut self.offered);
        let private = text.is_some_and(|text| starts_with(text, b"[PRIVACYREQUIRED]"));
        Ok(match (reply_to, verb(word, &mut [0; 16])) {
            (ReplyTo::Hello, b"OK") => ServerMessage::Offer { starttls: offered || listed },
            (ReplyTo::Hello, b"NO" | b"BAD") => ServerMessage::Offer { starttls: false },
            (ReplyTo::Request, b"OK") => ServerMessage::Accept,
            // RFC 9051 section 6.2.1: NO is an operational error, which can pass; BAD is permanent.
            (ReplyTo::Request, b"NO") => ServerMessage::Refuse(Refusal::Temporary),
            (ReplyTo::Request, b"BAD") => ServerMessage::Refuse(Refusal::Permanent),
            (_, b"NO") if private => ServerMessage::TlsRequired,
            (_, b"OK" | b"NO" | b"BAD") => ServerMessage::Other,
            _ => return Err(malformed("OK, NO or BAD behind the tag")),
        })
    }
}

impl Sealed for Imap {}

impl Dialect for Imap {
    fn frame(&self, from: Side, _: ReplyTo, buf: &[u8], scan: &mut Scan) -> Result<Option<usize>, Malformed> {
        match (from, self.turn) {
            // A literal is a part of its response. Human-readable text may end like a literal announcement, so it is
            // not searched.
            (Side::Server, _) => {
                let included = |line: &[u8]| literal(line).filter(|_| !is_text(buf)).map(|it| it.octets);
                lines_with_literals(buf, scan, included, |_| Ok(true))
            }
            (Side::Client, Turn::Undecided(_)) => Ok(None),
            (Side::Client, Turn::Literal(octets)) => {
                let piece = octets.min(PIECE);
                Ok((buf.len() >= piece).then_some(piece))
            }
            (Side::Client, Turn::Command | Turn::Rest) => command_with_literals(buf, scan),
            (Side::Client, Turn::Line) => line(buf, scan),
        }
    }

    fn read_client(&mut self, msg: &[u8]) -> Result<ClientMessage, Malformed> {
        self.has_ambiguous_continuation = false;
        match self.turn {
            Turn::Line => {
                self.turn = Turn::Undecided(None);
                return Ok(ClientMessage::Partial);
            }
            Turn::Literal(octets) => {
                self.turn = Turn::literal(octets.saturating_sub(msg.len()));
                return Ok(ClientMessage::Partial);
            }
            Turn::Rest => self.turn = Turn::Command,
            Turn::Command | Turn::Undecided(_) => self.command = self.read_command(msg),
        }
        let announced = announcement(msg);
        // Inside TLS the dialect does not see the application's answers, so each announced literal is expected to
        // follow.
        self.turn = match announced {
            Some(octets) if self.context.is_inside_tls() => Turn::literal(octets),
            Some(octets) => Turn::Undecided(Some(octets)),
            None if self.context.is_inside_tls() => Turn::Command,
            None => self.turn,
        };
        Ok(match self.command {
            command if announced.is_none() => command,
            // The relay must block such a command, so its first piece already reports what it is.
            ClientMessage::Credentials | ClientMessage::OnBehalf => {
                self.has_ambiguous_continuation = true;
                core::mem::replace(&mut self.command, ClientMessage::Partial)
            }
            _ => ClientMessage::Partial,
        })
    }

    fn read_server(&mut self, reply_to: ReplyTo, msg: &[u8]) -> Result<ServerMessage, Malformed> {
        match (msg, self.turn) {
            ([b'*', b' ', ..], _) => self.read_untagged(reply_to, msg),
            ([b'+', b' ' | b'\r', ..], Turn::Undecided(announced)) => {
                self.turn = announced.map_or(Turn::Line, Turn::literal);
                Ok(ServerMessage::Interim)
            }
            ([b'+', ..], _) => Err(malformed("an answer, not a request for more")),
            _ => self.read_tagged(reply_to, msg),
        }
    }

    fn write_client(&mut self, msg: ClientMessage, out: &mut Vec<u8>) {
        let command = match msg {
            ClientMessage::Hello => "CAPABILITY",
            ClientMessage::Request => "STARTTLS",
            ClientMessage::Probe => "NOOP",
            ClientMessage::Quit => "LOGOUT",
            ClientMessage::Credentials => &format!(
                "LOGIN \"{}\" \"{}\"",
                probe_credentials::USER,
                probe_credentials::password(self.context.nonce)
            ),
            ClientMessage::Other => "LIST \"\" \"\"",
            ClientMessage::Silent | ClientMessage::OnBehalf | ClientMessage::Partial => return,
        };
        let tag = self.next_tag();
        out.extend_from_slice(format!("{tag} {command}\r\n").as_bytes());
        if matches!(msg, ClientMessage::Hello | ClientMessage::Request) {
            self.asking(tag.into_bytes());
        }
    }

    fn write_server(&mut self, msg: ServerMessage, out: &mut Vec<u8>) {
        self.turn = Turn::Command;
        if self.asked.back() == Some(&self.tag) {
            self.asked.pop_back();
        }
        self.tagless = self.tagless.saturating_sub(u32::from(self.tag == b"*"));
        let name = &self.context.identity.server_name;
        let (untagged, tagged) = match msg {
            ServerMessage::Greeting => (format!("* OK {name} IMAP4rev1 ready\r\n"), ""),
            ServerMessage::PreAuthenticated => (format!("* PREAUTH {name} IMAP4rev1 ready\r\n"), ""),
            ServerMessage::Interim => (String::from("* OK Still here\r\n"), ""),
            ServerMessage::Offer { starttls } => {
                let before = ["ID", "LOGINDISABLED"].into_iter().filter(|_| !self.context.is_inside_tls());
                let listed: String = starttls
                    .then_some("STARTTLS")
                    .into_iter()
                    .chain(before)
                    .chain(self.context.capabilities().iter().map(Capability::as_str))
                    .flat_map(|word| [" ", word])
                    .collect();
                (format!("* CAPABILITY IMAP4rev1{listed}\r\n"), "OK That is all")
            }
            ServerMessage::Accept => (String::new(), "OK Begin TLS negotiation now"),
            // Response codes: RFC 5530 section 3.
            ServerMessage::Refuse(Refusal::Temporary) => {
                (String::new(), "NO [UNAVAILABLE] TLS is not available for now")
            }
            ServerMessage::Refuse(Refusal::Permanent) => (String::new(), "BAD TLS is active already"),
            ServerMessage::TlsRequired => (String::new(), "NO [PRIVACYREQUIRED] STARTTLS comes first"),
            // RFC 5530 section 3.
            ServerMessage::Unavailable => {
                (format!("* BYE [UNAVAILABLE] {name} cannot serve for now\r\n"), "")
            }
            ServerMessage::Bye if self.quitting => (String::from("* BYE Until next time\r\n"), "OK Bye"),
            ServerMessage::Bye => (format!("* BYE {name} is closing the connection\r\n"), ""),
            ServerMessage::Other => (String::from(self.answer.0), self.answer.1),
        };
        out.extend_from_slice(untagged.as_bytes());
        if !tagged.is_empty() {
            let parts: [&[u8]; 4] = [&self.tag, b" ", tagged.as_bytes(), b"\r\n"];
            parts.iter().for_each(|part| out.extend_from_slice(part));
        }
    }

    fn write_answer(&self, ahead: u32, words: &[u8], out: &mut Vec<u8>) {
        let parts: [&[u8]; 3] = [&counted_on(&self.tag, ahead), b" ", words];
        parts.iter().for_each(|part| out.extend_from_slice(part));
    }

    fn rewrite(&self, from: Side, _: ReplyTo, msg: &[u8], how: CapabilityRewrite) -> Vec<u8> {
        if from == Side::Server { list::rewritten(msg, how) } else { msg.to_vec() }
    }

    fn has_ambiguous_continuation(&self) -> bool {
        self.has_ambiguous_continuation
    }

    fn cleartext_permission(&self, msg: &[u8]) -> CleartextPermission {
        let (tag, command) = msg.split_at(msg.iter().position(|&byte| byte == b' ').unwrap_or_default());
        let plain = |byte: &u8| byte.is_ascii_alphanumeric() || b".-_".contains(byte);
        match command.strip_prefix(b" ").map(|command| CLEARTEXT.cleartext_permission(command)) {
            Some(CleartextPermission::Allowed) if is_tag(tag) && tag.iter().all(plain) => {
                CleartextPermission::Allowed
            }
            _ => unlisted(msg),
        }
    }

    /// RFC 9051 section 2.2.1: a response repeats the tag of its command.
    fn correlation(&self, _: Side, msg: &[u8]) -> Option<Correlation> {
        let (tag, _) = split(lines(msg).next().unwrap_or_default());
        is_tag(tag).then(|| Correlation::Id(tag.to_vec()))
    }

    fn observed(&self) -> &dyn ObservedDialect {
        self
    }

    fn into_login(self: Box<Self>) -> Option<Box<dyn LoginDialect>> {
        Some(self)
    }
}

/// Commands that need no login. All are without arguments, so no literal passes, whichever literal forms the server
/// supports.
const CLEARTEXT: Cleartext =
    Cleartext { bare: &["CAPABILITY", "NOOP", "LOGOUT"], with_arguments: &[], longest: 64 };

/// Returns the tag `ahead` commands later, for a client that numbers its tags in decimal.
fn counted_on(tag: &[u8], ahead: u32) -> Vec<u8> {
    let digits = tag.iter().rev().take(9).take_while(|it| it.is_ascii_digit()).count();
    let (start, number) = tag.split_at(tag.len() - digits);
    let number = number.iter().fold(0, |sum: u32, digit| sum * 10 + u32::from(digit - b'0'));
    let number = if digits == 0 { String::new() } else { format!("{:0digits$}", number.wrapping_add(ahead)) };
    [start, number.as_bytes()].concat()
}

/// Returns the first word of a line, and the text after the space that follows it.
fn split(line: &[u8]) -> (&[u8], Option<&[u8]>) {
    match line.iter().position(|&byte| byte == b' ') {
        Some(space) => (&line[..space], Some(&line[space + 1..])),
        None => (line, None),
    }
}

/// Returns the meaning of a word that is private at any position in a line without a valid tag.
fn private(word: &[u8]) -> Option<ClientMessage> {
    match verb(word, &mut [0; 16]) {
        b"LOGIN" | b"AUTHENTICATE" => Some(ClientMessage::Credentials),
        b"ID" | b"XCLIENT" => Some(ClientMessage::OnBehalf),
        _ => None,
    }
}

/// Returns whether this is a tag: any ASTRING-CHAR except `+` (RFC 9051 section 9).
fn is_tag(tag: &[u8]) -> bool {
    (1..=MAX_TAG).contains(&tag.len())
        && tag.iter().all(|byte| byte.is_ascii_graphic() && !b"(){%*\"\\+".contains(byte))
}
