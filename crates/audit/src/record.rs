//! The conversation of one connection, as it happens.

use std::time::Instant;

use starttls::proto::{Escaped, Identity, Protocol, ReplyTo, Scan, Side};

use crate::report::{Entry, EntryKind, Evidence, Transcript};

/// Entries that one transcript keeps, and octets that one entry shows.
const MAX_ENTRIES: usize = 400;
const MAX_SHOWN: usize = 2000;

/// Characters that one transcript keeps; of later messages it tells the length only.
const MAX_TEXT: usize = 128 * 1024;

/// Writes down what happens on a connection.
#[derive(Debug)]
pub(crate) struct Record {
    purpose: String,
    /// What the bytes are decoded as.
    protocol: Option<&'static Protocol>,
    started: Instant,
    entries: Vec<Entry>,
    /// Characters in the entries.
    length: usize,
}

/// A place in a record, to become evidence once the record has its place in the report.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Mark {
    pub(crate) first: usize,
    pub(crate) last: usize,
}

impl Record {
    pub(crate) fn new(purpose: &str) -> Self {
        Self {
            purpose: purpose.to_owned(),
            protocol: None,
            started: Instant::now(),
            entries: Vec::new(),
            length: 0,
        }
    }

    /// The same record, in which the messages of a binary protocol have their words beside them.
    pub(crate) fn of(self, protocol: &'static Protocol) -> Self {
        Self { protocol: Some(protocol), ..self }
    }

    pub(crate) fn bytes(&mut self, kind: EntryKind, bytes: &[u8]) -> Mark {
        if self.entries.len() >= MAX_ENTRIES {
            return self.last();
        }
        let most = if self.length < MAX_TEXT { MAX_SHOWN } else { 0 };
        let shown = bytes.get(..most).unwrap_or(bytes);
        let more = bytes.len() - shown.len();
        let text = Escaped(shown).to_string();
        let decoded = if most == 0 { None } else { self.decoded(kind, bytes) };
        self.push(kind, if more == 0 { text } else { format!("{text}… ({more} more)") }, decoded)
    }

    pub(crate) fn text(&mut self, kind: EntryKind, text: impl Into<String>) -> Mark {
        self.push(kind, text.into(), None)
    }

    /// Returns messages of a binary protocol in words, or nothing if they are not whole messages of it.
    fn decoded(&self, kind: EntryKind, bytes: &[u8]) -> Option<String> {
        let side = match kind {
            EntryKind::Client | EntryKind::ClientInside => Side::Client,
            EntryKind::Server | EntryKind::ServerInside => Side::Server,
            EntryKind::Boundary | EntryKind::Event => return None,
        };
        let dialect = (self.protocol?.dialect)(Identity::new(""));
        let replies = [ReplyTo::Request, ReplyTo::Other, ReplyTo::Connect, ReplyTo::Hello];
        let (mut rest, mut words) = (bytes, Vec::new());
        // What is injected stands behind the request in one segment, and has to be seen.
        while !rest.is_empty() {
            let length = |reply_to: ReplyTo| {
                let framed = dialect.frame(side, reply_to, rest, &mut Scan::default());
                framed.ok()?.filter(|it| *it > 0)
            };
            let (message, more) = rest.split_at_checked(replies.into_iter().find_map(length)?)?;
            words.push(dialect.describe(side, message)?);
            rest = more;
        }
        (!words.is_empty()).then(|| words.join(", ").chars().take(MAX_SHOWN).collect())
    }

    fn push(&mut self, kind: EntryKind, text: String, decoded: Option<String>) -> Mark {
        if self.entries.len() < MAX_ENTRIES {
            let at_ms = (self.started.elapsed().as_secs_f64() * 1e5).round() / 100.0;
            self.length += text.len() + decoded.as_ref().map_or(0, String::len);
            self.entries.push(Entry { at_ms, kind, text, decoded });
        }
        self.last()
    }

    /// The text of all entries of this kind.
    pub(crate) fn sent(&self, kind: EntryKind) -> String {
        let sent = self.entries.iter().filter(|entry| entry.kind == kind);
        sent.map(|entry| entry.text.as_str()).collect()
    }

    /// The entry that was written last.
    pub(crate) fn last(&self) -> Mark {
        let at = self.entries.len().saturating_sub(1);
        Mark { first: at, last: at }
    }

    /// From an earlier place up to now.
    pub(crate) fn since(&self, mark: Mark) -> Mark {
        Mark { first: mark.first, last: self.last().last }
    }

    /// Everything.
    pub(crate) fn all(&self) -> Mark {
        Mark { first: 0, last: self.last().last }
    }

    pub(crate) fn elapsed_ms(&self) -> f64 {
        (self.started.elapsed().as_secs_f64() * 1e5).round() / 100.0
    }

    pub(crate) fn finish(self) -> Transcript {
        Transcript { purpose: self.purpose, entries: self.entries }
    }
}

impl Mark {
    pub(crate) fn in_transcript(self, transcript: usize) -> Evidence {
        Evidence { transcript, first: self.first, last: self.last }
    }
}

#[cfg(test)]
mod tests {
    use starttls::proto::protocol;

    use super::*;

    #[test]
    fn binary_messages_are_decoded_and_others_are_not() {
        let startup = b"\0\0\0\x08\x04\xd2\x16\x2f\0\0\0\x09\0\x03\0\0\0";
        let ldap = b"\x30\x0c\x02\x01\x01\x78\x07\x0a\x01\x00\x04\x00\x04\x00";
        for (name, kind, bytes, decoded) in [
            ("mysql", EntryKind::Server, &b"\x09\0\0\x02\xff\x15\x04denied"[..], Some("ERR 1045 denied")),
            ("mysql", EntryKind::Server, b"\x09\0\0\x02\xff\x15", None),
            ("postgres", EntryKind::Client, startup, Some("SSLRequest, StartupMessage 3.0")),
            ("postgres", EntryKind::Server, b"S", Some("answer S")),
            ("postgres", EntryKind::Server, b"HTTP/1.1 400 Bad Request\r\n\r\n", None),
            ("ldap", EntryKind::ServerInside, ldap, Some("ExtendedResponse 1: 0")),
            ("smtp", EntryKind::Server, b"220 mail.example.com ESMTP\r\n", None),
        ] {
            let mut record = Record::new("").of(protocol(name).unwrap());
            record.bytes(kind, bytes);
            assert_eq!(record.entries[0].decoded.as_deref(), decoded, "{name}: {bytes:?}");
            assert_eq!(record.entries[0].text, Escaped(bytes).to_string());
        }
    }
}
