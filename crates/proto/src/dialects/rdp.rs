//! RDP, remote desktops: the negotiation of MS-RDPBCGR section 1.3.1.1, in the X.224 connection request and confirm.

use alloc::boxed::Box;
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

use crate::dialect::sealed::Sealed;
use crate::malformed::malformed;
use crate::{
    CapabilityRewrite, ClientMessage, Dialect, Flow, Malformed, ObservedDialect, OfferPlace, OpeningFit,
    Protocol, ProtocolFamily, Refusal, ReplyTo, Scan, ServerMessage, Side,
};

/// RDP, remote desktops.
pub const RDP: Protocol = Protocol {
    name: "rdp",
    aliases: &[],
    title: "RDP",
    port: 3389,
    implicit_tls: None,
    alpn: None,
    family: ProtocolFamily::Rdp,
    spec: "MS-RDPBCGR section 1.3.1.1",
    flow: Flow {
        greeting: false,
        offer: OfferPlace::Unannounced,
        closes_when_tls_required: true,
        tls_may_be_optional: false,
        has_cleartext_sessions: false,
        login_is_optional: false,
        ..Flow::USUAL
    },
    dialect: |context| {
        let (inside_tls, bound_login) = (context.is_inside_tls(), context.identity.bound_login);
        Box::new(Rdp { inside_tls, bound_login, requested: TLS })
    },
};

/// The longest message before TLS, in octets. The longest request has a cookie or token, a negotiation request and
/// correlation information.
const LONGEST: usize = 512;

/// X.224 message types (ISO 8073 section 13).
const CONNECTION_REQUEST: u8 = 0xe0;
const CONNECTION_CONFIRM: u8 = 0xd0;
const DISCONNECT_REQUEST: u8 = 0x80;
const DATA: u8 = 0xf0;

/// Types of the negotiation structures (MS-RDPBCGR sections 2.2.1.1.1, 2.2.1.2.1 and 2.2.1.2.2).
const NEGOTIATION_REQUEST: u8 = 1;
const NEGOTIATION_RESPONSE: u8 = 2;
const NEGOTIATION_FAILURE: u8 = 3;

/// Security protocols. Every other choice than 0 starts with a TLS handshake.
const STANDARD: u32 = 0;
const TLS: u32 = 1;
const CREDSSP: u32 = 2;
const KNOWN: u32 = TLS | CREDSSP | 4 | 8 | 0x10;

/// Failure codes (MS-RDPBCGR section 2.2.1.2.2).
const TLS_REQUIRED: u32 = 1;
const TLS_NOT_ALLOWED: u32 = 2;
const NO_CERTIFICATE: u32 = 3;
const CREDSSP_REQUIRED: u32 = 5;
const USER_AUTHENTICATION_REQUIRED: u32 = 6;

/// Choices of MCS messages (T.125 section 7): the BER tags of the connection, and the PER choice of the end.
const CONNECT_INITIAL: [u8; 2] = [0x7f, 0x65];
const CONNECT_RESPONSE: [u8; 2] = [0x7f, 0x66];
const DISCONNECT: u8 = 0x20;

struct Rdp {
    inside_tls: bool,
    /// Whether the upgrade may include CredSSP.
    bound_login: bool,
    /// The protocols that the client requested.
    requested: u32,
}

impl Sealed for Rdp {}

impl Dialect for Rdp {
    fn frame(&self, _: Side, _: ReplyTo, buf: &[u8], _: &mut Scan) -> Result<Option<usize>, Malformed> {
        // TPKT (RFC 1006 section 6): the version 3, a reserved octet, and the length with this header.
        if buf.first().is_some_and(|octet| *octet != 3) || buf.get(1).is_some_and(|octet| *octet != 0) {
            return Err(malformed("a TPKT header"));
        }
        let Some(length) = buf.get(2..).and_then(|it| it.first_chunk().copied()) else { return Ok(None) };
        let length = usize::from(u16::from_be_bytes(length));
        let longest = if self.inside_tls { usize::from(u16::MAX) } else { LONGEST };
        if !(7..=longest).contains(&length) {
            return Err(malformed("a packet of 7 to 512 octets before TLS"));
        }
        Ok((buf.len() >= length).then_some(length))
    }

