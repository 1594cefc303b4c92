//! The rows of the results. Their schemas are in `docs/schema/survey-*.json`.
//!
//! Fields are added and never reused. Text from a peer is escaped when it enters a row.

use std::net::IpAddr;

use serde::{Deserialize, Serialize};
use starttls_audit::report::{EndpointVerdict, Entry, Severity, TlsSummary};

/// The version of the rows. It increases when a field changes its meaning or is removed.
pub const ROW_VERSION: u32 = 1;

/// What a domain's MX records are.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct DomainRow {
    /// The version of the row: 1.
    pub schema_version: u32,
    /// The domain.
    pub domain: String,
    /// The kind of answer.
    pub status: DomainStatus,
    /// The exchangers, the preferred ones first.
    pub mx: Vec<Exchanger>,
    /// What MX records contain besides host names, escaped.
    pub invalid_mx: Vec<String>,
    /// Whether DNSSEC proved the answer, as far as the resolver is trusted.
    pub secure: bool,
    /// The time to live of the answer, in seconds.
    pub ttl: Option<u32>,
    /// Why the question failed.
    pub error: Option<String>,
    /// The duration of the question in milliseconds.
    pub elapsed_ms: f64,
}

/// The kind of answer to the question for the exchangers of a domain.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub enum DomainStatus {
    /// The domain has exchangers.
    Mx,
    /// The domain accepts no mail (RFC 7505).
    NullMx,
    /// The domain has no MX record; its own addresses receive its mail, if it has any (RFC 5321 section 5.1).
    ImplicitMx,
    /// Its MX records contain no host name.
    InvalidMx,
    /// The domain does not exist.
    NoName,
    /// The question failed.
    Failed,
    /// The domain opted out, and was not asked for.
    OptedOut,
    /// The program ended several times while it worked on this domain alone.
    Crashed,
}

/// One MX record.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Exchanger {
    /// Lower values are preferred.
    pub preference: u16,
    /// The host.
    pub name: String,
}

/// The addresses of an exchanger.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct AddressRow {
    /// The version of the row: 1.
    pub schema_version: u32,
    /// The name.
    pub name: String,
    /// The addresses.
    pub addresses: Vec<IpAddr>,
    /// Whether the name does not exist, or has no address.
    pub is_missing: bool,
    /// Why a question failed.
    pub error: Option<String>,
    /// The duration of the questions in milliseconds.
    pub elapsed_ms: f64,
}

/// The facts about one endpoint.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct EndpointRow {
    /// The version of the row: 1.
    pub schema_version: u32,
    /// The key of the endpoint: `smtp://192.0.2.1:25/mx.example.com`.
    pub key: String,
    /// The number of the pass, from 1.
    pub pass: u8,
    /// The time of the probe, RFC 3339.
    pub at: String,
    /// The scheme of the protocol.
    pub protocol: String,
    /// The address.
    pub address: IpAddr,
    /// The port.
    pub port: u16,
    /// The name in SNI, which the certificate was verified for.
    pub server_name: String,
    /// The registrable suffix of the name.
    pub suffix: String,
    /// The network of the address: an AS or a prefix.
    pub network: String,
    /// The local address of the connections.
    pub source: Option<String>,
    /// How far the probe got. Only `answered` shows something about the server's TLS.
    pub reach: TargetReach,
    /// The result.
    pub outcome: EndpointOutcome,
    /// The result in one line.
    pub summary: String,
    /// What the earlier passes found.
    pub attempts: Vec<Attempt>,
    /// The number of connections.
    pub connections: u32,
    /// The duration in milliseconds.
    pub elapsed_ms: f64,
    /// Whether the server offers the upgrade; `null` if it was not seen.
    pub offered: Option<bool>,
    /// The TLS session, and what the server offers beyond it.
    pub tls: Option<TlsSummary>,
    /// The certificate that the server presented.
    pub certificate: Option<CertificateFacts>,
    /// The capabilities that the server announced in cleartext.
    pub capabilities: Vec<String>,
    /// The ids of the checks that passed.
    pub passed: Vec<String>,
    /// The findings of the other checks that have a result.
    pub findings: Vec<FindingFacts>,
}

