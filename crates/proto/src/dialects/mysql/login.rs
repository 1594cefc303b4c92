//! The login of the connection phase, with the plugin that the server requests.
//!
//! The scramble of the greeting came in cleartext, so the login does not use it. The client names a plugin that does
//! not exist. The server then names its own plugin and sends a new scramble inside TLS (AuthSwitchRequest).

use alloc::format;
use alloc::string::String;
use alloc::vec;
use alloc::vec::Vec;

use super::{
    CHARSET, CLIENT_PLUGIN_AUTH, CLIENT_PROTOCOL_41, CLIENT_SECURE_CONNECTION, CLIENT_SSL, ERR, MySql, packet,
};
use crate::malformed::malformed;
use crate::{
    Denial, LoginDialect, LoginMessage, LoginReply, Malformed, OfferedMechanism, OutputBuffer, ReplyTo,
};

/// A plugin name that does not exist.
const NO_PLUGIN: &[u8] = b"starttls_asks\0";

impl LoginDialect for MySql {
    /// The server closes the connection after a refusal.
    fn can_begin_again(&self) -> bool {
        false
    }

    fn mechanisms(&self, msg: &[u8]) -> Vec<OfferedMechanism> {
        let [_, _, _, _, 0xfe, request @ ..] = msg else { return Vec::new() };
        let mut parts = request.splitn(2, |&byte| byte == 0);
        let (name, scramble) = (parts.next().unwrap_or_default(), parts.next().unwrap_or_default());
        let challenge = Some(scramble.strip_suffix(b"\0").unwrap_or(scramble).to_vec());
        vec![OfferedMechanism { challenge, ..OfferedMechanism::named(name) }]
    }

    fn write(&mut self, msg: LoginMessage<'_>, out: &mut OutputBuffer) -> bool {
        let (payload, shown) = match msg {
            LoginMessage::Hello { user } => {
                // The same flags as in the SSLRequest.
                let flags = CLIENT_PROTOCOL_41 | CLIENT_SSL | CLIENT_SECURE_CONNECTION | CLIENT_PLUGIN_AUTH;
                let start: [&[u8]; 4] =
                    [&flags.to_le_bytes(), &(1_u32 << 24).to_le_bytes(), &[CHARSET], &[0; 23]];
                let login: [&[u8]; 3] = [user.as_bytes(), b"\0\0", NO_PLUGIN];
                // Sequence numbers continue after the boundary, and the SSLRequest was number 1.
                self.sequence = 1;
                let shown = format!("HandshakeResponse user {}", crate::Escaped(user.as_bytes()));
                ([start.concat(), login.concat()].concat(), shown)
            }
            LoginMessage::Begin { mechanism, initial } => {
                let response = initial.unwrap_or_default().to_vec();
                (response, format!("authentication response {} ***", mechanism.to_ascii_lowercase()))
            }
            LoginMessage::Response(response) => {
                (response.to_vec(), String::from("authentication response ***"))
            }
            LoginMessage::Abort | LoginMessage::WhoAmI => return false,
        };
        let mut bytes = Vec::new();
        packet(self.sequence.wrapping_add(1), &[&payload], &mut bytes);
        out.push_described(bytes, &shown);
        true
    }

    fn read(&mut self, _: ReplyTo, msg: &[u8]) -> Result<LoginReply, Malformed> {
        let [_, _, _, sequence, payload @ ..] = msg else { return Err(malformed("a packet")) };
        if *sequence != self.sequence.wrapping_add(2) && *sequence != self.sequence.wrapping_add(1) {
            return Err(malformed("packets in order"));
        }
        self.sequence = *sequence;
        Ok(match payload {
            [0, ..] => LoginReply::Granted { data: None, user: None },
            [0xfe, ..] => LoginReply::Offer(self.mechanisms(msg)),
            // caching_sha2_password fast path: the server has the hash in its cache, and OK follows.
            [1, 3] => LoginReply::Interim,
            [1, data @ ..] => LoginReply::Challenge(data.to_vec()),
            [ERR, low, high, ..] => LoginReply::Refused(match u16::from_le_bytes([*low, *high]) {
                // Too many connections, of all users or of this user.
                1040 | 1203 | 1226 => Denial::Temporary,
                1044 | 1045 | 1698 | 1820 | 1862 | 3118 => Denial::Credentials,
                _ => Denial::Mechanism,
            }),
            _ => return Err(malformed("OK, an error or a request for the password")),
        })
    }
}
