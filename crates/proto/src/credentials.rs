//! Functions that dialects share to read the logins of a client as an observer. No secret leaves this file: it returns the
//! mechanism and the user, never a response.

use alloc::string::String;
use alloc::vec::Vec;

use crate::text::{lines, words};
use crate::{LoginExposure, LoginPart, LoginResponse, PartOf, base64};

/// The words of a command line.
pub(crate) struct CommandLine<'a>(Vec<&'a [u8]>);

impl<'a> CommandLine<'a> {
    /// Parses the first line of a message.
    pub(crate) fn parse(msg: &'a [u8]) -> Self {
        Self(words(lines(msg).next().unwrap_or_default().trim_ascii()).collect())
    }

    /// Returns the word at this place; the verb is at 0.
    pub(crate) fn word(&self, at: usize) -> Option<&'a [u8]> {
        self.0.get(at).copied()
    }

    /// Returns the word at this place in upper case.
    pub(crate) fn upper(&self, at: usize) -> Option<Vec<u8>> {
        self.word(at).map(<[u8]>::to_ascii_uppercase)
    }

    /// Returns the part that names the user: all words from this place on.
    pub(crate) fn user(&self, at: usize) -> LoginPart {
        let name = self.0.get(at..).map(|words| words.join(&b' '));
        LoginPart::new("USER", name.as_deref(), LoginExposure::Identity)
    }

    /// Returns the part that begins the mechanism at this place. An initial response may follow it.
    pub(crate) fn sasl(&self, at: usize) -> Option<LoginPart> {
        Some(sasl(unquoted(self.word(at)?), self.word(at + 1).map(unquoted).map(initial)))
    }
}

/// Returns the part with the password of the user before it.
pub(crate) fn password() -> LoginPart {
    LoginPart::new("PASS", None, LoginExposure::Readable).part_of(PartOf::LastLogin)
}

/// Returns the part that begins a SASL mechanism.
pub(crate) fn sasl(mechanism: &[u8], initial: Option<Vec<u8>>) -> LoginPart {
    let steps = u32::from(initial.is_some());
    // RFC 4422 section 3.1 permits 20 octets, and longer names are in use. What is not a name may be a response that was sent
    // in the wrong place.
    let is_name =
        mechanism.len() <= 32 && mechanism.iter().all(|it| it.is_ascii_alphanumeric() || b"-_".contains(it));
    if !is_name {
        return LoginPart { steps, ..LoginPart::new("", None, LoginExposure::Readable) };
    }
    let name = String::from_utf8_lossy(mechanism).to_ascii_uppercase();
    let user = initial.and_then(|initial| user(&name, 1, &initial));
    LoginPart { steps, ..LoginPart::new(&name, user.as_deref(), exposure(&name, steps)) }
}

/// Decodes the initial response of a command. `=` is the empty response (RFC 4954 section 4).
pub(crate) fn initial(word: &[u8]) -> Vec<u8> {
    match word {
        b"=" => Vec::new(),
        // What cannot be decoded was sent all the same.
        word => base64::decode(word).unwrap_or_default(),
    }
}

/// Reads a response in Base64. `*` aborts the exchange (RFC 4954 section 4).
pub(crate) fn response(mechanism: &str, step: u32, encoded: &[u8]) -> LoginResponse {
    match encoded {
        b"*" => LoginResponse::new(None, LoginExposure::Attempted),
        _ => decoded_response(mechanism, step, base64::decode(encoded).as_deref()),
    }
}

/// Reads a response. What cannot be decoded was sent all the same.
pub(crate) fn decoded_response(mechanism: &str, step: u32, decoded: Option<&[u8]>) -> LoginResponse {
    let user = decoded.and_then(|response| user(mechanism, step, response));
    LoginResponse::new(user, exposure(mechanism, step))
}

/// Returns whether a reply with a code of three digits accepts or refuses a login. `None` if it does neither.
pub(crate) fn result_of_code(reply: &[u8]) -> Option<bool> {
    match reply.first() {
        Some(b'2') => Some(true),
        Some(b'4' | b'5') => Some(false),
        _ => None,
    }
}

/// Returns a word without the quotes around it.
pub(crate) fn unquoted(word: &[u8]) -> &[u8] {
    word.strip_prefix(b"\"").and_then(|word| word.strip_suffix(b"\"")).unwrap_or(word)
}

/// Returns what the response with this number exposes.
fn exposure(mechanism: &str, step: u32) -> LoginExposure {
    let upper = mechanism.to_ascii_uppercase();
    match (upper.as_str(), step) {
        (_, 0) => LoginExposure::Attempted,
        ("ANONYMOUS" | "EXTERNAL" | "GSSAPI" | "GS2-KRB5", _) => LoginExposure::Identity,
        // The first response of these names the user.
        ("LOGIN", 1) => LoginExposure::Identity,
        (name, 1) if name.starts_with("SCRAM-") => LoginExposure::Identity,
        (name, _) if name.starts_with("SCRAM-") => LoginExposure::Guessable,
        (
            "CRAM-MD5" | "DIGEST-MD5" | "NTLM" | "GSS-SPNEGO" | "SRP" | "PASSDSS-3DES-1" | "MYSQL41"
            | "SHA256_MEMORY",
            _,
        ) => LoginExposure::Guessable,
        // PLAIN, LOGIN, XOAUTH2, OAUTHBEARER, and what is not known.
        _ => LoginExposure::Readable,
    }
}

/// Returns the user that a decoded response names. Only the field of the user is taken.
fn user(mechanism: &str, step: u32, response: &[u8]) -> Option<Vec<u8>> {
    let field = |start: &[u8], separator: u8| {
        let mut fields = response.split(|octet| *octet == separator);
        fields.find_map(|field| field.strip_prefix(start)).map(<[u8]>::to_vec)
    };
    match mechanism.to_ascii_uppercase().as_str() {
        "PLAIN" => {
            response.split(|octet| *octet == 0).nth(1).filter(|_| response.contains(&0)).map(<[u8]>::to_vec)
        }
        "LOGIN" if step == 1 => Some(response.to_vec()),
        "EXTERNAL" => Some(response.to_vec()),
        "XOAUTH2" => field(b"user=", 1),
        "OAUTHBEARER" => field(b"a=", b','),
        "CRAM-MD5" => {
            let end = response.iter().rposition(|octet| *octet == b' ')?;
            Some(response[..end].to_vec())
        }
        "DIGEST-MD5" => field(b"username=", b',').map(|user| unquoted(&user).to_vec()),
        name if name.starts_with("SCRAM-") && step == 1 => field(b"n=", b','),
        _ => None,
    }
    .filter(|user| !user.is_empty())
}
