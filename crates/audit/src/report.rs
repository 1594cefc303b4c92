//! The report of an audit as data. The JSON report consists of these types; its schema is `docs/schema/check.json`.
//!
//! Text from a peer is escaped when it enters a report.

use serde::{Deserialize, Serialize};
use starttls_x509::validity;

pub use crate::message::FindingMessage;
use crate::requirement::Requirement;

/// The version of the JSON report. It increases when a field changes its meaning or is removed.
pub const SCHEMA_VERSION: u32 = 1;

/// The report of a run over one or more endpoints.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(any(test, feature = "schema"), derive(schemars::JsonSchema))]
pub struct AuditReport {
    /// See [`SCHEMA_VERSION`].
    pub schema_version: u32,
    /// The program and its version.
    pub generator: String,
    /// The start of the run: RFC 3339, UTC.
    #[serde(default)]
    pub started_at: String,
    /// The options of the run, without the targets.
    #[serde(default)]
    pub options: Vec<String>,
    /// The file with the list of targets, if the run used one.
    #[serde(default)]
    pub target_list: Option<String>,
    /// The file with the baseline, if the run used one.
    #[serde(default)]
    pub baseline: Option<String>,
    /// The lookups that led to the endpoints (MX, SRV), one line each.
    pub lookups: Vec<String>,
    /// Targets without an endpoint: a name that does not exist, a line that is not a target.
    #[serde(default)]
    pub unaudited: Vec<Unaudited>,
    /// The endpoints, in the order of the targets.
    pub endpoints: Vec<EndpointReport>,
}

/// A target without an endpoint.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(any(test, feature = "schema"), derive(schemars::JsonSchema))]
pub struct Unaudited {
    /// The target as the user wrote it.
    pub asked: String,
    /// The line of the target list that contains it.
    pub target_line: Option<usize>,
    /// `unreachable` if its name could not be resolved, otherwise `inconclusive`.
    pub outcome: EndpointVerdict,
    /// The reason why it has no endpoint.
    pub reason: String,
}

impl AuditReport {
    /// Returns a report without endpoints for a run that starts now.
    pub fn new(generator: String, options: Vec<String>) -> Self {
        Self {
            schema_version: SCHEMA_VERSION,
            generator,
            started_at: validity::rfc3339(validity::now()),
            options,
            target_list: None,
            baseline: None,
            lookups: Vec::new(),
            unaudited: Vec::new(),
            endpoints: Vec::new(),
        }
    }
}

/// The report of an endpoint: a protocol on an address and port.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(any(test, feature = "schema"), derive(schemars::JsonSchema))]
pub struct EndpointReport {
    /// The target in its canonical form: `smtp://mail.example.com`.
    pub target: String,
    /// The address and port of the connections; a host name if a proxy looked it up.
    pub address: Option<String>,
    /// The scheme of the protocol.
    pub protocol: String,
    /// The name in SNI, which the certificate was verified against.
    pub server_name: String,
    /// The port.
    pub port: u16,
    /// The line of the target list that contains the target.
    #[serde(default)]
    pub target_line: Option<usize>,
    /// The start of the audit: RFC 3339, UTC.
    #[serde(default)]
    pub started_at: String,
    /// The local address of the connections.
    #[serde(default)]
    pub source: Option<String>,
    /// The verdict.
    pub outcome: EndpointVerdict,
    /// The verdict in one line.
    pub summary: String,
    /// The TLS session of the baseline connection, and the TLS survey. `null` if the audit got to neither.
    pub tls: Option<TlsSummary>,
    /// The certificates that the server presented.
    pub certificate: Option<Presented>,
    /// The capabilities that the server announced, before and inside TLS.
    pub capabilities: Option<Capabilities>,
    /// The duration of each step of the baseline connection, in order.
    pub steps: Vec<StepTime>,
    /// The number of connections that the audit opened.
    pub connections: u32,
    /// The duration of the audit in milliseconds.
    pub elapsed_ms: f64,
    /// The number of checks that the selection left out. The verdict says nothing about them.
    #[serde(default)]
    pub not_selected: usize,
    /// The findings, in the order of the table of checks.
    pub findings: Vec<Finding>,
    /// The transcripts that the evidence refers to.
    pub transcripts: Vec<Transcript>,
    /// How far the first connection got. It is not part of the formats.
    #[serde(skip)]
    pub reach: Reach,
}

