//! What is said of a session when it is over: its line in the log, its verdict in the metrics.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use serde::{Serialize, Serializer};
use starttls::proto::Escaped;
use starttls::{Error, TlsFacts};
use x509_parser::prelude::{FromDer, X509Certificate};

use crate::config::Listener;
use crate::failure::{SessionFailure, peer};
use crate::log::Logger;
use crate::metrics::{ListenerMetrics, Metrics};
use crate::outcome::SessionOutcome;
use crate::record::{SessionObserver, SessionRecord};

/// Writes the log and counts, for every session.
#[derive(Debug)]
pub struct Reporter {
    /// The log.
    pub log: Logger,
    /// The numbers.
    pub metrics: Arc<Metrics>,
    /// What was asked for before, by the listener's name.
    listeners: RwLock<HashMap<String, ListenerMetrics>>,
}

impl Reporter {
    /// Reports to both.
    pub fn new(log: Logger, metrics: Arc<Metrics>) -> Self {
        Self { log, metrics, listeners: RwLock::default() }
    }

    fn listener(&self, name: &str) -> ListenerMetrics {
        let known = self.listeners.read().unwrap_or_else(PoisonError::into_inner).get(name).cloned();
        known.unwrap_or_else(|| {
            let mut listeners = self.listeners.write().unwrap_or_else(PoisonError::into_inner);
            listeners.entry(name.to_owned()).or_insert_with(|| self.metrics.listener(name)).clone()
        })
    }
}

impl SessionObserver for Reporter {
    fn connected(&self, listener: &Listener) {
        self.listener(&listener.name).connected();
    }

    fn session(&self, listener: &Listener, record: &SessionRecord) {
        self.listener(&listener.name).ended(listener, record);
        self.log.write(&SessionLine::of(listener, record));
    }
}

/// The line of one session: facts, and no content.
#[derive(Clone, Debug, Serialize)]
pub struct SessionLine<'a> {
    /// When it ended: UTC, RFC 3339.
    pub time: String,
    /// The listener's name.
    pub listener: &'a str,
    /// The protocol's name.
    pub protocol: &'static str,
    /// The client, as a PROXY header named it where one is due.
    pub client: Option<SocketAddr>,
    /// How it ended.
    pub verdict: SessionOutcome,
    /// What went wrong, in words of the gateway's own, and a backend's where it will not serve, escaped.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// The name that the client wanted.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub server_name: Option<String>,
    /// The backend that it was handed to.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub backend: Option<&'a str>,
    /// Octets from the client to the backend, inside TLS.
    pub sent: u64,
    /// Octets from the backend to the client, inside TLS.
    pub received: u64,
    /// How long everything took, in milliseconds.
    #[serde(rename = "duration_ms")]
    pub duration: Milliseconds,
    /// Until the client's TLS stood.
    #[serde(rename = "until_tls_ms", skip_serializing_if = "Option::is_none")]
    pub until_tls: Option<Milliseconds>,
    /// From then until the backend was ready.
    #[serde(rename = "until_backend_ms", skip_serializing_if = "Option::is_none")]
    pub until_backend: Option<Milliseconds>,
    /// The client's TLS.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tls: Option<TlsFields>,
    /// The backend's TLS.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub backend_tls: Option<TlsFields>,
}

impl<'a> SessionLine<'a> {
    /// What there is to say of a session of this listener.
    pub fn of(listener: &'a Listener, record: &'a SessionRecord) -> Self {
        Self {
            time: crate::log::now(),
            listener: &listener.name,
            protocol: listener.protocol.name,
            client: record.client.address,
            verdict: SessionOutcome::of(listener, record),
            error: record.failure.as_ref().map(in_words),
            server_name: record.server_name.as_ref().map(|name| Escaped(name.as_bytes()).to_string()),
            backend: record.backend.as_deref(),
            sent: record.octets_up,
            received: record.octets_down,
            duration: Milliseconds(record.duration),
            until_tls: record.until_tls.map(Milliseconds),
            until_backend: record.until_backend.map(Milliseconds),
            tls: record.downstream.as_ref().map(TlsFields::from),
            backend_tls: record.upstream.as_ref().map(TlsFields::from),
        }
    }
}

/// One line: the failure and its causes. What broke a rule is not quoted: it may be a password, or somebody's mail.
fn in_words(failure: &SessionFailure) -> String {
    let mut line = match failure {
        SessionFailure::Protocol { side, expected, received } => {
            format!("{}: expected {expected}, got {} octets of something else", peer(*side), received.len())
        }
        SessionFailure::Tls { side, source: Error::Protocol(error) } => {
            format!("{}: {}", peer(*side), error.without_content())
        }
        SessionFailure::Tls { side, source: Error::PlaintextNotTls { by, received } } => {
            let count = received.len();
            format!("{}: the {} sent plaintext where TLS belongs: {count} octets", peer(*side), by.name())
        }
        other => other.to_string(),
    };
    let mut cause = std::error::Error::source(failure);
    while let Some(current) = cause {
        line = format!("{line}: {current}");
        cause = current.source();
    }
    line
}

/// What is known of one leg's TLS.
#[derive(Clone, Debug, Serialize)]
pub struct TlsFields {
    /// "TLS 1.3".
    pub version: &'static str,
    /// By its registered name.
    pub cipher_suite: String,
    /// By its registered name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub group: Option<String>,
    /// "full" or "resumed".
    pub kind: &'static str,
    /// What ALPN agreed on.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub alpn: Option<String>,
    /// Whether the peer presented a certificate, and whether it is good.
    pub certificate: String,
    /// The subject of the certificate that the peer presented, escaped.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub subject: Option<String>,
    /// From the greeting to the go-ahead.
    #[serde(rename = "negotiation_ms", skip_serializing_if = "Option::is_none")]
    pub negotiation: Option<Milliseconds>,
    /// From the go-ahead to the end of the handshake.
    #[serde(rename = "handshake_ms", skip_serializing_if = "Option::is_none")]
    pub handshake: Option<Milliseconds>,
}

impl From<&TlsFacts> for TlsFields {
    fn from(facts: &TlsFacts) -> Self {
        Self {
            version: facts.version_name(),
            cipher_suite: facts.cipher_suite_name(),
            group: facts.group_name(),
            kind: facts.kind_name(),
            alpn: facts.alpn.as_deref().map(|alpn| Escaped(alpn).to_string()),
            certificate: facts.verdict.to_string(),
            subject: facts.chain.first().and_then(|own| subject(own)),
            negotiation: facts.timings.negotiation.map(Milliseconds),
            handshake: facts.timings.handshake.map(Milliseconds),
        }
    }
}

/// The distinguished name of a certificate's subject. The peer chose it, and an authority signed it.
fn subject(certificate: &[u8]) -> Option<String> {
    let (_, parsed) = X509Certificate::from_der(certificate).ok()?;
    let name: String = parsed.subject().to_string().chars().take(LONGEST_SUBJECT).collect();
    (!name.is_empty()).then(|| Escaped(name.as_bytes()).to_string())
}

/// Characters of a subject in the log.
const LONGEST_SUBJECT: usize = 300;

/// A time, shown in milliseconds with three digits behind the point.
#[derive(Clone, Copy, Debug)]
pub struct Milliseconds(pub Duration);

impl Serialize for Milliseconds {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_f64((self.0.as_secs_f64() * 1_000_000.0).round() / 1000.0)
    }
}
