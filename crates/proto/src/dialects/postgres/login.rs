//! Authentication ("Start-up" and "SASL Authentication" in the specification of protocol 3.0).

use alloc::format;
use alloc::string::String;
use alloc::vec;
use alloc::vec::Vec;

use super::{PROTOCOL_3, Postgres, field, number};
use crate::malformed::malformed;
use crate::{
    ChannelBinding, Denial, LoginDialect, LoginMessage, LoginReply, Malformed, OfferedMechanism,
    OutputBuffer, ReplyTo,
};

/// The state of a login.
#[derive(Default)]
pub(super) struct State {
    sasl: bool,
    /// The final data for the mechanism.
    last: Option<Vec<u8>>,
    /// The user name of the session.
    user: Option<String>,
}

/// A database that every server has.
const DATABASE: &str = "postgres";

impl LoginDialect for Postgres {
    fn binding(&self) -> ChannelBinding {
        ChannelBinding::ServerEndPoint
    }

    /// The server closes the connection after a refusal.
    fn can_begin_again(&self) -> bool {
        false
    }

    fn mechanisms(&self, msg: &[u8]) -> Vec<OfferedMechanism> {
        let data = msg.get(9..).unwrap_or_default();
        match number(msg, 5) {
            Some(3) => vec![OfferedMechanism::named("PASSWORD")],
            Some(5) => {
                vec![OfferedMechanism { challenge: Some(data.to_vec()), ..OfferedMechanism::named("MD5") }]
            }
            Some(7) => vec![OfferedMechanism::named("GSSAPI")],
            Some(10) => {
                let names = data.split(|&byte| byte == 0).filter(|name| !name.is_empty());
                names.map(OfferedMechanism::named).collect()
            }
            _ => Vec::new(),
        }
    }

    fn write(&mut self, msg: LoginMessage<'_>, out: &mut OutputBuffer) -> bool {
        match msg {
            LoginMessage::Hello { user } => {
                let parameters = format!("user\0{user}\0database\0{DATABASE}\0\0");
                let length = (parameters.len() as u32 + 8).to_be_bytes();
                let message = [&length[..], &PROTOCOL_3.to_be_bytes(), parameters.as_bytes()].concat();
                let shown = format!("StartupMessage 3.0 user {}", crate::Escaped(user.as_bytes()));
                out.push_described(message, &shown);
            }
            LoginMessage::Begin { mechanism: "PASSWORD" | "MD5", initial } => {
                password(&[initial.unwrap_or_default(), b"\0"], "PasswordMessage ***", out);
            }
            LoginMessage::Begin { mechanism, initial } => {
                self.login.sasl = true;
                let length = initial.map_or(u32::MAX, |it| it.len() as u32).to_be_bytes();
                let parts = [mechanism.as_bytes(), b"\0", &length, initial.unwrap_or_default()];
                password(&parts, &format!("SASLInitialResponse {mechanism} ***"), out);
            }
            LoginMessage::Response(response) => password(&[response], "SASLResponse ***", out),
            LoginMessage::Abort | LoginMessage::WhoAmI => return false,
        }
        true
    }

    fn read(&mut self, _: ReplyTo, msg: &[u8]) -> Result<LoginReply, Malformed> {
        let data = || msg.get(9..).unwrap_or_default().to_vec();
        Ok(match (msg.first(), number(msg, 5)) {
            // The session can still fail to start after AuthenticationOk.
            (Some(b'R'), Some(0)) => LoginReply::Interim,
            (Some(b'R'), Some(11)) if self.login.sasl => LoginReply::Challenge(data()),
            (Some(b'R'), Some(12)) if self.login.sasl => {
                self.login.last = Some(data());
                LoginReply::Interim
            }
            (Some(b'R'), Some(_)) => LoginReply::Offer(self.mechanisms(msg)),
            (Some(b'S'), _) => {
                let mut parts = msg.get(5..).unwrap_or_default().split(|&byte| byte == 0);
                if parts.next() == Some(b"session_authorization") {
                    self.login.user = parts.next().map(|user| String::from_utf8_lossy(user).into_owned());
                }
                LoginReply::Interim
            }
            (Some(b'K' | b'N' | b'v'), _) => LoginReply::Interim,
            (Some(b'Z'), _) => {
                LoginReply::Granted { data: self.login.last.take(), user: self.login.user.take() }
            }
            (Some(b'E'), _) => LoginReply::Refused(match field(msg, b'C') {
                [b'2', b'8', ..] => Denial::Credentials,
                [b'5', b'3' | b'7', ..] => Denial::Temporary,
                _ => Denial::Mechanism,
            }),
            _ => return Err(malformed("an answer to the login")),
        })
    }
}

fn password(parts: &[&[u8]], shown: &str, out: &mut OutputBuffer) {
    let length: usize = parts.iter().map(|part| part.len()).sum();
    let start = (length as u32 + 4).to_be_bytes();
    out.push_described([b"p", &start[..], &parts.concat()].concat(), shown);
}
