//! The transcripts of a probe's connections.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use starttls::proto::{Escaped, Identity, MessageReader, Protocol, ReplyTo, Side};

use crate::observe::Observed;
use crate::report::{Entry, EntryKind, Evidence, Transcript};

/// The most entries of a transcript, and the most octets that one entry shows.
const MAX_ENTRIES: usize = 400;
const MAX_SHOWN: usize = 2000;

/// The most octets that are shown of bytes that are also described in words. A ServerHello is shorter.
const MAX_SHOWN_OF_DESCRIBED: usize = 600;

/// The most characters of a transcript. Later entries have only the length of their message.
const MAX_TEXT: usize = 128 * 1024;

/// The transcripts of a probe, in the order in which it opened its connections. Clones share them.
#[derive(Clone, Debug, Default)]
pub(crate) struct Log(Arc<Mutex<Vec<Conversation>>>);

/// The transcript of one connection. A session owns it and writes to it; it is in the probe's [`Log`] from the
/// beginning, so that a session that ends with an error leaves its transcript.
#[derive(Debug)]
pub(crate) struct Record {
    log: Log,
    index: usize,
}

/// The entries of one connection.
#[derive(Debug)]
struct Conversation {
    purpose: String,
    /// Decodes the messages of a binary protocol.
    protocol: &'static Protocol,
    started: Instant,
    entries: Vec<Entry>,
    /// Characters in the entries.
    length: usize,
    observed: Option<Observed>,
}

/// A range of entries in one transcript of a probe.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Mark {
    pub(crate) record: usize,
    pub(crate) first: usize,
    pub(crate) last: usize,
}

impl Log {
    /// Starts the transcript of a connection that is not opened.
    pub(crate) fn start(&self, protocol: &'static Protocol, purpose: &str) -> Record {
        self.start_observed(protocol, purpose, None)
    }

    /// Starts the transcript of a connection, which an observer may watch.
    pub(crate) fn start_observed(
        &self,
        protocol: &'static Protocol,
        purpose: &str,
        observed: Option<Observed>,
    ) -> Record {
        if let Some(observed) = &observed {
            observed.connection(purpose);
        }
        let mut conversations = self.lock();
        conversations.push(Conversation {
            purpose: purpose.to_owned(),
            protocol,
            started: Instant::now(),
            entries: Vec::new(),
            length: 0,
            observed,
        });
        Record { log: self.clone(), index: conversations.len() - 1 }
    }

    /// Returns the whole transcript of every connection.
    pub(crate) fn all(&self) -> Vec<Mark> {
        self.lock().iter().enumerate().map(|(record, it)| it.all(record)).collect()
    }

    /// Returns the whole transcript of the latest connection.
    pub(crate) fn last(&self) -> Option<Mark> {
        self.all().pop()
    }

    /// Moves the transcripts of another log to the end of this one, and returns the index of the first of them.
    pub(crate) fn absorb(&self, other: &Self) -> usize {
        let more = std::mem::take(&mut *other.lock());
        let mut conversations = self.lock();
        let base = conversations.len();
        conversations.extend(more);
        base
    }

