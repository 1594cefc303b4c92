//! The argument of INFO, the greeting: a JSON object.

use alloc::format;
use alloc::vec::Vec;

use crate::malformed::malformed;
use crate::{DialectContext, Malformed};

/// The members that offer TLS: it is required, or available for clients that want it.
const OFFERS: [&str; 2] = ["tls_required", "tls_available"];
/// The members of a greeting that do not hold for its changed form: those about TLS, and the addresses of other servers, to
/// which a client would reconnect past a gateway.
const DROPPED: [&str; 5] = ["tls_required", "tls_available", "tls_verify", "connect_urls", "ws_connect_urls"];

/// Returns whether the greeting offers TLS.
///
/// # Errors
/// [`Malformed`] if the argument is not a JSON object, or if a member about TLS is not a boolean or occurs twice: clients
/// differ in which of the two they use.
pub(super) fn offers_tls(argument: &[u8]) -> Result<bool, Malformed> {
    let members = members(argument).ok_or(malformed("INFO with a JSON object"))?;
    let mut offers = false;
    for name in OFFERS {
        let mut values = members.iter().filter(|member| member.is(name)).map(|member| member.value);
        offers |= match (values.next(), values.next()) {
            (None | Some(b"false"), None) => false,
            (Some(b"true"), None) => true,
            _ => return Err(malformed("one boolean for tls_required and for tls_available")),
        };
    }
    Ok(offers)
}

/// Returns the greeting with or without the offer of TLS, or `None` if the argument is not a JSON object.
pub(super) fn rewritten(argument: &[u8], offer: bool) -> Option<Vec<u8>> {
    let kept = members(argument)?.into_iter().filter(|member| !DROPPED.iter().any(|name| member.is(name)));
    let mut kept: Vec<&[u8]> = kept.map(|member| member.whole).collect();
    if offer {
        kept.push(b"\"tls_required\":true");
    }
    Some([&b"INFO {"[..], &kept.join(&b","[..]), b"} \r\n"].concat())
}

/// Writes the greeting of a server.
pub(super) fn write(context: &DialectContext, offer: bool, out: &mut Vec<u8>) {
    let tls = if offer { ",\"tls_required\":true" } else { "" };
    // A service name has no character that JSON escapes.
    let text = format!(
        "INFO {{\"server_id\":\"{:016X}\",\"server_name\":\"{}\",\"version\":\"2.10.0\",\"proto\":1,\
         \"headers\":false,\"max_payload\":32768,\"auth_required\":true{tls}}} \r\n",
        context.nonce, context.identity.server_name,
    );
    out.extend_from_slice(text.as_bytes());
}

/// A member of a JSON object.
pub(super) struct Member<'a> {
    /// The name without its quotes.
    name: &'a [u8],
    /// The value, without white space around it.
    value: &'a [u8],
    /// Name and value.
    whole: &'a [u8],
}

impl Member<'_> {
    /// Returns whether the member has this name. Some clients ignore its case.
    pub(super) fn is(&self, name: &str) -> bool {
        self.name.eq_ignore_ascii_case(name.as_bytes())
    }

    /// Returns the value without its quotes if it is a string with contents.
    pub(super) fn text(&self) -> Option<&[u8]> {
        let text = self.value.strip_prefix(b"\"")?.strip_suffix(b"\"")?;
        (!text.is_empty()).then_some(text)
    }
}

/// Returns the members of the object, or `None` if the argument has another form. The contents of inner objects and lists are
/// not validated. A name with an escape is another form, because it could be a second spelling of a name that matters.
pub(super) fn members(argument: &[u8]) -> Option<Vec<Member<'_>>> {
    let text = argument.strip_prefix(b"{")?.strip_suffix(b"}")?;
    let mut members = Vec::new();
    let mut rest = text.trim_ascii();
    while !rest.is_empty() {
        let name_end = string(rest)?;
        let name = rest.get(1..name_end - 1).filter(|name| !name.contains(&b'\\'))?;
        let after = rest.get(name_end..)?.trim_ascii_start().strip_prefix(b":")?.trim_ascii_start();
        let start = rest.len() - after.len();
        let length = value(after)?;
        let value = after.get(..length)?.trim_ascii_end();
        if value.is_empty() {
            return None;
        }
        members.push(Member { name, value, whole: rest.get(..start + value.len())? });
        rest = match after.get(length..)? {
            [] => &[],
            // A comma is followed by another member.
            [_, more @ ..] => Some(more.trim_ascii()).filter(|more| !more.is_empty())?,
        };
    }
    Some(members)
}

/// Returns the length of the string at the start, with its quotes.
fn string(text: &[u8]) -> Option<usize> {
    let mut escaped = false;
    let inner = text.strip_prefix(b"\"")?;
    let end = inner.iter().position(|octet| {
        let ends = *octet == b'"' && !escaped;
        escaped = *octet == b'\\' && !escaped;
        ends
    })?;
    Some(end + 2)
}

/// Returns the length of the value at the start: up to the comma after it, or to the end. `None` if a string or a bracket
/// is not closed.
fn value(text: &[u8]) -> Option<usize> {
    let (mut at, mut depth) = (0_usize, 0_u32);
    while let Some(octet) = text.get(at) {
        match octet {
            b'"' => {
                at += string(&text[at..])?;
                continue;
            }
            b'{' | b'[' => depth = depth.checked_add(1)?,
            b'}' | b']' => depth = depth.checked_sub(1)?,
            b',' if depth == 0 => return Some(at),
            _ => {}
        }
        at += 1;
    }
    (depth == 0).then_some(at)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_members_of_the_object_offer_tls() {
        for (object, expected) in [
            ("{}", Some(false)),
            (r#"{"tls_required":true}"#, Some(true)),
            (r#"{ "a" : "b" , "TLS_Available" : true }"#, Some(true)),
            (r#"{"tls_required":false,"tls_available":true}"#, Some(true)),
            (r#"{"name":"\"tls_required\":true"}"#, Some(false)),
            (r#"{"name":"x\\","tls_required":true}"#, Some(true)),
            (r#"{"inner":{"tls_required":true},"list":["tls_required",true]}"#, Some(false)),
            (r#"{"tls_required":true,"tls_required":false}"#, None),
            (r#"{"tls_required":true,"TLS_REQUIRED":true}"#, None),
            (r#"{"tls_required":"true"}"#, None),
            (r#"{"tls_required":1}"#, None),
            (r#"{"tls\u005frequired":true}"#, None),
            (r#"{"a":1,}"#, None),
            (r#"{"a"}"#, None),
            (r#"{"a":}"#, None),
            (r#"{"a":"b}"#, None),
            // Brackets are counted and not paired.
            (r#"{"a":[1}"#, None),
            (r#"{"a":[1}}"#, Some(false)),
            ("{", None),
            ("[]", None),
            ("", None),
        ] {
            assert_eq!(offers_tls(object.as_bytes()).ok(), expected, "{object}");
        }
    }

    #[test]
    fn rewriting_keeps_the_other_members() {
        let info = br#"{"a":[1,2],"tls_verify":true,"tls_available":true,"connect_urls":["b:1"]}"#;
        let with = rewritten(info, true).unwrap_or_default();
        assert_eq!(with, b"INFO {\"a\":[1,2],\"tls_required\":true} \r\n");
        let without = rewritten(info, false).unwrap_or_default();
        assert_eq!(without, b"INFO {\"a\":[1,2]} \r\n");
        assert_eq!(rewritten(b"{}", true).unwrap_or_default(), b"INFO {\"tls_required\":true} \r\n");
        assert_eq!(rewritten(b"{", true), None);
    }
}
