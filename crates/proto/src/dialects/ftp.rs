//! FTP: RFC 4217 over RFC 2228 and RFC 959; FEAT is RFC 2389.

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
use crate::text::{code, command, line, lines, lines_until, starts_with, verb};
use crate::{
    Capability, CapabilityRewrite, CleartextPermission, ClientMessage, Dialect, DialectContext, Flow,
    ImplicitTls, LoginDialect, Malformed, ObservedDialect, Protocol, ProtocolFamily, Refusal, ReplyTo, Scan,
    ServerMessage, Side,
};

/// FTP, the File Transfer Protocol. Only the control connection is upgraded here.
pub const FTP: Protocol = Protocol {
    name: "ftp",
    aliases: &[],
    title: "FTP",
    port: 21,
    implicit_tls: Some(ImplicitTls { name: "ftps", port: 990, alpn_required: false }),
    alpn: Some("ftp"),
    family: ProtocolFamily::Ftp,
    spec: "RFC 4217",
    flow: Flow { data_connections: true, login_is_optional: false, may_leave_tls: true, ..Flow::USUAL },
    dialect: |context| Box::new(Ftp { context, answer: "", quitting: false, password: false }),
};

struct Ftp {
    context: DialectContext,
    /// The answer to the last harmless command.
    answer: &'static str,
    quitting: bool,
    /// The client sent a password. 530 then means that the password is wrong, not that TLS is missing.
    password: bool,
}

impl Ftp {
    fn answering(&mut self, answer: &'static str) -> ClientMessage {
        self.answer = answer;
        ClientMessage::Probe
    }
}

impl Sealed for Ftp {}

impl Dialect for Ftp {
    fn frame(&self, from: Side, _: ReplyTo, buf: &[u8], scan: &mut Scan) -> Result<Option<usize>, Malformed> {
        match from {
            Side::Client => line(buf, scan),
            // RFC 959 section 4.2: after `ddd-`, lines of any form follow until a line starts with `ddd `. The text
            // of that line is optional, and public servers omit the space together with the text.
            Side::Server => lines_until(buf, scan, |line| {
                code(buf)?;
                Ok(buf[3] != b'-' || (line.starts_with(&buf[..3]) && matches!(line[3], b' ' | b'\r')))
            }),
        }
    }

    fn read_client(&mut self, msg: &[u8]) -> Result<ClientMessage, Malformed> {
        self.password = false;
        if telnet(msg) {
            return Ok(ClientMessage::Credentials);
        }
        let (name, argument) = command(msg);
        let bare = name.len() + 2 == msg.len();
        let upper = &mut [0; 16];
        Ok(match verb(name, upper) {
            b"FEAT" if bare => ClientMessage::Hello,
            b"AUTH" => match argument.to_ascii_uppercase().as_slice() {
                b"TLS" | b"TLS-C" if starts_with(msg, b"AUTH ") => ClientMessage::Request,
                b"" => self.answering("501 AUTH takes the name of a mechanism"),
                more if more.contains(&b' ') => self.answering("501 AUTH takes one parameter"),
                // RFC 4217 section 17: SSL and TLS-P also request a protected data connection, which is not supported
                // here.
                _ => self.answering("504 The mechanism is TLS"),
            },
            b"NOOP" if bare => self.answering("200 OK"),
            b"SYST" if bare => self.answering("215 UNIX Type: L8"),
            b"FEAT" | b"NOOP" | b"SYST" => self.answering("501 No parameters allowed"),
            b"HELP" => self.answering("214 Commands: FEAT AUTH NOOP SYST HELP OPTS QUIT"),
            b"OPTS" if argument.eq_ignore_ascii_case(b"UTF8 ON") => self.answering("200 UTF-8 it is"),
            b"OPTS" => self.answering("501 No such option"),
            // RFC 2228 section 3, RFC 4217 section 9: protection needs TLS first.
            b"PBSZ" | b"PROT" if !self.context.is_inside_tls() => self.answering("503 AUTH TLS comes first"),
            // RFC 4217 section 6: CCC returns to cleartext, which no policy allows.
            b"CCC" => self.answering("534 The control connection stays protected"),
            b"QUIT" if bare => {
                self.quitting = true;
                ClientMessage::Quit
            }
            b"USER" | b"ADAT" => ClientMessage::Credentials,
            b"PASS" | b"ACCT" => {
                self.password = true;
                ClientMessage::Credentials
            }
            // This includes HOST (RFC 7151): before TLS the server keeps no name, and inside TLS SNI has provided it.
            _ => ClientMessage::Other,
        })
    }

