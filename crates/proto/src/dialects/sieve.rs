//! ManageSieve: RFC 5804.

mod login;
mod observed;

use alloc::boxed::Box;
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

use crate::cleartext::{Cleartext, unlisted};
use crate::dialect::sealed::Sealed;
use crate::malformed::malformed;
use crate::probe_credentials;
use crate::rewrite::drops;
use crate::text::{
    announcement, command, command_with_literals, lines, lines_with_literals, literal, starts_with, verb,
    word, words,
};
use crate::{
    AfterUpgrade, Capability, CapabilityRewrite, CleartextPermission, ClientMessage, Dialect, DialectContext,
    Flow, LoginDialect, Malformed, ObservedDialect, OfferPlace, Protocol, ProtocolFamily, Refusal, ReplyTo,
    Scan, ServerMessage, Side,
};

/// ManageSieve: managing mail filters.
pub const SIEVE: Protocol = Protocol {
    name: "sieve",
    aliases: &["managesieve"],
    title: "ManageSieve",
    port: 4190,
    implicit_tls: None,
    alpn: Some("managesieve"),
    family: ProtocolFamily::Sieve,
    spec: "RFC 5804 section 2.2",
    flow: Flow { offer: OfferPlace::InGreeting, after: AfterUpgrade::ServerSpeaks, ..Flow::USUAL },
    dialect: |context| {
        Box::new(Sieve {
            context,
            answer: Vec::new(),
            quitting: false,
            has_ambiguous_continuation: false,
            prompted: false,
            skipping: false,
        })
    },
};

struct Sieve {
    context: DialectContext,
    /// The answer to the last harmless command.
    answer: Vec<u8>,
    quitting: bool,
    /// A literal was announced for a command that a server refuses before TLS.
    has_ambiguous_continuation: bool,
    /// The client requested the capability list where the server should have sent it unprompted, so the list may
    /// arrive twice.
    prompted: bool,
    /// The second list is being read.
    skipping: bool,
}

impl Sieve {
    fn answering(&mut self, parts: &[&[u8]]) -> ClientMessage {
        self.answer = parts.concat();
        ClientMessage::Probe
    }

    /// Answers NOOP and repeats its string (RFC 5804 section 2.13).
    fn noop(&mut self, argument: &[u8]) -> ClientMessage {
        match string(argument) {
            Some((value, b"\r\n")) if argument.starts_with(b"\"") => {
                self.answering(&[b"OK (TAG \"", value, b"\") \"Done\""])
            }
            Some((value, b"\r\n")) => {
                let announced = format!("OK (TAG {{{}}}\r\n", value.len());
                self.answering(&[announced.as_bytes(), value, b") \"Done\""])
            }
            _ => self.answering(&[b"NO \"NOOP takes one string, or nothing\""]),
        }
    }

    fn capability_list(&self, starttls: bool) -> String {
        let ours: &[Capability] = self.context.capabilities();
        let given = |name: &str| ours.iter().any(|line| starts_with(line.as_bytes(), name.as_bytes()));
        let mut list = format!("\"IMPLEMENTATION\" \"{}\"\r\n", self.context.identity.server_name);
        // RFC 5804 section 1.7: these are always listed. SASL is empty before TLS, because no mechanism is usable
        // there.
        for (name, line) in [
            ("\"VERSION\"", "\"VERSION\" \"1.0\"\r\n"),
            ("\"SIEVE\"", "\"SIEVE\" \"\"\r\n"),
            ("\"SASL\"", "\"SASL\" \"\"\r\n"),
        ] {
            list.push_str(if given(name) { "" } else { line });
        }
        list.push_str(if starttls { "\"STARTTLS\"\r\n" } else { "" });
        ours.iter().for_each(|line| list.extend([line, "\r\n"]));
        list
    }
}

impl Sealed for Sieve {}

impl Dialect for Sieve {
    fn frame(
        &self,
        from: Side,
        reply_to: ReplyTo,
        buf: &[u8],
        scan: &mut Scan,
    ) -> Result<Option<usize>, Malformed> {
        if from == Side::Client {
            return command_with_literals(buf, scan);
        }
        lines_with_literals(buf, scan, announced, |line| match (status(line), line) {
            (Some(_), _) => Ok(true),
            // A challenge waits for the client's response, so only a capability list is read to its end.
            (None, [b'"' | b'{', ..]) => Ok(matches!(reply_to, ReplyTo::Request | ReplyTo::Other)),
            (None, _) => Err(malformed("a string, or OK, NO or BYE")),
        })
    }

