//! AUTHENTICATE of the IRCv3 `sasl` extension, version 3.2, and PASS, the server password (RFC 2812 section 3.1.1).

use alloc::borrow::ToOwned;
use alloc::format;
use alloc::string::String;
use alloc::vec;
use alloc::vec::Vec;

use super::{Irc, Message, list};
use crate::malformed::malformed;
use crate::text::verb;
use crate::{
    Denial, LoginDialect, LoginMessage, LoginReply, Malformed, OfferedMechanism, OutputBuffer, ReplyTo,
    base64,
};

/// The state of a login.
#[derive(Default)]
pub(super) struct State {
    offered: Vec<OfferedMechanism>,
    /// The pieces of a challenge that have arrived.
    challenge: Vec<u8>,
    /// The name to register.
    user: String,
    /// The server password was sent.
    registering: bool,
    /// The account name from numeric 900.
    account: Option<String>,
}

/// The size of one piece in octets.
const PIECE: usize = 400;
/// The most octets of a challenge, over all pieces.
const MAX_CHALLENGE: usize = 64 * 1024;

impl LoginDialect for Irc {
    /// After PASS the client registers, so no other login can follow.
    fn can_begin_again(&self) -> bool {
        !self.login.registering
    }

    fn mechanisms(&self, listed: &[u8]) -> Vec<OfferedMechanism> {
        let Ok(Some(message)) = Message::parse(listed) else { return Vec::new() };
        let Some((capabilities, _)) = message.capabilities() else { return Vec::new() };
        let sasl = list(capabilities).find_map(|it| it.strip_prefix(b"sasl"));
        let names = match sasl {
            Some([b'=', names @ ..]) => names,
            // Version 3.1 of the extension has no list of mechanisms. Servers commonly support these two.
            Some([]) => b"PLAIN,EXTERNAL",
            _ => b"",
        };
        let names = names.split(|&byte| byte == b',').filter(|name| !name.is_empty());
        names.map(OfferedMechanism::named).collect()
    }

    fn write(&mut self, msg: LoginMessage<'_>, out: &mut OutputBuffer) -> bool {
        match msg {
            LoginMessage::Hello { user } => {
                user.clone_into(&mut self.login.user);
                out.push_public("CAP LS 302\r\n");
            }
            LoginMessage::Begin { mechanism: "PASSWORD", initial } => {
                self.login.registering = true;
                let user = &self.login.user;
                out.push_public("PASS :");
                out.push_redacted(initial.unwrap_or_default());
                for start in ["\r\nNICK ", "\r\nUSER ", " 0 * :"] {
                    out.push_public(start);
                    out.push_value(user);
                }
                out.push_public("\r\nCAP END\r\n");
            }
            LoginMessage::Begin { mechanism, initial } => {
                out.push_public(format!("CAP REQ :sasl\r\nAUTHENTICATE {mechanism}\r\n"));
                return initial.is_none();
            }
            LoginMessage::Response(response) => {
                let text = base64::encode(response);
                for piece in text.as_bytes().chunks(PIECE) {
                    out.push_public("AUTHENTICATE ");
                    out.push_redacted(piece);
                    out.push_public("\r\n");
                }
                // The last piece is shorter than the others, and may be empty.
                if text.len().is_multiple_of(PIECE) {
                    out.push_public("AUTHENTICATE +\r\n");
                }
            }
            LoginMessage::Abort => out.push_public("AUTHENTICATE *\r\n"),
            LoginMessage::WhoAmI => return false,
        }
        true
    }

    fn read(&mut self, reply_to: ReplyTo, msg: &[u8]) -> Result<LoginReply, Malformed> {
        let Some(message) = Message::parse(msg)?.filter(Message::is_the_servers) else {
            return Ok(LoginReply::Interim);
        };
        if let Some((_, more)) = message.capabilities() {
            self.login.offered.extend(self.mechanisms(msg));
            let offered = || [&*self.login.offered, &[OfferedMechanism::named("PASSWORD")]].concat();
            let all = !more && reply_to == ReplyTo::Hello;
            return Ok(if all { LoginReply::Offer(offered()) } else { LoginReply::Interim });
        }
        Ok(match (reply_to, verb(message.command, &mut [0; 16])) {
            // Some servers send 464 before ERROR, others send only ERROR.
            (_, b"ERROR") if self.login.registering => LoginReply::Refused(Denial::Credentials),
            (_, b"ERROR") => LoginReply::Bye,
            (ReplyTo::Hello, b"410" | b"421" | b"451" | b"461") => {
                LoginReply::Offer(vec![OfferedMechanism::named("PASSWORD")])
            }
            (ReplyTo::Hello | ReplyTo::Connect, _) => LoginReply::Interim,
            (_, b"AUTHENTICATE") => self.challenged(message.parameter(0))?,
            (_, b"CAP") if message.parameter(1).eq_ignore_ascii_case(b"NAK") => {
                LoginReply::Refused(Denial::Mechanism)
            }
            (_, b"900") => {
                self.login.account = Some(String::from_utf8_lossy(message.parameter(2)).into_owned());
                LoginReply::Interim
            }
            (_, b"903") => LoginReply::Granted { data: None, user: self.login.account.take() },
            // The server addresses 001 to the registered name.
            (_, b"001") => {
                let user = String::from_utf8_lossy(message.parameter(0)).into_owned();
                LoginReply::Granted { data: None, user: Some(user) }
            }
            (
                _,
                b"431" | b"432" | b"433" | b"436" | b"465" | b"421" | b"451" | b"905" | b"906" | b"907"
                | b"908",
            ) => LoginReply::Refused(Denial::Mechanism),
            (_, b"464" | b"902" | b"904") => LoginReply::Refused(Denial::Credentials),
            _ => LoginReply::Interim,
        })
    }
}

impl Irc {
    /// Appends a piece of a challenge. Returns the challenge when it is complete.
    fn challenged(&mut self, piece: &[u8]) -> Result<LoginReply, Malformed> {
        if piece != b"+" {
            self.login.challenge.extend_from_slice(piece);
        }
        if self.login.challenge.len() > MAX_CHALLENGE {
            return Err(malformed("a challenge of at most 64 KiB"));
        }
        if piece.len() == PIECE {
            return Ok(LoginReply::Interim);
        }
        let text = core::mem::take(&mut self.login.challenge);
        base64::decode(&text).map(LoginReply::Challenge).ok_or(malformed("a challenge in Base64"))
    }
}
