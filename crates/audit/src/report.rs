//! What an audit found out, as data. The JSON report is these types; its schema is in `docs/schema/check.json`.
//!
//! Every text in here that came from a peer is escaped already.

use serde::{Deserialize, Serialize};
use starttls::validity;

/// The version of the JSON report; it grows when a field changes its meaning or goes.
pub const SCHEMA_VERSION: u32 = 1;

/// A run over one or more endpoints.
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
    /// The options of the command line, without the targets.
    #[serde(default)]
    pub options: Vec<String>,
    /// The target list (`--file`), if there was one.
    #[serde(default)]
    pub target_list: Option<String>,
    /// The baseline that the findings were compared with, if there was one.
    #[serde(default)]
    pub baseline: Option<String>,
    /// What was looked up on the way to the endpoints (MX, SRV), one line each.
    pub lookups: Vec<String>,
    /// Targets that have no endpoint, and why: a name that does not exist, a line that is not a target.
    #[serde(default)]
    pub unaudited: Vec<Unaudited>,
    /// The endpoints, in the order of the targets.
    pub endpoints: Vec<EndpointReport>,
}

/// A target without an endpoint.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(any(test, feature = "schema"), derive(schemars::JsonSchema))]
pub struct Unaudited {
    /// The target as it was written.
    pub asked: String,
    /// The line of the target list that has it.
    pub target_line: Option<usize>,
    /// `unreachable` if its name could not be resolved, otherwise `inconclusive`.
    pub outcome: EndpointVerdict,
    /// Why there is nothing to audit.
    pub reason: String,
}

impl AuditReport {
    /// Returns a report without endpoints, of a run that starts now.
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

/// One endpoint: a protocol on an address and port.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(any(test, feature = "schema"), derive(schemars::JsonSchema))]
pub struct EndpointReport {
    /// The target in its canonical form: `smtp://mail.example.com`.
    pub target: String,
    /// The address and port that were dialled.
    pub address: Option<String>,
    /// The scheme of the protocol.
    pub protocol: String,
    /// The name that was sent and verified.
    pub server_name: String,
    /// The port.
    pub port: u16,
    /// The line of the target list that names the target.
    #[serde(default)]
    pub target_line: Option<usize>,
    /// The start of the audit: RFC 3339, UTC.
    #[serde(default)]
    pub started_at: String,
    /// The local address that the connections came from.
    #[serde(default)]
    pub source: Option<String>,
    /// The verdict on the whole.
    pub outcome: EndpointVerdict,
    /// The verdict in one line.
    pub summary: String,
    /// The TLS session of the baseline connection.
    pub tls: Option<TlsSummary>,
    /// What the server presented.
    pub certificate: Option<Presented>,
    /// What the server said it can do, before and inside TLS.
    pub capabilities: Option<Capabilities>,
    /// Milliseconds per step of the baseline connection, in order.
    pub steps: Vec<StepTime>,
    /// Connections that were opened.
    pub connections: u32,
    /// Milliseconds that the audit took.
    pub elapsed_ms: f64,
    /// What was found, in the order of the table of checks.
    pub findings: Vec<Finding>,
    /// The conversations that the evidence points into.
    pub transcripts: Vec<Transcript>,
}

/// The verdict on an endpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(any(test, feature = "schema"), derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub enum EndpointVerdict {
    /// Nothing at or above warning.
    Sound,
    /// Something at or above warning.
    Findings,
    /// The upgrade is not offered, or refused.
    Declined,
    /// No connection.
    Unreachable,
    /// The handshake cannot be finished.
    TlsFailed,
    /// The server broke the rules before it could be asked for TLS.
    Violation,
    /// The port serves something else: TLS from the first byte, cleartext, or another protocol.
    WrongPort,
    /// Throttled, or too little evidence.
    Inconclusive,
}

/// The verdict of one check.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(any(test, feature = "schema"), derive(schemars::JsonSchema))]
pub struct Finding {
    /// The check: its id in the table.
    pub id: String,
    /// What came out.
    pub outcome: CheckOutcome,
    /// How bad it is, if it is.
    pub severity: Severity,
    /// Whether the baseline has the same problem, at least as bad.
    #[serde(default)]
    pub known: bool,
    /// One line.
    pub summary: String,
    /// More lines, such as a difference between two lists.
    pub details: Vec<String>,
    /// Where it can be seen.
    pub evidence: Vec<Evidence>,
    /// The cure, where there is something to cure.
    pub fix: Option<String>,
}

/// What came out of a check.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(any(test, feature = "schema"), derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub enum CheckOutcome {
    /// It was looked for and is not there.
    Pass,
    /// It is there.
    Fail,
    /// It is there, and may be meant.
    Warning,
    /// Good to know.
    Info,
    /// The check does not apply to this protocol or server.
    NotApplicable,
    /// The check was not asked for: it needs an option.
    NotRun,
    /// The check ended without a result.
    Inconclusive,
}

/// How bad a finding is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[cfg_attr(any(test, feature = "schema"), derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub enum Severity {
    /// Not bad at all.
    Info,
    /// Helps an attacker, or will be a problem.
    Warning,
    /// Weakens the protection.
    Error,
    /// Undoes the protection.
    Critical,
}

