//! POP3: RFC 2595 section 4 over RFC 1939, RFC 2449 and RFC 5034.

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
use crate::rewrite::{Keywords, rewrite_block};
use crate::text::{Blocks, block, command, line, lines, mentions_tls, opens_with, starts_with, verb};
use crate::{
    Capability, CapabilityRewrite, CleartextPermission, ClientMessage, Dialect, DialectContext, Flow,
    ImplicitTls, LoginDialect, Malformed, ObservedDialect, Protocol, ProtocolFamily, Refusal, ReplyTo, Scan,
    ServerMessage, Side,
};

/// POP3: fetching mail.
pub const POP3: Protocol = Protocol {
    name: "pop3",
    aliases: &[],
    title: "POP3",
    port: 110,
    implicit_tls: Some(ImplicitTls { name: "pop3s", port: 995, alpn_required: false }),
    alpn: Some("pop3"),
    family: ProtocolFamily::Pop3,
    spec: "RFC 2595 section 4",
    flow: Flow::USUAL,
    dialect: |context| {
        let (blocks, turn) = (Blocks::default(), Turn::Command);
        let login = login::State::default();
        Box::new(Pop3 { context, blocks, turn, answer: "-ERR", quitting: false, login })
    },
};

struct Pop3 {
    context: DialectContext,
    /// The form of the answers to commands other than CAPA and STLS.
    blocks: Blocks,
    turn: Turn,
    /// The answer to the last harmless command.
    answer: &'static str,
    quitting: bool,
    login: login::State,
}

/// What the client sends next.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Turn {
    Command,
    /// The server's answer to AUTH, or to a response, decides.
    Undecided,
    /// A response to a challenge.
    Response,
}

impl Pop3 {
    fn answering(&mut self, answer: &'static str) -> ClientMessage {
        self.answer = answer;
        ClientMessage::Probe
    }
}

impl Sealed for Pop3 {}

impl Dialect for Pop3 {
    fn frame(
        &self,
        from: Side,
        reply_to: ReplyTo,
        buf: &[u8],
        scan: &mut Scan,
    ) -> Result<Option<usize>, Malformed> {
        match (from, reply_to) {
            (Side::Client, _) if self.turn == Turn::Undecided => Ok(None),
            (Side::Server, ReplyTo::Hello) => block(buf, scan, is_ok),
            (Side::Server, ReplyTo::Other) if self.blocks.next() => block(buf, scan, is_ok),
            _ => line(buf, scan),
        }
    }

    fn read_client(&mut self, msg: &[u8]) -> Result<ClientMessage, Malformed> {
        if self.turn == Turn::Response {
            self.turn = Turn::Undecided;
            return Ok(ClientMessage::Partial);
        }
        self.turn = Turn::Command;
        let (name, _) = command(msg);
        let upper = &mut [0; 16];
        let name_only = name.len() + 2 == msg.len();
        let mut listing = false;
        let meaning = match (verb(name, upper), name_only) {
            (b"STLS", true) => return Ok(ClientMessage::Request),
            (b"CAPA", true) => return Ok(ClientMessage::Hello),
            (b"QUIT", true) => {
                self.quitting = true;
                ClientMessage::Quit
            }
            (b"STLS" | b"CAPA" | b"QUIT", false) => self.answering("-ERR No arguments are expected"),
            // RFC 1939 section 5: NOOP belongs to the transaction state, which only the application tracks.
            (b"NOOP", true) if !self.context.is_inside_tls() => {
                self.answering("-ERR Nothing to do before TLS")
            }
            (b"AUTH", false) => {
                // Inside TLS the application reads the responses directly.
                self.turn = if self.context.is_inside_tls() { Turn::Command } else { Turn::Undecided };
                ClientMessage::Credentials
            }
            (b"USER" | b"PASS" | b"APOP", _) => ClientMessage::Credentials,
            // XCLIENT is in no RFC, but some servers trust it.
            (b"XCLIENT", _) => {
                self.answering("-ERR This command is not accepted from clients");
                ClientMessage::OnBehalf
            }
            (b"RETR" | b"TOP", _) | (b"LIST" | b"UIDL" | b"AUTH", true) => {
                listing = true;
                ClientMessage::Other
            }
            _ => ClientMessage::Other,
        };
        self.blocks.asked(listing);
        Ok(meaning)
    }

