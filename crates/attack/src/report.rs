//! What came of a campaign, as data.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use starttls::proto::{Escaped, Side};

use crate::judge::Verdict;
use crate::record::{Entry, Layer, Record};
use crate::scenario::Scenario;
use crate::subject::Ran;

/// Raised when a field changes its meaning or goes away.
pub const SCHEMA_VERSION: u32 = 1;

/// A client under attack.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Report {
    /// See [`SCHEMA_VERSION`].
    pub schema_version: u32,
    /// The program and its version.
    pub generator: String,
    /// The protocol's scheme.
    pub protocol: String,
    /// The client, as it was called.
    pub client: String,
    /// What came of it all: fooled if one scenario fooled it, inconclusive if the control run did.
    pub outcome: Outcome,
    /// The run without an attack. Where it is not sound, no scenario was run.
    pub control: Tested,
    /// One entry for each scenario, in the order of the list.
    pub scenarios: Vec<Tested>,
}

/// One run of the client.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Tested {
    /// The scenario.
    pub id: String,
    /// What was done, in one line.
    pub title: String,
    /// What the client did.
    pub outcome: Outcome,
    /// The same in words.
    pub summary: String,
    /// What shows it.
    pub evidence: Vec<Evidence>,
    /// How long it took.
    pub elapsed_ms: f64,
    /// Every connection that the client opened.
    pub transcripts: Vec<Transcript>,
    /// The end of what the client printed, escaped.
    pub output: String,
}

/// What a client did under an attack.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub enum Outcome {
    /// It went on inside TLS as without the attack, or gave up.
    Sound,
    /// It said in cleartext what is for TLS only, or took for protected what was not.
    Fooled,
    /// It gave up before the attack came to its moment.
    Refused,
    /// It was still waiting when its time was over.
    Hung,
    /// Nothing can be said.
    Inconclusive,
}

impl Outcome {
    /// The word that reports have for it.
    pub fn word(self) -> &'static str {
        match self {
            Self::Sound => "sound",
            Self::Fooled => "fooled",
            Self::Refused => "refused",
            Self::Hung => "hung",
            Self::Inconclusive => "inconclusive",
        }
    }
}

/// Something that shows what a client did.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Evidence {
    /// What it shows, and the bytes, escaped.
    pub text: String,
    /// The connection, counted from 0; none for what the client printed.
    pub transcript: Option<usize>,
    /// The entry there, counted from 0.
    pub entry: Option<usize>,
}

/// One connection.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Transcript {
    /// Whether it came where only a redirect leads.
    pub redirected: bool,
    /// What was said, in order.
    pub entries: Vec<Line>,
}

/// One thing said.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Line {
    /// Milliseconds since the connection was accepted.
    pub at_ms: f64,
    /// `client` or `server`: what the client heard, whoever said it.
    pub from: String,
    /// `cleartext`, `tls` (a handshake, or what took its place) or `inside`.
    pub layer: String,
    /// The bytes, escaped.
    pub text: String,
}

impl Tested {
    pub(crate) fn of(
        scenario: &Scenario,
        verdict: Verdict,
        records: &[Record],
        ran: &Ran,
        elapsed: Duration,
    ) -> Self {
        const END: usize = 2000;
        let output = &ran.output[ran.output.len().saturating_sub(END)..];
        Self {
            id: scenario.id.clone(),
            title: scenario.title.clone(),
            outcome: verdict.outcome,
            summary: verdict.summary,
            evidence: verdict.evidence,
            elapsed_ms: (elapsed.as_secs_f64() * 1e6).round() / 1e3,
            transcripts: records.iter().map(Transcript::of).collect(),
            output: Escaped(output).to_string(),
        }
    }
}

impl Transcript {
    pub(crate) fn of(record: &Record) -> Self {
        let line = |entry: &Entry| Line {
            at_ms: (entry.at.as_secs_f64() * 1e6).round() / 1e3,
            from: if entry.from == Side::Client { "client" } else { "server" }.to_owned(),
            layer: match entry.layer {
                Layer::Cleartext => "cleartext",
                Layer::Tls => "tls",
                Layer::Inside => "inside",
            }
            .to_owned(),
            text: entry.text(),
        };
        Self { redirected: record.redirected, entries: record.entries.iter().map(line).collect() }
    }
}

impl Report {
    /// The verdict on the client as a whole.
    pub(crate) fn overall(control: &Tested, scenarios: &[Tested]) -> Outcome {
        match control.outcome {
            Outcome::Sound => Self::worst(scenarios.iter().map(|tested| tested.outcome)),
            _ => Outcome::Inconclusive,
        }
    }

    /// What several verdicts come to.
    pub fn worst(outcomes: impl IntoIterator<Item = Outcome>) -> Outcome {
        let seen: Vec<Outcome> = outcomes.into_iter().collect();
        let by_weight = [Outcome::Fooled, Outcome::Inconclusive, Outcome::Hung];
        by_weight.into_iter().find(|it| seen.contains(it)).unwrap_or(Outcome::Sound)
    }
}
