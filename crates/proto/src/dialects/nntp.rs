//! NNTP: RFC 4642 and RFC 8143 over RFC 3977, with RFC 4643 for AUTHINFO.

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
use crate::text::{Blocks, block, code, command, line, lines, opens_with, verb, words};
use crate::{
    Capability, CapabilityRewrite, CleartextPermission, ClientMessage, Dialect, DialectContext, Flow,
    ImplicitTls, LoginDialect, Malformed, ObservedDialect, Protocol, ProtocolFamily, Refusal, ReplyTo, Scan,
    ServerMessage, Side,
};

/// NNTP: reading and transfer of news.
pub const NNTP: Protocol = Protocol {
    name: "nntp",
    aliases: &[],
    title: "NNTP",
    port: 119,
    implicit_tls: Some(ImplicitTls { name: "nntps", port: 563, alpn_required: false }),
    alpn: Some("nntp"),
    family: ProtocolFamily::Nntp,
    spec: "RFC 4642 section 2.2",
    flow: Flow::USUAL,
    dialect: |context| {
        let (blocks, turn) = (Blocks::default(), Turn::Command);
        let login = login::State::default();
        Box::new(Nntp { context, blocks, turn, answer: "", quitting: false, login })
    },
};

struct Nntp {
    context: DialectContext,
    /// For commands other than CAPABILITIES and STARTTLS: whether 211 starts a block, as after LISTGROUP.
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
    /// The server's answer decides.
    Undecided,
    /// A line of an article, which ends with a line that contains only a dot.
    Article,
    /// A response to a challenge.
    Response,
}

impl Nntp {
    fn answering(&mut self, answer: &'static str) -> ClientMessage {
        self.answer = answer;
        ClientMessage::Probe
    }

    fn read_command(&mut self, msg: &[u8]) -> ClientMessage {
        let (name, arguments) = command(msg);
        let upper = &mut [0; 16];
        let name_only = name.len() + 2 == msg.len();
        match (verb(name, upper), name_only) {
            (b"STARTTLS", true) => ClientMessage::Request,
            (b"CAPABILITIES", true) => ClientMessage::Hello,
            // RFC 3977 section 5.2.1: a keyword may follow, and the server may ignore it.
            (b"CAPABILITIES", false) if words(arguments).count() == 1 => ClientMessage::Hello,
            (b"QUIT", true) => {
                self.quitting = true;
                ClientMessage::Quit
            }
            (b"HELP", true) => self.answering("100 Help follows\r\nCAPABILITIES lists what there is.\r\n."),
            (b"STARTTLS" | b"CAPABILITIES" | b"QUIT" | b"HELP", _) => {
                self.answering("501 No such arguments are expected")
            }
            (b"AUTHINFO", _) => {
                let mechanism = words(arguments).next().unwrap_or_default();
                let sasl = mechanism.eq_ignore_ascii_case(b"SASL");
                self.turn = if sasl { Turn::Undecided } else { Turn::Command };
                ClientMessage::Credentials
            }
            (b"POST" | b"IHAVE", _) => {
                self.turn = Turn::Undecided;
                ClientMessage::Other
            }
            // RFC 4644 section 2.5: the client sends the article at once and does not wait for an answer.
            (b"TAKETHIS", _) => {
                self.turn = Turn::Article;
                ClientMessage::Partial
            }
            _ => ClientMessage::Other,
        }
    }
}

impl Sealed for Nntp {}

impl Dialect for Nntp {
    fn frame(
        &self,
        from: Side,
        reply_to: ReplyTo,
        buf: &[u8],
        scan: &mut Scan,
    ) -> Result<Option<usize>, Malformed> {
        match (from, reply_to) {
            (Side::Client, _) if self.turn == Turn::Undecided => Ok(None),
            // RFC 3977 section 3.2: the code determines whether a block follows. 211 is the exception.
            (Side::Server, ReplyTo::Hello) => block(buf, scan, |line| code(line) == Ok(101)),
            (Side::Server, ReplyTo::Other) => block(buf, scan, |line| match code(line) {
                Ok(100 | 101 | 215 | 220..=222 | 224 | 225 | 230 | 231 | 282) => true,
                Ok(211) => self.blocks.next(),
                _ => false,
            }),
            _ => line(buf, scan),
        }
    }

    fn read_client(&mut self, msg: &[u8]) -> Result<ClientMessage, Malformed> {
        let meaning = match self.turn {
            Turn::Article if msg != b".\r\n" => return Ok(ClientMessage::Partial),
            Turn::Response => {
                self.turn = Turn::Undecided;
                return Ok(ClientMessage::Partial);
            }
            Turn::Article => {
                self.turn = Turn::Command;
                ClientMessage::Other
            }
            Turn::Command | Turn::Undecided => {
                self.turn = Turn::Command;
                self.read_command(msg)
            }
        };
        // Inside TLS the application reads articles and responses directly.
        if self.context.is_inside_tls() {
            self.turn = Turn::Command;
        }
        if !matches!(meaning, ClientMessage::Hello | ClientMessage::Request | ClientMessage::Partial) {
            self.blocks.asked(command(msg).0.eq_ignore_ascii_case(b"LISTGROUP"));
        }
        Ok(meaning)
    }

