//! The results of the checks of a domain.

use serde::Serialize;

/// How severe a row is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub(crate) enum RowSeverity {
    /// Information only.
    Info,
    /// The check could not be made.
    Inconclusive,
    /// The fault helps an attacker, or it will become a problem.
    Warning,
    /// The fault weakens the protection.
    Error,
    /// Mail is not delivered, or the protection is removed.
    Critical,
}

/// One result.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(crate) struct Row {
    /// The id of the check.
    pub(crate) id: &'static str,
    /// How severe it is.
    pub(crate) severity: RowSeverity,
    /// What it is about: the domain, a host or an address.
    pub(crate) subject: String,
    /// What is wrong, with the evidence.
    pub(crate) text: String,
}

#[derive(Default)]
pub(super) struct Rows(Vec<Row>);

impl Rows {
    /// Returns the results, the most severe first.
    pub(super) fn sorted(mut self) -> Vec<Row> {
        self.0.sort_by_key(|it| std::cmp::Reverse(it.severity));
        self.0
    }

    pub(super) fn add(
        &mut self,
        id: &'static str,
        severity: RowSeverity,
        subject: impl ToString,
        text: impl Into<String>,
    ) {
        self.0.push(Row { id, severity, subject: subject.to_string(), text: text.into() });
    }
}
