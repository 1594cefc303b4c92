//! What happened on the connections of a run, one entry for each thing said.

use std::io;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use starttls::proto::{ClientMessage, Escaped, Side};

/// One connection of the client under test.
#[derive(Clone, Debug)]
pub(crate) struct ConnectionRecord {
    started: Instant,
    pub(crate) entries: Vec<RecordEntry>,
    /// Whether the moment of the attack has come.
    pub(crate) applied: bool,
    /// Whether TLS with the client is up.
    pub(crate) encrypted: bool,
    /// When the handshake with the client was first answered.
    pub(crate) answered_hello: Option<Instant>,
    /// Messages inside TLS, without goodbyes, whether they were kept or not.
    pub(crate) messages_inside: usize,
    /// Whether TLS was cut off in the middle of an answer.
    pub(crate) truncated: bool,
    /// Octets read in both directions.
    pub(crate) octets: usize,
    /// Whether the client said more in cleartext than is kept.
    pub(crate) is_cut: bool,
    /// Whether the client said more inside TLS than is kept.
    pub(crate) inside_is_cut: bool,
    /// Octets of entries that are kept, in cleartext and inside TLS.
    kept: (usize, usize),
    /// Whether TLS passes unread.
    pub(crate) unread: bool,
    /// Whether the client asked for TLS and was answered.
    pub(crate) answered: bool,
    /// What kept the man in the middle from his work.
    pub(crate) trouble: Option<String>,
    /// Whether what the client says is not to be shown, as far as it may be private.
    pub(crate) secret: bool,
    /// Whether it came where only a redirect leads.
    pub(crate) redirected: bool,
}

/// One thing said.
#[derive(Clone, Debug)]
pub(crate) struct RecordEntry {
    pub(crate) at: Duration,
    pub(crate) from: Side,
    pub(crate) layer: Layer,
    /// What it means, for what the client said.
    pub(crate) meaning: Option<ClientMessage>,
    pub(crate) bytes: Vec<u8>,
    /// The same in words, in protocols that people cannot read.
    words: Option<String>,
    secret: bool,
}

/// Where it was said.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Layer {
    Cleartext,
    /// In place of cleartext, or of what belongs inside TLS: a handshake, an alert.
    Tls,
    Inside,
}

/// Octets of one entry that are kept.
const ENTRY: usize = 2048;
/// Entries of one connection that are kept.
const ENTRIES: usize = 500;
/// Octets of the entries of one connection that are kept: in cleartext, and inside TLS.
const KEPT: usize = 64 * 1024;
/// Connections of one run that are recorded. A client that opens more is not served.
const CONNECTIONS: usize = 50;

impl ConnectionRecord {
    fn new() -> Self {
        Self {
            started: Instant::now(),
            entries: Vec::new(),
            applied: false,
            encrypted: false,
            answered_hello: None,
            messages_inside: 0,
            truncated: false,
            octets: 0,
            is_cut: false,
            inside_is_cut: false,
            kept: (0, 0),
            unread: false,
            answered: false,
            trouble: None,
            secret: false,
            redirected: false,
        }
    }

    pub(crate) fn push(
        &mut self,
        from: Side,
        layer: Layer,
        meaning: Option<ClientMessage>,
        bytes: &[u8],
        words: Option<String>,
    ) {
        if bytes.is_empty() {
            return;
        }
        let speaks = meaning != Some(ClientMessage::Quit);
        self.messages_inside += usize::from(from == Side::Client && layer == Layer::Inside && speaks);
        let said_in = |this: Layer| from == Side::Client && layer == this;
        // The rest of a long message may contain what is searched for.
        self.is_cut |= said_in(Layer::Cleartext) && bytes.len() > ENTRY;
        let bytes = bytes[..bytes.len().min(ENTRY)].to_vec();
        let kept = if layer == Layer::Inside { &mut self.kept.1 } else { &mut self.kept.0 };
        if self.entries.len() >= ENTRIES || *kept + bytes.len() > KEPT {
            self.is_cut |= said_in(Layer::Cleartext);
            self.inside_is_cut |= said_in(Layer::Inside);
            return;
        }
        *kept += bytes.len();
        let open = [ClientMessage::Hello, ClientMessage::Request, ClientMessage::Probe, ClientMessage::Quit];
        let told = layer == Layer::Tls || (layer == Layer::Cleartext && open.map(Some).contains(&meaning));
        let secret = self.secret && (layer == Layer::Inside || (from == Side::Client && !told));
        let at = self.started.elapsed();
        self.entries.push(RecordEntry { at, from, layer, meaning, bytes, words, secret });
    }

