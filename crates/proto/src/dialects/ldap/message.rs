//! LDAPMessages: their tags and codes, and functions that read and write them.

use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

use crate::ber::{Elements, element, number};
use crate::malformed::malformed;
use crate::rewrite::drops;
use crate::{CapabilityRewrite, Escaped, Malformed};

pub(crate) const STARTTLS: &[u8] = b"1.3.6.1.4.1.1466.20037";
pub(crate) const NOTICE_OF_DISCONNECTION: &[u8] = b"1.3.6.1.4.1.1466.20036";
pub(crate) const PASSWORD_MODIFY: &[u8] = b"1.3.6.1.4.1.4203.1.11.1";
pub(crate) const SUPPORTED_EXTENSION: &[u8] = b"supportedExtension";
pub(crate) const SUPPORTED_VERSION: &[u8] = b"supportedLDAPVersion";
pub(crate) const SUPPORTED_MECHANISMS: &[u8] = b"supportedSASLMechanisms";
pub(crate) const WHO_AM_I: &[u8] = b"1.3.6.1.4.1.4203.1.11.3";
/// Requests no attributes in a search (RFC 4511 section 4.5.1.8).
pub(crate) const NO_ATTRIBUTES: &[u8] = b"1.1";

/// Tags of universal types and of operations (RFC 4511 appendix B).
pub(crate) mod tag {
    pub(crate) const BOOLEAN: u8 = 0x01;
    pub(crate) const INTEGER: u8 = 0x02;
    pub(crate) const STRING: u8 = 0x04;
    pub(crate) const ENUMERATED: u8 = 0x0a;
    pub(crate) const SEQUENCE: u8 = 0x30;
    pub(crate) const SET: u8 = 0x31;
    pub(crate) const BIND: u8 = 0x60;
    pub(crate) const BIND_RESPONSE: u8 = 0x61;
    pub(crate) const UNBIND: u8 = 0x42;
    pub(crate) const ABANDON: u8 = 0x50;
    pub(crate) const SEARCH: u8 = 0x63;
    pub(crate) const ENTRY: u8 = 0x64;
    pub(crate) const DONE: u8 = 0x65;
    pub(crate) const MODIFY: u8 = 0x66;
    pub(crate) const ADD: u8 = 0x68;
    pub(crate) const DELETE: u8 = 0x4a;
    pub(crate) const COMPARE: u8 = 0x6e;
    pub(crate) const REFERENCE: u8 = 0x73;
    pub(crate) const EXTENDED: u8 = 0x77;
    pub(crate) const EXTENDED_RESPONSE: u8 = 0x78;
    pub(crate) const INTERMEDIATE: u8 = 0x79;
}

/// Result codes (RFC 4511 section 4.1.9).
pub(crate) mod code {
    pub(crate) const SUCCESS: i32 = 0;
    pub(crate) const OPERATIONS_ERROR: i32 = 1;
    pub(crate) const PROTOCOL_ERROR: i32 = 2;
    pub(crate) const UNAVAILABLE_CRITICAL_EXTENSION: i32 = 12;
    pub(crate) const CONFIDENTIALITY_REQUIRED: i32 = 13;
    pub(crate) const SASL_BIND_IN_PROGRESS: i32 = 14;
    pub(crate) const INAPPROPRIATE_AUTHENTICATION: i32 = 48;
    pub(crate) const INVALID_CREDENTIALS: i32 = 49;
    pub(crate) const BUSY: i32 = 51;
    pub(crate) const UNAVAILABLE: i32 = 52;
}

/// An LDAPMessage: its id, its operation, and the controls after the operation.
pub(crate) struct Message<'a> {
    pub(crate) id: i32,
    pub(crate) op: u8,
    pub(crate) body: Elements<'a>,
    pub(crate) behind: Elements<'a>,
}

