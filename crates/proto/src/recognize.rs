//! Recognition of a protocol by its first octets, for connections to the wrong port.

use core::fmt;

use crate::ProtocolFamily;

/// A protocol that can be recognized by the first octets that a peer sends.
///
/// ```
/// use starttls_proto::Speaker;
///
/// assert_eq!(Speaker::recognize(b"\x15\x03\x01\x00\x02\x02\x46"), Some(Speaker::Tls));
/// assert_eq!(Speaker::recognize(b"HTTP/1.1 400 Bad Request\r\n"), Some(Speaker::Http));
/// assert_eq!(Speaker::recognize(b"hello"), None);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Speaker {
    /// TLS: a handshake or an alert record.
    Tls,
    /// HTTP, client or server.
    Http,
    /// SSH.
    Ssh,
    /// VNC (RFB).
    Vnc,
    /// IMAP.
    Imap,
    /// POP3.
    Pop3,
    /// NNTP.
    Nntp,
    /// SMTP, LMTP or FTP: their greetings have the same code.
    SmtpOrFtp,
    /// ManageSieve.
    ManageSieve,
    /// XMPP, client or server.
    Xmpp,
    /// NBD.
    Nbd,
}

impl Speaker {
    /// Returns the protocol that `bytes` belong to; `None` if they are too short or could belong to several.
    pub fn recognize(bytes: &[u8]) -> Option<Self> {
        OPENINGS.iter().find(|(opening, _)| bytes.starts_with(opening)).map(|(_, speaker)| *speaker)
    }

    /// Returns the name of the protocol in prose.
    pub fn name(self) -> &'static str {
        match self {
            Self::Tls => "TLS",
            Self::Http => "HTTP",
            Self::Ssh => "SSH",
            Self::Vnc => "VNC",
            Self::Imap => "IMAP",
            Self::Pop3 => "POP3",
            Self::Nntp => "NNTP",
            Self::SmtpOrFtp => "SMTP or FTP",
            Self::ManageSieve => "ManageSieve",
            Self::Xmpp => "XMPP",
            Self::Nbd => "NBD",
        }
    }

    /// Returns the families of this library that start like this.
    pub fn families(self) -> &'static [ProtocolFamily] {
        match self {
            Self::Tls | Self::Ssh => &[],
            Self::Vnc => &[ProtocolFamily::Named("vnc")],
            Self::Http => &[ProtocolFamily::Http],
            Self::Imap => &[ProtocolFamily::Imap],
            Self::Pop3 => &[ProtocolFamily::Pop3],
            Self::Nntp => &[ProtocolFamily::Nntp],
            Self::SmtpOrFtp => &[ProtocolFamily::Smtp, ProtocolFamily::Ftp],
            Self::ManageSieve => &[ProtocolFamily::Sieve],
            Self::Xmpp => &[ProtocolFamily::Xmpp],
            Self::Nbd => &[ProtocolFamily::Named("nbd")],
        }
    }

    /// Returns the protocol that `bytes` belong to, unless it is of the `expected` family.
    pub(crate) fn other_than(expected: ProtocolFamily, bytes: &[u8]) -> Option<Self> {
        Self::recognize(bytes).filter(|it| !it.families().contains(&expected))
    }

    /// Returns whether more octets after `bytes` could make the protocol recognizable.
    pub(crate) fn is_undecided(bytes: &[u8]) -> bool {
        OPENINGS.iter().any(|(opening, _)| bytes.len() < opening.len() && opening.starts_with(bytes))
    }
}

impl fmt::Display for Speaker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

const OPENINGS: &[(&[u8], Speaker)] = &[
    (b"\x16\x03", Speaker::Tls),
    (b"\x15\x03", Speaker::Tls),
    (b"HTTP/", Speaker::Http),
    (b"GET ", Speaker::Http),
    (b"POST ", Speaker::Http),
    (b"SSH-", Speaker::Ssh),
    (b"RFB ", Speaker::Vnc),
    (b"* OK", Speaker::Imap),
    (b"* PREAUTH", Speaker::Imap),
    (b"+OK", Speaker::Pop3),
    (b"200 ", Speaker::Nntp),
    (b"201 ", Speaker::Nntp),
    (b"220 ", Speaker::SmtpOrFtp),
    (b"220-", Speaker::SmtpOrFtp),
    (b"\"IMPLEMENTATION\"", Speaker::ManageSieve),
    (b"<?xml", Speaker::Xmpp),
    (b"<stream:", Speaker::Xmpp),
    (b"NBDMAGIC", Speaker::Nbd),
];