/// How far the first connection to an endpoint got.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Reach {
    /// The server answered.
    #[default]
    Answered,
    /// The host refused the connection.
    Refused,
    /// The connection was not established in time.
    Timeout,
    /// The connection was reset while it was established.
    Reset,
    /// There is no route to the host, or the connection failed on this machine.
    Unroutable,
    /// The server turned the client away.
    Throttled,
    /// The server sent no whole message in time.
    Silent,
    /// The server closed the connection before its greeting.
    Closed,
}

/// The verdict on an endpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(any(test, feature = "schema"), derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub enum EndpointVerdict {
    /// No problem at or above the threshold.
    Sound,
    /// A problem at or above the threshold.
    Findings,
    /// The server does not offer the upgrade, or refuses it.
    Declined,
    /// The connection failed.
    Unreachable,
    /// The handshake failed.
    TlsFailed,
    /// The server violated the protocol before the request for TLS.
    Violation,
    /// The port serves implicit TLS instead of cleartext, cleartext instead of TLS, or another protocol.
    WrongPort,
    /// The server limited the connections, or the evidence is insufficient.
    Inconclusive,
}

/// The result of one check.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(any(test, feature = "schema"), derive(schemars::JsonSchema))]
pub struct Finding {
    /// The id of the check.
    pub id: String,
    /// The outcome.
    pub outcome: CheckOutcome,
    /// The severity of a problem; `info` for other outcomes.
    pub severity: Severity,
    /// Whether the baseline contains the same problem with at least this severity.
    #[serde(default)]
    pub known: bool,
    /// The fact in one line. For a check that was not run: the reason, such as "not selected".
    pub summary: String,
    /// What the check lacks for a better result, which the summary ends with.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub requirement: Option<Requirement>,
    /// The sentence that the summary was made from, for other languages. It is missing if the sentence exists in English only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<FindingMessage>,
    /// Further lines, such as the difference between two lists.
    pub details: Vec<String>,
    /// The parts of the transcripts that prove the finding.
    pub evidence: Vec<Evidence>,
    /// The instruction that removes the problem.
    pub fix: Option<String>,
}

/// The outcome of a check.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(any(test, feature = "schema"), derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub enum CheckOutcome {
    /// The server does not have the fault.
    Pass,
    /// The server has the fault.
    Fail,
    /// The server has the fault in a form that may be intended.
    Warning,
    /// Information only.
    Info,
    /// The check does not apply to this protocol or server.
    NotApplicable,
    /// The check was not run: it was not selected, or it needs an option.
    NotRun,
    /// The check ended without a result.
    Inconclusive,
}

/// The severity of a finding.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[cfg_attr(any(test, feature = "schema"), derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub enum Severity {
    /// Information only.
    Info,
    /// The fault helps an attacker, or it will become a problem.
    Warning,
    /// The fault weakens the protection.
    Error,
    /// The fault removes the protection.
    Critical,
}

/// A range of entries in a transcript.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(any(test, feature = "schema"), derive(schemars::JsonSchema))]
pub struct Evidence {
    /// The index of the transcript in `transcripts`.
    pub transcript: usize,
    /// The index of the first entry.
    pub first: usize,
    /// The index of the last entry.
    pub last: usize,
}

/// The transcript of one connection.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(any(test, feature = "schema"), derive(schemars::JsonSchema))]
pub struct Transcript {
    /// The purpose of the connection.
    pub purpose: String,
    /// The entries in order of time.
    pub entries: Vec<Entry>,
}

/// A message or an event on a connection.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(any(test, feature = "schema"), derive(schemars::JsonSchema))]
pub struct Entry {
    /// Milliseconds since the start of the connection.
    pub at_ms: f64,
    /// The kind of entry.
    pub kind: EntryKind,
    /// The escaped bytes of a message or segment, or the description of an event.
    pub text: String,
    /// The decoded message of a binary protocol (LDAP, MySQL, PostgreSQL).
    #[serde(default)]
    pub decoded: Option<String>,
}

/// The kind of an entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(any(test, feature = "schema"), derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub enum EntryKind {
    /// The audit sent this in cleartext.
    Client,
    /// The server sent this in cleartext.
    Server,
    /// The audit sent this inside TLS.
    ClientInside,
    /// The server sent this inside TLS.
    ServerInside,
    /// The boundary between cleartext and TLS.
    Boundary,
    /// An event: connected, closed, handshake failed, silence.
    Event,
}

/// The capabilities that the server announced.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(any(test, feature = "schema"), derive(schemars::JsonSchema))]
pub struct Capabilities {
    /// In cleartext.
    pub before: Vec<String>,
    /// Inside TLS.
    pub inside: Vec<String>,
}