/// Parses the messages in `msg`: one message, or the entries of a search and their end.
pub(crate) fn messages(msg: &[u8]) -> impl Iterator<Item = Result<Message<'_>, Malformed>> {
    Elements(msg).map(|message| {
        let mut parts = Elements(message?.1);
        let id = parts.number(tag::INTEGER)?;
        let (op, body) = parts.next().ok_or(malformed("an operation"))??;
        if id < 0 {
            return Err(malformed("a message id of zero or more"));
        }
        Ok(Message { id, op, body: Elements(body), behind: parts })
    })
}

/// Returns whether an operation is a message that may precede the final response any number of times.
pub(crate) fn is_before_the_end(op: u8) -> bool {
    matches!(op, tag::ENTRY | tag::REFERENCE | tag::INTERMEDIATE)
}

/// Parses the code and the text of an LDAPResult (RFC 4511 section 4.1.9). The elements after them remain in `body`.
pub(crate) fn result<'a>(body: &mut Elements<'a>) -> Result<(i32, &'a [u8]), Malformed> {
    let code = body.number(tag::ENUMERATED)?;
    let _matched = body.expect(tag::STRING)?;
    Ok((code, body.expect(tag::STRING)?))
}

pub(crate) fn encode(id: i32, operation: &[u8]) -> Vec<u8> {
    element(tag::SEQUENCE, &[&number(tag::INTEGER, id), operation])
}

pub(crate) fn outcome(response: u8, code: i32, text: &str, behind: &[u8]) -> Vec<u8> {
    let (matched, text) = (element(tag::STRING, &[]), element(tag::STRING, &[text.as_bytes()]));
    element(response, &[&number(tag::ENUMERATED, code), &matched, &text, behind])
}

pub(crate) fn attribute(name: &[u8], values: &[&[u8]]) -> Vec<u8> {
    let values: Vec<u8> = values.iter().flat_map(|value| element(tag::STRING, &[value])).collect();
    element(tag::SEQUENCE, &[&element(tag::STRING, &[name]), &element(tag::SET, &[&values])])
}

/// Returns a search of one entry for one attribute. The entry with an empty name is the root DSE.
pub(crate) fn search(entry: &[u8], wanted: &[u8]) -> Vec<u8> {
    let zero = number(tag::ENUMERATED, 0);
    let none = number(tag::INTEGER, 0);
    let wanted = element(tag::SEQUENCE, &[&element(tag::STRING, &[wanted])]);
    let types_only = element(tag::BOOLEAN, &[&[0]]);
    let filter = element(0x87, &[b"objectClass"]);
    let base = element(tag::STRING, &[entry]);
    element(tag::SEARCH, &[&base, &zero, &zero, &none, &none, &types_only, &filter, &wanted])
}

/// Returns a simple bind with a common name and a password (RFC 4511 section 4.2).
pub(crate) fn simple_bind(name: &str, password: &str) -> Vec<u8> {
    let version = number(tag::INTEGER, 3);
    let name = element(tag::STRING, &[b"cn=", name.as_bytes()]);
    element(tag::BIND, &[&version, &name, &element(0x80, &[password.as_bytes()])])
}

/// Returns whether this entry lists StartTLS.
pub(crate) fn offers(entry: Elements<'_>) -> Result<bool, Malformed> {
    Ok(values(entry, SUPPORTED_EXTENSION)?.contains(&STARTTLS))
}

/// Returns the values of an attribute in this entry.
pub(crate) fn values<'a>(mut entry: Elements<'a>, wanted: &[u8]) -> Result<Vec<&'a [u8]>, Malformed> {
    let mut found = Vec::new();
    entry.expect(tag::STRING)?;
    for attribute in Elements(entry.expect(tag::SEQUENCE)?) {
        let mut attribute = Elements(attribute?.1);
        let name = attribute.expect(tag::STRING)?;
        let values = Elements(attribute.expect(tag::SET)?);
        if name.eq_ignore_ascii_case(wanted) {
            found.extend(values.flatten().filter(|it| it.0 == tag::STRING).map(|it| it.1));
        }
    }
    Ok(found)
}

