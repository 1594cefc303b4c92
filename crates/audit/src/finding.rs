//! Findings that a probe is building. Their evidence points into the probe's own transcripts, which do not have their
//! place in the report yet.

use crate::check::{CHECKS, Check};
use crate::error::ProbeError;
use crate::message::Statement;
use crate::record::{Log, Mark};
use crate::report::{CheckOutcome, Finding, Severity, Transcript};
use crate::requirement::{Advice, Requirement};

/// The findings of one probe, and the transcripts that they point into.
#[derive(Debug, Default)]
pub(crate) struct ProbeResult {
    pub(crate) log: Log,
    pub(crate) findings: Vec<FindingBuilder>,
}

/// A finding that is being built.
#[derive(Debug)]
pub(crate) struct FindingBuilder {
    pub(crate) check: &'static Check,
    pub(crate) outcome: CheckOutcome,
    statement: Statement,
    details: Vec<String>,
    evidence: Vec<Mark>,
    severity: Option<Severity>,
    /// The fix, where the one in the table does not apply.
    fix: Option<&'static str>,
    /// Whether the server turned the probe away.
    pub(crate) turned_away: bool,
}

impl FindingBuilder {
    pub(crate) fn new(check: &'static Check, outcome: CheckOutcome, summary: impl Into<Statement>) -> Self {
        Self {
            check,
            outcome,
            statement: summary.into(),
            details: Vec::new(),
            evidence: Vec::new(),
            severity: None,
            fix: None,
            turned_away: false,
        }
    }

    pub(crate) fn pass(check: &'static Check, summary: impl Into<Statement>) -> Self {
        Self::new(check, CheckOutcome::Pass, summary)
    }

    pub(crate) fn fail(check: &'static Check, summary: impl Into<Statement>) -> Self {
        Self::new(check, CheckOutcome::Fail, summary)
    }

    /// Reports that the probe ended without a result, and why.
    pub(crate) fn inconclusive(check: &'static Check, error: &ProbeError) -> Self {
        Self {
            turned_away: error.turns_away(),
            statement: error.into(),
            ..Self::new(check, CheckOutcome::Inconclusive, "")
        }
    }

    /// Reports that the check was not run, because it needs something.
    pub(crate) fn not_run(check: &'static Check, requirement: Requirement) -> Self {
        Self::new(check, CheckOutcome::NotRun, "").needs(requirement)
    }

    /// Adds what is missing for a better result.
    pub(crate) fn needs(mut self, requirement: Requirement) -> Self {
        self.statement.requirement = Some(requirement);
        self
    }

    pub(crate) fn statement(&self) -> &Statement {
        &self.statement
    }

    pub(crate) fn summary(&self) -> &str {
        &self.statement.text
    }

    pub(crate) fn details(self, details: Vec<String>) -> Self {
        Self { details, ..self }
    }

    pub(crate) fn severity(self, severity: Severity) -> Self {
        Self { severity: Some(severity), ..self }
    }

    pub(crate) fn fix(self, fix: &'static str) -> Self {
        Self { fix: Some(fix), ..self }
    }

    /// Makes a problem a note with this summary.
    pub(crate) fn into_note(self, summary: impl Into<Statement>) -> Self {
        Self { outcome: CheckOutcome::Info, statement: summary.into(), ..self }
    }

    /// Adds a place in the probe's transcripts as evidence.
    pub(crate) fn at(mut self, mark: Mark) -> Self {
        self.evidence.push(mark);
        self
    }

    /// Adds these places as evidence, if they exist.
    pub(crate) fn at_all(mut self, marks: impl IntoIterator<Item = Mark>) -> Self {
        self.evidence.extend(marks);
        self
    }

    /// Returns whether the server has the problem that the check looks for.
    pub(crate) fn is_wrong(&self) -> bool {
        matches!(self.outcome, CheckOutcome::Fail | CheckOutcome::Warning)
    }

    /// Returns whether this is the finding of this check.
    pub(crate) fn is_of(&self, check: &Check) -> bool {
        self.check.id == check.id
    }

    fn finish(self, first_transcript: usize, advice: Advice) -> Finding {
        let is_wrong = self.is_wrong();
        let severity = match self.outcome {
            CheckOutcome::Fail => self.check.severity,
            CheckOutcome::Warning => self.check.severity.min(Severity::Warning),
            _ => Severity::Info,
        };
        Finding {
            id: self.check.id.to_owned(),
            outcome: self.outcome,
            severity: self.severity.filter(|_| is_wrong).unwrap_or(severity),
            known: false,
            requirement: self.statement.requirement,
            message: self.statement.message(),
            summary: self.statement.worded(advice),
            details: self.details,
            evidence: self.evidence.iter().map(|mark| mark.in_transcript(first_transcript)).collect(),
            fix: is_wrong.then(|| self.fix.unwrap_or(self.check.fix).to_owned()),
        }
    }
}

