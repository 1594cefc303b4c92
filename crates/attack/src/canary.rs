//! The canary of a run: the credentials of the client, and the mark in injected bytes. Both are unique to the run.

use std::hash::{BuildHasher, Hasher, RandomState};

/// The length of a mark in octets. It is fixed, so that binary scenarios can contain the lengths of the texts around it.
pub const MARK_LENGTH: usize = 16;

/// The credentials and the mark of one run.
#[derive(Clone, Debug)]
pub struct Canary {
    /// The user that the client under test logs in as.
    pub user: String,
    /// The password, which is random.
    pub password: String,
    /// The mark in injected bytes: `MARK` and twelve hexadecimal digits.
    pub mark: String,
}

impl Canary {
    /// Returns a canary with these credentials and a random mark.
    pub fn new(user: &str, password: &str) -> Self {
        let random = RandomState::new().build_hasher().finish();
        let mark = format!("MARK{:012x}", random >> 16);
        Self { user: user.to_owned(), password: password.to_owned(), mark }
    }

    /// Returns whether these bytes contain the password, as it is or in base64 at any alignment.
    pub fn password_in(&self, bytes: &[u8]) -> bool {
        if self.password.is_empty() {
            return false;
        }
        let encoded =
            (0..3).map(|shift| core(&[&vec![b' '; shift], self.password.as_bytes()].concat(), shift));
        contains(bytes, self.password.as_bytes())
            || encoded.into_iter().any(|it| contains(bytes, it.as_bytes()))
    }

    /// Returns whether these bytes contain the mark in any case, since some clients change the case.
    pub fn mark_in(&self, bytes: &[u8]) -> bool {
        bytes.windows(MARK_LENGTH).any(|it| it.eq_ignore_ascii_case(self.mark.as_bytes()))
    }
}

/// Returns whether `bytes` contains `part`.
pub(crate) fn contains(bytes: &[u8], part: &[u8]) -> bool {
    bytes.windows(part.len().max(1)).any(|window| window == part)
}

/// Returns the base64 characters that depend on the text alone, and not on the bytes before and after it.
fn core(shifted: &[u8], shift: usize) -> String {
    let whole = shifted.len() - shifted.len() % 3;
    let mut encoded = base64(&shifted[..whole]);
    encoded.drain(..[0, 2, 3][shift].min(encoded.len()));
    encoded
}

/// Encodes whole groups of three octets (RFC 4648 section 4).
fn base64(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let groups = bytes.chunks_exact(3).flat_map(|group| {
        let bits = group.iter().fold(0, |bits, byte| bits << 8 | usize::from(*byte));
        [18, 12, 6, 0].map(|shift| char::from(DIGITS[bits >> shift & 63]))
    });
    groups.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_is_found_in_the_clear_and_in_base64() {
        let canary = Canary::new("test", "sesame-open");
        for text in [
            "LOGIN test sesame-open",
            // printf '\0test\0sesame-open' | base64, and with one and two octets less before it.
            "AUTH PLAIN AHRlc3QAc2VzYW1lLW9wZW4=",
            "AUTH PLAIN dGVzdABzZXNhbWUtb3Blbg==",
            "ZXN0AHNlc2FtZS1vcGVu",
        ] {
            assert!(canary.password_in(text.as_bytes()), "{text}");
        }
        assert!(!canary.password_in(b"AUTH PLAIN AHRlc3QAc2VzYW1lLXNodXQ="));
    }

    #[test]
    fn marks_differ_and_are_found_in_any_case() {
        let (one, other) = (Canary::new("", ""), Canary::new("", ""));
        assert_ne!(one.mark, other.mark);
        assert_eq!(one.mark.len(), MARK_LENGTH);
        assert!(one.mark_in(format!("a{}b", one.mark.to_lowercase()).as_bytes()));
        assert!(!one.mark_in(other.mark.as_bytes()) && !one.password_in(b"anything"));
    }
}
