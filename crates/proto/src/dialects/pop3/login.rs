//! USER, PASS and APOP: RFC 1939 section 7; AUTH: RFC 5034.

use alloc::format;
use alloc::vec;
use alloc::vec::Vec;

use super::{Pop3, is_ok, is_temporary};
use crate::malformed::malformed;
use crate::text::{begin, challenge, lines, name_and_password, opens_with, respond, starts_with, words};
use crate::{
    Denial, LoginDialect, LoginMessage, LoginReply, Malformed, OfferedMechanism, OutputBuffer, ReplyTo,
};

/// The state of a login.
#[derive(Default)]
pub(super) struct State {
    /// The timestamp of the greeting, if the greeting arrived inside TLS (RFC 1939 section 7).
    stamp: Option<Vec<u8>>,
    /// USER was sent. A positive answer then asks for the password.
    named: bool,
    /// The response is the bare password, without Base64.
    bare: bool,
}

/// The longest command in octets (RFC 2449 section 4).
const LONGEST: usize = 255;

impl LoginDialect for Pop3 {
    fn mechanisms(&self, list: &[u8]) -> Vec<OfferedMechanism> {
        let mut found = Vec::new();
        for line in lines(list).skip(1) {
            if opens_with(line, b"SASL") {
                found.extend(words(line).skip(1).map(OfferedMechanism::named));
            } else if opens_with(line, b"USER") {
                found.push(OfferedMechanism::named("USER"));
            }
        }
        if let Some(stamp) = &self.login.stamp {
            found
                .push(OfferedMechanism { challenge: Some(stamp.clone()), ..OfferedMechanism::named("APOP") });
        }
        found
    }

    fn write(&mut self, msg: LoginMessage<'_>, out: &mut OutputBuffer) -> bool {
        match msg {
            LoginMessage::Hello { .. } => out.push_public("CAPA\r\n"),
            LoginMessage::Begin { mechanism: "USER", initial } => {
                (self.login.named, self.login.bare) = (true, true);
                out.push_public("USER ");
                out.push_value(name_and_password(initial).0);
                out.push_public("\r\n");
            }
            LoginMessage::Begin { mechanism: "APOP", initial } => {
                out.push_public("APOP ");
                out.push_redacted(initial.unwrap_or_default());
                out.push_public("\r\n");
            }
            LoginMessage::Begin { mechanism, initial } => {
                self.login.bare = false;
                return begin(&format!("AUTH {mechanism}"), initial, LONGEST, out);
            }
            LoginMessage::Response(password) if self.login.bare => {
                out.push_public("PASS ");
                out.push_redacted(password);
                out.push_public("\r\n");
            }
            LoginMessage::Response(response) => respond(response, out),
            LoginMessage::Abort => out.push_public("*\r\n"),
            LoginMessage::WhoAmI => return false,
        }
        true
    }

    fn read(&mut self, reply_to: ReplyTo, msg: &[u8]) -> Result<LoginReply, Malformed> {
        let named = core::mem::take(&mut self.login.named);
        Ok(match (reply_to, is_ok(msg)) {
            (ReplyTo::Connect, _) => {
                self.login.stamp = stamp(msg);
                LoginReply::Interim
            }
            (ReplyTo::Hello, true) => LoginReply::Offer(self.mechanisms(msg)),
            // A server without CAPA is older than RFC 2449. It supports USER, and APOP if its greeting has a
            // timestamp.
            (ReplyTo::Hello, false) => {
                LoginReply::Offer([vec![OfferedMechanism::named("USER")], self.mechanisms(b"")].concat())
            }
            (_, true) if named => LoginReply::Challenge(Vec::new()),
            (_, true) => LoginReply::Granted { data: None, user: None },
            _ if msg.starts_with(b"+ ") || msg == b"+\r\n" => LoginReply::Challenge(challenge(&msg[1..])?),
            _ if !msg.starts_with(b"-ERR") => return Err(malformed("+OK, -ERR or a challenge")),
            _ if is_temporary(msg) => LoginReply::Refused(Denial::Temporary),
            _ if starts_with(msg, b"-ERR [SYS/PERM]") => LoginReply::Refused(Denial::Mechanism),
            _ => LoginReply::Refused(Denial::Credentials),
        })
    }
}

/// Returns the timestamp in a greeting, with its angle brackets.
fn stamp(greeting: &[u8]) -> Option<Vec<u8>> {
    let start = greeting.iter().position(|&byte| byte == b'<')?;
    let end = start + greeting[start..].iter().position(|&byte| byte == b'>')?;
    Some(greeting[start..=end].to_vec())
}
