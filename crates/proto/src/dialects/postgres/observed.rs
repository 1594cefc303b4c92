//! What an observer of cleartext reads: how connections begin, what carries content, and logins.

use alloc::vec::Vec;

use super::Postgres;
use crate::credentials::sasl;
use crate::{LoginExposure, LoginPart, ObservedDialect, OpeningFit, PartOf, Side};

impl ObservedDialect for Postgres {
    fn opening(&self, from: Side, first: &[u8]) -> OpeningFit {
        match first {
            _ if from == Side::Server => OpeningFit::Other,
            // A length, and the code of a request or the version of a startup packet.
            [0, 0, _, _, 4, 0xd2, 0x16, 0x2e..=0x30, ..] | [0, 0, _, _, 0, 3, 0, _, ..] => {
                OpeningFit::Possible
            }
            [0, 0, ..] if first.len() < 8 => OpeningFit::Undecided,
            _ => OpeningFit::Other,
        }
    }

    fn carries_content(&self, msg: &[u8]) -> bool {
        matches!(msg.first(), Some(b'Q' | b'P'))
    }

    fn login_part(&self, msg: &[u8]) -> Option<LoginPart> {
        match msg.strip_prefix(b"p").and_then(|rest| rest.get(4..)) {
            Some(body) => Some(self.password_message(body).part_of(PartOf::LastLogin)),
            None => Some(LoginPart::new("startup packet", startup_user(msg)?, LoginExposure::Identity)),
        }
    }

    fn login_result(&self, msg: &[u8]) -> Option<bool> {
        match *msg {
            [b'R', _, _, _, _, 0, 0, 0, 0, ..] => Some(true),
            [b'E', ..] => Some(false),
            _ => None,
        }
    }
}

impl Postgres {
    /// Reads a message that is a password or a response, as the server's last request tells ("Message Formats").
    fn password_message(&self, body: &[u8]) -> LoginPart {
        match self.auth_request {
            Some(5) => LoginPart::new("md5", None, LoginExposure::Guessable),
            Some(7..=9) => LoginPart::new("GSSAPI", None, LoginExposure::Identity),
            // SASLInitialResponse. The user is in the startup packet.
            Some(10) => {
                let name = body.split(|octet| *octet == 0).next().unwrap_or_default();
                LoginPart { user: None, ..sasl(name, Some(Vec::new())) }
            }
            Some(11 | 12) => LoginPart::new("", None, LoginExposure::Guessable),
            _ => LoginPart::new("password", None, LoginExposure::Readable),
        }
    }
}

/// Returns the user of a startup packet: `Some(None)` if it names none, `None` if the packet is too short.
fn startup_user(msg: &[u8]) -> Option<Option<&[u8]>> {
    let mut fields = msg.get(8..)?.split(|octet| *octet == 0);
    let mut user = None;
    while let (Some(key), Some(value)) = (fields.next(), fields.next()) {
        if key == b"user" {
            user = Some(value);
        }
    }
    Some(user)
}
