//! IRC: the `tls` extension of IRCv3, over RFC 1459 and RFC 2812.

mod login;
mod observed;

use alloc::boxed::Box;
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

use crate::dialect::sealed::Sealed;
use crate::malformed::malformed;
use crate::probe_credentials;
use crate::rewrite::drops;
use crate::text::{line, lines, mentions_tls, starts_with, verb};
use crate::{
    Capability, CapabilityRewrite, ClientMessage, Correlation, Dialect, DialectContext, Flow, ImplicitTls,
    LoginDialect, Malformed, ObservedDialect, Protocol, ProtocolFamily, Refusal, ReplyTo, Scan,
    ServerMessage, Side,
};

/// IRC. Servers may send notices at any time, so the protocol has no greeting.
pub const IRC: Protocol = Protocol {
    name: "irc",
    aliases: &[],
    title: "IRC",
    port: 6667,
    implicit_tls: Some(ImplicitTls { name: "ircs", port: 6697, alpn_required: false }),
    alpn: Some("irc"),
    family: ProtocolFamily::Irc,
    spec: "IRCv3 tls",
    flow: Flow { greeting: false, tls_may_be_optional: false, login_is_optional: false, ..Flow::USUAL },
    dialect: |context| {
        Box::new(Irc {
            context,
            answer: Vec::new(),
            offered: false,
            exchange: Exchange::None,
            login: login::State::default(),
        })
    },
};

/// The longest line that a server writes, in octets without tags and CRLF (RFC 2812 section 2.3).
const MAX_LINE: usize = 510;

struct Irc {
    context: DialectContext,
    /// The answer to the last harmless command, without the prefix.
    answer: Vec<u8>,
    /// Whether an earlier line of the capability list contained `tls`.
    offered: bool,
    exchange: Exchange,
    login: login::State,
}

/// What the client's last AUTHENTICATE was (IRCv3 SASL 3.1). The mechanism and the responses have the same form.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Exchange {
    None,
    /// The mechanism.
    Mechanism,
    /// A response, or a part of one.
    Response,
}

/// A message without its tags (RFC 2812 section 2.3.1).
struct Message<'a> {
    prefix: Option<&'a [u8]>,
    command: &'a [u8],
    /// The parameters, unparsed.
    rest: &'a [u8],
}

impl<'a> Message<'a> {
    /// Parses a message. Returns `None` for an empty line, which receivers ignore.
    fn parse(msg: &'a [u8]) -> Result<Option<Self>, Malformed> {
        let mut rest = lines(msg).next().unwrap_or_default();
        if rest.is_empty() {
            return Ok(None);
        }
        if rest.starts_with(b"@") {
            rest = word(rest).1;
        }
        let prefix = rest.starts_with(b":").then(|| word(rest).0);
        if prefix.is_some() {
            rest = word(rest).1;
        }
        let (command, rest) = word(rest);
        let letters = !command.is_empty() && command.iter().all(u8::is_ascii_alphabetic);
        let numeric = command.len() == 3 && command.iter().all(u8::is_ascii_digit);
        if !letters && !numeric {
            return Err(malformed("a command or a numeric of three digits"));
        }
        Ok(Some(Self { prefix, command, rest }))
    }

    /// Returns the parameters. The last parameter may contain spaces if it starts with a colon.
    fn parameters(&self) -> impl Iterator<Item = &'a [u8]> {
        let mut rest = self.rest;
        core::iter::from_fn(move || {
            let parameter;
            match rest {
                [] => return None,
                [b':', last @ ..] => (parameter, rest) = (last, &[]),
                _ => (parameter, rest) = word(rest),
            }
            Some(parameter)
        })
    }

    fn parameter(&self, at: usize) -> &'a [u8] {
        self.parameters().nth(at).unwrap_or_default()
    }

    /// Returns whether the server itself sent this, rather than relaying the message of a user.
    fn is_the_servers(&self) -> bool {
        self.prefix.is_none_or(|prefix| !prefix.iter().any(|byte| matches!(byte, b'!' | b'@')))
    }

    /// Returns the capabilities in an answer to `CAP LS`, and whether another line follows (`*`).
    fn capabilities(&self) -> Option<(&'a [u8], bool)> {
        if !self.command.eq_ignore_ascii_case(b"CAP") || !self.parameter(1).eq_ignore_ascii_case(b"LS") {
            return None;
        }
        let more = self.parameter(2) == b"*" && self.parameters().nth(3).is_some();
        Some((self.parameter(if more { 3 } else { 2 }), more))
    }
}

