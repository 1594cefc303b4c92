//! The walk: the next hello to send, or the end. It depends only on the answers so far.

mod curves;
mod evidence;
mod facts;
mod lists;
mod modern;
mod plan;
mod properties;

use crate::named::named;
use crate::question::Question;
use crate::table::CipherSuite;
use crate::version::Version;
use evidence::Evidence;

pub use evidence::{Certainty, ConnectionOutcome, Doubt, Exchange};
pub use facts::{DhParameters, Known, Preference, ServerFacts, Support, Witness};

/// The most hellos that any walk may send.
pub const MAX_HELLOS: usize = 250;

/// The walk stops when the server has rejected this many connections in a row.
const TURNED_AWAY: usize = 3;

named! {
    /// The extent of a walk.
    pub enum WalkSize {
        /// The versions, and whether any weak suite is offered: at most 8 connections.
        Brief = "brief",
        /// Every class of suites and kind of groups: at most 30 connections.
        Survey = "survey",
        /// Every suite and group by name: at most 60 connections, unless more are allowed.
        Full = "full",
    }
}

impl WalkSize {
    /// Returns the number of connections that a walk of this size may use by default.
    pub const fn connections(self) -> usize {
        match self {
            Self::Brief => 8,
            Self::Survey => 30,
            Self::Full => 60,
        }
    }
}

/// The walk stops when the server has left this many hellos unanswered, and answered none but a small one.
const UNANSWERED: usize = 3;

/// The next step of a walk.
#[derive(Clone, Debug, PartialEq, Eq)]
#[must_use]
pub enum WalkStep {
    /// Open a connection, send this hello, and [record](Walk::record) the outcome.
    Ask(Question),
    /// The walk has ended.
    Done(WalkEnd),
}

named! {
    /// The reason why a walk ended.
    pub enum WalkEnd {
        /// All questions of this size were asked.
        Complete = "complete",
        /// The connections are used up.
        Budget = "budget",
        /// The server rejected several connections in a row.
        TurnedAway = "turned-away",
        /// A hello that had succeeded was refused later.
        ControlFailed = "control-failed",
        /// The server answered no hello of the usual size with TLS.
        Unanswered = "unanswered",
    }
}

/// A walk over what one server offers.
///
/// ```
/// use starttls_hello::{Answer, ServerFacts, ConnectionOutcome, WalkSize, WalkStep, Version, Walk};
///
/// let mut walk = Walk::new(WalkSize::Brief);
/// while let WalkStep::Ask(question) = walk.next() {
///     // Open a connection, negotiate the upgrade, send `question.to_bytes(..)`, read a `Flight`.
///     walk.record(question, ConnectionOutcome::Answered(Answer::Closed));
/// }
/// // A server that only closes proves nothing.
/// assert!(walk.facts().version(Version::Tls10).is_inconclusive());
/// assert!(walk.connections() <= 8);
/// ```
#[derive(Clone, Debug)]
pub struct Walk {
    size: WalkSize,
    budget: usize,
    log: Vec<Exchange>,
}

impl Walk {
    /// Starts a walk with the default number of connections.
    pub const fn new(size: WalkSize) -> Self {
        Self::with_budget(size, size.connections())
    }

    /// Starts a walk with at most so many connections, up to [`MAX_HELLOS`].
    pub const fn with_budget(size: WalkSize, connections: usize) -> Self {
        let budget = if connections < MAX_HELLOS { connections } else { MAX_HELLOS };
        Self { size, budget, log: Vec::new() }
    }

    /// Returns the next step. It depends only on the recorded outcomes.
    ///
    /// After a rejected connection the same question is returned again.
    pub fn next(&self) -> WalkStep {
        if self.turned_away_in_a_row() >= TURNED_AWAY {
            return WalkStep::Done(WalkEnd::TurnedAway);
        }
        let evidence = Evidence::new(&self.log);
        if plan::control_failed(&evidence) {
            return WalkStep::Done(WalkEnd::ControlFailed);
        }
        if evidence.readings.len() >= UNANSWERED && plan::is_unanswered(&evidence) {
            return WalkStep::Done(WalkEnd::Unanswered);
        }
        let next = plan::next(&evidence, self.size).or_else(|| plan::control(&evidence));
        let Some(next) = next else { return WalkStep::Done(WalkEnd::Complete) };
        match self.budget.saturating_sub(self.log.len()) {
            0 => WalkStep::Done(WalkEnd::Budget),
            // The last connection confirms what was refused.
            1 if evidence.has_unconfirmed() => {
                WalkStep::Ask(plan::last(&evidence, self.size).unwrap_or(next))
            }
            _ => WalkStep::Ask(next),
        }
    }

    /// Records the outcome of a question.
    pub fn record(&mut self, question: Question, outcome: ConnectionOutcome) {
        self.log.push(Exchange { question, outcome });
    }

    /// Returns the questions and their outcomes so far.
    pub fn exchanges(&self) -> &[Exchange] {
        &self.log
    }

    /// Returns the number of connections so far, including rejected ones.
    pub fn connections(&self) -> usize {
        self.log.len()
    }

    /// Returns the number of consecutive rejected connections up to now. Callers wait longer after each.
    pub fn turned_away_in_a_row(&self) -> usize {
        self.log.iter().rev().take_while(|it| it.outcome == ConnectionOutcome::TurnedAway).count()
    }

    /// Returns every suite that a walk asks for at a version, if it has enough connections. SSL 2.0 has no suites.
    pub fn suites(version: Version) -> Vec<CipherSuite> {
        if version == Version::Ssl2 { Vec::new() } else { lists::universe(version) }
    }

    /// Returns the facts that the answers so far prove.
    pub fn facts(&self) -> ServerFacts<'_> {
        ServerFacts::new(&self.log)
    }
}
