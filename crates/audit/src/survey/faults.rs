//! Faults of a TLS implementation that its answers show.

use std::time::{SystemTime, UNIX_EPOCH};

use starttls_hello::{
    Alert, Answer, ConnectionOutcome, Exchange, FlightEnd, ServerFlight, SuiteClass, Support, Topic, Version,
};

use super::judge::Judge;
use super::suites::name;
use crate::check::id;
use crate::finding::FindingBuilder;
use crate::report::CheckOutcome;

/// How far the clock of a server may be off, in seconds.
const CLOCK_TOLERANCE: u64 = 24 * 60 * 60;

/// The server answers with a suite and ends the handshake before its flight is complete, or reports an internal error for
/// one class of suites.
pub(super) fn broken(judge: &Judge<'_>) -> FindingBuilder {
    let check = id::TLS_BROKEN;
    let broken = judge.flights().find(|(_, flight)| {
        let ended = matches!(flight.end, FlightEnd::Alert(_) | FlightEnd::Closed | FlightEnd::Malformed(_));
        ended && flight.version().is_some_and(|version| version <= Version::Tls12)
    });
    match (broken, judge.flights().next()) {
        (Some((hello, flight)), _) => {
            let how = match flight.end {
                FlightEnd::Alert(alert) => format!("sends the alert {alert}"),
                FlightEnd::Malformed(_) => String::from("sends a malformed message"),
                _ => String::from("closes the connection"),
            };
            let summary = format!("the server chooses {}, and then {how}", name(flight.suite()));
            judge.found(check, summary, [hello])
        }
        (None, Some(_)) => match failing_class(judge) {
            Some((hello, class)) => {
                let summary = format!(
                    "the server has an internal error where suites of the class {class} are offered alone"
                );
                judge.found(check, summary, [hello])
            }
            None => FindingBuilder::pass(check, "the server completes its part of each handshake"),
        },
        (None, None) => judge.unknown(check, judge.facts.version(Version::Tls12)),
    }
}

/// Returns a class for which the server sends internal_error, although it refuses other suites of the version with the alert
/// for that.
fn failing_class(judge: &Judge<'_>) -> Option<(usize, SuiteClass)> {
    let refusals = |description: u8| {
        judge.survey.walk.exchanges().iter().enumerate().filter(move |(_, it)| match &it.outcome {
            ConnectionOutcome::Answered(Answer::Refused(alert)) => alert.description == description,
            _ => false,
        })
    };
    refusals(Alert::INTERNAL_ERROR).find_map(|(hello, failed)| {
        let version = failed.question.version;
        let class = failed.question.suites.first()?.class();
        let is_alone = failed.question.suites.iter().all(|suite| suite.class() == class);
        let is_offered = judge.facts.version(version).value() == Some(Support::Offered);
        let usual = refusals(Alert::HANDSHAKE_FAILURE).any(|(_, it)| it.question.version == version);
        (is_alone && is_offered && usual).then_some((hello, class))
    })
}

/// The server fails on a long hello, on a version that it does not know, on reserved values or on a hello without a key share,
/// and accepts a hello without these.
pub(super) fn intolerant(judge: &Judge<'_>) -> FindingBuilder {
    let check = id::TLS_INTOLERANT;
    if let Some((silent, small)) = long_hello(judge) {
        let summary = "the server does not answer a hello of more than 255 octets, and answers a small one";
        return judge.found(check, summary.to_owned(), [silent, small]);
    }
    if let Some((refused, accepted, versions)) = newer_version(judge) {
        let [newer, older] = versions;
        let summary = format!("the server refuses a hello up to {newer} instead of choosing {older}");
        return judge.found(check, summary, [refused, accepted]);
    }
    let of = |topic| {
        let exchanges = judge.survey.walk.exchanges().iter().enumerate();
        exchanges
            .filter(move |(_, it)| it.question.topic == topic && it.outcome != ConnectionOutcome::TurnedAway)
    };
    let accepted = of(Topic::ModernShare).find(|(_, it)| is_accepted(&it.outcome));
    match (of(Topic::Modern).next(), accepted) {
        (Some((refused, _)), Some((accepted, _))) => {
            let summary = "the server fails on a hello with reserved values and without a key share, and accepts one \
                with a key share";
            judge.found(check, summary.to_owned(), [refused, accepted])
        }
        (Some((_, first)), None) if is_accepted(&first.outcome) => FindingBuilder::pass(
            check,
            "the server ignores reserved values, and answers a hello without a key share",
        ),
        (Some((_, first)), None)
            if matches!(first.outcome, ConnectionOutcome::Answered(Answer::Refused(_))) =>
        {
            FindingBuilder::new(check, CheckOutcome::NotApplicable, "the server does not offer TLS 1.3")
        }
        _ => judge.unknown(check, judge.facts.version(Version::Tls13)),
    }
}

