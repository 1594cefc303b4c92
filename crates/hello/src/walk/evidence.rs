//! The evidence in the log of a walk.

use std::collections::BTreeMap;
use std::fmt;

use super::lists;
use crate::alert::Alert;
use crate::flight::{Answer, ServerFlight};
use crate::question::{Question, Topic};
use crate::ssl2::Ssl2ServerHello;
use crate::table::{CipherSuite, NamedGroup};
use crate::version::Version;

/// The outcome of one connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ConnectionOutcome {
    /// The server answered the hello.
    Answered(Answer),
    /// The connection ended before the hello could be sent: refused, closed or throttled. It shows nothing about TLS.
    TurnedAway,
}

/// A question and its outcome.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Exchange {
    /// The question.
    pub question: Question,
    /// Its outcome.
    pub outcome: ConnectionOutcome,
}

/// How much a refusal proves. Greater values prove more.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Certainty {
    /// The server closed, or sent an unrelated alert, on a list of several classes. A suite that the server chose and
    /// could not use may hide others.
    Assumed,
    /// The same, on a list of one class.
    Implied,
    /// An alert about the version or the parameters, or a ServerHello proves it.
    Explicit,
}

/// The reason why a fact is inconclusive.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Doubt {
    /// Something was refused, and no later hello succeeded: the server may have stopped answering.
    NoControl,
    /// The server did not answer within the time.
    Silent,
    /// The server sent something that is not TLS, or breaks its format.
    NotTls,
    /// The server answered with something that was not offered.
    Inconsistent,
    /// The server sent an alert that does not tell what it refused.
    Unclear(Alert),
    /// The server closed the connection, possibly for another reason.
    Closed,
    /// Only a part of the suites was offered.
    Partly,
}

impl fmt::Display for Doubt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoControl => {
                f.write_str("no later hello succeeded, so the server may have stopped answering")
            }
            Self::Silent => f.write_str("the server did not answer in time"),
            Self::NotTls => f.write_str("the server sent something that is not TLS"),
            Self::Inconsistent => f.write_str("the server chose something that was not offered"),
            Self::Unclear(alert) => write!(f, "the server answered with {alert}"),
            Self::Closed => f.write_str("the server closed the connection without an alert"),
            Self::Partly => f.write_str("only a part of the suites was offered"),
        }
    }
}

/// The server's decision on a question.
#[derive(Clone, Copy, Debug)]
pub(super) enum ServerDecision<'a> {
    /// A ServerHello with something that was offered. SSL 2.0 is apart.
    Accepted {
        version: Version,
        suite: CipherSuite,
        flight: &'a ServerFlight,
    },
    Ssl2(&'a Ssl2ServerHello),
    Refused(Refusal),
    Unclear(Doubt),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Refusal {
    /// None of the suites or groups.
    Parameters,
    /// Not this version nor an older one.
    Version,
    /// An alert that does not tell why.
    Other(Alert),
    /// The connection was closed.
    Closed,
}

/// An exchange that reached TLS.
#[derive(Clone, Copy, Debug)]
pub(super) struct Reading<'a> {
    /// Its place in the log.
    pub(super) at: usize,
    pub(super) question: &'a Question,
    pub(super) verdict: ServerDecision<'a>,
}

impl<'a> Reading<'a> {
    fn new(at: usize, exchange: &'a Exchange) -> Option<Self> {
        let ConnectionOutcome::Answered(answer) = &exchange.outcome else { return None };
        Some(Self { at, question: &exchange.question, verdict: judge(&exchange.question, answer) })
    }

    pub(super) fn accepted(&self) -> Option<(Version, CipherSuite, &'a ServerFlight)> {
        match self.verdict {
            ServerDecision::Accepted { version, suite, flight } => Some((version, suite, flight)),
            _ => None,
        }
    }

    pub(super) fn refusal(&self) -> Option<Refusal> {
        match self.verdict {
            ServerDecision::Refused(refusal) => Some(refusal),
            _ => None,
        }
    }

    pub(super) fn succeeded(&self) -> bool {
        matches!(self.verdict, ServerDecision::Accepted { .. } | ServerDecision::Ssl2(_))
    }

    /// How much the refusal proves about the suites of the question.
    pub(super) fn certainty(&self) -> Certainty {
        match self.refusal() {
            Some(Refusal::Other(_) | Refusal::Closed) => {
                let first = self.question.suites.first().map(|suite| lists::part(*suite));
                let alone = self.question.suites.iter().all(|suite| Some(lists::part(*suite)) == first);
                if alone { Certainty::Implied } else { Certainty::Assumed }
            }
            _ => Certainty::Explicit,
        }
    }

