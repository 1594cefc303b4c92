//! The facts that a walk proves: each with its witness, or with the reason why it is unknown.

use super::evidence::{Certainty, Doubt, Evidence, Exchange, Reading, Refusal, ServerDecision, distinct};
use super::lists;
use crate::named::named;
use crate::question::Topic;
use crate::table::{CipherSuite, NamedGroup, Ssl2Kind, Strength, SuiteClass};
use crate::version::Version;

/// A fact about a server, or the reason why it is unknown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub enum Known<T> {
    /// The walk did not ask for it.
    Unasked,
    /// The walk asked for it, and the answers do not prove it.
    Inconclusive(Doubt),
    /// The fact, with its proof.
    Is(T, Witness),
}

/// The proof of a fact.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Witness {
    /// The place of the deciding hello in [`Walk::exchanges`](super::Walk::exchanges).
    pub hello: usize,
    /// The strength of the proof.
    pub certainty: Certainty,
}

named! {
    /// Whether a server offers something.
    pub enum Support {
        /// The server agreed to it.
        Offered = "offered",
        /// The server refused it, and a later hello succeeded.
        NotOffered = "not offered",
    }
}

named! {
    /// Whether the server's or the client's order of suites decides.
    pub enum Preference {
        /// The server's.
        Server = "server",
        /// The client's.
        Client = "client",
    }
}

/// The parameters of a finite-field Diffie-Hellman exchange.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DhParameters<'a> {
    /// The place of the hello in the log.
    pub hello: usize,
    /// The negotiated version.
    pub version: Version,
    /// The negotiated suite.
    pub suite: CipherSuite,
    /// The size of the prime in bits.
    pub bits: u32,
    /// The prime, without leading zeros.
    pub prime: &'a [u8],
}

impl<T> Known<T> {
    /// Returns the value, if it is known.
    pub fn value(self) -> Option<T> {
        match self {
            Self::Is(value, _) => Some(value),
            Self::Unasked | Self::Inconclusive(_) => None,
        }
    }

    /// Returns whether the walk asked for it without a result.
    pub const fn is_inconclusive(&self) -> bool {
        matches!(self, Self::Inconclusive(_))
    }

    pub(super) fn witnessed(value: T, reading: &Reading<'_>) -> Self {
        Self::Is(value, Witness { hello: reading.at, certainty: Certainty::Explicit })
    }
}

/// The facts that the answers of a walk prove. They are computed on request.
#[derive(Debug)]
pub struct ServerFacts<'a> {
    pub(super) evidence: Evidence<'a>,
}

impl<'a> ServerFacts<'a> {
    pub(super) fn new(log: &'a [Exchange]) -> Self {
        Self { evidence: Evidence::new(log) }
    }

    /// Returns whether the server offers a version with any suite that the walk asks for.
    pub fn version(&self, version: Version) -> Known<Support> {
        let offered = self.evidence.readings.iter().find(|reading| match reading.verdict {
            ServerDecision::Ssl2(_) => version == Version::Ssl2,
            _ => reading.accepted().is_some_and(|(found, ..)| found == version),
        });
        match (offered, version) {
            (Some(reading), _) => Known::witnessed(Support::Offered, reading),
            (None, Version::Ssl2) => self.ssl2_refused(),
            (None, Version::Tls13) => self.tls13_refused(),
            (None, _) => self.classic_refused(version),
        }
    }

    /// A server without SSL 2.0 answers its CLIENT-HELLO with a TLS alert, or closes.
    fn ssl2_refused(&self) -> Known<Support> {
        let Some(reading) = self.evidence.of(Topic::Ssl2).last() else { return Known::Unasked };
        match reading.verdict {
            ServerDecision::Unclear(why) => Known::Inconclusive(why),
            _ => self.confirmed(
                reading.at,
                match reading.refusal() {
                    Some(Refusal::Closed) => Certainty::Implied,
                    _ => Certainty::Explicit,
                },
            ),
        }
    }

