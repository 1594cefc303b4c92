//! The report of a campaign, as data.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use starttls::proto::{Escaped, Side};

use crate::outcome::Judgment;
pub use crate::outcome::{EvidenceItem, ScenarioOutcome};
pub use crate::record::Layer;
use crate::record::{ConnectionRecord, RecordEntry};
use crate::scenario::Scenario;
use crate::subject::ClientRun;

/// The version of the schema, raised when a field changes its meaning or is removed. Version 2 limits `fooled` to runs in
/// which the attacker gains something, and adds the outcomes `weak`, `silent` and `crashed`.
pub const SCHEMA_VERSION: u32 = 2;

/// The report on a client under attack.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct AttackReport {
    /// See [`SCHEMA_VERSION`].
    pub schema_version: u32,
    /// The program and its version.
    pub generator: String,
    /// The protocol's scheme.
    pub protocol: String,
    /// The client, as its command.
    pub client: String,
    /// The worst outcome of a scenario. It is inconclusive if the control run was not sound or a scenario is missing.
    pub outcome: ScenarioOutcome,
    /// The run without an attack. If it is not sound, no scenario was run.
    pub control: ScenarioResult,
    /// One entry for each scenario, in the order of the list.
    pub scenarios: Vec<ScenarioResult>,
    /// The ids of the scenarios that were not run because the campaign was interrupted.
    pub unfinished: Vec<String>,
}

/// The worst run of a scenario, or the run without an attack.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct ScenarioResult {
    /// The id of the scenario.
    pub id: String,
    /// The title of the scenario.
    pub title: String,
    /// The outcome.
    pub outcome: ScenarioOutcome,
    /// The outcome in one sentence, without a subject: the client.
    pub summary: String,
    /// What to change in the client, unless the outcome is sound or refused.
    pub fix: Option<String>,
    /// The number of runs for each outcome, the worst first.
    pub outcomes: Vec<OutcomeCount>,
    /// The evidence for the outcome.
    pub evidence: Vec<EvidenceItem>,
    /// The duration of the run in milliseconds.
    pub elapsed_ms: f64,
    /// Every connection that the client opened.
    pub transcripts: Vec<ConnectionTranscript>,
    /// The end of the output of the client, escaped.
    pub output: String,
}

/// The number of runs with an outcome.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct OutcomeCount {
    /// The outcome.
    pub outcome: ScenarioOutcome,
    /// The number of runs.
    pub runs: u32,
}

/// The transcript of one connection.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct ConnectionTranscript {
    /// Whether the client reached this connection through a redirect.
    pub redirected: bool,
    /// The messages, in order.
    pub entries: Vec<TranscriptLine>,
}

/// One message, or a part of one.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct TranscriptLine {
    /// Milliseconds since the connection was accepted.
    pub at_ms: f64,
    /// The side that sent it, as the client sees it: bytes of the attacker are the server's.
    pub from: TranscriptSide,
    /// The layer that carried it.
    pub layer: Layer,
    /// The bytes, escaped.
    pub text: String,
}

/// The side of a connection that sent an entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
pub enum TranscriptSide {
    /// The client under test.
    Client,
    /// The server, or the attacker in its place.
    Server,
}

impl TranscriptSide {
    /// Returns the word that reports use for it.
    pub fn word(self) -> &'static str {
        match self {
            Self::Client => "client",
            Self::Server => "server",
        }
    }
}

impl ScenarioResult {
    pub(crate) fn of(
        scenario: &Scenario,
        verdict: Judgment,
        records: &[ConnectionRecord],
        client: &ClientRun,
        elapsed: Duration,
    ) -> Self {
        const END: usize = 2000;
        let output = client.output.bytes();
        let is_listed = verdict.outcome.is_flaw() || verdict.outcome == ScenarioOutcome::Hung;
        Self {
            id: scenario.id.clone(),
            title: scenario.title.clone(),
            outcome: verdict.outcome,
            summary: verdict.summary,
            fix: Some(fix(scenario, verdict.outcome)).filter(|fix| is_listed && !fix.is_empty()),
            outcomes: vec![OutcomeCount { outcome: verdict.outcome, runs: 1 }],
            evidence: verdict.evidence,
            elapsed_ms: (elapsed.as_secs_f64() * 1e6).round() / 1e3,
            transcripts: records.iter().map(ConnectionTranscript::of).collect(),
            output: Escaped(&output[output.len().saturating_sub(END)..]).to_string(),
        }
    }

