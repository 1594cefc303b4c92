//! The X Protocol of MySQL ("X Protocol" in its internals documentation): the capability `tls`.

mod login;
mod observed;
mod protobuf;

use alloc::boxed::Box;
use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

use crate::dialect::sealed::Sealed;
use crate::malformed::malformed;
use crate::message_reader::MAX_MESSAGE;
use crate::probe_credentials;
use crate::{
    CapabilityRewrite, ClientMessage, Dialect, DialectContext, Escaped, Flow, LoginDialect, Malformed,
    ObservedDialect, OfferPlace, Protocol, ProtocolFamily, Refusal, ReplyTo, Scan, ServerMessage, Side,
};
use protobuf::{Fields, bytes, varint};

/// The X Protocol of MySQL.
pub const MYSQLX: Protocol = Protocol {
    name: "mysqlx",
    aliases: &[],
    title: "MySQL X",
    port: 33060,
    implicit_tls: None,
    alpn: None,
    family: ProtocolFamily::Mysqlx,
    spec: "MySQL X Protocol, CapabilitiesSet",
    flow: Flow {
        greeting: false,
        offer: OfferPlace::AfterHello,
        tls_may_be_optional: false,
        login_is_optional: false,
        ..Flow::USUAL
    },
    dialect: |context| Box::new(MySqlX { context, quitting: false }),
};

/// Types of the client's messages (`Mysqlx.ClientMessages.Type`).
const CAPABILITIES_GET: u8 = 1;
const CAPABILITIES_SET: u8 = 2;
const CLOSE: u8 = 3;
const AUTHENTICATE_START: u8 = 4;
const AUTHENTICATE_CONTINUE: u8 = 5;

/// Types of the server's messages (`Mysqlx.ServerMessages.Type`).
const OK: u8 = 0;
const ERROR: u8 = 1;
const CAPABILITIES: u8 = 2;
const CHALLENGE: u8 = 3;
const AUTHENTICATE_OK: u8 = 4;
const NOTICE: u8 = 11;

/// The code of a server that requires TLS (`ER_SECURE_TRANSPORT_REQUIRED`).
const TLS_REQUIRED: u64 = 3159;
/// The code of a server that cannot set a capability (`ER_X_CAPABILITIES_PREPARE_FAILED`).
const CANNOT_SET: u64 = 5001;
const SHUTDOWN: u64 = 1053;
/// Codes of servers that turn every client away: too many connections, shutting down, blocked.
const TURNED_AWAY: [u64; 4] = [1040, SHUTDOWN, 1129, 1130];

const TLS: &[u8] = b"tls";
const MECHANISMS: &[u8] = b"authentication.mechanisms";
/// The mechanism that servers also accept in cleartext. PLAIN is refused there whether TLS is required or not.
const PROBE_MECHANISM: &str = "SHA256_MEMORY";

struct MySqlX {
    context: DialectContext,
    /// The next Ok answers a goodbye.
    quitting: bool,
}

impl Sealed for MySqlX {}

impl Dialect for MySqlX {
    /// Frames a message: four octets of length, which counts the type, and the type.
    fn frame(&self, _: Side, _: ReplyTo, buf: &[u8], _: &mut Scan) -> Result<Option<usize>, Malformed> {
        let Some(length) = buf.first_chunk().copied().map(u32::from_le_bytes) else { return Ok(None) };
        let length = length as usize;
        if length == 0 || length > MAX_MESSAGE - 4 {
            return Err(malformed("a message of 1 octet to 64 KiB"));
        }
        Ok((buf.len() - 4 >= length).then_some(4 + length))
    }

    fn read_client(&mut self, msg: &[u8]) -> Result<ClientMessage, Malformed> {
        let (kind, body) = parts(msg)?;
        self.quitting = kind == CLOSE;
        Ok(match kind {
            CAPABILITIES_GET => ClientMessage::Hello,
            CAPABILITIES_SET if sets_tls_only(body) => ClientMessage::Request,
            CLOSE => ClientMessage::Quit,
            AUTHENTICATE_START | AUTHENTICATE_CONTINUE => ClientMessage::Credentials,
            _ => ClientMessage::Other,
        })
    }

