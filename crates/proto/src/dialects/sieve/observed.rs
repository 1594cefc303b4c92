//! What an observer of cleartext reads: how connections begin, what carries content, and logins.

use super::{Sieve, logical_lines, status};
use crate::credentials::{CommandLine, response, unquoted};
use crate::text::has_verb;
use crate::{LoginPart, LoginResponse, ObservedDialect, OpeningFit, Side};

impl ObservedDialect for Sieve {
    fn opening(&self, from: Side, first: &[u8]) -> OpeningFit {
        OpeningFit::possible(match from {
            Side::Server => first.starts_with(b"\"") || first.starts_with(b"BYE"),
            Side::Client => has_verb(first, 0, &[b"CAPABILITY"]),
        })
    }

    fn carries_content(&self, msg: &[u8]) -> bool {
        has_verb(msg, 0, &[b"PUTSCRIPT", b"GETSCRIPT", b"LISTSCRIPTS"])
    }

    fn login_part(&self, msg: &[u8]) -> Option<LoginPart> {
        let line = CommandLine::parse(msg);
        line.sasl(1).filter(|_| line.upper(0).as_deref() == Some(b"AUTHENTICATE"))
    }

    /// A challenge is a string without the status that ends a response (RFC 5804 section 2.1).
    fn is_challenge(&self, msg: &[u8]) -> bool {
        matches!(msg, [b'"' | b'{', ..]) && logical_lines(msg).last().and_then(status).is_none()
    }

    fn login_response(&self, mechanism: &str, step: u32, msg: &[u8]) -> LoginResponse {
        response(mechanism, step, unquoted(msg.trim_ascii()))
    }

    fn login_result(&self, msg: &[u8]) -> Option<bool> {
        Some(msg.starts_with(b"OK"))
    }
}