    /// The group of an accepted flight, in every version.
    pub(super) fn group(&self) -> Option<NamedGroup> {
        use crate::key_exchange::{Curve, ServerKeyExchange};
        let (version, _, flight) = self.accepted()?;
        match &flight.key_exchange {
            _ if version == Version::Tls13 => flight.hello.group(),
            Some(ServerKeyExchange::Ecdhe { curve: Curve::Named(group), .. }) => Some(*group),
            _ => None,
        }
    }
}

/// The readings of a log.
#[derive(Debug)]
pub(super) struct Evidence<'a> {
    pub(super) readings: Vec<Reading<'a>>,
    /// The best proof that a suite is refused at a version from TLS 1.2 downwards.
    refused: BTreeMap<(Version, CipherSuite), (usize, Certainty)>,
}

impl<'a> Evidence<'a> {
    pub(super) fn new(log: &'a [Exchange]) -> Self {
        let readings = log.iter().enumerate().filter_map(|(at, it)| Reading::new(at, it)).collect();
        let mut evidence = Self { readings, refused: BTreeMap::new() };
        let mut refused = BTreeMap::new();
        for version in [Version::Ssl3, Version::Tls10, Version::Tls11, Version::Tls12] {
            for reading in evidence.refusals(version) {
                let proof = (evidence.is_confirmed(reading.at), reading.certainty(), reading.at);
                for suite in &reading.question.suites {
                    let best = refused.entry((version, *suite)).or_insert(proof);
                    // Of equal proofs the first one counts.
                    if (best.0, best.1) < (proof.0, proof.1) {
                        *best = proof;
                    }
                }
            }
        }
        evidence.refused =
            refused.into_iter().map(|(key, (_, certainty, at))| (key, (at, certainty))).collect();
        evidence
    }

    /// Returns whether a hello succeeded after this place in the log, so that a refusal there stands.
    pub(super) fn is_confirmed(&self, at: usize) -> bool {
        self.readings.iter().any(|reading| reading.at > at && reading.succeeded())
    }

    /// Returns whether something was refused since the last success.
    pub(super) fn has_unconfirmed(&self) -> bool {
        let last = self.last_success().map_or(0, |reading| reading.at + 1);
        self.readings.iter().any(|reading| reading.at >= last && !reading.succeeded())
    }

