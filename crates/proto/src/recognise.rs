//! Which protocol speaks, for people who dialled the wrong port.

/// The protocol that these first bytes of a peer belong to, in words, if they are unmistakable.
///
/// ```
/// assert_eq!(starttls_proto::speaks(b"\x15\x03\x01\x00\x02\x02\x46"), Some("TLS"));
/// assert_eq!(starttls_proto::speaks(b"HTTP/1.1 400 Bad Request\r\n"), Some("HTTP"));
/// assert_eq!(starttls_proto::speaks(b"hello"), None);
/// ```
pub fn speaks(bytes: &[u8]) -> Option<&'static str> {
    OPENINGS.iter().find(|(opening, _)| bytes.starts_with(opening)).map(|(_, name)| *name)
}

/// Whether a few more bytes could make these unmistakable.
pub(crate) fn undecided(bytes: &[u8]) -> bool {
    OPENINGS.iter().any(|(opening, _)| bytes.len() < opening.len() && opening.starts_with(bytes))
}

const OPENINGS: &[(&[u8], &str)] = &[
    (b"\x16\x03", "TLS"),
    (b"\x15\x03", "TLS"),
    (b"HTTP/", "HTTP"),
    (b"GET ", "HTTP"),
    (b"POST ", "HTTP"),
    (b"SSH-", "SSH"),
    (b"RFB ", "VNC"),
    (b"* OK", "IMAP"),
    (b"* PREAUTH", "IMAP"),
    (b"+OK", "POP3"),
    (b"200 ", "NNTP"),
    (b"201 ", "NNTP"),
    (b"220 ", "SMTP or FTP"),
    (b"220-", "SMTP or FTP"),
    (b"\"IMPLEMENTATION\"", "ManageSieve"),
    (b"<?xml", "XMPP"),
    (b"<stream:", "XMPP"),
];
