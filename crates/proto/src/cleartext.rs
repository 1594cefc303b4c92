//! The commands of line protocols that may pass in cleartext where TLS is optional. A command passes only in the form
//! that every server reads in the same way.

use crate::CleartextPermission;
use crate::text::lines;

/// The commands of one protocol that may pass. Command names ignore case.
pub(crate) struct Cleartext {
    /// Commands without arguments.
    pub(crate) bare: &'static [&'static str],
    /// Commands that may have arguments, after one space.
    pub(crate) with_arguments: &'static [&'static str],
    /// The longest line in octets, with its end, that every server must accept. A server with a shorter buffer may
    /// read the rest of a longer line as a command.
    pub(crate) longest: usize,
}

impl Cleartext {
    /// Returns whether this line, with its CRLF, may pass.
    pub(crate) fn cleartext_permission(&self, msg: &[u8]) -> CleartextPermission {
        match msg.strip_suffix(b"\r\n") {
            Some(line) if msg.len() <= self.longest && self.lists(line) => CleartextPermission::Allowed,
            _ => CleartextPermission::NeedsTls,
        }
    }

    /// Returns whether this line, without its end, is a listed command. Control characters are refused, because
    /// servers skip them, or end the word or the line at them. Invalid UTF-8 is refused too.
    pub(crate) fn lists(&self, line: &[u8]) -> bool {
        let Some(text) = core::str::from_utf8(line).ok().filter(|text| !text.contains(char::is_control))
        else {
            return false;
        };
        let is = |known: &&str| text.eq_ignore_ascii_case(known);
        let takes =
            |known: &&str| text.split_once(' ').is_some_and(|(verb, _)| verb.eq_ignore_ascii_case(known));
        self.bare.iter().any(is) || self.with_arguments.iter().any(|it| is(it) || takes(it))
    }
}

/// Returns whether a line of this message ends like the announcement of a literal. Servers differ in the forms that
/// they support: `{5}` and `{5+}` (RFC 7888), `~{5}` (RFC 3516), and possible later forms.
pub(crate) fn announces(msg: &[u8]) -> bool {
    lines(msg).any(|line| line.trim_ascii_end().ends_with(b"}"))
}

/// Returns the permission of a message that is not listed, in a protocol with literals.
pub(crate) fn unlisted(msg: &[u8]) -> CleartextPermission {
    if announces(msg) { CleartextPermission::Ambiguous } else { CleartextPermission::NeedsTls }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIST: Cleartext = Cleartext { bare: &["NOOP"], with_arguments: &["HELP"], longest: 20 };

    #[test]
    fn only_listed_commands_in_their_exact_form_pass() {
        for line in ["NOOP\r\n", "noop\r\n", "HELP\r\n", "HELP me\r\n", "help gr\u{fc}n\r\n"] {
            assert_eq!(LIST.cleartext_permission(line.as_bytes()), CleartextPermission::Allowed, "{line:?}");
        }
        for line in [
            "NOOP",
            "NOOP\n",
            "NOOP \r\n",
            "NOOP x\r\n",
            " NOOP\r\n",
            "\tHELP\r\n",
            "HELP\tx\r\n",
            "HELP x\0\r\n",
            "HELP x\u{8d}\r\n",
            "HELP 0123456789abcdef\r\n",
            "HELPme\r\n",
            "AUTH\r\n",
            "\r\n",
        ] {
            assert_eq!(LIST.cleartext_permission(line.as_bytes()), CleartextPermission::NeedsTls, "{line:?}");
        }
        assert_eq!(LIST.cleartext_permission(b"HELP \xff\r\n"), CleartextPermission::NeedsTls);
    }

    #[test]
    fn whatever_may_announce_a_literal_is_one() {
        for msg in [
            "{5}\r\n",
            "a X {5+}\r\n",
            "a X {5-}\r\n",
            "a X ~{5}\r\n",
            "a X {5} \r\n",
            "a {1+}\r\nx\r\n",
            "}\r\n",
        ] {
            assert!(announces(msg.as_bytes()), "{msg:?}");
        }
        for msg in ["a X\r\n", "a {5} x\r\n", "\r\n"] {
            assert!(!announces(msg.as_bytes()), "{msg:?}");
        }
    }
}
