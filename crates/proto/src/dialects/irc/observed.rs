//! What an observer of cleartext reads: how connections begin, what carries content, and logins.

use super::{Exchange, Irc, Message};
use crate::credentials::{response, sasl};
use crate::text::{has_verb, verb};
use crate::{
    HelloAnswer, LoginExposure, LoginPart, LoginResponse, ObservedDialect, OpeningFit, PartOf, Side,
};

impl ObservedDialect for Irc {
    fn opening(&self, from: Side, first: &[u8]) -> OpeningFit {
        let words: &[&[u8]] = &[b":", b"NOTICE ", b"PING "];
        OpeningFit::possible(match from {
            Side::Server => words.iter().any(|it| first.starts_with(it)),
            Side::Client => has_verb(
                first,
                0,
                &[b"AUTHENTICATE", b"CAP", b"LIST", b"NICK", b"PASS", b"STARTTLS", b"USER", b"WEBIRC"],
            ),
        })
    }

    fn carries_content(&self, msg: &[u8]) -> bool {
        has_verb(msg, 0, &[b"JOIN", b"PRIVMSG", b"NOTICE"])
    }

    fn login_part(&self, msg: &[u8]) -> Option<LoginPart> {
        let message = Message::parse(msg).ok()??;
        let parameter = message.parameters().next();
        Some(match verb(message.command, &mut [0; 16]) {
            b"AUTHENTICATE" if self.exchange == Exchange::Response => {
                LoginPart::new("", None, LoginExposure::Readable).part_of(PartOf::LastLogin)
            }
            b"AUTHENTICATE" => sasl(parameter?, None),
            b"OPER" => LoginPart::new("OPER", parameter, LoginExposure::Readable),
            b"PASS" => LoginPart::new("PASS", None, LoginExposure::Readable),
            b"WEBIRC" => LoginPart::new("WEBIRC", None, LoginExposure::Readable),
            _ => LoginPart::new("NickServ", None, LoginExposure::Readable),
        })
    }

    fn is_challenge(&self, msg: &[u8]) -> bool {
        command(msg).is_some_and(|it| it.eq_ignore_ascii_case(b"AUTHENTICATE"))
    }

    fn login_response(&self, mechanism: &str, step: u32, msg: &[u8]) -> LoginResponse {
        let encoded = Message::parse(msg).ok().flatten().map(|message| message.parameter(0));
        response(mechanism, step, encoded.unwrap_or_default())
    }

    /// RPL_LOGGEDIN, RPL_SASLSUCCESS and RPL_WELCOME; ERR_SASLFAIL and ERR_PASSWDMISMATCH.
    fn login_result(&self, msg: &[u8]) -> Option<bool> {
        match command(msg)? {
            b"900" | b"903" | b"001" => Some(true),
            b"904" | b"464" => Some(false),
            _ => None,
        }
    }

    /// Returns the name in NICK, which follows PASS (RFC 2812 section 3.1).
    fn later_user<'a>(&self, mechanism: &str, msg: &'a [u8]) -> Option<&'a [u8]> {
        let message = Message::parse(msg).ok()?.filter(|it| it.command.eq_ignore_ascii_case(b"NICK"))?;
        message.parameters().next().filter(|_| mechanism == "PASS")
    }

    fn hello_answer(&self, msg: &[u8]) -> HelloAnswer {
        HelloAnswer::refusal(!command(msg).is_some_and(|it| it.eq_ignore_ascii_case(b"CAP")))
    }
}

/// Returns the command or the numeric of a message.
fn command(msg: &[u8]) -> Option<&[u8]> {
    Message::parse(msg).ok()?.map(|message| message.command)
}
