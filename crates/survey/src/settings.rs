//! The settings of a run, which all of its workers share: `plan.json`.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::budget::Pace;

/// The settings of a run. Every worker reads them from the run, so that all of them have the same budgets.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RunSettings {
    /// The version of the file: 1.
    pub schema_version: u32,
    /// The program and its version.
    pub generator: String,
    /// Decides the order of the targets and the choice of samples.
    pub seed: u64,
    /// What is asked of each endpoint.
    pub probe: ProbeKind,
    /// The scheme of the protocol.
    pub protocol: String,
    /// The port.
    pub port: u16,
    /// How many names of a class are probed at an address; `None` is every name.
    pub samples: Option<u32>,
    /// How many passes there are, and the wait before each but the first.
    pub retry_after: Vec<Duration>,
    /// The budgets.
    pub pace: Pace,
    /// The surveyor's host name, which servers see in EHLO.
    pub client_name: String,
    /// The URL of the page about the survey.
    pub contact: Option<String>,
    /// The limit for each answer.
    pub timeout: Duration,
    /// The most lanes.
    pub lanes: u16,
    /// Which evidence is kept.
    pub evidence: EvidenceKept,
}

/// What is asked of each endpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ProbeKind {
    /// Whether the upgrade is offered: one connection without TLS.
    Offer,
    /// The upgrade and the certificate: one connection.
    Certificate,
    /// These, and a brief survey of what TLS offers.
    Tls,
    /// All checks.
    Full,
}

impl ProbeKind {
    /// Returns the most connections to an endpoint.
    pub const fn connections(self) -> u32 {
        match self {
            Self::Offer | Self::Certificate => 1,
            Self::Tls => 20,
            Self::Full => 30,
        }
    }
}

/// Which evidence is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum EvidenceKept {
    /// None.
    None,
    /// That of failures and warnings.
    Failures,
    /// That of every finding.
    All,
}

impl RunSettings {
    /// Returns the names of the settings that differ, as a user knows them. The version of the program may differ.
    pub fn differences(&self, other: &Self) -> Vec<&'static str> {
        let differs = [
            ("the version of the format", self.schema_version != other.schema_version),
            ("the seed", self.seed != other.seed),
            ("the probe", self.probe != other.probe),
            ("the protocol", self.protocol != other.protocol),
            ("the port", self.port != other.port),
            ("the samples", self.samples != other.samples),
            ("the passes", self.retry_after != other.retry_after),
            ("the budgets", self.pace != other.pace),
            ("the client name", self.client_name != other.client_name),
            ("the contact", self.contact != other.contact),
            ("the timeout", self.timeout != other.timeout),
            ("the lanes", self.lanes != other.lanes),
            ("the evidence", self.evidence != other.evidence),
        ];
        differs.into_iter().filter(|(_, differs)| *differs).map(|(name, _)| name).collect()
    }
}
