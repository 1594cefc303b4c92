//! What an observer of cleartext reads: how connections begin, what carries content, and logins.

use super::Http;
use crate::text::{has_verb, lines, words};
use crate::{LoginExposure, LoginPart, ObservedDialect, OpeningFit, Side, base64};

impl ObservedDialect for Http {
    fn opening(&self, from: Side, first: &[u8]) -> OpeningFit {
        let verbs: &[&[u8]] =
            &[b"CONNECT", b"DELETE", b"GET", b"HEAD", b"OPTIONS", b"PATCH", b"POST", b"PUT", b"TRACE"];
        // GET VAR is a command of another protocol (NUT).
        let is_request = has_verb(first, 0, verbs) && !has_verb(first, 1, &[b"VAR"]);
        OpeningFit::possible(from == Side::Client && is_request)
    }

    fn carries_content(&self, msg: &[u8]) -> bool {
        !msg.starts_with(b"OPTIONS")
    }

    /// Reads the fields of a request that log in (RFC 9110 section 11.6).
    fn login_part(&self, msg: &[u8]) -> Option<LoginPart> {
        let value = lines(msg).find_map(|line| {
            let colon = line.iter().position(|octet| *octet == b':')?;
            let name = line[..colon].to_ascii_lowercase();
            [&b"authorization"[..], b"proxy-authorization"].contains(&&*name).then(|| &line[colon + 1..])
        });
        let Some(value) = value else {
            return Some(LoginPart::new("Cookie", None, LoginExposure::Readable));
        };
        let mut words = words(value.trim_ascii());
        let (name, exposure) = match words.next()?.to_ascii_lowercase().as_slice() {
            // RFC 7617 section 2.
            b"basic" => {
                let pair = words.next().and_then(base64::decode).unwrap_or_default();
                let end = pair.iter().position(|octet| *octet == b':');
                return Some(LoginPart::new("Basic", end.map(|end| &pair[..end]), LoginExposure::Readable));
            }
            b"digest" => ("Digest", LoginExposure::Guessable),
            b"negotiate" | b"ntlm" => ("Negotiate", LoginExposure::Guessable),
            _ => ("Authorization", LoginExposure::Readable),
        };
        Some(LoginPart::new(name, None, exposure))
    }
}
