//! What an observer of cleartext reads: how connections begin, what carries content, and logins.

use super::Ftp;
use crate::credentials::{CommandLine, password, response, result_of_code};
use crate::text::{has_verb, opens_with_reply};
use crate::{
    AwaitedInput, HelloAnswer, LoginExposure, LoginPart, LoginResponse, ObservedDialect, OpeningFit, PartOf,
    Side,
};

impl ObservedDialect for Ftp {
    fn opening(&self, from: Side, first: &[u8]) -> OpeningFit {
        OpeningFit::possible(match from {
            Side::Server => opens_with_reply(first),
            Side::Client => has_verb(first, 0, &[b"AUTH", b"FEAT", b"USER"]),
        })
    }

    fn carries_content(&self, msg: &[u8]) -> bool {
        has_verb(msg, 0, &[b"RETR", b"STOR", b"APPE", b"LIST", b"NLST", b"MLSD", b"CWD", b"DELE", b"MKD"])
    }

    fn login_part(&self, msg: &[u8]) -> Option<LoginPart> {
        let line = CommandLine::parse(msg);
        let more = |name, exposure| LoginPart::new(name, None, exposure).part_of(PartOf::LastLogin);
        match line.upper(0)?.as_slice() {
            b"USER" => Some(line.user(1)),
            b"PASS" => Some(password()),
            b"ACCT" => Some(more("ACCT", LoginExposure::Readable)),
            // RFC 2228 section 3.
            b"ADAT" => Some(more("ADAT", LoginExposure::Guessable)),
            _ => None,
        }
    }

    /// RFC 2228 section 4: security data is expected.
    fn is_challenge(&self, msg: &[u8]) -> bool {
        msg.starts_with(b"334") || msg.starts_with(b"335")
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

    /// Content has a connection of its own, and each part of a login is a command.
    fn awaited_input(&self, msg: &[u8]) -> Option<AwaitedInput> {
        matches!(msg, [b'2' | b'4' | b'5', _, _, b' ' | b'\r', ..]).then_some(AwaitedInput::Command)
    }

    fn can_resume(&self, _: Option<bool>) -> bool {
        true
    }
}