    pub(crate) fn finish(self) -> Vec<Transcript> {
        let conversations = std::mem::take(&mut *self.lock());
        let transcript = |Conversation { purpose, entries, .. }| Transcript { purpose, entries };
        conversations.into_iter().map(transcript).collect()
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Conversation>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Record {
    /// Records bytes, escaped and cut to a limit.
    pub(crate) fn bytes(&self, kind: EntryKind, bytes: &[u8]) {
        self.with((), |conversation| conversation.bytes(kind, bytes));
    }

    /// Records bytes with their meaning in words, which the text report shows.
    pub(crate) fn described(&self, kind: EntryKind, bytes: &[u8], words: String) {
        self.with((), |conversation| {
            let shown = bytes.get(..MAX_SHOWN_OF_DESCRIBED).unwrap_or(bytes);
            let more = match bytes.len() - shown.len() {
                0 => String::new(),
                more => format!("… ({more} more)"),
            };
            conversation.push(kind, format!("{}{more}", Escaped(shown)), Some(words));
        });
    }

    /// Records an event.
    pub(crate) fn text(&self, kind: EntryKind, text: impl Into<String>) {
        self.with((), |conversation| conversation.push(kind, text.into(), None));
    }

    /// Returns the text of all entries of this kind.
    pub(crate) fn sent(&self, kind: EntryKind) -> String {
        self.with(String::new(), |conversation| {
            let sent = conversation.entries.iter().filter(|entry| entry.kind == kind);
            sent.map(|entry| entry.text.as_str()).collect()
        })
    }

    /// Returns the whole transcript so far.
    pub(crate) fn all(&self) -> Mark {
        let nothing = Mark { record: self.index, first: 0, last: 0 };
        self.with(nothing, |conversation| conversation.all(self.index))
    }

    /// Returns the milliseconds since the connection was dialed.
    pub(crate) fn elapsed_ms(&self) -> f64 {
        self.with(0.0, |conversation| conversation.elapsed_ms())
    }

    fn with<T>(&self, otherwise: T, act: impl FnOnce(&mut Conversation) -> T) -> T {
        self.log.lock().get_mut(self.index).map_or(otherwise, act)
    }
}

impl Conversation {
    fn bytes(&mut self, kind: EntryKind, bytes: &[u8]) {
        if self.entries.len() >= MAX_ENTRIES {
            return;
        }
        let most = if self.length < MAX_TEXT { MAX_SHOWN } else { 0 };
        let shown = bytes.get(..most).unwrap_or(bytes);
        let more = bytes.len() - shown.len();
        let text = Escaped(shown).to_string();
        let decoded = if most == 0 { None } else { self.decoded(kind, bytes) };
        self.push(kind, if more == 0 { text } else { format!("{text}… ({more} more)") }, decoded);
    }

    /// Describes the messages of a binary protocol in words; `None` unless the bytes are whole messages.
    fn decoded(&self, kind: EntryKind, bytes: &[u8]) -> Option<String> {
        let side = match kind {
            EntryKind::Client | EntryKind::ClientInside => Side::Client,
            EntryKind::Server | EntryKind::ServerInside => Side::Server,
            EntryKind::Boundary | EntryKind::Event => return None,
        };
        let dialect = self.protocol.new_dialect(Identity::new(""));
        let replies = [ReplyTo::Request, ReplyTo::Other, ReplyTo::Connect, ReplyTo::Hello];
        let (mut reader, mut words) = (MessageReader::new(side), Vec::new());
        reader.push(bytes);
        // Injected bytes follow the request in the same segment, so one entry may hold several messages.
        while !reader.unread().is_empty() {
            let message = |reply_to| reader.next(&*dialect, reply_to).ok()?.map(<[u8]>::to_vec);
            words.push(dialect.describe(side, &replies.into_iter().find_map(message)?)?);
        }
        (!words.is_empty()).then(|| words.join(", ").chars().take(MAX_SHOWN).collect())
    }

    fn push(&mut self, kind: EntryKind, text: String, decoded: Option<String>) {
        if self.entries.len() < MAX_ENTRIES {
            let at_ms = self.elapsed_ms();
            self.length += text.len() + decoded.as_ref().map_or(0, String::len);
            let entry = Entry { at_ms, kind, text, decoded };
            if let Some(observed) = &self.observed {
                observed.entry(&entry);
            }
            self.entries.push(entry);
        }
    }

    fn all(&self, record: usize) -> Mark {
        Mark { record, first: 0, last: self.entries.len().saturating_sub(1) }
    }

    fn elapsed_ms(&self) -> f64 {
        (self.started.elapsed().as_secs_f64() * 1e5).round() / 100.0
    }
}

impl Mark {
    pub(crate) fn in_transcript(self, base: usize) -> Evidence {
        Evidence { transcript: base + self.record, first: self.first, last: self.last }
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
            let log = Log::default();
            log.start(protocol(name).unwrap(), "").bytes(kind, bytes);
            let transcript = log.finish().remove(0);
            assert_eq!(transcript.entries[0].decoded.as_deref(), decoded, "{name}: {bytes:?}");
            assert_eq!(transcript.entries[0].text, Escaped(bytes).to_string());
        }
    }
}
