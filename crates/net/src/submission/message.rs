//! The message: octets that are sent unchanged, and refused if servers could parse them differently.

use std::sync::Arc;

use super::SubmissionError;

/// A message in which every line ends with CRLF.
///
/// A bare CR or LF is refused. If one server takes it as a line end and the next server does not, the message can contain a
/// second message that no server checked (SMTP smuggling). The message is not checked further, and never changed.
#[derive(Clone, PartialEq, Eq)]
pub struct Message {
    bytes: Arc<[u8]>,
}

impl Message {
    /// Returns a message with these octets (RFC 5321 section 2.3.8).
    ///
    /// # Errors
    /// [`SubmissionError::Message`] for a bare CR or LF.
    pub fn new(bytes: impl Into<Vec<u8>>) -> Result<Self, SubmissionError> {
        let bytes = bytes.into();
        let mut before = 0;
        for (at, &byte) in bytes.iter().enumerate() {
            let bare = match byte {
                b'\n' => before != b'\r',
                _ => before == b'\r',
            };
            if bare {
                return Err(bare_end(&bytes, at, byte));
            }
            before = byte;
        }
        if before == b'\r' {
            return Err(bare_end(&bytes, bytes.len(), 0));
        }
        Ok(Self { bytes: bytes.into() })
    }

    /// Returns a message from a text file, in which either all lines end with LF or all with CRLF.
    ///
    /// # Errors
    /// [`SubmissionError::Message`] for a mixture of line ends.
    pub fn from_text(text: &[u8]) -> Result<Self, SubmissionError> {
        if text.contains(&b'\r') {
            return Self::new(text);
        }
        let mut bytes = Vec::with_capacity(text.len() + text.len() / 32);
        for line in text.split_inclusive(|&byte| byte == b'\n') {
            match line.strip_suffix(b"\n") {
                Some(line) => bytes.extend_from_slice(&[line, b"\r\n"].concat()),
                None => bytes.extend_from_slice(line),
            }
        }
        Self::new(bytes)
    }

    /// Returns the octets of the message.
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Returns whether the message contains non-ASCII octets, so that it needs 8BITMIME (RFC 6152).
    pub fn is_8bit(&self) -> bool {
        !self.bytes.is_ascii()
    }

    /// Returns whether the header contains non-ASCII octets, so that the message needs SMTPUTF8 (RFC 6531 section 3.1).
    pub fn has_utf8_header(&self) -> bool {
        let end = self.bytes.windows(4).position(|it| it == b"\r\n\r\n").unwrap_or(self.bytes.len());
        !self.bytes[..end].is_ascii()
    }

    /// Returns the message as DATA requires it: each line that starts with a dot gets another one, and a line with one dot ends
    /// the message (RFC 5321 section 4.5.2). A last line without a line end gets one, because DATA requires it.
    pub(super) fn dot_stuffed(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(self.bytes.len() + self.bytes.len() / 64 + 5);
        for line in self.bytes.split_inclusive(|&byte| byte == b'\n') {
            if line.starts_with(b".") {
                out.push(b'.');
            }
            out.extend_from_slice(line);
        }
        if !out.is_empty() && !out.ends_with(b"\r\n") {
            out.extend_from_slice(b"\r\n");
        }
        out.extend_from_slice(b".\r\n");
        out
    }
}

impl std::fmt::Debug for Message {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Message").field("octets", &self.bytes.len()).finish()
    }
}

fn bare_end(bytes: &[u8], at: usize, byte: u8) -> SubmissionError {
    let what = if byte == b'\n' { "LF" } else { "CR" };
    let line = 1 + bytes[..at].iter().filter(|&&byte| byte == b'\n').count();
    SubmissionError::Message {
        what: format!("line {line} contains a bare {what}, which only some servers take as a line end"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_crlf_ends_a_line() {
        for good in [&b""[..], b"a", b"a\r\n", b"a\r\n.\r\nb", b"\r\n\r\n"] {
            assert_eq!(Message::new(good).unwrap().as_bytes(), good);
        }
        for bad in [&b"\n"[..], b"a\nb", b"a\rb", b"a\r", b"a\r\r\n", b"\r\n.\n", b"a\n.\r\n"] {
            assert!(Message::new(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn text_has_one_kind_of_line_end() {
        assert_eq!(Message::from_text(b"a\n\nb").unwrap().as_bytes(), b"a\r\n\r\nb");
        assert_eq!(Message::from_text(b"a\r\nb\r\n").unwrap().as_bytes(), b"a\r\nb\r\n");
        for mixed in [&b"a\nb\r\n"[..], b"a\r\n.\n", b"a\rb\n"] {
            assert!(Message::from_text(mixed).is_err(), "{mixed:?}");
        }
    }

    #[test]
    fn leading_dots_are_doubled_and_one_dot_ends_the_message() {
        let stuffed = |text: &[u8]| Message::new(text).unwrap().dot_stuffed();
        assert_eq!(stuffed(b""), b".\r\n");
        assert_eq!(stuffed(b".\r\n..a\r\nb."), b"..\r\n...a\r\nb.\r\n.\r\n");
    }

    #[test]
    fn non_ascii_octets_need_extensions() {
        let needs = |text: &str| {
            let message = Message::new(text).unwrap();
            (message.is_8bit(), message.has_utf8_header())
        };
        assert_eq!(needs("Subject: a\r\n\r\nb"), (false, false));
        assert_eq!(needs("Subject: a\r\n\r\n\u{e4}"), (true, false));
        assert_eq!(needs("Subject: \u{e4}\r\n\r\nb"), (true, true));
    }
}
