//! What a survey tells its user.

use std::time::Duration;

use crate::folder::{Stage, StagePlan};

/// What happens in a survey, for its user.
#[derive(Clone, Debug, PartialEq)]
pub enum SurveyEvent {
    /// A stage was planned.
    Planned(Stage, StagePlan),
    /// A stage begins or goes on.
    Begun(Stage),
    /// The next pass waits for its time.
    Waiting(Stage, Duration),
    /// A stage has all of its results.
    Finished(Stage),
    /// The queue failed, and why. The survey goes on.
    QueueFailed(String),
}

/// How a worker of a queue ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WorkerEnd {
    /// The run has all of its results.
    Finished,
    /// The worker had to end. It has given its lanes back.
    Stopped,
}
