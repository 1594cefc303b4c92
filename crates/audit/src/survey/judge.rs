//! How a fact of a survey becomes a finding.

use starttls_hello::{Certainty, Doubt, Known, ServerFacts, Support, Version, WalkEnd, WalkSize, Witness};

use super::role::{self, Role};
use super::run::Survey;
use crate::check::Check;
use crate::finding::FindingBuilder;
use crate::report::{CheckOutcome, Severity};

/// The versions whose suites are walked, newest first. TLS 1.3 has only secure suites.
pub(super) const CLASSIC: [Version; 4] = [Version::Tls12, Version::Tls11, Version::Tls10, Version::Ssl3];

/// The facts with what a finding on them needs.
pub(super) struct Judge<'a> {
    pub(super) survey: &'a Survey,
    pub(super) facts: ServerFacts<'a>,
    pub(super) role: Role,
    pub(super) session: Option<Version>,
}

impl Judge<'_> {
    /// Reports a problem, with the hellos that show it.
    pub(super) fn found(
        &self,
        check: &'static Check,
        summary: String,
        hellos: impl IntoIterator<Item = usize>,
    ) -> FindingBuilder {
        self.found_with(role::severity(check, self.role), check, summary, hellos)
    }

    /// The same with a severity of its own.
    pub(super) fn found_with(
        &self,
        severity: Severity,
        check: &'static Check,
        summary: String,
        hellos: impl IntoIterator<Item = usize>,
    ) -> FindingBuilder {
        let outcome = if severity >= Severity::Error { CheckOutcome::Fail } else { CheckOutcome::Warning };
        let finding = FindingBuilder::new(check, outcome, summary).severity(severity);
        finding.at_all(hellos.into_iter().filter_map(|hello| self.survey.mark(hello)))
    }

    /// Reports that the server does not have the problem, with the hello that shows it.
    pub(super) fn absent(
        &self,
        check: &'static Check,
        summary: impl Into<String>,
        witness: Witness,
    ) -> FindingBuilder {
        let finding = FindingBuilder::pass(check, summary).at_all(self.survey.mark(witness.hello));
        match witness.certainty {
            Certainty::Explicit | Certainty::Implied => finding,
            Certainty::Assumed => finding.details(vec![String::from(
                "the server closed the connection, or sent an alert that does not tell why, and later answered another \
                 hello",
            )]),
        }
    }

    /// Reports that the fact is not known, and why.
    pub(super) fn unknown<T>(&self, check: &'static Check, known: Known<T>) -> FindingBuilder {
        let inconclusive = |why: String| FindingBuilder::new(check, CheckOutcome::Inconclusive, why);
        let doubt = match known {
            Known::Inconclusive(doubt @ (Doubt::Partly | Doubt::NoControl)) => doubt,
            Known::Inconclusive(doubt) => return inconclusive(doubt.to_string()),
            Known::Unasked | Known::Is(..) => Doubt::Partly,
        };
        if let Some(stopped) = &self.survey.stopped {
            return FindingBuilder::inconclusive(check, stopped);
        }
        match (self.survey.end, &self.survey.turned_away) {
            (WalkEnd::TurnedAway, Some(error)) => FindingBuilder::inconclusive(check, error),
            (WalkEnd::ControlFailed | WalkEnd::TurnedAway, _) => {
                inconclusive(String::from("a hello that the server had answered was refused later"))
            }
            // A brief survey does not ask everything.
            _ if doubt == Doubt::Partly && self.survey.extent.size == WalkSize::Brief => {
                FindingBuilder::new(check, CheckOutcome::NotRun, NEEDS_SURVEY)
            }
            (WalkEnd::Budget, _) => inconclusive(format!(
                "not asked: the limit of {} hellos (--tls-hellos) was reached",
                self.survey.extent.hellos
            )),
            (WalkEnd::Complete, _) => inconclusive(doubt.to_string()),
        }
    }
}

/// The reason why a check was not run.
const NEEDS_SURVEY: &str = "needs --tls survey";

/// Combines several facts: offered if one is offered, not offered if none is, with the weakest proof.
pub(super) fn any(facts: impl IntoIterator<Item = Known<Support>>) -> Known<Support> {
    let mut combined = Known::Unasked;
    for fact in facts {
        combined = match (combined, fact) {
            (_, offered @ Known::Is(Support::Offered, _)) => return offered,
            (Known::Unasked, first) => first,
            (Known::Is(value, one), Known::Is(_, other)) => {
                Known::Is(value, if other.certainty < one.certainty { other } else { one })
            }
            (Known::Inconclusive(doubt), _) => Known::Inconclusive(doubt),
            (Known::Is(..), unknown) => match unknown {
                Known::Unasked => Known::Inconclusive(Doubt::Partly),
                unknown => unknown,
            },
        };
    }
    combined
}
