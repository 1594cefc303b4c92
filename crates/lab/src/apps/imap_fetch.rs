//! FETCH (RFC 9051 section 6.4.5): the messages and their parts.

use super::tokens::Token;
use crate::session::Session;
use crate::store::Mail;

/// Answers a FETCH. Returns `None` if its arguments are invalid.
pub(super) fn fetch(session: &mut Session, mail: &[Mail], uid: bool, arguments: &[Token]) -> Option<()> {
    let (set, items) = arguments.split_first()?;
    let set = set.text();
    let mut items: Vec<String> = items
        .iter()
        .filter(|item| matches!(item, Token::Atom(_)))
        .flat_map(|item| expand(&item.text().to_ascii_uppercase()))
        .collect();
    // RFC 9051 section 6.4.9: the answer to a UID command has the UID.
    if uid && !items.iter().any(|item| item == "UID") {
        items.insert(0, String::from("UID"));
    }
    is_in(&set, 1, 1).filter(|_| !items.is_empty())?;
    let highest = if uid { mail.last().map_or(0, |last| last.uid) } else { mail.len() as u32 };
    for (at, mail) in mail.iter().enumerate() {
        let number = if uid { mail.uid } else { at as u32 + 1 };
        if is_in(&set, number, highest) == Some(true) {
            let parts: Option<Vec<Vec<u8>>> = items.iter().map(|item| part(mail, item)).collect();
            let parts = parts?;
            session.send(format!("* {} FETCH (", at + 1));
            session.send(parts.join(&b' '));
            session.send(")\r\n");
        }
    }
    Some(())
}

/// Returns whether a set (`1`, `2:*`, `1,3`) contains a number, or `None` if the set is invalid. `*` is the highest number in
/// use.
pub(super) fn is_in(set: &str, number: u32, highest: u32) -> Option<bool> {
    let end = |text: &str| if text == "*" { Some(highest) } else { text.parse().ok() };
    let mut found = false;
    for range in set.split(',') {
        let (first, last) = range.split_once(':').unwrap_or((range, range));
        let (first, last) = (end(first)?, end(last)?);
        found |= (first.min(last)..=first.max(last)).contains(&number);
    }
    Some(found)
}

fn expand(item: &str) -> Vec<String> {
    let items: &[&str] = match item {
        "ALL" => &["FLAGS", "INTERNALDATE", "RFC822.SIZE", "ENVELOPE"],
        "FAST" => &["FLAGS", "INTERNALDATE", "RFC822.SIZE"],
        "FULL" => &["FLAGS", "INTERNALDATE", "RFC822.SIZE", "ENVELOPE", "BODY"],
        _ => &[item],
    };
    items.iter().map(ToString::to_string).collect()
}

fn part(mail: &Mail, item: &str) -> Option<Vec<u8>> {
    let text = &*mail.text;
    let cut = text.windows(4).position(|four| four == b"\r\n\r\n").map_or(text.len(), |at| at + 4);
    let (header, body) = text.split_at(cut);
    Some(match item {
        "UID" => format!("UID {}", mail.uid).into_bytes(),
        "FLAGS" => b"FLAGS ()".to_vec(),
        "INTERNALDATE" => b"INTERNALDATE \"01-Jan-2026 00:00:00 +0000\"".to_vec(),
        "RFC822.SIZE" => format!("RFC822.SIZE {}", text.len()).into_bytes(),
        "ENVELOPE" => [&b"ENVELOPE "[..], &envelope(header)].concat(),
        "BODY" | "BODYSTRUCTURE" => {
            let lines = body.iter().filter(|&&byte| byte == b'\n').count();
            format!(
                "{item} (\"TEXT\" \"PLAIN\" (\"CHARSET\" \"US-ASCII\") NIL NIL \"7BIT\" {} {lines})",
                body.len()
            )
            .into_bytes()
        }
        "RFC822" => literal(item, text),
        "RFC822.HEADER" => literal(item, header),
        "RFC822.TEXT" => literal(item, body),
        _ => section(item, text, header, body)?,
    })
}

/// `BODY[…]` or `BODY.PEEK[…]`, and an octet range after it (`<0.100>`).
fn section(item: &str, text: &[u8], header: &[u8], body: &[u8]) -> Option<Vec<u8>> {
    let inner = item.strip_prefix("BODY.PEEK[").or_else(|| item.strip_prefix("BODY["))?;
    let (name, range) = inner.split_once(']')?;
    let fields;
    let whole = match name {
        "" => text,
        "HEADER" => header,
        "TEXT" | "1" => body,
        _ => {
            let (except, wanted) = match name.strip_prefix("HEADER.FIELDS.NOT ") {
                Some(wanted) => (true, wanted),
                None => (false, name.strip_prefix("HEADER.FIELDS ")?),
            };
            let wanted: Vec<&str> = wanted.trim_matches(['(', ')']).split(' ').collect();
            fields = select(header, |field| wanted.contains(&field) != except);
            &fields
        }
    };
    if range.is_empty() {
        return Some(literal(&format!("BODY[{name}]"), whole));
    }
    let (from, count) = range.strip_prefix('<')?.strip_suffix('>')?.split_once('.')?;
    let (from, count): (usize, usize) = (from.parse().ok()?, count.parse().ok()?);
    let start = from.min(whole.len());
    let end = start.saturating_add(count).min(whole.len());
    Some(literal(&format!("BODY[{name}]<{from}>"), &whole[start..end]))
}

fn literal(name: &str, text: &[u8]) -> Vec<u8> {
    [format!("{name} {{{}}}\r\n", text.len()).as_bytes(), text].concat()
}

/// Returns the header fields whose upper-case name is `wanted`, and the empty line.
fn select(header: &[u8], wanted: impl Fn(&str) -> bool) -> Vec<u8> {
    let mut kept = Vec::new();
    let mut keeping = false;
    for line in header.split_inclusive(|&byte| byte == b'\n').filter(|line| *line != b"\r\n") {
        if !line.starts_with(b" ") && !line.starts_with(b"\t") {
            let name = line.split(|&byte| byte == b':').next().unwrap_or_default();
            keeping = wanted(&String::from_utf8_lossy(name).to_ascii_uppercase());
        }
        if keeping {
            kept.extend_from_slice(line);
        }
    }
    kept.extend_from_slice(b"\r\n");
    kept
}

/// Returns the envelope (RFC 9051 section 7.5.2), with unparsed addresses as names.
fn envelope(header: &[u8]) -> Vec<u8> {
    let field = |name: &str| {
        let line = select(header, |field| field == name);
        let text = String::from_utf8_lossy(&line).replace("\r\n", "");
        let value = text.split_once(':').map(|(_, value)| value.trim().replace(['"', '\\'], ""));
        value.map(|value| format!("\"{value}\""))
    };
    let string = |name| field(name).unwrap_or_else(|| String::from("NIL"));
    let address = |name| {
        field(name).map_or(String::from("NIL"), |value| format!("(({value} NIL \"test\" \"example.test\"))"))
    };
    let (from, to) = (address("FROM"), address("TO"));
    let parts = [
        string("DATE"),
        string("SUBJECT"),
        from.clone(),
        from.clone(),
        from,
        to,
        address("CC"),
        address("BCC"),
    ];
    format!("({} NIL {})", parts.join(" "), string("MESSAGE-ID")).into_bytes()
}
