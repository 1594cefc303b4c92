//! What an observer of cleartext reads: how connections begin, what carries content, and logins.

use super::Ldap;
use super::message::{Message, code, messages, result, tag};
use crate::ber::Elements;
use crate::credentials::{decoded_response, sasl};
use crate::{LoginExposure, LoginPart, LoginResponse, ObservedDialect, OpeningFit, PartOf, Side};

impl ObservedDialect for Ldap {
    fn opening(&self, from: Side, first: &[u8]) -> OpeningFit {
        OpeningFit::possible(match first {
            _ if from == Side::Server => false,
            // A message ID of one to four octets.
            [0x30, _, 2, 1..=4, ..] => true,
            // A length that no text has after "0".
            [0x30, len, ..] => *len != 0 && !len.is_ascii_graphic() && !len.is_ascii_whitespace(),
            _ => false,
        })
    }

    /// Search, modify, add, delete, compare.
    fn carries_content(&self, msg: &[u8]) -> bool {
        let is_content = |op| [tag::SEARCH, tag::MODIFY, tag::ADD, tag::DELETE, tag::COMPARE].contains(&op);
        messages(msg).next().is_some_and(|message| message.is_ok_and(|message| is_content(message.op)))
    }

    fn login_part(&self, msg: &[u8]) -> Option<LoginPart> {
        let message = first(msg)?;
        let part = match bind(&message) {
            Some(Bind { name, sasl: Some((mechanism, credentials)) }) => {
                let part = sasl(mechanism, credentials.map(<[u8]>::to_vec));
                let user = part.user.or_else(|| Some(name.to_vec()).filter(|name| !name.is_empty()));
                LoginPart { user, ..part }
            }
            Some(Bind { name, .. }) => LoginPart::new("simple bind", Some(name), LoginExposure::Readable),
            None if message.op == tag::BIND => return None,
            // The password modify operation (RFC 3062).
            None => LoginPart::new("password modify", None, LoginExposure::Readable),
        };
        Some(part.part_of(PartOf::SameMechanism))
    }

    fn login_response(&self, mechanism: &str, step: u32, msg: &[u8]) -> LoginResponse {
        let message = first(msg);
        let bind = message.as_ref().and_then(bind);
        decoded_response(mechanism, step, bind.and_then(|bind| bind.sasl?.1))
    }

    fn login_result(&self, msg: &[u8]) -> Option<bool> {
        let mut message = first(msg).filter(|message| message.op == tag::BIND_RESPONSE)?;
        match result(&mut message.body).ok()?.0 {
            code::SUCCESS => Some(true),
            code::SASL_BIND_IN_PROGRESS => None,
            _ => Some(false),
        }
    }
}

/// A bind (RFC 4511 section 4.2).
struct Bind<'a> {
    name: &'a [u8],
    /// The mechanism and its credentials; `None` for a simple bind.
    sasl: Option<(&'a [u8], Option<&'a [u8]>)>,
}

fn bind<'a>(message: &Message<'a>) -> Option<Bind<'a>> {
    let mut body = message.body;
    if message.op != tag::BIND {
        return None;
    }
    body.number(tag::INTEGER).ok()?;
    let name = body.expect(tag::STRING).ok()?;
    let (choice, credentials) = body.next()?.ok()?;
    if choice != 0xa3 {
        return Some(Bind { name, sasl: None });
    }
    let mut credentials = Elements(credentials);
    let mechanism = credentials.expect(tag::STRING).ok()?;
    let response = credentials.next().and_then(|it| it.ok()).map(|(_, response)| response);
    Some(Bind { name, sasl: Some((mechanism, response)) })
}

fn first(msg: &[u8]) -> Option<Message<'_>> {
    messages(msg).next()?.ok()
}
