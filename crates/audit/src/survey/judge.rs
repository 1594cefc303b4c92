//! How a fact of a survey becomes a finding.

use starttls_hello::{
    Answer, Certainty, ConnectionOutcome, Doubt, Known, ServerFacts, ServerFlight, Support, Version, WalkEnd,
    WalkSize, Witness,
};

use super::role::{self, Role};
use super::run::Survey;
use crate::check::Check;
use crate::finding::FindingBuilder;
use crate::message::Statement;
use crate::report::{CheckOutcome, Severity};
use crate::requirement::Requirement;

/// The versions whose suites are walked, newest first. TLS 1.3 has only secure suites.
pub(super) const CLASSIC: [Version; 4] = [Version::Tls12, Version::Tls11, Version::Tls10, Version::Ssl3];

/// The facts with what a finding on them needs.
pub(super) struct Judge<'a> {
    pub(super) survey: &'a Survey,
    pub(super) facts: ServerFacts<'a>,
    pub(super) role: Role,
    pub(super) handshake: Handshake<'a>,
}

/// What a survey needs to know about the first connection.
#[derive(Clone, Copy, Default)]
pub(crate) struct Handshake<'a> {
    /// The version; `None` if the handshake failed.
    pub(crate) version: Option<Version>,
    /// The name of the group of the key exchange.
    pub(crate) group: Option<&'a str>,
    /// The server's own certificate in DER.
    pub(crate) certificate: Option<&'a [u8]>,
    pub(crate) ocsp_stapled: Option<bool>,
    /// The OCSP response that the server stapled, in DER.
    pub(crate) ocsp_response: Option<&'a [u8]>,
}

impl Judge<'_> {
    /// Reports a problem, with the hellos that show it.
    pub(super) fn found(
        &self,
        check: &'static Check,
        summary: impl Into<Statement>,
        hellos: impl IntoIterator<Item = usize>,
    ) -> FindingBuilder {
        self.found_with(role::severity(check, self.role), check, summary, hellos)
    }

    /// The same with a severity of its own.
    pub(super) fn found_with(
        &self,
        severity: Severity,
        check: &'static Check,
        summary: impl Into<Statement>,
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
        summary: impl Into<Statement>,
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

    /// Reports on a property of versions up to TLS 1.2 that is wrong if it has this value.
    pub(super) fn property(
        &self,
        check: &'static Check,
        known: Known<Support>,
        wrong: Support,
        (found, absent): (&str, &str),
    ) -> FindingBuilder {
        match known {
            Known::Is(support, witness) if support == wrong => {
                self.found(check, found.to_owned(), [witness.hello])
            }
            Known::Is(_, witness) => self.absent(check, absent, witness),
            _ if self.has_classic() == Some(false) => {
                FindingBuilder::new(check, CheckOutcome::NotApplicable, "the server offers TLS 1.3 only")
            }
            unknown => self.unknown(check, unknown),
        }
    }

    /// Returns the flights that the server answered with, by the place of their hello. Answers with something that was not
    /// offered are left out.
    pub(super) fn flights(&self) -> impl Iterator<Item = (usize, &ServerFlight)> {
        let exchanges = self.survey.walk.exchanges().iter().enumerate();
        exchanges.filter_map(|(hello, exchange)| match &exchange.outcome {
            ConnectionOutcome::Answered(Answer::Hello(flight)) if exchange.question.offers(flight) => {
                Some((hello, flight.as_ref()))
            }
            _ => None,
        })
    }

    /// Returns whether the server accepted any hello.
    pub(super) fn has_success(&self) -> bool {
        Version::ALL.iter().any(|version| self.facts.version(*version).value() == Some(Support::Offered))
    }

    /// Returns the flight that answered a hello.
    pub(super) fn flight(&self, hello: usize) -> Option<&ServerFlight> {
        self.flights().find(|(at, _)| *at == hello).map(|(_, flight)| flight)
    }

    /// Returns whether the server offers a version below TLS 1.3, if that is known.
    pub(super) fn has_classic(&self) -> Option<bool> {
        let known = any(CLASSIC.into_iter().map(|version| self.facts.version(version)));
        known.value().map(|support| support == Support::Offered)
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
                FindingBuilder::not_run(check, Requirement::TlsSurvey)
            }
            (WalkEnd::Budget, _) => inconclusive(format!(
                "not asked: the limit of {} hellos was reached",
                self.survey.extent.hellos
            ))
            .needs(Requirement::MoreHellos),
            (WalkEnd::Complete | WalkEnd::Unanswered, _) => inconclusive(doubt.to_string()),
        }
    }
}

/// Combines several facts: offered if one is offered, not offered if none is, with the weakest proof.
pub(super) fn any(facts: impl IntoIterator<Item = Known<Support>>) -> Known<Support> {
    let mut combined = None;
    for fact in facts {
        combined = Some(match (combined, fact) {
            (_, offered @ Known::Is(Support::Offered, _)) => return offered,
            (None, first) => first,
            (Some(Known::Is(value, one)), Known::Is(_, other)) => {
                Known::Is(value, if other.certainty < one.certainty { other } else { one })
            }
            (Some(Known::Inconclusive(doubt)), _) | (Some(_), Known::Inconclusive(doubt)) => {
                Known::Inconclusive(doubt)
            }
            (Some(Known::Unasked), Known::Unasked) => Known::Unasked,
            (Some(_), _) => Known::Inconclusive(Doubt::Partly),
        });
    }
    combined.unwrap_or(Known::Unasked)
}

#[cfg(test)]
mod tests {
    use super::*;

    const ABSENT: Known<Support> =
        Known::Is(Support::NotOffered, Witness { hello: 0, certainty: Certainty::Explicit });
    const OFFERED: Known<Support> =
        Known::Is(Support::Offered, Witness { hello: 1, certainty: Certainty::Explicit });
    const PARTLY: Known<Support> = Known::Inconclusive(Doubt::Partly);

    #[test]
    fn facts_that_are_not_known_leave_a_negative_open_in_every_order() {
        for (facts, combined) in [
            (&[][..], Known::Unasked),
            (&[ABSENT, ABSENT], ABSENT),
            (&[Known::Unasked, ABSENT], PARTLY),
            (&[ABSENT, Known::Unasked], PARTLY),
            (&[Known::Unasked, Known::Unasked], Known::Unasked),
            (&[ABSENT, Known::Inconclusive(Doubt::NoControl)], Known::Inconclusive(Doubt::NoControl)),
            (&[Known::Unasked, ABSENT, OFFERED], OFFERED),
        ] {
            assert_eq!(any(facts.iter().copied()), combined, "{facts:?}");
        }
    }
}
