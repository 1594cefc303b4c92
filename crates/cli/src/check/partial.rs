//! The targets that are missing in the report of an interrupted run.

use std::collections::VecDeque;

use starttls_audit::report::{AuditReport, EndpointVerdict, Unaudited};

use super::targets::{Targets, WrittenTarget};

/// The targets that are not finished, in their order.
pub(crate) struct Unfinished {
    /// For each distinct target, every place where it is written.
    targets: VecDeque<Vec<WrittenTarget>>,
    total: usize,
}

impl Unfinished {
    pub(crate) fn new(targets: &Targets) -> Self {
        let same = targets.distinct.iter().map(|line| targets.same.get(&line.text).cloned());
        Self { targets: same.map(Option::unwrap_or_default).collect(), total: targets.len() }
    }

    /// Records that the first target is finished; targets finish in order.
    pub(crate) fn finish(&mut self) {
        self.targets.pop_front();
    }

    /// Returns one line about the missing targets.
    pub(crate) fn summary(&self) -> String {
        let missing: usize = self.targets.iter().map(Vec::len).sum();
        format!("interrupted: the report is partial, {missing} of {} targets are missing", self.total)
    }

    /// Adds the missing targets to the report: an unfinished audit is inconclusive.
    pub(crate) fn add_to(&self, report: &mut AuditReport) {
        report.unaudited.extend(self.targets.iter().flatten().map(|asked| Unaudited {
            asked: asked.text.clone(),
            target_line: asked.line,
            outcome: EndpointVerdict::Inconclusive,
            reason: String::from("a signal ended the audit before it was finished"),
        }));
    }
}
