//! Finds the reports in a file: JSON, gzip, a mail, or a mailbox of mails (RFC 8460 section 5).

use std::io::Read;

use data_encoding::BASE64_MIME_PERMISSIVE;
use flate2::read::MultiGzDecoder;

/// The largest report after decompression, in octets.
pub const MAX_REPORT: usize = 100 << 20;
/// The largest ratio of decompressed to compressed size. Reports are repetitive, but not like this; gzip bombs are.
const MAX_RATIO: usize = 200;
/// Small files may exceed the ratio.
const SMALL: usize = 1 << 20;
/// The most levels of multipart messages in one another.
const MAX_DEPTH: u32 = 8;

/// Returns the JSON texts in a file. The format is recognized by content, because names and types are often wrong.
///
/// # Errors
/// A clause for each part that should be a report but cannot be read; other parts are skipped.
pub fn reports_in(file: &[u8]) -> Vec<Result<Vec<u8>, String>> {
    match file {
        [0x1f, 0x8b, ..] => vec![decompress(file)],
        _ if is_json(file) => vec![Ok(file.to_vec())],
        _ => {
            let mut found = Vec::new();
            for mail in mails(file) {
                parts(mail, 0, &mut found);
            }
            if found.is_empty() {
                found.push(Err(String::from(
                    "the file contains no report: expected JSON, gzip, a mail or an mbox",
                )));
            }
            found
        }
    }
}

fn is_json(octets: &[u8]) -> bool {
    let octets = octets.strip_prefix(b"\xef\xbb\xbf").unwrap_or(octets);
    octets.trim_ascii_start().starts_with(b"{")
}

fn decompress(gzip: &[u8]) -> Result<Vec<u8>, String> {
    let limit = MAX_REPORT.min((gzip.len() * MAX_RATIO).max(SMALL));
    let mut json = Vec::new();
    let read = MultiGzDecoder::new(gzip).take(limit as u64 + 1).read_to_end(&mut json);
    if json.len() > limit {
        return Err(format!("the compressed report expands to more than {limit} octets"));
    }
    read.map_err(|error| format!("invalid gzip: {error}"))?;
    Ok(json)
}

/// Splits an mbox at its `From ` lines. A single mail has none.
fn mails(file: &[u8]) -> Vec<&[u8]> {
    if !file.starts_with(b"From ") {
        return vec![file];
    }
    let mut starts = vec![0];
    let mut at = 0;
    while let Some(end) = find(file.get(at..).unwrap_or_default(), b"\n\nFrom ") {
        at += end + 2;
        starts.push(at);
    }
    // Mailboxes with CRLF.
    if starts.len() == 1 {
        let mut at = 0;
        while let Some(end) = find(file.get(at..).unwrap_or_default(), b"\r\n\r\nFrom ") {
            at += end + 4;
            starts.push(at);
        }
    }
    let ends = starts.iter().skip(1).copied().chain([file.len()]);
    starts.iter().zip(ends).filter_map(|(start, end)| file.get(*start..end)).collect()
}

fn find(text: &[u8], pattern: &[u8]) -> Option<usize> {
    text.windows(pattern.len()).position(|it| it == pattern)
}

/// Adds the reports of a message or of a part of one.
fn parts(entity: &[u8], depth: u32, found: &mut Vec<Result<Vec<u8>, String>>) {
    let (headers, body) = split_headers(entity);
    let kind = header(headers, "content-type");
    let media = kind.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    if media.starts_with("multipart/") {
        if depth >= MAX_DEPTH {
            return found.push(Err(String::from("the mail has too many levels of parts")));
        }
        match parameter(&kind, "boundary") {
            Some(boundary) => {
                split_at_boundary(body, boundary.as_bytes())
                    .into_iter()
                    .for_each(|it| parts(it, depth + 1, found));
            }
            None => found.push(Err(String::from("a multipart message has no boundary"))),
        }
        return;
    }
    let disposition = header(headers, "content-disposition");
    let name = parameter(&disposition, "filename").or_else(|| parameter(&kind, "name")).unwrap_or_default();
    let name = name.to_ascii_lowercase();
    let is_named = [".json", ".json.gz", ".gz"].iter().any(|it| name.ends_with(it));
    let is_typed = media.starts_with("application/tlsrpt+")
        || media == "application/gzip"
        || media == "application/json";
    if !is_named && !is_typed {
        return;
    }
    let content = decode(body, &header(headers, "content-transfer-encoding"));
    found.push(match content.as_slice() {
        [0x1f, 0x8b, ..] => decompress(&content),
        _ if is_json(&content) => Ok(content),
        _ => Err(String::from("an attachment is neither gzip nor JSON")),
    });
}