    fn read_client(&mut self, msg: &[u8]) -> Result<ClientMessage, Malformed> {
        if kind(msg) != Some(CONNECTION_REQUEST) {
            return match (kind(msg), self.inside_tls) {
                (Some(DATA), true) if is_disconnect(msg) => Ok(ClientMessage::Quit),
                // A session in cleartext, or a disconnection.
                (Some(DATA | DISCONNECT_REQUEST), _) | (_, true) => Ok(ClientMessage::Other),
                _ => Err(malformed("an X.224 connection request")),
            };
        }
        self.requested = request(msg)?.unwrap_or(STANDARD);
        let acceptable = if self.bound_login { KNOWN } else { TLS };
        Ok(if self.requested & acceptable == 0 { ClientMessage::Other } else { ClientMessage::Request })
    }

    fn read_server(&mut self, reply_to: ReplyTo, msg: &[u8]) -> Result<ServerMessage, Malformed> {
        match (kind(msg), reply_to) {
            (Some(CONNECTION_CONFIRM), _) => {}
            (_, ReplyTo::Request) => return Err(malformed("an X.224 connection confirm")),
            // xrdp ends a connection like this after a message that it cannot read, also after a failed handshake.
            (Some(DATA), _) if is_disconnect(msg) => return Ok(ServerMessage::Bye),
            _ => return Ok(ServerMessage::Other),
        }
        let refusal = match confirm(msg)? {
            // The older confirm, and the choice of 0, mean Standard RDP Security: a server that uses no TLS, or an
            // attacker who changed one octet.
            Confirm::Selected(STANDARD) => ServerMessage::Refuse(Refusal::Permanent),
            Confirm::Selected(_) if reply_to != ReplyTo::Request => ServerMessage::Other,
            Confirm::Selected(protocol) if protocol.is_power_of_two() && protocol & self.requested != 0 => {
                return Ok(ServerMessage::Accept);
            }
            Confirm::Selected(_) => return Err(malformed("one of the requested security protocols")),
            Confirm::Failed(TLS_REQUIRED | CREDSSP_REQUIRED | USER_AUTHENTICATION_REQUIRED)
                if reply_to != ReplyTo::Request =>
            {
                return Ok(ServerMessage::TlsRequired);
            }
            Confirm::Failed(_) => ServerMessage::Refuse(Refusal::Permanent),
        };
        Ok(if reply_to == ReplyTo::Request { refusal } else { ServerMessage::Other })
    }

    fn write_client(&mut self, msg: ClientMessage, out: &mut Vec<u8>) {
        let protocols = match msg {
            // CredSSP starts with the same TLS handshake. A session inside it starts with NTLM or Kerberos.
            ClientMessage::Request if self.bound_login => TLS | CREDSSP,
            ClientMessage::Request => TLS,
            // Inside TLS, the first message of a session.
            ClientMessage::Other if self.inside_tls => return connect_initial(out),
            ClientMessage::Quit if self.inside_tls => return disconnect(out),
            // A session with Standard RDP Security, which a server must refuse.
            ClientMessage::Other => STANDARD,
            ClientMessage::Quit
            | ClientMessage::Hello
            | ClientMessage::Probe
            | ClientMessage::Credentials
            | ClientMessage::OnBehalf
            | ClientMessage::Silent
            | ClientMessage::Partial => return,
        };
        self.requested = protocols;
        packet(CONNECTION_REQUEST, NEGOTIATION_REQUEST, protocols, out);
    }