    fn read_server(&mut self, reply_to: ReplyTo, msg: &[u8]) -> Result<ServerMessage, Malformed> {
        let code = code(msg)?;
        if msg.get(3) == Some(&b'-') {
            return Err(malformed("a code and a space"));
        }
        if self.turn == Turn::Undecided && code == 383 {
            self.turn = Turn::Response;
            return Ok(ServerMessage::Interim);
        }
        if reply_to == ReplyTo::Other && self.blocks.answered() && self.turn == Turn::Undecided {
            self.turn = if matches!(code, 335 | 340) { Turn::Article } else { Turn::Command };
        }
        Ok(match (reply_to, code) {
            // RFC 3977 section 3.2.1: 400 ends the session.
            (_, 400) => ServerMessage::Bye,
            (ReplyTo::Connect, 200 | 201) => ServerMessage::Greeting,
            (ReplyTo::Connect, 400..=599) => ServerMessage::Bye,
            (ReplyTo::Connect, _) => return Err(malformed("a greeting: 200 or 201")),
            (ReplyTo::Hello, 101) => ServerMessage::Offer { starttls: lines(msg).skip(1).any(is_offer) },
            (ReplyTo::Hello, 400..=599) => ServerMessage::Offer { starttls: false },
            (ReplyTo::Hello, _) => return Err(malformed("a list of capabilities: 101")),
            (ReplyTo::Request, 382) => ServerMessage::Accept,
            // RFC 4642 section 2.2.2 defines 580; RFC 3977 section 3.2.1 defines 403 for any internal fault.
            (ReplyTo::Request, 403 | 580) => ServerMessage::Refuse(Refusal::Temporary),
            (ReplyTo::Request, 400..=599) => ServerMessage::Refuse(Refusal::Permanent),
            (ReplyTo::Request, _) => return Err(malformed("the go-ahead: 382")),
            (ReplyTo::Other, 483) => ServerMessage::TlsRequired,
            (ReplyTo::Other, _) => ServerMessage::Other,
        })
    }

    fn write_client(&mut self, msg: ClientMessage, out: &mut Vec<u8>) {
        let command = match msg {
            ClientMessage::Hello => "CAPABILITIES",
            ClientMessage::Request => "STARTTLS",
            ClientMessage::Probe => "HELP",
            ClientMessage::Quit => "QUIT",
            // RFC 4643 section 2.3: a server that requires TLS refuses the user name before any password.
            ClientMessage::Credentials => &format!("AUTHINFO USER {}", probe_credentials::USER),
            ClientMessage::Other => "LIST",
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
        let name = &self.context.identity.server_name;
        let text = match msg {
            ServerMessage::Greeting => format!("200 {name} NNTP"),
            ServerMessage::Offer { starttls } => {
                let capabilities = self.context.capabilities().iter();
                // RFC 3977 section 5.2.2: the version is the first line.
                let listed: String = ["VERSION 2"]
                    .into_iter()
                    .chain(starttls.then_some("STARTTLS"))
                    .chain(capabilities.map(Capability::as_str))
                    .flat_map(|capability| [capability, "\r\n"])
                    .collect();
                format!("101 What there is\r\n{listed}.")
            }
            ServerMessage::Accept => String::from("382 Begin TLS negotiation now"),
            ServerMessage::Refuse(Refusal::Temporary) => String::from("580 TLS is not available for now"),
            ServerMessage::Refuse(Refusal::Permanent) => String::from("502 TLS is active already"),
            ServerMessage::TlsRequired => String::from("483 STARTTLS comes first"),
            // RFC 3977 section 3.2.1.
            ServerMessage::Unavailable => format!("400 {name} cannot serve for now"),
            ServerMessage::Bye if self.quitting => String::from("205 Bye"),
            ServerMessage::Bye => format!("400 {name} is closing the connection"),
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
        match self.turn {
            // The article of TAKETHIS follows if the server implements the command (RFC 4644 section 2.5).
            Turn::Article => CleartextPermission::Ambiguous,
            _ => CLEARTEXT.cleartext_permission(msg),
        }
    }

    fn observed(&self) -> &dyn ObservedDialect {
        self
    }

    fn into_login(self: Box<Self>) -> Option<Box<dyn LoginDialect>> {
        Some(self)
    }
}

/// Commands that need no login on a public server. POST, IHAVE and TAKETHIS are excluded, because an article follows
/// them. COMPRESS (RFC 8054) is excluded, because the relay cannot parse lines after it.
const CLEARTEXT: Cleartext = Cleartext {
    bare: &["DATE", "HELP", "LAST", "NEXT", "QUIT", "MODE READER"],
    with_arguments: &[
        "CAPABILITIES",
        "GROUP",
        "LISTGROUP",
        "ARTICLE",
        "HEAD",
        "BODY",
        "STAT",
        "LIST",
        "NEWGROUPS",
        "NEWNEWS",
        "OVER",
        "XOVER",
        "HDR",
        "XHDR",
        "XPAT",
    ],
    // RFC 3977 section 3.1.
    longest: 512,
};

const KEYWORDS: Keywords =
    Keywords { upgrade: "STARTTLS", mechanisms: "SASL", credentials: &["AUTHINFO"], on_behalf: &[] };

fn is_offer(line: &[u8]) -> bool {
    opens_with(line, b"STARTTLS")
}
