//! A run in progress, and those who watch it.

use std::sync::{Arc, Mutex, PoisonError};

use serde::Serialize;
use starttls_audit::report::{EndpointVerdict, EntryKind};
use starttls_audit::{AuditEvent, AuditObserver};
use tokio::sync::watch;

use crate::preset::Preset;

/// The most events of a run. An audit of one endpoint has a few hundred.
const MAX_EVENTS: usize = 20_000;

/// What happens during a run. The id of an event is its index.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(tag = "type", rename_all = "kebab-case")]
pub(crate) enum LiveEvent {
    /// The audit of an endpoint begins.
    Endpoint { endpoint: usize, target: String, address: String },
    /// A connection is opened.
    Connection { endpoint: usize, number: u32, purpose: String },
    /// A message or an event on a connection.
    Entry { endpoint: usize, number: u32, at_ms: f64, kind: EntryKind, text: String },
    /// The audit of an endpoint is finished.
    Verdict { endpoint: usize, target: String, verdict: EndpointVerdict, summary: String },
    /// A target is not audited.
    LeftOut { target: String, reason: String },
}

/// A run in progress.
#[derive(Debug)]
pub(crate) struct Run {
    pub(crate) id: String,
    pub(crate) target: String,
    pub(crate) preset: Preset,
    events: Mutex<Vec<LiveEvent>>,
    progress: watch::Sender<Progress>,
}

/// How far a run is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Progress {
    /// The number of events.
    pub(crate) events: usize,
    /// Whether the visitor wants it to stop.
    pub(crate) is_stopped: bool,
    /// Whether its report is in the store.
    pub(crate) is_finished: bool,
}

impl Run {
    pub(crate) fn new(id: String, target: String, preset: Preset) -> Self {
        let (progress, _) = watch::channel(Progress::default());
        Self { id, target, preset, events: Mutex::default(), progress }
    }

    pub(crate) fn add(&self, event: LiveEvent) {
        let mut events = self.events.lock().unwrap_or_else(PoisonError::into_inner);
        if events.len() < MAX_EVENTS {
            events.push(event);
            let count = events.len();
            drop(events);
            self.progress.send_modify(|progress| progress.events = count);
        }
    }

    pub(crate) fn stop(&self) {
        self.progress.send_modify(|progress| progress.is_stopped = true);
    }

    pub(crate) fn finish(&self) {
        self.progress.send_modify(|progress| progress.is_finished = true);
    }

    /// Waits until the run is to stop.
    pub(crate) async fn stopped(&self) {
        let mut progress = self.progress.subscribe();
        // The sender is part of this run, so it lives.
        let _ = progress.wait_for(|progress| progress.is_stopped).await;
    }

    /// Waits for events from this index on. Returns none when the run is finished and has no more.
    pub(crate) async fn events(&self, from: usize) -> Vec<LiveEvent> {
        let mut progress = self.progress.subscribe();
        let _ = progress.wait_for(|progress| progress.events > from || progress.is_finished).await;
        let events = self.events.lock().unwrap_or_else(PoisonError::into_inner);
        events.get(from..).map(<[LiveEvent]>::to_vec).unwrap_or_default()
    }
}

/// Adds the events of an endpoint's audit to a run.
#[derive(Debug)]
pub(crate) struct RunObserver {
    pub(crate) run: Arc<Run>,
    pub(crate) endpoint: usize,
}

impl AuditObserver for RunObserver {
    fn observe(&self, event: &AuditEvent<'_>) {
        match event {
            AuditEvent::Connection { number, purpose } => {
                let purpose = (*purpose).to_owned();
                self.run.add(LiveEvent::Connection { endpoint: self.endpoint, number: *number, purpose });
            }
            AuditEvent::Entry { number, entry } => self.run.add(LiveEvent::Entry {
                endpoint: self.endpoint,
                number: *number,
                at_ms: entry.at_ms,
                kind: entry.kind,
                text: entry.decoded.clone().unwrap_or_else(|| entry.text.clone()),
            }),
            _ => {}
        }
    }
}
