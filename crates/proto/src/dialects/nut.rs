//! NUT, for uninterruptible power supplies: RFC 9271.

mod login;
mod observed;

use alloc::boxed::Box;
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

use crate::cleartext::Cleartext;
use crate::dialect::sealed::Sealed;
use crate::malformed::malformed;
use crate::probe_credentials;
use crate::text::{command, lf_line, verb, word};
use crate::{
    CapabilityRewrite, CleartextPermission, ClientMessage, Dialect, DialectContext, Flow, LoginDialect,
    Malformed, ObservedDialect, OfferPlace, Protocol, ProtocolFamily, Refusal, ReplyTo, Scan, ServerMessage,
    Side,
};

/// NUT, the state of power supplies.
pub const NUT: Protocol = Protocol {
    name: "nut",
    aliases: &[],
    title: "NUT",
    port: 3493,
    implicit_tls: None,
    alpn: None,
    family: ProtocolFamily::Nut,
    spec: "RFC 9271",
    flow: Flow { greeting: false, offer: OfferPlace::Unannounced, login_is_optional: false, ..Flow::USUAL },
    dialect: |context| Box::new(Nut { context, answer: String::new(), quitting: false, named: false }),
};

struct Nut {
    context: DialectContext,
    /// The answer to the last harmless command.
    answer: String,
    quitting: bool,
    /// A login sent a user name.
    named: bool,
}

impl Nut {
    fn answering(&mut self, answer: &str) -> ClientMessage {
        self.answer.clear();
        self.answer.push_str(answer);
        ClientMessage::Probe
    }
}

impl Sealed for Nut {}

impl Dialect for Nut {
    fn frame(&self, from: Side, _: ReplyTo, buf: &[u8], scan: &mut Scan) -> Result<Option<usize>, Malformed> {
        while let Some(end) = lf_line(buf, scan)? {
            let current = &buf[core::mem::replace(&mut scan.mark, end)..end];
            // A list is one answer, from BEGIN LIST to END LIST.
            let more = from == Side::Server && buf.starts_with(b"BEGIN ") && !current.starts_with(b"END ");
            if !more {
                return Ok(Some(end));
            }
        }
        Ok(None)
    }

    fn read_client(&mut self, msg: &[u8]) -> Result<ClientMessage, Malformed> {
        let (name, arguments) = word(msg);
        // Requests are unquoted words in capitals, as in the RFC. No other form is accepted.
        Ok(match name {
            b"STARTTLS" if msg == b"STARTTLS\n" => ClientMessage::Request,
            b"STARTTLS" => self.answering("ERR INVALID-ARGUMENT"),
            b"HELP" if arguments.is_empty() => self.answering("Commands: HELP VER PROTVER STARTTLS LOGOUT"),
            b"VER" if arguments.is_empty() => {
                let answer = format!("{} NUT", self.context.identity.server_name);
                self.answering(&answer)
            }
            b"PROTVER" | b"NETVER" if arguments.is_empty() => self.answering("1.3"),
            b"LOGOUT" if arguments.is_empty() => {
                self.quitting = true;
                ClientMessage::Quit
            }
            _ if logs_in(msg) => ClientMessage::Credentials,
            _ => ClientMessage::Other,
        })
    }

    fn read_server(&mut self, reply_to: ReplyTo, msg: &[u8]) -> Result<ServerMessage, Malformed> {
        let (status, detail) = word(msg);
        Ok(match (reply_to, status, detail) {
            (_, b"OK", b"Goodbye") => ServerMessage::Bye,
            (ReplyTo::Request, b"OK", b"STARTTLS") => ServerMessage::Accept,
            // FEATURE-NOT-CONFIGURED, FEATURE-NOT-SUPPORTED, ALREADY-SSL-MODE and UNKNOWN-COMMAND: a retry does not
            // help with any of these.
            (ReplyTo::Request, b"ERR", _) => ServerMessage::Refuse(Refusal::Permanent),
            (ReplyTo::Request, ..) => return Err(malformed("the go-ahead: OK STARTTLS")),
            (_, b"ERR", b"ACCESS-DENIED" | b"TLS-NOT-ENABLED") => ServerMessage::TlsRequired,
            _ => ServerMessage::Other,
        })
    }

