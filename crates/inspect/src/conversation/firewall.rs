//! What a firewall that reads the protocol leaves in the answers of a server.

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
