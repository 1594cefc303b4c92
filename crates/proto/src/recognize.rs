//! Which protocol speaks, for people who dialled the wrong port.

/// The protocol that these first bytes of a peer belong to, in words, if they are unmistakable.
///
/// ```
/// assert_eq!(starttls_proto::speaks(b"\x15\x03\x01\x00\x02\x02\x46"), Some("TLS"));
/// assert_eq!(starttls_proto::speaks(b"HTTP/1.1 400 Bad Request\r\n"), Some("HTTP"));
/// assert_eq!(starttls_proto::speaks(b"hello"), None);
/// ```
pub fn speaks(bytes: &[u8]) -> Option<&'static str> {
    OPENINGS.iter().find(|it| bytes.starts_with(it.0)).map(|it| it.1)
}

/// The same for somebody who expects the protocol with this scheme, and will not be told that it is another.
pub(crate) fn speaks_other(bytes: &[u8], than: &str) -> Option<&'static str> {
    OPENINGS.iter().find(|it| bytes.starts_with(it.0)).filter(|it| !it.2.contains(&than)).map(|it| it.1)
}

/// Whether a few more bytes could make these unmistakable.
pub(crate) fn undecided(bytes: &[u8]) -> bool {
    OPENINGS.iter().any(|it| bytes.len() < it.0.len() && it.0.starts_with(bytes))
}

/// First bytes, who sends them, and the schemes under which they are expected.
const OPENINGS: &[(&[u8], &str, &[&str])] = &[
    (b"\x16\x03", "TLS", &[]),
    (b"\x15\x03", "TLS", &[]),
    (b"HTTP/", "HTTP", &["http"]),
    (b"GET ", "HTTP", &["http"]),
    (b"POST ", "HTTP", &["http"]),
    (b"SSH-", "SSH", &[]),
    (b"RFB ", "VNC", &[]),
    (b"* OK", "IMAP", &["imap"]),
    (b"* PREAUTH", "IMAP", &["imap"]),
    (b"+OK", "POP3", &["pop3"]),
    (b"200 ", "NNTP", &["nntp"]),
    (b"201 ", "NNTP", &["nntp"]),
    (b"220 ", "SMTP or FTP", &["smtp", "submission", "lmtp", "ftp"]),
    (b"220-", "SMTP or FTP", &["smtp", "submission", "lmtp", "ftp"]),
    (b"\"IMPLEMENTATION\"", "ManageSieve", &["sieve", "managesieve"]),
    (b"<?xml", "XMPP", &["xmpp", "xmpp-server"]),
    (b"<stream:", "XMPP", &["xmpp", "xmpp-server"]),
];
