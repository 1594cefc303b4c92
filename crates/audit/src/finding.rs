//! Findings while they are made: evidence points into records that have no place in the report yet.

use crate::check::{CHECKS, check};
use crate::record::{Mark, Record};
use crate::report::{CheckOutcome, Finding, Severity, Transcript};
use crate::session::ProbeError;

/// What one probe saw.
#[derive(Debug, Default)]
pub(crate) struct ProbeResult {
    pub(crate) records: Vec<Record>,
    pub(crate) findings: Vec<FindingBuilder>,
}

/// A finding in the making.
#[derive(Debug)]
pub(crate) struct FindingBuilder {
    pub(crate) id: &'static str,
    pub(crate) outcome: CheckOutcome,
    summary: String,
    details: Vec<String>,
    /// Which of the probe's records, and where.
    evidence: Vec<(usize, Mark)>,
    severity: Option<Severity>,
    /// What to do, where that of the table does not apply.
    fix: Option<&'static str>,
    /// Whether the server turned the probe away.
    pub(crate) turned_away: bool,
}

impl FindingBuilder {
    pub(crate) fn new(id: &'static str, outcome: CheckOutcome, summary: impl Into<String>) -> Self {
        Self {
            id,
            outcome,
            summary: summary.into(),
            details: Vec::new(),
            evidence: Vec::new(),
            severity: None,
            fix: None,
            turned_away: false,
        }
    }

    pub(crate) fn pass(id: &'static str, summary: impl Into<String>) -> Self {
        Self::new(id, CheckOutcome::Pass, summary)
    }

    pub(crate) fn fail(id: &'static str, summary: impl Into<String>) -> Self {
        Self::new(id, CheckOutcome::Fail, summary)
    }

    /// The probe could not tell, and why.
    pub(crate) fn inconclusive(id: &'static str, stop: &ProbeError) -> Self {
        Self { turned_away: stop.turns_away(), ..Self::new(id, CheckOutcome::Inconclusive, stop.to_string()) }
    }

    pub(crate) fn summary(&self) -> &str {
        &self.summary
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

    /// Points at a place in the probe's record with this index.
    pub(crate) fn at(mut self, record: usize, mark: Mark) -> Self {
        self.evidence.push((record, mark));
        self
    }
}

impl ProbeResult {
    /// Adds a record, and says which it is.
    pub(crate) fn record(&mut self, record: Record) -> usize {
        self.records.push(record);
        self.records.len() - 1
    }

    /// Whether anything has failed.
    pub(crate) fn has_failed(&self) -> bool {
        self.findings.iter().any(|finding| finding.outcome == CheckOutcome::Fail)
    }

    pub(crate) fn push(&mut self, finding: FindingBuilder) {
        self.findings.push(finding);
    }

    /// Adds findings that this place in the first record shows.
    pub(crate) fn push_all(&mut self, findings: impl IntoIterator<Item = FindingBuilder>, at: Mark) {
        self.findings.extend(findings.into_iter().map(|finding| finding.at(0, at)));
    }

    /// Adds a finding that the whole of this record shows.
    pub(crate) fn push_shown(&mut self, finding: FindingBuilder, record: usize) {
        let all = self.records.get(record).map(Record::all);
        self.push(all.into_iter().fold(finding, |finding, all| finding.at(record, all)));
    }

    /// Makes a check that seemed to pass inconclusive after all.
    pub(crate) fn revise(&mut self, id: &str, stop: &ProbeError) {
        let passed =
            |finding: &&mut FindingBuilder| finding.id == id && finding.outcome == CheckOutcome::Pass;
        for finding in self.findings.iter_mut().filter(passed) {
            (finding.outcome, finding.summary) = (CheckOutcome::Inconclusive, stop.to_string());
        }
    }

    /// Keeps of several findings of the same check the worst.
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
            match worst.iter_mut().find(|it| it.id == finding.id) {
                Some(known) if rank(&finding) < rank(known) => *known = finding,
                Some(_) => {}
                None => worst.push(finding),
            }
        }
        self.findings = worst;
    }

    /// Takes over what another part of the probe saw.
    pub(crate) fn absorb(&mut self, other: Self) {
        let base = self.records.len();
        self.records.extend(other.records);
        self.findings.extend(other.findings.into_iter().map(|mut finding| {
            finding.evidence.iter_mut().for_each(|(record, _)| *record += base);
            finding
        }));
    }

    /// Puts everything into the report, with the findings in the order of the table.
    pub(crate) fn into_report(self, transcripts: &mut Vec<Transcript>, findings: &mut Vec<Finding>) {
        let base = transcripts.len();
        transcripts.extend(self.records.into_iter().map(Record::finish));
        findings.extend(self.findings.into_iter().map(|finding| {
            let row = check(finding.id);
            let bad = matches!(finding.outcome, CheckOutcome::Fail | CheckOutcome::Warning);
            let usual = row.map_or(Severity::Warning, |row| row.severity);
            let severity = match finding.outcome {
                CheckOutcome::Fail => usual,
                CheckOutcome::Warning => usual.min(Severity::Warning),
                _ => Severity::Info,
            };
            Finding {
                id: finding.id.to_owned(),
                outcome: finding.outcome,
                severity: finding.severity.filter(|_| bad).unwrap_or(severity),
                known: false,
                summary: finding.summary,
                details: finding.details,
                evidence: finding
                    .evidence
                    .iter()
                    .map(|(record, mark)| mark.in_transcript(base + record))
                    .collect(),
                fix: finding.fix.or(row.map(|row| row.fix)).filter(|_| bad).map(str::to_owned),
            }
        }));
        findings.sort_by_key(|finding| CHECKS.iter().position(|row| row.id == finding.id));
    }
}
