//! What an observer of cleartext reads: how connections begin, what carries content, and logins.

use super::Imap;
use crate::credentials::{CommandLine, response};
use crate::text::{has_verb, word_at};
use crate::{HelloAnswer, LoginExposure, LoginPart, LoginResponse, ObservedDialect, OpeningFit, Side};

impl ObservedDialect for Imap {
    fn opening(&self, from: Side, first: &[u8]) -> OpeningFit {
        OpeningFit::possible(match from {
            Side::Server => first.starts_with(b"* "),
            // The tag comes first.
            Side::Client => {
                has_verb(first, 1, &[b"AUTHENTICATE", b"CAPABILITY", b"ID", b"LOGIN", b"STARTTLS"])
            }
        })
    }

    fn carries_content(&self, msg: &[u8]) -> bool {
        has_verb(msg, 1, &[b"SELECT", b"EXAMINE", b"FETCH", b"APPEND", b"UID", b"STATUS", b"LIST", b"LSUB"])
    }

    fn login_part(&self, msg: &[u8]) -> Option<LoginPart> {
        let line = CommandLine::parse(msg);
        match line.upper(1)?.as_slice() {
            b"LOGIN" => {
                Some(LoginPart::new("LOGIN", line.word(2).map(whole_string), LoginExposure::Readable))
            }
            b"AUTHENTICATE" => line.sasl(2),
            _ => None,
        }
    }

    fn is_challenge(&self, msg: &[u8]) -> bool {
        matches!(msg, [b'+', b' ' | b'\r', ..])
    }

    fn login_response(&self, mechanism: &str, step: u32, msg: &[u8]) -> LoginResponse {
        response(mechanism, step, msg.trim_ascii())
    }

    fn login_result(&self, msg: &[u8]) -> Option<bool> {
        match word_at(msg, 1).to_ascii_uppercase().as_slice() {
            b"OK" => Some(true),
            b"NO" | b"BAD" => Some(false),
            _ => None,
        }
    }

    fn hello_answer(&self, msg: &[u8]) -> HelloAnswer {
        HelloAnswer::refusal(has_verb(msg, 1, &[b"NO", b"BAD"]))
    }
}

/// Returns the user of LOGIN (RFC 9051 section 6.2.3). A literal or a quoted string with a space in it names none here, because
/// what follows could be a part of the password.
fn whole_string(word: &[u8]) -> &[u8] {
    match word.strip_prefix(b"\"") {
        Some(rest) => rest.strip_suffix(b"\"").filter(|user| !user.contains(&b'"')).unwrap_or_default(),
        None if word.contains(&b'"') || word.starts_with(b"{") => b"",
        None => word,
    }
}
