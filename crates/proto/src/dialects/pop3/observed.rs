//! What an observer of cleartext reads: how connections begin, what carries content, and logins.

use super::{Pop3, is_ok};
use crate::credentials::{CommandLine, password, response};
use crate::text::has_verb;
use crate::{
    AwaitedInput, HelloAnswer, LoginExposure, LoginPart, LoginResponse, ObservedDialect, OpeningFit, Side,
};

impl ObservedDialect for Pop3 {
    fn opening(&self, from: Side, first: &[u8]) -> OpeningFit {
        OpeningFit::possible(match from {
            Side::Server => first.starts_with(b"+OK") || first.starts_with(b"-ERR"),
            Side::Client => has_verb(first, 0, &[b"APOP", b"CAPA", b"STLS", b"USER"]),
        })
    }

    fn carries_content(&self, msg: &[u8]) -> bool {
        has_verb(msg, 0, &[b"STAT", b"LIST", b"RETR", b"TOP", b"UIDL", b"DELE"])
    }

    fn login_part(&self, msg: &[u8]) -> Option<LoginPart> {
        let line = CommandLine::parse(msg);
        match line.upper(0)?.as_slice() {
            b"USER" => Some(line.user(1)),
            b"PASS" => Some(password()),
            b"APOP" => Some(LoginPart::new("APOP", line.word(1), LoginExposure::Guessable)),
            b"AUTH" => line.sasl(1),
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
        Some(is_ok(msg))
    }

    fn hello_answer(&self, msg: &[u8]) -> HelloAnswer {
        HelloAnswer::refusal(msg.starts_with(b"-"))
    }

    fn awaited_input(&self, msg: &[u8]) -> Option<AwaitedInput> {
        match msg {
            [b'+', b' ', ..] => Some(AwaitedInput::Content),
            _ if msg.starts_with(b"+OK") || msg.starts_with(b"-ERR") => Some(AwaitedInput::Command),
            _ => None,
        }
    }

    fn can_resume(&self, _: Option<bool>) -> bool {
        true
    }
}