    fn write_server(&mut self, msg: ServerMessage, out: &mut Vec<u8>) {
        let (structure, value) = match msg {
            ServerMessage::Accept if self.requested & TLS != 0 => (NEGOTIATION_RESPONSE, TLS),
            // The lowest bit that the client requested.
            ServerMessage::Accept => (NEGOTIATION_RESPONSE, self.requested & self.requested.wrapping_neg()),
            ServerMessage::Refuse(Refusal::Temporary) => (NEGOTIATION_FAILURE, NO_CERTIFICATE),
            ServerMessage::Refuse(Refusal::Permanent) => (NEGOTIATION_FAILURE, TLS_NOT_ALLOWED),
            // Of a client that requested CredSSP only, the same code says that the server supports TLS only.
            ServerMessage::TlsRequired => (NEGOTIATION_FAILURE, TLS_REQUIRED),
            ServerMessage::Bye | ServerMessage::Unavailable | ServerMessage::Other if self.inside_tls => {
                return disconnect(out);
            }
            // Before TLS, a failure could make clients try Standard RDP Security. The server closes instead.
            ServerMessage::Bye
            | ServerMessage::Unavailable
            | ServerMessage::Greeting
            | ServerMessage::Offer { .. }
            | ServerMessage::PreAuthenticated
            | ServerMessage::Interim
            | ServerMessage::Other => return,
        };
        packet(CONNECTION_CONFIRM, structure, value, out);
    }

    fn rewrite(&self, _: Side, _: ReplyTo, msg: &[u8], _: CapabilityRewrite) -> Vec<u8> {
        msg.to_vec()
    }

    fn describe(&self, from: Side, msg: &[u8]) -> Option<String> {
        Some(match from {
            Side::Client if kind(msg) == Some(CONNECTION_REQUEST) => {
                format!("connection request for {}", names(request(msg).ok()?.unwrap_or(STANDARD)))
            }
            Side::Server if kind(msg) == Some(CONNECTION_CONFIRM) => match confirm(msg).ok()? {
                Confirm::Selected(protocol) => format!("connection confirm of {}", names(protocol)),
                Confirm::Failed(code) => format!("connection failure {code}: {}", failure_name(code)),
            },
            _ if kind(msg) != Some(DATA) => format!("packet of {} octets", msg.len()),
            _ if is_disconnect(msg) => String::from("MCS disconnect"),
            _ if payload(msg).starts_with(&CONNECT_INITIAL) => String::from("MCS connect initial"),
            _ if payload(msg).starts_with(&CONNECT_RESPONSE) => String::from("MCS connect response"),
            _ => format!("data of {} octets", msg.len()),
        })
    }

    fn observed(&self) -> &dyn ObservedDialect {
        self
    }
}

impl ObservedDialect for Rdp {
    /// A packet with one X.224 message. Both have their length in them.
    fn opening(&self, from: Side, first: &[u8]) -> OpeningFit {
        OpeningFit::certain(matches!(first, [3, 0, high, low, indicator, ..] if from == Side::Client
            && u16::from_be_bytes([*high, *low]) == u16::from(*indicator) + 5))
    }

    /// Data of X.224: a session with Standard RDP Security.
    fn carries_content(&self, msg: &[u8]) -> bool {
        kind(msg) == Some(DATA)
    }

    /// Returns the user in the cookie of a connection request (MS-RDPBCGR section 2.2.1.1).
    fn hello_name<'a>(&self, msg: &'a [u8]) -> Option<&'a [u8]> {
        let line = msg.get(11..)?.strip_prefix(b"Cookie: mstshash=")?;
        line.split(|octet| *octet == b'\r').next()
    }
}

/// The answer of a server.
enum Confirm {
    Selected(u32),
    Failed(u32),
}

/// Returns the type of an X.224 message: the octet after the TPKT header and the length indicator.
fn kind(msg: &[u8]) -> Option<u8> {
    msg.get(5).copied()
}

/// Returns the data of an X.224 data message.
fn payload(msg: &[u8]) -> &[u8] {
    msg.get(7..).unwrap_or_default()
}

/// Returns whether this is an MCS Disconnect Provider Ultimatum.
fn is_disconnect(msg: &[u8]) -> bool {
    payload(msg).first().is_some_and(|octet| octet & 0xfc == DISCONNECT)
}

