//! VNC: the security type VeNCrypt of the RFB protocol (RFC 6143, and "VeNCrypt" in the community's RFB specification).
//!
//! Nothing protects the lists of security types and of sub-types, so a client only chooses from them. It requests a sub-type with
//! a certificate, and continues with the exact octet 1 only: an attacker who shortens a list, or adds to it, gets no other
//! session. The sub-types with anonymous TLS are no offer, because any attacker can be their server.
//!
//! Both sides forget the lists and the choice at the boundary. The server's first message inside TLS shows which sub-type it
//! serves: a SecurityResult, or the challenge of X509Vnc. With X509Plain the client speaks first.

use alloc::boxed::Box;
use alloc::collections::VecDeque;
use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

use crate::dialect::sealed::Sealed;
use crate::malformed::malformed;
use crate::message_reader::MAX_MESSAGE;
use crate::{
    AfterUpgrade, CapabilityRewrite, ClientMessage, Dialect, Escaped, Flow, Malformed, ObservedDialect,
    OpeningFit, Protocol, ProtocolFamily, Refusal, ReplyTo, Scan, ServerMessage, Side,
};

/// VNC, remote desktops.
pub const VNC: Protocol = Protocol {
    name: "vnc",
    aliases: &["rfb"],
    title: "VNC",
    port: 5900,
    implicit_tls: None,
    alpn: None,
    family: ProtocolFamily::Named("vnc"),
    spec: "RFB protocol, VeNCrypt",
    flow: Flow {
        // The version, the security type, and the version of VeNCrypt.
        hello_rounds: 3,
        closes_when_tls_required: true,
        after: AfterUpgrade::ServerSpeaks,
        tls_may_be_optional: false,
        login_is_optional: false,
        ..Flow::USUAL
    },
    dialect: |context| {
        let inside_tls = context.is_inside_tls();
        let next = if inside_tls { Step::Init } else { Step::Version };
        Box::new(Vnc {
            inside_tls,
            next,
            asked: VecDeque::new(),
            answered: None,
            version: Version::V3_8,
            types: None,
            sub_types: None,
        })
    },
};

/// The versions of the protocol (RFC 6143 section 7.1.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Version {
    /// The server chooses the security type itself (RFC 6143 appendix A).
    V3_3,
    V3_7,
    V3_8,
}

/// The length of a version message.
const VERSION_LENGTH: usize = 12;
/// The start of every version message.
const VERSION_START: &[u8; 4] = b"RFB ";

/// Security types (RFC 6143 section 7.1.2).
const NONE: u8 = 1;
const VNC_AUTHENTICATION: u8 = 2;
const VENCRYPT: u8 = 19;

/// VeNCrypt 0.2, the only version in use.
const VENCRYPT_VERSION: [u8; 2] = [0, 2];
/// Sub-types of VeNCrypt with TLS and a certificate: without a login, with VNC's challenge, with a name and a password.
const X509: core::ops::RangeInclusive<u32> = 260..=262;
const X509_NONE: u32 = 260;
/// Sub-types with TLS and without a certificate. Any attacker can be the server.
const ANONYMOUS: core::ops::RangeInclusive<u32> = 257..=259;

/// A message of the client, in the order in which they come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd)]
enum Step {
    Version,
    /// The security type.
    Type,
    VenCryptVersion,
    SubType,
    /// The response to VNC's challenge (RFC 6143 section 7.2.2).
    Response,
    /// ClientInit (RFC 6143 section 7.3.1).
    Init,
    /// The messages after it, which start with a type.
    Session,
    /// Octets after an extension that both sides know. Each is a message, because nothing shows where messages end.
    Extension,
}

/// A message of the client, by the form of its answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Answerable {
    Version,
    /// The security type VeNCrypt.
    VenCrypt,
    /// A security type without TLS.
    OtherType,
    VenCryptVersion,
    SubType,
    Response,
    Init,
}