    /// Adds another run of the same scenario. The report shows the worse run.
    pub(crate) fn add(&mut self, other: Self) {
        let mut outcomes = std::mem::take(&mut self.outcomes);
        for OutcomeCount { outcome, runs } in &other.outcomes {
            match outcomes.iter_mut().find(|it| it.outcome == *outcome) {
                Some(count) => count.runs += runs,
                None => outcomes.push(OutcomeCount { outcome: *outcome, runs: *runs }),
            }
        }
        outcomes.sort_by_key(|it| it.outcome);
        if other.outcome < self.outcome {
            *self = other;
        }
        self.outcomes = outcomes;
    }

    /// Returns how many runs had the shown outcome, if there was more than one run: `3 of 10 runs`.
    pub fn frequency(&self) -> Option<String> {
        let runs: u32 = self.outcomes.iter().map(|it| it.runs).sum();
        let shown: u32 = self.outcomes.iter().filter(|it| it.outcome == self.outcome).map(|it| it.runs).sum();
        (runs > 1).then(|| format!("{shown} of {runs} runs"))
    }
}

/// Returns the fix for an outcome that does not depend on the scenario, or the fix of the scenario.
fn fix(scenario: &Scenario, outcome: ScenarioOutcome) -> String {
    match outcome {
        ScenarioOutcome::Crashed => {
            "find the fault with a debugger: bytes from before TLS must not end the program"
        }
        ScenarioOutcome::Silent => "report a failure to the user when the upgrade fails",
        ScenarioOutcome::Hung => {
            "set one deadline for everything from the greeting to the end of the handshake"
        }
        _ => scenario.fix.as_str(),
    }
    .to_owned()
}

impl ConnectionTranscript {
    pub(crate) fn of(record: &ConnectionRecord) -> Self {
        let line = |entry: &RecordEntry| TranscriptLine {
            at_ms: (entry.at.as_secs_f64() * 1e6).round() / 1e3,
            from: if entry.from == Side::Client { TranscriptSide::Client } else { TranscriptSide::Server },
            layer: entry.layer,
            text: entry.text(),
        };
        Self { redirected: record.redirected, entries: record.entries.iter().map(line).collect() }
    }
}

impl AttackReport {
    /// Returns the outcome of the client as a whole.
    pub(crate) fn overall(
        control: &ScenarioResult,
        scenarios: &[ScenarioResult],
        is_whole: bool,
    ) -> ScenarioOutcome {
        let missing = Some(ScenarioOutcome::Inconclusive).filter(|_| !is_whole);
        match control.outcome {
            ScenarioOutcome::Sound => {
                Self::worst(scenarios.iter().map(|tested| tested.outcome).chain(missing))
            }
            _ => ScenarioOutcome::Inconclusive,
        }
    }

    /// Returns the worst of several outcomes. A client that refused every attack is sound.
    pub fn worst(outcomes: impl IntoIterator<Item = ScenarioOutcome>) -> ScenarioOutcome {
        let worst = outcomes.into_iter().min().unwrap_or(ScenarioOutcome::Sound);
        if worst == ScenarioOutcome::Refused { ScenarioOutcome::Sound } else { worst }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scenario::SessionAction;
    use crate::subject::{ClientExit, ClientOutput};

    #[test]
    fn the_worst_run_is_shown_and_all_are_counted() {
        let run = |outcome| {
            let client = ClientRun { exit: ClientExit::Success, output: ClientOutput::default() };
            let verdict = Judgment::new(outcome, outcome.word());
            ScenarioResult::of(&Scenario::control(SessionAction::Pass), verdict, &[], &client, Duration::ZERO)
        };
        let mut tested = run(ScenarioOutcome::Sound);
        assert_eq!(tested.frequency(), None);
        [ScenarioOutcome::Fooled, ScenarioOutcome::Sound, ScenarioOutcome::Weak]
            .into_iter()
            .for_each(|it| tested.add(run(it)));
        assert_eq!((tested.outcome, tested.summary.as_str()), (ScenarioOutcome::Fooled, "fooled"));
        assert_eq!(tested.frequency().as_deref(), Some("1 of 4 runs"));
        let counts: Vec<_> = tested.outcomes.iter().map(|it| (it.outcome, it.runs)).collect();
        assert_eq!(
            counts,
            [(ScenarioOutcome::Fooled, 1), (ScenarioOutcome::Weak, 1), (ScenarioOutcome::Sound, 2)]
        );
    }
}
