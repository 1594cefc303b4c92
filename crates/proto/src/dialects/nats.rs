//! NATS, messaging: its client protocol. The ClientHello itself is the request for TLS.

mod info;
mod login;
mod observed;

use alloc::boxed::Box;
use alloc::format;
use alloc::vec::Vec;

use crate::dialect::sealed::Sealed;
use crate::malformed::malformed;
use crate::probe_credentials;
use crate::text::{lf_line, lines, verb};
use crate::{
    CapabilityRewrite, ClientMessage, Dialect, DialectContext, Flow, LoginDialect, Malformed,
    ObservedDialect, OfferPlace, Protocol, ProtocolFamily, ReplyTo, Scan, ServerMessage, Side,
};

/// NATS, messaging.
pub const NATS: Protocol = Protocol {
    name: "nats",
    aliases: &[],
    title: "NATS",
    port: 4222,
    implicit_tls: None,
    alpn: None,
    family: ProtocolFamily::Nats,
    spec: "NATS client protocol",
    flow: Flow {
        offer: OfferPlace::InGreeting,
        request_is_answered: false,
        client_hello_is_request: true,
        closes_when_tls_required: true,
        login_needs_greeting: true,
        tls_may_be_optional: false,
        login_is_optional: false,
        ..Flow::USUAL
    },
    dialect: |context| Box::new(Nats { context }),
};

struct Nats {
    context: DialectContext,
}

impl Sealed for Nats {}

impl Dialect for Nats {
    fn frame(&self, from: Side, _: ReplyTo, buf: &[u8], scan: &mut Scan) -> Result<Option<usize>, Malformed> {
        // `mark` is the end of the line, and `depth` the end of the message.
        if scan.mark == 0 {
            let Some(end) = lf_line(buf, scan)? else { return Ok(None) };
            scan.mark = end;
            scan.depth = match payload(from, &buf[..end])? {
                // The payload has a line end of its own.
                Some(octets) => end.saturating_add(octets).saturating_add(2),
                None => end,
            };
        }
        if buf.len() < scan.depth {
            return Ok(None);
        }
        match scan.depth == scan.mark || buf[..scan.depth].ends_with(b"\r\n") {
            true => Ok(Some(scan.depth)),
            false => Err(malformed("CRLF after a payload")),
        }
    }

    fn read_client(&mut self, msg: &[u8]) -> Result<ClientMessage, Malformed> {
        Ok(match verb(operation(msg).0, &mut [0; 16]) {
            b"CONNECT" => ClientMessage::Credentials,
            b"PONG" => ClientMessage::Silent,
            // A server that requires TLS answers no PING before it.
            _ => ClientMessage::Other,
        })
    }

    fn read_server(&mut self, reply_to: ReplyTo, msg: &[u8]) -> Result<ServerMessage, Malformed> {
        let (name, argument) = operation(msg);
        Ok(match (reply_to, verb(name, &mut [0; 16])) {
            (ReplyTo::Connect, b"INFO") => ServerMessage::Offer { starttls: info::offers_tls(argument)? },
            (_, b"-ERR") => error(reply_to, argument),
            (ReplyTo::Connect, _) => return Err(malformed("INFO")),
            // A server sends these at any time. What a later INFO says of TLS has no effect on the connection.
            (_, b"INFO" | b"PING") => ServerMessage::Interim,
            _ => ServerMessage::Other,
        })
    }

    fn write_client(&mut self, msg: ClientMessage, out: &mut Vec<u8>) {
        match msg {
            ClientMessage::Credentials => {
                let (user, password) =
                    (probe_credentials::USER, probe_credentials::password(self.context.nonce));
                // Only in the verbose mode does a server answer a successful CONNECT.
                let login = format!(",\"verbose\":true,\"user\":\"{user}\",\"pass\":\"{password}\"}}\r\n");
                out.extend_from_slice(login::CONNECT.as_bytes());
                out.extend_from_slice(login.as_bytes());
            }
            ClientMessage::Other => out.extend_from_slice(b"PING\r\n"),
            // The ClientHello is the request, and a client ends a session by closing the connection.
            ClientMessage::Request
            | ClientMessage::Hello
            | ClientMessage::Probe
            | ClientMessage::Quit
            | ClientMessage::Silent
            | ClientMessage::OnBehalf
            | ClientMessage::Partial => {}
        }
    }

