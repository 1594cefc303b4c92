//! Records a finished session: its log line and its metrics.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use serde::{Serialize, Serializer};
use starttls::proto::Escaped;
use starttls::{Error, TlsFacts};
use starttls_inspect::{ConnectionReport, ReportLine, SCHEMA_VERSION};
use starttls_x509::Certificate;

use crate::config::Listener;
use crate::failure::{SessionFailure, peer};
use crate::log::Logger;
use crate::log_level::LogLevel;
use crate::metrics::{ListenerMetrics, Metrics};
use crate::outcome::SessionOutcome;
use crate::record::{SessionObserver, SessionRecord};
use crate::session_id::SessionId;

/// Writes the log and the metrics of every session.
#[derive(Debug)]
pub struct Reporter {
    /// The log.
    pub log: Logger,
    /// The metrics.
    pub metrics: Arc<Metrics>,
    /// The metrics of each listener, by its name.
    listeners: RwLock<HashMap<String, ListenerMetrics>>,
}

impl Reporter {
    /// Makes a reporter for this log and these metrics.
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
        let line = SessionLine::of(listener, record);
        self.log.write(line.level, &line);
    }

    fn observed(&self, _: &Listener, connection: &ConnectionReport) {
        // `observe` asks for these lines, so every level contains them.
        let level = LogLevel::Error;
        self.log.write(level, &ReportLine::Connection { schema_version: SCHEMA_VERSION, connection });
    }
}

/// The log line of a session. It contains no content of the session.
#[derive(Clone, Debug, Serialize)]
pub struct SessionLine<'a> {
    /// The end of the session: RFC 3339 in UTC.
    pub time: String,
    /// The level of the line, which the verdict decides.
    pub level: LogLevel,
    /// The id of the session, which all its lines contain.
    pub session: SessionId,
    /// The listener's name.
    pub listener: &'a str,
    /// The protocol's name.
    pub protocol: &'static str,
    /// The client; behind a proxy, the address in the PROXY header.
    pub client: Option<SocketAddr>,
    /// How the session ended.
    pub verdict: SessionOutcome,
    /// The failure, with the message of a backend that refused to serve, escaped.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// The name that the client requested.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub server_name: Option<String>,
    /// The backend.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub backend: Option<&'a str>,
    /// Octets from the client to the backend, inside TLS.
    pub sent: u64,
    /// Octets from the backend to the client, inside TLS.
    pub received: u64,
    /// The duration of the session, in milliseconds.
    #[serde(rename = "duration_ms")]
    pub duration: Milliseconds,
    /// The time until the end of the client's handshake.
    #[serde(rename = "until_tls_ms", skip_serializing_if = "Option::is_none")]
    pub until_tls: Option<Milliseconds>,
    /// The time that the connection to the backend took until it was ready.
    #[serde(rename = "until_backend_ms", skip_serializing_if = "Option::is_none")]
    pub until_backend: Option<Milliseconds>,
    /// The TLS session with the client.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tls: Option<TlsFields>,
    /// The TLS session with the backend.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub backend_tls: Option<TlsFields>,
}

impl<'a> SessionLine<'a> {
    /// Makes the line of a session of this listener.
    pub fn of(listener: &'a Listener, record: &'a SessionRecord) -> Self {
        let verdict = SessionOutcome::of(listener, record);
        Self {
            time: crate::log::now(),
            level: verdict.level(),
            session: record.id,
            listener: &listener.name,
            protocol: listener.protocol.name,
            client: record.client.address,
            verdict,
            error: record.failure.as_deref().map(description),
            server_name: record.server_name.as_ref().map(|name| Escaped(name.as_bytes()).to_string()),
            backend: record.backend.as_deref(),
            sent: record.octets_up,
            received: record.octets_down,
            duration: Milliseconds(record.duration),
            until_tls: record.until_tls.map(Milliseconds),
            until_backend: record.until_backend.map(Milliseconds),
            tls: record.downstream.as_deref().map(TlsFields::from),
            backend_tls: record.upstream.as_deref().map(TlsFields::from),
        }
    }
}

/// Returns the failure and its causes. Invalid input is not quoted, because it may contain a password or a mail.
fn description(failure: &SessionFailure) -> String {
    let mut line = match failure {
        SessionFailure::Protocol { side, expected, received } => {
            format!("{}: expected {expected}, got {} octets", peer(*side), received.len())
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

/// The facts of a TLS session.
#[derive(Clone, Debug, Serialize)]
pub struct TlsFields {
    /// For example "TLS 1.3".
    pub version: &'static str,
    /// The registered name of the cipher suite.
    pub cipher_suite: String,
    /// The registered name of the group.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub group: Option<String>,
    /// "full" or "resumed".
    pub kind: &'static str,
    /// The negotiated ALPN protocol.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub alpn: Option<String>,
    /// Whether the peer presented a certificate, and whether it is valid.
    pub certificate: String,
    /// The subject of the certificate that the peer presented, escaped.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub subject: Option<String>,
    /// The time from the greeting to the answer to the upgrade request.
    #[serde(rename = "negotiation_ms", skip_serializing_if = "Option::is_none")]
    pub negotiation: Option<Milliseconds>,
    /// The time from that answer to the end of the handshake.
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

/// Returns the subject of a certificate, escaped and bounded.
fn subject(certificate: &[u8]) -> Option<String> {
    let name: String = Certificate::from_der(certificate)
        .ok()?
        .subject()
        .to_string()
        .chars()
        .take(LONGEST_SUBJECT)
        .collect();
    (!name.is_empty()).then(|| Escaped(name.as_bytes()).to_string())
}

/// The maximum length of a subject in the log, in characters.
const LONGEST_SUBJECT: usize = 300;

/// A duration, written in milliseconds with three decimals.
#[derive(Clone, Copy, Debug)]
pub struct Milliseconds(pub Duration);

impl Serialize for Milliseconds {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_f64((self.0.as_secs_f64() * 1_000_000.0).round() / 1000.0)
    }
}
