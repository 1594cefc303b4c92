//! Which protocols the first octets of a connection belong to. Ports only break ties.

use starttls_proto::{
    Identity, PROTOCOLS, Protocol, Side, by_port, ftp::FTP, http::HTTP, imap::IMAP, irc::IRC, ldap::LDAP,
    mysql::MYSQL, nntp::NNTP, nut::NUT, pop3::POP3, postgres::POSTGRES, sieve::SIEVE, smtp::LMTP, smtp::SMTP,
    xmpp::XMPP, xmpp::XMPP_SERVER,
};

use crate::tls::is_record_start;

/// What the first octets show.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Opening {
    /// More octets are needed.
    Undecided,
    /// TLS.
    Tls,
    /// One of these protocols.
    Protocols(Vec<&'static Protocol>),
    /// None of the protocols that are known here.
    Unknown,
}

/// The most octets that are read before a decision.
const DECISION: usize = 64;

/// Reads the first octets of the side that spoke first.
pub(super) fn read(side: Side, bytes: &[u8], port: u16) -> Opening {
    let has_line = bytes.contains(&b'\n');
    if matches!(*bytes, [0x15 | 0x16, 3, 0..=4, ..]) || (side == Side::Client && is_ssl2(bytes)) {
        return Opening::Tls;
    }
    if bytes.len() < 5 && !has_line || (bytes.len() < 6 && is_record_start(bytes)) {
        return Opening::Undecided;
    }
    // The namespace distinguishes clients from servers.
    let has_namespace = [&b"jabber:client"[..], b"jabber:server"].iter().any(|it| contains(bytes, it));
    if bytes.starts_with(b"<") && !has_namespace && bytes.len() < 1024 {
        return Opening::Undecided;
    }
    let only = PROTOCOLS
        .iter()
        .copied()
        .find(|it| it.new_dialect(Identity::observer().with_nonce(0)).is_opening(side, bytes));
    let found = match side {
        _ if only.is_some() => only.into_iter().collect(),
        Side::Server => server(bytes),
        Side::Client => match client(bytes) {
            None if bytes.len() < DECISION && !has_line && is_text(bytes) => return Opening::Undecided,
            found => found.unwrap_or_default(),
        },
    };
    let own = by_port(port).map(|(protocol, _)| protocol);
    let mut found: Vec<_> = found.into_iter().map(|protocol| localized(protocol, bytes, own)).collect();
    // A client that does not wait for the greeting.
    let starts = bytes.get(..8).is_some_and(|word| word.eq_ignore_ascii_case(b"STARTTLS"));
    found.extend(own.filter(|own| starts && own.flow.greeting && !found.contains(own)));
    if found.is_empty() {
        found.extend(own.filter(|own| own.flow.greeting == (side == Side::Server)));
    }
    if found.is_empty() { Opening::Unknown } else { Opening::Protocols(found) }
}

fn is_ssl2(bytes: &[u8]) -> bool {
    matches!(*bytes, [high, _, 1, 0 | 3, 0..=4, ..] if high & 0x80 != 0)
}

fn contains(bytes: &[u8], text: &[u8]) -> bool {
    bytes.windows(text.len()).any(|it| it == text)
}

fn is_text(bytes: &[u8]) -> bool {
    bytes.iter().all(|octet| octet.is_ascii_graphic() || b" \t\r\n".contains(octet))
}

/// Returns the variant of a protocol that the port or the namespace names.
fn localized(protocol: &'static Protocol, bytes: &[u8], own: Option<&'static Protocol>) -> &'static Protocol {
    let is_own = |it: &Protocol| own.is_some_and(|own| own == it);
    if *protocol == XMPP && (contains(bytes, b"jabber:server") || is_own(&XMPP_SERVER)) {
        return &XMPP_SERVER;
    }
    own.map_or(protocol, |own| protocol.on_port(own.port))
}

