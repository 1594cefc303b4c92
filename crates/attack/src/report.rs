//! The result of a campaign, as data.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use starttls::proto::{Escaped, Side};

use crate::judge::Judgment;
use crate::record::{ConnectionRecord, Layer, RecordEntry};
use crate::scenario::Scenario;
use crate::subject::ClientRun;

/// Raised when a field changes its meaning or goes away. 2: `fooled` is what an attacker gains from; `weak`, `silent`
/// and `crashed` are outcomes of their own.
pub const SCHEMA_VERSION: u32 = 2;

/// A client under attack.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct AttackReport {
    /// See [`SCHEMA_VERSION`].
    pub schema_version: u32,
    /// The program and its version.
    pub generator: String,
    /// The protocol's scheme.
    pub protocol: String,
    /// The client, as it was called.
    pub client: String,
    /// The worst outcome of a scenario; inconclusive if the control run was not sound, or a scenario is missing.
    pub outcome: ScenarioOutcome,
    /// The run without an attack. If it is not sound, no scenario was run.
    pub control: ScenarioResult,
    /// One entry for each scenario, in the order of the list.
    pub scenarios: Vec<ScenarioResult>,
    /// The ids of the scenarios that are missing, since the campaign was interrupted.
    pub unfinished: Vec<String>,
}

/// A scenario and its worst run, or the run without an attack.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct ScenarioResult {
    /// The scenario.
    pub id: String,
    /// What was done, in one line.
    pub title: String,
    /// What the client did.
    pub outcome: ScenarioOutcome,
    /// The same in words.
    pub summary: String,
    /// What has to be changed in the client, unless the outcome is sound or refused.
    pub fix: Option<String>,
    /// How many runs had which outcome, the worst first.
    pub outcomes: Vec<OutcomeCount>,
    /// What shows it.
    pub evidence: Vec<EvidenceItem>,
    /// How long it took.
    pub elapsed_ms: f64,
    /// Every connection that the client opened.
    pub transcripts: Vec<ConnectionTranscript>,
    /// The end of what the client printed, escaped.
    pub output: String,
}

/// How many runs had an outcome.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct OutcomeCount {
    /// The outcome.
    pub outcome: ScenarioOutcome,
    /// The number of runs.
    pub runs: u32,
}

/// What a client did under an attack, the worst first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub enum ScenarioOutcome {
    /// An attacker gained something: credentials, a session, or content that the client believes.
    Fooled,
    /// A signal ended it, which this program did not send.
    Crashed,
    /// A protection is missing, but another one held.
    Weak,
    /// It reported success, but delivered nothing.
    Silent,
    /// No verdict is possible.
    Inconclusive,
    /// It was still waiting when its time was over.
    Hung,
    /// It gave up before the attack was triggered.
    Refused,
    /// It went on inside TLS as without the attack, or gave up.
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

/// Something that shows what a client did.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct EvidenceItem {
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
pub struct ConnectionTranscript {
    /// Whether it came where only a redirect leads.
    pub redirected: bool,
    /// What was said, in order.
    pub entries: Vec<TranscriptLine>,
}

/// One thing said.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct TranscriptLine {
    /// Milliseconds since the connection was accepted.
    pub at_ms: f64,
    /// `client` or `server`: what the client heard, whoever said it.
    pub from: String,
    /// `cleartext`, `tls` (a handshake, or what took its place) or `inside`.
    pub layer: String,
    /// The bytes, escaped.
    pub text: String,
}

impl ScenarioResult {
    pub(crate) fn of(
        scenario: &Scenario,
        verdict: Judgment,
        records: &[ConnectionRecord],
        ran: &ClientRun,
        elapsed: Duration,
    ) -> Self {
        const END: usize = 2000;
        let output = ran.output.bytes();
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

    /// Adds another run of the same scenario. The worse run is shown.
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

    /// Returns how often the shown outcome came out, if there was more than one run: `3 of 10 runs`.
    pub fn frequency(&self) -> Option<String> {
        let runs: u32 = self.outcomes.iter().map(|it| it.runs).sum();
        let shown: u32 = self.outcomes.iter().filter(|it| it.outcome == self.outcome).map(|it| it.runs).sum();
        (runs > 1).then(|| format!("{shown} of {runs} runs"))
    }
}

/// The scenario's fix, or the outcome's where that does not depend on the scenario.
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

    /// Returns what several outcomes come to.
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
            let ran = ClientRun { ended: ClientExit::Success, output: ClientOutput::default() };
            let verdict = Judgment::new(outcome, outcome.word());
            ScenarioResult::of(&Scenario::control(SessionAction::Pass), verdict, &[], &ran, Duration::ZERO)
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
