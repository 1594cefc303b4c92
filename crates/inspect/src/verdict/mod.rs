//! From facts to findings: of one connection, and across connections.

mod baseline;
mod connection;
mod rule;
mod servers;

pub use baseline::{Baseline, BaselineError};
pub use connection::judge;
pub use rule::{ObservationRule, RULES, rule};
pub(crate) use servers::server_name;
pub use servers::{ClientSummary, ServerSummary, Servers};

use serde::Serialize;

use crate::facts::Clue;

/// How much a finding matters. Greater values matter more.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub enum Weight {
    /// Worth knowing.
    Info,
    /// Allowed, and could be better.
    Low,
    /// A fault.
    Medium,
    /// Private data or the upgrade itself is exposed.
    High,
}

impl Weight {
    /// Returns the value's spelling in reports.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Info => "info",
            Self::Low => "low",
            Self::Medium => "medium",
            Self::High => "high",
        }
    }
}

/// How certain a finding is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub enum Confidence {
    /// The packets show it.
    Proven,
    /// The packets show what is rarely explained otherwise.
    Likely,
}

impl Confidence {
    /// Returns the value's spelling in reports.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Proven => "proven",
            Self::Likely => "likely",
        }
    }
}

/// A finding about a connection.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Observation {
    /// The id, as `starttls explain` takes it.
    pub id: &'static str,
    /// How much it matters.
    pub severity: Weight,
    /// How certain it is.
    pub certainty: Confidence,
    /// The fact, in one clause.
    pub summary: String,
    /// The octets that show it.
    pub evidence: Vec<Clue>,
}
