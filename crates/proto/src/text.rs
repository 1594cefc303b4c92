//! What the line protocols share: strict lines, replies with codes, dot-terminated blocks, words.

use std::collections::VecDeque;

use crate::malformed::malformed;
use crate::{Malformed, OutputBuffer, Scan, base64, probe_credentials};

/// A line with its CRLF. A bare CR or LF is refused, because a peer that accepts it sees another message.
pub(crate) fn line(buf: &[u8], scan: &mut Scan) -> Result<Option<usize>, Malformed> {
    while let Some(&byte) = buf.get(scan.at) {
        scan.at += 1;
        let after_cr = std::mem::replace(&mut scan.state, u8::from(byte == b'\r')) == 1;
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

/// A line with its LF, or its CRLF.
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

/// Lines until one for which `last` is true, that line included.
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

/// A block that ends with a line of one dot, as POP3 and NNTP send after a positive status line.
pub(crate) fn block(
    buf: &[u8],
    scan: &mut Scan,
    follows: impl Fn(&[u8]) -> bool,
) -> Result<Option<usize>, Malformed> {
    let first = scan.mark == 0;
    let first = std::cell::Cell::new(first);
    lines_until(buf, scan, |line| Ok(if first.replace(false) { !follows(line) } else { line == b".\r\n" }))
}

/// The three digits at the start of a reply line.
pub(crate) fn code(line: &[u8]) -> Result<u16, Malformed> {
    match line {
        [a @ b'1'..=b'5', b @ b'0'..=b'9', c @ b'0'..=b'9', b' ' | b'-' | b'\r', ..] => {
            Ok([a, b, c].iter().fold(0, |code, digit| code * 10 + u16::from(**digit - b'0')))
        }
        _ => Err(malformed("a reply that starts with a three-digit code")),
    }
}

/// The lines of a message, without their line endings.
pub(crate) fn lines(msg: &[u8]) -> impl DoubleEndedIterator<Item = &[u8]> {
    let msg = msg.strip_suffix(b"\n").unwrap_or(msg);
    msg.split(|&byte| byte == b'\n').map(|line| line.strip_suffix(b"\r").unwrap_or(line))
}

/// The words of a line, cut at single or repeated spaces.
pub(crate) fn words(line: &[u8]) -> impl Iterator<Item = &[u8]> {
    line.split(|&byte| byte == b' ').filter(|word| !word.is_empty())
}

/// A command line: its verb, and what follows the one octet behind it (empty if nothing does).
///
/// Servers skip what stands before a verb, and take more than a space for its end: whoever must not let a command
/// pass has to see it in any spelling. Whoever wants it in the exact one compares lengths.
pub(crate) fn command(msg: &[u8]) -> (&[u8], &[u8]) {
    let line = lines(msg).next().unwrap_or_default();
    let start = line.iter().position(u8::is_ascii_alphanumeric).unwrap_or(line.len());
    let line = &line[start..];
    let end = line.iter().position(|byte| !byte.is_ascii_alphanumeric()).unwrap_or(line.len());
    (&line[..end], line.get(end + 1..).unwrap_or_default())
}

/// A line's first word, and what follows the first space (empty if nothing does).
pub(crate) fn word(msg: &[u8]) -> (&[u8], &[u8]) {
    let line = lines(msg).next().unwrap_or_default();
    match line.iter().position(|&byte| byte == b' ') {
        Some(space) => (&line[..space], &line[space + 1..]),
        None => (line, &[]),
    }
}

/// The verb of a command in upper case, for a match; at most 16 octets of it, which no real verb exceeds.
pub(crate) fn verb<'a>(word: &[u8], upper: &'a mut [u8; 16]) -> &'a [u8] {
    let len = word.len().min(upper.len());
    upper[..len].copy_from_slice(&word[..len]);
    upper[..len].make_ascii_uppercase();
    if word.len() > len { b"" } else { &upper[..len] }
}

/// A literal that a line announces at its end: how many octets, and whether they wait for the server's word.
pub(crate) struct Literal {
    pub(crate) octets: usize,
    pub(crate) synchronising: bool,
}

/// The literal announced at the end of a line: `{5}`, or `{5+}`, which does not wait (RFC 7888). LITERAL- is the name
/// of a capability; its literals are written with the plus sign too (section 5).
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