/// Returns what follows the fixed part of an X.224 connection message.
fn variable_part(msg: &[u8]) -> Result<&[u8], Malformed> {
    let rest = msg.get(11..).filter(|_| msg.get(4).map(|it| usize::from(*it) + 5) == Some(msg.len()));
    rest.ok_or(malformed("an X.224 length indicator that fits the packet"))
}

/// Returns the type and the value of a negotiation structure: its length is 8, and its flags do not matter here.
fn structure(bytes: &[u8]) -> Option<(u8, u32)> {
    match bytes {
        [kind, _, 8, 0, value @ ..] => value.try_into().ok().map(|value| (*kind, u32::from_le_bytes(value))),
        _ => None,
    }
}

/// Returns the protocols that a connection request asks for, or `None` if it has no negotiation request.
fn request(msg: &[u8]) -> Result<Option<u32>, Malformed> {
    const CORRELATION: u8 = 8;
    let mut rest = variable_part(msg)?;
    // A routing token or a cookie is a line of text (MS-RDPBCGR section 2.2.1.1).
    if rest.first().is_some_and(u8::is_ascii_graphic) {
        let end = rest.windows(2).position(|it| it == b"\r\n");
        rest = &rest[end.ok_or(malformed("the end of a routing token or cookie"))? + 2..];
    }
    if rest.is_empty() {
        return Ok(None);
    }
    let has_correlation = rest.get(1).is_some_and(|flags| flags & CORRELATION != 0);
    let length = if has_correlation { 8 + 36 } else { 8 };
    match rest.get(..8).and_then(structure) {
        Some((NEGOTIATION_REQUEST, protocols)) if rest.len() == length => Ok(Some(protocols & KNOWN)),
        _ => Err(malformed("an RDP negotiation request")),
    }
}

fn confirm(msg: &[u8]) -> Result<Confirm, Malformed> {
    let rest = variable_part(msg)?;
    match structure(rest) {
        _ if rest.is_empty() => Ok(Confirm::Selected(STANDARD)),
        Some((NEGOTIATION_RESPONSE, protocol)) => Ok(Confirm::Selected(protocol)),
        Some((NEGOTIATION_FAILURE, code)) => Ok(Confirm::Failed(code)),
        _ => Err(malformed("an RDP negotiation response or failure")),
    }
}

fn packet(kind: u8, structure: u8, value: u32, out: &mut Vec<u8>) {
    // The length indicator, the type, two references and the class.
    out.extend([3, 0, 0, 19, 14, kind, 0, 0, 0, 0, 0, structure, 0, 8, 0]);
    out.extend(value.to_le_bytes());
}

/// Writes an X.224 data message.
fn data(contents: &[u8], out: &mut Vec<u8>) {
    let length = 7 + contents.len() as u16;
    out.extend([3, 0]);
    out.extend(length.to_be_bytes());
    out.extend([2, DATA, 0x80]);
    out.extend_from_slice(contents);
}

/// Writes an MCS Disconnect Provider Ultimatum: the user requested the end.
fn disconnect(out: &mut Vec<u8>) {
    data(&[DISCONNECT | 1, 0x80], out);
}