/// Returns the text before the first space, and the text after the spaces.
fn word(text: &[u8]) -> (&[u8], &[u8]) {
    let end = text.iter().position(|&byte| byte == b' ').unwrap_or(text.len());
    let rest = &text[end..];
    (&text[..end], &rest[rest.iter().take_while(|&&byte| byte == b' ').count()..])
}

/// Returns whether a capability is `tls`, with or without a value.
fn is_tls(capability: &[u8]) -> bool {
    capability.split(|&byte| byte == b'=').next() == Some(b"tls")
}

fn list(capabilities: &[u8]) -> impl Iterator<Item = &[u8]> {
    capabilities.split(|&byte| byte == b' ').filter(|it| !it.is_empty())
}

impl Irc {
    fn answering(&mut self, answer: &[u8]) -> ClientMessage {
        self.answer.clear();
        self.answer.extend_from_slice(answer);
        ClientMessage::Probe
    }

    /// Reads capability negotiation. Inside TLS the application handles everything except LS.
    fn read_cap(&mut self, message: &Message<'_>) -> ClientMessage {
        let upper = &mut [0; 16];
        match verb(message.parameter(0), upper) {
            b"LS" => ClientMessage::Hello,
            _ if self.context.is_inside_tls() => ClientMessage::Other,
            b"LIST" => self.answering(b"CAP * LIST :"),
            // IRCv3 tls: STARTTLS works without a request for `tls`, so the acknowledgment changes nothing.
            b"REQ" if list(message.parameter(1)).all(|it| it == b"tls") => self.answering(b"CAP * ACK :tls"),
            b"REQ" => self.answering(b"CAP * NAK :these"),
            b"END" => ClientMessage::Silent,
            _ => self.answering(b"410 * * :Invalid CAP command"),
        }
    }

    fn pong(&mut self, token: &[u8]) -> ClientMessage {
        let name = self.context.identity.server_name.clone();
        let room = MAX_LINE.saturating_sub(2 * name.len() + 16);
        self.answering(&[b"PONG ", name.as_bytes(), b" :", &token[..token.len().min(room)]].concat())
    }

    fn write_line(&self, text: &[u8], out: &mut Vec<u8>) {
        if !self.context.identity.server_name.is_empty() {
            out.push(b':');
            out.extend_from_slice(self.context.identity.server_name.as_bytes());
            out.push(b' ');
        }
        out.extend_from_slice(text);
        out.extend_from_slice(b"\r\n");
    }

    /// Writes the capability list in as many lines as necessary (IRCv3 capability negotiation, version 302).
    fn write_capabilities(&self, starttls: bool, out: &mut Vec<u8>) {
        let inside = self.context.capabilities().iter().map(Capability::as_str);
        let room = MAX_LINE.saturating_sub(self.context.identity.server_name.len() + 20);
        let mut text = String::new();
        for capability in starttls.then_some("tls").into_iter().chain(inside) {
            if !text.is_empty() && text.len() + capability.len() >= room {
                self.write_line(format!("CAP * LS * :{text}").as_bytes(), out);
                text.clear();
            }
            text.push_str(if text.is_empty() { "" } else { " " });
            text.push_str(capability);
        }
        self.write_line(format!("CAP * LS :{text}").as_bytes(), out);
    }
}

impl Sealed for Irc {}

impl Dialect for Irc {
    fn frame(&self, _: Side, _: ReplyTo, buf: &[u8], scan: &mut Scan) -> Result<Option<usize>, Malformed> {
        line(buf, scan)
    }

    fn read_client(&mut self, msg: &[u8]) -> Result<ClientMessage, Malformed> {
        let Some(message) = Message::parse(msg)? else { return Ok(ClientMessage::Silent) };
        let (inside, upper) = (self.context.is_inside_tls(), &mut [0; 16]);
        Ok(match verb(message.command, upper) {
            b"STARTTLS" if msg.len() == b"STARTTLS\r\n".len() => ClientMessage::Request,
            b"STARTTLS" => self.answering(b"691 * :STARTTLS takes no parameters"),
            b"CAP" => self.read_cap(&message),
            b"PING" => match message.parameter(0) {
                b"" => self.answering(b"409 * :No origin specified"),
                token => self.pong(token),
            },
            b"PONG" if !inside => ClientMessage::Silent,
            b"QUIT" => ClientMessage::Quit,
            b"AUTHENTICATE" => {
                let begins = self.exchange == Exchange::None;
                self.exchange = if begins { Exchange::Mechanism } else { Exchange::Response };
                ClientMessage::Credentials
            }
            b"PASS" | b"OPER" | b"WEBIRC" => ClientMessage::Credentials,
            // No RFC defines these commands, but most networks manage accounts with NickServ.
            b"NICKSERV" | b"NS" | b"IDENTIFY" => ClientMessage::Credentials,
            b"PRIVMSG" | b"NOTICE" | b"SQUERY" if starts_with(message.parameter(0), b"NickServ") => {
                ClientMessage::Credentials
            }
            // This includes NICK and USER. The server refuses them, so that no name survives the boundary.
            _ => ClientMessage::Other,
        })
    }

