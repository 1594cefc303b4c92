//! Logins, as an observer of cleartext reads them.

use super::{Nats, info, operation};
use crate::{LoginExposure, LoginPart, ObservedDialect};

impl ObservedDialect for Nats {
    /// Reads CONNECT. Another form than a JSON object is unknown, because a server may find a password in it.
    fn login_part(&self, msg: &[u8]) -> Option<LoginPart> {
        let members = info::members(operation(msg).1)?;
        let text = |name| members.iter().filter(|member| member.is(name)).find_map(info::Member::text);
        let has = |name| text(name).is_some();
        let exposure = match () {
            () if has("pass") || has("auth_token") => LoginExposure::Readable,
            // A signature of the server's nonce.
            () if has("sig") => LoginExposure::Identity,
            // A bearer token, which needs no signature.
            () if has("jwt") => LoginExposure::Readable,
            () => LoginExposure::Attempted,
        };
        Some(LoginPart::new("CONNECT", text("user"), exposure))
    }

    fn login_result(&self, msg: &[u8]) -> Option<bool> {
        if msg.starts_with(b"+OK") || msg.starts_with(b"PONG") {
            return Some(true);
        }
        msg.starts_with(b"-ERR").then_some(false)
    }
}