    fn read_server(&mut self, reply_to: ReplyTo, msg: &[u8]) -> Result<ServerMessage, Malformed> {
        Ok(match (reply_to, code(msg)?) {
            (_, 421) => ServerMessage::Bye,
            // RFC 959 section 5.4: 120 means "ready in nnn minutes", and 220 follows.
            (ReplyTo::Connect, 120) => ServerMessage::Interim,
            (ReplyTo::Connect, 220) => ServerMessage::Greeting,
            (ReplyTo::Connect, 230 | 232) => ServerMessage::PreAuthenticated,
            (ReplyTo::Connect, 400..=599) => ServerMessage::Bye,
            (ReplyTo::Connect, _) => return Err(malformed("a greeting: 220")),
            (ReplyTo::Hello, 211) => ServerMessage::Offer { starttls: feature_lines(msg).any(is_offer) },
            (ReplyTo::Hello, 400..=599) => ServerMessage::Offer { starttls: false },
            (ReplyTo::Hello, _) => return Err(malformed("a list of features: 211")),
            (ReplyTo::Request, 234) => ServerMessage::Accept,
            (ReplyTo::Request, 400..=499) => ServerMessage::Refuse(Refusal::Temporary),
            (ReplyTo::Request, 500..=599) => ServerMessage::Refuse(Refusal::Permanent),
            // This includes 334: TLS exchanges no security data (RFC 4217 section 4).
            (ReplyTo::Request, _) => return Err(malformed("the go-ahead: 234")),
            (ReplyTo::Other, 100..=199) => ServerMessage::Interim,
            (ReplyTo::Other, 533 | 534) => ServerMessage::TlsRequired,
            (ReplyTo::Other, 530) if !self.password => ServerMessage::TlsRequired,
            (ReplyTo::Other, _) => ServerMessage::Other,
        })
    }

    fn write_client(&mut self, msg: ClientMessage, out: &mut Vec<u8>) {
        let command = match msg {
            ClientMessage::Hello => "FEAT",
            ClientMessage::Request => "AUTH TLS",
            ClientMessage::Probe => "NOOP",
            ClientMessage::Quit => "QUIT",
            // A server that requires TLS refuses the user name before any password.
            ClientMessage::Credentials => &format!("USER {}", probe_credentials::USER),
            ClientMessage::Other => "PWD",
            ClientMessage::Silent | ClientMessage::OnBehalf | ClientMessage::Partial => return,
        };
        out.extend_from_slice(command.as_bytes());
        out.extend_from_slice(b"\r\n");
    }

