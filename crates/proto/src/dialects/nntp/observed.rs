//! Logins, as an observer of cleartext reads them.

use super::Nntp;
use crate::credentials::{CommandLine, password, response, result_of_code};
use crate::{HelloAnswer, LoginPart, LoginResponse, ObservedDialect};

impl ObservedDialect for Nntp {
    fn login_part(&self, msg: &[u8]) -> Option<LoginPart> {
        let line = CommandLine::parse(msg);
        // RFC 4643 section 2.
        match (line.upper(0)?.as_slice(), line.upper(1)?.as_slice()) {
            (b"AUTHINFO", b"USER") => Some(line.user(2)),
            (b"AUTHINFO", b"PASS") => Some(password()),
            (b"AUTHINFO", _) => line.sasl(2),
            _ => None,
        }
    }

    fn is_challenge(&self, msg: &[u8]) -> bool {
        msg.starts_with(b"383")
    }

    fn login_response(&self, mechanism: &str, step: u32, msg: &[u8]) -> LoginResponse {
        response(mechanism, step, msg.trim_ascii())
    }

    fn login_result(&self, msg: &[u8]) -> Option<bool> {
        result_of_code(msg)
    }

    fn hello_answer(&self, msg: &[u8]) -> HelloAnswer {
        HelloAnswer::refusal(matches!(msg, [b'4' | b'5', ..]))
    }
}
