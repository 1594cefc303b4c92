//! What an observer of cleartext reads: how connections begin, what carries content, and logins.

use super::protobuf::Fields;
use super::{AUTHENTICATE_START, MySqlX, parts};
use crate::credentials::sasl;
use crate::{LoginExposure, LoginPart, ObservedDialect, OpeningFit, PartOf, Side};

impl ObservedDialect for MySqlX {
    fn opening(&self, from: Side, first: &[u8]) -> OpeningFit {
        OpeningFit::certain(match from {
            // CapabilitiesGet, or CapabilitiesSet.
            Side::Client => matches!(first, [1, 0, 0, 0, 1, ..] | [_, 0, 0, 0, 2, 0x0a, ..]),
            // A notice.
            Side::Server => matches!(first, [_, 0, 0, 0, 11, ..]),
        })
    }

    /// StmtExecute, and the commands on documents.
    fn carries_content(&self, msg: &[u8]) -> bool {
        matches!(msg, [_, _, _, _, 12 | 17..=20, ..])
    }

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