/// Writes an MCS Connect Initial (MS-RDPBCGR section 2.2.1.3): the parameters of a domain, and a GCC conference request with
/// the client's core and security data.
fn connect_initial(out: &mut Vec<u8>) {
    // Target, minimum and maximum parameters, as clients send them.
    const DOMAIN: &[u8] = b"\x04\x01\x01\x04\x01\x01\x01\x01\xff\
        \x30\x19\x02\x01\x22\x02\x01\x02\x02\x01\x00\x02\x01\x01\x02\x01\x00\x02\x01\x01\x02\x02\xff\xff\x02\x01\x02\
        \x30\x19\x02\x01\x01\x02\x01\x01\x02\x01\x01\x02\x01\x01\x02\x01\x00\x02\x01\x01\x02\x02\x04\x20\x02\x01\x02\
        \x30\x1c\x02\x02\xff\xff\x02\x02\xfc\x17\x02\x02\xff\xff\x02\x01\x01\x02\x01\x00\x02\x01\x01\x02\x02\xff\xff\x02\
        \x01\x02";
    // The header of a ConferenceCreateRequest (T.124 section 8.7), up to the length of its user data.
    const CONFERENCE: &[u8] = b"\x00\x08\x00\x10\x00\x01\xc0\x00Duca";
    // Core data: version 5.4, 1024 x 768, 8 bits per pixel, and an empty computer name.
    let mut blocks =
        b"\x01\xc0\xd8\x00\x04\x00\x08\x00\x00\x04\x00\x03\x01\xca\x03\xaa\x09\x04\x00\x00\x28\x0a\x00\x00"
            .to_vec();
    blocks.resize(blocks.len() + 32, 0);
    // The keyboard, 16 bits per pixel, an empty product id, and TLS as the protocol that the server selected, so that a
    // server can notice a changed request.
    blocks.extend(b"\x04\x00\x00\x00\x00\x00\x00\x00\x0c\x00\x00\x00");
    blocks.resize(blocks.len() + 64, 0);
    blocks.extend(b"\x01\xca\x01\x00\x00\x00\x00\x00\x10\x00\x07\x00\x01\x00");
    blocks.resize(blocks.len() + 64, 0);
    blocks.extend([0, 0]);
    blocks.extend(TLS.to_le_bytes());
    // Security data: no encryption of its own.
    blocks.extend(b"\x02\xc0\x0c\x00\x00\x00\x00\x00\x00\x00\x00\x00");
    // Lengths in PER take two octets with the highest bit set.
    let per = |length: usize| (0x8000 | length as u16).to_be_bytes();
    let request = [CONFERENCE, &per(blocks.len()), &blocks].concat();
    let user = [&b"\x00\x05\x00\x14\x7c\x00\x01"[..], &per(request.len()), &request].concat();
    let ber = |tag: &[u8], contents: &[u8]| {
        [tag, &[0x82], &(contents.len() as u16).to_be_bytes(), contents].concat()
    };
    let user = ber(&[0x04], &user);
    data(&ber(&CONNECT_INITIAL, &[DOMAIN, &user].concat()), out);
}

fn failure_name(code: u32) -> &'static str {
    match code {
        TLS_REQUIRED => "the server requires TLS",
        TLS_NOT_ALLOWED => "the server does not allow TLS",
        NO_CERTIFICATE => "the server has no certificate",
        4 => "the flags are inconsistent",
        CREDSSP_REQUIRED => "the server requires CredSSP (network level authentication)",
        USER_AUTHENTICATION_REQUIRED => "the server requires TLS with user authentication",
        _ => "unknown code",
    }
}

fn names(protocols: u32) -> String {
    let known = [(TLS, "TLS"), (CREDSSP, "CredSSP"), (4, "RDSTLS"), (8, "CredSSP-EX"), (0x10, "Entra")];
    let named: Vec<&str> = known.iter().filter(|it| protocols & it.0 != 0).map(|it| it.1).collect();
    if named.is_empty() { String::from("Standard RDP Security") } else { named.join(", ") }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Identity;

    #[test]
    fn messages_are_described_in_words() {
        let dialect = RDP.new_dialect(Identity::new("desk.example.com").with_nonce(0));
        for (from, structure, value, expected) in [
            (Side::Client, NEGOTIATION_REQUEST, 3, "connection request for TLS, CredSSP"),
            (Side::Client, NEGOTIATION_REQUEST, 0, "connection request for Standard RDP Security"),
            (Side::Server, NEGOTIATION_RESPONSE, 1, "connection confirm of TLS"),
            (
                Side::Server,
                NEGOTIATION_FAILURE,
                5,
                "connection failure 5: the server requires CredSSP (network level authentication)",
            ),
        ] {
            let kind = if from == Side::Client { CONNECTION_REQUEST } else { CONNECTION_CONFIRM };
            let mut message = Vec::new();
            packet(kind, structure, value, &mut message);
            assert_eq!(dialect.describe(from, &message).as_deref(), Some(expected));
        }
    }
}