    fn write_server(&mut self, msg: ServerMessage, out: &mut Vec<u8>) {
        let error = match msg {
            ServerMessage::Offer { starttls } => return info::write(&self.context, starttls, out),
            ServerMessage::TlsRequired => TLS_REQUIRED,
            ServerMessage::Unavailable => "maximum connections exceeded",
            ServerMessage::Bye => "Unknown Protocol Operation",
            ServerMessage::Greeting
            | ServerMessage::Accept
            | ServerMessage::Refuse(_)
            | ServerMessage::PreAuthenticated
            | ServerMessage::Interim
            | ServerMessage::Other => return,
        };
        out.extend_from_slice(format!("-ERR '{error}'\r\n").as_bytes());
    }

    fn rewrite(&self, from: Side, _: ReplyTo, msg: &[u8], how: CapabilityRewrite) -> Vec<u8> {
        let (name, argument) = operation(msg);
        let is_info = from == Side::Server && name.eq_ignore_ascii_case(b"INFO");
        match how {
            CapabilityRewrite::DropUpgrade if is_info => info::rewritten(argument, false),
            CapabilityRewrite::AddUpgrade if is_info => info::rewritten(argument, true),
            _ => None,
        }
        .unwrap_or_else(|| msg.to_vec())
    }

    fn observed(&self) -> &dyn ObservedDialect {
        self
    }

    fn into_login(self: Box<Self>) -> Option<Box<dyn LoginDialect>> {
        Some(self)
    }
}

/// The error of a server that requires TLS.
const TLS_REQUIRED: &str = "Secure Connection - TLS Required";

/// Errors after which the connection may continue, or that answer a login.
const ANSWERS: &[&str] =
    &["Authorization Violation", "User Authentication", "Permissions Violation", "Invalid Subject"];

/// Splits a line into the name of the operation and the argument. Servers accept a tab after the name, or nothing before the
/// JSON object of CONNECT, so that a login in such a form must not be overlooked. They ignore the case of the name.
fn operation(msg: &[u8]) -> (&[u8], &[u8]) {
    let line = lines(msg).next().unwrap_or_default();
    let end = line.iter().position(|octet| b" \t{".contains(octet)).unwrap_or(line.len());
    let (name, argument) = line.split_at(end);
    (name, argument.trim_ascii())
}

/// Returns the meaning of an error. Most errors end the connection.
fn error(reply_to: ReplyTo, argument: &[u8]) -> ServerMessage {
    let text = argument.strip_prefix(b"'").unwrap_or(argument);
    let begins =
        |start: &&str| text.get(..start.len()).is_some_and(|it| it.eq_ignore_ascii_case(start.as_bytes()));
    match () {
        () if reply_to == ReplyTo::Connect => ServerMessage::Bye,
        () if begins(&TLS_REQUIRED) => ServerMessage::TlsRequired,
        () if ANSWERS.iter().any(begins) => ServerMessage::Other,
        () => ServerMessage::Bye,
    }
}

/// Returns the number of octets that follow a line as its payload, without the line end after them.
fn payload(from: Side, line: &[u8]) -> Result<Option<usize>, Malformed> {
    let (name, argument) = operation(line);
    let has_payload = match (from, verb(name, &mut [0; 16])) {
        (Side::Client, name) => matches!(name, b"PUB" | b"HPUB"),
        (Side::Server, name) => matches!(name, b"MSG" | b"HMSG"),
    };
    if !has_payload {
        return Ok(None);
    }
    let last = argument.rsplit(|octet| b" \t".contains(octet)).next().unwrap_or_default();
    let octets = str::from_utf8(last).ok().filter(|it| it.bytes().all(|digit| digit.is_ascii_digit()));
    match octets.and_then(|it| it.parse().ok()) {
        Some(octets) => Ok(Some(octets)),
        None => Err(malformed("the length of a payload")),
    }
}