/// A range of a transcript.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(any(test, feature = "schema"), derive(schemars::JsonSchema))]
pub struct Evidence {
    /// Which one: its index in `transcripts`.
    pub transcript: usize,
    /// The first entry.
    pub first: usize,
    /// The last entry.
    pub last: usize,
}

/// One connection's conversation.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(any(test, feature = "schema"), derive(schemars::JsonSchema))]
pub struct Transcript {
    /// What the connection was for.
    pub purpose: String,
    /// What happened, in order.
    pub entries: Vec<Entry>,
}

/// One thing that happened on a connection.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(any(test, feature = "schema"), derive(schemars::JsonSchema))]
pub struct Entry {
    /// Milliseconds since the connection was dialled.
    pub at_ms: f64,
    /// What it was.
    pub kind: EntryKind,
    /// The bytes, escaped, one message or segment; or words, for an event.
    pub text: String,
    /// A message of a binary protocol (LDAP, MySQL, PostgreSQL) in words.
    #[serde(default)]
    pub decoded: Option<String>,
}

/// What an entry is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(any(test, feature = "schema"), derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub enum EntryKind {
    /// We sent this in cleartext.
    Client,
    /// The server sent this in cleartext.
    Server,
    /// We sent this inside TLS.
    ClientInside,
    /// The server sent this inside TLS.
    ServerInside,
    /// The boundary: TLS from here.
    Boundary,
    /// Something else: connected, closed, handshake failed, silence.
    Event,
}

/// What the server said it can do.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(any(test, feature = "schema"), derive(schemars::JsonSchema))]
pub struct Capabilities {
    /// In cleartext.
    pub before: Vec<String>,
    /// Inside TLS.
    pub inside: Vec<String>,
}

/// How long one step took.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(any(test, feature = "schema"), derive(schemars::JsonSchema))]
pub struct StepTime {
    /// "connect", "greeting", "hello", "request", "handshake", "hello inside".
    pub name: String,
    /// Milliseconds.
    pub ms: f64,
}

/// The TLS session.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(any(test, feature = "schema"), derive(schemars::JsonSchema))]
pub struct TlsSummary {
    /// "TLS 1.3".
    pub version: String,
    /// Every version that a handshake succeeded with.
    pub versions: Vec<String>,
    /// The registered name.
    pub cipher_suite: String,
    /// The group of the key exchange.
    pub group: Option<String>,
    /// Whether that group withstands quantum computers.
    pub post_quantum: bool,
    /// The protocol that ALPN agreed on.
    pub alpn: Option<String>,
    /// Whether the server offers resumption (session tickets).
    pub resumption: bool,
    /// Whether an OCSP response was stapled.
    pub ocsp_stapled: bool,
}

/// What the server presented, and what came of verifying it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(any(test, feature = "schema"), derive(schemars::JsonSchema))]
pub struct Presented {
    /// Whether it leads to a trusted root, is valid now, and for the expected name.
    pub verified: bool,
    /// The verdict in words.
    pub verdict: String,
    /// The server's own certificate first.
    pub chain: Vec<Certificate>,
    /// The certificates of `chain` that lead to a trusted root, by index, the server's own first. Where no path
    /// verifies, those that are linked by the names of their issuers.
    #[serde(default)]
    pub path: Vec<usize>,
    /// The end of that path's validity. All formats report this date.
    #[serde(default)]
    pub expires: Option<Expiry>,
}

/// When a certification path ends: with the certificate in it that expires first.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(any(test, feature = "schema"), derive(schemars::JsonSchema))]
pub struct Expiry {
    /// The subject of that certificate.
    pub subject: String,
    /// The last second of its validity, RFC 3339.
    pub not_after: String,
    /// The same in seconds since 1970.
    pub not_after_unix: i64,
    /// Days from now until it ends; negative when it has ended.
    pub days_left: i64,
}

/// One certificate.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(any(test, feature = "schema"), derive(schemars::JsonSchema))]
pub struct Certificate {
    /// The distinguished name of its subject.
    pub subject: String,
    /// The distinguished name of its issuer.
    pub issuer: String,
    /// Its serial number: octets in hexadecimal, separated by colons.
    #[serde(default)]
    pub serial: String,
    /// The names and addresses it is good for (subjectAltName).
    pub names: Vec<String>,
    /// The first second of its validity, RFC 3339.
    pub not_before: String,
    /// The last second of its validity, RFC 3339.
    pub not_after: String,
    /// The same in seconds since 1970.
    pub not_after_unix: i64,
    /// Whole days from the audit until it expires, never more than remain. Negative as soon as it has expired: then -1,
    /// or the whole days since.
    pub days_left: i64,
    /// The public key: "EC P-256", "RSA 2048 bits".
    pub key: String,
    /// The algorithm that signed it, by name or object identifier.
    pub signature: String,
    /// SHA-256 of the certificate, in hexadecimal.
    pub sha256: String,
    /// SHA-256 of its public key (SubjectPublicKeyInfo), in hexadecimal: what a TLSA record `3 1 1` and key pins have.
    #[serde(default)]
    pub spki_sha256: String,
    /// What is wrong with its encoding, if it cannot be read.
    pub unreadable: Option<String>,
}
