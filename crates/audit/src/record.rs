//! The conversation of one connection, as it happens.

use std::time::Instant;

use starttls::proto::Escaped;

use crate::report::{Entry, Evidence, Kind, Transcript};

/// Entries that one transcript keeps, and octets that one entry shows.
const MAX_ENTRIES: usize = 400;
const MAX_SHOWN: usize = 2000;

/// Writes down what happens on a connection.
#[derive(Debug)]
pub(crate) struct Record {
    purpose: String,
    started: Instant,
    entries: Vec<Entry>,
}

/// A place in a record, to become evidence once the record has its place in the report.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Mark {
    pub(crate) first: usize,
    pub(crate) last: usize,
}

impl Record {
    pub(crate) fn new(purpose: &str) -> Self {
        Self { purpose: purpose.to_owned(), started: Instant::now(), entries: Vec::new() }
    }

    pub(crate) fn bytes(&mut self, kind: Kind, bytes: &[u8]) -> Mark {
        let shown = bytes.get(..MAX_SHOWN).unwrap_or(bytes);
        let more = bytes.len() - shown.len();
        let text = Escaped(shown).to_string();
        self.push(kind, if more == 0 { text } else { format!("{text}… ({more} more)") })
    }

    pub(crate) fn text(&mut self, kind: Kind, text: impl Into<String>) -> Mark {
        self.push(kind, text.into())
    }

    fn push(&mut self, kind: Kind, text: String) -> Mark {
        if self.entries.len() < MAX_ENTRIES {
            let at_ms = (self.started.elapsed().as_secs_f64() * 1e5).round() / 100.0;
            self.entries.push(Entry { at_ms, kind, text });
        }
        self.last()
    }

    /// The text of all entries of this kind.
    pub(crate) fn sent(&self, kind: Kind) -> String {
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
