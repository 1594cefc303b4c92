//! What an observer of cleartext reads: how connections begin, what carries content, and logins.

use super::Nntp;
use crate::credentials::{CommandLine, password, response, result_of_code};
use crate::text::has_verb;
use crate::{HelloAnswer, LoginPart, LoginResponse, ObservedDialect, OpeningFit, Side};

impl ObservedDialect for Nntp {
    fn opening(&self, from: Side, first: &[u8]) -> OpeningFit {
        OpeningFit::possible(match from {
            Side::Server => [b"200 ", b"201 ", b"400 ", b"502 "].iter().any(|it| first.starts_with(*it)),
            Side::Client => has_verb(first, 0, &[b"CAPABILITIES"]),
        })
    }

    fn carries_content(&self, msg: &[u8]) -> bool {
        has_verb(
            msg,
            0,
            &[b"GROUP", b"ARTICLE", b"HEAD", b"BODY", b"OVER", b"XOVER", b"POST", b"IHAVE", b"TAKETHIS"],
        )
    }

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
