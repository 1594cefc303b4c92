//! Sends the hellos of a survey.

use std::time::Duration;

use starttls_hello::{ConnectionOutcome, ServerFacts, Walk, WalkEnd, WalkStep};

use super::ask;
use crate::error::ProbeError;
use crate::plan::Plan;
use crate::record::{Log, Mark};
use crate::selection::SurveyExtent;

/// The wait after the first connection that the server turned away. It doubles with each further one.
const BACKOFF: Duration = Duration::from_secs(1);

/// The result of a survey.
pub(crate) struct Survey {
    pub(crate) extent: SurveyExtent,
    /// The hellos and their answers.
    pub(crate) walk: Walk,
    /// Why the walk ended.
    pub(crate) end: WalkEnd,
    /// The limit of the audit that ended the walk early.
    pub(crate) stopped: Option<ProbeError>,
    /// The error of the latest connection that ended before its hello.
    pub(crate) turned_away: Option<ProbeError>,
    /// The transcript of each hello, from the hello on, by its place in the walk.
    marks: Vec<Mark>,
}

impl Survey {
    /// Sends the hellos of a walk, one after the other.
    pub(crate) async fn run(plan: &Plan, extent: SurveyExtent, log: &Log) -> Self {
        let mut survey = Self {
            extent,
            walk: Walk::with_budget(extent.size, extent.hellos),
            end: WalkEnd::Complete,
            stopped: None,
            turned_away: None,
            marks: Vec::new(),
        };
        loop {
            let question = match survey.walk.next() {
                WalkStep::Ask(question) => question,
                WalkStep::Done(end) => return Self { end, ..survey },
            };
            let outcome = match ask::ask(plan, &question, log).await {
                Ok((answer, mark)) => {
                    survey.marks.push(mark);
                    ConnectionOutcome::Answered(answer)
                }
                // The limits of the audit say nothing about the server.
                Err(error @ (ProbeError::Budget | ProbeError::Deadline)) => {
                    return Self { end: WalkEnd::Budget, stopped: Some(error), ..survey };
                }
                Err(error) => {
                    survey.turned_away = Some(error);
                    survey.marks.extend(log.last());
                    ConnectionOutcome::TurnedAway
                }
            };
            survey.walk.record(question, outcome);
            let in_a_row = u32::try_from(survey.walk.turned_away_in_a_row()).unwrap_or(u32::MAX);
            if in_a_row > 0 && matches!(survey.walk.next(), WalkStep::Ask(_)) {
                plan.pause(BACKOFF.saturating_mul(2_u32.saturating_pow(in_a_row - 1))).await;
            }
        }
    }

    /// Returns what the answers prove.
    pub(crate) fn facts(&self) -> ServerFacts<'_> {
        self.walk.facts()
    }

    /// Returns the transcript of a hello.
    pub(super) fn mark(&self, hello: usize) -> Option<Mark> {
        self.marks.get(hello).copied()
    }
}
