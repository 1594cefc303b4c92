//! SMTP, submission and LMTP: RFC 3207 over RFC 5321, RFC 6409 and RFC 2033.

mod data;
mod login;
mod observed;

use alloc::boxed::Box;
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

use data::{Asked, Data, Part};

use crate::cleartext::Cleartext;
use crate::dialect::sealed::Sealed;
use crate::malformed::malformed;
use crate::probe_credentials;
use crate::rewrite::Keywords;
use crate::text::{code, command, line, lines, lines_until, opens_with, verb, words};
use crate::{
    Capability, CapabilityRewrite, CleartextPermission, ClientMessage, Dialect, DialectContext, Flow,
    ImplicitTls, LoginDialect, Malformed, ObservedDialect, Protocol, ProtocolFamily, Refusal, ReplyTo, Scan,
    ServerMessage, Side,
};

/// SMTP: mail between servers.
pub const SMTP: Protocol = Protocol {
    name: "smtp",
    aliases: &[],
    title: "SMTP",
    port: 25,
    implicit_tls: None,
    alpn: None,
    family: ProtocolFamily::Smtp,
    spec: "RFC 3207",
    flow: Flow::USUAL,
    dialect: |context| Smtp::boxed(context, "EHLO", "ESMTP"),
};

/// Submission: mail from a user to the first server. It uses the dialect of SMTP.
pub const SUBMISSION: Protocol = Protocol {
    name: "submission",
    aliases: &[],
    title: "mail submission",
    port: 587,
    implicit_tls: Some(ImplicitTls { name: "smtps", port: 465, alpn_required: false }),
    ..SMTP
};

/// LMTP: mail from a server to a mail store.
pub const LMTP: Protocol = Protocol {
    name: "lmtp",
    aliases: &[],
    title: "LMTP",
    port: 24,
    dialect: |context| Smtp::boxed(context, "LHLO", "LMTP"),
    ..SMTP
};

struct Smtp {
    context: DialectContext,
    /// The verb that requests the extensions. The verb of the other protocol is unknown to this dialect.
    hello: &'static str,
    kind: &'static str,
    /// The answer to the last harmless command.
    answer: String,
    quitting: bool,
    data: Data,
    /// A greeting was written, so this side is a server.
    greeted: bool,
    /// What the client sent last.
    last: Last,
}

impl Smtp {
    fn boxed(context: DialectContext, hello: &'static str, kind: &'static str) -> Box<dyn Dialect> {
        Box::new(Self {
            context,
            hello,
            kind,
            answer: String::new(),
            quitting: false,
            data: Data::default(),
            greeted: false,
            last: Last::Command,
        })
    }

    fn answering(&mut self, answer: &str) -> ClientMessage {
        self.answer.clear();
        self.answer.push_str(answer);
        ClientMessage::Probe
    }

    fn read_data(&mut self, piece: &[u8]) -> ClientMessage {
        let part = self.data.read(piece);
        self.last = Last::Data(part);
        if part != Part::End {
            return ClientMessage::Partial;
        }
        // RFC 2033 section 4.2: LMTP answers once for each recipient.
        let recipients = self.data.take_recipients();
        self.data.asked(Asked::Message(if self.kind == "LMTP" { recipients } else { 1 }));
        ClientMessage::Other
    }

