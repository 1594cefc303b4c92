//! What an observer of cleartext reads: how connections begin, what carries content, and logins.

use super::{Nats, info, operation};
use crate::text::has_verb;
use crate::{LoginExposure, LoginPart, ObservedDialect, OpeningFit, Side};

impl ObservedDialect for Nats {
    fn opening(&self, from: Side, first: &[u8]) -> OpeningFit {
        OpeningFit::certain(from == Side::Server && (first.starts_with(b"INFO {") || first == b"INFO "))
    }

    fn carries_content(&self, msg: &[u8]) -> bool {
        has_verb(msg, 0, &[b"PUB", b"HPUB", b"SUB"])
    }

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