fn server(bytes: &[u8]) -> Vec<&'static Protocol> {
    match *bytes {
        [b'2', b'0', b'0' | b'1', b' ', ..] => vec![&NNTP],
        [b'4', b'0', b'0', b' ', ..] | [b'5', b'0', b'2', b' ', ..] => vec![&NNTP, &SMTP, &LMTP, &FTP],
        [b'1'..=b'5', b'0'..=b'9', b'0'..=b'9', b' ' | b'-', ..] => vec![&SMTP, &LMTP, &FTP],
        [b'*', b' ', ..] => vec![&IMAP],
        [b'+', b'O', b'K', ..] | [b'-', b'E', b'R', b'R', ..] => vec![&POP3],
        [b'"', ..] | [b'B', b'Y', b'E', ..] => vec![&SIEVE],
        [b':', ..] => vec![&IRC],
        [_, _, 0, 0, 10 | 0xff, ..] => vec![&MYSQL],
        _ if bytes.starts_with(b"<?xml") || bytes.starts_with(b"<stream") => vec![&XMPP],
        _ if bytes.starts_with(b"NOTICE ") || bytes.starts_with(b"PING ") => vec![&IRC],
        _ => Vec::new(),
    }
}

/// Returns `None` while the first word is incomplete.
fn client(bytes: &[u8]) -> Option<Vec<&'static Protocol>> {
    match *bytes {
        [0x30, len, ..] if len != 0 && !is_text(&bytes[..2.min(bytes.len())]) => return Some(vec![&LDAP]),
        [0x30, _, 2, 1, ..] => return Some(vec![&LDAP]),
        // The length of a startup packet or a request, then its code.
        [0, 0, _, _, 4, 0xd2, 0x16, 0x2e..=0x30, ..] | [0, 0, _, _, 0, 3, 0, _, ..] => {
            return Some(vec![&POSTGRES]);
        }
        [0, 0, ..] if bytes.len() < 8 => return None,
        [b'<', ..] => return Some(vec![&XMPP]),
        _ => {}
    }
    let mut words = bytes.split(|octet| octet.is_ascii_whitespace());
    let first = words.next()?;
    if first.len() == bytes.len() {
        return None;
    }
    let second = words.next().unwrap_or_default().to_ascii_uppercase();
    Some(match first.to_ascii_uppercase().as_slice() {
        b"EHLO" | b"HELO" => vec![&SMTP],
        b"LHLO" => vec![&LMTP],
        b"CAP" | b"NICK" | b"PASS" | b"AUTHENTICATE" | b"WEBIRC" => vec![&IRC],
        b"STARTTLS" => vec![&IRC, &NUT],
        b"USER" => vec![&IRC, &POP3, &FTP],
        b"LIST" => vec![&NUT, &IRC],
        b"VER" | b"NETVER" | b"PROTVER" | b"HELP" | b"USERNAME" | b"PASSWORD" | b"LOGIN" => vec![&NUT],
        b"CAPA" | b"STLS" | b"APOP" => vec![&POP3],
        b"FEAT" | b"AUTH" => vec![&FTP],
        b"CAPABILITIES" => vec![&NNTP],
        b"CAPABILITY" => vec![&SIEVE],
        b"GET" if second == b"VAR" => vec![&NUT],
        b"GET" | b"HEAD" | b"POST" | b"PUT" | b"DELETE" | b"OPTIONS" | b"PATCH" | b"CONNECT" | b"TRACE" => {
            vec![&HTTP]
        }
        _ if [&b"STARTTLS"[..], b"CAPABILITY", b"LOGIN", b"AUTHENTICATE", b"ID"]
            .contains(&second.as_slice()) =>
        {
            vec![&IMAP]
        }
        _ => Vec::new(),
    })
}

/// Returns the protocol of a connection with TLS from the first octet: by ALPN, otherwise by the port.
pub(super) fn implicit(alpn: &[String], port: u16) -> Option<&'static Protocol> {
    let named = |it: &&Protocol| it.alpn.is_some_and(|own| alpn.iter().any(|offered| offered == own));
    let by_port = || by_port(port).map(|(protocol, _)| protocol);
    PROTOCOLS.iter().copied().find(named).or_else(by_port).filter(|it| it.implicit_tls.is_some())
}