    fn write_client(&mut self, msg: ClientMessage, out: &mut Vec<u8>) {
        let command = match msg {
            ClientMessage::Request => "STARTTLS",
            ClientMessage::Probe => "VER",
            ClientMessage::Quit => "LOGOUT",
            // A server that requires TLS refuses the user name before any password.
            ClientMessage::Credentials => &format!("USERNAME {}", probe_credentials::USER),
            ClientMessage::Other => "LIST UPS",
            ClientMessage::Hello
            | ClientMessage::Silent
            | ClientMessage::OnBehalf
            | ClientMessage::Partial => return,
        };
        out.extend_from_slice(command.as_bytes());
        out.push(b'\n');
    }

    fn write_server(&mut self, msg: ServerMessage, out: &mut Vec<u8>) {
        let text = match msg {
            ServerMessage::Accept => "OK STARTTLS",
            ServerMessage::Refuse(Refusal::Temporary) => "ERR FEATURE-NOT-CONFIGURED",
            ServerMessage::Refuse(Refusal::Permanent) => "ERR ALREADY-SSL-MODE",
            ServerMessage::TlsRequired => "ERR ACCESS-DENIED",
            ServerMessage::Unavailable => "ERR DRIVER-NOT-CONNECTED",
            ServerMessage::Bye if self.quitting => "OK Goodbye",
            // NUT has no message with which a server announces that it closes the connection.
            ServerMessage::Bye => "ERR INVALID-ARGUMENT",
            ServerMessage::Other => &self.answer,
            ServerMessage::Greeting
            | ServerMessage::Offer { .. }
            | ServerMessage::PreAuthenticated
            | ServerMessage::Interim => return,
        };
        out.extend_from_slice(text.as_bytes());
        out.push(b'\n');
    }

    fn rewrite(&self, _: Side, _: ReplyTo, msg: &[u8], _: CapabilityRewrite) -> Vec<u8> {
        msg.to_vec()
    }

    fn cleartext_permission(&self, msg: &[u8]) -> CleartextPermission {
        let line = msg.strip_suffix(b"\n").unwrap_or(msg);
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        let plain = |byte: &u8| byte.is_ascii_alphanumeric() || b" ._:@/-".contains(byte);
        let passes = msg.len() <= CLEARTEXT.longest && line.iter().all(plain) && CLEARTEXT.lists(line);
        if passes { CleartextPermission::Allowed } else { CleartextPermission::NeedsTls }
    }

    fn observed(&self) -> &dyn ObservedDialect {
        self
    }

    fn into_login(self: Box<Self>) -> Option<Box<dyn LoginDialect>> {
        Some(self)
    }
}

/// Commands that read and need no login. Quotes are excluded, because servers disagree about where a quoted string
/// ends.
const CLEARTEXT: Cleartext = Cleartext {
    bare: &["HELP", "VER", "NETVER", "PROTVER", "LOGOUT"],
    with_arguments: &["GET", "LIST"],
    longest: 512,
};

/// Returns whether a server may read this as a part of a login. Servers unquote words, drop unprintable characters
/// and ignore case.
fn logs_in(msg: &[u8]) -> bool {
    let dropped =
        |byte: &u8| matches!(byte, b'"' | b'\'' | b'\\') || !(byte.is_ascii_graphic() || is_white(byte));
    let bare: Vec<u8> = msg.iter().filter(|byte| !dropped(byte)).copied().collect();
    let upper = &mut [0; 16];
    matches!(verb(command(&bare).0, upper), b"USERNAME" | b"PASSWORD" | b"LOGIN")
}

fn is_white(byte: &u8) -> bool {
    matches!(byte, b' ' | b'\t'..=b'\r')
}
