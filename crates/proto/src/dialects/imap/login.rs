//! AUTHENTICATE and LOGIN: RFC 9051 section 6.2, and the initial response of RFC 4959.

use alloc::format;
use alloc::vec::Vec;

use super::{Imap, capabilities, split};
use crate::malformed::malformed;
use crate::text::{begin, challenge, lines, name_and_password, respond, starts_with, verb, words};
use crate::{
    Denial, LoginDialect, LoginMessage, LoginReply, Malformed, OfferedMechanism, OutputBuffer, ReplyTo,
};

/// The state of a login.
#[derive(Default)]
pub(super) struct State {
    /// The tag of the command that waits for its answer.
    tag: Vec<u8>,
    offered: Vec<OfferedMechanism>,
    /// Whether the server accepts initial responses.
    initial: bool,
}

/// The command length in octets that every server must accept (RFC 9051 section 4).
const LONGEST: usize = 8192;

impl LoginDialect for Imap {
    fn mechanisms(&self, list: &[u8]) -> Vec<OfferedMechanism> {
        let Some(range) = capabilities(list) else { return Vec::new() };
        let listed = |name: &[u8]| words(&list[range.clone()]).any(|word| word.eq_ignore_ascii_case(name));
        words(&list[range.clone()])
            .filter(|word| starts_with(word, b"AUTH="))
            .map(|word| OfferedMechanism::named(&word[5..]))
            .chain((!listed(b"LOGINDISABLED")).then(|| OfferedMechanism::named("USER")))
            .collect()
    }

    fn write(&mut self, msg: LoginMessage<'_>, out: &mut OutputBuffer) -> bool {
        if matches!(msg, LoginMessage::Hello { .. } | LoginMessage::Begin { .. }) {
            self.login.tag = self.next_tag().into_bytes();
            out.push_public(&self.login.tag);
        }
        match msg {
            LoginMessage::Hello { .. } => out.push_public(" CAPABILITY\r\n"),
            LoginMessage::Begin { mechanism: "USER", initial } => {
                let (name, password) = name_and_password(initial);
                out.push_public(" LOGIN ");
                out.push_value(quoted(name));
                out.push_public(" ");
                out.push_redacted(quoted(password));
                out.push_public("\r\n");
            }
            LoginMessage::Begin { mechanism, initial } => {
                let longest = if self.login.initial { LONGEST } else { 0 };
                return begin(&format!(" AUTHENTICATE {mechanism}"), initial, longest, out);
            }
            LoginMessage::Response(response) => respond(response, out),
            LoginMessage::Abort => out.push_public("*\r\n"),
            LoginMessage::WhoAmI => return false,
        }
        true
    }

    fn read(&mut self, reply_to: ReplyTo, msg: &[u8]) -> Result<LoginReply, Malformed> {
        let line = lines(msg).next().unwrap_or_default();
        let (tag, rest) = split(line);
        let (word, text) = split(rest.unwrap_or_default());
        if let Some(range) = capabilities(msg) {
            self.login.offered = self.mechanisms(msg);
            self.login.initial = words(&msg[range]).any(|word| word.eq_ignore_ascii_case(b"SASL-IR"));
        }
        let word = verb(word, &mut [0; 16]).to_vec();
        match (tag, &*word) {
            (b"*", b"BYE") => return Ok(LoginReply::Bye),
            (b"*", _) => return Ok(LoginReply::Interim),
            (b"+", _) => return Ok(LoginReply::Challenge(challenge(&line[1..])?)),
            _ if reply_to == ReplyTo::Connect || *tag != *self.login.tag => {
                return Err(malformed("an answer with the tag of the command"));
            }
            _ => {}
        }
        let coded =
            |codes: &[&[u8]]| text.is_some_and(|text| codes.iter().any(|code| starts_with(text, code)));
        Ok(match (reply_to, &*word) {
            (ReplyTo::Hello, b"OK") => LoginReply::Offer(core::mem::take(&mut self.login.offered)),
            (_, b"OK") => LoginReply::Granted { data: None, user: None },
            // Response codes: RFC 5530 section 3.
            (_, b"NO") if coded(&[b"[UNAVAILABLE]", b"[INUSE]", b"[LIMIT]"]) => {
                LoginReply::Refused(Denial::Temporary)
            }
            (_, b"NO") if coded(&[b"[PRIVACYREQUIRED]", b"[CANNOT]"]) => {
                LoginReply::Refused(Denial::Mechanism)
            }
            (ReplyTo::Hello, b"NO") | (_, b"BAD") => LoginReply::Refused(Denial::Mechanism),
            (_, b"NO") => LoginReply::Refused(Denial::Credentials),
            _ => return Err(malformed("OK, NO or BAD behind the tag")),
        })
    }
}

/// Returns a quoted string (RFC 9051 section 4.3).
fn quoted(text: &[u8]) -> Vec<u8> {
    let escaped = text.iter().flat_map(|byte| {
        let escape: &[u8] = if b"\"\\".contains(byte) { b"\\" } else { b"" };
        escape.iter().chain([byte])
    });
    b"\"".iter().chain(escaped).chain(b"\"").copied().collect()
}