    fn tls13_refused(&self) -> Known<Support> {
        let mut asked = self.evidence.of(Topic::Modern).chain(self.evidence.of(Topic::ModernShare));
        let Some(first) = asked.next() else { return Known::Unasked };
        let last = asked.last().unwrap_or(first);
        let retried = last.question.topic == Topic::ModernShare;
        match last.verdict {
            ServerDecision::Refused(Refusal::Version) => self.confirmed(last.at, Certainty::Explicit),
            // The reason may also be a certificate of another type.
            ServerDecision::Refused(Refusal::Parameters) => self.confirmed(last.at, Certainty::Implied),
            ServerDecision::Refused(_) if retried => self.confirmed(last.at, Certainty::Assumed),
            ServerDecision::Refused(Refusal::Other(alert)) => Known::Inconclusive(Doubt::Unclear(alert)),
            ServerDecision::Refused(Refusal::Closed) => Known::Inconclusive(Doubt::Closed),
            ServerDecision::Unclear(why) => Known::Inconclusive(why),
            ServerDecision::Accepted { .. } | ServerDecision::Ssl2(_) => {
                Known::Inconclusive(Doubt::Inconsistent)
            }
        }
    }

    fn classic_refused(&self, version: Version) -> Known<Support> {
        // A server takes the newest version that both have: an older one in the answer excludes those between.
        let passed_over = self.evidence.accepted().find(|(reading, found, ..)| {
            *found < version && (version..=Version::Tls12).contains(&reading.question.version)
        });
        if let Some((reading, ..)) = passed_over {
            return Known::witnessed(Support::NotOffered, reading);
        }
        let by_version = self.evidence.refusals(version).filter(|it| it.refusal() == Some(Refusal::Version));
        if let Some(at) = by_version.map(|reading| reading.at).min() {
            return self.confirmed(at, Certainty::Explicit);
        }
        let known = self.refused_all(version, &lists::universe(version));
        if !matches!(known, Known::Unasked | Known::Inconclusive(Doubt::Partly)) {
            return known;
        }
        // A hello includes the older versions. A server that has only those would have answered with one of them, unless it
        // fails on versions that it does not know.
        let newer = [Version::Tls10, Version::Tls11].into_iter().filter(|newer| *newer > version);
        let newer = newer.filter(|newer| self.evidence.has_newer(*newer));
        let newer = newer.map(|newer| match self.refused_all(newer, &lists::universe(newer)) {
            Known::Is(offer, witness) => {
                Known::Is(offer, Witness { certainty: Certainty::Assumed, ..witness })
            }
            known => known,
        });
        let (settled, open): (Vec<_>, Vec<_>) = newer.partition(|known| matches!(known, Known::Is(..)));
        settled.into_iter().chain(open).find(|known| *known != Known::Unasked).unwrap_or(known)
    }

    /// Returns whether a class of suites is offered at a version.
    pub fn class(&self, version: Version, class: SuiteClass) -> Known<Support> {
        if version == Version::Ssl2 {
            return self.ssl2_class(class);
        }
        let accepted =
            self.evidence.accepted().find(|(_, at, suite, _)| *at == version && suite.class() == class);
        if let Some((reading, ..)) = accepted {
            return Known::witnessed(Support::Offered, reading);
        }
        let suites: Vec<_> =
            lists::universe(version).into_iter().filter(|suite| suite.class() == class).collect();
        self.none_of(version, &suites)
    }

    fn ssl2_class(&self, class: SuiteClass) -> Known<Support> {
        let hello = self.evidence.readings.iter().find(|it| matches!(it.verdict, ServerDecision::Ssl2(_)));
        let Some(reading) = hello else { return self.version(Version::Ssl2) };
        let found = self.ssl2_kinds().iter().any(|kind| kind.info().is_some_and(|info| info.class == class));
        Known::witnessed(if found { Support::Offered } else { Support::NotOffered }, reading)
    }

    /// Returns whether a suite is offered at a version.
    pub fn suite(&self, version: Version, suite: CipherSuite) -> Known<Support> {
        match self.evidence.accepted().find(|(_, at, found, _)| *at == version && *found == suite) {
            Some((reading, ..)) => Known::witnessed(Support::Offered, reading),
            None => self.none_of(version, &[suite]),
        }
    }

    pub(super) fn none_of(&self, version: Version, suites: &[CipherSuite]) -> Known<Support> {
        match self.version(version) {
            known @ Known::Is(Support::NotOffered, _) => known,
            _ => self.refused_all(version, suites),
        }
    }