    fn read_command(&mut self, msg: &[u8]) -> ClientMessage {
        let (name, arguments) = command(msg);
        let upper = &mut [0; 16];
        match verb(name, upper) {
            b"STARTTLS" if arguments.is_empty() && name.len() + 2 == msg.len() => ClientMessage::Request,
            b"STARTTLS" => self.answering("501 5.5.4 STARTTLS takes no parameters"),
            hello if hello == self.hello.as_bytes() => match arguments {
                [] => self.answering("501 5.5.4 A name is missing"),
                _ => ClientMessage::Hello,
            },
            b"HELO" if self.hello == "EHLO" => {
                let answer = format!("250 {}", self.context.identity.server_name);
                self.answering(&answer)
            }
            b"NOOP" => self.answering("250 2.0.0 OK"),
            b"RSET" => self.answering("250 2.0.0 Reset"),
            b"HELP" => {
                let answer = format!("214 2.0.0 Commands: {} STARTTLS NOOP RSET HELP QUIT", self.hello);
                self.answering(&answer)
            }
            b"QUIT" => {
                self.quitting = true;
                ClientMessage::Quit
            }
            b"AUTH" => ClientMessage::Credentials,
            b"XCLIENT" | b"XFORWARD" => {
                self.answering("550 5.7.0 This command is not accepted from clients");
                ClientMessage::OnBehalf
            }
            // RFC 3030 section 2: a server that implements BDAT reads a chunk of octets next. Inside TLS the
            // application handles it.
            b"BDAT" if !self.context.is_inside_tls() => {
                self.last = Last::Chunk;
                ClientMessage::Partial
            }
            _ => ClientMessage::Other,
        }
    }
}

impl Sealed for Smtp {}

impl Dialect for Smtp {
    fn frame(&self, from: Side, _: ReplyTo, buf: &[u8], scan: &mut Scan) -> Result<Option<usize>, Malformed> {
        match from {
            Side::Client if self.data.is_undecided() => Ok(None),
            Side::Client if self.data.is_flowing() => Ok(data::piece(buf, scan)),
            Side::Client => line(buf, scan),
            // RFC 5321 section 4.2.1: all lines except the last have a hyphen after the code.
            Side::Server => lines_until(buf, scan, |line| code(line).map(|_| line[3] != b'-')),
        }
    }

    fn read_client(&mut self, msg: &[u8]) -> Result<ClientMessage, Malformed> {
        if self.data.is_flowing() {
            return Ok(self.read_data(msg));
        }
        self.last = Last::Command;
        let meaning = self.read_command(msg);
        let upper = &mut [0; 16];
        let asked = match (meaning, verb(command(msg).0, upper)) {
            (ClientMessage::Hello, _) => Asked::Reset(ReplyTo::Hello),
            (ClientMessage::Request, _) => Asked::Other(ReplyTo::Request),
            (_, b"RCPT") => Asked::Recipient,
            (_, b"DATA") => Asked::Data,
            (_, b"RSET" | b"MAIL" | b"HELO") => Asked::Reset(ReplyTo::Other),
            _ => Asked::Other(ReplyTo::Other),
        };
        // Inside TLS, and in a server, the application reads the message data directly.
        if !self.context.is_inside_tls() && !self.greeted {
            self.data.asked(asked);
        }
        Ok(meaning)
    }

    fn read_server(&mut self, reply_to: ReplyTo, msg: &[u8]) -> Result<ServerMessage, Malformed> {
        let code = code(msg)?;
        if reply_to != ReplyTo::Connect && self.data.answered(reply_to, code) {
            return Ok(ServerMessage::Interim);
        }
        Ok(match (reply_to, code) {
            (_, 421) => ServerMessage::Bye,
            (ReplyTo::Connect, 220) => ServerMessage::Greeting,
            (ReplyTo::Connect, 400..=599) => ServerMessage::Bye,
            (ReplyTo::Connect, _) => return Err(malformed("a greeting: 220")),
            (ReplyTo::Hello, 250) => ServerMessage::Offer { starttls: offers(msg) },
            (ReplyTo::Hello, 400..=599) => ServerMessage::Offer { starttls: false },
            (ReplyTo::Hello, _) => return Err(malformed("a list of extensions: 250")),
            (ReplyTo::Request, 220) => ServerMessage::Accept,
            (ReplyTo::Request, 400..=499) => ServerMessage::Refuse(Refusal::Temporary),
            (ReplyTo::Request, 500..=599) => ServerMessage::Refuse(Refusal::Permanent),
            (ReplyTo::Request, _) => return Err(malformed("the go-ahead: 220")),
            (ReplyTo::Other, 530 | 538) => ServerMessage::TlsRequired,
            (ReplyTo::Other, _) => ServerMessage::Other,
        })
    }