/// What one pass found.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Attempt {
    /// The number of the pass, from 1.
    pub pass: u8,
    /// The time, RFC 3339.
    pub at: String,
    /// How far the pass got.
    pub reach: TargetReach,
}

/// How far a probe got.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub enum TargetReach {
    /// The server answered.
    Answered,
    /// The host refused the connection.
    Refused,
    /// The connection was not established in time.
    Timeout,
    /// The connection was reset.
    Reset,
    /// There is no route to the host.
    Unroutable,
    /// The server or its network turned the survey away, or was left alone because it had. This shows nothing about its TLS.
    Throttled,
    /// The server sent no whole message in time.
    Silent,
    /// The server closed the connection before its greeting.
    Closed,
    /// The operator opted out, and the endpoint was not dialed.
    OptedOut,
    /// The address may not be dialed.
    Blocked,
    /// The program ended several times while it worked on this target alone.
    Crashed,
}

impl TargetReach {
    /// Every value, in order.
    pub const ALL: [Self; 11] = [
        Self::Answered,
        Self::Refused,
        Self::Timeout,
        Self::Reset,
        Self::Unroutable,
        Self::Throttled,
        Self::Silent,
        Self::Closed,
        Self::OptedOut,
        Self::Blocked,
        Self::Crashed,
    ];

    /// Returns the word in the rows.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Answered => "answered",
            Self::Refused => "refused",
            Self::Timeout => "timeout",
            Self::Reset => "reset",
            Self::Unroutable => "unroutable",
            Self::Throttled => "throttled",
            Self::Silent => "silent",
            Self::Closed => "closed",
            Self::OptedOut => "opted-out",
            Self::Blocked => "blocked",
            Self::Crashed => "crashed",
        }
    }

    /// Returns whether another attempt may find more, after a pass with this number.
    pub const fn is_worth_a_retry(self, pass: u8) -> bool {
        match self {
            Self::Timeout
            | Self::Reset
            | Self::Throttled
            | Self::Silent
            | Self::Closed
            | Self::Unroutable => true,
            // A server that restarts refuses for a moment. Twice is an answer.
            Self::Refused => pass < 2,
            Self::Answered | Self::OptedOut | Self::Blocked | Self::Crashed => false,
        }
    }
}

/// The result for an endpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub enum EndpointOutcome {
    /// The checks that were made found no problem.
    Sound,
    /// The server offers the upgrade, which was not tried.
    Offered,
    /// A check found a problem.
    Findings,
    /// The server does not offer the upgrade, or refuses it.
    Declined,
    /// The handshake failed.
    TlsFailed,
    /// The server violated the protocol before TLS.
    Violation,
    /// The port serves another protocol.
    WrongPort,
    /// The server was not reached.
    Unreachable,
    /// Too little was seen.
    Inconclusive,
}

impl From<EndpointVerdict> for EndpointOutcome {
    fn from(verdict: EndpointVerdict) -> Self {
        match verdict {
            EndpointVerdict::Sound => Self::Sound,
            EndpointVerdict::Findings => Self::Findings,
            EndpointVerdict::Declined => Self::Declined,
            EndpointVerdict::Unreachable => Self::Unreachable,
            EndpointVerdict::TlsFailed => Self::TlsFailed,
            EndpointVerdict::Violation => Self::Violation,
            EndpointVerdict::WrongPort => Self::WrongPort,
            EndpointVerdict::Inconclusive => Self::Inconclusive,
        }
    }
}

/// What a row contains of a certificate. The certificates themselves are rows of their own.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct CertificateFacts {
    /// Whether it leads to a trusted root and is valid for the name.
    pub verified: bool,
    /// The result of the verification in words.
    pub verdict: String,
    /// The last second of the validity of the path, in seconds since 1970.
    pub not_after_unix: Option<i64>,
    /// The names in it, at most 100.
    pub names: Vec<String>,
    /// SHA-256 of each certificate that the server presented, its own first.
    pub chain: Vec<String>,
}