    fn refused_all(&self, version: Version, suites: &[CipherSuite]) -> Known<Support> {
        if version == Version::Tls13 {
            return self.all(version, suites.iter().map(|suite| self.evidence.modern_suite_refused(*suite)));
        }
        self.all(version, suites.iter().map(|suite| self.evidence.refused(version, *suite)))
    }

    /// Combines the refusals of several suites or groups.
    fn all(
        &self,
        version: Version,
        refused: impl Iterator<Item = Option<(usize, Certainty)>>,
    ) -> Known<Support> {
        let (mut missing, mut worst) = (false, None::<(usize, Certainty, bool)>);
        for found in refused {
            let Some((at, certainty)) = found else {
                missing = true;
                continue;
            };
            let stands = self.evidence.is_confirmed(at);
            worst = Some(worst.map_or((at, certainty, stands), |(other, least, all)| {
                (other.max(at), least.min(certainty), all && stands)
            }));
        }
        match worst {
            Some((hello, certainty, true)) if !missing => {
                Known::Is(Support::NotOffered, Witness { hello, certainty })
            }
            Some((_, _, false)) => Known::Inconclusive(Doubt::NoControl),
            worst => match self.unclear(version) {
                Some(why) => Known::Inconclusive(why),
                None if worst.is_some() => Known::Inconclusive(Doubt::Partly),
                None => Known::Unasked,
            },
        }
    }

    /// Why an answer about this version could not be used, if there is one.
    fn unclear(&self, version: Version) -> Option<Doubt> {
        self.evidence.readings.iter().find_map(|reading| match reading.verdict {
            ServerDecision::Unclear(why) if reading.question.version == version => Some(why),
            _ => None,
        })
    }

    pub(super) fn confirmed(&self, hello: usize, certainty: Certainty) -> Known<Support> {
        match self.evidence.is_confirmed(hello) {
            true => Known::Is(Support::NotOffered, Witness { hello, certainty }),
            false => Known::Inconclusive(Doubt::NoControl),
        }
    }

    /// The suites that were negotiated at a version, in the order in which they were found.
    pub fn suites(&self, version: Version) -> Vec<CipherSuite> {
        self.evidence.suites(version)
    }

    /// Returns whether every suite that the walk asks for at a version is known by name.
    pub fn is_complete(&self, version: Version) -> bool {
        let known = |suite: &CipherSuite| self.suite(version, *suite).value().is_some();
        lists::universe(version).iter().all(known)
    }

    /// The kinds of SSL 2.0 that the server listed.
    pub fn ssl2_kinds(&self) -> &'a [Ssl2Kind] {
        let mut lists = self.evidence.readings.iter().filter_map(|reading| match reading.verdict {
            ServerDecision::Ssl2(hello) => Some(hello.kinds.as_slice()),
            _ => None,
        });
        lists.next_back().unwrap_or_default()
    }

    /// The groups that were negotiated, in any version, in the order in which they were found.
    pub fn groups(&self) -> Vec<NamedGroup> {
        distinct(self.evidence.readings.iter().filter_map(Reading::group))
    }

    /// Returns whether TLS 1.3 offers a group.
    pub fn group(&self, group: NamedGroup) -> Known<Support> {
        let named = |reading: &&Reading<'_>| {
            reading.accepted().is_some_and(|(version, ..)| version == Version::Tls13)
                && reading.group() == Some(group)
        };
        match self.evidence.readings.iter().find(named) {
            Some(reading) => Known::witnessed(Support::Offered, reading),
            None => self.no_group(&[group]),
        }
    }

    /// Returns whether TLS 1.3 offers any post-quantum group.
    pub fn post_quantum(&self) -> Known<Support> {
        let all = crate::question::groups(|info| info.tls13 && info.class == Strength::PostQuantum);
        let found = all.iter().map(|group| self.group(*group));
        match found.into_iter().find(|known| matches!(known, Known::Is(Support::Offered, _))) {
            Some(known) => known,
            None => self.no_group(&all),
        }
    }

    fn no_group(&self, groups: &[NamedGroup]) -> Known<Support> {
        if let known @ Known::Is(Support::NotOffered, _) = self.version(Version::Tls13) {
            return known;
        }
        self.all(Version::Tls13, groups.iter().map(|group| self.evidence.modern_group_refused(*group)))
    }
}
