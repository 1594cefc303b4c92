//! Records of the connections of a run, with one entry for each message.

use std::io;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};
use starttls::proto::{ClientMessage, Escaped, Side};

/// The record of one connection of the client under test.
#[derive(Clone, Debug)]
pub(crate) struct ConnectionRecord {
    started: Instant,
    pub(crate) entries: Vec<RecordEntry>,
    /// Whether the attack was triggered.
    pub(crate) applied: bool,
    /// Whether TLS with the client is up.
    pub(crate) encrypted: bool,
    /// When the man in the middle began to answer the ClientHello.
    pub(crate) answered_hello: Option<Instant>,
    /// The number of messages inside TLS without goodbyes, including those without an entry.
    pub(crate) messages_inside: usize,
    /// Whether TLS was cut off in the middle of an answer.
    pub(crate) truncated: bool,
    /// The octets read in both directions.
    pub(crate) octets: usize,
    /// Whether the client sent more in cleartext than the entries hold.
    pub(crate) is_cut: bool,
    /// Whether the client sent more inside TLS than the entries hold.
    pub(crate) inside_is_cut: bool,
    /// The octets of the entries in cleartext, and inside TLS.
    kept: (usize, usize),
    /// Whether TLS is relayed without decryption.
    pub(crate) unread: bool,
    /// Whether the request of the client was accepted.
    pub(crate) answered: bool,
    /// Why the man in the middle could not play the scenario.
    pub(crate) trouble: Option<String>,
    /// Whether texts of the client that may be private are left out of reports.
    pub(crate) secret: bool,
    /// Whether the client reached this connection through a redirect.
    pub(crate) redirected: bool,
}

/// One message, or a part of one.
#[derive(Clone, Debug)]
pub(crate) struct RecordEntry {
    pub(crate) at: Duration,
    pub(crate) from: Side,
    pub(crate) layer: Layer,
    /// The meaning of a message of the client.
    pub(crate) meaning: Option<ClientMessage>,
    pub(crate) bytes: Vec<u8>,
    /// A description, for binary protocols.
    description: Option<String>,
    secret: bool,
}

/// The layer of a connection that carried an entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
pub enum Layer {
    /// Before TLS.
    Cleartext,
    /// TLS records that are not decrypted, such as a handshake or an alert, and the bytes sent in their place.
    Tls,
    /// Inside TLS.
    Inside,
}

impl Layer {
    /// Returns the word that reports use for it.
    pub fn word(self) -> &'static str {
        match self {
            Self::Cleartext => "cleartext",
            Self::Tls => "tls",
            Self::Inside => "inside",
        }
    }
}

/// The largest entry, in octets.
const ENTRY: usize = 2048;
/// The most entries of one connection.
const ENTRIES: usize = 500;
/// The most octets of the entries of one connection in cleartext, and as many inside TLS.
const KEPT: usize = 64 * 1024;
/// The most connections of one run. Further connections are not served.
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
        description: Option<String>,
    ) {
        if bytes.is_empty() {
            return;
        }
        let counts = meaning != Some(ClientMessage::Quit);
        self.messages_inside += usize::from(from == Side::Client && layer == Layer::Inside && counts);
        let sent_in = |this: Layer| from == Side::Client && layer == this;
        // The part of a long message that is left out may contain a canary.
        self.is_cut |= sent_in(Layer::Cleartext) && bytes.len() > ENTRY;
        let bytes = bytes[..bytes.len().min(ENTRY)].to_vec();
        let kept = if layer == Layer::Inside { &mut self.kept.1 } else { &mut self.kept.0 };
        if self.entries.len() >= ENTRIES || *kept + bytes.len() > KEPT {
            self.is_cut |= sent_in(Layer::Cleartext);
            self.inside_is_cut |= sent_in(Layer::Inside);
            return;
        }
        *kept += bytes.len();
        let open = [ClientMessage::Hello, ClientMessage::Request, ClientMessage::Probe, ClientMessage::Quit];
        let told = layer == Layer::Tls || (layer == Layer::Cleartext && open.map(Some).contains(&meaning));
        let secret = self.secret && (layer == Layer::Inside || (from == Side::Client && !told));
        let at = self.started.elapsed();
        self.entries.push(RecordEntry { at, from, layer, meaning, bytes, description, secret });
    }

    /// Returns how long the client has been silent, or zero when TLS is up.
    pub(crate) fn quiet(&self) -> Duration {
        let last = self.entries.iter().rev().find(|entry| entry.from == Side::Client).map(|entry| entry.at);
        match self.encrypted {
            true => Duration::ZERO,
            false => self.started.elapsed().saturating_sub(last.unwrap_or_default()),
        }
    }

    /// Returns whether the client requested TLS. A client that looks for a port with implicit TLS starts a handshake without
    /// a request.
    pub(crate) fn has_request(&self) -> bool {
        self.sent(Layer::Cleartext).any(|(_, entry)| entry.meaning == Some(ClientMessage::Request))
    }

    /// Returns the entries of the client in this layer, each with its index.
    pub(crate) fn sent(&self, layer: Layer) -> impl Iterator<Item = (usize, &RecordEntry)> {
        let wanted = move |entry: &RecordEntry| entry.from == Side::Client && entry.layer == layer;
        self.entries.iter().enumerate().filter(move |(_, entry)| wanted(entry))
    }
}

impl RecordEntry {
    /// Returns the text of the entry for reports.
    pub(crate) fn text(&self) -> String {
        if self.secret {
            return format!("<{} octets>", self.bytes.len());
        }
        match (&self.description, self.layer) {
            (Some(text), _) => Escaped(text.as_bytes()).to_string(),
            (None, Layer::Tls) => {
                format!("<{} octets: {}>", self.bytes.len(), Escaped(&self.bytes[..self.bytes.len().min(16)]))
            }
            (None, _) => Escaped(&self.bytes).to_string(),
        }
    }
}

/// The records of all connections of a run, shared with the tasks that write them.
#[derive(Debug, Default)]
pub(crate) struct RunRecords(Mutex<Vec<ConnectionRecord>>);

/// The most octets of a connection in both directions together.
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
    /// Returns an error if the connection carried more than its budget.
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
