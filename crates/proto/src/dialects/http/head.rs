//! Message heads and the length of bodies, parsed so strictly that all readers agree on them (RFC 9112).

use alloc::vec::Vec;

use crate::malformed::malformed;
use crate::message_reader::MAX_MESSAGE;
use crate::text::{line, lines, starts_with};
use crate::{Malformed, Scan};

/// The body after a head (RFC 9112 section 6).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Body {
    #[default]
    None,
    Length(usize),
    Chunked,
}

/// The fields of a head that the upgrade depends on.
#[derive(Default)]
pub(crate) struct Head<'a> {
    /// The request line or the status line.
    pub(crate) first: &'a [u8],
    pub(crate) hosts: usize,
    /// The protocols listed in Upgrade.
    pub(crate) upgrade: Vec<&'a [u8]>,
    /// Connection lists Upgrade, as RFC 9110 section 7.8 requires.
    pub(crate) upgrade_is_meant: bool,
    /// The connection ends after this message.
    pub(crate) closes: bool,
    /// The head contains credentials, or a session token that replaces them.
    pub(crate) login: bool,
    keeps: bool,
    length: Option<usize>,
    chunked: bool,
}

impl<'a> Head<'a> {
    /// Parses the head at the start of a message.
    pub(crate) fn read(msg: &'a [u8]) -> Result<Self, Malformed> {
        let mut lines = lines(msg);
        let mut head = Self { first: lines.next().unwrap_or_default(), ..Self::default() };
        for line in lines.take_while(|line| !line.is_empty()) {
            let (name, value) = field(line)?;
            let is = |known: &str| name.eq_ignore_ascii_case(known.as_bytes());
            if is("Host") {
                head.hosts += 1;
            } else if is("Upgrade") {
                head.upgrade.extend(list(value));
            } else if is("Connection") {
                let names = |option: &str| list(value).any(|it| it.eq_ignore_ascii_case(option.as_bytes()));
                head.upgrade_is_meant |= names("Upgrade");
                head.closes |= names("close");
                head.keeps |= names("keep-alive");
            } else if is("Content-Length") {
                let length = decimal(value)?;
                if head.length.replace(length).is_some_and(|before| before != length) {
                    return Err(malformed("one Content-Length"));
                }
            } else if is("Transfer-Encoding") {
                if head.chunked || !value.eq_ignore_ascii_case(b"chunked") {
                    return Err(malformed("no Transfer-Encoding but chunked"));
                }
                head.chunked = true;
            } else if is("Authorization") || is("Proxy-Authorization") || is("Cookie") {
                head.login = true;
            }
        }
        head.closes |= !head.is_1_1() && !head.keeps;
        Ok(head)
    }

    pub(crate) fn is_1_1(&self) -> bool {
        let status_line = self.first.starts_with(b"HTTP/");
        if status_line { self.first.starts_with(b"HTTP/1.1 ") } else { self.first.ends_with(b" HTTP/1.1") }
    }

    /// Returns whether Upgrade lists TLS.
    pub(crate) fn lists_tls(&self) -> bool {
        self.upgrade.iter().any(|protocol| is_tls(protocol))
    }

    /// Returns whether Upgrade lists only TLS, in any versions.
    pub(crate) fn only_tls(&self) -> bool {
        !self.upgrade.is_empty() && self.upgrade.iter().all(|protocol| is_tls(protocol))
    }

    /// Returns the body of a request, or of a response for which [`Self::ends_with_the_connection`] is false. A
    /// message with two lengths is an error, because two readers could disagree about its end (RFC 9112 section 6.3).
    pub(crate) fn body(&self, longest: usize) -> Result<Body, Malformed> {
        match (self.chunked, self.length) {
            (true, Some(_)) => Err(malformed("Content-Length or Transfer-Encoding, not both")),
            (true, None) if !self.is_1_1() => Err(malformed("no Transfer-Encoding before HTTP/1.1")),
            (true, None) => Ok(Body::Chunked),
            (false, Some(length)) if length > longest => Err(malformed("a body of at most 64 KiB")),
            (false, None | Some(0)) => Ok(Body::None),
            (false, Some(length)) => Ok(Body::Length(length)),
        }
    }

    /// Returns the status code (RFC 9112 section 4).
    pub(crate) fn status(&self) -> Result<u16, Malformed> {
        match self.first {
            [b'H', b'T', b'T', b'P', b'/', b'1', b'.', b'0'..=b'9', b' ', a @ b'1'..=b'5', b, c]
            | [
                b'H',
                b'T',
                b'T',
                b'P',
                b'/',
                b'1',
                b'.',
                b'0'..=b'9',
                b' ',
                a @ b'1'..=b'5',
                b,
                c,
                b' ',
                ..,
            ] if b.is_ascii_digit() && c.is_ascii_digit() => {
                Ok([a, b, c].iter().fold(0, |status, digit| status * 10 + u16::from(**digit - b'0')))
            }
            _ => Err(malformed("a status line: HTTP/1.1 and three digits")),
        }
    }

