//! What an observer of cleartext reads: how connections begin, what carries content, and logins.

use super::{CLIENT_CONNECT_WITH_DB, CLIENT_PLUGIN_AUTH, ERR, MySql, SSL_REQUEST};
use crate::{LoginExposure, LoginPart, ObservedDialect, OpeningFit, PartOf, Side};

/// COM_CHANGE_USER.
const CHANGE_USER: u8 = 0x11;

impl ObservedDialect for MySql {
    fn opening(&self, from: Side, first: &[u8]) -> OpeningFit {
        // The version of the handshake, or an error instead of it.
        OpeningFit::possible(from == Side::Server && matches!(first, [_, _, 0, 0, 10 | 0xff, ..]))
    }

    fn carries_content(&self, msg: &[u8]) -> bool {
        matches!(msg, [_, _, _, 0, 0x02 | 0x03 | 0x16, ..])
    }

    /// Reads "Protocol::HandshakeResponse41", a later packet of the exchange, or COM_CHANGE_USER.
    fn login_part(&self, msg: &[u8]) -> Option<LoginPart> {
        let [_, _, _, sequence, payload @ ..] = msg else { return None };
        let guessable = |name: &str| LoginPart::new(name, None, LoginExposure::Guessable);
        match (*sequence, payload.first()) {
            (1, _) => {}
            (0, Some(&CHANGE_USER)) => return Some(guessable("change user")),
            (_, Some(&CHANGE_USER)) => {}
            _ if self.clear_password => {
                let part = LoginPart::new("mysql_clear_password", None, LoginExposure::Readable);
                return Some(part.part_of(PartOf::LastLogin));
            }
            _ => return Some(guessable("").part_of(PartOf::LastLogin)),
        }
        let flags = u32::from_le_bytes(*payload.first_chunk()?);
        let (user, rest) = text(payload.get(SSL_REQUEST..)?)?;
        let length = usize::from(*rest.first()?);
        let mut rest = rest.get(1 + length..).unwrap_or_default();
        if flags & CLIENT_CONNECT_WITH_DB != 0 {
            rest = text(rest).map_or(&[], |(_, rest)| rest);
        }
        let plugin = rest.split(|octet| *octet == 0).next().filter(|_| flags & CLIENT_PLUGIN_AUTH != 0);
        let (name, exposure) = match plugin.and_then(|plugin| str::from_utf8(plugin).ok()) {
            Some("mysql_clear_password" | "dialog") => ("mysql_clear_password", LoginExposure::Readable),
            Some(
                name @ ("mysql_native_password"
                | "caching_sha2_password"
                | "sha256_password"
                | "client_ed25519"),
            ) => (name, LoginExposure::Guessable),
            _ => ("mysql_native_password", LoginExposure::Guessable),
        };
        Some(LoginPart::new(name, Some(user), exposure))
    }

    fn login_result(&self, msg: &[u8]) -> Option<bool> {
        match msg.get(4) {
            Some(0) => Some(true),
            Some(&ERR) => Some(false),
            _ => None,
        }
    }
}

/// Splits off a text that ends with NUL.
fn text(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let end = bytes.iter().position(|octet| *octet == 0)?;
    Some((&bytes[..end], &bytes[end + 1..]))
}
