//! The expected outcomes of real clients under attack, with reasons: one file per client in `attack/`.
//!
//! A line contains the command of the client for a protocol, or a protocol, a scenario, the expected outcome and the reason:
//!
//! ```text
//! run   imap  curl -sS --ssl-reqd --cacert {ca} imap://{host}:{port}/
//! imap  cli-hs-stall  hung  It has no deadline of its own.
//! ```
//!
//! Without a line, the expected outcomes are `sound` and `refused`. `exclude` leaves a scenario out of the run. The id may
//! end in `*`.

use starttls_attack::Scenario;
use starttls_attack::report::{ScenarioOutcome, ScenarioResult};

use crate::{InvalidLine, word};

/// The file of a client.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ClientFile {
    /// The command of the client for each protocol.
    pub runs: Vec<(String, String)>,
    /// The outcomes other than `sound` and `refused`.
    pub expectations: Vec<Expectation>,
}

/// The expected outcome of a scenario.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Expectation {
    /// The protocol.
    pub protocol: String,
    /// The id of the scenario, or the start of several ids and `*`.
    pub scenario: String,
    /// The outcome; `None` if the scenario is left out.
    pub outcome: Option<ScenarioOutcome>,
    /// The reason.
    pub reason: String,
}

impl Expectation {
    fn concerns(&self, protocol: &str, id: &str) -> bool {
        let same = match self.scenario.strip_suffix('*') {
            Some(start) => id.starts_with(start),
            None => id == self.scenario,
        };
        same && self.protocol == protocol
    }
}

/// Parses a file.
///
/// # Errors
/// Returns the first invalid line, or a line with an unknown scenario.
pub fn read(text: &str) -> Result<ClientFile, InvalidLine> {
    let all = Scenario::all().unwrap_or_default();
    let mut client = ClientFile::default();
    for line in text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#')) {
        let unclear = || InvalidLine(line.to_owned());
        let (first, rest) = word(line).ok_or_else(unclear)?;
        let (second, rest) = word(rest).ok_or_else(unclear)?;
        if first == "run" {
            client.runs.push((second.to_owned(), rest.to_owned()));
            continue;
        }
        let (outcome, reason) = word(rest).ok_or_else(unclear)?;
        let outcome = match outcome {
            "exclude" => None,
            word => {
                let known = |it: &&ScenarioOutcome| {
                    it.word() == word && !matches!(it, ScenarioOutcome::Sound | ScenarioOutcome::Refused)
                };
                Some(*ScenarioOutcome::ALL.iter().find(known).ok_or_else(unclear)?)
            }
        };
        let expectation = Expectation {
            protocol: first.into(),
            scenario: second.into(),
            outcome,
            reason: reason.trim().into(),
        };
        if expectation.reason.is_empty() || !all.iter().any(|it| expectation.concerns(first, &it.id)) {
            return Err(unclear());
        }
        client.expectations.push(expectation);
    }
    Ok(client)
}

impl ClientFile {
    /// Returns whether a scenario is left out.
    pub fn excludes(&self, protocol: &str, id: &str) -> bool {
        self.expectations.iter().any(|it| it.outcome.is_none() && it.concerns(protocol, id))
    }

    /// Returns a line for each verdict that differs from the expected one.
    pub fn differences(&self, protocol: &str, tested: &[ScenarioResult]) -> Vec<String> {
        let mut differences = Vec::new();
        for ScenarioResult { id, outcome, summary, .. } in tested {
            let own = self.expectations.iter().find(|it| it.concerns(protocol, id)).and_then(|it| it.outcome);
            let usual = matches!(outcome, ScenarioOutcome::Sound | ScenarioOutcome::Refused);
            match own {
                Some(expected) if expected == *outcome => {}
                Some(expected) => differences.push(format!(
                    "{protocol}: {id} was expected to be {}, is {}: {summary}",
                    expected.word(),
                    outcome.word()
                )),
                None if usual => {}
                None => differences.push(format!("{protocol}: {id} is {}: {summary}", outcome.word())),
            }
        }
        differences
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tested(id: &str, outcome: ScenarioOutcome) -> ScenarioResult {
        ScenarioResult {
            id: id.into(),
            title: String::new(),
            outcome,
            summary: String::new(),
            fix: None,
            outcomes: Vec::new(),
            evidence: Vec::new(),
            elapsed_ms: 0.0,
            transcripts: Vec::new(),
            output: String::new(),
        }
    }

    #[test]
    fn verdicts_are_expected_excluded_or_different() -> Result<(), InvalidLine> {
        let text =
            "# why\nrun imap x {port}\nimap cli-hs-stall hung It waits.\nimap cli-cert-* exclude withheld\n";
        let client = read(text)?;
        assert_eq!(client.runs, [("imap".to_owned(), "x {port}".to_owned())]);
        assert!(client.excludes("imap", "cli-cert-expired") && !client.excludes("pop3", "cli-cert-expired"));
        let as_expected =
            [tested("cli-hs-stall", ScenarioOutcome::Hung), tested("cli-silence", ScenarioOutcome::Refused)];
        assert_eq!(client.differences("imap", &as_expected), Vec::<String>::new());
        let other =
            [tested("cli-hs-stall", ScenarioOutcome::Sound), tested("cli-silence", ScenarioOutcome::Fooled)];
        assert_eq!(client.differences("imap", &other).len(), 2);
        Ok(())
    }

    #[test]
    fn lines_need_a_known_scenario_and_a_reason() {
        for line in
            ["imap cli-hs-stall hung", "imap cli-none hung x", "imap cli-hs-stall sound x", "run imap"]
        {
            assert!(read(line).is_err(), "{line}");
        }
    }
}