/// Returns the message with this change applied. Only entries change, in the values that list capabilities.
pub(crate) fn rewrite_message(original: &Message<'_>, how: CapabilityRewrite) -> Result<Vec<u8>, Malformed> {
    let keeps = |name: &[u8], value: &[u8]| match how {
        CapabilityRewrite::DropUpgrade => value != STARTTLS,
        CapabilityRewrite::DropCredentials => !name.eq_ignore_ascii_case(SUPPORTED_MECHANISMS),
        CapabilityRewrite::DropChannelBinding | CapabilityRewrite::DropExternal => {
            !name.eq_ignore_ascii_case(SUPPORTED_MECHANISMS) || !drops(how, value)
        }
        CapabilityRewrite::AddUpgrade | CapabilityRewrite::DropOnBehalf => true,
    };
    let mut operation = element(original.op, &[original.body.0]);
    if original.op == tag::ENTRY {
        let mut body = original.body;
        let name = element(tag::STRING, &[body.expect(tag::STRING)?]);
        let mut kept = Vec::new();
        for part in Elements(body.expect(tag::SEQUENCE)?) {
            let mut part = Elements(part?.1);
            let name = part.expect(tag::STRING)?;
            let values: Vec<_> = Elements(part.expect(tag::SET)?).collect::<Result<_, _>>()?;
            let none = values.is_empty();
            let mut values: Vec<_> = values.into_iter().map(|it| it.1).filter(|it| keeps(name, it)).collect();
            let lists = name.eq_ignore_ascii_case(SUPPORTED_EXTENSION);
            if how == CapabilityRewrite::AddUpgrade && lists && !values.contains(&STARTTLS) {
                values.push(STARTTLS);
            }
            if none || !values.is_empty() {
                kept.extend(attribute(name, &values));
            }
        }
        operation = element(tag::ENTRY, &[&name, &element(tag::SEQUENCE, &[&kept])]);
    }
    let id = number(tag::INTEGER, original.id);
    Ok(element(tag::SEQUENCE, &[&id, &operation, original.behind.0]))
}

/// Returns a description such as "ExtendedRequest 1 StartTLS" or "BindResponse 2: 13 TLS is required".
pub(crate) fn describe(message: &Message<'_>) -> Option<String> {
    let name = match message.op {
        tag::BIND => "BindRequest",
        tag::BIND_RESPONSE => "BindResponse",
        tag::UNBIND => "UnbindRequest",
        tag::SEARCH => "SearchRequest",
        tag::ENTRY => "SearchResultEntry",
        tag::DONE => "SearchResultDone",
        tag::REFERENCE => "SearchResultReference",
        0x66 => "ModifyRequest",
        0x67 => "ModifyResponse",
        0x68 => "AddRequest",
        0x69 => "AddResponse",
        tag::DELETE => "DelRequest",
        0x6b => "DelResponse",
        0x6c => "ModifyDNRequest",
        0x6d => "ModifyDNResponse",
        0x6e => "CompareRequest",
        0x6f => "CompareResponse",
        tag::ABANDON => "AbandonRequest",
        tag::EXTENDED => "ExtendedRequest",
        tag::EXTENDED_RESPONSE => "ExtendedResponse",
        tag::INTERMEDIATE => "IntermediateResponse",
        _ => return None,
    };
    let (mut body, id) = (message.body, message.id);
    let readable = |name| match name {
        STARTTLS => String::from("StartTLS"),
        NOTICE_OF_DISCONNECTION => String::from("Notice of Disconnection"),
        other => Escaped(other.get(..100).unwrap_or(other)).to_string(),
    };
    let detail = match message.op {
        tag::EXTENDED => format!(" {}", readable(body.expect(0x80).ok()?)),
        tag::BIND_RESPONSE | tag::DONE | 0x67 | 0x69 | 0x6b | 0x6d | 0x6f | tag::EXTENDED_RESPONSE => {
            let (code, text) = result(&mut body).ok()?;
            let named = body.flatten().find(|it| it.0 == 0x8a).map(|it| format!(" {}", readable(it.1)));
            let text = if text.is_empty() { String::new() } else { format!(" {}", readable(text)) };
            format!("{}: {code}{text}", named.unwrap_or_default())
        }
        _ => String::new(),
    };
    Some(format!("{name} {id}{detail}"))
}