/// The duration of one step.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(any(test, feature = "schema"), derive(schemars::JsonSchema))]
pub struct StepTime {
    /// The name of the step: "connect", "greeting", "hello", "request", "handshake", "hello inside".
    pub name: String,
    /// The duration in milliseconds.
    pub ms: f64,
}

/// The TLS session, and what the server offers beyond it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(any(test, feature = "schema"), derive(schemars::JsonSchema))]
pub struct TlsSummary {
    /// The version: "TLS 1.3"; `null` if no handshake succeeded.
    pub version: Option<String>,
    /// All versions that the server offers: that of the handshake, and those that the TLS survey found.
    pub versions: Vec<String>,
    /// The registered name of the cipher suite; `null` if no handshake succeeded.
    pub cipher_suite: Option<String>,
    /// The group of the key exchange.
    pub group: Option<String>,
    /// Whether the group resists quantum computers.
    pub post_quantum: bool,
    /// The protocol id that ALPN selected.
    pub alpn: Option<String>,
    /// Whether the server sent session tickets.
    pub resumption: bool,
    /// The most octets of early data (0-RTT) that the server's session tickets permit; `null` if that is not known.
    #[serde(default)]
    pub early_data_limit: Option<u32>,
    /// Whether the server stapled an OCSP response.
    pub ocsp_stapled: bool,
    /// What the server offers beyond this session; `null` if the audit did not ask.
    #[serde(default)]
    pub survey: Option<TlsSurvey>,
}

/// What a server offers, from the answers to ClientHellos. A fact that is `null` was not asked for, or the answers do not
/// prove it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(any(test, feature = "schema"), derive(schemars::JsonSchema))]
pub struct TlsSurvey {
    /// The extent: "brief", "survey", "full".
    pub size: String,
    /// The number of connections, each with one ClientHello.
    pub hellos: usize,
    /// Why the survey ended: "complete", "budget", "turned-away", "control-failed", "unanswered".
    pub end: String,
    /// Whether all questions of this extent were asked.
    pub complete: bool,
    /// The versions, newest first.
    pub versions: Vec<SurveyedVersion>,
    /// Whose order of suites decides: "server" or "client".
    pub preference: Option<String>,
    /// The groups that were negotiated.
    pub groups: Vec<String>,
    /// Whether TLS 1.3 offers a group that resists quantum computers.
    pub post_quantum: Option<bool>,
    /// The schemes of the signatures that the server made in TLS 1.2.
    pub signature_schemes: Vec<String>,
    /// The finite-field Diffie-Hellman exchanges.
    pub dh: Vec<SurveyedDh>,
    /// The server's own certificates up to TLS 1.2, each once.
    pub certificates: Vec<CertificateReport>,
    /// Properties up to TLS 1.2.
    pub properties: SurveyedProperties,
    /// The versions, and the classes of offered versions, that are not known.
    pub unasked: Vec<String>,
}

/// A version in a survey.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(any(test, feature = "schema"), derive(schemars::JsonSchema))]
pub struct SurveyedVersion {
    /// The name: "TLS 1.2".
    pub name: String,
    /// Whether the server offers it.
    pub offered: Option<bool>,
    /// The reason why that is not known, if the answers do not prove it.
    pub reason: Option<String>,
    /// The suites that were negotiated, in the order in which they were found.
    pub suites: Vec<SurveyedSuite>,
    /// The classes of suites, the worst first; empty if the version is not offered, and for TLS 1.3.
    pub classes: Vec<SurveyedClass>,
    /// Whether every suite of the version is known by name.
    pub complete: bool,
}

/// A cipher suite in a survey.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(any(test, feature = "schema"), derive(schemars::JsonSchema))]
pub struct SurveyedSuite {
    /// The code in hexadecimal: "0xc02f", or three octets for SSL 2.0.
    pub code: String,
    /// The registered name.
    pub name: String,
    /// OpenSSL's name.
    pub openssl_name: Option<String>,
    /// The worst property: "anon", "cbc", "aead".
    pub class: String,
}

/// A class of suites in a survey.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(any(test, feature = "schema"), derive(schemars::JsonSchema))]
pub struct SurveyedClass {
    /// The name: "anon", "cbc", "aead".
    pub name: String,
    /// Whether the server offers a suite of the class.
    pub offered: Option<bool>,
}

/// A finite-field Diffie-Hellman exchange in a survey.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(any(test, feature = "schema"), derive(schemars::JsonSchema))]
pub struct SurveyedDh {
    /// The version.
    pub version: String,
    /// The registered name of the suite.
    pub suite: String,
    /// The size of the prime in bits.
    pub bits: u32,
    /// SHA-256 of the prime, in hexadecimal.
    pub prime_sha256: String,
    /// The name of the prime, if many servers use it: "group 14 of RFC 3526".
    #[serde(default)]
    pub prime_name: Option<String>,
}

