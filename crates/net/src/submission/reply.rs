//! The replies of a server.

use std::fmt;

use starttls_proto::Escaped;

/// A reply of an SMTP server: its code and its text, neither escaped nor trusted (RFC 5321 section 4.2).
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Reply {
    /// The code of three digits.
    pub code: u16,
    /// The text of its lines, without the code.
    pub lines: Vec<Vec<u8>>,
}

impl Reply {
    /// Parses a complete reply, whose form the dialect has checked.
    pub(super) fn read(message: &[u8]) -> Self {
        let line = |line: &[u8]| line.get(4..).unwrap_or_default().trim_ascii_end().to_vec();
        let digits = message.get(..3).and_then(|code| std::str::from_utf8(code).ok());
        Self {
            code: digits.and_then(|code| code.parse().ok()).unwrap_or(0),
            lines: message.split_inclusive(|&byte| byte == b'\n').map(line).collect(),
        }
    }

    /// Returns whether the code is 2xx.
    pub fn is_positive(&self) -> bool {
        (200..300).contains(&self.code)
    }

    /// Returns whether the code is 4xx: the client may try again later.
    pub fn is_temporary(&self) -> bool {
        (400..500).contains(&self.code)
    }
}

/// Writes the reply in one line, escaped.
impl fmt::Display for Reply {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.code)?;
        self.lines.iter().try_for_each(|line| write!(f, " {}", Escaped(line)))
    }
}

/// The extensions of a server, each with its parameters (RFC 5321 section 4.1.1.1).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Extensions(Vec<String>);

impl Extensions {
    /// Parses the reply to EHLO, whose first line is a greeting.
    pub(super) fn read(reply: &Reply) -> Self {
        let lines = reply.lines.iter().skip(1);
        Self(lines.map(|line| String::from_utf8_lossy(line).into_owned()).collect())
    }

    /// Returns the extensions as the server sent them, not escaped.
    pub fn iter(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(String::as_str)
    }

    /// Returns whether the server offers this extension.
    pub fn has(&self, keyword: &str) -> bool {
        self.parameters(keyword).is_some()
    }

    /// Returns the parameters of an extension; `None` if the server does not offer it.
    pub fn parameters(&self, keyword: &str) -> Option<&str> {
        self.iter().find_map(|line| {
            let (word, rest) = line.split_once(' ').unwrap_or((line, ""));
            word.eq_ignore_ascii_case(keyword).then_some(rest)
        })
    }
}