    fn read_client(&mut self, msg: &[u8]) -> Result<ClientMessage, Malformed> {
        let announced = announcement(msg).is_some();
        let (name, _) = command(msg);
        let upper = &mut [0; 16];
        let meaning = match (verb(name, upper), msg.get(name.len()..)) {
            (b"AUTHENTICATE", _) => ClientMessage::Credentials,
            // XCLIENT is not in the RFC, but some servers trust it.
            (b"XCLIENT", _) => {
                self.answering(&[b"NO \"This command is not accepted from clients\""]);
                ClientMessage::OnBehalf
            }
            // No command starts with a string, so this is a response to a challenge, or follows an announced literal.
            _ if announced || matches!(msg, [b'"' | b'{', ..]) => ClientMessage::Partial,
            (b"STARTTLS", Some(b"\r\n")) => ClientMessage::Request,
            (b"CAPABILITY", Some(b"\r\n")) => ClientMessage::Hello,
            (b"LOGOUT", Some(b"\r\n")) => {
                self.quitting = true;
                ClientMessage::Quit
            }
            (b"NOOP", Some(b"\r\n")) => self.answering(&[b"OK \"Done\""]),
            (b"NOOP", Some([b' ', argument @ ..])) => self.noop(argument),
            (b"STARTTLS" | b"CAPABILITY" | b"LOGOUT" | b"NOOP", _) => {
                self.answering(&[b"NO \"No arguments are expected\""])
            }
            _ => ClientMessage::Other,
        };
        self.has_ambiguous_continuation = announced && meaning != ClientMessage::Partial;
        Ok(meaning)
    }

    fn read_server(&mut self, reply_to: ReplyTo, msg: &[u8]) -> Result<ServerMessage, Malformed> {
        // The status is in the last line. A list of capabilities may precede it.
        let list = matches!(reply_to, ReplyTo::Connect | ReplyTo::Hello);
        let Some(status) = logical_lines(msg).last().and_then(status) else {
            return match reply_to {
                ReplyTo::Other => Ok(ServerMessage::Interim),
                _ => Err(malformed("OK, NO or BYE")),
            };
        };
        let starttls = list && logical_lines(msg).any(is_offer);
        Ok(match (status, reply_to) {
            (Status::Bye, _) | (Status::No(_), ReplyTo::Connect) => ServerMessage::Bye,
            (Status::Ok, ReplyTo::Connect | ReplyTo::Hello) => ServerMessage::Offer { starttls },
            (Status::No(_), ReplyTo::Hello) => ServerMessage::Offer { starttls: false },
            (Status::Ok, ReplyTo::Request) => ServerMessage::Accept,
            // Response codes: RFC 5804 section 1.3.
            (Status::No(code), ReplyTo::Request) if starts_with(code, b"(TRYLATER") => {
                ServerMessage::Refuse(Refusal::Temporary)
            }
            (Status::No(_), ReplyTo::Request) => ServerMessage::Refuse(Refusal::Permanent),
            (Status::No(code), ReplyTo::Other) if starts_with(code, b"(ENCRYPT-NEEDED") => {
                ServerMessage::TlsRequired
            }
            (Status::Ok | Status::No(_), ReplyTo::Other) => ServerMessage::Other,
        })
    }

    fn write_client(&mut self, msg: ClientMessage, out: &mut Vec<u8>) {
        let command = match msg {
            ClientMessage::Hello => "CAPABILITY",
            ClientMessage::Request => "STARTTLS",
            ClientMessage::Probe => "NOOP",
            ClientMessage::Quit => "LOGOUT",
            ClientMessage::Credentials => {
                &format!("AUTHENTICATE \"PLAIN\" \"{}\"", probe_credentials::plain(self.context.nonce))
            }
            ClientMessage::Other => "LISTSCRIPTS",
            ClientMessage::Silent | ClientMessage::OnBehalf | ClientMessage::Partial => return,
        };
        out.extend_from_slice(command.as_bytes());
        out.extend_from_slice(b"\r\n");
    }

    fn write_server(&mut self, msg: ServerMessage, out: &mut Vec<u8>) {
        let text: &[u8] = match msg {
            ServerMessage::Offer { starttls } => {
                out.extend_from_slice(self.capability_list(starttls).as_bytes());
                b"OK \"Ready\""
            }
            ServerMessage::Accept => b"OK \"Begin TLS negotiation now\"",
            ServerMessage::Refuse(Refusal::Temporary) => b"NO (TRYLATER) \"TLS is not available for now\"",
            ServerMessage::Refuse(Refusal::Permanent) => b"NO \"TLS is active already\"",
            ServerMessage::TlsRequired => b"NO (ENCRYPT-NEEDED) \"STARTTLS comes first\"",
            // RFC 5804 section 1.3.
            ServerMessage::Unavailable => b"BYE (TRYLATER) \"Cannot serve for now\"",
            ServerMessage::Bye if self.quitting => b"OK \"Bye\"",
            ServerMessage::Bye => b"BYE \"Closing the connection\"",
            ServerMessage::Other => &self.answer,
            ServerMessage::Greeting | ServerMessage::PreAuthenticated | ServerMessage::Interim => return,
        };
        out.extend_from_slice(text);
        out.extend_from_slice(b"\r\n");
    }