/// Returns the hello that the server did not answer, and the small one with the same version that it accepted. Both offered the
/// suite that the server chose, so that the length is the difference.
fn long_hello(judge: &Judge<'_>) -> Option<(usize, usize)> {
    let exchanges = judge.survey.walk.exchanges();
    let of = |hello: usize, topic| exchanges.get(hello).is_some_and(|it| it.question.topic == topic);
    let (small, flight) = judge.flights().find(|(hello, _)| of(*hello, Topic::Small))?;
    let silent = exchanges.iter().position(|it| {
        it.question.topic == Topic::Good
            && it.outcome == ConnectionOutcome::Answered(Answer::Silent)
            && it.question.suites.contains(&flight.suite())
    })?;
    Some((silent, small))
}

/// Returns a hello that the server refused, a hello with the same suites and an older version that it accepted, and both
/// versions. A server has to choose the newest version that both sides have (RFC 5246 appendix E.1).
fn newer_version(judge: &Judge<'_>) -> Option<(usize, usize, [Version; 2])> {
    let exchanges = judge.survey.walk.exchanges();
    let old = |topic: Topic| matches!(topic, Topic::Old | Topic::OldDhe);
    let refused = |it: &Exchange| {
        matches!(it.outcome, ConnectionOutcome::Answered(Answer::Refused(_) | Answer::Closed))
    };
    exchanges.iter().enumerate().filter(|(_, it)| old(it.question.topic) && refused(it)).find_map(
        |(at, it)| {
            let is_older = |other: &Exchange| {
                other.question.version < it.question.version && other.question.suites == it.question.suites
            };
            let (accepted, flight) =
                judge.flights().find(|(other, _)| exchanges.get(*other).is_some_and(is_older))?;
            Some((at, accepted, [it.question.version, flight.version()?]))
        },
    )
}

fn is_accepted(outcome: &ConnectionOutcome) -> bool {
    matches!(outcome, ConnectionOutcome::Answered(Answer::Hello(_)))
}

/// The server's random repeats, or begins with its clock.
pub(super) fn random(judge: &Judge<'_>) -> FindingBuilder {
    let check = id::TLS_RANDOM;
    let hellos: Vec<_> = judge.flights().filter(|(_, flight)| !flight.hello.is_retry()).collect();
    let repeated = hellos.iter().enumerate().find_map(|(index, (hello, flight))| {
        let earlier = hellos.iter().take(index).find(|(_, it)| it.hello.random == flight.hello.random)?;
        Some([earlier.0, *hello])
    });
    if let Some(both) = repeated {
        return judge.found(check, String::from("two connections have the same random"), both);
    }
    let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |time| time.as_secs());
    let clocks: Vec<_> =
        hellos.iter().filter(|(_, flight)| has_clock(flight, now)).map(|(hello, _)| *hello).collect();
    match (hellos.len(), clocks.as_slice()) {
        // One random in 25,000 looks like the time by chance.
        (count @ 2.., clocks) if clocks.len() == count => {
            let summary = String::from("the server's random begins with its clock");
            judge.found(check, summary.clone(), clocks.iter().take(2).copied()).into_note(summary)
        }
        (2.., _) => FindingBuilder::pass(check, "the server's random does not repeat and contains no clock"),
        _ => judge.unknown(check, judge.facts.downgrade_mark()),
    }
}

fn has_clock(flight: &ServerFlight, now: u64) -> bool {
    let seconds = flight.hello.random.first_chunk().copied().map(u32::from_be_bytes);
    seconds.is_some_and(|seconds| u64::from(seconds).abs_diff(now) < CLOCK_TOLERANCE)
}
