//! PostgreSQL: the SSLRequest of protocol 3 ("SSL Session Encryption" in its specification).

mod login;
mod observed;

use alloc::boxed::Box;
use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

use crate::dialect::sealed::Sealed;
use crate::malformed::malformed;
use crate::message_reader::MAX_MESSAGE;
use crate::probe_credentials;
use crate::{
    CapabilityRewrite, ClientMessage, Correlation, Dialect, Escaped, Flow, ImplicitTls, LoginDialect,
    Malformed, ObservedDialect, OfferPlace, Protocol, ProtocolFamily, Refusal, ReplyTo, Scan, ServerMessage,
    Side,
};

/// PostgreSQL, and the other servers that implement its protocol.
pub const POSTGRES: Protocol = Protocol {
    name: "postgres",
    aliases: &["postgresql"],
    title: "PostgreSQL",
    port: 5432,
    implicit_tls: Some(ImplicitTls { name: "postgress", port: 5432, alpn_required: true }),
    alpn: Some("postgresql"),
    family: ProtocolFamily::Postgres,
    spec: "PostgreSQL protocol 3.0, SSL Session Encryption",
    flow: Flow {
        greeting: false,
        offer: OfferPlace::Unannounced,
        closes_when_tls_required: true,
        tls_may_be_optional: false,
        login_is_optional: false,
        has_peer_credential_auth: true,
        ..Flow::USUAL
    },
    dialect: |context| {
        let inside_tls = context.is_inside_tls();
        let login = login::State::default();
        Box::new(Postgres {
            inside_tls,
            started: false,
            gss_asked: false,
            auth_request: None,
            quitting: false,
            login,
        })
    },
};

/// Request codes in the place of a protocol version.
const SSL_REQUEST: u32 = 80_877_103;
const GSSENC_REQUEST: u32 = 80_877_104;
const CANCEL_REQUEST: u32 = 80_877_102;
const PROTOCOL_3: u32 = 3 << 16;
/// The longest startup packet in octets that servers accept.
const STARTUP: usize = 10_000;

struct Postgres {
    inside_tls: bool,
    /// The startup message was sent. All later messages start with a type.
    started: bool,
    /// The next answer is the single octet that answers GSSENCRequest.
    gss_asked: bool,
    /// The code of the last authentication request, which tells what the client's next response is.
    auth_request: Option<u32>,
    quitting: bool,
    login: login::State,
}

impl Sealed for Postgres {}

impl Dialect for Postgres {
    fn frame(
        &self,
        from: Side,
        reply_to: ReplyTo,
        buf: &[u8],
        scan: &mut Scan,
    ) -> Result<Option<usize>, Malformed> {
        match (from, buf.first()) {
            (_, None) => Ok(None),
            (Side::Client, _) if !self.started => startup(buf),
            (Side::Server, Some(first)) if reply_to == ReplyTo::Request || self.gss_asked => match first {
                b'S' | b'N' | b'G' => Ok(Some(1)),
                b'E' => error(buf, scan),
                _ => Err(malformed("one octet: S or N")),
            },
            _ => typed(buf),
        }
    }

    fn read_client(&mut self, msg: &[u8]) -> Result<ClientMessage, Malformed> {
        if self.started {
            return Ok(match msg.first() {
                Some(b'p') => ClientMessage::Credentials,
                Some(b'X') => {
                    self.quitting = true;
                    ClientMessage::Quit
                }
                _ => ClientMessage::Other,
            });
        }
        match number(msg, 4) {
            Some(SSL_REQUEST) => Ok(ClientMessage::Request),
            Some(GSSENC_REQUEST) => {
                self.gss_asked = true;
                Ok(ClientMessage::Probe)
            }
            // The server sends no answer, and the key in the request belongs to the application ("Canceling Requests
            // in Progress").
            Some(CANCEL_REQUEST) if self.inside_tls => Ok(ClientMessage::Other),
            Some(CANCEL_REQUEST) => {
                self.quitting = true;
                Ok(ClientMessage::Quit)
            }
            _ => {
                self.started = true;
                Ok(ClientMessage::Credentials)
            }
        }
    }

    fn read_server(&mut self, reply_to: ReplyTo, msg: &[u8]) -> Result<ServerMessage, Malformed> {
        let gss_asked = core::mem::take(&mut self.gss_asked);
        if msg.starts_with(b"R") {
            self.auth_request = number(msg, 5);
        }
        Ok(match (reply_to, msg) {
            (ReplyTo::Request, b"S") => ServerMessage::Accept,
            (ReplyTo::Request, b"N") => ServerMessage::Refuse(Refusal::Permanent),
            // The server is too old or overloaded. It closes the connection after the error, whose text is not
            // authenticated.
            (ReplyTo::Request, [b'E', ..]) => ServerMessage::Bye,
            (ReplyTo::Request, _) => return Err(malformed("one octet: S or N")),
            _ if gss_asked => ServerMessage::Other,
            (_, [b'E', ..]) if requires_tls(msg) => ServerMessage::TlsRequired,
            // Notices and parameters may arrive at any time ("Asynchronous Operations").
            (_, [b'N' | b'S', _, ..]) => ServerMessage::Interim,
            _ => ServerMessage::Other,
        })
    }