    fn rewrite(&self, from: Side, _: ReplyTo, msg: &[u8], how: CapabilityRewrite) -> Vec<u8> {
        let mut list: Vec<Vec<u8>> = logical_lines(msg).map(<[u8]>::to_vec).collect();
        let is = |line: &[u8], known: &[u8]| string(line).is_some_and(|it| it.0.eq_ignore_ascii_case(known));
        // Only a capability list has several lines. Its last line is the status, not an entry.
        if from == Side::Client || list.len() < 2 {
            return msg.to_vec();
        }
        match how {
            CapabilityRewrite::DropUpgrade => list.retain(|line| !is(line, b"STARTTLS")),
            CapabilityRewrite::AddUpgrade if !list.iter().any(|line| is(line, b"STARTTLS")) => {
                list.insert(list.len() - 1, b"\"STARTTLS\"\r\n".to_vec());
            }
            CapabilityRewrite::AddUpgrade => {}
            CapabilityRewrite::DropOnBehalf => list.retain(|line| !is(line, b"XCLIENT")),
            CapabilityRewrite::DropCredentials
            | CapabilityRewrite::DropChannelBinding
            | CapabilityRewrite::DropExternal => {
                for line in list.iter_mut().filter(|line| is(line, b"SASL")) {
                    let mechanisms = string(line)
                        .and_then(|(_, rest)| string(rest.strip_prefix(b" ")?))
                        .map(|it| it.0.to_vec());
                    let keep = |word: &&[u8]| how != CapabilityRewrite::DropCredentials && !drops(how, word);
                    let kept: Vec<_> =
                        words(mechanisms.as_deref().unwrap_or_default()).filter(keep).collect();
                    *line = [b"\"SASL\" \"", kept.join(&b' ').as_slice(), b"\"\r\n"].concat();
                }
            }
        }
        list.concat()
    }

    fn has_ambiguous_continuation(&self) -> bool {
        self.has_ambiguous_continuation
    }

    fn cleartext_permission(&self, msg: &[u8]) -> CleartextPermission {
        match CLEARTEXT.cleartext_permission(msg) {
            CleartextPermission::Allowed => CleartextPermission::Allowed,
            // RFC 5804 section 4 forbids line ends in a quoted string, but some servers read on to the closing quote.
            _ if msg.iter().filter(|byte| **byte == b'"').count() % 2 == 1 => CleartextPermission::Ambiguous,
            _ => unlisted(msg),
        }
    }

    fn observed(&self) -> &dyn ObservedDialect {
        self
    }

    fn into_login(self: Box<Self>) -> Option<Box<dyn LoginDialect>> {
        Some(self)
    }
}

/// Commands that need no login. NOOP passes only without its string, which could be a literal.
const CLEARTEXT: Cleartext =
    Cleartext { bare: &["CAPABILITY", "NOOP", "LOGOUT"], with_arguments: &[], longest: 64 };

/// The status at the end of a response (RFC 5804 section 1.2), with the text after the word.
enum Status<'a> {
    Ok,
    No(&'a [u8]),
    Bye,
}

fn status(line: &[u8]) -> Option<Status<'_>> {
    let (status, rest) = word(line);
    match verb(status, &mut [0; 16]) {
        b"OK" => Some(Status::Ok),
        b"NO" => Some(Status::No(rest)),
        b"BYE" => Some(Status::Bye),
        _ => None,
    }
}

fn announced(piece: &[u8]) -> Option<usize> {
    literal(piece).map(|it| it.octets)
}

/// Returns the lines, each with the literals in it.
fn logical_lines(msg: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut rest = msg;
    core::iter::from_fn(move || {
        let end = lines_with_literals(rest, &mut Scan::default(), announced, |_| Ok(true)).ok()??;
        let (line, behind) = rest.split_at_checked(end)?;
        rest = behind;
        Some(line)
    })
}

/// Returns the string at the start of `text` in its encoded form, and the text after it.
fn string(text: &[u8]) -> Option<(&[u8], &[u8])> {
    if let Some(quoted) = text.strip_prefix(b"\"") {
        let mut escaped = false;
        let end = quoted.iter().position(|&byte| {
            let ends = byte == b'"' && !escaped;
            escaped = byte == b'\\' && !escaped;
            ends
        })?;
        return Some((&quoted[..end], &quoted[end + 1..]));
    }
    let announcing = lines(text).next().filter(|line| line.starts_with(b"{"))?.len() + 2;
    let octets = announced(text.get(..announcing)?)?;
    text.get(announcing..)?.split_at_checked(octets)
}

/// Returns whether a line is the STARTTLS capability. Names are case-insensitive strings, quoted or literal (RFC 5804
/// section 1.7).
fn is_offer(line: &[u8]) -> bool {
    string(line).is_some_and(|(name, _)| name.eq_ignore_ascii_case(b"STARTTLS"))
}
