//! The findings of a survey.

use starttls_hello::Version;

use super::judge::Judge;
use super::role::Role;
use super::run::Survey;
use super::{suites, summary, versions};
use crate::check::{Check, id};
use crate::finding::FindingBuilder;

/// Turns facts into the finding of one check.
type Judgment = fn(&Judge<'_>) -> FindingBuilder;

/// The checks that the survey decides, each with its judgment.
const ROWS: &[(&Check, Judgment)] = &[
    (id::TLS_OLD, versions::old),
    (id::TLS_INVENTORY, summary::inventory),
    (id::TLS_SSL, versions::ssl),
    (id::TLS_DEPRECATED, versions::deprecated),
    (id::TLS_NULL, suites::null),
    (id::TLS_ANON, suites::anonymous),
    (id::TLS_EXPORT, suites::export),
    (id::TLS_WEAK, suites::weak),
];

/// The checks that the survey decides.
pub(crate) const CHECKS: &[&Check] = &{
    let mut checks = [ROWS[0].0; ROWS.len()];
    let mut index = 0;
    while index < ROWS.len() {
        checks[index] = ROWS[index].0;
        index += 1;
    }
    checks
};

/// Returns the findings on a server. `session` is the version of the first connection.
pub(crate) fn findings(survey: &Survey, role: Role, session: Option<Version>) -> Vec<FindingBuilder> {
    let judge = Judge { survey, facts: survey.facts(), role, session };
    ROWS.iter().map(|(_, row)| row(&judge)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::selection::needs_survey;

    #[test]
    fn every_check_that_needs_the_survey_has_a_judgment() {
        let needed = crate::check::CHECKS.iter().filter(|row| needs_survey(row));
        let needed: Vec<_> = needed.map(|row| row.id).collect();
        assert!(ROWS.iter().all(|(check, _)| needed.contains(&check.id)), "{needed:?}");
        assert_eq!(ROWS.len(), needed.len(), "{needed:?}");
    }
}
