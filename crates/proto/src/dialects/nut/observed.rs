//! Logins, as an observer of cleartext reads them.

use super::Nut;
use crate::credentials::{CommandLine, password};
use crate::{AwaitedInput, LoginPart, ObservedDialect};

impl ObservedDialect for Nut {
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
