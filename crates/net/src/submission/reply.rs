//! What a server answers.

use std::fmt;

use starttls_proto::Escaped;

/// A reply: its code and its text, neither escaped nor trusted (RFC 5321 section 4.2).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reply {
    /// The three digits.
    pub code: u16,
    /// The text of its lines, without the code.
    pub lines: Vec<Vec<u8>>,
}

impl Reply {
    /// Of a whole reply, whose form was looked at already.
    pub(super) fn read(message: &[u8]) -> Self {
        let line = |line: &[u8]| line.get(4..).unwrap_or_default().trim_ascii_end().to_vec();
        let digits = message.get(..3).and_then(|code| std::str::from_utf8(code).ok());
        Self {
            code: digits.and_then(|code| code.parse().ok()).unwrap_or(0),
            lines: message.split_inclusive(|&byte| byte == b'\n').map(line).collect(),
        }
    }

    /// 2xx.
    pub fn is_positive(&self) -> bool {
        (200..300).contains(&self.code)
    }

    /// 4xx: the same may do later.
    pub fn is_temporary(&self) -> bool {
        (400..500).contains(&self.code)
    }
}

/// In one line, escaped.
impl fmt::Display for Reply {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.code)?;
        self.lines.iter().try_for_each(|line| write!(f, " {}", Escaped(line)))
    }
}

/// What a server can do (RFC 5321 section 4.1.1.1): each extension with its parameters.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Extensions(Vec<String>);

impl Extensions {
    /// Of the answer to EHLO; the first line is a greeting.
    pub(super) fn read(reply: &Reply) -> Self {
        let lines = reply.lines.iter().skip(1);
        Self(lines.map(|line| String::from_utf8_lossy(line).into_owned()).collect())
    }

    /// Each as the server wrote it, not escaped.
    pub fn iter(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(String::as_str)
    }

    /// Whether there is this one.
    pub fn has(&self, keyword: &str) -> bool {
        self.parameters(keyword).is_some()
    }

    /// What stands behind its keyword.
    pub fn parameters(&self, keyword: &str) -> Option<&str> {
        self.iter().find_map(|line| {
            let (word, rest) = line.split_once(' ').unwrap_or((line, ""));
            word.eq_ignore_ascii_case(keyword).then_some(rest)
        })
    }
}