/// A finding.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct FindingFacts {
    /// The id of the check.
    pub id: String,
    /// The outcome: `fail`, `warning`, `info` or `inconclusive`.
    pub outcome: starttls_audit::report::CheckOutcome,
    /// The severity of a problem.
    pub severity: Severity,
    /// The fact in one line.
    pub summary: String,
}

/// The part of a transcript that proves a finding.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct EvidenceRow {
    /// The version of the row: 1.
    pub schema_version: u32,
    /// The key of the endpoint.
    pub key: String,
    /// The number of the pass.
    pub pass: u8,
    /// The id of the check.
    pub finding: String,
    /// The purpose of the connection.
    pub purpose: String,
    /// The entries.
    pub entries: Vec<Entry>,
}

/// A certificate, once for all endpoints that present it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct CertificateRow {
    /// The version of the row: 1.
    pub schema_version: u32,
    /// SHA-256 of the certificate, in hexadecimal.
    pub sha256: String,
    /// SHA-256 of its public key.
    pub spki_sha256: String,
    /// The distinguished name of the subject.
    pub subject: String,
    /// The distinguished name of the issuer.
    pub issuer: String,
    /// The serial number.
    pub serial: String,
    /// The names and addresses in subjectAltName.
    pub names: Vec<String>,
    /// The first second of the validity, RFC 3339.
    pub not_before: String,
    /// The last second of the validity, RFC 3339.
    pub not_after: String,
    /// The last second of the validity, in seconds since 1970.
    pub not_after_unix: i64,
    /// The public key.
    pub key: String,
    /// The algorithm of the signature.
    pub signature: String,
    /// Why the certificate cannot be read.
    pub unreadable: Option<String>,
    /// The certificate in PEM.
    pub pem: String,
}

/// A domain with the results for its exchangers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct JoinedRow {
    /// The version of the row: 1.
    pub schema_version: u32,
    /// The domain.
    pub domain: String,
    /// The kind of answer for its exchangers.
    pub status: DomainStatus,
    /// Whether DNSSEC proved the answer.
    pub secure: bool,
    /// The exchangers, the preferred ones first.
    pub mx: Vec<JoinedExchanger>,
    /// The number of endpoints.
    pub endpoints: u32,
    /// How many of them were answered, by this name or by a name of the same class.
    pub answered: u32,
    /// How many of the answered ones present a certificate that is verified for the name.
    pub verified: u32,
    /// The best outcome of an endpoint; `null` without one.
    pub best: Option<EndpointOutcome>,
    /// The worst outcome of an endpoint; `null` without one.
    pub worst: Option<EndpointOutcome>,
}

/// An exchanger with its endpoints.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct JoinedExchanger {
    /// Lower values are preferred.
    pub preference: u16,
    /// The host.
    pub name: String,
    /// Its endpoints. Empty if the name has no address.
    pub endpoints: Vec<JoinedEndpoint>,
}

/// The result for one address of an exchanger.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct JoinedEndpoint {
    /// The address.
    pub address: IpAddr,
    /// What the result is based on.
    pub by: JoinedBy,
    /// How far the probe got; `null` if there is no result yet.
    pub reach: Option<TargetReach>,
    /// The outcome; `null` if there is no result yet.
    pub outcome: Option<EndpointOutcome>,
    /// Whether the certificate leads to a trusted root and is valid for this name; `null` without a certificate.
    pub verified: Option<bool>,
    /// SHA-256 of the server's certificate.
    pub certificate: Option<String>,
}

/// What a joined result is based on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub enum JoinedBy {
    /// A probe with this name.
    Probe,
    /// A probe with another name under the same registrable suffix at the same address. Its certificate was compared with this
    /// name.
    Class,
    /// Probes with other names of that kind, whose results differ, so that they show nothing about this name.
    ClassDiffers,
    /// No result yet.
    Missing,
}
