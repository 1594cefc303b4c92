//! NBD, block devices over a network: the fixed newstyle negotiation of its protocol document.

use alloc::boxed::Box;
use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

use crate::dialect::sealed::Sealed;
use crate::malformed::malformed;
use crate::message_reader::MAX_MESSAGE;
use crate::{
    CapabilityRewrite, ClientMessage, Correlation, Dialect, Escaped, Flow, Malformed, ObservedDialect,
    OfferPlace, OpeningFit, Protocol, ProtocolFamily, Refusal, ReplyTo, Scan, ServerMessage, Side,
};

/// NBD, block devices over a network.
pub const NBD: Protocol = Protocol {
    name: "nbd",
    aliases: &[],
    title: "NBD",
    port: 10809,
    implicit_tls: None,
    alpn: None,
    family: ProtocolFamily::Named("nbd"),
    spec: "NBD protocol, NBD_OPT_STARTTLS",
    flow: Flow {
        offer: OfferPlace::Unannounced,
        tls_may_be_optional: false,
        login_is_optional: false,
        client_preamble: &[0, 0, 0, FIXED_NEWSTYLE as u8],
        ..Flow::USUAL
    },
    dialect: |context| {
        let inside_tls = context.is_inside_tls();
        Box::new(Nbd {
            inside_tls,
            preamble_due: !inside_tls,
            server_flags: KNOWN_FLAGS,
            option: None,
            quitting: false,
        })
    },
};

const GREETING: &[u8; 16] = b"NBDMAGICIHAVEOPT";
const OPTION_MAGIC: &[u8; 8] = b"IHAVEOPT";
const REPLY_MAGIC: [u8; 8] = [0x00, 0x03, 0xe8, 0x89, 0x04, 0x55, 0x65, 0xa9];
/// Starts a request of the transmission phase.
const REQUEST_MAGIC: [u8; 4] = [0x25, 0x60, 0x95, 0x13];

/// Handshake flags, with the same values in both directions.
const FIXED_NEWSTYLE: u16 = 1;
const NO_ZEROES: u16 = 2;
const KNOWN_FLAGS: u16 = FIXED_NEWSTYLE | NO_ZEROES;

const EXPORT_NAME: u32 = 1;
const ABORT: u32 = 2;
const STARTTLS: u32 = 5;
const INFO: u32 = 6;

const ACK: u32 = 1;
/// Replies that another reply to the same option follows: entries of a list, and information.
const PARTS: core::ops::RangeInclusive<u32> = 2..=4;
const ERROR: u32 = 1 << 31;
const POLICY: u32 = ERROR + 2;
const INVALID: u32 = ERROR + 3;
const TLS_REQUIRED: u32 = ERROR + 5;
const SHUTDOWN: u32 = ERROR + 7;

struct Nbd {
    inside_tls: bool,
    /// The client's flags are still to come. They have no header and no answer, so they are framed as the start of the
    /// first option.
    preamble_due: bool,
    /// The flags that the server announced.
    server_flags: u16,
    /// The option that the client sent last.
    option: Option<u32>,
    quitting: bool,
}

impl Sealed for Nbd {}

impl Dialect for Nbd {
    fn frame(
        &self,
        from: Side,
        reply_to: ReplyTo,
        buf: &[u8],
        _: &mut Scan,
    ) -> Result<Option<usize>, Malformed> {
        match (from, reply_to) {
            (Side::Server, ReplyTo::Connect) => greeting(buf),
            (Side::Server, _) => message(buf, &REPLY_MAGIC, 16, "the magic number of an option reply"),
            (Side::Client, _) if self.preamble_due => {
                let rest = buf.get(4..).unwrap_or_default();
                Ok(message(rest, OPTION_MAGIC, 12, "client flags and an option")?.map(|length| 4 + length))
            }
            (Side::Client, _) if self.inside_tls && buf.first() == REQUEST_MAGIC.first() => request(buf),
            (Side::Client, _) => message(buf, OPTION_MAGIC, 12, "an option"),
        }
    }