    fn read_server(&mut self, reply_to: ReplyTo, msg: &[u8]) -> Result<ServerMessage, Malformed> {
        let Some(message) = Message::parse(msg)? else { return Ok(ServerMessage::Interim) };
        // Messages of users, and notices, may arrive at any time.
        if !message.is_the_servers() {
            return Ok(ServerMessage::Interim);
        }
        if let Some((capabilities, more)) = message.capabilities().filter(|_| reply_to != ReplyTo::Request) {
            self.offered |= list(capabilities).any(is_tls);
            if more {
                return Ok(ServerMessage::Interim);
            }
            return Ok(ServerMessage::Offer { starttls: core::mem::take(&mut self.offered) });
        }
        let about = |command: &[u8]| message.parameter(1).eq_ignore_ascii_case(command);
        // ERR_NICKLOCKED, RPL_SASLSUCCESS, ERR_SASLFAIL, ERR_SASLTOOLONG, ERR_SASLABORTED, ERR_SASLALREADY, RPL_SASLMECHS.
        let ends_sasl =
            matches!(message.command, b"902" | b"903" | b"904" | b"905" | b"906" | b"907" | b"908");
        if ends_sasl || (message.command == b"421" && about(b"AUTHENTICATE")) {
            self.exchange = Exchange::None;
        }
        let upper = &mut [0; 16];
        Ok(match (reply_to, verb(message.command, upper)) {
            (_, b"ERROR") => ServerMessage::Bye,
            (_, b"670") => ServerMessage::Accept,
            // IRCv3 defines 691 as an error in the TLS setup and does not state whether the error is permanent.
            (_, b"691") => ServerMessage::Refuse(Refusal::Temporary),
            (_, b"421") if about(b"STARTTLS") => ServerMessage::Refuse(Refusal::Permanent),
            (ReplyTo::Request, b"421" | b"451" | b"461" | b"462") => {
                ServerMessage::Refuse(Refusal::Permanent)
            }
            (ReplyTo::Hello, b"410" | b"421" | b"451" | b"461") => ServerMessage::Offer { starttls: false },
            // 001 welcomes a registered user, but the client has not sent a name.
            (ReplyTo::Hello | ReplyTo::Request, b"001") => ServerMessage::PreAuthenticated,
            // Some servers send PING first: they wait for PONG before they register a user, and STARTTLS precedes
            // registration.
            (ReplyTo::Connect | ReplyTo::Hello | ReplyTo::Request, _)
            | (_, b"NOTICE" | b"PRIVMSG" | b"PING") => ServerMessage::Interim,
            // Servers send 451 ("You have not registered") for every command that is too early. Only its text tells
            // whether TLS is the reason.
            (ReplyTo::Other, b"451") if mentions_tls(message.rest) => ServerMessage::TlsRequired,
            (ReplyTo::Other, _) => ServerMessage::Other,
        })
    }

    fn write_client(&mut self, msg: ClientMessage, out: &mut Vec<u8>) {
        let command = match msg {
            ClientMessage::Hello => "CAP LS 302",
            ClientMessage::Request => "STARTTLS",
            ClientMessage::Probe => "PING starttls",
            ClientMessage::Quit => "QUIT",
            // A server that accepts PASS or NICK sends no answer.
            ClientMessage::Credentials => {
                &format!("PASS {}", probe_credentials::password(self.context.nonce))
            }
            ClientMessage::Other => "NICK probe",
            ClientMessage::Silent | ClientMessage::OnBehalf | ClientMessage::Partial => return,
        };
        out.extend_from_slice(command.as_bytes());
        out.extend_from_slice(b"\r\n");
    }

