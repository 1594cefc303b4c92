//! AUTH: RFC 4954.

use alloc::format;
use alloc::vec::Vec;

use super::Smtp;
use crate::malformed::malformed;
use crate::text::{begin, challenge, code, lines, respond, words};
use crate::{
    ClientMessage, Denial, Dialect, LoginDialect, LoginMessage, LoginReply, Malformed, OfferedMechanism,
    OutputBuffer, ReplyTo,
};

/// The longest AUTH command in octets, the limit of every command (RFC 4954 section 4, RFC 5321 section 4.5.3.1.4).
const LONGEST: usize = 512;

impl LoginDialect for Smtp {
    fn mechanisms(&self, list: &[u8]) -> Vec<OfferedMechanism> {
        if code(list) != Ok(250) {
            return Vec::new();
        }
        let mut found: Vec<OfferedMechanism> = Vec::new();
        for line in lines(list).skip(1).filter_map(|line| line.get(4..)) {
            let (keyword, names) = line.split_at_checked(4).unwrap_or((line, b""));
            // Servers send `AUTH=PLAIN` for clients that are older than the specification.
            if keyword.eq_ignore_ascii_case(b"AUTH") && names.first().is_some_and(|it| b" =".contains(it)) {
                let new: Vec<OfferedMechanism> = words(&names[1..]).map(OfferedMechanism::named).collect();
                found.extend(new.into_iter().filter(|it| !found.contains(it)).collect::<Vec<_>>());
            }
        }
        found
    }

    fn write(&mut self, msg: LoginMessage<'_>, out: &mut OutputBuffer) -> bool {
        match msg {
            LoginMessage::Hello { .. } => {
                let mut hello = Vec::new();
                self.write_client(ClientMessage::Hello, &mut hello);
                out.push_public(hello);
            }
            LoginMessage::Begin { mechanism, initial } => {
                return begin(&format!("AUTH {mechanism}"), initial, LONGEST, out);
            }
            LoginMessage::Response(response) => respond(response, out),
            LoginMessage::Abort => out.push_public("*\r\n"),
            LoginMessage::WhoAmI => return false,
        }
        true
    }

    fn read(&mut self, reply_to: ReplyTo, msg: &[u8]) -> Result<LoginReply, Malformed> {
        let last = lines(msg).next_back().unwrap_or_default();
        Ok(match (reply_to, code(msg)?) {
            (ReplyTo::Connect, _) => LoginReply::Interim,
            (_, 421) => LoginReply::Bye,
            (ReplyTo::Hello, 250) => LoginReply::Offer(self.mechanisms(msg)),
            (_, 334) => LoginReply::Challenge(challenge(last.get(4..).unwrap_or_default())?),
            (ReplyTo::Other, 235) => LoginReply::Granted { data: None, user: None },
            (_, 400..=499) => LoginReply::Refused(Denial::Temporary),
            // No password was sent yet, so this refuses the hello and not the credentials.
            (ReplyTo::Hello, 500..=599) => LoginReply::Refused(Denial::Mechanism),
            // RFC 4954 section 6, and the codes that servers without AUTH send.
            (_, 500 | 502..=504 | 534 | 538) => LoginReply::Refused(Denial::Mechanism),
            (_, 500..=599) => LoginReply::Refused(Denial::Credentials),
            _ => return Err(malformed("an answer to AUTH: 235, 334 or an error")),
        })
    }
}
