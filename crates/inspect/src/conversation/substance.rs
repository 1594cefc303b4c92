//! Which names the messages of a client show, and what answers mean beyond the upgrade.

use starttls_proto::ProtocolFamily;

/// Returns whether this command of SMTP announces a chunk of octets (RFC 3030 section 2).
pub(super) fn is_chunk(msg: &[u8]) -> bool {
    msg.get(..4).is_some_and(|verb| verb.eq_ignore_ascii_case(b"BDAT"))
}

/// Returns the number of octets that a chunk has.
pub(super) fn chunk(msg: &[u8]) -> Option<usize> {
    let mut words = msg.split(|octet| octet.is_ascii_whitespace()).filter(|word| !word.is_empty());
    str::from_utf8(words.nth(1)?).ok()?.parse().ok()
}

/// Returns whether this is EHLO without the name that RFC 5321 section 4.1.1.1 requires.
pub(super) fn is_bare_hello(msg: &[u8]) -> bool {
    msg.trim_ascii().eq_ignore_ascii_case(b"EHLO")
}

/// Returns the name in a hello of SMTP, or in the cookie of a request of RDP (MS-RDPBCGR section 2.2.1.1).
pub(super) fn hello_name(family: ProtocolFamily, msg: &[u8]) -> Option<&[u8]> {
    const COOKIE: &[u8] = b"Cookie: mstshash=";
    if family == ProtocolFamily::Rdp {
        let line = msg.get(11..)?.strip_prefix(COOKIE)?;
        return line.split(|octet| *octet == b'\r').next();
    }
    let line = msg.split(|octet| *octet == b'\r' || *octet == b'\n').next()?;
    let name = line.get(5..).filter(|name| !name.trim_ascii().is_empty());
    name.filter(|_| family == ProtocolFamily::Smtp && line.get(4) == Some(&b' ')).map(<[u8]>::trim_ascii)
}

/// Returns whether a server that sends this message, and nothing after it, waits for a command.
pub(super) fn is_final_reply(family: ProtocolFamily, msg: &[u8]) -> bool {
    match family {
        ProtocolFamily::Smtp | ProtocolFamily::Ftp => {
            matches!(msg, [b'2' | b'4' | b'5', _, _, b' ' | b'\r', ..])
        }
        ProtocolFamily::Pop3 => msg.starts_with(b"+OK") || msg.starts_with(b"-ERR"),
        ProtocolFamily::Nut => true,
        _ => false,
    }
}

/// Returns whether a server asks for something that is not a command: content, or the next part of a login. In FTP, content has
/// a connection of its own, and each part of a login is a command.
pub(super) fn asks_for_content(family: ProtocolFamily, msg: &[u8]) -> bool {
    match family {
        ProtocolFamily::Smtp => msg.starts_with(b"3"),
        ProtocolFamily::Pop3 => msg.starts_with(b"+ "),
        _ => false,
    }
}

/// Returns whether a server refused to list its capabilities.
pub(super) fn is_refusal(family: ProtocolFamily, msg: &[u8]) -> bool {
    match family {
        ProtocolFamily::Smtp | ProtocolFamily::Ftp | ProtocolFamily::Nntp => matches!(msg, [b'4' | b'5', ..]),
        ProtocolFamily::Pop3 => msg.starts_with(b"-"),
        ProtocolFamily::Imap => {
            let word = msg.split(|octet| *octet == b' ').nth(1).unwrap_or_default();
            word.eq_ignore_ascii_case(b"NO") || word.eq_ignore_ascii_case(b"BAD")
        }
        ProtocolFamily::Irc => !msg.windows(4).any(|it| it == b"CAP "),
        _ => false,
    }
}

/// Returns whether a firewall has overwritten a keyword in this list: `XXXXXXXA`, as long as the word it replaces.
/// Eight octets are the length of STARTTLS, but also of CHUNKING and 8BITMIME, so the list does not show which it was.
pub(super) fn is_masked_list(msg: &[u8]) -> bool {
    let mut lines = msg.split(|octet| *octet == b'\n').skip(1);
    lines.any(|line| {
        let word = line.get(4..).unwrap_or_default().trim_ascii();
        let word = word.split(|octet| *octet == b' ').next().unwrap_or_default();
        matches!(word, [mask @ .., last] if word.len() == 8
            && mask.iter().all(|octet| *octet == b'X') && last.is_ascii_uppercase())
    })
}

/// Returns whether a firewall has overwritten the text of a greeting with asterisks.
pub(super) fn is_masked_greeting(msg: &[u8]) -> bool {
    let text = msg.get(4..).unwrap_or_default().trim_ascii();
    let stars = text.iter().filter(|octet| **octet == b'*').count();
    msg.starts_with(b"220") && stars >= 8 && text.iter().all(|octet| b"*20 ".contains(octet))
}

/// Returns whether a refusal quotes a command of the length of STARTTLS in which every letter was replaced.
pub(super) fn quotes_an_altered_request(msg: &[u8]) -> bool {
    let mut words = msg.split(|octet| !octet.is_ascii_graphic() || b"\"'<>:,.();".contains(octet));
    words.any(|word| {
        word.len() == 8
            && (word.iter().all(|octet| *octet == b'X') || word.iter().all(|octet| *octet == b'*'))
    })
}