struct Vnc {
    inside_tls: bool,
    /// What the client sends next.
    next: Step,
    /// What the client sent and the server has not answered, the oldest first: a client may send all its choices at once.
    asked: VecDeque<Answerable>,
    /// What the last message of the server answered.
    answered: Option<Answerable>,
    /// The lower version of both sides, as far as they were read.
    version: Version,
    /// The security types that the server listed; `None` before its list.
    types: Option<Vec<u8>>,
    /// The sub-types of VeNCrypt that the server listed; `None` before its list.
    sub_types: Option<Vec<u32>>,
}

impl Sealed for Vnc {}

impl Dialect for Vnc {
    fn frame(
        &self,
        from: Side,
        reply_to: ReplyTo,
        buf: &[u8],
        _: &mut Scan,
    ) -> Result<Option<usize>, Malformed> {
        let fixed = |length: usize| Ok((buf.len() >= length).then_some(length));
        if from == Side::Client {
            return match self.next {
                Step::Version => version(buf),
                Step::Type | Step::Init | Step::Extension => fixed(1),
                Step::VenCryptVersion => fixed(2),
                Step::SubType => fixed(4),
                Step::Response => fixed(16),
                Step::Session => session_message(buf),
            };
        }
        if reply_to == ReplyTo::Connect {
            return if self.inside_tls { security_result(buf) } else { version(buf) };
        }
        match (self.asked.front(), buf) {
            (Some(Answerable::Version), _) if self.version == Version::V3_3 => reason(buf, 0),
            (Some(Answerable::Version), [0, rest @ ..]) => Ok(text(rest)?.map(|end| 1 + end)),
            (Some(Answerable::Version), [count, ..]) => fixed(1 + usize::from(*count)),
            (Some(Answerable::VenCrypt), _) => fixed(2),
            (Some(Answerable::OtherType | Answerable::Response), _) => security_result(buf),
            (Some(Answerable::VenCryptVersion), [0, count, ..]) => fixed(2 + 4 * usize::from(*count)),
            (Some(Answerable::VenCryptVersion), [0]) => Ok(None),
            (Some(Answerable::VenCryptVersion | Answerable::SubType), _) => fixed(1),
            // The SecurityResult may still come first. A screen of no width is not ServerInit.
            (Some(Answerable::Init), [0, 0, 0, 0..=2, ..]) => security_result(buf),
            (Some(Answerable::Init), _) => server_init(buf),
            (None, _) if self.next <= Step::Type && buf.len() < 4 => Ok(None),
            // A server that refuses every client does not wait for the client's version.
            (None, [0, 0, 0, 0, rest @ ..]) if self.next <= Step::Type && !begins_server_init(rest) => {
                reason(buf, 0)
            }
            // A server that serves a session in cleartext instead of the handshake.
            (None, [0, 0, 0, 0, rest @ ..]) if self.next <= Step::Type => {
                Ok(is_server_init(rest).then_some(4))
            }
            (None, _) if self.next <= Step::Type && begins_server_init(buf) => server_init(buf),
            // No message of a server. Its length must not depend on how it arrives.
            (None, _) if self.next <= Step::Type => Ok(Some(4)),
            // What a framebuffer update contains depends on the pixel format and on the encoding.
            _ => Ok(Some(buf.len()).filter(|length| *length > 0)),
        }
    }