    fn write_client(&mut self, msg: ClientMessage, out: &mut Vec<u8>) {
        let code = match msg {
            ClientMessage::Request => SSL_REQUEST,
            ClientMessage::Probe => {
                self.gss_asked = true;
                GSSENC_REQUEST
            }
            // A server that accepts this asks for the password next.
            ClientMessage::Credentials => {
                let user = probe_credentials::USER;
                let parameters = format!("user\0{user}\0database\0{user}\0\0");
                out.extend((parameters.len() as u32 + 8).to_be_bytes());
                out.extend(PROTOCOL_3.to_be_bytes());
                return out.extend(parameters.as_bytes());
            }
            ClientMessage::Hello
            | ClientMessage::Quit
            | ClientMessage::Silent
            | ClientMessage::OnBehalf
            | ClientMessage::Partial
            | ClientMessage::Other => return,
        };
        out.extend(8_u32.to_be_bytes());
        out.extend(code.to_be_bytes());
    }

    fn write_server(&mut self, msg: ServerMessage, out: &mut Vec<u8>) {
        match msg {
            ServerMessage::Accept => out.push(b'S'),
            ServerMessage::Refuse(Refusal::Permanent) if self.inside_tls => {
                fatal("08P01", "TLS is active already", out);
            }
            ServerMessage::Refuse(Refusal::Permanent) | ServerMessage::Other => out.push(b'N'),
            // After N a client may continue in cleartext, as `sslmode=prefer` does. After an error no client
            // continues.
            ServerMessage::Refuse(Refusal::Temporary) => fatal("57P03", "TLS is not available for now", out),
            ServerMessage::TlsRequired => fatal("28000", "SSL required: send SSLRequest first", out),
            ServerMessage::Unavailable => fatal("57P03", "the server cannot serve for now", out),
            ServerMessage::Bye if !self.quitting => fatal("08P01", "invalid message before TLS", out),
            ServerMessage::Bye
            | ServerMessage::Greeting
            | ServerMessage::Offer { .. }
            | ServerMessage::PreAuthenticated
            | ServerMessage::Interim => {}
        }
    }

    fn rewrite(&self, _: Side, _: ReplyTo, msg: &[u8], _: CapabilityRewrite) -> Vec<u8> {
        msg.to_vec()
    }

    fn describe(&self, from: Side, msg: &[u8]) -> Option<String> {
        let (kind, escaped) =
            (msg.first()?, |text: &[u8]| Escaped(text.get(..100).unwrap_or(text)).to_string());
        Some(match (from, number(msg, 4), msg) {
            (Side::Client, Some(SSL_REQUEST), _) => String::from("SSLRequest"),
            (Side::Client, Some(GSSENC_REQUEST), _) => String::from("GSSENCRequest"),
            (Side::Client, Some(CANCEL_REQUEST), _) => String::from("CancelRequest"),
            (Side::Client, Some(version), [0, ..]) => {
                format!("StartupMessage {}.{}", version >> 16, version & 0xffff)
            }
            (Side::Server, _, [b'E', ..]) => {
                let fields = [b'S', b'C', b'M'].map(|name| field(msg, name));
                let shown = fields.iter().filter(|field| !field.is_empty()).map(|field| escaped(field));
                core::iter::once(String::from("ErrorResponse")).chain(shown).collect::<Vec<_>>().join(" ")
            }
            (Side::Server, _, [_]) => format!("answer {}", escaped(msg)),
            _ => format!("message {}", escaped(&[*kind])),
        })
    }

    /// Correlates an answer with the startup message: a request for authentication or an error. Other messages
    /// negotiate ("NegotiateProtocolVersion") or inform.
    fn correlation(&self, from: Side, msg: &[u8]) -> Option<Correlation> {
        match (from, msg, number(msg, 4)) {
            (Side::Client, [0, ..], Some(PROTOCOL_3..=0x0003_ffff))
            | (Side::Server, [b'R' | b'E', ..], _) => Some(Correlation::Kind("startup")),
            (Side::Server, [_, _, ..], _) => Some(Correlation::Kind("information")),
            _ => None,
        }
    }

    fn observed(&self) -> &dyn ObservedDialect {
        self
    }

    fn into_login(self: Box<Self>) -> Option<Box<dyn LoginDialect>> {
        Some(self)
    }
}

/// Returns the 32-bit number at this offset.
fn number(buf: &[u8], at: usize) -> Option<u32> {
    buf.get(at..)?.first_chunk().copied().map(u32::from_be_bytes)
}