    /// Returns whether the body of this response ends only with the connection (RFC 9112 section 6.3).
    pub(crate) fn ends_with_the_connection(&self) -> bool {
        !self.chunked && self.length.is_none() && !matches!(self.status(), Ok(100..=199 | 204 | 304))
    }
}

/// Fields that apply to one connection only (RFC 9110 section 7.6.1), or that name the client on whose behalf a proxy
/// sends the request (RFC 7239 and older fields).
const NOT_PASSED_ON: [&str; 9] = [
    "Connection",
    "Keep-Alive",
    "Proxy-Connection",
    "Upgrade",
    "HTTP2-Settings",
    "Forwarded",
    "X-Real-IP",
    "X-Client-IP",
    "True-Client-IP",
];

/// Request fields that hold no secret. The fields that declare a body are excluded, because servers disagree about
/// where a body ends.
const PUBLIC: [&str; 16] = [
    "Host",
    "User-Agent",
    "Accept",
    "Accept-Charset",
    "Accept-Encoding",
    "Accept-Language",
    "Cache-Control",
    "Pragma",
    "Date",
    "DNT",
    "If-Match",
    "If-Modified-Since",
    "If-None-Match",
    "If-Unmodified-Since",
    "Range",
    "Upgrade-Insecure-Requests",
];

/// The largest head in octets that may pass in cleartext. Every server accepts this length (RFC 9110 section 4.1, RFC
/// 9112 section 3).
const LONGEST_PUBLIC: usize = 8000;

/// Returns whether this head may pass in cleartext: only public fields, no body, and a target without a query,
/// because clients send API keys in queries.
pub(crate) fn is_public(msg: &[u8]) -> bool {
    let mut all = lines(msg);
    let mut request = all.next().unwrap_or_default().split(|byte| *byte == b' ');
    let reads = matches!(request.next(), Some(b"GET" | b"HEAD" | b"OPTIONS"));
    let target = request.next().unwrap_or_default();
    let plain = |byte: &u8| byte.is_ascii_alphanumeric() || b"/-._~%+*".contains(byte);
    let names = matches!(target, [b'/', ..] | b"*") && target.iter().all(plain);
    let public = |line: &[u8]| {
        let name = line.split(|byte| *byte == b':').next().unwrap_or_default();
        let listed = PUBLIC.iter().any(|known| name.eq_ignore_ascii_case(known.as_bytes()));
        listed || !is_passed_on(name)
    };
    let fields = all.take_while(|line| !line.is_empty()).all(public);
    msg.len() <= LONGEST_PUBLIC && reads && names && fields
}

/// Returns whether a field with this name is passed on to a server.
fn is_passed_on(name: &[u8]) -> bool {
    let listed = NOT_PASSED_ON.iter().any(|known| name.eq_ignore_ascii_case(known.as_bytes()));
    !listed && !starts_with(name, b"X-Forwarded-")
}

/// Returns this head without the fields in [`NOT_PASSED_ON`], and marked as the last request on its connection.
pub(crate) fn isolated(msg: &[u8]) -> Vec<u8> {
    let passes = |line: &[u8]| is_passed_on(line.split(|&byte| byte == b':').next().unwrap_or_default());
    let mut all = lines(msg);
    let first = all.next().unwrap_or_default();
    let fields = all.take_while(|line| !line.is_empty()).filter(|line| passes(line));
    let head = [first].into_iter().chain(fields).chain([b"Connection: close" as &[u8], b""]);
    head.flat_map(|line| [line, b"\r\n"]).collect::<Vec<_>>().concat()
}

/// Returns the end of a head whose first line passes `first`.
pub(crate) fn end(
    buf: &[u8],
    scan: &mut Scan,
    first: fn(&[u8]) -> Result<(), Malformed>,
) -> Result<Option<usize>, Malformed> {
    while let Some(end) = line(buf, scan)? {
        let start = core::mem::replace(&mut scan.mark, end);
        let current = &buf[start..end - 2];
        match start {
            0 => first(current)?,
            _ if current.is_empty() => return Ok(Some(end)),
            _ => field(current).map(drop)?,
        }
    }
    Ok(None)
}

/// Returns the end of a response: the end of its body, or of its head if it has no body.
pub(crate) fn response_end(
    buf: &[u8],
    scan: &mut Scan,
    answers_head: bool,
) -> Result<Option<usize>, Malformed> {
    if scan.depth == 0 {
        let status_line = |line: &[u8]| Head { first: line, ..Head::default() }.status().map(drop);
        let Some(end) = end(buf, scan, status_line)? else { return Ok(None) };
        let head = Head::read(&buf[..end])?;
        let bare = answers_head || matches!(head.status()?, 100..=199 | 204 | 304);
        let body = if bare { Body::None } else { head.body(MAX_MESSAGE)? };
        scan.depth = match body {
            Body::None => return Ok(Some(end)),
            Body::Length(length) => LENGTH + length,
            Body::Chunked => SIZE,
        };
    }
    let start = scan.mark;
    match scan.depth.checked_sub(LENGTH) {
        Some(length) => body_end(Body::Length(length), start, buf, scan),
        None => body_end(Body::Chunked, start, buf, scan),
    }
}