    fn read_client(&mut self, msg: &[u8]) -> Result<ClientMessage, Malformed> {
        let (asked, next, meaning) = match (self.next, msg) {
            (Step::Version, _) => {
                self.version = self.version.min(Version::of(msg));
                let can_choose = self.version > Version::V3_3;
                let meaning = if can_choose { ClientMessage::Hello } else { ClientMessage::Other };
                (Answerable::Version, Step::Type, meaning)
            }
            (Step::Type, [VENCRYPT]) if self.types.as_ref().is_none_or(|it| it.contains(&VENCRYPT)) => {
                (Answerable::VenCrypt, Step::VenCryptVersion, ClientMessage::Hello)
            }
            (Step::Type, [VNC_AUTHENTICATION]) => {
                (Answerable::OtherType, Step::Response, ClientMessage::Other)
            }
            (Step::Type, _) => (Answerable::OtherType, Step::Init, ClientMessage::Other),
            (Step::Response, _) => (Answerable::Response, Step::Init, ClientMessage::Credentials),
            (Step::VenCryptVersion, _) if msg == VENCRYPT_VERSION => {
                (Answerable::VenCryptVersion, Step::SubType, ClientMessage::Hello)
            }
            (Step::VenCryptVersion, _) => return Err(malformed("VeNCrypt 0.2")),
            (Step::SubType, _) => {
                let listed = |it: &u32| self.sub_types.as_ref().is_none_or(|list| list.contains(it));
                let chosen = number(msg, 0).filter(listed);
                let tls = chosen.is_some_and(|it| X509.contains(&it) || ANONYMOUS.contains(&it));
                let meaning = if tls { ClientMessage::Request } else { ClientMessage::Other };
                (Answerable::SubType, Step::Init, meaning)
            }
            (Step::Init, _) => (Answerable::Init, Step::Session, ClientMessage::Other),
            (Step::Session, [7..=u8::MAX]) => {
                self.next = Step::Extension;
                return Ok(ClientMessage::Other);
            }
            (Step::Session | Step::Extension, _) => return Ok(ClientMessage::Other),
        };
        self.ask(asked, next);
        Ok(meaning)
    }

    fn read_server(&mut self, reply_to: ReplyTo, msg: &[u8]) -> Result<ServerMessage, Malformed> {
        let offer = |starttls| Ok(ServerMessage::Offer { starttls });
        if reply_to == ReplyTo::Connect {
            return match number(msg, 0) {
                Some(1 | 2) if self.inside_tls => Ok(ServerMessage::Bye),
                Some(0) if self.inside_tls => offer(false),
                // A challenge.
                _ if self.inside_tls => Ok(ServerMessage::Other),
                _ => {
                    self.version = Version::of(msg);
                    Ok(ServerMessage::Greeting)
                }
            };
        }
        match (self.asked.front(), msg) {
            (Some(Answerable::Init), [0, 0, 0, 0]) => return Ok(ServerMessage::Interim),
            (Some(Answerable::Init), [0, 0, 0, 1 | 2, ..]) => return Ok(ServerMessage::Bye),
            _ => self.answered = self.asked.pop_front(),
        }
        match (self.answered, msg) {
            // The old server chooses the type itself.
            (Some(Answerable::Version), [0, 0, 0, 1..=u8::MAX]) if self.version == Version::V3_3 => {
                offer(false)
            }
            (Some(Answerable::Version), [0, ..]) => Ok(ServerMessage::Bye),
            (Some(Answerable::Version), [_, types @ ..]) => {
                self.types = Some(types.to_vec());
                offer(types.contains(&VENCRYPT))
            }
            (Some(Answerable::VenCrypt), _) => offer(msg == VENCRYPT_VERSION),
            (Some(Answerable::OtherType), [0, 0, 0, 1 | 2, ..]) => Ok(ServerMessage::TlsRequired),
            (Some(Answerable::Response), [0, 0, 0, 1 | 2, ..]) => Ok(ServerMessage::Bye),
            (Some(Answerable::VenCryptVersion), [0, _, list @ ..]) => {
                self.sub_types = Some(list.chunks_exact(4).filter_map(|it| number(it, 0)).collect());
                offer(self.certificate_sub_type().is_some())
            }
            (Some(Answerable::VenCryptVersion), _) => offer(false),
            (Some(Answerable::SubType), [1]) => Ok(ServerMessage::Accept),
            (Some(Answerable::SubType), [0]) => Ok(ServerMessage::Refuse(Refusal::Permanent)),
            (Some(Answerable::SubType), _) => Err(malformed("one octet: 1 or 0")),
            (None, [0, 0, 0, 0, _, ..]) if self.next <= Step::Type => Ok(ServerMessage::Bye),
            _ => Ok(ServerMessage::Other),
        }
    }

