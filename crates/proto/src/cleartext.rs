//! What line protocols let pass in cleartext where TLS is optional: commands from a list, in the one form that every
//! server reads alike.

use crate::CleartextPermission;
use crate::text::lines;

/// The commands of one protocol that may pass. Upper and lower case are equal in their names.
pub(crate) struct Cleartext {
    /// Commands that stand alone on their line.
    pub(crate) bare: &'static [&'static str],
    /// Commands that may have arguments, after one space.
    pub(crate) with_arguments: &'static [&'static str],
    /// The longest line that every server has to take, in octets with its end. A server with a shorter buffer may take
    /// the rest of a longer line for a command.
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

    /// Whether this line, without its end, is a listed command. Control characters are refused: servers skip them, end
    /// words at them, or end the line there. So is what is not UTF-8.
    pub(crate) fn lists(&self, line: &[u8]) -> bool {
        let Some(text) = std::str::from_utf8(line).ok().filter(|text| !text.contains(char::is_control))
        else {
            return false;
        };
        let is = |known: &&str| text.eq_ignore_ascii_case(known);
        let takes =
            |known: &&str| text.split_once(' ').is_some_and(|(verb, _)| verb.eq_ignore_ascii_case(known));
        self.bare.iter().any(is) || self.with_arguments.iter().any(|it| is(it) || takes(it))
    }
}

/// Whether a line of this message ends as an announcement of a literal does. Which forms announce one depends on what a
/// server knows: `{5}` and `{5+}` (RFC 7888), `~{5}` (RFC 3516), and whatever comes later.
pub(crate) fn announces(msg: &[u8]) -> bool {
    lines(msg).any(|line| line.trim_ascii_end().ends_with(b"}"))
}

/// The clearance of a message that is not listed, in a protocol with literals.
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