/// States of a scan after the head: `SIZE`, `DATA_END` and `TRAILER` in a chunked body; `LENGTH` plus the length in a
/// body of known length.
const SIZE: usize = 1;
const DATA_END: usize = 2;
const TRAILER: usize = 3;
const LENGTH: usize = 4;

/// Returns the end of a body that starts at `start`.
pub(crate) fn body_end(
    body: Body,
    start: usize,
    buf: &[u8],
    scan: &mut Scan,
) -> Result<Option<usize>, Malformed> {
    match body {
        Body::None => return Ok(Some(start)),
        Body::Length(length) => {
            return Ok((buf.len() >= start + length).then_some(start + length));
        }
        Body::Chunked => {}
    }
    // RFC 9112 section 7.1.
    while let Some(end) = line(buf, scan)? {
        let current = &buf[scan.mark..end - 2];
        scan.mark = end;
        scan.depth = match scan.depth {
            DATA_END if current.is_empty() => SIZE,
            DATA_END => return Err(malformed("the end of a chunk")),
            TRAILER if current.is_empty() => return Ok(Some(end)),
            TRAILER => field(current).map(|_| TRAILER)?,
            _ => match chunk_size(current)? {
                0 => TRAILER,
                size => {
                    scan.at = end + size;
                    scan.mark = scan.at;
                    DATA_END
                }
            },
        };
    }
    Ok(None)
}

/// Checks a request line: a method, a target and a version, separated by single spaces (RFC 9112 section 3).
pub(crate) fn is_request_line(line: &[u8]) -> Result<(), Malformed> {
    let mut parts = line.split(|byte| *byte == b' ');
    match (parts.next(), parts.next(), parts.next(), parts.next()) {
        (Some(method), Some(target), Some(b"HTTP/1.0" | b"HTTP/1.1"), None)
            if is_token(method) && !target.is_empty() && target.iter().all(u8::is_ascii_graphic) =>
        {
            Ok(())
        }
        _ => Err(malformed("a request line of HTTP/1")),
    }
}

/// Parses a field and rejects folding, space before the colon and control characters (RFC 9112 section 5).
fn field(line: &[u8]) -> Result<(&[u8], &[u8]), Malformed> {
    let colon = line.iter().position(|byte| *byte == b':').ok_or(malformed("a field with a colon"))?;
    let (name, value) = (&line[..colon], &line[colon + 1..]);
    if !is_token(name) || value.iter().any(|byte| byte.is_ascii_control() && *byte != b'\t') {
        return Err(malformed("a field: a name, a colon, a value"));
    }
    Ok((name, value.trim_ascii()))
}

fn is_token(word: &[u8]) -> bool {
    let marks = b"!#$%&'*+-.^_`|~";
    !word.is_empty() && word.iter().all(|byte| byte.is_ascii_alphanumeric() || marks.contains(byte))
}

/// Returns the members of a list (RFC 9110 section 5.6.1).
fn list(value: &[u8]) -> impl Iterator<Item = &[u8]> {
    value.split(|byte| *byte == b',').map(<[u8]>::trim_ascii).filter(|member| !member.is_empty())
}

/// Returns whether a protocol is `TLS` or `TLS/` with a version. Protocol names are case-insensitive here (RFC 9110
/// section 7.8).
fn is_tls(protocol: &[u8]) -> bool {
    let (name, version) = match protocol {
        [name @ .., b'/', b'0'..=b'9', b'.', b'0'..=b'9'] => (name, true),
        name => (name, false),
    };
    name.eq_ignore_ascii_case(b"TLS") && (version || name.len() == protocol.len())
}

/// Parses a decimal number without sign and without list separators.
fn decimal(value: &[u8]) -> Result<usize, Malformed> {
    let number = value.iter().try_fold(0_usize, |number, byte| {
        let digit = byte.is_ascii_digit().then(|| usize::from(byte - b'0'))?;
        number.checked_mul(10)?.checked_add(digit)
    });
    number.filter(|_| !value.is_empty()).ok_or(malformed("a Content-Length of digits"))
}

/// Parses a chunk size in hexadecimal and ignores the chunk extensions.
fn chunk_size(line: &[u8]) -> Result<usize, Malformed> {
    let digits = line.split(|byte| *byte == b';').next().unwrap_or_default();
    let text = core::str::from_utf8(digits).ok().filter(|text| text.bytes().all(|it| it.is_ascii_hexdigit()));
    let size = text.and_then(|text| usize::from_str_radix(text, 16).ok());
    size.filter(|size| *size <= MAX_MESSAGE).ok_or(malformed("the size of a chunk, at most 64 KiB"))
}