    fn write_client(&mut self, msg: ClientMessage, out: &mut Vec<u8>) {
        let (asked, next) = match (msg, self.next) {
            (ClientMessage::Hello, Step::Version) => {
                out.extend_from_slice(self.version.message());
                (Answerable::Version, Step::Type)
            }
            (ClientMessage::Hello, Step::Type) => {
                out.push(VENCRYPT);
                (Answerable::VenCrypt, Step::VenCryptVersion)
            }
            (ClientMessage::Hello, Step::VenCryptVersion) => {
                out.extend(VENCRYPT_VERSION);
                (Answerable::VenCryptVersion, Step::SubType)
            }
            (ClientMessage::Request, Step::SubType) => {
                out.extend(self.certificate_sub_type().unwrap_or(X509_NONE).to_be_bytes());
                (Answerable::SubType, Step::Init)
            }
            // A session without TLS, by a security type that the server lists.
            (ClientMessage::Other, Step::Type) => {
                let is_listed = |it: &u8| self.types.iter().flatten().any(|listed| listed == it);
                let chosen = [NONE, VNC_AUTHENTICATION].into_iter().find(is_listed).unwrap_or(NONE);
                out.push(chosen);
                let next = if chosen == NONE { Step::Init } else { Step::Response };
                (Answerable::OtherType, next)
            }
            // ClientInit asks for a shared session.
            (ClientMessage::Other, Step::Init) => {
                out.push(1);
                (Answerable::Init, Step::Session)
            }
            // One pixel of the screen (RFC 6143 section 7.5.3).
            (ClientMessage::Other, Step::Session) => return out.extend([3, 0, 0, 0, 0, 0, 0, 1, 0, 1]),
            // VNC has no message that changes nothing, and none that ends a session.
            _ => return,
        };
        self.ask(asked, next);
    }

    fn write_server(&mut self, msg: ServerMessage, out: &mut Vec<u8>) {
        const UNAVAILABLE: &str = "The server cannot serve for now";
        match (msg, self.asked.back()) {
            (ServerMessage::Greeting, _) if !self.inside_tls => {
                out.extend_from_slice(Version::V3_8.message());
            }
            // SecurityResult.
            (ServerMessage::Offer { .. }, None) if self.inside_tls => out.extend([0; 4]),
            (ServerMessage::Offer { starttls }, Some(Answerable::Version)) => {
                let listed = if starttls { VENCRYPT } else { NONE };
                self.types = Some(alloc::vec![listed]);
                out.extend([1, listed]);
            }
            (ServerMessage::Offer { starttls }, Some(Answerable::VenCrypt)) => {
                out.extend(if starttls { VENCRYPT_VERSION } else { [0, 0] });
            }
            (ServerMessage::Offer { starttls }, Some(Answerable::VenCryptVersion)) => {
                let listed: Vec<u32> = starttls.then_some(X509_NONE).into_iter().collect();
                out.extend([0, listed.len() as u8]);
                out.extend(listed.iter().flat_map(|it| it.to_be_bytes()));
                self.sub_types = Some(listed);
            }
            (ServerMessage::Accept, Some(Answerable::SubType)) => out.push(1),
            (
                ServerMessage::Refuse(_) | ServerMessage::TlsRequired | ServerMessage::Bye,
                Some(Answerable::SubType),
            ) => out.push(0),
            (ServerMessage::TlsRequired, Some(Answerable::OtherType)) => failure("TLS is required", out),
            (ServerMessage::TlsRequired, Some(Answerable::Version)) => {
                out.extend([0; 3]);
                refusal("TLS is required", out);
            }
            (ServerMessage::Bye | ServerMessage::Unavailable, None) if self.inside_tls => {
                failure(UNAVAILABLE, out);
            }
            // A server that does not wait for the client's version announces 3.3, which every client understands.
            (ServerMessage::Bye | ServerMessage::Unavailable, None) => {
                out.extend_from_slice(Version::V3_3.message());
                out.extend([0; 3]);
                refusal(UNAVAILABLE, out);
            }
            (ServerMessage::Bye | ServerMessage::Unavailable, Some(Answerable::Version)) => {
                refusal(UNAVAILABLE, out);
            }
            _ => {}
        }
    }

