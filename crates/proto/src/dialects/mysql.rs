//! MySQL and MariaDB: the SSLRequest of the client/server protocol. The server sends no answer to it.

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
    AfterUpgrade, CapabilityRewrite, ClientMessage, Dialect, DialectContext, Escaped, Flow, LoginDialect,
    Malformed, ObservedDialect, OfferPlace, Protocol, ProtocolFamily, ReplyTo, Scan, ServerMessage, Side,
};

/// MySQL and MariaDB.
pub const MYSQL: Protocol = Protocol {
    name: "mysql",
    aliases: &["mariadb"],
    title: "MySQL",
    port: 3306,
    implicit_tls: None,
    alpn: None,
    family: ProtocolFamily::Mysql,
    spec: "MySQL client/server protocol, connection phase",
    flow: Flow {
        offer: OfferPlace::InGreeting,
        request_is_answered: false,
        login_needs_greeting: true,
        closes_when_tls_required: true,
        after: AfterUpgrade::SequenceContinues,
        tls_may_be_optional: false,
        login_is_optional: false,
        has_peer_credential_auth: true,
        ..Flow::USUAL
    },
    dialect: |context| {
        let (stage, sequence, out_of_order, clear_password) = (Stage::Greeted, 0, false, false);
        Box::new(MySql { context, stage, sequence, out_of_order, clear_password })
    },
};

/// Capability flags.
const CLIENT_LONG_PASSWORD: u32 = 0x1;
const CLIENT_CONNECT_WITH_DB: u32 = 0x8;
const CLIENT_PROTOCOL_41: u32 = 0x200;
const CLIENT_SSL: u32 = 0x800;
const CLIENT_TRANSACTIONS: u32 = 0x2000;
const CLIENT_SECURE_CONNECTION: u32 = 0x8000;
const CLIENT_PLUGIN_AUTH: u32 = 0x8_0000;

const PROTOCOL_10: u8 = 10;
const ERR: u8 = 0xff;
/// "Protocol::AuthSwitchRequest".
const AUTH_SWITCH: u8 = 0xfe;
/// Plugins that send the password itself.
const CLEAR_PASSWORD: [&[u8]; 2] = [b"mysql_clear_password\0", b"dialog\0"];
/// utf8mb4_general_ci, which every server supports.
const CHARSET: u8 = 45;
/// The oldest authentication plugin that servers still understand.
const PLUGIN: &str = "mysql_native_password\0";
/// The length of an SSLRequest in octets: flags, the largest packet, a character set and 23 reserved octets.
const SSL_REQUEST: usize = 32;

struct MySql {
    context: DialectContext,
    stage: Stage,
    /// The sequence number of the client's last packet. The answer has the next number.
    sequence: u8,
    out_of_order: bool,
    /// The server has asked for the password itself.
    clear_password: bool,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Stage {
    /// The server has sent its greeting. The client's first packet follows, SSLRequest or not.
    Greeted,
    /// The authentication exchange.
    Login,
    /// The command phase. The packets of each command are numbered from 0.
    Commands,
}

impl Sealed for MySql {}

impl Dialect for MySql {
    /// Frames a packet: three octets of length, one octet of sequence number, and the payload.
    fn frame(
        &self,
        from: Side,
        reply_to: ReplyTo,
        buf: &[u8],
        _: &mut Scan,
    ) -> Result<Option<usize>, Malformed> {
        let [a, b, c, behind @ ..] = buf else { return Ok(None) };
        let length = 4 + u32::from_le_bytes([*a, *b, *c, 0]) as usize;
        if length > MAX_MESSAGE {
            return Err(malformed("a packet of at most 64 KiB"));
        }
        let greeting = from == Side::Server && reply_to == ReplyTo::Connect;
        let empty = length == 4;
        if greeting && (empty || !matches!(behind, [] | [_] | [_, ERR, ..] | [0, PROTOCOL_10, ..])) {
            return Err(malformed("a greeting of protocol 10, packet 0"));
        }
        Ok((buf.len() >= length).then_some(length))
    }

