//! The metrics and their registry.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use prometheus_client::encoding::text::encode;
use prometheus_client::encoding::{EncodeLabelSet, EncodeLabelValue, LabelValueEncoder};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::{Registry, Unit};

use crate::admission::LimitReached;
use crate::certificates::Certificates;
use crate::config::Listener;
use crate::failure::SessionFailure;
use crate::outcome::SessionOutcome;
use crate::record::{EarlyDialUse, SessionRecord};

/// The buckets of histograms: from fast handshakes to long sessions.
const SECONDS: [f64; 14] =
    [0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0, 30.0, 300.0, 1800.0];

type Histograms = Family<ListenerLabel, Histogram, fn() -> Histogram>;

/// All metrics. Peers cannot choose any label.
#[derive(Debug)]
pub struct Metrics {
    registry: Registry,
    connections: Family<ListenerLabel, Counter>,
    open: Family<ListenerLabel, Gauge>,
    refused: Family<(ListenerLabel, ReasonLabel), Counter>,
    sessions: Family<(ListenerLabel, VerdictLabel), Counter>,
    early_dials: Family<(ListenerLabel, OutcomeLabel), Counter>,
    bytes: Family<(ListenerLabel, ReceiverLabel), Counter>,
    handshake: Histograms,
    dial: Histograms,
    session: Histograms,
    reloads: Family<OutcomeLabel, Counter>,
    certificates: Family<CertificateLabels, Gauge>,
    draining: AtomicBool,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ListenerLabel {
    listener: Arc<str>,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ReasonLabel {
    reason: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct VerdictLabel {
    verdict: SessionOutcome,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ReceiverLabel {
    to: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OutcomeLabel {
    outcome: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct CertificateLabels {
    listener: Arc<str>,
    path: String,
}

impl EncodeLabelValue for SessionOutcome {
    fn encode(&self, encoder: &mut LabelValueEncoder<'_>) -> std::fmt::Result {
        self.name().encode(encoder)
    }
}

impl Default for Metrics {
    fn default() -> Self {
        Self::new()
    }
}

impl Metrics {
    /// Makes the metrics with all values at zero.
    pub fn new() -> Self {
        let histogram: fn() -> Histogram = || Histogram::new(SECONDS);
        let mut metrics = Self {
            registry: Registry::with_prefix("starttls_gateway"),
            connections: Family::default(),
            open: Family::default(),
            refused: Family::default(),
            sessions: Family::default(),
            early_dials: Family::default(),
            bytes: Family::default(),
            handshake: Family::new_with_constructor(histogram),
            dial: Family::new_with_constructor(histogram),
            session: Family::new_with_constructor(histogram),
            reloads: Family::default(),
            certificates: Family::default(),
            draining: AtomicBool::new(false),
        };
        metrics.register();
        metrics
    }

    fn register(&mut self) {
        let registry = &mut self.registry;
        registry.register("connections", "Connections that were accepted", self.connections.clone());
        registry.register("open_connections", "Connections that are open", self.open.clone());
        registry.register("refused", "Connections that were rejected by a limit", self.refused.clone());
        registry.register("sessions", "Finished sessions by verdict", self.sessions.clone());
        let early_dials = self.early_dials.clone();
        registry.register("early_dials", "Backends that were dialed during a handshake", early_dials);
        let bytes = self.bytes.clone();
        registry.register_with_unit("payload", "Payload of sessions, inside TLS", Unit::Bytes, bytes);
        for (name, help, histogram) in [
            ("handshake", "Duration of the client's handshake", &self.handshake),
            ("dial", "Time until the backend was ready, its handshake included", &self.dial),
            ("session", "Duration of sessions", &self.session),
        ] {
            registry.register_with_unit(name, help, Unit::Seconds, histogram.clone());
        }
        registry.register(
            "reloads",
            "Reloads of the configuration and of certificates",
            self.reloads.clone(),
        );
        let certificates = self.certificates.clone();
        let help = "Expiry of a certificate, in seconds since 1970";
        registry.register_with_unit("certificate_expiry_timestamp", help, Unit::Seconds, certificates);
    }

    /// Returns the metrics of one listener. The caller keeps them, so that an update needs no lookup.
    pub fn listener(&self, name: &str) -> ListenerMetrics {
        let of = ListenerLabel { listener: name.into() };
        let refused = LimitReached::ALL.map(|reason| {
            self.refused.get_or_create(&(of.clone(), ReasonLabel { reason: reason.name() })).clone()
        });
        let sessions = SessionOutcome::ALL
            .map(|verdict| self.sessions.get_or_create(&(of.clone(), VerdictLabel { verdict })).clone());
        let early_dials = EarlyDialUse::ALL.map(|it| {
            self.early_dials.get_or_create(&(of.clone(), OutcomeLabel { outcome: it.name() })).clone()
        });
        let bytes = |to| self.bytes.get_or_create(&(of.clone(), ReceiverLabel { to })).clone();
        ListenerMetrics {
            connections: self.connections.get_or_create(&of).clone(),
            open: self.open.get_or_create(&of).clone(),
            refused,
            sessions,
            early_dials,
            to_backend: bytes("backend"),
            to_client: bytes("client"),
            handshake: self.handshake.get_or_create(&of).clone(),
            dial: self.dial.get_or_create(&of).clone(),
            session: self.session.get_or_create(&of).clone(),
        }
    }

    /// Counts a reload of the configuration or of certificates. `done` is whether it succeeded.
    pub fn reloaded(&self, done: bool) {
        let outcome = if done { "done" } else { "kept" };
        self.reloads.get_or_create(&OutcomeLabel { outcome }).inc();
    }

    /// Replaces the certificates in the metrics; each comes with the name of its listener.
    pub fn certificates<'a>(&self, all: impl Iterator<Item = (&'a str, &'a Certificates)>) {
        self.certificates.clear();
        for (listener, certificates) in all {
            for summary in certificates.summaries() {
                let path = summary.path.display().to_string();
                let of = CertificateLabels { listener: listener.into(), path };
                self.certificates.get_or_create(&of).set(summary.not_after);
            }
        }
    }

    /// Makes `/health` report that the gateway stops, so that load balancers use another one.
    pub fn drain(&self) {
        self.draining.store(true, Ordering::Relaxed);
    }

    pub(super) fn is_draining(&self) -> bool {
        self.draining.load(Ordering::Relaxed)
    }

    /// Returns all metrics in the OpenMetrics text format.
    pub fn render(&self) -> String {
        let mut text = String::new();
        // Writing to a string does not fail.
        let _ = encode(&mut text, &self.registry);
        text
    }
}

/// The metrics of one listener.
#[derive(Clone, Debug)]
pub struct ListenerMetrics {
    connections: Counter,
    open: Gauge,
    /// By limit, in the order of declaration.
    refused: [Counter; LimitReached::ALL.len()],
    /// By outcome, in the order of declaration.
    sessions: [Counter; SessionOutcome::ALL.len()],
    /// By use, in the order of declaration.
    early_dials: [Counter; EarlyDialUse::ALL.len()],
    to_backend: Counter,
    to_client: Counter,
    handshake: Histogram,
    dial: Histogram,
    session: Histogram,
}

impl ListenerMetrics {
    /// Counts a new connection. A call of [`ended`](Self::ended) follows.
    pub fn connected(&self) {
        self.connections.inc();
        self.open.inc();
    }

    /// Counts a finished session of this listener.
    pub fn ended(&self, listener: &Listener, record: &SessionRecord) {
        self.open.dec();
        self.sessions[SessionOutcome::of(listener, record) as usize].inc();
        if let Some(SessionFailure::LimitReached(reason)) = record.failure.as_deref() {
            self.refused[*reason as usize].inc();
        }
        if let Some(early) = record.early_dial {
            self.early_dials[early as usize].inc();
        }
        self.to_backend.inc_by(record.octets_up);
        self.to_client.inc_by(record.octets_down);
        self.session.observe(record.duration.as_secs_f64());
        if let Some(time) = record.until_backend {
            self.dial.observe(time.as_secs_f64());
        }
        if let Some(time) = record.downstream.as_ref().and_then(|facts| facts.timings.handshake) {
            self.handshake.observe(time.as_secs_f64());
        }
    }
}
