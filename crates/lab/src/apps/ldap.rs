//! LDAP (RFC 4511): a simple bind, "Who am I?", and a directory of two entries.

use super::context::{AppContext, Serving, World};
use crate::session::SessionError;

const BASE: &str = "dc=example,dc=test";
const USER: &str = "uid=test,dc=example,dc=test";
/// RFC 4532.
const WHO_AM_I: &[u8] = b"1.3.6.1.4.1.4203.1.11.3";

/// RFC 4511 section 4.1.9.
mod code {
    pub(super) const SUCCESS: u8 = 0;
    pub(super) const PROTOCOL_ERROR: u8 = 2;
    pub(super) const AUTH_METHOD_NOT_SUPPORTED: u8 = 7;
    pub(super) const NO_SUCH_OBJECT: u8 = 32;
    pub(super) const INVALID_CREDENTIALS: u8 = 49;
    pub(super) const INSUFFICIENT_ACCESS: u8 = 50;
    pub(super) const UNWILLING: u8 = 53;
}

type Entry = (&'static str, &'static [(&'static str, &'static [&'static str])]);

const ENTRIES: [Entry; 2] = [
    (BASE, &[("objectClass", &["top", "domain"]), ("dc", &["example"])]),
    (
        USER,
        &[("objectClass", &["account"]), ("uid", &["test"]), ("description", &["You read this inside TLS."])],
    ),
];

pub(crate) fn serve(context: AppContext<'_>) -> Serving<'_> {
    Box::pin(run(context))
}

async fn run(AppContext { session, world, .. }: AppContext<'_>) -> Result<(), SessionError> {
    let mut bound = false;
    while let Some(message) = session.next_command().await? {
        // The engine has verified the message: a sequence of an id, an operation, and optional controls.
        let Some((_, contents, _)) = element(&message) else { break };
        let Some((_, id, behind)) = element(contents) else { break };
        let Some((operation, body, _)) = element(behind) else { break };
        let mut answers = Vec::new();
        let last = match operation {
            0x60 => {
                let code = bind(world, body);
                bound = code == code::SUCCESS && !anonymous(body);
                result(0x61, code, &[])
            }
            0x63 => match search(body, bound) {
                Ok(found) => {
                    answers = found;
                    result(0x65, code::SUCCESS, &[])
                }
                Err(code) => result(0x65, code, &[]),
            },
            0x77 => match element(body) {
                Some((0x80, WHO_AM_I, _)) => {
                    let who = if bound { format!("dn:{USER}") } else { String::new() };
                    result(0x78, code::SUCCESS, &encode(0x8b, &[who.as_bytes()]))
                }
                _ => result(0x78, code::PROTOCOL_ERROR, &[]),
            },
            // The tag of the Delete response has another distance from its request than the others.
            0x4a => result(0x6b, code::UNWILLING, &[]),
            0x66 | 0x68 | 0x6c | 0x6e => result(operation + 1, code::UNWILLING, &[]),
            _ => break,
        };
        answers.push(last);
        for answer in answers {
            session.send(encode(0x30, &[encode(0x02, &[id]), answer]));
            // Each response is a TLS record of its own, since a client may wait at the socket for the next one.
            session.flush().await?;
        }
    }
    Ok(())
}

/// Parses a bind: version, name, and authentication (RFC 4511 section 4.2).
fn bind(world: &World, body: &[u8]) -> u8 {
    let parts = || {
        let (_, version, rest) = element(body)?;
        let (_, name, rest) = element(rest)?;
        let (choice, secret, _) = element(rest)?;
        Some((version, name, choice, secret))
    };
    match parts() {
        Some((b"\x03", b"", 0x80, b"")) => code::SUCCESS,
        // The name is that of the entry, or the user name of the other protocols, as some directories allow.
        Some((b"\x03", name, 0x80, secret))
            if name.eq_ignore_ascii_case(USER.as_bytes()) || name == world.user.as_bytes() =>
        {
            let admitted = world.admits(world.user.as_bytes(), secret);
            if admitted { code::SUCCESS } else { code::INVALID_CREDENTIALS }
        }
        Some((b"\x03", _, 0x80, _)) => code::INVALID_CREDENTIALS,
        Some((b"\x03", ..)) => code::AUTH_METHOD_NOT_SUPPORTED,
        _ => code::PROTOCOL_ERROR,
    }
}

fn anonymous(body: &[u8]) -> bool {
    element(body).and_then(|(_, _, rest)| element(rest)).is_none_or(|(_, name, _)| name.is_empty())
}

/// Returns the entries in scope. The filter must be one of presence, which matches all, or of equality.
fn search(body: &[u8], bound: bool) -> Result<Vec<Vec<u8>>, u8> {
    let parts = || {
        let (_, base, rest) = element(body)?;
        let (_, scope, rest) = element(rest)?;
        let rest = (0..4).try_fold(rest, |rest, _| element(rest).map(|it| it.2))?;
        let (filter, of, _) = element(rest)?;
        Some((base, scope, filter, of))
    };
    let (base, scope, filter, of) = parts().ok_or(code::PROTOCOL_ERROR)?;
    if !bound {
        return Err(code::INSUFFICIENT_ACCESS);
    }
    let base = String::from_utf8_lossy(base).to_ascii_lowercase();
    if !ENTRIES.iter().any(|(name, _)| *name == base) {
        return Err(code::NO_SUCH_OBJECT);
    }
    let in_scope = |name: &str| match scope {
        [0] => name == base,
        [1] => name.split_once(',').is_some_and(|(_, parent)| parent == base),
        _ => name.ends_with(&base),
    };
    let equal = || element(of).and_then(|(_, name, rest)| Some((name, element(rest)?.1)));
    let matches = |(_, attributes): &&Entry| match filter {
        0x87 => attributes.iter().any(|(name, _)| name.as_bytes().eq_ignore_ascii_case(of)),
        0xa3 => equal().is_some_and(|(wanted, value)| {
            attributes.iter().any(|(name, values)| {
                name.as_bytes().eq_ignore_ascii_case(wanted)
                    && values.iter().any(|it| it.as_bytes().eq_ignore_ascii_case(value))
            })
        }),
        _ => false,
    };
    if !matches!(filter, 0x87 | 0xa3) {
        return Err(code::UNWILLING);
    }
    Ok(ENTRIES.iter().filter(|(name, _)| in_scope(name)).filter(matches).map(entry).collect())
}

fn entry((name, attributes): &Entry) -> Vec<u8> {
    let attributes: Vec<Vec<u8>> = attributes
        .iter()
        .map(|(name, values)| {
            let values: Vec<Vec<u8>> = values.iter().map(|value| encode(0x04, &[value.as_bytes()])).collect();
            encode(0x30, &[encode(0x04, &[name.as_bytes()]), encode(0x31, &values)])
        })
        .collect();
    encode(0x64, &[encode(0x04, &[name.as_bytes()]), encode(0x30, &attributes)])
}

/// Returns an LDAPResult without a name or a text, followed by `more`.
fn result(operation: u8, code: u8, behind: &[u8]) -> Vec<u8> {
    encode(operation, &[&[0x0a, 1, code, 0x04, 0, 0x04, 0], behind])
}

/// Encodes BER with a definite length, the only form of LDAP (RFC 4511 section 5.1).
fn encode(tag: u8, parts: &[impl AsRef<[u8]>]) -> Vec<u8> {
    let length: usize = parts.iter().map(|part| part.as_ref().len()).sum();
    let mut bytes = vec![tag];
    match u8::try_from(length) {
        Ok(short @ 0..=0x7f) => bytes.push(short),
        _ => {
            bytes.push(0x84);
            bytes.extend_from_slice(&(length as u32).to_be_bytes());
        }
    }
    parts.iter().for_each(|part| bytes.extend_from_slice(part.as_ref()));
    bytes
}

/// Returns the tag (one octet) and the contents of the first element, and the bytes after it.
fn element(bytes: &[u8]) -> Option<(u8, &[u8], &[u8])> {
    let (&tag, rest) = bytes.split_first()?;
    let (&first, rest) = rest.split_first()?;
    let (length, rest) = match first {
        0..=0x7f => (usize::from(first), rest),
        _ => {
            let (octets, rest) = rest.split_at_checked(usize::from(first & 0x7f))?;
            let length = octets
                .iter()
                .try_fold(0_usize, |sum, octet| sum.checked_mul(256).map(|sum| sum + usize::from(*octet)))?;
            (length, rest)
        }
    };
    let (contents, behind) = rest.split_at_checked(length)?;
    Some((tag, contents, behind))
}