    fn read_client(&mut self, msg: &[u8]) -> Result<ClientMessage, Malformed> {
        let [_, _, _, sequence, payload @ ..] = msg else { return Err(malformed("a packet")) };
        self.sequence = *sequence;
        if self.stage == Stage::Greeted {
            // Sequence numbers continue after the boundary, and the SSLRequest was number 1.
            if *sequence != 1 + u8::from(self.context.is_inside_tls()) {
                self.out_of_order = true;
                return Err(malformed("packets in order"));
            }
            let flags = payload.first_chunk().copied().map_or(0, u32::from_le_bytes);
            return match payload.len() {
                SSL_REQUEST if flags & CLIENT_SSL != 0 && flags & CLIENT_PROTOCOL_41 != 0 => {
                    Ok(ClientMessage::Request)
                }
                // A HandshakeResponse names the user in cleartext, even if its flags announce TLS.
                longer if longer > SSL_REQUEST && flags & CLIENT_PROTOCOL_41 != 0 => {
                    self.stage = Stage::Login;
                    Ok(ClientMessage::Credentials)
                }
                _ => Err(malformed("SSLRequest")),
            };
        }
        if *sequence == 0 {
            self.stage = Stage::Commands;
        }
        Ok(match (self.stage, payload) {
            (Stage::Login, _) | (_, [0x11, ..]) => ClientMessage::Credentials,
            (_, [0x01]) if *sequence == 0 => ClientMessage::Quit,
            _ => ClientMessage::Other,
        })
    }

    fn read_server(&mut self, reply_to: ReplyTo, msg: &[u8]) -> Result<ServerMessage, Malformed> {
        if let [_, _, _, _, AUTH_SWITCH, plugin @ ..] = msg
            && self.stage == Stage::Login
        {
            self.clear_password = CLEAR_PASSWORD.iter().any(|it| plugin.starts_with(it));
        }
        match (reply_to, msg.get(4)) {
            // Too many connections or host blocked (errors 1040, 1129, 1130), or a bad handshake.
            (ReplyTo::Connect | ReplyTo::Request, Some(&ERR)) => Ok(ServerMessage::Bye),
            (ReplyTo::Connect, _) => {
                let (_, flags) = greeting(msg).ok_or(malformed("a greeting with capability flags"))?;
                let needed = (CLIENT_SSL | CLIENT_PROTOCOL_41) as u16;
                Ok(ServerMessage::Offer { starttls: flags & needed == needed })
            }
            // Error 3159: the server requires secure transport.
            (_, Some(&ERR)) if msg.get(5..7) == Some(&3159_u16.to_le_bytes()) => {
                Ok(ServerMessage::TlsRequired)
            }
            _ => Ok(ServerMessage::Other),
        }
    }

    fn write_client(&mut self, msg: ClientMessage, out: &mut Vec<u8>) {
        let inside = self.context.is_inside_tls();
        let (tls, login) = match msg {
            ClientMessage::Request => (true, Vec::new()),
            ClientMessage::Credentials => (inside, self.login()),
            ClientMessage::Hello
            | ClientMessage::Probe
            | ClientMessage::Quit
            | ClientMessage::Silent
            | ClientMessage::OnBehalf
            | ClientMessage::Partial
            | ClientMessage::Other => return,
        };
        let flags = CLIENT_PROTOCOL_41
            | if tls { CLIENT_SSL } else { 0 }
            | CLIENT_SECURE_CONNECTION
            | CLIENT_PLUGIN_AUTH;
        let largest = 1_u32 << 24;
        let start: [&[u8]; 5] = [&flags.to_le_bytes(), &largest.to_le_bytes(), &[CHARSET], &[0; 23], &login];
        packet(1 + u8::from(inside), &start, out);
    }