    fn write_answer(&self, _: u32, words: &[u8], out: &mut Vec<u8>) {
        out.extend_from_slice(words);
    }

    fn rewrite(&self, from: Side, _: ReplyTo, msg: &[u8], how: CapabilityRewrite) -> Vec<u8> {
        let answered = self.answered.or(self.asked.front().copied());
        let (Side::Server, [1..=u8::MAX, types @ ..], Some(Answerable::Version)) = (from, msg, answered)
        else {
            return msg.to_vec();
        };
        let mut types: Vec<u8> = types.iter().copied().filter(|it| *it != VENCRYPT).collect();
        match how {
            CapabilityRewrite::AddUpgrade => types.push(VENCRYPT),
            // A list has at least one type.
            CapabilityRewrite::DropUpgrade if types.is_empty() => types.push(NONE),
            CapabilityRewrite::DropUpgrade => {}
            _ => return msg.to_vec(),
        }
        [&[types.len() as u8], &*types].concat()
    }

    fn describe(&self, from: Side, msg: &[u8]) -> Option<String> {
        let whole = Ok(Some(msg.len()));
        let explanation = |at: usize| {
            let text = msg.get(at + 4..).unwrap_or_default();
            Escaped(text.get(..100).unwrap_or(text)).to_string()
        };
        if version(msg) == Ok(Some(msg.len())) {
            return Some(format!("version {}", Escaped(&msg[4..11])));
        }
        let asked = if from == Side::Client { self.asked.back() } else { self.answered.as_ref() };
        Some(match (from, asked, msg) {
            (Side::Client, Some(Answerable::VenCrypt | Answerable::OtherType), [chosen]) => {
                format!("security type {}", type_name(*chosen))
            }
            (Side::Client, Some(Answerable::VenCryptVersion), [major, minor])
            | (Side::Server, Some(Answerable::VenCrypt), [major, minor]) => {
                format!("VeNCrypt {major}.{minor}")
            }
            (Side::Client, Some(Answerable::SubType), _) => {
                format!("sub-type {}", sub_type_name(number(msg, 0)?))
            }
            (Side::Client, Some(Answerable::Init), [shared]) => format!("ClientInit {shared}"),
            (Side::Server, Some(Answerable::Version), [0, ..]) if self.version > Version::V3_3 => {
                format!("failed: {}", explanation(1))
            }
            (Side::Server, Some(Answerable::Version), [_, types @ ..]) if self.version > Version::V3_3 => {
                let names: Vec<String> = types.iter().copied().map(type_name).collect();
                format!("security types {}", names.join(", "))
            }
            (Side::Server, Some(Answerable::VenCryptVersion), [0, _, list @ ..]) => {
                let numbers = list.chunks_exact(4).filter_map(|it| number(it, 0));
                let names: Vec<String> = numbers.map(sub_type_name).collect();
                format!("sub-types {}", names.join(", "))
            }
            (Side::Server, Some(Answerable::SubType), [answer]) => format!("answer {answer}"),
            (Side::Server, _, [0, 0, 0, 0]) => String::from("SecurityResult OK"),
            (Side::Server, _, [0, 0, 0, 0, _, ..]) if reason(msg, 0) == whole => {
                format!("failed: {}", explanation(4))
            }
            (Side::Server, _, [0, 0, 0, 1 | 2, _, ..]) if security_result(msg) == whole => {
                format!("SecurityResult failed: {}", explanation(4))
            }
            (Side::Server, Some(Answerable::OtherType) | None, _) if msg.len() == 16 => {
                String::from("challenge")
            }
            (Side::Server, Some(Answerable::Init) | None, _)
                if is_server_init(msg) && server_init(msg) == whole =>
            {
                format!("ServerInit {}", explanation(20))
            }
            _ => format!("message of {} octets", msg.len()),
        })
    }

