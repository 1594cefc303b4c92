//! Logins, as an observer of cleartext reads them.

use super::protobuf::Fields;
use super::{AUTHENTICATE_START, MySqlX, parts};
use crate::credentials::sasl;
use crate::{LoginExposure, LoginPart, ObservedDialect, PartOf};

impl ObservedDialect for MySqlX {
    /// Reads AuthenticateStart or AuthenticateContinue.
    fn login_part(&self, msg: &[u8]) -> Option<LoginPart> {
        let (kind, body) = parts(msg).ok()?;
        let first = Fields(body).bytes(1)?;
        if kind == AUTHENTICATE_START {
            return Some(sasl(first, Fields(body).bytes(2).map(<[u8]>::to_vec)));
        }
        // The schema, the user and the hash of the password.
        let user = first.split(|octet| *octet == 0).nth(1);
        Some(LoginPart::new("", user, LoginExposure::Guessable).part_of(PartOf::LastLogin))
    }
}