    fn read_server(&mut self, reply_to: ReplyTo, msg: &[u8]) -> Result<ServerMessage, Malformed> {
        let (kind, body) = parts(msg)?;
        let code = Fields(body).varint(2).filter(|_| kind == ERROR);
        Ok(match (reply_to, kind) {
            (_, NOTICE) => ServerMessage::Interim,
            (_, ERROR) if code.is_some_and(|code| TURNED_AWAY.contains(&code)) => ServerMessage::Bye,
            (ReplyTo::Request, OK) => ServerMessage::Accept,
            (ReplyTo::Request, ERROR) => ServerMessage::Refuse(Refusal::Permanent),
            (ReplyTo::Request, _) => return Err(malformed("Ok or an error")),
            (ReplyTo::Hello, CAPABILITIES) => ServerMessage::Offer { starttls: offers_tls(body) },
            // A server that refuses the question may still accept the request.
            (ReplyTo::Hello, ERROR) => ServerMessage::Offer { starttls: false },
            (ReplyTo::Hello, _) => return Err(malformed("the capabilities or an error")),
            (_, ERROR) if code == Some(TLS_REQUIRED) => ServerMessage::TlsRequired,
            (_, OK) if self.quitting => ServerMessage::Bye,
            _ => ServerMessage::Other,
        })
    }

    fn write_client(&mut self, msg: ClientMessage, out: &mut Vec<u8>) {
        let (kind, body) = match msg {
            ClientMessage::Hello => (CAPABILITIES_GET, Vec::new()),
            ClientMessage::Request => {
                (CAPABILITIES_SET, bytes(1, &bytes(1, &capability(TLS, &boolean(true)))))
            }
            ClientMessage::Quit => (CLOSE, Vec::new()),
            // The login itself would be the answer to a challenge. The mechanism ignores an initial response.
            ClientMessage::Credentials => {
                let start =
                    [bytes(1, PROBE_MECHANISM.as_bytes()), bytes(3, probe_credentials::USER.as_bytes())];
                (AUTHENTICATE_START, start.concat())
            }
            // Before a login, a server answers nothing else.
            ClientMessage::Probe
            | ClientMessage::OnBehalf
            | ClientMessage::Silent
            | ClientMessage::Partial
            | ClientMessage::Other => return,
        };
        self.quitting = kind == CLOSE;
        message(kind, &body, out);
    }

    fn write_server(&mut self, msg: ServerMessage, out: &mut Vec<u8>) {
        let (code, state, text) = match msg {
            ServerMessage::Offer { starttls } => return self.list(starttls, out),
            ServerMessage::Accept => return message(OK, b"", out),
            ServerMessage::Bye if self.quitting => return message(OK, &bytes(1, b"bye!"), out),
            ServerMessage::Bye => (5000, "HY000", "Invalid message"),
            ServerMessage::TlsRequired => (
                TLS_REQUIRED,
                "HY000",
                "Connections using insecure transport are prohibited here: TLS is required",
            ),
            ServerMessage::Refuse(_) if self.context.is_inside_tls() => {
                (CANNOT_SET, "HY000", "Capability prepare failed for 'tls': TLS is active already")
            }
            ServerMessage::Refuse(_) => (CANNOT_SET, "HY000", "Capability prepare failed for 'tls'"),
            ServerMessage::Unavailable => (SHUTDOWN, "08S01", "The server cannot serve for now"),
            ServerMessage::Greeting
            | ServerMessage::PreAuthenticated
            | ServerMessage::Interim
            | ServerMessage::Other => return,
        };
        error(code, state, text.as_bytes(), out);
    }

    fn write_answer(&self, _: u32, words: &[u8], out: &mut Vec<u8>) {
        error(CANNOT_SET, "HY000", words, out);
    }

