//! Servers that refuse the hello and therefore list no capabilities. Such an answer is not a list without the
//! upgrade.

use alloc::string::{String, ToString};
use alloc::vec::Vec;

use crate::{ClientMessage, Dialect, Escaped, Identity, Protocol, Side};

/// The reason for which a server refused the hello. Each variant contains the server's answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum HelloRefusal {
    /// The server does not know the command.
    UnknownCommand(String),
    /// The server knows the command but refuses it. The reason may be the name that the client sent.
    RefusedName(String),
}

impl HelloRefusal {
    /// Parses the answer to a hello. Returns `None` if the answer is a capability list.
    pub fn read(protocol: &Protocol, answer: &[u8]) -> Option<Self> {
        let dialect = || protocol.new_dialect(Identity::new("").with_nonce(0));
        Self::of(&*dialect(), || names_the_client(&mut *dialect()), answer)
    }

    /// Parses the answer to a hello, for a dialect whose hello may contain the client's name.
    pub(crate) fn of(
        dialect: &dyn Dialect,
        names_client: impl FnOnce() -> bool,
        answer: &[u8],
    ) -> Option<Self> {
        let line = last_line(dialect, answer);
        if !is_error(&line) {
            return None;
        }
        // RFC 5321 section 4.2.4: 500 and 502 refer to the command, other codes to its argument or to the client.
        match names_client() && !["500", "502"].iter().any(|code| line.starts_with(code)) {
            true => Some(Self::RefusedName(line)),
            false => Some(Self::UnknownCommand(line)),
        }
    }

    /// Returns the server's answer.
    pub fn answer(&self) -> &str {
        match self {
            Self::UnknownCommand(answer) | Self::RefusedName(answer) => answer,
        }
    }
}

/// Returns whether the hello contains the client's name, so that a server may refuse the name.
pub(crate) fn names_the_client(dialect: &mut dyn Dialect) -> bool {
    let name = Identity::new("").client_name;
    let mut hello = Vec::new();
    dialect.write_client(ClientMessage::Hello, &mut hello);
    hello.windows(name.len()).any(|it| it == name.as_bytes())
}

/// Returns the last line, escaped. Notices and untagged lines may precede it.
fn last_line(dialect: &dyn Dialect, answer: &[u8]) -> String {
    dialect.describe(Side::Server, answer).unwrap_or_else(|| {
        let last = answer.trim_ascii_end().rsplit(|byte| *byte == b'\n').next().unwrap_or_default();
        Escaped(last.trim_ascii()).to_string()
    })
}

/// Returns whether a line is an error in any protocol: a code from 400 (SMTP, NNTP, FTP; in IRC after the server's
/// name), `BAD` or `NO` after a tag (IMAP), `-ERR` (POP3), `Error` (MySQL X), or a result other than success (LDAP).
fn is_error(line: &str) -> bool {
    let is_code = |word: &str| {
        word.len() == 3 && word.starts_with(['4', '5']) && word.bytes().all(|byte| byte.is_ascii_digit())
    };
    let mut words = line.split([' ', '-']);
    let first = words.next().unwrap_or_default();
    if first == "SearchResultDone" {
        return line.split_once(": ").is_some_and(|(_, result)| result.split(' ').next() != Some("0"));
    }
    if first.starts_with(|c: char| c.is_ascii_digit()) {
        return is_code(first);
    }
    let second = line.split(' ').nth(1).unwrap_or_default();
    line.starts_with("-ERR") || first == "Error" || is_code(second) || ["BAD", "NO"].contains(&second)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol;

    fn read(scheme: &str, answer: &str) -> Option<HelloRefusal> {
        HelloRefusal::read(protocol(scheme).unwrap(), answer.as_bytes())
    }

    #[test]
    fn an_error_is_not_a_list() {
        for (scheme, answer) in [
            ("smtp", "250-mail.example.com\r\n250 8BITMIME\r\n"),
            ("smtp", "250 mail.example.com\r\n"),
            ("lmtp", "250-mail.example.com\r\n250 500\r\n"),
            ("imap", "* CAPABILITY IMAP4rev1\r\na1 OK done\r\n"),
            ("pop3", "+OK\r\nUSER\r\n.\r\n"),
            ("nntp", "101 list\r\nVERSION 2\r\nREADER\r\n.\r\n"),
            ("ftp", "211-Features:\r\n SIZE\r\n211 End\r\n"),
            ("irc", ":irc.example.com CAP * LS :multi-prefix\r\n"),
        ] {
            assert_eq!(read(scheme, answer), None, "{scheme}: {answer}");
        }
        let unknown = |text: &str| Some(HelloRefusal::UnknownCommand(text.to_owned()));
        for (scheme, answer, text) in [
            ("smtp", "502 5.5.1 what?\r\n", "502 5.5.1 what?"),
            ("imap", "* OK still here\r\na1 BAD what?\r\n", "a1 BAD what?"),
            ("pop3", "-ERR what?\r\n", "-ERR what?"),
            ("nntp", "500 command not recognized\r\n", "500 command not recognized"),
            ("ftp", "500-what?\r\n500 FEAT\r\n", "500 FEAT"),
            (
                "irc",
                ":a.example NOTICE * :hello\r\n:a.example 421 * CAP :what?\r\n",
                ":a.example 421 * CAP :what?",
            ),
        ] {
            assert_eq!(read(scheme, answer), unknown(text), "{scheme}: {answer}");
        }
        for answer in
            ["504 5.5.2 need a fully-qualified hostname", "501 bad name", "450 4.7.1 later", "550 no"]
        {
            let expected = Some(HelloRefusal::RefusedName(answer.to_owned()));
            assert_eq!(read("smtp", &format!("{answer}\r\n")), expected);
        }
    }
}