    fn read_client(&mut self, msg: &[u8]) -> Result<ClientMessage, Malformed> {
        let option = if core::mem::take(&mut self.preamble_due) {
            let flags = number(msg, 0).unwrap_or_default();
            if flags & !u32::from(self.server_flags) != 0 || flags & u32::from(FIXED_NEWSTYLE) == 0 {
                return Err(malformed("client flags for the fixed newstyle negotiation"));
            }
            msg.get(4..).unwrap_or_default()
        } else {
            msg
        };
        if !option.starts_with(OPTION_MAGIC) {
            self.option = None;
            return Ok(ClientMessage::Other);
        }
        let (code, length) = (number(option, 8), option.len() - 16);
        self.option = code;
        self.quitting = code == Some(ABORT);
        Ok(match code {
            Some(STARTTLS) if length == 0 => ClientMessage::Request,
            // A request with data is refused as invalid, without any effect.
            Some(STARTTLS) => ClientMessage::Probe,
            Some(ABORT) => ClientMessage::Quit,
            // Options also change what later replies look like (structured replies, contexts, headers), so that none of
            // them may be accepted before TLS.
            _ => ClientMessage::Other,
        })
    }

    fn read_server(&mut self, reply_to: ReplyTo, msg: &[u8]) -> Result<ServerMessage, Malformed> {
        if reply_to == ReplyTo::Connect {
            self.server_flags = flags(msg) & KNOWN_FLAGS;
            return match self.server_flags & FIXED_NEWSTYLE {
                0 => Err(malformed("the fixed newstyle negotiation, without which TLS is not available")),
                _ => Ok(ServerMessage::Greeting),
            };
        }
        let (option, kind) = (number(msg, 8), number(msg, 12).unwrap_or_default());
        Ok(match (reply_to, kind) {
            (ReplyTo::Request, _) if option != Some(STARTTLS) => {
                return Err(malformed("a reply to NBD_OPT_STARTTLS"));
            }
            (_, SHUTDOWN) => ServerMessage::Bye,
            (ReplyTo::Request, ACK) if msg.len() == 20 => ServerMessage::Accept,
            (ReplyTo::Request, ERROR..) => ServerMessage::Refuse(Refusal::Permanent),
            (ReplyTo::Request, _) => return Err(malformed("NBD_REP_ACK without data, or an error")),
            (_, ACK) if option == Some(ABORT) => ServerMessage::Bye,
            (_, TLS_REQUIRED) => ServerMessage::TlsRequired,
            (_, kind) if PARTS.contains(&kind) => ServerMessage::Interim,
            _ => ServerMessage::Other,
        })
    }

    fn write_client(&mut self, msg: ClientMessage, out: &mut Vec<u8>) {
        let (code, data): (u32, &[u8]) = match msg {
            ClientMessage::Request => (STARTTLS, b""),
            ClientMessage::Quit => (ABORT, b""),
            // The size of the default export: an empty name, and no requests for more.
            ClientMessage::Other => (INFO, &[0; 6]),
            // NBD has no login of its own, and no command that a server answers both before and after TLS.
            ClientMessage::Hello
            | ClientMessage::Probe
            | ClientMessage::Credentials
            | ClientMessage::OnBehalf
            | ClientMessage::Silent
            | ClientMessage::Partial => return,
        };
        if core::mem::take(&mut self.preamble_due) {
            out.extend_from_slice(NBD.flow.client_preamble);
        }
        out.extend_from_slice(OPTION_MAGIC);
        out.extend(code.to_be_bytes());
        out.extend((data.len() as u32).to_be_bytes());
        out.extend_from_slice(data);
    }

    fn write_server(&mut self, msg: ServerMessage, out: &mut Vec<u8>) {
        let kind = match msg {
            // Without NO_ZEROES, the transmission phase does not depend on a flag that the client sends in cleartext.
            ServerMessage::Greeting => {
                self.server_flags = FIXED_NEWSTYLE;
                out.extend_from_slice(GREETING);
                return out.extend(FIXED_NEWSTYLE.to_be_bytes());
            }
            ServerMessage::Accept => ACK,
            ServerMessage::Refuse(Refusal::Temporary) => POLICY,
            ServerMessage::Refuse(Refusal::Permanent) | ServerMessage::Other => INVALID,
            ServerMessage::TlsRequired => TLS_REQUIRED,
            ServerMessage::Bye if self.quitting => ACK,
            ServerMessage::Bye | ServerMessage::Unavailable => SHUTDOWN,
            ServerMessage::Offer { .. } | ServerMessage::PreAuthenticated | ServerMessage::Interim => return,
        };
        // The specification has no error for NBD_OPT_EXPORT_NAME: the server closes the connection.
        if let Some(option) = self.option.filter(|option| *option != EXPORT_NAME) {
            reply(option, kind, b"", out);
        }
    }