/// Properties of a server up to TLS 1.2.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(any(test, feature = "schema"), derive(schemars::JsonSchema))]
pub struct SurveyedProperties {
    /// TLS compression (CRIME).
    pub compression: Option<bool>,
    /// Secure renegotiation (RFC 5746).
    pub secure_renegotiation: Option<bool>,
    /// Extended master secret (RFC 7627).
    pub extended_master_secret: Option<bool>,
    /// Encrypt-then-MAC with CBC suites (RFC 7366).
    pub encrypt_then_mac: Option<bool>,
    /// Session tickets (RFC 5077).
    pub session_ticket: Option<bool>,
    /// Heartbeat (RFC 6520).
    pub heartbeat: Option<bool>,
    /// A stapled OCSP response (RFC 6066).
    pub ocsp_staple: Option<bool>,
    /// Signed certificate timestamps in the handshake (RFC 6962).
    pub certificate_timestamps: Option<bool>,
    /// A request for a client certificate.
    pub client_certificate: Option<bool>,
    /// The protection against a downgrade by TLS_FALLBACK_SCSV (RFC 7507).
    pub fallback_scsv: Option<bool>,
    /// The mark of a downgrade in the random (RFC 8446 section 4.1.3).
    pub downgrade_mark: Option<bool>,
    /// A weak, unusual or explicit curve.
    pub weak_curve: Option<bool>,
    /// A signature with SHA-1 or MD5 in TLS 1.2 (RFC 9155).
    pub legacy_signature: Option<bool>,
    /// The same finite-field Diffie-Hellman value in two connections (Raccoon).
    pub dh_reuse: Option<bool>,
}

/// The certificates that the server presented, and the result of their verification.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(any(test, feature = "schema"), derive(schemars::JsonSchema))]
pub struct Presented {
    /// Whether the certificate leads to a trusted root and is valid now for the expected name.
    pub verified: bool,
    /// The result of the verification in words.
    pub verdict: String,
    /// The certificates, the server's own first.
    pub chain: Vec<CertificateReport>,
    /// The certificates of `chain` that lead to a trusted root, by index, the server's own first. If no path is verified:
    /// the certificates that are linked by the names of their issuers.
    #[serde(default)]
    pub path: Vec<usize>,
    /// The expiry of this path. All formats report this date.
    #[serde(default)]
    pub expires: Option<Expiry>,
}

/// The expiry of a certification path, which is that of its first certificate to expire.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(any(test, feature = "schema"), derive(schemars::JsonSchema))]
pub struct Expiry {
    /// The subject of that certificate.
    pub subject: String,
    /// The last second of its validity, RFC 3339.
    pub not_after: String,
    /// The last second of its validity, in seconds since 1970.
    pub not_after_unix: i64,
    /// Days from the audit until it expires; negative after its expiry.
    pub days_left: i64,
}

/// A certificate.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(any(test, feature = "schema"), derive(schemars::JsonSchema), schemars(rename = "Certificate"))]
pub struct CertificateReport {
    /// The distinguished name of the subject.
    pub subject: String,
    /// The distinguished name of the issuer.
    pub issuer: String,
    /// The serial number: octets in hexadecimal, separated by colons.
    #[serde(default)]
    pub serial: String,
    /// The names and addresses in subjectAltName.
    pub names: Vec<String>,
    /// The first second of the validity, RFC 3339.
    pub not_before: String,
    /// The last second of its validity, RFC 3339.
    pub not_after: String,
    /// The last second of the validity, in seconds since 1970.
    pub not_after_unix: i64,
    /// Whole days from the audit until the expiry, rounded down. After the expiry: -1, or the whole days since.
    pub days_left: i64,
    /// The public key: "EC P-256", "RSA 2048 bits".
    pub key: String,
    /// The algorithm of the signature, by name or object identifier.
    pub signature: String,
    /// SHA-256 of the certificate, in hexadecimal.
    pub sha256: String,
    /// SHA-256 of the public key (SubjectPublicKeyInfo), in hexadecimal, as in a TLSA record `3 1 1` and in key pins.
    #[serde(default)]
    pub spki_sha256: String,
    /// The parse error, if the certificate cannot be read.
    pub unreadable: Option<String>,
    /// The certificate in DER. It is not part of the formats.
    #[serde(skip)]
    pub der: Vec<u8>,
}