    fn write_client(&mut self, msg: ClientMessage, out: &mut Vec<u8>) {
        match msg {
            ClientMessage::Hello => {
                out.extend_from_slice(
                    format!("{} {}\r\n", self.hello, self.context.identity.client_name).as_bytes(),
                );
            }
            ClientMessage::Request => out.extend_from_slice(b"STARTTLS\r\n"),
            ClientMessage::Probe => out.extend_from_slice(b"NOOP\r\n"),
            ClientMessage::Quit => out.extend_from_slice(b"QUIT\r\n"),
            // RFC 4954 section 4: the initial response makes the login a single command.
            ClientMessage::Credentials => {
                out.extend_from_slice(
                    format!("AUTH PLAIN {}\r\n", probe_credentials::plain(self.context.nonce)).as_bytes(),
                );
            }
            ClientMessage::Other => out.extend_from_slice(b"MAIL FROM:<>\r\n"),
            ClientMessage::Silent | ClientMessage::OnBehalf | ClientMessage::Partial => {}
        }
    }

    fn write_server(&mut self, msg: ServerMessage, out: &mut Vec<u8>) {
        match msg {
            ServerMessage::Greeting => self.greeted = true,
            _ => self.data.settled(),
        }
        let name = &self.context.identity.server_name;
        let text = match msg {
            ServerMessage::Greeting => format!("220 {name} {}", self.kind),
            ServerMessage::Offer { starttls } => {
                let capabilities = self.context.capabilities().iter().map(Capability::as_str);
                let listed: Vec<&str> = ["PIPELINING", "8BITMIME", "ENHANCEDSTATUSCODES"]
                    .into_iter()
                    .chain(starttls.then_some("STARTTLS"))
                    .chain(capabilities)
                    .collect();
                let (last, more) = listed.split_last().unwrap_or((&"8BITMIME", &[]));
                let more: String = more.iter().map(|word| format!("250-{word}\r\n")).collect();
                format!("250-{name}\r\n{more}250 {last}")
            }
            ServerMessage::Accept => String::from("220 2.0.0 Ready to start TLS"),
            ServerMessage::Refuse(Refusal::Temporary) => String::from("454 4.7.0 TLS not available for now"),
            ServerMessage::Refuse(Refusal::Permanent) => String::from("503 5.5.1 TLS is active already"),
            ServerMessage::TlsRequired if matches!(self.last, Last::Data(_)) => {
                String::from("530 5.7.0 Message data without CRLF at each line end needs STARTTLS")
            }
            ServerMessage::TlsRequired => String::from("530 5.7.0 Must issue a STARTTLS command first"),
            // RFC 5321 section 3.8.
            ServerMessage::Unavailable => format!("421 4.3.2 {name} cannot serve for now"),
            ServerMessage::Bye if self.quitting => String::from("221 2.0.0 Bye"),
            ServerMessage::Bye => format!("421 4.7.0 {name} closing connection"),
            ServerMessage::Other => self.answer.clone(),
            ServerMessage::PreAuthenticated | ServerMessage::Interim => return,
        };
        out.extend_from_slice(text.as_bytes());
        out.extend_from_slice(b"\r\n");
    }

