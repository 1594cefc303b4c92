//! USERNAME and PASSWORD: RFC 9271 section 4.2.

use alloc::vec;
use alloc::vec::Vec;

use super::Nut;
use crate::malformed::malformed;
use crate::text::{name_and_password, word};
use crate::{
    Denial, LoginDialect, LoginMessage, LoginReply, Malformed, OfferedMechanism, OutputBuffer, ReplyTo,
};

impl LoginDialect for Nut {
    fn mechanisms(&self, _: &[u8]) -> Vec<OfferedMechanism> {
        vec![OfferedMechanism::named("USER")]
    }

    /// The server keeps both values unchecked until a command needs them.
    fn is_checked(&self) -> bool {
        false
    }

    fn write(&mut self, msg: LoginMessage<'_>, out: &mut OutputBuffer) -> bool {
        match msg {
            LoginMessage::Begin { initial, .. } => {
                self.named = false;
                out.push_public("USERNAME ");
                out.push_value(name_and_password(initial).0);
            }
            LoginMessage::Response(password) => {
                out.push_public("PASSWORD ");
                out.push_redacted(password);
            }
            LoginMessage::Hello { .. } | LoginMessage::Abort | LoginMessage::WhoAmI => return false,
        }
        out.push_public("\n");
        true
    }

    fn read(&mut self, _: ReplyTo, msg: &[u8]) -> Result<LoginReply, Malformed> {
        Ok(match word(msg) {
            (b"OK", b"Goodbye") => LoginReply::Bye,
            (b"OK", _) if core::mem::replace(&mut self.named, true) => {
                LoginReply::Granted { data: None, user: None }
            }
            (b"OK", _) => LoginReply::Challenge(Vec::new()),
            (b"ERR", b"ACCESS-DENIED" | b"INVALID-USERNAME" | b"INVALID-PASSWORD") => {
                LoginReply::Refused(Denial::Credentials)
            }
            (b"ERR", _) => LoginReply::Refused(Denial::Mechanism),
            _ => return Err(malformed("OK or ERR")),
        })
    }
}
