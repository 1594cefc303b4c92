//! CONNECT: a user and a password, or a token.

use alloc::format;
use alloc::string::String;
use alloc::vec;
use alloc::vec::Vec;

use super::{Nats, operation};
use crate::malformed::malformed;
use crate::text::{name_and_password, verb};
use crate::{
    Denial, LoginDialect, LoginMessage, LoginReply, Malformed, OfferedMechanism, OutputBuffer, ReplyTo,
};

/// The beginnings of errors that refuse a user, a password or a token.
const REFUSALS: [&[u8]; 2] = [b"'Authorization Violation", b"'User Authentication"];

/// The start of CONNECT, up to the mode and the credentials.
pub(super) const CONNECT: &str = concat!(
    r#"CONNECT {"pedantic":false,"tls_required":true,"lang":"rust","version":""#,
    env!("CARGO_PKG_VERSION"),
    r#"","protocol":1,"headers":true"#,
);

impl LoginDialect for Nats {
    /// The server closes the connection after a refusal.
    fn can_begin_again(&self) -> bool {
        false
    }

    /// The greeting does not list the ways to log in, and it came in cleartext.
    fn mechanisms(&self, _: &[u8]) -> Vec<OfferedMechanism> {
        vec![OfferedMechanism::named("SIMPLE"), OfferedMechanism::named("TOKEN")]
    }

    fn write(&mut self, msg: LoginMessage<'_>, out: &mut OutputBuffer) -> bool {
        let LoginMessage::Begin { mechanism, initial } = msg else { return false };
        out.push_public(format!("{CONNECT},\"verbose\":false"));
        if mechanism == "TOKEN" {
            out.push_public(",\"auth_token\":");
            out.push_redacted(quoted(initial.unwrap_or_default()));
        } else {
            let (user, password) = name_and_password(initial);
            out.push_public(",\"user\":");
            out.push_value(quoted(user));
            out.push_public(",\"pass\":");
            out.push_redacted(quoted(password));
        }
        // In this mode a server answers CONNECT only with errors. The answer to PING shows that there was none.
        out.push_public("}\r\nPING\r\n");
        true
    }

    fn read(&mut self, _: ReplyTo, msg: &[u8]) -> Result<LoginReply, Malformed> {
        let (name, argument) = operation(msg);
        Ok(match verb(name, &mut [0; 16]) {
            b"PONG" => LoginReply::Granted { data: None, user: None },
            b"INFO" | b"PING" | b"+OK" => LoginReply::Interim,
            b"-ERR" if REFUSALS.iter().any(|text| argument.starts_with(text)) => {
                LoginReply::Refused(Denial::Credentials)
            }
            b"-ERR" => LoginReply::Bye,
            _ => return Err(malformed("PONG or -ERR")),
        })
    }
}

/// Returns a text as a JSON string.
fn quoted(text: &[u8]) -> String {
    let mut quoted = String::from("\"");
    for character in String::from_utf8_lossy(text).chars() {
        match character {
            '"' | '\\' => quoted.extend(['\\', character]),
            '\0'..='\x1f' => quoted.push_str(&format!("\\u{:04x}", u32::from(character))),
            _ => quoted.push(character),
        }
    }
    quoted.push('"');
    quoted
}
