//! The observations of one run, and the baseline that the judge compares them with.

use starttls::proto::ClientMessage;

use crate::canary::Canary;
use crate::record::{ConnectionRecord, Layer, RecordEntry};
use crate::subject::ClientRun;

/// The behavior of the client without an attack.
#[derive(Clone, Debug, Default)]
pub(crate) struct ClientBaseline {
    /// The messages inside TLS of the connection with the most of them, in a run where the server answers.
    pub(crate) answered: Vec<String>,
    /// The number of connections with messages inside TLS, in the same run.
    pub(crate) sessions: usize,
    /// The most messages inside TLS of one connection in a run where the server does not answer.
    pub(crate) unanswered: usize,
    /// The number of messages in cleartext that belong inside TLS.
    pub(crate) in_cleartext: usize,
    /// Whether the client prints the server's cleartext. Its output then does not show what it believes.
    pub(crate) traces: bool,
    /// Whether the client sends its request before the answer to its hello.
    pub(crate) pipelines: bool,
}

/// The connections and the output of one run.
pub(crate) struct Observations<'a> {
    pub(crate) records: &'a [ConnectionRecord],
    pub(crate) client: &'a ClientRun,
    pub(crate) canary: &'a Canary,
}

impl ClientBaseline {
    /// Sets the number of messages from a run in which the server does not answer inside TLS.
    pub(crate) fn set_unanswered(&mut self, mute: &[ConnectionRecord]) {
        self.unanswered = most_sent_inside(mute);
    }
}

pub(super) fn messages(count: usize) -> String {
    if count == 1 { String::from("1 message") } else { format!("{count} messages") }
}

/// Returns the messages inside TLS, without goodbyes.
pub(super) fn inside(record: &ConnectionRecord) -> impl Iterator<Item = (usize, &RecordEntry)> {
    record.sent(Layer::Inside).filter(|(_, entry)| entry.meaning != Some(ClientMessage::Quit))
}

/// Returns the number of connections with messages inside TLS.
pub(super) fn sessions(records: &[ConnectionRecord]) -> usize {
    records.iter().filter(|record| record.messages_inside > 0).count()
}

pub(super) fn most_sent_inside(records: &[ConnectionRecord]) -> usize {
    records.iter().map(|record| record.messages_inside).max().unwrap_or(0)
}

/// Returns the messages in cleartext that belong inside TLS.
pub(super) fn substance(record: &ConnectionRecord) -> impl Iterator<Item = (usize, &RecordEntry)> {
    let is = |meaning| matches!(meaning, Some(ClientMessage::Other | ClientMessage::Partial));
    record.sent(Layer::Cleartext).filter(move |(_, entry)| is(entry.meaning))
}