fn split_headers(entity: &[u8]) -> (&[u8], &[u8]) {
    let unix = find(entity, b"\n\n").map(|at| (at, at + 2));
    let network = find(entity, b"\r\n\r\n").map(|at| (at, at + 4));
    let (end, start) = match (unix, network) {
        (Some(unix), Some(network)) => unix.min(network),
        (Some(one), None) | (None, Some(one)) => one,
        (None, None) => (entity.len(), entity.len()),
    };
    (entity.get(..end).unwrap_or_default(), entity.get(start..).unwrap_or_default())
}

/// Returns the value of a header field, unfolded; empty if it is missing.
fn header(headers: &[u8], wanted: &str) -> String {
    let text = String::from_utf8_lossy(headers);
    let mut value = None::<String>;
    for line in text.lines() {
        if line.starts_with([' ', '\t']) {
            if let Some(value) = &mut value {
                value.push_str(line);
            }
            continue;
        }
        if value.is_some() {
            break;
        }
        value = line
            .split_once(':')
            .filter(|(name, _)| name.trim_end().eq_ignore_ascii_case(wanted))
            .map(|(_, it)| it.trim().to_owned());
    }
    value.unwrap_or_default()
}

/// Returns a parameter of a header field, without quotes.
fn parameter(value: &str, wanted: &str) -> Option<String> {
    let mut rest = value.split_once(';')?.1;
    loop {
        let (name, after) = rest.split_once('=')?;
        let after = after.trim_start();
        let (text, next) = match after.strip_prefix('"') {
            Some(quoted) => quoted.split_once('"')?,
            None => after.split_once(';').map_or((after, ""), |(text, next)| (text, next)),
        };
        if name.trim().eq_ignore_ascii_case(wanted) {
            return Some(text.trim().to_owned());
        }
        rest = next.trim_start().trim_start_matches(';');
    }
}

fn split_at_boundary<'a>(body: &'a [u8], boundary: &[u8]) -> Vec<&'a [u8]> {
    let delimiter = [b"--", boundary].concat();
    let mut found = Vec::new();
    let (mut start, mut at) = (None, 0);
    for line in body.split_inclusive(|it| *it == b'\n') {
        if line.starts_with(&delimiter) {
            if let Some(start) = start {
                found.extend(body.get(start..at));
            }
            start = Some(at + line.len());
            if line.get(delimiter.len()..).is_some_and(|it| it.starts_with(b"--")) {
                return found;
            }
        }
        at += line.len();
    }
    // The last boundary is missing in a mail that was cut.
    if let Some(start) = start {
        found.extend(body.get(start..));
    }
    found
}

fn decode(body: &[u8], encoding: &str) -> Vec<u8> {
    match encoding.trim().to_ascii_lowercase().as_str() {
        "base64" => {
            let clean: Vec<u8> = body.iter().copied().filter(|it| !it.is_ascii_whitespace()).collect();
            BASE64_MIME_PERMISSIVE.decode(&clean).unwrap_or_default()
        }
        "quoted-printable" => quoted_printable(body),
        _ => body.to_vec(),
    }
}

/// Decodes quoted-printable (RFC 2045 section 6.7). Invalid escapes stay as they are.
fn quoted_printable(body: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(body.len());
    let mut rest = body;
    while let Some((&octet, after)) = rest.split_first() {
        rest = after;
        if octet != b'=' {
            out.push(octet);
            continue;
        }
        let digit = |it: u8| char::from(it).to_digit(16).and_then(|it| u8::try_from(it).ok());
        match after {
            [b'\r', b'\n', next @ ..] | [b'\n', next @ ..] => rest = next,
            [high, low, next @ ..] if digit(*high).is_some() && digit(*low).is_some() => {
                out.push(digit(*high).unwrap_or_default() << 4 | digit(*low).unwrap_or_default());
                rest = next;
            }
            _ => out.push(octet),
        }
    }
    out
}