    fn write_server(&mut self, msg: ServerMessage, out: &mut Vec<u8>) {
        let (code, state, text): (u16, _, _) = match msg {
            ServerMessage::Offer { starttls } => return self.greet(starttls, out),
            ServerMessage::TlsRequired => {
                (3159, "HY000", "Connections using insecure transport are prohibited here: TLS is required")
            }
            ServerMessage::Refuse(_) if self.context.is_inside_tls() => {
                (1043, "08S01", "TLS is active already")
            }
            ServerMessage::Refuse(_) => (1043, "08S01", "TLS is not available for now"),
            ServerMessage::Unavailable => (1053, "08S01", "The server cannot serve for now"),
            ServerMessage::Bye if self.out_of_order => (1156, "08S01", "Got packets out of order"),
            ServerMessage::Bye if self.stage != Stage::Commands => (1043, "08S01", "Bad handshake"),
            // The server does not answer COM_QUIT.
            ServerMessage::Bye
            | ServerMessage::Greeting
            | ServerMessage::Accept
            | ServerMessage::PreAuthenticated
            | ServerMessage::Interim
            | ServerMessage::Other => return,
        };
        let text = format!("#{state}{text}");
        // A packet in place of the greeting has number 0.
        let first = self.stage == Stage::Greeted && self.sequence == 0;
        let number = if first { 0 } else { self.sequence.wrapping_add(1) };
        packet(number, &[&[ERR], &code.to_le_bytes(), text.as_bytes()], out);
    }

    fn write_answer(&self, ahead: u32, words: &[u8], out: &mut Vec<u8>) {
        packet(self.sequence.wrapping_add(1 + ahead as u8), &[words], out);
    }

    fn rewrite(&self, from: Side, _: ReplyTo, msg: &[u8], how: CapabilityRewrite) -> Vec<u8> {
        let mut rewritten = msg.to_vec();
        if from == Side::Server
            && let Some((at, flags)) = greeting(msg)
            && let Some(place) = rewritten.get_mut(at..at + 2)
        {
            let flags = match how {
                CapabilityRewrite::DropUpgrade => flags & !(CLIENT_SSL as u16),
                CapabilityRewrite::AddUpgrade => flags | CLIENT_SSL as u16,
                CapabilityRewrite::DropCredentials
                | CapabilityRewrite::DropChannelBinding
                | CapabilityRewrite::DropExternal
                | CapabilityRewrite::DropOnBehalf => flags,
            };
            place.copy_from_slice(&flags.to_le_bytes());
        }
        rewritten
    }

    fn describe(&self, from: Side, msg: &[u8]) -> Option<String> {
        let [_, _, _, sequence, payload @ ..] = msg else { return None };
        let escaped = |text: &[u8]| Escaped(text.get(..100).unwrap_or(text)).to_string();
        Some(match (from, payload) {
            (Side::Server, [PROTOCOL_10, behind @ ..]) if *sequence == 0 => {
                let (_, flags) = greeting(msg)?;
                let version = escaped(behind.split(|octet| *octet == 0).next()?);
                let tls = if flags & CLIENT_SSL as u16 == 0 { "no CLIENT_SSL" } else { "CLIENT_SSL" };
                format!("greeting: version {version}, {tls}")
            }
            (Side::Server, [ERR, low, high, text @ ..]) => {
                format!("ERR {} {}", u16::from_le_bytes([*low, *high]), escaped(text))
            }
            (Side::Client, flags) if flags.len() == SSL_REQUEST && *sequence == 1 => {
                String::from("SSLRequest")
            }
            (Side::Client, _) if *sequence == 1 => String::from("HandshakeResponse"),
            _ => format!("packet {sequence} of {} octets", payload.len()),
        })
    }

    fn observed(&self) -> &dyn ObservedDialect {
        self
    }

    fn into_login(self: Box<Self>) -> Option<Box<dyn LoginDialect>> {
        Some(self)
    }
}

impl MySql {
    /// Returns a HandshakeResponse body: a user name, 20 octets that look like a scrambled password, and the name of
    /// the plugin.
    fn login(&self) -> Vec<u8> {
        let response = format!("{:020x}", self.context.nonce);
        let parts = [probe_credentials::USER, "\0\x14", &response, PLUGIN];
        parts.concat().into_bytes()
    }