    fn observed(&self) -> &dyn ObservedDialect {
        self
    }
}

impl ObservedDialect for Vnc {
    fn opening(&self, _: Side, first: &[u8]) -> OpeningFit {
        OpeningFit::certain(first.starts_with(b"RFB 0"))
    }

    /// A request for the screen, a key, the pointer, or text (RFC 6143 section 7.5).
    fn carries_content(&self, msg: &[u8]) -> bool {
        matches!((msg.first(), msg.len()), (Some(3), 10) | (Some(4), 8) | (Some(5), 6) | (Some(6), 8..))
    }
}

impl Vnc {
    fn ask(&mut self, asked: Answerable, next: Step) {
        self.asked.push_back(asked);
        self.next = next;
    }

    /// Returns the sub-type to ask for: TLS with a certificate, if possible without a login.
    fn certificate_sub_type(&self) -> Option<u32> {
        X509.into_iter().find(|it| self.sub_types.iter().flatten().any(|listed| listed == it))
    }
}

/// Returns the 32-bit number at this offset.
fn number(buf: &[u8], at: usize) -> Option<u32> {
    buf.get(at..)?.first_chunk().copied().map(u32::from_be_bytes)
}

/// Frames a version message: `RFB 003.008` and a line feed.
fn version(buf: &[u8]) -> Result<Option<usize>, Malformed> {
    let fits = |(at, octet): (usize, &u8)| match at {
        0..4 => VERSION_START.get(at) == Some(octet),
        7 => *octet == b'.',
        11 => *octet == b'\n',
        _ => octet.is_ascii_digit(),
    };
    match buf.iter().take(VERSION_LENGTH).enumerate().all(fits) {
        true => Ok((buf.len() >= VERSION_LENGTH).then_some(VERSION_LENGTH)),
        false => Err(malformed("a version of the RFB protocol")),
    }
}

impl Version {
    /// Returns the version of a version message. Versions between these were never specified and count as the one below.
    fn of(message: &[u8]) -> Self {
        match message.get(4..11) {
            Some(version) if version < b"003.007".as_slice() => Self::V3_3,
            Some(b"003.007") => Self::V3_7,
            _ => Self::V3_8,
        }
    }

    fn message(self) -> &'static [u8; VERSION_LENGTH] {
        match self {
            Self::V3_3 => b"RFB 003.003\n",
            Self::V3_7 => b"RFB 003.007\n",
            Self::V3_8 => b"RFB 003.008\n",
        }
    }
}

/// Frames a length and a text at this place, and returns their end.
fn text(buf: &[u8]) -> Result<Option<usize>, Malformed> {
    let Some(length) = number(buf, 0) else { return Ok(None) };
    let length = length as usize;
    if length > MAX_MESSAGE - 24 {
        return Err(malformed("a text of at most 64 KiB"));
    }
    Ok((buf.len() >= 4 + length).then_some(4 + length))
}

/// Frames a number that a reason follows if it has this value.
fn reason(buf: &[u8], failed: u32) -> Result<Option<usize>, Malformed> {
    match number(buf, 0) {
        Some(value) if value == failed => Ok(text(&buf[4..])?.map(|end| 4 + end)),
        Some(_) => Ok(Some(4)),
        None => Ok(None),
    }
}