    fn rewrite(&self, from: Side, _: ReplyTo, msg: &[u8], how: CapabilityRewrite) -> Vec<u8> {
        let (CAPABILITIES, body) = parts(msg).unwrap_or((OK, b"")) else { return msg.to_vec() };
        if from == Side::Client {
            return msg.to_vec();
        }
        let (dropped, added): (&[u8], _) = match how {
            CapabilityRewrite::DropUpgrade => (TLS, None),
            CapabilityRewrite::AddUpgrade => (TLS, Some(capability(TLS, &boolean(false)))),
            CapabilityRewrite::DropCredentials => (MECHANISMS, None),
            CapabilityRewrite::DropChannelBinding
            | CapabilityRewrite::DropExternal
            | CapabilityRewrite::DropOnBehalf => return msg.to_vec(),
        };
        let kept = Fields(body).all(1).filter(|it| Fields(it).bytes(1) != Some(dropped));
        let list: Vec<u8> =
            added.as_deref().into_iter().chain(kept).flat_map(|capability| bytes(1, capability)).collect();
        let mut out = Vec::new();
        message(CAPABILITIES, &list, &mut out);
        out
    }

    fn describe(&self, from: Side, msg: &[u8]) -> Option<String> {
        let (kind, body) = parts(msg).ok()?;
        let escaped = |text: &[u8]| Escaped(text.get(..100).unwrap_or(text)).to_string();
        let text = |number| Fields(body).bytes(number).map(escaped).unwrap_or_default();
        Some(match (from, kind) {
            (Side::Client, CAPABILITIES_GET) => String::from("CapabilitiesGet"),
            (Side::Client, CAPABILITIES_SET) => {
                format!("CapabilitiesSet {}", described(Fields(body).bytes(1).unwrap_or_default()))
            }
            (Side::Client, CLOSE) => String::from("Close"),
            (Side::Client, AUTHENTICATE_START) => format!("AuthenticateStart {}", text(1)),
            (_, AUTHENTICATE_CONTINUE) if from == Side::Client => String::from("AuthenticateContinue"),
            (Side::Server, OK) => format!("Ok {}", text(1)).trim_end().to_string(),
            (Side::Server, ERROR) => {
                format!("Error {} {}", Fields(body).varint(2).unwrap_or_default(), text(3))
            }
            (Side::Server, CAPABILITIES) => format!("capability list {}", described(body)),
            (Side::Server, CHALLENGE) => String::from("AuthenticateContinue"),
            (Side::Server, AUTHENTICATE_OK) => String::from("AuthenticateOk"),
            (Side::Server, NOTICE) => String::from("Notice"),
            _ => format!("message {kind} of {} octets", body.len()),
        })
    }

    fn observed(&self) -> &dyn ObservedDialect {
        self
    }

    fn into_login(self: Box<Self>) -> Option<Box<dyn LoginDialect>> {
        Some(self)
    }
}

impl MySqlX {
    /// Writes the capabilities. An entry of the identity is a name, and values after `=` that commas separate.
    fn list(&self, starttls: bool, out: &mut Vec<u8>) {
        // The value is whether TLS is active.
        let active = self.context.is_inside_tls() && !starttls;
        let tls = (starttls || active).then(|| capability(TLS, &boolean(active)));
        let configured = self.context.capabilities().iter().map(|entry| {
            let (name, values) = entry.split_once('=').unwrap_or((entry, ""));
            capability(name.as_bytes(), &strings(values))
        });
        let list: Vec<u8> = tls.into_iter().chain(configured).flat_map(|it| bytes(1, &it)).collect();
        message(CAPABILITIES, &list, out);
    }
}

/// Returns the type and the fields of a message.
fn parts(msg: &[u8]) -> Result<(u8, &[u8]), Malformed> {
    let [_, _, _, _, kind, body @ ..] = msg else { return Err(malformed("a message type")) };
    Fields(body).check()?;
    Ok((*kind, body))
}

fn message(kind: u8, body: &[u8], out: &mut Vec<u8>) {
    out.extend((1 + body.len() as u32).to_le_bytes());
    out.push(kind);
    out.extend_from_slice(body);
}

fn error(code: u64, state: &str, text: &[u8], out: &mut Vec<u8>) {
    // Severity 0: the session can continue.
    let body = [varint(1, 0), varint(2, code), bytes(3, text), bytes(4, state.as_bytes())].concat();
    message(ERROR, &body, out);
}

/// Returns whether a CapabilitiesSet turns on TLS and does nothing else.
fn sets_tls_only(body: &[u8]) -> bool {
    let mut capabilities = Fields(Fields(body).bytes(1).unwrap_or_default()).all(1);
    let first = capabilities.next();
    first.and_then(tls) == Some(true) && capabilities.next().is_none() && Fields(body).count() == 1
}

