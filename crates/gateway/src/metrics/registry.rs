//! Numbers for Prometheus, and whether the gateway is well.

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
use crate::record::SessionRecord;

/// From a millisecond to half an hour: fast handshakes and long sessions alike.
const SECONDS: [f64; 14] =
    [0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0, 30.0, 300.0, 1800.0];

type Histograms = Family<Of, Histogram, fn() -> Histogram>;

/// All numbers. Peers choose none of their labels.
#[derive(Debug)]
pub struct Metrics {
    registry: Registry,
    connections: Family<Of, Counter>,
    open: Family<Of, Gauge>,
    refused: Family<(Of, Why), Counter>,
    sessions: Family<(Of, How), Counter>,
    bytes: Family<(Of, Toward), Counter>,
    handshake: Histograms,
    dial: Histograms,
    session: Histograms,
    reloads: Family<Outcome, Counter>,
    certificates: Family<OfCertificate, Gauge>,
    draining: AtomicBool,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Of {
    listener: Arc<str>,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Why {
    reason: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct How {
    verdict: SessionOutcome,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Toward {
    to: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Outcome {
    outcome: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OfCertificate {
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
    /// All at nothing.
    pub fn new() -> Self {
        let histogram: fn() -> Histogram = || Histogram::new(SECONDS);
        let mut metrics = Self {
            registry: Registry::with_prefix("starttls_gateway"),
            connections: Family::default(),
            open: Family::default(),
            refused: Family::default(),
            sessions: Family::default(),
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
        registry.register("connections", "Connections that came in", self.connections.clone());
        registry.register("open_connections", "Connections at this moment", self.open.clone());
        registry.register("refused", "Connections that were turned away by a limit", self.refused.clone());
        registry.register("sessions", "Sessions that ended, by how", self.sessions.clone());
        let bytes = self.bytes.clone();
        registry.register_with_unit("payload", "What sessions carried, inside TLS", Unit::Bytes, bytes);
        for (name, help, histogram) in [
            ("handshake", "The client's handshake", &self.handshake),
            ("dial", "Reaching the backend, until its TLS stood", &self.dial),
            ("session", "Sessions as a whole", &self.session),
        ] {
            registry.register_with_unit(name, help, Unit::Seconds, histogram.clone());
        }
        registry.register(
            "reloads",
            "Configurations and certificates that were read anew",
            self.reloads.clone(),
        );
        let certificates = self.certificates.clone();
        let help = "When a certificate expires, in seconds since 1970";
        registry.register_with_unit("certificate_expiry_timestamp", help, Unit::Seconds, certificates);
    }

    /// The numbers of one listener. They are found once, and then cost an addition each.
    pub fn listener(&self, name: &str) -> ListenerMetrics {
        let of = Of { listener: name.into() };
        let refused = LimitReached::ALL
            .map(|reason| self.refused.get_or_create(&(of.clone(), Why { reason: reason.name() })).clone());
        let sessions = SessionOutcome::ALL
            .map(|verdict| self.sessions.get_or_create(&(of.clone(), How { verdict })).clone());
        let bytes = |to| self.bytes.get_or_create(&(of.clone(), Toward { to })).clone();
        ListenerMetrics {
            connections: self.connections.get_or_create(&of).clone(),
            open: self.open.get_or_create(&of).clone(),
            refused,
            sessions,
            to_backend: bytes("backend"),
            to_client: bytes("client"),
            handshake: self.handshake.get_or_create(&of).clone(),
            dial: self.dial.get_or_create(&of).clone(),
            session: self.session.get_or_create(&of).clone(),
        }
    }

    /// A configuration or certificates were read anew, or were to be.
    pub fn reloaded(&self, done: bool) {
        let outcome = if done { "done" } else { "kept" };
        self.reloads.get_or_create(&Outcome { outcome }).inc();
    }

    /// These are the certificates from now on, by the names of their listeners.
    pub fn certificates<'a>(&self, all: impl Iterator<Item = (&'a str, &'a Certificates)>) {
        self.certificates.clear();
        for (listener, certificates) in all {
            for summary in certificates.summaries() {
                let path = summary.path.display().to_string();
                let of = OfCertificate { listener: listener.into(), path };
                self.certificates.get_or_create(&of).set(summary.not_after);
            }
        }
    }

    /// The gateway stops: whoever asks for its health is to go elsewhere.
    pub fn drain(&self) {
        self.draining.store(true, Ordering::Relaxed);
    }

    pub(super) fn is_draining(&self) -> bool {
        self.draining.load(Ordering::Relaxed)
    }

    /// Everything in the OpenMetrics text format, which Prometheus reads.
    pub fn render(&self) -> String {
        let mut text = String::new();
        // Writing to memory does not fail.
        let _ = encode(&mut text, &self.registry);
        text
    }
}

/// The numbers of one listener.
#[derive(Clone, Debug)]
pub struct ListenerMetrics {
    connections: Counter,
    open: Gauge,
    /// By reason, in the order of its declaration.
    refused: [Counter; LimitReached::ALL.len()],
    /// By verdict, in the order of its declaration.
    sessions: [Counter; SessionOutcome::ALL.len()],
    to_backend: Counter,
    to_client: Counter,
    handshake: Histogram,
    dial: Histogram,
    session: Histogram,
}

impl ListenerMetrics {
    /// A connection came in; [`ended`](Self::ended) follows.
    pub fn connected(&self) {
        self.connections.inc();
        self.open.inc();
    }

    /// A session of this listener is over.
    pub fn ended(&self, listener: &Listener, record: &SessionRecord) {
        self.open.dec();
        self.sessions[SessionOutcome::of(listener, record) as usize].inc();
        if let Some(SessionFailure::LimitReached(reason)) = &record.failure {
            self.refused[*reason as usize].inc();
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