/// Frames a SecurityResult (RFC 6143 section 7.1.3), or VNC's challenge of 16 octets in its place.
fn security_result(buf: &[u8]) -> Result<Option<usize>, Malformed> {
    match number(buf, 0) {
        None => Ok(None),
        Some(0) => Ok(Some(4)),
        Some(failed @ (1 | 2)) => reason(buf, failed),
        Some(_) => Ok((buf.len() >= 16).then_some(16)),
    }
}

/// Returns whether these bytes start like ServerInit: the pixel format has 8, 16 or 32 bits, two flags, and padding.
fn is_server_init(buf: &[u8]) -> bool {
    buf.len() >= 23 && begins_server_init(buf)
}

/// Returns whether these octets are a ServerInit, or its start.
fn begins_server_init(buf: &[u8]) -> bool {
    let fits = |(at, octet): (usize, &u8)| match at {
        4 => matches!(octet, 8 | 16 | 32),
        6 | 7 => *octet <= 1,
        20..23 => *octet == 0,
        _ => true,
    };
    // A reason has a length whose first octets are zero, and a screen has a width.
    !buf.starts_with(&[0, 0]) && buf.iter().take(23).enumerate().all(fits)
}

/// Frames ServerInit: the size, the pixel format, and the name (RFC 6143 section 7.3.2).
fn server_init(buf: &[u8]) -> Result<Option<usize>, Malformed> {
    let Some(name) = buf.get(20..) else { return Ok(None) };
    Ok(text(name)?.map(|end| 20 + end))
}

/// Frames a message of the client in a session (RFC 6143 section 7.5).
fn session_message(buf: &[u8]) -> Result<Option<usize>, Malformed> {
    let length = match buf {
        [] => return Ok(None),
        [0, ..] => 20,
        [2, _, high, low, ..] => 4 + 4 * usize::from(u16::from_be_bytes([*high, *low])),
        [2, ..] => return Ok(None),
        [3, ..] => 10,
        [4, ..] => 8,
        [5, ..] => 6,
        [6, ..] => match buf.get(4..) {
            Some(rest) => return Ok(text(rest)?.map(|end| 4 + end)),
            None => return Ok(None),
        },
        [1, ..] => return Err(malformed("a message type of RFC 6143")),
        // The type of an extension, whose form is not known.
        _ => 1,
    };
    if length > MAX_MESSAGE {
        return Err(malformed("a message of at most 64 KiB"));
    }
    Ok((buf.len() >= length).then_some(length))
}

/// Writes a SecurityResult of a failure, with its reason.
fn failure(reason: &str, out: &mut Vec<u8>) {
    out.extend(1_u32.to_be_bytes());
    out.extend((reason.len() as u32).to_be_bytes());
    out.extend_from_slice(reason.as_bytes());
}

/// Writes an empty list of security types, with the reason.
fn refusal(reason: &str, out: &mut Vec<u8>) {
    out.push(0);
    out.extend((reason.len() as u32).to_be_bytes());
    out.extend_from_slice(reason.as_bytes());
}

fn type_name(security_type: u8) -> String {
    match security_type {
        NONE => String::from("None"),
        VNC_AUTHENTICATION => String::from("VncAuth"),
        5 => String::from("RA2"),
        6 => String::from("RA2ne"),
        16 => String::from("Tight"),
        18 => String::from("TLS"),
        VENCRYPT => String::from("VeNCrypt"),
        other => other.to_string(),
    }
}

fn sub_type_name(sub_type: u32) -> String {
    let names =
        ["Plain", "TLSNone", "TLSVnc", "TLSPlain", "X509None", "X509Vnc", "X509Plain", "TLSSASL", "X509SASL"];
    let name = sub_type.checked_sub(256).and_then(|at| names.get(at as usize));
    match name {
        Some(name) if ANONYMOUS.contains(&sub_type) => format!("{name} (without a certificate)"),
        Some(name) => name.to_string(),
        None => sub_type.to_string(),
    }
}