impl ProbeResult {
    /// Returns a result with one finding and no transcripts.
    pub(crate) fn of(finding: FindingBuilder) -> Self {
        Self { log: Log::default(), findings: vec![finding] }
    }

    pub(crate) fn push(&mut self, finding: FindingBuilder) {
        self.findings.push(finding);
    }

    /// Adds the transcripts of a part, and returns the latest one.
    pub(crate) fn record(&mut self, log: &Log) -> Option<Mark> {
        self.log.absorb(log);
        self.log.last()
    }

    /// Adds a finding whose evidence is the whole transcript of the latest connection.
    pub(crate) fn push_with_last(&mut self, finding: FindingBuilder) {
        self.findings.push(finding.at_all(self.log.last()));
    }

    /// Adds findings with the same evidence.
    pub(crate) fn push_all(&mut self, findings: impl IntoIterator<Item = FindingBuilder>, at: Mark) {
        self.findings.extend(findings.into_iter().map(|finding| finding.at(at)));
    }

    /// Returns whether a check has failed.
    pub(crate) fn has_failed(&self) -> bool {
        self.findings.iter().any(|finding| finding.outcome == CheckOutcome::Fail)
    }

    /// Makes a check that seemed to pass inconclusive.
    pub(crate) fn revise(&mut self, check: &Check, error: &ProbeError) {
        let passed = |it: &&mut FindingBuilder| it.is_of(check) && it.outcome == CheckOutcome::Pass;
        for finding in self.findings.iter_mut().filter(passed) {
            (finding.outcome, finding.statement) = (CheckOutcome::Inconclusive, error.into());
        }
    }

    /// Adds an inconclusive finding for each check that has none. Otherwise a probe that leaves out a check would make the server
    /// sound.
    pub(crate) fn leave_none_out(&mut self, checks: impl IntoIterator<Item = &'static Check>) {
        let left_out = checks.into_iter().filter(|check| !self.findings.iter().any(|it| it.is_of(check)));
        let left_out: Vec<_> = left_out.collect();
        for check in left_out {
            let why = "the probe came to no result, which is a fault of this program";
            self.push(FindingBuilder::new(check, CheckOutcome::Inconclusive, why));
        }
    }

    /// Keeps only the worst of several findings of the same check.
    pub(crate) fn worst_of_each(&mut self) {
        let rank = |finding: &FindingBuilder| match finding.outcome {
            CheckOutcome::Fail => 0,
            CheckOutcome::Warning => 1,
            CheckOutcome::Inconclusive => 2,
            CheckOutcome::Pass => 3,
            CheckOutcome::Info => 4,
            CheckOutcome::NotRun => 5,
            CheckOutcome::NotApplicable => 6,
        };
        let mut worst: Vec<FindingBuilder> = Vec::new();
        for finding in self.findings.drain(..) {
            match worst.iter_mut().find(|it| it.is_of(finding.check)) {
                Some(known) if rank(&finding) < rank(known) => *known = finding,
                Some(_) => {}
                None => worst.push(finding),
            }
        }
        self.findings = worst;
    }

    /// Adds the findings and transcripts of another probe.
    pub(crate) fn absorb(&mut self, other: Self) {
        let base = self.log.absorb(&other.log);
        self.findings.extend(other.findings.into_iter().map(|mut finding| {
            finding.evidence.iter_mut().for_each(|mark| mark.record += base);
            finding
        }));
    }

    /// Adds everything to the report, with the findings in the order of the table.
    pub(crate) fn into_report(
        self,
        advice: Advice,
        transcripts: &mut Vec<Transcript>,
        findings: &mut Vec<Finding>,
    ) {
        let base = transcripts.len();
        transcripts.extend(self.log.finish());
        findings.extend(self.findings.into_iter().map(|finding| finding.finish(base, advice)));
        findings.sort_by_key(|finding| CHECKS.iter().position(|row| row.id == finding.id));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::check::id;

    #[test]
    fn a_check_that_a_probe_leaves_out_is_inconclusive() {
        let mut result = ProbeResult::of(FindingBuilder::pass(id::SRV_INJECT_EAGER, "discarded"));
        result.leave_none_out([id::SRV_INJECT_EAGER, id::SRV_INJECT_LAZY]);
        let outcomes: Vec<_> = result.findings.iter().map(|it| (it.check.id, it.outcome)).collect();
        assert_eq!(
            outcomes,
            [("srv-inject-eager", CheckOutcome::Pass), ("srv-inject-lazy", CheckOutcome::Inconclusive)]
        );
    }
}
