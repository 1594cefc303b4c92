//! A connection that was upgraded while somebody watched: where `login` and `send` start.

use std::fs::File;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use starttls::proto::{Protocol, Side, TranscriptEntry};
use starttls::{Chunk, ConnectionPhase, Connector, Encrypted, Observer, TranscriptWriter, file};

use crate::args::{Peer, Trace};
use crate::connect::conversation::Message;
use crate::connect::conversation::{self, Conversation};
use crate::connect::report::Report;
use crate::console::{Console, Tone};
use crate::diagnose;
use crate::error::Failed;
use crate::peer::{Dial, Io};
use crate::target::{Mode, Target};

/// What watches a connection from its first byte: the console, the transcript.
#[derive(Clone)]
pub(crate) struct Watch {
    console: Console,
    conversation: Arc<Conversation>,
    transcript: Option<Arc<TranscriptWriter<File>>>,
    inside: Arc<Mutex<Inside>>,
}

#[derive(Default)]
struct Inside {
    at: Duration,
    said: Vec<Message>,
}

/// Opens a connection and upgrades it.
pub(crate) struct Opening<'a> {
    pub(crate) peer: &'a Peer,
    pub(crate) trace: &'a Trace,
    pub(crate) target: &'a Target,
    pub(crate) dial: Dial,
    pub(crate) console: Console,
}

/// An encrypted session, and what was seen on the way to it.
pub(crate) struct Opened {
    pub(crate) session: Encrypted<Box<dyn Io>>,
    pub(crate) watch: Watch,
}

impl Opening<'_> {
    /// The session, or the report that says why there is none.
    pub(crate) async fn open(&self, connector: &Connector) -> Result<Result<Opened, Box<Report>>, Failed> {
        let (target, protocol) = (self.target, self.target.protocol);
        let watch = Watch::new(self.trace, protocol, self.console)?;
        let connector = connector.observed_by(Arc::new(watch.clone()));
        let name = self.peer.server_name(&target.host.ascii);
        let work = async {
            let io = self.dial.open(&connector).await?;
            match target.mode {
                Mode::Upgrade => connector.upgrade(protocol, name, io).await,
                Mode::ImplicitTls => connector.upgrade_implicit(protocol, name, io).await,
            }
        };
        let is_silent = || watch.conversation.is_silent();
        let opened = diagnose::opening(target, &self.dial, self.peer, is_silent, work).await;
        let unopened = match opened {
            Ok(session) => return Ok(Ok(Opened { session, watch })),
            Err(unopened) => unopened,
        };
        let report = unopened.report(target, watch.conversation.finish());
        Ok(Err(Box::new(report)))
    }
}

impl Watch {
    pub(crate) fn new(trace: &Trace, protocol: &'static Protocol, console: Console) -> Result<Self, Failed> {
        let transcript = match &trace.transcript {
            Some(path) => {
                let file = file::create(path)
                    .map_err(|error| Failed::usage(format!("cannot write {}: {error}", path.display())))?;
                Some(Arc::new(TranscriptWriter::new(protocol, file)))
            }
            None => None,
        };
        let conversation = Arc::new(Conversation::new(protocol, console));
        Ok(Self { console, conversation, transcript, inside: Arc::default() })
    }

    /// One message inside TLS, without its secrets.
    pub(crate) fn say(&self, said: &TranscriptEntry) {
        self.tell(said, "inside-tls");
    }

    /// One message, without its secrets, and where it was said.
    pub(crate) fn tell(&self, said: &TranscriptEntry, meaning: &'static str) {
        let Ok(mut inside) = self.inside.lock() else { return };
        let (prefix, tone) = match said.from {
            Side::Client => ('C', Tone::Client),
            Side::Server => ('S', Tone::Server),
        };
        let lines = conversation::lines(&said.text);
        for line in &lines {
            self.console.line(tone, format_args!("{prefix}: {line}"));
        }
        inside.said.push(Message { from: said.from.name(), meaning, lines });
        if let Some(transcript) = &self.transcript {
            transcript.record(inside.at, said);
        }
    }

    /// The messages inside TLS so far.
    pub(crate) fn said(&self) -> Vec<Message> {
        self.inside.lock().map(|inside| inside.said.clone()).unwrap_or_default()
    }

    pub(crate) fn conversation(&self) -> &Conversation {
        &self.conversation
    }
}

impl Observer for Watch {
    fn observe(&self, chunk: &Chunk<'_>) {
        self.conversation.observe(chunk);
        if chunk.phase == ConnectionPhase::Session {
            // What is inside is told message by message, without the secrets.
            if let Ok(mut inside) = self.inside.lock() {
                inside.at = chunk.at;
            }
        } else if let Some(transcript) = &self.transcript {
            transcript.observe(chunk);
        }
    }
}
