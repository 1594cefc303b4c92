//! Watches a connection from its first byte: shows the messages, and records them for the report and the transcript.

use std::fs::File;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use starttls::proto::{Protocol, Side, TranscriptEntry};
use starttls::{Chunk, ConnectionPhase, Observer, TranscriptWriter, file};

use super::conversation::{self, Conversation, Message};
use crate::args::Trace;
use crate::console::{Console, Tone};
use crate::error::Failed;

/// Observes one connection. Clones share what they record.
#[derive(Clone)]
pub(crate) struct Watch {
    console: Console,
    conversation: Arc<Conversation>,
    transcript: Option<Arc<TranscriptWriter<File>>>,
    inside: Inside,
    recorded: Arc<Mutex<Recorded>>,
}

/// How the transcript records what is sent inside TLS.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Inside {
    /// The bytes as they come. The transcript finds the secrets in them.
    Bytes,
    /// One message at a time, as [`Watch::show`] gets it: without the secrets, which are known there.
    Messages,
}

#[derive(Default)]
struct Recorded {
    /// The time of the last bytes inside TLS.
    at: Duration,
    messages: Vec<Message>,
}

impl Watch {
    pub(crate) fn new(
        trace: &Trace,
        protocol: &'static Protocol,
        console: Console,
        inside: Inside,
    ) -> Result<Self, Failed> {
        let transcript = open_transcript(trace, protocol)?.map(Arc::new);
        let conversation = Arc::new(Conversation::new(protocol, console));
        Ok(Self { console, conversation, transcript, inside, recorded: Arc::default() })
    }

    /// Shows and records one message, without its secrets. `meaning` is where or why it was sent.
    pub(crate) fn show(&self, said: &TranscriptEntry, meaning: &'static str) {
        let Ok(mut recorded) = self.recorded.lock() else { return };
        let (prefix, tone) = match said.from {
            Side::Client => ('C', Tone::Client),
            Side::Server => ('S', Tone::Server),
        };
        let lines = conversation::lines(&said.text);
        for line in &lines {
            self.console.line(tone, format_args!("{prefix}: {line}"));
        }
        let at = recorded.at;
        recorded.messages.push(Message { from: said.from.name(), meaning, lines, at });
        if let Some(transcript) = &self.transcript {
            transcript.record(recorded.at, said);
        }
    }

    /// Shows and records one message that was sent inside TLS, without its secrets.
    pub(crate) fn show_inside_tls(&self, said: &TranscriptEntry) {
        self.show(said, "inside-tls");
    }

    /// Returns the messages that [`show`](Self::show) has recorded.
    pub(crate) fn messages(&self) -> Vec<Message> {
        self.recorded.lock().map(|recorded| recorded.messages.clone()).unwrap_or_default()
    }

    pub(crate) fn conversation(&self) -> &Conversation {
        &self.conversation
    }
}

impl Observer for Watch {
    fn observe(&self, chunk: &Chunk<'_>) {
        self.conversation.observe(chunk);
        if chunk.phase == ConnectionPhase::Session && self.inside == Inside::Messages {
            if let Ok(mut recorded) = self.recorded.lock() {
                recorded.at = chunk.at;
            }
        } else if let Some(transcript) = &self.transcript {
            transcript.observe(chunk);
        }
    }
}

/// Opens the file of `--transcript`, if the user wants one.
pub(crate) fn open_transcript(
    trace: &Trace,
    protocol: &Protocol,
) -> Result<Option<TranscriptWriter<File>>, Failed> {
    let Some(path) = &trace.transcript else { return Ok(None) };
    let file = file::create(path)
        .map_err(|error| Failed::usage(format!("cannot write {}: {error}", path.display())))?;
    Ok(Some(TranscriptWriter::new(protocol, file)))
}
