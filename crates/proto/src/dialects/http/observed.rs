//! Logins, as an observer of cleartext reads them.

use super::Http;
use crate::text::{lines, words};
use crate::{LoginExposure, LoginPart, ObservedDialect, base64};

impl ObservedDialect for Http {
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