    /// How long the client has been silent; not at all when TLS is up.
    pub(crate) fn quiet(&self) -> Duration {
        let last = self.entries.iter().rev().find(|entry| entry.from == Side::Client).map(|entry| entry.at);
        match self.encrypted {
            true => Duration::ZERO,
            false => self.started.elapsed().saturating_sub(last.unwrap_or_default()),
        }
    }

    /// Whether the client asked for TLS: a handshake without that is another port's, looked for.
    pub(crate) fn asked(&self) -> bool {
        self.said(Layer::Cleartext).any(|(_, entry)| entry.meaning == Some(ClientMessage::Request))
    }

    /// What the client said there, and where it stands.
    pub(crate) fn said(&self, layer: Layer) -> impl Iterator<Item = (usize, &RecordEntry)> {
        let wanted = move |entry: &RecordEntry| entry.from == Side::Client && entry.layer == layer;
        self.entries.iter().enumerate().filter(move |(_, entry)| wanted(entry))
    }
}

impl RecordEntry {
    /// What was said, for people.
    pub(crate) fn text(&self) -> String {
        if self.secret {
            return format!("<{} octets>", self.bytes.len());
        }
        match (&self.words, self.layer) {
            (Some(words), _) => Escaped(words.as_bytes()).to_string(),
            (None, Layer::Tls) => {
                format!("<{} octets: {}>", self.bytes.len(), Escaped(&self.bytes[..self.bytes.len().min(16)]))
            }
            (None, _) => Escaped(&self.bytes).to_string(),
        }
    }
}

/// The records of all connections of a run.
#[derive(Debug, Default)]
pub(crate) struct RunRecords(Mutex<Vec<ConnectionRecord>>);

/// Octets that a connection may carry, in both directions together.
const BUDGET: usize = 16 << 20;

impl RunRecords {
    /// Starts a record and returns its number; `None` after too many connections.
    pub(crate) fn open(&self) -> Option<usize> {
        let mut records = self.lock();
        if records.len() == CONNECTIONS {
            records.iter_mut().for_each(|record| {
                record
                    .trouble
                    .get_or_insert(format!("the client opened more than {CONNECTIONS} connections"));
            });
            return None;
        }
        records.push(ConnectionRecord::new());
        Some(records.len() - 1)
    }

    /// Counts octets that were read on a connection.
    ///
    /// # Errors
    /// When a connection carried more than its budget.
    pub(crate) fn count(&self, number: usize, octets: usize) -> io::Result<()> {
        let mut is_spent = false;
        self.with(number, |record| {
            record.octets += octets;
            is_spent = record.octets > BUDGET;
            if is_spent {
                record
                    .trouble
                    .get_or_insert(format!("the connection carried more than {} MiB", BUDGET >> 20));
            }
        });
        if is_spent { Err(io::ErrorKind::QuotaExceeded.into()) } else { Ok(()) }
    }

    pub(crate) fn with(&self, number: usize, write: impl FnOnce(&mut ConnectionRecord)) {
        if let Some(record) = self.lock().get_mut(number) {
            write(record);
        }
    }

    pub(crate) fn taken(&self) -> Vec<ConnectionRecord> {
        std::mem::take(&mut *self.lock())
    }

    fn lock(&self) -> MutexGuard<'_, Vec<ConnectionRecord>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
