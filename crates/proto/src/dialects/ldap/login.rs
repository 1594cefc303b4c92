//! Bind (RFC 4511 section 4.2, RFC 4513 section 5) and "Who am I?" (RFC 4532).

use alloc::borrow::ToOwned;
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

use super::Ldap;
use super::message::{
    NOTICE_OF_DISCONNECTION, SUPPORTED_MECHANISMS, WHO_AM_I, code, encode, messages, result, search, tag,
    values,
};
use crate::ber::{element, number};
use crate::malformed::malformed;
use crate::text::name_and_password;
use crate::{
    Denial, Dialect, LoginDialect, LoginMessage, LoginReply, Malformed, OfferedMechanism, OutputBuffer,
    ReplyTo, Side,
};

/// The state of a login.
#[derive(Default)]
pub(super) struct State {
    mechanism: String,
}

impl LoginDialect for Ldap {
    fn mechanisms(&self, list: &[u8]) -> Vec<OfferedMechanism> {
        let entries = messages(list).flatten().filter(|message| message.op == tag::ENTRY);
        let names = entries.flat_map(|entry| values(entry.body, SUPPORTED_MECHANISMS).unwrap_or_default());
        // RFC 4513 section 5.1: simple bind is not announced. A server that does not support it refuses it.
        names.map(OfferedMechanism::named).chain([OfferedMechanism::named("SIMPLE")]).collect()
    }

    fn write(&mut self, msg: LoginMessage<'_>, out: &mut OutputBuffer) -> bool {
        let (operation, detail) = match msg {
            LoginMessage::Hello { .. } => (search(b"", SUPPORTED_MECHANISMS), String::new()),
            LoginMessage::Begin { mechanism: "SIMPLE", initial } => {
                let (name, password) = name_and_password(initial);
                let shown = format!(" {} ***", crate::Escaped(name));
                (bind(name, &element(0x80, &[password])), shown)
            }
            LoginMessage::Begin { mechanism, initial } => {
                mechanism.clone_into(&mut self.login.mechanism);
                self.sasl(initial)
            }
            LoginMessage::Response(response) => self.sasl(Some(response)),
            LoginMessage::WhoAmI => (element(tag::EXTENDED, &[&element(0x80, &[WHO_AM_I])]), String::new()),
            // RFC 4513 section 5.2.1.2: an empty mechanism ends the exchange.
            LoginMessage::Abort => {
                self.login.mechanism.clear();
                self.sasl(None)
            }
        };
        let message = encode(self.next, &operation);
        self.asked = [self.next].into();
        self.next = self.next.checked_add(1).unwrap_or(1);
        let shown = self.describe(Side::Client, &message).unwrap_or_default();
        out.push_described(message, &(shown + &detail));
        true
    }

    fn read(&mut self, reply_to: ReplyTo, msg: &[u8]) -> Result<LoginReply, Malformed> {
        let message = messages(msg).last().ok_or(malformed("an LDAPMessage"))??;
        let mut body = message.body;
        if message.id == 0 && message.op == tag::EXTENDED_RESPONSE {
            result(&mut body)?;
            let named = body.flatten().any(|it| it == (0x8a, NOTICE_OF_DISCONNECTION));
            return Ok(if named { LoginReply::Bye } else { LoginReply::Interim });
        }
        if !self.asked.contains(&message.id) {
            return Err(malformed("an answer with the message id of the question"));
        }
        if reply_to == ReplyTo::Hello {
            return Ok(LoginReply::Offer(self.mechanisms(msg)));
        }
        let (code, _) = result(&mut body)?;
        let data = |tag| body.flatten().find(|it| it.0 == tag).map(|it| it.1.to_vec());
        Ok(match (message.op, code) {
            (tag::BIND_RESPONSE, code::SUCCESS) => LoginReply::Granted { data: data(0x87), user: None },
            (tag::BIND_RESPONSE, code::SASL_BIND_IN_PROGRESS) => {
                LoginReply::Challenge(data(0x87).unwrap_or_default())
            }
            (tag::EXTENDED_RESPONSE, code::SUCCESS) => {
                let user = data(0x8b).map(|it| String::from_utf8_lossy(&it).into_owned());
                LoginReply::Granted { data: None, user }
            }
            (tag::EXTENDED_RESPONSE, _) => LoginReply::Refused(Denial::Mechanism),
            (tag::BIND_RESPONSE, code::BUSY | code::UNAVAILABLE) => LoginReply::Refused(Denial::Temporary),
            (tag::BIND_RESPONSE, code::INVALID_CREDENTIALS | code::INAPPROPRIATE_AUTHENTICATION) => {
                LoginReply::Refused(Denial::Credentials)
            }
            (tag::BIND_RESPONSE, _) => LoginReply::Refused(Denial::Mechanism),
            _ => return Err(malformed("the response that belongs to the operation")),
        })
    }
}

impl Ldap {
    fn sasl(&self, credentials: Option<&[u8]>) -> (Vec<u8>, String) {
        let mechanism = element(tag::STRING, &[self.login.mechanism.as_bytes()]);
        let credentials = credentials.map(|it| element(tag::STRING, &[it])).unwrap_or_default();
        let shown = if credentials.is_empty() { "" } else { " ***" };
        let choice = element(0xa3, &[&mechanism, &credentials]);
        (bind(b"", &choice), format!(" {}{shown}", self.login.mechanism))
    }
}

fn bind(name: &[u8], choice: &[u8]) -> Vec<u8> {
    element(tag::BIND, &[&number(tag::INTEGER, 3), &element(tag::STRING, &[name]), choice])
}