    fn greet(&self, starttls: bool, out: &mut Vec<u8>) {
        let flags = CLIENT_LONG_PASSWORD
            | CLIENT_CONNECT_WITH_DB
            | CLIENT_PROTOCOL_41
            | if starttls { CLIENT_SSL } else { 0 }
            | CLIENT_TRANSACTIONS
            | CLIENT_SECURE_CONNECTION
            | CLIENT_PLUGIN_AUTH;
        let [f0, f1, f2, f3] = flags.to_le_bytes();
        let scramble = scramble(self.context.nonce);
        let (first, second) = scramble.split_at(8);
        // The status flag for autocommit.
        let status = [2, 0];
        packet(
            0,
            &[
                &[PROTOCOL_10],
                b"8.0.0-starttls\0",
                &1_u32.to_le_bytes(),
                first,
                &[0, f0, f1, CHARSET],
                &status,
                &[f2, f3, 21],
                &[0; 10],
                second,
                b"\0",
                PLUGIN.as_bytes(),
            ],
            out,
        );
    }
}

/// Returns the lower capability flags of a greeting, and their offset. They follow the version and its NUL, the
/// thread id, eight octets of scramble and a filler.
fn greeting(msg: &[u8]) -> Option<(usize, u16)> {
    let [_, _, _, _, PROTOCOL_10, version @ ..] = msg else { return None };
    let end = version.iter().position(|octet| *octet == 0)?;
    let at = 5 + end + 1 + 4 + 8 + 1;
    Some((at, u16::from_le_bytes(*msg.get(at..)?.first_chunk()?)))
}

/// Returns the scramble: printable octets without the space and `$`, which are separators elsewhere.
fn scramble(nonce: u64) -> [u8; 20] {
    let mut state = nonce;
    core::array::from_fn(|_| {
        // SplitMix64 spreads every bit of the nonce over all octets.
        state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (state ^ (state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        b'%' + ((mixed ^ (mixed >> 31)) % u64::from(b'~' - b'%' + 1)) as u8
    })
}

fn packet(sequence: u8, parts: &[&[u8]], out: &mut Vec<u8>) {
    let length: usize = parts.iter().map(|part| part.len()).sum();
    let [a, b, c, ..] = (length as u32).to_le_bytes();
    out.extend([a, b, c, sequence]);
    parts.iter().for_each(|part| out.extend_from_slice(part));
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Identity, Phase};

    #[test]
    fn scrambles_are_printable_and_differ() {
        for nonce in [0, 1, u64::MAX] {
            assert!(scramble(nonce).iter().all(|octet| octet.is_ascii_graphic() && *octet != b'$'));
        }
        assert_ne!(scramble(0), scramble(1));
    }

    #[test]
    fn a_login_has_the_length_that_it_claims_and_the_number_that_is_due() {
        for (phase, number) in [(Phase::Cleartext, 1), (Phase::InsideTls, 2)] {
            let context = Identity::new("mail.example.com").in_phase(phase).with_nonce(7);
            let mut login = Vec::new();
            MYSQL.new_dialect(context).write_client(ClientMessage::Credentials, &mut login);
            assert_eq!(login[..4], [90, 0, 0, number]);
            let (start, behind) = login[4..].split_at(SSL_REQUEST);
            assert_eq!(start[1] & (CLIENT_SSL >> 8) as u8 != 0, phase == Phase::InsideTls);
            assert_eq!(behind, b"starttls-probe\0\x1400000000000000000007mysql_native_password\0");
        }
    }

    #[test]
    fn messages_are_described_in_words() {
        let mut dialect = MYSQL.new_dialect(Identity::new("mail.example.com").with_nonce(0));
        let (mut greeting, mut request) = (Vec::new(), Vec::new());
        dialect.write_server(ServerMessage::Offer { starttls: true }, &mut greeting);
        dialect.write_client(ClientMessage::Request, &mut request);
        let told = dialect.describe(Side::Server, &greeting);
        assert_eq!(told.as_deref(), Some("greeting: version 8.0.0-starttls, CLIENT_SSL"));
        let told = dialect.describe(
            Side::Server,
            &dialect.rewrite(Side::Server, ReplyTo::Connect, &greeting, CapabilityRewrite::DropUpgrade),
        );
        assert_eq!(told.as_deref(), Some("greeting: version 8.0.0-starttls, no CLIENT_SSL"));
        assert_eq!(dialect.describe(Side::Client, &request).as_deref(), Some("SSLRequest"));
        let told = dialect.describe(Side::Server, b"\x06\0\0\0\xff\x10\x04\x1b[m");
        assert_eq!(told.as_deref(), Some("ERR 1040 \\x1b[m"));
    }
}
