//! Another hello, for servers that do not know the first one.

/// The older hello of SMTP, which has no list and which a server without extensions knows (RFC 5321 section 4.1.1.1).
pub(crate) fn older(hello: &[u8]) -> Option<Vec<u8>> {
    hello.strip_prefix(b"EHLO ").map(|name| [b"HELO ", name].concat())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_older_hello_has_the_same_name() {
        assert_eq!(older(b"EHLO [127.0.0.1]\r\n"), Some(b"HELO [127.0.0.1]\r\n".to_vec()));
        assert_eq!(older(b"LHLO localhost\r\n"), None);
    }
}
