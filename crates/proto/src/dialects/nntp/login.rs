//! AUTHINFO: RFC 4643.

use alloc::format;
use alloc::vec;
use alloc::vec::Vec;

use super::Nntp;
use crate::malformed::malformed;
use crate::text::{begin, challenge, code, lines, name_and_password, opens_with, respond, words};
use crate::{
    Denial, LoginDialect, LoginMessage, LoginReply, Malformed, OfferedMechanism, OutputBuffer, ReplyTo,
};

/// RFC 3977 section 3.1.
const LONGEST: usize = 512;

/// The state of a login.
#[derive(Default)]
pub(super) struct State {
    /// The response is the bare password, without Base64.
    bare: bool,
}

impl LoginDialect for Nntp {
    fn mechanisms(&self, list: &[u8]) -> Vec<OfferedMechanism> {
        let mut found = Vec::new();
        for line in lines(list).skip(1) {
            let mut arguments = words(line).skip(1);
            if opens_with(line, b"SASL") {
                found.extend(arguments.map(OfferedMechanism::named));
            } else if opens_with(line, b"AUTHINFO") && arguments.any(|it| it.eq_ignore_ascii_case(b"USER")) {
                found.push(OfferedMechanism::named("USER"));
            }
        }
        found
    }

    fn write(&mut self, msg: LoginMessage<'_>, out: &mut OutputBuffer) -> bool {
        match msg {
            LoginMessage::Hello { .. } => out.push_public("CAPABILITIES\r\n"),
            LoginMessage::Begin { mechanism: "USER", initial } => {
                self.login.bare = true;
                out.push_public("AUTHINFO USER ");
                out.push_value(name_and_password(initial).0);
                out.push_public("\r\n");
            }
            LoginMessage::Begin { mechanism, initial } => {
                self.login.bare = false;
                return begin(&format!("AUTHINFO SASL {mechanism}"), initial, LONGEST, out);
            }
            LoginMessage::Response(password) if self.login.bare => {
                out.push_public("AUTHINFO PASS ");
                out.push_redacted(password);
                out.push_public("\r\n");
            }
            // RFC 4643 section 2.4.2: the empty response is written as `=`.
            LoginMessage::Response([]) => out.push_public("=\r\n"),
            LoginMessage::Response(response) => respond(response, out),
            LoginMessage::Abort => out.push_public("*\r\n"),
            LoginMessage::WhoAmI => return false,
        }
        true
    }

    fn read(&mut self, reply_to: ReplyTo, msg: &[u8]) -> Result<LoginReply, Malformed> {
        let data = || match msg.get(4..).unwrap_or_default() {
            b"=\r\n" => Ok(Vec::new()),
            text => challenge(text),
        };
        Ok(match (reply_to, code(msg)?) {
            (ReplyTo::Connect, _) => LoginReply::Interim,
            (_, 400) => LoginReply::Bye,
            (ReplyTo::Hello, 101) => LoginReply::Offer(self.mechanisms(msg)),
            // CAPABILITIES was introduced after AUTHINFO USER (RFC 2980 section 3.1.1).
            (ReplyTo::Hello, 500) => LoginReply::Offer(vec![OfferedMechanism::named("USER")]),
            (_, 381) => LoginReply::Challenge(Vec::new()),
            (_, 383) => LoginReply::Challenge(data()?),
            (ReplyTo::Other, 281) => LoginReply::Granted { data: None, user: None },
            (ReplyTo::Other, 283) => LoginReply::Granted { data: Some(data()?), user: None },
            (_, 403) => LoginReply::Refused(Denial::Temporary),
            (ReplyTo::Other, 481 | 452) => LoginReply::Refused(Denial::Credentials),
            // 502 means that logins are not permitted, or that the client is already logged in.
            (_, 400..=599) => LoginReply::Refused(Denial::Mechanism),
            _ => return Err(malformed("an answer to AUTHINFO")),
        })
    }
}
