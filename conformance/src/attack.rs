//! What real clients are expected to do under attack, and why: one file per client under `attack/`.
//!
//! A line says how the client is run for a protocol, or names a protocol, a scenario, what is expected, and the reason:
//!
//! ```text
//! run   imap  curl -sS --ssl-reqd --cacert {ca} imap://{host}:{port}/
//! imap  cli-hs-stall  hung  It has no deadline of its own.
//! ```
//!
//! Where nothing is said a client is expected to be sound, or to give up before the attack. `exclude` takes a scenario
//! out of the run. The id may end in `*`.

use starttls_attack::Scenario;
use starttls_attack::report::{ScenarioOutcome, ScenarioResult};

use crate::word;

/// A client's file.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Client {
    /// Protocols, and the command for each.
    pub runs: Vec<(String, String)>,
    /// What is not as usual.
    pub expectations: Vec<Expectation>,
}

/// One line about a scenario.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Expectation {
    /// The protocol.
    pub protocol: String,
    /// The scenario, or what the ids of the scenarios begin with.
    pub scenario: String,
    /// The outcome; `None` when the scenario is left out.
    pub outcome: Option<ScenarioOutcome>,
    /// Why.
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

/// Reads a file.
///
/// # Errors
/// A line that says nothing, or something about a scenario that does not exist; it is quoted.
pub fn read(text: &str) -> Result<Client, String> {
    let all = Scenario::all()?;
    let mut client = Client::default();
    for line in text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#')) {
        let unclear = || format!("cannot make sense of \"{line}\"");
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

impl Client {
    /// Whether a scenario is left out.
    pub fn excludes(&self, protocol: &str, id: &str) -> bool {
        self.expectations.iter().any(|it| it.outcome.is_none() && it.concerns(protocol, id))
    }

    /// Where the verdicts are not what was expected, one line each.
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
    fn verdicts_are_expected_excluded_or_different() -> Result<(), String> {
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
