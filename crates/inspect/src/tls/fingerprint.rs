//! JA3 and JA4 of a ClientHello. JA4 follows its published definition; the other JA4+ methods have another license.

use std::fmt::Write;

use md5::{Digest, Md5};
use sha2::Sha256;
use starttls_hello::{ClientHello, extension_kind};

/// Returns whether a code is reserved to keep servers tolerant (RFC 8701).
fn is_grease(code: u16) -> bool {
    code & 0x0f0f == 0x0a0a && code >> 8 == code & 0xff
}

fn suites(hello: &ClientHello) -> Vec<u16> {
    hello.suites.iter().map(|suite| suite.0).filter(|code| !is_grease(*code)).collect()
}

fn extensions(hello: &ClientHello) -> Vec<u16> {
    let all = hello.extensions.iter().flatten().map(|extension| extension.kind);
    all.filter(|code| !is_grease(*code)).collect()
}

/// Returns the MD5 of version, suites, extensions, groups and point formats in decimal.
pub(super) fn ja3(hello: &ClientHello) -> String {
    let list = |codes: Vec<u16>| codes.iter().map(u16::to_string).collect::<Vec<_>>().join("-");
    let groups = hello.groups().into_iter().map(|it| it.0).filter(|code| !is_grease(*code)).collect();
    let formats = hello.extension(extension_kind::EC_POINT_FORMATS).and_then(<[u8]>::split_first);
    let formats =
        formats.map_or(Vec::new(), |(_, formats)| formats.iter().map(|it| u16::from(*it)).collect());
    let text = [
        hello.version.to_string(),
        list(suites(hello)),
        list(extensions(hello)),
        list(groups),
        list(formats),
    ]
    .join(",");
    hex(&Md5::digest(text.as_bytes()))
}

/// Returns the JA4 fingerprint over TCP.
pub(super) fn ja4(hello: &ClientHello) -> String {
    let newest = hello.supported_versions().into_iter().filter(|code| !is_grease(*code)).max();
    let version = match newest.unwrap_or(hello.version) {
        0x0304 => "13",
        0x0303 => "12",
        0x0302 => "11",
        0x0301 => "10",
        0x0300 => "s3",
        0x0002 => "s2",
        _ => "00",
    };
    let (mut suites, all) = (suites(hello), extensions(hello));
    let sni = if all.contains(&extension_kind::SERVER_NAME) { 'd' } else { 'i' };
    let alpn = hello.alpn().first().map_or(String::from("00"), |name| first_and_last(name));
    let counts = (suites.len().min(99), all.len().min(99));
    suites.sort_unstable();
    let mut sorted: Vec<u16> = all
        .into_iter()
        .filter(|code| ![extension_kind::SERVER_NAME, extension_kind::ALPN].contains(code))
        .collect();
    sorted.sort_unstable();
    let mut hashed = hex_list(&sorted);
    let schemes: Vec<u16> = hello.signature_schemes().into_iter().map(|it| it.0).collect();
    if !schemes.is_empty() && !sorted.is_empty() {
        hashed.push('_');
        hashed.push_str(&hex_list(&schemes));
    }
    format!(
        "t{version}{sni}{:02}{:02}{alpn}_{}_{}",
        counts.0,
        counts.1,
        short_hash(&hex_list(&suites)),
        short_hash(&hashed)
    )
}

fn first_and_last(name: &[u8]) -> String {
    match (name.first(), name.last()) {
        (Some(first), Some(last)) if first.is_ascii_alphanumeric() && last.is_ascii_alphanumeric() => {
            [*first, *last].map(char::from).iter().collect()
        }
        (Some(first), Some(last)) => {
            let (first, last) = (format!("{first:02x}"), format!("{last:02x}"));
            format!("{}{}", &first[..1], &last[1..])
        }
        _ => String::from("00"),
    }
}

fn hex_list(codes: &[u16]) -> String {
    codes.iter().map(|code| format!("{code:04x}")).collect::<Vec<_>>().join(",")
}

fn short_hash(text: &str) -> String {
    if text.is_empty() {
        return String::from("000000000000");
    }
    let mut hash = hex(&Sha256::digest(text.as_bytes()));
    hash.truncate(12);
    hash
}

pub(super) fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}
