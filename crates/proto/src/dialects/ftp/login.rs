//! USER and PASS: RFC 959 section 4.1.1.

use alloc::vec;
use alloc::vec::Vec;

use super::Ftp;
use crate::malformed::malformed;
use crate::text::{code, name_and_password};
use crate::{
    Denial, LoginDialect, LoginMessage, LoginReply, Malformed, OfferedMechanism, OutputBuffer, ReplyTo,
};

impl LoginDialect for Ftp {
    fn mechanisms(&self, _: &[u8]) -> Vec<OfferedMechanism> {
        vec![OfferedMechanism::named("USER")]
    }

    fn write(&mut self, msg: LoginMessage<'_>, out: &mut OutputBuffer) -> bool {
        match msg {
            LoginMessage::Begin { initial, .. } => {
                out.push_public("USER ");
                out.push_value(name_and_password(initial).0);
            }
            LoginMessage::Response(password) => {
                self.password = true;
                out.push_public("PASS ");
                out.push_redacted(password);
            }
            LoginMessage::Hello { .. } | LoginMessage::Abort | LoginMessage::WhoAmI => return false,
        }
        out.push_public("\r\n");
        true
    }

    fn read(&mut self, reply_to: ReplyTo, msg: &[u8]) -> Result<LoginReply, Malformed> {
        Ok(match code(msg)? {
            421 => LoginReply::Bye,
            _ if reply_to == ReplyTo::Connect => LoginReply::Interim,
            100..=199 => LoginReply::Interim,
            331 if !self.password => LoginReply::Challenge(Vec::new()),
            // RFC 2228 section 3: 232 accepts the client certificate as the login. 202 means that the user name was
            // enough.
            202 | 230 | 232 => LoginReply::Granted { data: None, user: None },
            400..=499 => LoginReply::Refused(Denial::Temporary),
            // 332 asks for an account in addition, which is obsolete and unsupported.
            332 | 500..=504 | 533 | 534 => LoginReply::Refused(Denial::Mechanism),
            500..=599 => LoginReply::Refused(Denial::Credentials),
            _ => return Err(malformed("an answer to USER or PASS")),
        })
    }
}
