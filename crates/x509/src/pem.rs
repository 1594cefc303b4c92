//! The blocks of a PEM text (RFC 7468, and RFC 1421 for encrypted keys).

use std::borrow::Cow;

use rustls_pki_types::pem::{PemObject, SectionKind};

/// One block of a PEM text.
pub(crate) struct Block<'a> {
    /// The text between `-----BEGIN` and the dashes.
    pub(crate) label: &'a str,
    /// The number of the line with `BEGIN`, from 1.
    pub(crate) line: usize,
    /// The decoded content. It is empty if it is encrypted.
    pub(crate) der: Vec<u8>,
    /// Whether a header of the block says that its content is encrypted (RFC 1421 section 4.6.1.1).
    pub(crate) is_encrypted: bool,
}

/// What is wrong with a PEM text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum PemFault {
    /// The dashes after the label of a `BEGIN` are missing.
    Begin,
    /// The next marker after this `BEGIN` is not its `END`.
    NoEnd(String),
    /// An octet that Base64 does not have.
    Octet(u8),
    /// The number of characters is not one that Base64 allows.
    Length,
}

const BEGIN: &[u8] = b"-----BEGIN ";
const END: &[u8] = b"-----END ";
const DASHES: &[u8] = b"-----";

/// Returns whether the input contains a block of PEM.
pub(crate) fn is_pem(text: &[u8]) -> bool {
    find(text, BEGIN).is_some()
}

/// Returns the text without a byte order mark, and UTF-16, which some editors write, as UTF-8.
pub(crate) fn text(bytes: &[u8]) -> Cow<'_, [u8]> {
    let decode = |units: &[u8], read: fn([u8; 2]) -> u16| {
        let units = units.as_chunks::<2>().0.iter().copied().map(read);
        Cow::Owned(String::from_utf16_lossy(&units.collect::<Vec<_>>()).into_bytes())
    };
    match bytes {
        [0xef, 0xbb, 0xbf, text @ ..] => Cow::Borrowed(text),
        [0xff, 0xfe, units @ ..] => decode(units, u16::from_le_bytes),
        [0xfe, 0xff, units @ ..] => decode(units, u16::from_be_bytes),
        text => Cow::Borrowed(text),
    }
}

/// Returns the blocks of a text in their order. Text before, between and after them is ignored. Lines may be indented and
/// may end with LF, CRLF or CR, and `END` and the next `BEGIN` may share a line, as after `cat` of files without a final newline.
///
/// # Errors
/// The number of the line, and what is wrong there.
pub(crate) fn blocks(text: &[u8]) -> Result<Vec<Block<'_>>, (usize, PemFault)> {
    let mut found = Vec::new();
    let (mut rest, mut line) = (text, 1);
    while let Some(start) = find(rest, BEGIN) {
        line += lines(&rest[..start]);
        let after = &rest[start + BEGIN.len()..];
        let (label, body) = marker(after).ok_or((line, PemFault::Begin))?;
        let no_end = || (line, PemFault::NoEnd(label.to_owned()));
        let end = find(body, DASHES).ok_or_else(no_end)?;
        let (content, ending) = body.split_at(end);
        let (_, after_end) =
            ending.strip_prefix(END).and_then(marker).filter(|(own, _)| *own == label).ok_or_else(no_end)?;
        found.push(block(label, line, content).map_err(|(at, fault)| (line + lines(&content[..at]), fault))?);
        line += lines(&rest[start..rest.len() - after_end.len()]);
        rest = after_end;
    }
    Ok(found)
}

/// Splits `LABEL-----` from what follows.
fn marker(text: &[u8]) -> Option<(&str, &[u8])> {
    let end = find(text, DASHES)?;
    let label = std::str::from_utf8(&text[..end]).ok()?;
    // Labels have no control characters (RFC 7468 section 3).
    (label.len() <= 64 && !label.contains(char::is_control)).then(|| (label, &text[end + DASHES.len()..]))
}

/// Decodes the content of a block. The position of an error is relative to the content.
fn block<'a>(label: &'a str, line: usize, content: &[u8]) -> Result<Block<'a>, (usize, PemFault)> {
    let mut is_encrypted = false;
    let mut base64 = Vec::with_capacity(content.len());
    let mut start = 0;
    for one in content.split_inclusive(|octet| matches!(octet, b'\n' | b'\r')) {
        // Base64 has no colon, so the line is a header (RFC 1421 section 4.6).
        if one.contains(&b':') {
            is_encrypted |= find(one, b"ENCRYPTED").is_some();
        } else {
            for (at, octet) in one.iter().enumerate().filter(|(_, octet)| !octet.is_ascii_whitespace()) {
                if !octet.is_ascii_alphanumeric() && !matches!(octet, b'+' | b'/' | b'=') {
                    return Err((start + at, PemFault::Octet(*octet)));
                }
                base64.push(*octet);
            }
        }
        start += one.len();
    }
    let der = match is_encrypted {
        true => Vec::new(),
        false => decode(&base64, label.ends_with("PRIVATE KEY")).ok_or((content.len(), PemFault::Length))?,
    };
    Ok(Block { label, line, der, is_encrypted })
}

/// Decodes Base64; for secrets in constant time.
fn decode(base64: &[u8], is_secret: bool) -> Option<Vec<u8>> {
    let label: &[u8] = if is_secret { b"PRIVATE KEY-----\n" } else { b"CERTIFICATE-----\n" };
    let unpadded = base64.iter().rposition(|octet| *octet != b'=').map_or(0, |last| last + 1);
    let padding: &[u8] = match unpadded % 4 {
        2 => b"==",
        3 => b"=",
        _ => b"",
    };
    let pem = [BEGIN, label, &base64[..unpadded], padding, b"\n", END, label].concat();
    let (_, der) = <(SectionKind, Vec<u8>)>::from_pem_slice(&pem).ok()?;
    Some(der)
}

/// Returns the number of line ends: LF, CRLF or CR.
fn lines(text: &[u8]) -> usize {
    let crlf = text.windows(2).filter(|pair| pair == b"\r\n").count();
    text.iter().filter(|octet| matches!(octet, b'\n' | b'\r')).count() - crlf
}

fn find(text: &[u8], needle: &[u8]) -> Option<usize> {
    text.windows(needle.len()).position(|it| it == needle)
}

/// Writes one block with lines of 64 characters (RFC 7468 section 2).
pub(crate) fn encode(label: &str, der: &[u8]) -> String {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = format!("-----BEGIN {label}-----\n");
    for line in der.chunks(48) {
        for group in line.chunks(3) {
            let [a, b, c] = [0, 1, 2].map(|index| u32::from(group.get(index).copied().unwrap_or(0)));
            let bits = a << 16 | b << 8 | c;
            for place in 0..4 {
                let index = (bits >> (18 - 6 * place)) & 0x3f;
                let is_padding = place > group.len();
                text.push(if is_padding { '=' } else { char::from(ALPHABET[index as usize]) });
            }
        }
        text.push('\n');
    }
    text + &format!("-----END {label}-----\n")
}