    fn read_server(&mut self, reply_to: ReplyTo, msg: &[u8]) -> Result<ServerMessage, Malformed> {
        if self.turn == Turn::Undecided && matches!(msg, [b'+', b' ' | b'\r', ..]) {
            self.turn = Turn::Response;
            return Ok(ServerMessage::Interim);
        }
        let ok = is_ok(msg);
        if !ok && !matches!(msg, [b'-', b'E', b'R', b'R', b' ' | b'\r', ..]) {
            return Err(malformed("+OK or -ERR"));
        }
        if reply_to == ReplyTo::Other && self.blocks.answered() {
            self.turn = Turn::Command;
        }
        Ok(match (reply_to, ok) {
            (ReplyTo::Connect, true) => ServerMessage::Greeting,
            (ReplyTo::Connect, false) => ServerMessage::Bye,
            (ReplyTo::Hello, _) => ServerMessage::Offer { starttls: ok && lines(msg).skip(1).any(is_offer) },
            (ReplyTo::Request, true) => ServerMessage::Accept,
            // RFC 3206 section 4 and RFC 2449 section 8.1 define the codes of temporary failures.
            (ReplyTo::Request, false) if is_temporary(msg) => ServerMessage::Refuse(Refusal::Temporary),
            (ReplyTo::Request, false) => ServerMessage::Refuse(Refusal::Permanent),
            // No response code means "TLS required" (RFC 3206 has only a code for any fault in the credentials).
            (ReplyTo::Other, false) if mentions_tls(msg) => ServerMessage::TlsRequired,
            (ReplyTo::Other, _) => ServerMessage::Other,
        })
    }

    fn write_client(&mut self, msg: ClientMessage, out: &mut Vec<u8>) {
        let command = match msg {
            ClientMessage::Hello => "CAPA",
            ClientMessage::Request => "STLS",
            ClientMessage::Probe => "NOOP",
            ClientMessage::Quit => "QUIT",
            // RFC 2595 section 2.2: a server that requires TLS refuses the user name before any password.
            ClientMessage::Credentials => &format!("USER {}", probe_credentials::USER),
            ClientMessage::Other => "STAT",
            ClientMessage::Silent | ClientMessage::OnBehalf | ClientMessage::Partial => return,
        };
        out.extend_from_slice(command.as_bytes());
        out.extend_from_slice(b"\r\n");
    }

    fn write_server(&mut self, msg: ServerMessage, out: &mut Vec<u8>) {
        self.turn = Turn::Command;
        if matches!(msg, ServerMessage::Other | ServerMessage::TlsRequired | ServerMessage::Bye) {
            self.blocks.settled();
        }
        let text = match msg {
            ServerMessage::Greeting => format!("+OK {} POP3", self.context.identity.server_name),
            ServerMessage::Offer { starttls } => {
                let capabilities = self.context.capabilities().iter();
                let listed: String = ["PIPELINING", "RESP-CODES"]
                    .into_iter()
                    .chain(starttls.then_some("STLS"))
                    .chain(capabilities.map(Capability::as_str))
                    .flat_map(|capability| [capability, "\r\n"])
                    .collect();
                format!("+OK What there is\r\n{listed}.")
            }
            ServerMessage::Accept => String::from("+OK Begin TLS negotiation now"),
            ServerMessage::Refuse(Refusal::Temporary) => {
                String::from("-ERR [SYS/TEMP] TLS is not available for now")
            }
            ServerMessage::Refuse(Refusal::Permanent) => String::from("-ERR TLS is active already"),
            ServerMessage::TlsRequired => String::from("-ERR STLS comes first"),
            // RFC 3206 section 4.
            ServerMessage::Unavailable => String::from("-ERR [SYS/TEMP] Cannot serve for now"),
            ServerMessage::Bye if self.quitting => String::from("+OK Bye"),
            ServerMessage::Bye => String::from("-ERR Closing the connection"),
            ServerMessage::Other => String::from(self.answer),
            ServerMessage::PreAuthenticated | ServerMessage::Interim => return,
        };
        out.extend_from_slice(text.as_bytes());
        out.extend_from_slice(b"\r\n");
    }

    fn rewrite(&self, from: Side, reply_to: ReplyTo, msg: &[u8], how: CapabilityRewrite) -> Vec<u8> {
        let listed = from == Side::Server && reply_to == ReplyTo::Hello;
        if listed { rewrite_block(msg, &KEYWORDS, how) } else { msg.to_vec() }
    }

    fn cleartext_permission(&self, msg: &[u8]) -> CleartextPermission {
        CLEARTEXT.cleartext_permission(msg)
    }

    fn observed(&self) -> &dyn ObservedDialect {
        self
    }

    fn into_login(self: Box<Self>) -> Option<Box<dyn LoginDialect>> {
        Some(self)
    }
}

/// Commands that need no login.
const CLEARTEXT: Cleartext = Cleartext { bare: &["CAPA", "NOOP", "QUIT"], with_arguments: &[], longest: 64 };

const KEYWORDS: Keywords =
    Keywords { upgrade: "STLS", mechanisms: "SASL", credentials: &["USER"], on_behalf: &["XCLIENT"] };

/// RFC 1939 section 3: the status indicators are in upper case.
fn is_ok(msg: &[u8]) -> bool {
    matches!(msg, [b'+', b'O', b'K', b' ' | b'\r', ..])
}

fn is_offer(line: &[u8]) -> bool {
    opens_with(line, b"STLS")
}

fn is_temporary(msg: &[u8]) -> bool {
    let text = msg.get(b"-ERR ".len()..).unwrap_or_default();
    [b"[SYS/TEMP]".as_slice(), b"[IN-USE]", b"[LOGIN-DELAY]"].iter().any(|code| starts_with(text, code))
}
