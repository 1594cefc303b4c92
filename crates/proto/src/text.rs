//! Functions that the line protocols share: strict lines, replies with codes, dot-terminated blocks, words.

use alloc::collections::VecDeque;
use alloc::string::String;
use alloc::vec::Vec;

use crate::malformed::malformed;
use crate::{Malformed, OutputBuffer, Scan, base64, probe_credentials};

/// Returns the word at this place in the first line, counted from 0, or an empty word.
pub(crate) fn word_at(msg: &[u8], at: usize) -> &[u8] {
    let line = msg.split(|byte| matches!(byte, b'\r' | b'\n')).next().unwrap_or_default();
    words(line).nth(at).unwrap_or_default()
}

/// Returns whether the word at this place in the line, counted from 0, is one of these verbs.
pub(crate) fn has_verb(msg: &[u8], at: usize, verbs: &[&[u8]]) -> bool {
    verbs.iter().any(|verb| word_at(msg, at).eq_ignore_ascii_case(verb))
}

/// Returns whether a server's first octets are a reply with a code of three digits (RFC 5321 section 4.2), and not a greeting of
/// NNTP, which has codes of its own (RFC 3977 section 5.1).
pub(crate) fn opens_with_reply(first: &[u8]) -> bool {
    let is_reply = matches!(*first, [b'1'..=b'5', b'0'..=b'9', b'0'..=b'9', b' ' | b'-', ..]);
    is_reply && !first.starts_with(b"200 ") && !first.starts_with(b"201 ")
}

/// Frames a line with its CRLF. A bare CR or LF is an error, because a peer that accepts it sees a different message.
pub(crate) fn line(buf: &[u8], scan: &mut Scan) -> Result<Option<usize>, Malformed> {
    while let Some(&byte) = buf.get(scan.at) {
        scan.at += 1;
        let after_cr = core::mem::replace(&mut scan.state, u8::from(byte == b'\r')) == 1;
        match (after_cr, byte) {
            (true, b'\n') => {
                scan.state = 0;
                return Ok(Some(scan.at));
            }
            (true, _) | (false, b'\n') => return Err(malformed("a line that ends with CRLF")),
            (false, 0) => return Err(malformed("a line without NUL")),
            _ => {}
        }
    }
    Ok(None)
}

/// Frames a line with its LF or CRLF.
pub(crate) fn lf_line(buf: &[u8], scan: &mut Scan) -> Result<Option<usize>, Malformed> {
    while let Some(&byte) = buf.get(scan.at) {
        scan.at += 1;
        match byte {
            b'\n' => return Ok(Some(scan.at)),
            0 => return Err(malformed("a line without NUL")),
            _ => {}
        }
    }
    Ok(None)
}

/// Frames lines up to and including the first line for which `last` is true.
pub(crate) fn lines_until(
    buf: &[u8],
    scan: &mut Scan,
    last: impl Fn(&[u8]) -> Result<bool, Malformed>,
) -> Result<Option<usize>, Malformed> {
    while let Some(end) = line(buf, scan)? {
        let current = &buf[scan.mark..end];
        scan.mark = end;
        if last(current)? {
            return Ok(Some(end));
        }
    }
    Ok(None)
}

/// Frames a block that ends with a line of one dot, as POP3 and NNTP servers send after a positive status line.
pub(crate) fn block(
    buf: &[u8],
    scan: &mut Scan,
    follows: impl Fn(&[u8]) -> bool,
) -> Result<Option<usize>, Malformed> {
    let first = scan.mark == 0;
    let first = core::cell::Cell::new(first);
    lines_until(buf, scan, |line| Ok(if first.replace(false) { !follows(line) } else { line == b".\r\n" }))
}

/// Parses the three digits at the start of a reply line.
pub(crate) fn code(line: &[u8]) -> Result<u16, Malformed> {
    match line {
        [a @ b'1'..=b'5', b @ b'0'..=b'9', c @ b'0'..=b'9', b' ' | b'-' | b'\r', ..] => {
            Ok([a, b, c].iter().fold(0, |code, digit| code * 10 + u16::from(**digit - b'0')))
        }
        _ => Err(malformed("a reply that starts with a three-digit code")),
    }
}

/// Returns the lines of a message without their line endings.
pub(crate) fn lines(msg: &[u8]) -> impl DoubleEndedIterator<Item = &[u8]> {
    let msg = msg.strip_suffix(b"\n").unwrap_or(msg);
    msg.split(|&byte| byte == b'\n').map(|line| line.strip_suffix(b"\r").unwrap_or(line))
}

