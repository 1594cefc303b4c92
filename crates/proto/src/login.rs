//! The login that never succeeds, for whoever wants to know what a server takes in cleartext.

/// Whom no server knows.
pub(crate) const USER: &str = "starttls-probe";

/// No secret, and another one in every session.
pub(crate) fn password(nonce: u64) -> String {
    format!("{USER}-{nonce:016x}")
}

/// Name and password for SASL PLAIN, in base64 (RFC 4616 section 2).
pub(crate) fn plain(nonce: u64) -> String {
    base64(&["", USER, &password(nonce)].join("\0"))
}

/// Name and password for HTTP, in base64 (RFC 7617 section 2).
pub(crate) fn basic(nonce: u64) -> String {
    base64(&[USER, &password(nonce)].join(":"))
}

/// RFC 4648 section 4.
fn base64(text: &str) -> String {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let encode = |three: &[u8]| {
        let bits = (0..3).fold(0, |bits, at| bits << 8 | three.get(at).map_or(0, |it| usize::from(*it)));
        [18, 12, 6, 0].map(|shift| char::from(ALPHABET[bits >> shift & 63]))
    };
    let mut out: String = text.as_bytes().chunks(3).flat_map(encode).collect();
    let padding = (3 - text.len() % 3) % 3;
    out.truncate(out.len() - padding);
    out.push_str(&"=="[..padding]);
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn base64_is_that_of_the_rfc() {
        // RFC 4648 section 10.
        let words = ["", "f", "fo", "foo", "foob", "fooba", "foobar"];
        let encoded = ["", "Zg==", "Zm8=", "Zm9v", "Zm9vYg==", "Zm9vYmE=", "Zm9vYmFy"];
        assert_eq!(words.map(base64), encoded);
        assert_eq!(base64("~~~???"), "fn5+Pz8/");
    }
}
