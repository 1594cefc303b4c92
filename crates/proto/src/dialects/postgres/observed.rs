//! Logins, as an observer of cleartext reads them.

use alloc::vec::Vec;

use super::Postgres;
use crate::credentials::sasl;
use crate::{LoginExposure, LoginPart, ObservedDialect, PartOf};

impl ObservedDialect for Postgres {
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