    pub(super) fn last_success(&self) -> Option<&Reading<'a>> {
        self.readings.iter().rev().find(|reading| reading.succeeded())
    }

    pub(super) fn of(&self, topic: Topic) -> impl Iterator<Item = &Reading<'a>> {
        self.readings.iter().filter(move |reading| reading.question.topic == topic)
    }

    pub(super) fn asked(&self, topic: Topic) -> bool {
        self.of(topic).next().is_some()
    }

    pub(super) fn accepted(
        &self,
    ) -> impl Iterator<Item = (&Reading<'a>, Version, CipherSuite, &'a ServerFlight)> {
        self.readings.iter().filter_map(|reading| {
            reading.accepted().map(|(version, suite, flight)| (reading, version, suite, flight))
        })
    }

    /// Returns whether the version was negotiated.
    pub(super) fn offers(&self, version: Version) -> bool {
        match version {
            Version::Ssl2 => {
                self.readings.iter().any(|reading| matches!(reading.verdict, ServerDecision::Ssl2(_)))
            }
            _ => self.accepted().any(|(_, found, ..)| found == version),
        }
    }

    /// Returns whether a version newer than this one was negotiated. Then the server knows this version and does not fail
    /// on it for being unknown.
    pub(super) fn has_newer(&self, version: Version) -> bool {
        self.accepted().any(|(_, found, ..)| found > version)
    }

    /// The newest negotiated version from TLS 1.2 downwards.
    pub(super) fn best_classic(&self) -> Option<Version> {
        self.classic().max()
    }

    /// The oldest negotiated version from SSL 3.0 upwards.
    pub(super) fn lowest_classic(&self) -> Option<Version> {
        self.classic().min()
    }

    fn classic(&self) -> impl Iterator<Item = Version> {
        self.accepted().map(|(_, version, ..)| version).filter(|version| *version <= Version::Tls12)
    }

    /// The suites that were negotiated at a version, in the order in which they were found.
    pub(super) fn suites(&self, version: Version) -> Vec<CipherSuite> {
        distinct(self.accepted().filter(|(_, at, ..)| *at == version).map(|(_, _, suite, _)| suite))
    }

    /// Returns whether the suite was negotiated at the version.
    pub(super) fn accepts(&self, version: Version, suite: CipherSuite) -> bool {
        self.accepted().any(|(_, at, found, _)| at == version && found == suite)
    }

    /// The refusals that show that no suite of the question can be negotiated at `version`, which is not TLS 1.3.
    ///
    /// A server takes the newest version that both sides have, and then a suite. So a refusal is about the newest
    /// version of the question, and also about every older one if the alert refuses the version. A server without newer
    /// versions may fail on that version instead of choosing an older one.
    pub(super) fn refusals(&self, version: Version) -> impl Iterator<Item = &Reading<'a>> {
        self.readings.iter().filter(move |reading| {
            let asked = reading.question.version;
            let about = match reading.refusal() {
                Some(Refusal::Version) if asked > version => self.has_newer(asked),
                Some(_) => asked == version,
                None => false,
            };
            about && asked <= Version::Tls12 && is_plain(reading.question)
        })
    }

    /// The best proof that the suite is refused at a version from TLS 1.2 downwards.
    pub(super) fn refused(&self, version: Version, suite: CipherSuite) -> Option<(usize, Certainty)> {
        self.refused.get(&(version, suite)).copied()
    }

    /// Returns whether TLS 1.3 answers hellos with a key share only.
    pub(super) fn needs_share(&self) -> bool {
        self.of(Topic::ModernShare).any(Reading::succeeded)
    }

    /// The proof that TLS 1.3 refused a suite: a refusal that offered it with a group which the server accepts.
    pub(super) fn modern_suite_refused(&self, suite: CipherSuite) -> Option<(usize, Certainty)> {
        self.modern_refused(|question| {
            let mut groups = self.modern_accepted().filter_map(|(_, group)| group);
            question.suites.contains(&suite) && groups.any(|group| question.groups.contains(&group))
        })
    }

    /// The proof that TLS 1.3 refused a group: a refusal that offered it with a suite which the server accepts.
    pub(super) fn modern_group_refused(&self, group: NamedGroup) -> Option<(usize, Certainty)> {
        self.modern_refused(|question| {
            let mut suites = self.modern_accepted().map(|(suite, _)| suite);
            question.groups.contains(&group) && suites.any(|suite| question.suites.contains(&suite))
        })
    }

    pub(super) fn modern_accepted(&self) -> impl Iterator<Item = (CipherSuite, Option<NamedGroup>)> {
        self.accepted()
            .filter(|(_, version, ..)| *version == Version::Tls13)
            .map(|(reading, _, suite, _)| (suite, reading.group()))
    }

    fn modern_refused(&self, pass: impl Fn(&Question) -> bool) -> Option<(usize, Certainty)> {
        let refused = self.readings.iter().filter(|reading| {
            // Where the form of the hello matters, only the form that was accepted counts.
            let form = reading.question.share || !self.needs_share();
            reading.question.version == Version::Tls13 && form && pass(reading.question)
        });
        let proofs = refused.filter_map(|reading| match reading.refusal()? {
            Refusal::Parameters => Some((reading.at, Certainty::Explicit)),
            Refusal::Closed => Some((reading.at, Certainty::Implied)),
            Refusal::Version | Refusal::Other(_) => None,
        });
        proofs.max_by_key(|(at, certainty)| (self.is_confirmed(*at), *certainty))
    }
}

/// Returns whether a refusal of this question is about its versions and suites, and nothing else.
fn is_plain(question: &Question) -> bool {
    !matches!(question.topic, Topic::Fallback | Topic::WeakCurves | Topic::LegacyHash | Topic::UnknownName)
}

pub(super) fn distinct<T: PartialEq>(items: impl Iterator<Item = T>) -> Vec<T> {
    let mut list = Vec::new();
    for item in items {
        if !list.contains(&item) {
            list.push(item);
        }
    }
    list
}

fn judge<'a>(question: &Question, answer: &'a Answer) -> ServerDecision<'a> {
    match answer {
        Answer::Ssl2(hello) if question.version == Version::Ssl2 => ServerDecision::Ssl2(hello),
        Answer::Hello(flight) => match flight.version() {
            Some(version) if question.offers(flight) => {
                ServerDecision::Accepted { version, suite: flight.suite(), flight }
            }
            _ => ServerDecision::Unclear(Doubt::Inconsistent),
        },
        Answer::Refused(alert) => match alert.description {
            Alert::HANDSHAKE_FAILURE | Alert::INSUFFICIENT_SECURITY => {
                ServerDecision::Refused(Refusal::Parameters)
            }
            Alert::PROTOCOL_VERSION => ServerDecision::Refused(Refusal::Version),
            _ => ServerDecision::Refused(Refusal::Other(*alert)),
        },
        Answer::Closed | Answer::Ssl2Error(_) => ServerDecision::Refused(Refusal::Closed),
        Answer::Silent => ServerDecision::Unclear(Doubt::Silent),
        Answer::Ssl2(_) => ServerDecision::Unclear(Doubt::Inconsistent),
        Answer::NotTls(_) | Answer::Malformed(_) => ServerDecision::Unclear(Doubt::NotTls),
    }
}