    fn write_answer(&self, ahead: u32, words: &[u8], out: &mut Vec<u8>) {
        let option = if ahead == 0 { self.option.unwrap_or(STARTTLS) } else { INFO };
        reply(option, POLICY, words, out);
    }

    fn rewrite(&self, _: Side, _: ReplyTo, msg: &[u8], _: CapabilityRewrite) -> Vec<u8> {
        msg.to_vec()
    }

    /// NBD_OPT_EXPORT_NAME has no error reply and starts the transmission phase: what follows is a request to the export.
    fn has_ambiguous_continuation(&self) -> bool {
        self.option == Some(EXPORT_NAME)
    }

    fn describe(&self, from: Side, msg: &[u8]) -> Option<String> {
        let text = |text: &[u8]| Escaped(text.get(..100).unwrap_or(text)).to_string();
        Some(match from {
            Side::Server if msg.starts_with(GREETING) => format!("greeting with flags {}", flags(msg)),
            Side::Server if msg.starts_with(&REPLY_MAGIC) => {
                let (option, kind) = (number(msg, 8)?, number(msg, 12)?);
                let reply = format!("{} to {}", reply_name(kind), option_name(option));
                match msg.get(20..)? {
                    explanation @ [_, ..] if kind >= ERROR => format!("{reply}: {}", text(explanation)),
                    _ => reply,
                }
            }
            Side::Server => return None,
            Side::Client if msg.starts_with(&REQUEST_MAGIC) => String::from("transmission request"),
            Side::Client if msg.starts_with(OPTION_MAGIC) => option_name(number(msg, 8)?),
            Side::Client => format!("client flags {}, {}", number(msg, 0)?, option_name(number(msg, 12)?)),
        })
    }

    /// A reply repeats its option.
    fn correlation(&self, from: Side, msg: &[u8]) -> Option<Correlation> {
        let at = if from == Side::Server || msg.starts_with(OPTION_MAGIC) { 8 } else { 12 };
        number(msg, at).map(|option| Correlation::Id(option.to_be_bytes().to_vec()))
    }

    fn observed(&self) -> &dyn ObservedDialect {
        self
    }
}

impl ObservedDialect for Nbd {
    fn opening(&self, from: Side, first: &[u8]) -> OpeningFit {
        OpeningFit::certain(from == Side::Server && first.starts_with(b"NBDMA"))
    }
}

/// Returns the 32-bit number at this offset.
fn number(buf: &[u8], at: usize) -> Option<u32> {
    buf.get(at..)?.first_chunk().copied().map(u32::from_be_bytes)
}

/// Returns the flags of a greeting.
fn flags(greeting: &[u8]) -> u16 {
    greeting.get(16..).and_then(|flags| flags.first_chunk().copied()).map_or(0, u16::from_be_bytes)
}

/// Frames a greeting. A server of the older negotiation sends another magic number, and has no options.
fn greeting(buf: &[u8]) -> Result<Option<usize>, Malformed> {
    match buf.iter().zip(GREETING).all(|(octet, expected)| octet == expected) {
        true => Ok((buf.len() >= 18).then_some(18)),
        false => Err(malformed("the greeting of the fixed newstyle negotiation")),
    }
}

/// Frames an option or a reply: a magic number, and the length of the data at this offset.
fn message(
    buf: &[u8],
    magic: &[u8; 8],
    length_at: usize,
    expected: &'static str,
) -> Result<Option<usize>, Malformed> {
    if !buf.iter().zip(magic).all(|(octet, expected)| octet == expected) {
        return Err(malformed(expected));
    }
    let Some(length) = number(buf, length_at) else { return Ok(None) };
    let length = length as usize;
    if length > MAX_MESSAGE - 24 {
        return Err(malformed("a message of at most 64 KiB"));
    }
    let end = length_at + 4 + length;
    Ok((buf.len() >= end).then_some(end))
}

