//! Messages that may pass in cleartext where TLS is optional: reads of a directory without a login.

use super::message::{messages, tag};
use crate::Malformed;
use crate::ber::Elements;
use crate::malformed::malformed;

/// Controls that only change how a search is answered: paged results (RFC 2696), sorting (RFC 2891), ManageDsaIT (RFC
/// 3296), subentries (RFC 3672) and domain scope. Proxied authorization (RFC 4370) is excluded.
const CONTROLS: [&[u8]; 5] = [
    b"1.2.840.113556.1.4.319",
    b"1.2.840.113556.1.4.473",
    b"2.16.840.1.113730.3.4.2",
    b"1.3.6.1.4.1.4203.1.10.1",
    b"1.2.840.113556.1.4.1339",
];

/// Parts of the names of attributes that hold secrets. A filter could otherwise test whether an entry has a given
/// password.
const SECRETS: [&[u8]; 5] = [b"password", b"passwd", b"pwd", b"secret", b"credential"];

/// The deepest nesting of filters that is parsed.
const MAX_DEPTH: usize = 16;

/// Returns whether this is exactly one message, and reads without a login.
///
/// # Errors
/// [`Malformed`] if the message cannot be parsed.
pub(super) fn is_public(msg: &[u8]) -> Result<bool, Malformed> {
    let mut all = messages(msg);
    let (Some(message), None) = (all.next().transpose()?, all.next()) else { return Ok(false) };
    Ok(match message.op {
        tag::UNBIND => message.body.0.is_empty(),
        tag::ABANDON => true,
        tag::BIND => is_anonymous(message.body)?,
        tag::SEARCH => asks_for_no_secret(message.body)?,
        _ => false,
    } && are_public(message.behind)?)
}

/// Returns whether a bind is anonymous (RFC 4513 section 5.1.1).
fn is_anonymous(mut body: Elements<'_>) -> Result<bool, Malformed> {
    let version = body.number(tag::INTEGER)?;
    let name = body.expect(tag::STRING)?;
    let choice = body.next().ok_or(malformed("an authentication choice"))??;
    Ok(version == 3 && name.is_empty() && choice == (0x80, b"".as_slice()) && body.next().is_none())
}

/// Returns whether a search (RFC 4511 section 4.5.1) compares no attribute that holds a secret.
fn asks_for_no_secret(mut body: Elements<'_>) -> Result<bool, Malformed> {
    let _base = body.expect(tag::STRING)?;
    let _scope_and_aliases = [body.number(tag::ENUMERATED)?, body.number(tag::ENUMERATED)?];
    let _limits = [body.number(tag::INTEGER)?, body.number(tag::INTEGER)?];
    let _types_only = body.expect(tag::BOOLEAN)?;
    let (kind, filter) = body.next().ok_or(malformed("a filter"))??;
    let _wanted = body.expect(tag::SEQUENCE)?;
    Ok(is_harmless(kind, filter, MAX_DEPTH)? && body.next().is_none())
}

/// Returns whether a filter names no attribute that holds a secret. A filter of an unknown kind is treated as
/// harmful.
fn is_harmless(kind: u8, filter: &[u8], depth: usize) -> Result<bool, Malformed> {
    let mut parts = Elements(filter);
    Ok(match kind {
        0xa0..=0xa2 if depth > 0 => {
            let mut all = parts.map(|part| part.and_then(|(kind, it)| is_harmless(kind, it, depth - 1)));
            all.try_fold(true, |all, part| part.map(|part| all && part))?
        }
        // Equality, substrings, greater, less and approximate: each starts with the attribute name.
        0xa3..=0xa6 | 0xa8 => !is_secret(parts.expect(tag::STRING)?),
        0x87 => true,
        _ => false,
    })
}

/// Returns whether this attribute may hold a secret. An attribute that is given as an object identifier may be any
/// attribute.
fn is_secret(attribute: &[u8]) -> bool {
    if !attribute.first().is_some_and(u8::is_ascii_alphabetic) {
        return true;
    }
    let lower = attribute.to_ascii_lowercase();
    SECRETS.iter().any(|part| lower.windows(part.len()).any(|window| window == *part))
}

/// Returns whether the controls (RFC 4511 section 4.1.11) are all in [`CONTROLS`].
fn are_public(mut behind: Elements<'_>) -> Result<bool, Malformed> {
    let Some(controls) = behind.next().transpose()? else { return Ok(true) };
    let (0xa0, controls) = controls else { return Ok(false) };
    for control in Elements(controls) {
        let name = Elements(control?.1).expect(tag::STRING)?;
        if !CONTROLS.contains(&name) {
            return Ok(false);
        }
    }
    Ok(behind.next().is_none())
}
