//! The outcome of one run, and the evidence for it.

use serde::{Deserialize, Serialize};

/// The outcome of a run, the worst first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub enum ScenarioOutcome {
    /// The attacker gained something: credentials, a session, or content that the client trusts.
    Fooled,
    /// A signal ended the client, which this program did not send.
    Crashed,
    /// A protection is missing, but another one stopped the attack.
    Weak,
    /// The client reported success, but delivered nothing.
    Silent,
    /// The run does not allow a verdict.
    Inconclusive,
    /// The client was still waiting at the timeout.
    Hung,
    /// The client gave up before the attack was triggered.
    Refused,
    /// The client continued inside TLS as without the attack, or gave up.
    Sound,
}

impl ScenarioOutcome {
    /// Every outcome, the worst first.
    pub const ALL: &'static [Self] = &[
        Self::Fooled,
        Self::Crashed,
        Self::Weak,
        Self::Silent,
        Self::Inconclusive,
        Self::Hung,
        Self::Refused,
        Self::Sound,
    ];

    /// Returns the word that reports use for it.
    pub fn word(self) -> &'static str {
        match self {
            Self::Sound => "sound",
            Self::Weak => "weak",
            Self::Fooled => "fooled",
            Self::Silent => "silent",
            Self::Crashed => "crashed",
            Self::Refused => "refused",
            Self::Hung => "hung",
            Self::Inconclusive => "inconclusive",
        }
    }

    /// Returns whether the client has to be changed.
    pub fn is_flaw(self) -> bool {
        self <= Self::Silent
    }

    /// Returns whether the run does not show what the client does.
    pub fn is_undecided(self) -> bool {
        matches!(self, Self::Crashed | Self::Inconclusive | Self::Hung)
    }
}

/// One piece of evidence for an outcome.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct EvidenceItem {
    /// The fact, and the escaped bytes that show it.
    pub text: String,
    /// The connection, counted from 0; `None` for the output of the client.
    pub transcript: Option<usize>,
    /// The entry of the connection, counted from 0.
    pub entry: Option<usize>,
}

/// The outcome of one run, with its summary and evidence.
pub(crate) struct Judgment {
    pub(crate) outcome: ScenarioOutcome,
    pub(crate) summary: String,
    pub(crate) evidence: Vec<EvidenceItem>,
}

impl Judgment {
    pub(crate) fn new(outcome: ScenarioOutcome, summary: impl Into<String>) -> Self {
        Self { outcome, summary: summary.into(), evidence: Vec::new() }
    }
}
