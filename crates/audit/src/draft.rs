//! Findings while they are made: evidence points into records that have no place in the report yet.

use crate::check::{CHECKS, check};
use crate::dialogue::Stop;
use crate::record::{Mark, Record};
use crate::report::{Finding, Outcome, Severity, Transcript};

/// What one probe saw.
#[derive(Debug, Default)]
pub(crate) struct Seen {
    pub(crate) records: Vec<Record>,
    pub(crate) drafts: Vec<Draft>,
}

/// A finding in the making.
#[derive(Debug)]
pub(crate) struct Draft {
    pub(crate) id: &'static str,
    pub(crate) outcome: Outcome,
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

impl Draft {
    pub(crate) fn new(id: &'static str, outcome: Outcome, summary: impl Into<String>) -> Self {
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
        Self::new(id, Outcome::Pass, summary)
    }

    pub(crate) fn fail(id: &'static str, summary: impl Into<String>) -> Self {
        Self::new(id, Outcome::Fail, summary)
    }

    /// The probe could not tell, and why.
    pub(crate) fn untold(id: &'static str, stop: &Stop) -> Self {
        Self { turned_away: stop.turns_away(), ..Self::new(id, Outcome::Inconclusive, stop.to_string()) }
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

impl Seen {
    /// Adds a record, and says which it is.
    pub(crate) fn record(&mut self, record: Record) -> usize {
        self.records.push(record);
        self.records.len() - 1
    }

    /// Whether anything has failed.
    pub(crate) fn has_failed(&self) -> bool {
        self.drafts.iter().any(|draft| draft.outcome == Outcome::Fail)
    }

    pub(crate) fn push(&mut self, draft: Draft) {
        self.drafts.push(draft);
    }

    /// Adds drafts that this place in the first record shows.
    pub(crate) fn push_all(&mut self, drafts: impl IntoIterator<Item = Draft>, at: Mark) {
        self.drafts.extend(drafts.into_iter().map(|draft| draft.at(0, at)));
    }

    /// Adds a draft that the whole of this record shows.
    pub(crate) fn push_shown(&mut self, draft: Draft, record: usize) {
        let all = self.records.get(record).map(Record::all);
        self.push(all.into_iter().fold(draft, |draft, all| draft.at(record, all)));
    }

    /// Makes a check that seemed to pass inconclusive after all.
    pub(crate) fn revise(&mut self, id: &str, stop: &Stop) {
        let passed = |draft: &&mut Draft| draft.id == id && draft.outcome == Outcome::Pass;
        for draft in self.drafts.iter_mut().filter(passed) {
            (draft.outcome, draft.summary) = (Outcome::Inconclusive, stop.to_string());
        }
    }

    /// Keeps of several drafts of the same check the worst.
    pub(crate) fn worst_of_each(&mut self) {
        let rank = |draft: &Draft| match draft.outcome {
            Outcome::Fail => 0,
            Outcome::Warning => 1,
            Outcome::Inconclusive => 2,
            Outcome::Pass => 3,
            Outcome::Info => 4,
            Outcome::NotRun => 5,
            Outcome::NotApplicable => 6,
        };
        let mut worst: Vec<Draft> = Vec::new();
        for draft in self.drafts.drain(..) {
            match worst.iter_mut().find(|it| it.id == draft.id) {
                Some(known) if rank(&draft) < rank(known) => *known = draft,
                Some(_) => {}
                None => worst.push(draft),
            }
        }
        self.drafts = worst;
    }

    /// Takes over what another part of the probe saw.
    pub(crate) fn absorb(&mut self, other: Self) {
        let base = self.records.len();
        self.records.extend(other.records);
        self.drafts.extend(other.drafts.into_iter().map(|mut draft| {
            draft.evidence.iter_mut().for_each(|(record, _)| *record += base);
            draft
        }));
    }

    /// Puts everything into the report, with the findings in the order of the table.
    pub(crate) fn settle(self, transcripts: &mut Vec<Transcript>, findings: &mut Vec<Finding>) {
        let base = transcripts.len();
        transcripts.extend(self.records.into_iter().map(Record::finish));
        findings.extend(self.drafts.into_iter().map(|draft| {
            let row = check(draft.id);
            let bad = matches!(draft.outcome, Outcome::Fail | Outcome::Warning);
            let usual = row.map_or(Severity::Warning, |row| row.severity);
            let severity = match draft.outcome {
                Outcome::Fail => usual,
                Outcome::Warning => usual.min(Severity::Warning),
                _ => Severity::Info,
            };
            Finding {
                id: draft.id.to_owned(),
                outcome: draft.outcome,
                severity: draft.severity.filter(|_| bad).unwrap_or(severity),
                known: false,
                summary: draft.summary,
                details: draft.details,
                evidence: draft
                    .evidence
                    .iter()
                    .map(|(record, mark)| mark.in_transcript(base + record))
                    .collect(),
                fix: draft.fix.or(row.map(|row| row.fix)).filter(|_| bad).map(str::to_owned),
            }
        }));
        findings.sort_by_key(|finding| CHECKS.iter().position(|row| row.id == finding.id));
    }
}