/// Frames a packet before or at startup: a length, which includes itself, and a code or version.
fn startup(buf: &[u8]) -> Result<Option<usize>, Malformed> {
    let Some(length) = number(buf, 0) else { return Ok(None) };
    let length = length as usize;
    if !(8..=STARTUP).contains(&length) {
        return Err(malformed("a packet of 8 to 10,000 octets"));
    }
    let fits = match number(buf, 4) {
        None => return Ok(None),
        Some(SSL_REQUEST | GSSENC_REQUEST) => length == 8,
        Some(CANCEL_REQUEST) => length >= 16,
        Some(version) => version >> 16 == 3,
    };
    if !fits {
        return Err(malformed("SSLRequest, or another packet that starts a session"));
    }
    Ok((buf.len() >= length).then_some(length))
}

/// Frames a message with a type and a length, which includes itself.
fn typed(buf: &[u8]) -> Result<Option<usize>, Malformed> {
    let Some(length) = number(buf, 1) else { return Ok(None) };
    let length = length as usize;
    if !(4..MAX_MESSAGE).contains(&length) {
        return Err(malformed("a message of 4 octets to 64 KiB"));
    }
    Ok((buf.len() > length).then_some(length + 1))
}

/// Frames an ErrorResponse, or an error of protocol 2: text up to a NUL. A server that fails to fork still sends the
/// old form.
fn error(buf: &[u8], scan: &mut Scan) -> Result<Option<usize>, Malformed> {
    match number(buf, 1) {
        None => Ok(None),
        Some(8..=30_000) => typed(buf),
        Some(_) => {
            let unseen = buf.get(scan.at..).unwrap_or_default();
            let nul = unseen.iter().position(|byte| *byte == 0);
            let end = nul.map(|nul| scan.at + nul + 1);
            scan.at = buf.len();
            Ok(end)
        }
    }
}

/// Returns a field of an ErrorResponse. An error of protocol 2 consists of the message alone.
fn field(msg: &[u8], name: u8) -> &[u8] {
    match number(msg, 1) {
        Some(8..=30_000) => {
            let mut fields = msg.get(5..).unwrap_or_default().split(|byte| *byte == 0);
            fields.find_map(|field| field.strip_prefix(&[name])).unwrap_or_default()
        }
        _ if name == b'M' => msg.get(1..).and_then(|text| text.strip_suffix(b"\0")).unwrap_or_default(),
        _ => b"",
    }
}

/// Returns whether this error means that TLS is required. No error code has exactly this meaning: connection poolers
/// report it in English text, and PostgreSQL's host-based access control names the source routine that refused.
fn requires_tls(msg: &[u8]) -> bool {
    let by_access_control = field(msg, b'C') == b"28000" && field(msg, b'R') == b"ClientAuthentication";
    by_access_control || field(msg, b'M').starts_with(b"SSL required")
}

/// Writes an ErrorResponse after which the server closes the connection ("Error and Notice Message Fields").
fn fatal(state: &str, text: &str, out: &mut Vec<u8>) {
    let fields = format!("SFATAL\0VFATAL\0C{state}\0M{text}\0\0");
    out.push(b'E');
    out.extend((fields.len() as u32 + 4).to_be_bytes());
    out.extend(fields.as_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;

    fn dialect() -> Box<dyn Dialect> {
        POSTGRES.new_dialect(crate::Identity::new("mail.example.com"))
    }

    #[test]
    fn only_some_errors_say_that_tls_is_required() {
        let mut required = Vec::new();
        dialect().write_server(ServerMessage::TlsRequired, &mut required);
        let fields = "SFATAL\0C28000\0Mkein Eintrag in pg_hba.conf\0RClientAuthentication\0\0";
        let by_access_control = [b"E\0\0\0\x46", fields.as_bytes()].concat();
        assert_eq!(by_access_control.len(), 0x47);
        for error in [required, by_access_control] {
            assert_eq!(dialect().read_server(ReplyTo::Other, &error), Ok(ServerMessage::TlsRequired));
        }
        let mut unknown_role = Vec::new();
        fatal("28000", "role \"bob\" does not exist", &mut unknown_role);
        assert_eq!(dialect().read_server(ReplyTo::Other, &unknown_role), Ok(ServerMessage::Other));
    }

    #[test]
    fn messages_are_described_in_words() {
        let mut request = Vec::new();
        dialect().write_client(ClientMessage::Request, &mut request);
        assert_eq!(dialect().describe(Side::Client, &request).as_deref(), Some("SSLRequest"));
        assert_eq!(dialect().describe(Side::Server, b"S").as_deref(), Some("answer S"));
        let told = dialect().describe(Side::Server, b"Ecould not fork\x1b\n\0");
        assert_eq!(told.as_deref(), Some("ErrorResponse could not fork\\x1b\\n"));
    }
}