/// Returns the words of a line, separated by one or more spaces.
pub(crate) fn words(line: &[u8]) -> impl Iterator<Item = &[u8]> {
    line.split(|&byte| byte == b' ').filter(|word| !word.is_empty())
}

/// Splits a command line into its verb and the text after the one octet that follows the verb. The text may be empty.
///
/// Servers skip octets before a verb and accept more than a space after it. A caller that must block a command
/// therefore has to recognize every spelling. A caller that requires the exact spelling compares lengths.
pub(crate) fn command(msg: &[u8]) -> (&[u8], &[u8]) {
    let line = lines(msg).next().unwrap_or_default();
    let start = line.iter().position(u8::is_ascii_alphanumeric).unwrap_or(line.len());
    let line = &line[start..];
    let end = line.iter().position(|byte| !byte.is_ascii_alphanumeric()).unwrap_or(line.len());
    (&line[..end], line.get(end + 1..).unwrap_or_default())
}

/// Splits a line into its first word and the text after the first space, which may be empty.
pub(crate) fn word(msg: &[u8]) -> (&[u8], &[u8]) {
    let line = lines(msg).next().unwrap_or_default();
    match line.iter().position(|&byte| byte == b' ') {
        Some(space) => (&line[..space], &line[space + 1..]),
        None => (line, &[]),
    }
}

/// Returns the verb of a command in upper case. It is cut after 16 octets, which no real verb exceeds.
pub(crate) fn verb<'a>(word: &[u8], upper: &'a mut [u8; 16]) -> &'a [u8] {
    let len = word.len().min(upper.len());
    upper[..len].copy_from_slice(&word[..len]);
    upper[..len].make_ascii_uppercase();
    if word.len() > len { b"" } else { &upper[..len] }
}

/// A literal that is announced at the end of a line: its length in octets, and whether the client waits for the
/// server's go-ahead.
pub(crate) struct Literal {
    pub(crate) octets: usize,
    pub(crate) synchronising: bool,
}

/// Parses the literal announced at the end of a line: `{5}`, or `{5+}`, for which the client does not wait (RFC
/// 7888). Literals under the capability LITERAL- also have the plus sign (RFC 7888 section 5).
pub(crate) fn literal(line: &[u8]) -> Option<Literal> {
    let line = line.strip_suffix(b"}\r\n")?;
    let number = line.rsplit(|&byte| byte == b'{').next().filter(|number| number.len() < line.len())?;
    let (digits, synchronising) = match number {
        [digits @ .., b'+'] => (digits, false),
        digits => (digits, true),
    };
    let decimal = !digits.is_empty() && digits.iter().all(u8::is_ascii_digit);
    let value = |sum: usize, digit: &u8| sum.saturating_mul(10).saturating_add(usize::from(digit - b'0'));
    decimal.then(|| Literal { octets: digits.iter().fold(0, value), synchronising })
}

/// Frames lines up to and including the first line for which `last` is true. A line that ends with a literal
/// continues after it. `literal` returns the number of octets that a part of a line announces.
pub(crate) fn lines_with_literals(
    buf: &[u8],
    scan: &mut Scan,
    literal: impl Fn(&[u8]) -> Option<usize>,
    last: impl Fn(&[u8]) -> Result<bool, Malformed>,
) -> Result<Option<usize>, Malformed> {
    // `depth` is the end of the last literal, and `mark` is the start of the line.
    loop {
        scan.at = scan.at.max(scan.depth.min(buf.len()));
        if scan.at < scan.depth {
            return Ok(None);
        }
        let Some(end) = line(buf, scan)? else { return Ok(None) };
        if let Some(octets) = literal(&buf[scan.mark.max(scan.depth)..end]) {
            scan.depth = end.saturating_add(octets);
            continue;
        }
        let current = &buf[scan.mark..end];
        scan.mark = end;
        if last(current)? {
            return Ok(Some(end));
        }
    }
}

/// Frames a client's command: a line with its non-synchronizing literals. A literal that waits for the server ends
/// the message.
pub(crate) fn command_with_literals(buf: &[u8], scan: &mut Scan) -> Result<Option<usize>, Malformed> {
    let included = |line: &[u8]| literal(line).filter(|it| !it.synchronising).map(|it| it.octets);
    lines_with_literals(buf, scan, included, |_| Ok(true))
}

/// Returns the length of the literal that the client announced at the end of this message and waits to send.
pub(crate) fn announcement(msg: &[u8]) -> Option<usize> {
    msg.strip_suffix(b"}\r\n")?;
    let mut scan = Scan::default();
    // The braces must follow the last literal. Braces inside it announce nothing.
    let whole = command_with_literals(msg, &mut scan).ok().flatten()?;
    literal(msg.get(scan.depth..whole)?).map(|it| it.octets)
}