/// Returns whether a list contains TLS that is not active yet.
fn offers_tls(list: &[u8]) -> bool {
    Fields(list).all(1).any(|capability| tls(capability) == Some(false))
}

/// Returns the value of the capability `tls`; `None` for another one.
fn tls(capability: &[u8]) -> Option<bool> {
    let value = Fields(capability).bytes(2).filter(|_| Fields(capability).bytes(1) == Some(TLS))?;
    Fields(Fields(value).bytes(2)?).varint(8).map(|value| value != 0)
}

/// Returns a capability with this value (`Mysqlx.Connection.Capability`).
fn capability(name: &[u8], value: &[u8]) -> Vec<u8> {
    [bytes(1, name), bytes(2, value)].concat()
}

/// Returns a Boolean as a value (`Mysqlx.Datatypes.Any`, a scalar of type V_BOOL).
fn boolean(value: bool) -> Vec<u8> {
    let scalar = [varint(1, 7), varint(8, u64::from(value))].concat();
    [varint(1, 1), bytes(2, &scalar)].concat()
}

/// Returns strings, separated by commas, as a value (an array of scalars of type V_STRING).
fn strings(values: &str) -> Vec<u8> {
    let string = |value: &str| {
        let scalar = [varint(1, 8), bytes(9, &bytes(1, value.as_bytes()))].concat();
        bytes(1, &[varint(1, 1), bytes(2, &scalar)].concat())
    };
    [varint(1, 3), bytes(4, &values.split(',').flat_map(string).collect::<Vec<_>>())].concat()
}

/// Returns the names of the capabilities in a list, and the value of `tls`.
fn described(list: &[u8]) -> String {
    let name = |capability: &[u8]| {
        let name = Fields(capability).bytes(1).unwrap_or_default();
        let name = Escaped(name.get(..100).unwrap_or(name)).to_string();
        tls(capability).map_or(name.clone(), |value| format!("{name}={value}"))
    };
    let names: Vec<String> = Fields(list).all(1).take(20).map(name).collect();
    names.join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Identity, Phase};

    fn dialect(phase: Phase) -> Box<dyn Dialect> {
        let capabilities = ["authentication.mechanisms=PLAIN,SHA256_MEMORY".parse()];
        let capabilities = capabilities.into_iter().collect::<Result<_, _>>().unwrap();
        let identity = Identity { capabilities, ..Identity::new("db.example.com") };
        MYSQLX.new_dialect(identity.with_nonce(0).in_phase(phase))
    }

    #[test]
    fn the_request_is_that_of_released_clients() {
        let mut request = Vec::new();
        dialect(Phase::Cleartext).write_client(ClientMessage::Request, &mut request);
        let captured = b"\x14\0\0\0\x02\x0a\x11\x0a\x0f\x0a\x03tls\x12\x08\x08\x01\x12\x04\x08\x07\x40\x01";
        assert_eq!(request, captured);
    }

    #[test]
    fn an_offer_inside_tls_is_read_too() {
        for phase in [Phase::Cleartext, Phase::InsideTls] {
            for starttls in [true, false] {
                let (mut list, mut server) = (Vec::new(), dialect(phase));
                server.write_server(ServerMessage::Offer { starttls }, &mut list);
                let read = dialect(phase).read_server(ReplyTo::Hello, &list);
                assert_eq!(read, Ok(ServerMessage::Offer { starttls }), "{phase:?}");
            }
        }
    }

    #[test]
    fn messages_are_described_in_words() {
        let mut list = Vec::new();
        let mut inside = dialect(Phase::InsideTls);
        inside.write_server(ServerMessage::Offer { starttls: false }, &mut list);
        let words = inside.describe(Side::Server, &list);
        assert_eq!(words.as_deref(), Some("capability list tls=true authentication.mechanisms"));
        let without = inside.rewrite(Side::Server, ReplyTo::Hello, &list, CapabilityRewrite::DropCredentials);
        assert_eq!(inside.describe(Side::Server, &without).as_deref(), Some("capability list tls=true"));
        let mut refusal = Vec::new();
        inside.write_answer(0, b"\x1b[m", &mut refusal);
        assert_eq!(inside.describe(Side::Server, &refusal).as_deref(), Some("Error 5001 \\x1b[m"));
    }
}
