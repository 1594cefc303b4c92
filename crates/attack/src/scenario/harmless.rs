//! Messages in cleartext that disclose nothing, as data.

use std::collections::BTreeMap;
use std::sync::OnceLock;

const FILE: &str = include_str!("harmless.toml");

/// Returns whether a message of the client discloses nothing in this protocol.
pub(crate) fn is_harmless(protocol: &str, message: &[u8]) -> bool {
    static STARTS: OnceLock<BTreeMap<String, Vec<String>>> = OnceLock::new();
    // The test below parses the file.
    let starts = STARTS.get_or_init(|| toml::from_str(FILE).unwrap_or_default());
    let is = |start: &String| {
        message.get(..start.len()).is_some_and(|it| it.eq_ignore_ascii_case(start.as_bytes()))
    };
    starts.get(protocol).is_some_and(|starts| starts.iter().any(is))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_question_is_harmless_and_a_login_is_not() {
        assert!(is_harmless("pop3", b"auth\r\n") && is_harmless("xmpp", b"<stream:error><reset/>"));
        assert!(!is_harmless("pop3", b"AUTH PLAIN AHRlc3Q=\r\n") && !is_harmless("imap", b"AUTH\r\n"));
        let read: BTreeMap<String, Vec<String>> = toml::from_str(FILE).unwrap();
        assert!(read.keys().all(|name| starttls::proto::protocol(name).is_some()), "{read:?}");
    }
}
