//! Base64 with padding, as text protocols use it for SASL (RFC 4648 section 4).

use alloc::string::String;
use alloc::vec::Vec;

const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

/// Returns bytes in Base64.
///
/// ```
/// assert_eq!(starttls_proto::base64::encode(b"\0user\0pencil"), "AHVzZXIAcGVuY2ls");
/// ```
pub fn encode(bytes: &[u8]) -> String {
    let encode = |three: &[u8]| {
        let bits = (0..3).fold(0, |bits, at| bits << 8 | three.get(at).map_or(0, |it| usize::from(*it)));
        [18, 12, 6, 0].map(|shift| char::from(ALPHABET[bits >> shift & 63]))
    };
    let mut out: String = bytes.chunks(3).flat_map(encode).collect();
    let padding = (3 - bytes.len() % 3) % 3;
    out.truncate(out.len() - padding);
    out.push_str(&"=="[..padding]);
    out
}

/// Decodes Base64. Returns `None` if the text is not Base64, or if its padding is missing.
///
/// ```
/// assert_eq!(starttls_proto::base64::decode(b"AHVzZXIAcGVuY2ls").as_deref(), Some(&b"\0user\0pencil"[..]));
/// assert_eq!(starttls_proto::base64::decode(b"AHVzZXIAcGVuY2l"), None);
/// ```
pub fn decode(text: &[u8]) -> Option<Vec<u8>> {
    let digits = text.strip_suffix(b"==").or_else(|| text.strip_suffix(b"=")).unwrap_or(text);
    if !text.len().is_multiple_of(4) || digits.len() % 4 == 1 {
        return None;
    }
    let mut bytes = Vec::with_capacity(text.len() / 4 * 3);
    for group in digits.chunks(4) {
        let mut bits: u32 = 0;
        for &digit in group {
            bits = bits << 6 | value(digit)?;
        }
        bits <<= 6 * (4 - group.len());
        bytes.extend_from_slice(&bits.to_be_bytes()[1..group.len()]);
    }
    Some(bytes)
}

fn value(digit: u8) -> Option<u32> {
    let (first, offset) = match digit {
        b'A'..=b'Z' => (b'A', 0),
        b'a'..=b'z' => (b'a', 26),
        b'0'..=b'9' => (b'0', 52),
        b'+' => return Some(62),
        b'/' => return Some(63),
        _ => return None,
    };
    Some(u32::from(digit - first) + offset)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rfc_4648_section_10() {
        let words = ["", "f", "fo", "foo", "foob", "fooba", "foobar"];
        let encoded = ["", "Zg==", "Zm8=", "Zm9v", "Zm9vYg==", "Zm9vYmE=", "Zm9vYmFy"];
        assert_eq!(words.map(|word| encode(word.as_bytes())), encoded);
        for (word, text) in words.iter().zip(encoded) {
            assert_eq!(decode(text.as_bytes()).as_deref(), Some(word.as_bytes()));
        }
        assert_eq!(encode(b"~~~???"), "fn5+Pz8/");
        for bad in ["Z", "Zg", "Zg=", "Z===", "Zm9*", "Zm=v"] {
            assert_eq!(decode(bad.as_bytes()), None, "{bad}");
        }
    }
}