/// Lines until one for which `last` is true. A line that ends with a literal goes on behind it; `literal`
/// says how many octets a piece of a line announces, if any.
pub(crate) fn lines_with_literals(
    buf: &[u8],
    scan: &mut Scan,
    literal: impl Fn(&[u8]) -> Option<usize>,
    last: impl Fn(&[u8]) -> Result<bool, Malformed>,
) -> Result<Option<usize>, Malformed> {
    // `depth` is where the last literal ends, `mark` is where the line starts.
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

/// A client's command: one line with the literals that need no go-ahead. An announcement that waits for
/// the server ends it.
pub(crate) fn command_with_literals(buf: &[u8], scan: &mut Scan) -> Result<Option<usize>, Malformed> {
    let included = |line: &[u8]| literal(line).filter(|it| !it.synchronising).map(|it| it.octets);
    lines_with_literals(buf, scan, included, |_| Ok(true))
}

/// How many octets the client announced at the end of this message, if they wait for the server's word.
pub(crate) fn announcement(msg: &[u8]) -> Option<usize> {
    msg.strip_suffix(b"}\r\n")?;
    let mut scan = Scan::default();
    // The braces have to stand behind the last literal, not half in it.
    let whole = command_with_literals(msg, &mut scan).ok().flatten()?;
    literal(msg.get(scan.depth..whole)?).map(|it| it.octets)
}

/// Whether this text starts with `start`, in any case.
pub(crate) fn starts_with(text: &[u8], start: &[u8]) -> bool {
    text.get(..start.len()).is_some_and(|head| head.eq_ignore_ascii_case(start))
}

/// Whether this line's first word, in any case, is `word`.
pub(crate) fn opens_with(line: &[u8], word: &[u8]) -> bool {
    words(line).next().is_some_and(|first| first.eq_ignore_ascii_case(word))
}

/// Whether this text for people speaks of TLS, by any of its names: in some protocols nothing else tells why
/// a command was refused. Nothing but a report may rest on it.
pub(crate) fn mentions_tls(text: &[u8]) -> bool {
    let names: [&[u8]; 4] = [b"TLS", b"STARTTLS", b"STLS", b"SSL"];
    let is_word = |byte: &u8| byte.is_ascii_alphanumeric() || *byte == b'-';
    // A server that repeats the probe's user name has not spoken of TLS.
    let words = text
        .split(|byte| !is_word(byte))
        .filter(|word| !starts_with(word, probe_credentials::USER.as_bytes()));
    words
        .flat_map(|word| word.split(|byte| *byte == b'-'))
        .any(|word| names.iter().any(|name| word.eq_ignore_ascii_case(name)))
}

/// A challenge in Base64, as it stands behind `334` and its like; none at all is the empty one.
pub(crate) fn challenge(text: &[u8]) -> Result<Vec<u8>, Malformed> {
    base64::decode(text.trim_ascii()).ok_or(malformed("a challenge in Base64"))
}

/// A response in Base64 (RFC 4422 section 3.4 leaves the form to the protocol).
pub(crate) fn respond(response: &[u8], out: &mut OutputBuffer) {
    out.push_redacted(base64::encode(response));
    out.push_public("\r\n");
}

/// Begins a mechanism with `command`, and says whether the initial response went along: it does where the
/// line is no longer than `longest` with it. The empty one is written as `=`.
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

/// What PLAIN would say, taken apart: the name and the password (RFC 4616 section 2).
pub(crate) fn name_and_password(initial: Option<&[u8]>) -> (&[u8], &[u8]) {
    let mut parts = initial.unwrap_or_default().split(|&byte| byte == 0).skip(1);
    (parts.next().unwrap_or_default(), parts.next().unwrap_or_default())
}

/// For the commands that wait for an answer, oldest first: whether a positive one is a block.
#[derive(Debug, Default)]
pub(crate) struct Blocks(VecDeque<bool>);

impl Blocks {
    /// As many as a relay lets wait.
    const MAX: usize = 1024;

    /// A command was read.
    pub(crate) fn asked(&mut self, block: bool) {
        if self.0.len() < Self::MAX {
            self.0.push_back(block);
        }
    }

    /// The last command was answered without asking anybody.
    pub(crate) fn settled(&mut self) {
        self.0.pop_back();
    }

    /// An answer was read; whether it was the last that was due.
    pub(crate) fn answered(&mut self) -> bool {
        self.0.pop_front();
        self.0.is_empty()
    }

    /// Whether the next positive answer is a block.
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
