//! What an observer of cleartext reads: how connections begin, what carries content, and logins.

use super::Nut;
use crate::credentials::{CommandLine, password};
use crate::text::has_verb;
use crate::{AwaitedInput, LoginPart, ObservedDialect, OpeningFit, Side};

impl ObservedDialect for Nut {
    fn opening(&self, from: Side, first: &[u8]) -> OpeningFit {
        let verbs: &[&[u8]] = &[
            b"HELP",
            b"LIST",
            b"LOGIN",
            b"NETVER",
            b"PASSWORD",
            b"PROTVER",
            b"STARTTLS",
            b"USERNAME",
            b"VER",
        ];
        let reads = || has_verb(first, 0, &[b"GET"]) && has_verb(first, 1, &[b"VAR"]);
        OpeningFit::possible(from == Side::Client && (has_verb(first, 0, verbs) || reads()))
    }

    fn carries_content(&self, msg: &[u8]) -> bool {
        has_verb(msg, 0, &[b"GET", b"LIST", b"SET", b"INSTCMD", b"LOGIN", b"FSD"])
    }

    fn login_part(&self, msg: &[u8]) -> Option<LoginPart> {
        let line = CommandLine::parse(msg);
        match line.upper(0)?.as_slice() {
            b"USERNAME" => Some(line.user(1)),
            b"PASSWORD" => Some(password()),
            _ => None,
        }
    }

    fn login_result(&self, msg: &[u8]) -> Option<bool> {
        Some(msg.starts_with(b"OK"))
    }

    /// Every answer waits for a command.
    fn awaited_input(&self, _: &[u8]) -> Option<AwaitedInput> {
        Some(AwaitedInput::Command)
    }

    fn can_resume(&self, _: Option<bool>) -> bool {
        true
    }
}
