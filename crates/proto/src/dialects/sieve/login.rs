//! AUTHENTICATE: RFC 5804 section 2.1.

use alloc::format;
use alloc::vec::Vec;

use super::{Sieve, Status, logical_lines, status, string};
use crate::malformed::malformed;
use crate::text::{challenge, starts_with, words};
use crate::{
    Denial, LoginDialect, LoginMessage, LoginReply, Malformed, OfferedMechanism, OutputBuffer, ReplyTo,
    base64,
};

impl LoginDialect for Sieve {
    fn mechanisms(&self, list: &[u8]) -> Vec<OfferedMechanism> {
        let value = logical_lines(list).find_map(|line| {
            let (name, rest) = string(line)?;
            let value = || string(rest.strip_prefix(b"\"").unwrap_or(rest).trim_ascii_start());
            name.eq_ignore_ascii_case(b"SASL").then(value).flatten()
        });
        value.map(|(names, _)| words(names).map(OfferedMechanism::named).collect()).unwrap_or_default()
    }

    fn write(&mut self, msg: LoginMessage<'_>, out: &mut OutputBuffer) -> bool {
        match msg {
            LoginMessage::Hello { .. } => {
                self.prompted = true;
                out.push_public("CAPABILITY\r\n");
            }
            LoginMessage::Begin { mechanism, initial } => {
                out.push_public(format!("AUTHENTICATE \"{mechanism}\""));
                if let Some(initial) = initial {
                    out.push_public(" ");
                    write_string(initial, out);
                }
                out.push_public("\r\n");
            }
            LoginMessage::Response(response) => {
                write_string(response, out);
                out.push_public("\r\n");
            }
            LoginMessage::Abort => out.push_public("\"*\"\r\n"),
            LoginMessage::WhoAmI => return false,
        }
        true
    }

    fn read(&mut self, reply_to: ReplyTo, msg: &[u8]) -> Result<LoginReply, Malformed> {
        // The client requested the list and the server also sent it unprompted. The lines of the second list are not
        // challenges, and its OK grants no login.
        let listed = string(msg).is_some_and(|(name, _)| name.eq_ignore_ascii_case(b"IMPLEMENTATION"));
        if reply_to == ReplyTo::Other && self.prompted && (self.skipping || listed) {
            self.skipping = logical_lines(msg).last().and_then(status).is_none();
            self.prompted = self.skipping;
            return Ok(LoginReply::Interim);
        }
        let Some(status) = logical_lines(msg).last().and_then(status) else {
            let (data, _) = string(msg).ok_or(malformed("a challenge, OK, NO or BYE"))?;
            return Ok(LoginReply::Challenge(challenge(data)?));
        };
        Ok(match (reply_to, status) {
            (_, Status::Bye) => LoginReply::Bye,
            (ReplyTo::Connect, _) => LoginReply::Interim,
            (ReplyTo::Hello, Status::Ok) => LoginReply::Offer(self.mechanisms(msg)),
            (_, Status::Ok) => LoginReply::Granted { data: last_data(msg)?, user: None },
            // Response codes: RFC 5804 section 1.3.
            (_, Status::No(code)) if starts_with(code, b"(TRYLATER") => {
                LoginReply::Refused(Denial::Temporary)
            }
            (_, Status::No(code))
                if [&b"(ENCRYPT-NEEDED"[..], b"(AUTH-TOO-WEAK", b"(TRANSITION-NEEDED"]
                    .iter()
                    .any(|it| starts_with(code, it)) =>
            {
                LoginReply::Refused(Denial::Mechanism)
            }
            (ReplyTo::Hello, Status::No(_)) => LoginReply::Refused(Denial::Mechanism),
            (_, Status::No(_)) => LoginReply::Refused(Denial::Credentials),
        })
    }
}

/// Returns the final data for the mechanism, from `OK (SASL "…")`.
fn last_data(msg: &[u8]) -> Result<Option<Vec<u8>>, Malformed> {
    let code = b"(SASL ";
    let Some(at) = msg.windows(code.len()).position(|it| it.eq_ignore_ascii_case(code)) else {
        return Ok(None);
    };
    let (data, _) = string(&msg[at + code.len()..]).ok_or(malformed("a string"))?;
    challenge(data).map(Some)
}

/// Writes a string: quoted up to 1024 octets, otherwise as a non-synchronizing literal (RFC 5804 section 4).
fn write_string(bytes: &[u8], out: &mut OutputBuffer) {
    let text = base64::encode(bytes);
    if text.len() <= 1024 {
        out.push_public("\"");
        out.push_redacted(text);
        out.push_public("\"");
    } else {
        out.push_public(format!("{{{}+}}\r\n", text.len()));
        out.push_redacted(text);
    }
}