/// Frames a request of the transmission phase. Only a write has data.
fn request(buf: &[u8]) -> Result<Option<usize>, Malformed> {
    if !buf.iter().zip(&REQUEST_MAGIC).all(|(octet, expected)| octet == expected) {
        return Err(malformed("the magic number of a request"));
    }
    let (Some(kind), Some(length)) = (number(buf, 4), number(buf, 24)) else { return Ok(None) };
    let length = if kind & 0xffff == 1 { length as usize } else { 0 };
    if length > MAX_MESSAGE - 28 {
        return Err(malformed("a request of at most 64 KiB"));
    }
    Ok((buf.len() >= 28 + length).then_some(28 + length))
}

fn reply(option: u32, kind: u32, data: &[u8], out: &mut Vec<u8>) {
    out.extend(REPLY_MAGIC);
    out.extend(option.to_be_bytes());
    out.extend(kind.to_be_bytes());
    out.extend((data.len() as u32).to_be_bytes());
    out.extend_from_slice(data);
}

fn option_name(option: u32) -> String {
    let names = [
        "EXPORT_NAME",
        "ABORT",
        "LIST",
        "PEEK_EXPORT",
        "STARTTLS",
        "INFO",
        "GO",
        "STRUCTURED_REPLY",
        "LIST_META_CONTEXT",
        "SET_META_CONTEXT",
        "EXTENDED_HEADERS",
    ];
    match names.get((option as usize).wrapping_sub(1)) {
        Some(name) => format!("NBD_OPT_{name}"),
        None => format!("option {option}"),
    }
}

fn reply_name(kind: u32) -> String {
    let successes = ["ACK", "SERVER", "INFO", "META_CONTEXT"];
    let errors = [
        "UNSUP",
        "POLICY",
        "INVALID",
        "PLATFORM",
        "TLS_REQD",
        "UNKNOWN",
        "SHUTDOWN",
        "BLOCK_SIZE_REQD",
        "TOO_BIG",
        "EXT_HEADER_REQD",
    ];
    let at = ((kind & !ERROR) as usize).wrapping_sub(1);
    let name = if kind < ERROR { successes.get(at) } else { errors.get(at) };
    match name {
        Some(name) if kind >= ERROR => format!("NBD_REP_ERR_{name}"),
        Some(name) => format!("NBD_REP_{name}"),
        None => format!("reply {kind:#x}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Identity, Phase};

    fn dialect(phase: Phase) -> Box<dyn Dialect> {
        NBD.new_dialect(Identity::new("disk.example.com").with_nonce(0).in_phase(phase))
    }

    fn written(dialect: &mut dyn Dialect, message: ClientMessage) -> Vec<u8> {
        let mut out = Vec::new();
        dialect.write_client(message, &mut out);
        out
    }

    #[test]
    fn client_flags_come_once_and_only_in_cleartext() {
        let mut cleartext = dialect(Phase::Cleartext);
        assert_eq!(written(&mut *cleartext, ClientMessage::Other)[..12], *b"\0\0\0\x01IHAVEOPT");
        assert_eq!(written(&mut *cleartext, ClientMessage::Request), b"IHAVEOPT\0\0\0\x05\0\0\0\0");
        assert_eq!(
            written(&mut *dialect(Phase::InsideTls), ClientMessage::Quit),
            b"IHAVEOPT\0\0\0\x02\0\0\0\0"
        );
    }

    #[test]
    fn flags_that_were_not_announced_are_refused() {
        let mut server = dialect(Phase::Cleartext);
        server.write_server(ServerMessage::Greeting, &mut Vec::new());
        let with_no_zeroes = b"\0\0\0\x03IHAVEOPT\0\0\0\x05\0\0\0\0";
        assert!(server.read_client(with_no_zeroes).is_err());
        assert_eq!(dialect(Phase::Cleartext).read_client(with_no_zeroes), Ok(ClientMessage::Request));
    }

    #[test]
    fn messages_are_described_in_words() {
        let mut dialect = dialect(Phase::Cleartext);
        let request = written(&mut *dialect, ClientMessage::Request);
        let described = dialect.describe(Side::Client, &request);
        assert_eq!(described.as_deref(), Some("client flags 1, NBD_OPT_STARTTLS"));
        let mut refusal = Vec::new();
        reply(7, TLS_REQUIRED, b"no \x1b", &mut refusal);
        let described = dialect.describe(Side::Server, &refusal);
        assert_eq!(described.as_deref(), Some("NBD_REP_ERR_TLS_REQD to NBD_OPT_GO: no \\x1b"));
    }
}
