//! Information in the cleartext part that an eavesdropper can use.

use crate::check::id;
use crate::finding::FindingBuilder;
use crate::message;
use crate::plan::Plan;
use crate::report::{CheckOutcome, Severity};

/// Looks for software versions, internal names and private addresses in what the server sent. The text is escaped.
pub(crate) fn judge(plan: &Plan, sent: &str) -> Vec<FindingBuilder> {
    let text = without_escapes(sent);
    let words: Vec<&str> = text.split(|c: char| c.is_whitespace() || "()[]<>,;\"'=".contains(c)).collect();
    let version = words.iter().find(|word| is_version(word));
    let banner = match version {
        Some(version) => FindingBuilder::new(
            id::LEAK_BANNER,
            CheckOutcome::Info,
            message::VERSION_REVEALED.with(&[("version", &version)]),
        ),
        None => FindingBuilder::pass(id::LEAK_BANNER, "the server reveals no version in cleartext"),
    };
    let internal = words.iter().find(|word| is_internal(word, &plan.server_name));
    let internal = match internal {
        Some(name) => FindingBuilder::new(
            id::LEAK_INTERNAL,
            CheckOutcome::Warning,
            message::INTERNAL_REVEALED.with(&[("name", &name)]),
        )
        .severity(Severity::Info),
        None => FindingBuilder::pass(id::LEAK_INTERNAL, "the server reveals no internal name or address"),
    };
    vec![banner, internal]
}

/// Replaces every escaped octet with a space, because such octets surround text in binary messages. This edits the text of
/// a transcript; nothing is framed here.
fn without_escapes(text: &str) -> String {
    let mut pieces = text.split('\\');
    let mut plain = pieces.next().unwrap_or_default().to_owned();
    for piece in pieces {
        let escape = if piece.starts_with('x') { 3 } else { 1 };
        plain.push(' ');
        plain.push_str(piece.get(escape..).unwrap_or_default());
    }
    plain
}

/// Returns whether a word is a version: `3.7.11`, `2.4.10-Debian`, `Dovecot/2.3.19`.
fn is_version(word: &str) -> bool {
    let version = word.rsplit('/').next().unwrap_or(word);
    // An enhanced status code looks the same (RFC 3463 section 2).
    if version == word && word.len() <= 7 && word.starts_with(['2', '4', '5']) && word.get(1..2) == Some(".")
    {
        return false;
    }
    let mut parts = version.splitn(3, '.');
    let number = |part: Option<&str>| {
        part.is_some_and(|part| {
            !part.is_empty() && part.len() < 4 && part.bytes().all(|it| it.is_ascii_digit())
        })
    };
    let is_address = version.parse::<std::net::Ipv4Addr>().is_ok();
    !is_address
        && number(parts.next())
        && number(parts.next())
        && parts.next().is_some_and(|it| it.starts_with(|c: char| c.is_ascii_digit()))
}

fn is_internal(word: &str, server_name: &str) -> bool {
    let word = word.trim_end_matches('.');
    if word.eq_ignore_ascii_case(server_name) {
        return false;
    }
    if let Ok(address) = word.parse::<std::net::Ipv4Addr>() {
        return address.is_private();
    }
    let lower = word.to_ascii_lowercase();
    [".local", ".internal", ".lan", ".corp", ".intranet"]
        .iter()
        .any(|end| lower.ends_with(end) && lower.len() > end.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_found_in_binary_greetings_and_headers() {
        for text in [
            r"J\x00\x00\x00\n5.5.5-10.11.6-MariaDB-0+deb12u1\x00\x08",
            r"HTTP/1.1 101 Switching Protocols\r\nServer: Apache/2.4.57 (Debian)\r\n",
        ] {
            let text = without_escapes(text);
            assert!(text.split_whitespace().any(is_version), "{text}");
        }
    }

    #[test]
    fn versions_and_internal_names_are_distinguished_from_other_words() {
        for (word, version, internal) in [
            ("3.7.11", true, false),
            ("Server/2.4.10-Debian", true, false),
            ("2.0.0", false, false),
            ("ESMTP", false, false),
            ("192.168.1.4", false, true),
            ("203.0.113.9", false, false),
            ("exchange01.corp", false, true),
            ("mail.example.com", false, false),
        ] {
            assert_eq!(
                (is_version(word), is_internal(word, "mail.example.com")),
                (version, internal),
                "{word}"
            );
        }
    }
}