    fn rewrite(&self, from: Side, reply_to: ReplyTo, msg: &[u8], how: CapabilityRewrite) -> Vec<u8> {
        // The first line names the server and lists no extension. A list may consist of this line alone.
        let listed = from == Side::Server && reply_to == ReplyTo::Hello && msg.starts_with(b"250");
        if !listed {
            return msg.to_vec();
        }
        let mut list: Vec<_> = lines(msg).map(|line| line.get(4..).unwrap_or_default()).collect();
        let name = list.remove(0).to_vec();
        let known = |entry: &[u8]| EXTENSIONS.iter().any(|it| opens_with(entry, it.as_bytes()));
        list.retain(|entry| how != CapabilityRewrite::AddUpgrade || known(entry));
        let mut rewritten = KEYWORDS.rewrite(list.into_iter(), how);
        rewritten.insert(0, name);
        let last = rewritten.len() - 1;
        let line = |(at, entry): (usize, Vec<u8>)| {
            [b"250", if at == last { b" " } else { b"-" } as &[u8], &entry, b"\r\n"].concat()
        };
        rewritten.into_iter().enumerate().flat_map(line).collect()
    }

    fn has_ambiguous_continuation(&self) -> bool {
        matches!(self.last, Last::Chunk | Last::Data(Part::Ambiguous))
    }

    fn cleartext_permission(&self, msg: &[u8]) -> CleartextPermission {
        match self.last {
            Last::Data(Part::More | Part::End) => CleartextPermission::Allowed,
            Last::Chunk | Last::Data(Part::Ambiguous) => CleartextPermission::Ambiguous,
            Last::Command if command(msg).0.eq_ignore_ascii_case(self.hello.as_bytes()) => {
                HELLO.cleartext_permission(msg)
            }
            Last::Command => CLEARTEXT.cleartext_permission(msg),
        }
    }

    fn observed(&self) -> &dyn ObservedDialect {
        self
    }

    fn into_login(self: Box<Self>) -> Option<Box<dyn LoginDialect>> {
        Some(self)
    }
}

/// What the client sent last, in cleartext.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Last {
    Command,
    /// BDAT: a server that implements the command reads a chunk of octets next (RFC 3030 section 2).
    Chunk,
    /// A piece of message data.
    Data(Part),
}

/// The longest command line in octets that every server accepts (RFC 5321 section 4.5.3.1.4).
const LONGEST: usize = 512;

/// Commands for mail between servers, which needs no login and works without TLS where necessary (RFC 3207 section
/// 4). AUTH, BDAT, BURL (whose URL may hold a token, RFC 4468) and vendor extensions are excluded.
const CLEARTEXT: Cleartext = Cleartext {
    bare: &["DATA", "RSET", "QUIT"],
    with_arguments: &["HELO", "MAIL", "RCPT", "NOOP", "VRFY", "EXPN", "HELP", "ETRN"],
    longest: LONGEST,
};
const HELLO: Cleartext = Cleartext { bare: &[], with_arguments: &["EHLO", "LHLO"], longest: LONGEST };

/// Extensions that add only parameters and commands of [`CLEARTEXT`].
const EXTENSIONS: &[&str] = &[
    "SIZE",
    "8BITMIME",
    "PIPELINING",
    "ENHANCEDSTATUSCODES",
    "DSN",
    "SMTPUTF8",
    "VRFY",
    "EXPN",
    "HELP",
    "ETRN",
    "DELIVERBY",
    "MT-PRIORITY",
    "FUTURERELEASE",
    "NO-SOLICITING",
    "RRVS",
    "LIMITS",
    "STARTTLS",
];

const KEYWORDS: Keywords = Keywords {
    upgrade: "STARTTLS",
    mechanisms: "AUTH",
    credentials: &[],
    on_behalf: &["XCLIENT", "XFORWARD"],
};

/// Returns whether a list offers STARTTLS. The keywords start in the second line: the first line names the server,
/// whose name could be STARTTLS (RFC 5321 section 4.1.1.1).
fn offers(msg: &[u8]) -> bool {
    lines(msg).skip(1).any(is_offer)
}

fn is_offer(line: &[u8]) -> bool {
    words(line.get(4..).unwrap_or_default()).next().is_some_and(|word| word.eq_ignore_ascii_case(b"STARTTLS"))
}