    fn write_server(&mut self, msg: ServerMessage, out: &mut Vec<u8>) {
        let text: &[u8] = match msg {
            ServerMessage::Offer { starttls } => return self.write_capabilities(starttls, out),
            ServerMessage::Accept => b"670 * :STARTTLS successful, proceed with the TLS handshake",
            ServerMessage::Refuse(Refusal::Temporary) => b"691 * :STARTTLS failure: not available for now",
            ServerMessage::Refuse(Refusal::Permanent) => b"691 * :STARTTLS failure: TLS is active already",
            // IRC has no numeric for this. The connection stays open, because clients send NICK and USER together
            // with CAP LS, and send STARTTLS after they have read the answer.
            ServerMessage::TlsRequired => b"451 * :STARTTLS comes first; what was sent before it is not kept",
            ServerMessage::Unavailable => {
                out.extend_from_slice(b"ERROR :Closing link (cannot serve for now)\r\n");
                return;
            }
            ServerMessage::Bye => {
                out.extend_from_slice(b"ERROR :Closing link\r\n");
                return;
            }
            ServerMessage::Other => &self.answer,
            ServerMessage::Greeting | ServerMessage::PreAuthenticated | ServerMessage::Interim => return,
        };
        self.write_line(text, out);
    }

    fn rewrite(&self, from: Side, _: ReplyTo, msg: &[u8], how: CapabilityRewrite) -> Vec<u8> {
        let message = Message::parse(msg).ok().flatten().filter(|_| from == Side::Server);
        let Some((capabilities, _)) = message.and_then(|message| message.capabilities()) else {
            return msg.to_vec();
        };
        let kept = rewritten(list(capabilities), how);
        if kept.iter().map(Vec::as_slice).eq(list(capabilities)) {
            return msg.to_vec();
        }
        // The list is the last parameter, at the end of the line.
        let head = msg.len().saturating_sub(capabilities.len() + 2);
        let colon: &[u8] = if msg[..head].ends_with(b":") { b"" } else { b":" };
        [&msg[..head], colon, &kept.join(&b' '), b"\r\n"].concat()
    }

    /// Correlates an answer with its command. Numerics from 400 on are errors of any command; lower numerics welcome
    /// or inform (RFC 2812 section 5.2).
    fn correlation(&self, from: Side, msg: &[u8]) -> Option<Correlation> {
        let message = Message::parse(msg).ok()??;
        let numeric = core::str::from_utf8(message.command).ok().and_then(|it| it.parse::<u16>().ok());
        let upper = &mut [0; 16];
        match (from, verb(message.command, upper), numeric) {
            (Side::Client, b"PING", _) | (Side::Server, b"PONG", _) => Some(Correlation::Kind("PING")),
            (Side::Client, ..) => Some(Correlation::Kind("command")),
            (Side::Server, _, Some(..400)) => Some(Correlation::Kind("information")),
            (Side::Server, ..) => None,
        }
    }

    fn observed(&self) -> &dyn ObservedDialect {
        self
    }

    fn into_login(self: Box<Self>) -> Option<Box<dyn LoginDialect>> {
        Some(self)
    }
}

/// Returns the capabilities with this change. Logins use `sasl`, or `sasl=` with a comma-separated list of mechanisms
/// (IRCv3 SASL 3.2).
fn rewritten<'a>(list: impl Iterator<Item = &'a [u8]>, how: CapabilityRewrite) -> Vec<Vec<u8>> {
    let mut kept: Vec<Vec<u8>> = list.map(<[u8]>::to_vec).collect();
    match how {
        CapabilityRewrite::DropUpgrade => kept.retain(|it| !is_tls(it)),
        CapabilityRewrite::AddUpgrade if !kept.iter().any(|it| is_tls(it)) => kept.push(b"tls".to_vec()),
        CapabilityRewrite::AddUpgrade | CapabilityRewrite::DropOnBehalf => {}
        CapabilityRewrite::DropCredentials => kept.retain(|it| it != b"sasl" && !it.starts_with(b"sasl=")),
        CapabilityRewrite::DropChannelBinding | CapabilityRewrite::DropExternal => {
            for it in kept.iter_mut().filter(|it| it.starts_with(b"sasl=")) {
                let left: Vec<_> = it[5..].split(|&byte| byte == b',').filter(|it| !drops(how, it)).collect();
                *it = [b"sasl=", left.join(&b',').as_slice()].concat();
            }
            kept.retain(|it| it != b"sasl=");
        }
    }
    kept
}