    fn write_server(&mut self, msg: ServerMessage, out: &mut Vec<u8>) {
        let (name, features);
        let text = match msg {
            ServerMessage::Greeting => {
                name = format!("220 {} FTP", self.context.identity.server_name);
                name.as_str()
            }
            ServerMessage::Offer { starttls } => {
                let inside = self.context.is_inside_tls();
                features = starttls
                    .then_some("AUTH TLS")
                    .into_iter()
                    .chain((starttls || inside).then_some(["PBSZ", "PROT"]).into_iter().flatten())
                    .chain(["UTF8"])
                    .chain(
                        self.context.identity.capabilities.iter().filter(|_| inside).map(Capability::as_str),
                    )
                    .fold(String::from("211-Features:\r\n"), |list, feature| list + " " + feature + "\r\n")
                    + "211 End";
                features.as_str()
            }
            ServerMessage::Accept => "234 Ready to start TLS",
            ServerMessage::Refuse(Refusal::Temporary) => "431 TLS is not available for now",
            ServerMessage::Refuse(Refusal::Permanent) => "503 TLS is active already",
            ServerMessage::TlsRequired => "530 AUTH TLS comes first",
            // RFC 959 section 4.2.1.
            ServerMessage::Unavailable => "421 Service not available for now",
            ServerMessage::Bye if self.quitting => "221 Goodbye",
            ServerMessage::Bye => "421 Closing the control connection",
            ServerMessage::Other => self.answer,
            ServerMessage::PreAuthenticated => {
                name = format!("230 {} FTP, logged in", self.context.identity.server_name);
                name.as_str()
            }
            ServerMessage::Interim => return,
        };
        out.extend_from_slice(text.as_bytes());
        out.extend_from_slice(b"\r\n");
    }

    fn rewrite(&self, from: Side, reply_to: ReplyTo, msg: &[u8], how: CapabilityRewrite) -> Vec<u8> {
        let mut list: Vec<&[u8]> = lines(msg).collect();
        let listed = from == Side::Server && reply_to == ReplyTo::Hello;
        if !listed || list.len() < 2 || !msg.starts_with(b"211-") {
            return msg.to_vec();
        }
        match how {
            CapabilityRewrite::DropUpgrade => {
                let last = list.len() - 1;
                let mut at = 0..;
                list.retain(|line| matches!(at.next(), Some(at) if at == 0 || at == last) || !is_offer(line));
            }
            CapabilityRewrite::AddUpgrade if !feature_lines(msg).any(is_offer) => {
                list.insert(1, b" AUTH TLS")
            }
            _ => {}
        }
        list.iter().flat_map(|line| [*line, b"\r\n"]).collect::<Vec<_>>().concat()
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

/// Commands that need no login. Anonymous login is excluded: its password can be the password of a real account.
const CLEARTEXT: Cleartext =
    Cleartext { bare: &["FEAT", "HELP", "NOOP", "SYST", "QUIT"], with_arguments: &[], longest: 64 };

/// Returns whether the verb contains Telnet commands (RFC 959 section 5.3). Servers differ in how they read them, so
/// the command may be a login. The exceptions are ABOR, STAT and QUIT, which clients prefix with the Telnet interrupt
/// sequence during a transfer (RFC 959 section 4.1.3).
fn telnet(msg: &[u8]) -> bool {
    const IAC: u8 = 0xff;
    let verb = msg.trim_ascii_start().split(u8::is_ascii_whitespace).next().unwrap_or_default();
    let signals = verb.iter().take_while(|byte| matches!(**byte, 0xf1..=0xf9 | IAC)).count();
    let known: [&[u8]; 3] = [b"ABOR", b"STAT", b"QUIT"];
    let interrupts = known.iter().any(|it| verb[signals..].eq_ignore_ascii_case(it));
    verb.contains(&IAC) && !interrupts
}

/// Returns the feature lines, between the first line and the last (RFC 2389 section 3.2).
fn feature_lines(msg: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut lines = lines(msg);
    lines.next();
    lines.next_back();
    lines
}

/// Returns whether a feature line offers TLS: ` AUTH TLS`, or a list such as ` AUTH TLS;TLS-C;SSL;` that contains a
/// name of TLS (RFC 4217 section 17). SSL and TLS-P have other semantics and are no offer.
fn is_offer(line: &[u8]) -> bool {
    let Some((keyword, mechanisms)) = line.strip_prefix(b" ").and_then(|line| line.split_at_checked(5))
    else {
        return false;
    };
    keyword.eq_ignore_ascii_case(b"AUTH ")
        && mechanisms
            .split(|byte| matches!(byte, b';' | b' ' | b','))
            .any(|it| it.eq_ignore_ascii_case(b"TLS") || it.eq_ignore_ascii_case(b"TLS-C"))
}