/// Returns whether this text starts with `start`, ignoring case.
pub(crate) fn starts_with(text: &[u8], start: &[u8]) -> bool {
    text.get(..start.len()).is_some_and(|head| head.eq_ignore_ascii_case(start))
}

/// Returns whether the first word of this line is `word`, ignoring case.
pub(crate) fn opens_with(line: &[u8], word: &[u8]) -> bool {
    words(line).next().is_some_and(|first| first.eq_ignore_ascii_case(word))
}

/// Returns whether this human-readable text mentions TLS by any of its names. In some protocols only the text
/// contains the reason for a refusal. The result may be used in reports only.
pub(crate) fn mentions_tls(text: &[u8]) -> bool {
    let names: [&[u8]; 4] = [b"TLS", b"STARTTLS", b"STLS", b"SSL"];
    let is_word = |byte: &u8| byte.is_ascii_alphanumeric() || *byte == b'-';
    // A server that repeats the probe's user name has not mentioned TLS.
    let words = text
        .split(|byte| !is_word(byte))
        .filter(|word| !starts_with(word, probe_credentials::USER.as_bytes()));
    words
        .flat_map(|word| word.split(|byte| *byte == b'-'))
        .any(|word| names.iter().any(|name| word.eq_ignore_ascii_case(name)))
}

/// Decodes a challenge in Base64, such as the text after `334`. Empty text is the empty challenge.
pub(crate) fn challenge(text: &[u8]) -> Result<Vec<u8>, Malformed> {
    base64::decode(text.trim_ascii()).ok_or(malformed("a challenge in Base64"))
}

/// Appends a response in Base64 (RFC 4422 section 3.4 leaves the encoding to the protocol).
pub(crate) fn respond(response: &[u8], out: &mut OutputBuffer) {
    out.push_redacted(base64::encode(response));
    out.push_public("\r\n");
}

/// Begins a mechanism with `command`. Returns whether the initial response was included, which requires that the line
/// does not exceed `longest`. An empty response is written as `=`.
pub(crate) fn begin(command: &str, initial: Option<&[u8]>, longest: usize, out: &mut OutputBuffer) -> bool {
    out.push_public(command);
    let encoded =
        initial.map(|bytes| if bytes.is_empty() { String::from("=") } else { base64::encode(bytes) });
    let fits = encoded.as_ref().is_none_or(|it| command.len() + 1 + it.len() + 2 <= longest);
    if let Some(encoded) = encoded.filter(|_| fits) {
        out.push_public(" ");
        out.push_redacted(encoded);
    }
    out.push_public("\r\n");
    fits
}

/// Splits a PLAIN message into the name and the password (RFC 4616 section 2).
pub(crate) fn name_and_password(initial: Option<&[u8]>) -> (&[u8], &[u8]) {
    let mut parts = initial.unwrap_or_default().split(|&byte| byte == 0).skip(1);
    (parts.next().unwrap_or_default(), parts.next().unwrap_or_default())
}

/// The commands that wait for an answer, oldest first: whether a positive answer is a block.
#[derive(Debug, Default)]
pub(crate) struct Blocks(VecDeque<bool>);

impl Blocks {
    /// The most commands that wait for answers, as in a relay.
    const MAX: usize = 1024;

    /// Records a command.
    pub(crate) fn asked(&mut self, block: bool) {
        if self.0.len() < Self::MAX {
            self.0.push_back(block);
        }
    }

    /// Removes the last command, which was answered without the server.
    pub(crate) fn settled(&mut self) {
        self.0.pop_back();
    }

    /// Records an answer. Returns whether no other answer is due.
    pub(crate) fn answered(&mut self) -> bool {
        self.0.pop_front();
        self.0.is_empty()
    }

    /// Returns whether the next positive answer is a block.
    pub(crate) fn next(&self) -> bool {
        self.0.front() == Some(&true)
    }
}

#[cfg(test)]
mod tests {
    use super::mentions_tls;

    #[test]
    fn tls_is_mentioned_as_a_word() {
        for text in
            ["STLS comes first", "not on non-secure (SSL/TLS) connections", "Use of starttls required"]
        {
            assert!(mentions_tls(text.as_bytes()), "{text}");
        }
        let repeated = ["never heard of starttls-probe", "no mailbox for \"starttls-probe\" here"];
        for text in ["", "wrong password", "hassle", "bottlss"].into_iter().chain(repeated) {
            assert!(!mentions_tls(text.as_bytes()), "{text}");
        }
    }
}
