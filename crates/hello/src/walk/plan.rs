//! The order of the hellos: versions first, then weak suites, then the rest.

use std::collections::BTreeSet;

use super::evidence::{Certainty, Doubt, Evidence, Reading, Refusal, ServerDecision};
use super::{WalkSize, curves, lists, modern};
use crate::key_exchange::ServerKeyExchange;
use crate::question::{Question, SniName, Topic, groups};
use crate::table::{Authentication, CipherSuite, KeyExchange, SignatureScheme, Strength};
use crate::version::Version;

type Planned = fn(&Evidence<'_>, WalkSize) -> Option<Question>;

/// The steps in the order of their value, because the budget may cut off the last ones.
const BRIEF: &[Planned] = &[
    small,
    good_after_small,
    modern::first,
    modern::share,
    old,
    old_dhe,
    older,
    ssl2,
    bad,
    dhe,
    mid,
    modern::post_quantum,
    good,
    split,
];

const SURVEY: &[Planned] = &[
    small,
    good_after_small,
    good,
    modern::first,
    modern::share,
    old,
    old_dhe,
    older,
    ssl2,
    modern::walk,
    bad,
    dhe,
    mid,
    lowest,
    reuse,
    fallback,
    weak_curves,
    legacy_hash,
    other_key,
    every_version,
    every_curve,
    unknown_name,
    order,
    split,
];

/// The next question that the plan has, if any.
pub(super) fn next(evidence: &Evidence<'_>, size: WalkSize) -> Option<Question> {
    let plan = if size == WalkSize::Brief { BRIEF } else { SURVEY };
    plan.iter().find_map(|step| step(evidence, size))
}

/// What to ask with the last connection.
pub(super) fn last(evidence: &Evidence<'_>, size: WalkSize) -> Option<Question> {
    // If TLS 1.2 was only ever answered by closing, modern suites may be refused too, and then nothing is confirmed.
    let by_alert = evidence.refusals(Version::Tls12).any(|it| it.refusal() == Some(Refusal::Parameters));
    let answers = by_alert || evidence.best_classic().is_some() || evidence.last_success().is_none();
    good(evidence, size).filter(|_| size == WalkSize::Brief && answers).or_else(|| control(evidence))
}

/// Returns whether an alert about the version settles that the server has neither this version nor an older one.
fn is_refused_by_version(evidence: &Evidence<'_>, version: Version) -> bool {
    evidence.refusals(version).any(|it| it.refusal() == Some(Refusal::Version))
}

/// Repeats the last question that succeeded, if something was refused since.
pub(super) fn control(evidence: &Evidence<'_>) -> Option<Question> {
    let success = evidence.last_success().filter(|_| evidence.has_unconfirmed())?;
    let mut suites = success.question.suites.clone();
    suites.reverse();
    Some(Question { topic: Topic::Control, suites, name: SniName::Usual, ..success.question.clone() })
}

/// Whether what had succeeded was refused later.
pub(super) fn control_failed(evidence: &Evidence<'_>) -> bool {
    evidence.readings.last().is_some_and(|it| it.question.topic == Topic::Control && !it.succeeded())
}

/// Returns whether the server left every hello unanswered, apart from a small one. A hello with the same version decides
/// whether the length is the cause.
pub(super) fn is_unanswered(evidence: &Evidence<'_>) -> bool {
    let unanswered =
        |it: &Reading<'_>| matches!(it.verdict, ServerDecision::Unclear(Doubt::Silent | Doubt::NotTls));
    let is_small = |it: &Reading<'_>| it.question.topic == Topic::Small;
    let has_small = evidence.readings.iter().any(|it| is_small(it) && it.succeeded());
    evidence.readings.iter().all(|it| is_small(it) || unanswered(it))
        && (!has_small || evidence.asked(Topic::Good))
}

fn once(evidence: &Evidence<'_>, topic: Topic, question: impl FnOnce() -> Question) -> Option<Question> {
    (!evidence.asked(topic)).then(question)
}

/// A hello of less than 256 octets, if the server left a longer one unanswered and has accepted none.
fn small(evidence: &Evidence<'_>, _: WalkSize) -> Option<Question> {
    let silent = |it: &Reading<'_>| matches!(it.verdict, ServerDecision::Unclear(Doubt::Silent));
    let needed = evidence.readings.iter().any(silent) && evidence.last_success().is_none();
    once(evidence, Topic::Small, Question::small).filter(|_| needed)
}

/// The same version in a hello of the usual size, if the server accepted a small one.
fn good_after_small(evidence: &Evidence<'_>, size: WalkSize) -> Option<Question> {
    evidence.of(Topic::Small).any(Reading::succeeded).then(|| good(evidence, size))?
}

fn good(evidence: &Evidence<'_>, size: WalkSize) -> Option<Question> {
    once(evidence, Topic::Good, || {
        let question = Question::new(Topic::Good, Version::Tls12, lists::list(Topic::Good, Version::Tls12));
        Question { compression: true, grease: size != WalkSize::Brief, ..question }
    })
    .filter(|_| !is_refused_by_version(evidence, Version::Tls12))
}

fn old(evidence: &Evidence<'_>, size: WalkSize) -> Option<Question> {
    once(evidence, Topic::Old, || match size {
        WalkSize::Brief => old_with_dhe(Version::Tls11),
        _ => old_question(Topic::Old, Version::Tls11),
    })
}

/// All suites in one hello, which saves a connection if an alert refuses them all. Finite-field Diffie-Hellman is last,
/// so that a server that follows the client's order takes another suite.
fn old_with_dhe(version: Version) -> Question {
    let mut question = old_question(Topic::Old, version);
    question.suites.extend(lists::list(Topic::OldDhe, version));
    question
}

fn old_question(topic: Topic, version: Version) -> Question {
    Question { compression: true, ..Question::new(topic, version, lists::list(topic, version)) }
}

/// A refusal that is not about the version leaves suites with finite-field Diffie-Hellman. In a brief walk, a suite of
/// that kind that the server cannot use may have hidden the others, or a server without newer versions fails on TLS 1.1
/// instead of choosing TLS 1.0: one more hello decides.
fn old_dhe(evidence: &Evidence<'_>, size: WalkSize) -> Option<Question> {
    if size != WalkSize::Brief {
        return dhe_after_refusal(evidence, Version::Tls11);
    }
    let mut asked = evidence.of(Topic::Old).filter(|it| it.question.version == Version::Tls11);
    let refusal = asked.next()?.refusal()?;
    let is_open = match refusal {
        Refusal::Other(_) | Refusal::Closed => true,
        Refusal::Version | Refusal::Parameters => !evidence.has_newer(Version::Tls11),
    };
    let is_asked = evidence.of(Topic::Old).nth(1).is_some();
    let version = if evidence.has_newer(Version::Tls11) { Version::Tls11 } else { Version::Tls10 };
    (is_open && !is_asked).then(|| old_question(Topic::Old, version))
}

fn dhe_after_refusal(evidence: &Evidence<'_>, version: Version) -> Option<Question> {
    let asked = |topic| evidence.of(topic).filter(move |it| it.question.version == version);
    let refusal = asked(Topic::Old).find_map(Reading::refusal)?;
    (refusal != Refusal::Version && asked(Topic::OldDhe).next().is_none())
        .then(|| old_question(Topic::OldDhe, version))
}

/// Below the oldest version that answered. If none of them did, and the reason is not the version, SSL 3.0 alone. A server
/// without newer versions may fail on TLS 1.1 instead of choosing an older version, so each version is asked for.
fn older(evidence: &Evidence<'_>, size: WalkSize) -> Option<Question> {
    let first = evidence.of(Topic::Old).next()?;
    let lowest = evidence.lowest_classic().filter(|version| *version <= Version::Tls11);
    let versions = match (lowest, size) {
        (Some(lowest), _) => [Version::Tls10, Version::Ssl3].into_iter().filter(|it| *it < lowest).collect(),
        (None, WalkSize::Brief) => Vec::new(),
        (None, _) if evidence.has_newer(Version::Tls11) => vec![Version::Ssl3],
        (None, _) => vec![Version::Tls10, Version::Ssl3],
    };
    let is_brief = size == WalkSize::Brief;
    let by_version = |it: &Reading<'_>| {
        it.refusal() == Some(Refusal::Version) && (is_brief || evidence.has_newer(it.question.version))
    };
    if by_version(first) && lowest.is_none() {
        return None;
    }
    // Without any version so far, suites with finite-field Diffie-Hellman may be all that the server has.
    let may_have_dhe = lowest.is_some() || !evidence.has_newer(Version::Tls11);
    for version in versions {
        let mut asked = evidence.of(Topic::Old).filter(|it| it.question.version == version);
        match asked.next() {
            None if is_brief => return Some(old_with_dhe(version)),
            None => return Some(old_question(Topic::Old, version)),
            // The alert about the version settles the older ones.
            Some(it) if by_version(it) => return None,
            Some(it) if it.refusal().is_some() && may_have_dhe && !is_brief => {
                if let Some(question) = dhe_after_refusal(evidence, version) {
                    return Some(question);
                }
            }
            Some(_) => {}
        }
    }
    None
}

fn ssl2(evidence: &Evidence<'_>, _: WalkSize) -> Option<Question> {
    once(evidence, Topic::Ssl2, || {
        let question = Question::new(Topic::Ssl2, Version::Ssl2, Vec::new());
        Question { groups: Vec::new(), schemes: Vec::new(), name: SniName::None, ..question }
    })
}

fn bad(evidence: &Evidence<'_>, size: WalkSize) -> Option<Question> {
    walk_list(evidence, size, Topic::Bad, walked_version(evidence, size)?)
}

fn dhe(evidence: &Evidence<'_>, size: WalkSize) -> Option<Question> {
    walk_list(evidence, size, Topic::Dhe, walked_version(evidence, size)?)
}

fn mid(evidence: &Evidence<'_>, size: WalkSize) -> Option<Question> {
    walk_list(evidence, size, Topic::Mid, walked_version(evidence, size)?)
}

/// The version at which the lists are walked: the best one, as far as it is known. A brief walk asks before it knows.
fn walked_version(evidence: &Evidence<'_>, size: WalkSize) -> Option<Version> {
    match size {
        // If TLS 1.2 was refused, or nothing but an older version answered, the lists are asked there.
        WalkSize::Brief => {
            Some(evidence.best_classic().filter(|_| is_settled(evidence)).unwrap_or(Version::Tls12))
        }
        _ if !is_settled(evidence) => Some(Version::Tls12),
        _ => evidence.best_classic(),
    }
}

/// Whether it is known that the best version so far is the best one: TLS 1.2 answered, or an older version answered a
/// hello that offered TLS 1.2, or every list was refused at TLS 1.2.
fn is_settled(evidence: &Evidence<'_>) -> bool {
    let answered = evidence.accepted().any(|(it, version, ..)| {
        version == Version::Tls12 || (version < Version::Tls12 && it.question.version == Version::Tls12)
    }) || is_refused_by_version(evidence, Version::Tls12);
    let refused = || [Topic::Bad, Topic::Dhe, Topic::Mid].iter().all(|topic| evidence.asked(*topic));
    answered || refused()
}

/// The next part of a list: what was neither accepted nor refused. After an answer a survey drops the whole class, and
/// a full walk only the suite. A brief walk sends each list once, except the list of weak
/// suites: it removes what the server chose and asks again until the server refuses, because a server that prefers anonymous
/// suites may also accept RC4.
fn walk_list(evidence: &Evidence<'_>, size: WalkSize, topic: Topic, version: Version) -> Option<Question> {
    if is_refused_by_version(evidence, version) {
        return None;
    }
    let asked = || evidence.of(topic).filter(|it| it.question.version == version);
    let answered = evidence.accepted().any(|(it, ..)| it.question.topic == topic);
    if size == WalkSize::Brief && topic != Topic::Bad && (answered || asked().next().is_some()) {
        return None;
    }
    let suites = open(evidence, version, &lists::list(topic, version), size == WalkSize::Full);
    // A question that did not succeed is not repeated.
    let repeated =
        asked().any(|it| suites.iter().all(|suite| it.question.suites.contains(suite)) && !it.succeeded());
    (!suites.is_empty() && !repeated).then(|| Question::new(topic, version, suites))
}

/// The suites of a list about which nothing is known at a version.
fn open(evidence: &Evidence<'_>, version: Version, list: &[CipherSuite], by_name: bool) -> Vec<CipherSuite> {
    let accepted = evidence.suites(version);
    let parts: BTreeSet<_> = accepted.iter().map(|suite| lists::part(*suite)).collect();
    let known = |suite: &CipherSuite| {
        accepted.contains(suite)
            || (!by_name && parts.contains(&lists::part(*suite)))
            || evidence.refused(version, *suite).is_some()
    };
    list.iter().copied().filter(|suite| !known(suite)).collect()
}

/// The suites without finite-field Diffie-Hellman that the best version refused, at the oldest version.
fn lowest(evidence: &Evidence<'_>, _: WalkSize) -> Option<Question> {
    let (version, best) = (evidence.lowest_classic()?, evidence.best_classic()?);
    let mut suites = open(evidence, version, &lists::list(Topic::Old, version), false);
    suites.retain(|suite| evidence.refused(best, *suite).is_some());
    once(evidence, Topic::Lowest, || Question::new(Topic::Lowest, version, suites))
        .filter(|question| version < best && !question.suites.is_empty())
}

/// A second exchange with an authenticated DHE suite.
fn reuse(evidence: &Evidence<'_>, _: WalkSize) -> Option<Question> {
    let exchanges = || {
        evidence.accepted().filter(|(_, _, suite, flight)| {
            let signed = suite.info().is_some_and(|info| info.authentication != Authentication::Anonymous);
            signed && matches!(flight.key_exchange, Some(ServerKeyExchange::Dhe { .. }))
        })
    };
    let (_, version, ..) = exchanges().next()?;
    let suites = exchanges().map(|(_, _, suite, _)| suite).collect();
    once(evidence, Topic::Reuse, || Question::new(Topic::Reuse, version, suites))
        .filter(|_| exchanges().count() < 2)
}

/// An old version with TLS_FALLBACK_SCSV, where a newer version is offered.
fn fallback(evidence: &Evidence<'_>, _: WalkSize) -> Option<Question> {
    let version = evidence.lowest_classic().filter(|version| *version <= Version::Tls11)?;
    let newer = evidence.accepted().any(|(_, found, ..)| found > version);
    once(evidence, Topic::Fallback, || {
        Question::new(Topic::Fallback, version, lists::list(Topic::Old, version))
    })
    .filter(|_| newer)
}

fn is_ecdhe(suite: &CipherSuite) -> bool {
    let info = suite.info();
    info.is_some_and(|it| {
        it.key_exchange == KeyExchange::Ecdhe && it.authentication != Authentication::Anonymous
    })
}

/// The signed ECDHE suites that were accepted at the best version.
fn ecdhe(evidence: &Evidence<'_>) -> Option<(Version, Vec<CipherSuite>)> {
    let best = evidence.best_classic()?;
    let mut suites = evidence.suites(best);
    suites.retain(is_ecdhe);
    (!suites.is_empty()).then_some((best, suites))
}

fn weak_curves(evidence: &Evidence<'_>, _: WalkSize) -> Option<Question> {
    let (version, suites) = ecdhe(evidence)?;
    once(evidence, Topic::WeakCurves, || {
        let weak = groups(|info| info.tls12 && info.class <= Strength::Exotic && info.share == 0);
        Question { groups: weak, ..Question::new(Topic::WeakCurves, version, suites) }
    })
}

/// A full walk lists the curves up to TLS 1.2.
fn every_curve(evidence: &Evidence<'_>, size: WalkSize) -> Option<Question> {
    curves::next(evidence, size, || ecdhe(evidence))
}

fn legacy_hash(evidence: &Evidence<'_>, _: WalkSize) -> Option<Question> {
    let (version, suites) = ecdhe(evidence)?;
    once(evidence, Topic::LegacyHash, || {
        let schemes = SignatureScheme::all()
            .filter(|(_, info)| info.class == Strength::Broken)
            .map(|(scheme, _)| scheme)
            .collect();
        Question { schemes, ..Question::new(Topic::LegacyHash, version, suites) }
    })
    .filter(|_| version == Version::Tls12)
}

/// The suites of the key type that was not seen, ECDSA or RSA.
fn other_key(evidence: &Evidence<'_>, _: WalkSize) -> Option<Question> {
    let version = evidence.best_classic()?;
    let seen = |kind| {
        let of_kind = |suite: CipherSuite| suite.info().is_some_and(|info| info.authentication == kind);
        evidence.accepted().any(|(_, _, suite, _)| of_kind(suite))
    };
    let other = match (seen(Authentication::Rsa), seen(Authentication::Ecdsa)) {
        (true, false) => Authentication::Ecdsa,
        (false, true) => Authentication::Rsa,
        _ => return None,
    };
    let mut suites = lists::universe(version);
    suites.retain(|suite| {
        let asked = suite.info().is_some_and(|info| info.authentication == other && !lists::is_dhe(info));
        asked && evidence.refused(version, *suite).is_none()
    });
    once(evidence, Topic::OtherKey, || Question::new(Topic::OtherKey, version, suites))
        .filter(|question| !question.suites.is_empty())
}

/// A full walk lists the suites of every version.
fn every_version(evidence: &Evidence<'_>, size: WalkSize) -> Option<Question> {
    if size != WalkSize::Full {
        return None;
    }
    let mut versions = [Version::Tls12, Version::Tls11, Version::Tls10, Version::Ssl3].into_iter();
    versions.find_map(|version| {
        let lists = [Topic::Bad, Topic::Dhe, Topic::Mid, Topic::Good];
        lists.into_iter().filter(|_| evidence.offers(version)).find_map(|topic| {
            let suites = lists::list(topic, version);
            if topic == Topic::Good && version < Version::Tls12 {
                return None;
            }
            let suites = open(evidence, version, &suites, true);
            // Good suites are a list of the middle here: the topic stands for the first hello with its extensions.
            let topic = if topic == Topic::Good { Topic::Mid } else { topic };
            let repeated = evidence
                .of(topic)
                .any(|it| it.question.version == version && it.question.suites == suites && !it.succeeded());
            (!suites.is_empty() && !repeated).then(|| Question::new(topic, version, suites))
        })
    })
}

/// One class of a list that was refused by closing, or with an alert that does not tell why.
fn split(evidence: &Evidence<'_>, _: WalkSize) -> Option<Question> {
    let best = evidence.best_classic().unwrap_or(Version::Tls12);
    let asked = |suite: &CipherSuite| evidence.of(Topic::Split).any(|it| it.question.suites.contains(suite));
    let assumed = |suite: &CipherSuite| {
        let assumed = matches!(evidence.refused(best, *suite), Some((_, Certainty::Assumed)));
        assumed && !evidence.accepts(best, *suite) && !asked(suite)
    };
    let mut suites: Vec<_> = [Topic::Bad, Topic::Mid, Topic::Dhe]
        .into_iter()
        .flat_map(|topic| lists::list(topic, best))
        .filter(assumed)
        .collect();
    let part = suites.first().map(|suite| lists::part(*suite))?;
    suites.retain(|suite| lists::part(*suite) == part);
    Some(Question::new(Topic::Split, best, suites))
}

/// The first list in reverse, for a name that the server does not know.
fn unknown_name(evidence: &Evidence<'_>, _: WalkSize) -> Option<Question> {
    let success = evidence.of(Topic::Good).find(|it| it.succeeded()).or_else(|| evidence.last_success())?;
    let mut question =
        Question { topic: Topic::UnknownName, name: SniName::Unknown, ..success.question.clone() };
    question.suites.reverse();
    once(evidence, Topic::UnknownName, || question)
        .filter(|question| !matches!(question.version, Version::Ssl2 | Version::Ssl3))
}

/// Another suite of the first list, if both directions of the list got the same one: then the server's order decides,
/// or the server has no other suite of the list.
fn order(evidence: &Evidence<'_>, _: WalkSize) -> Option<Question> {
    let answer = |topic| evidence.of(topic).find_map(Reading::accepted);
    let ((_, forward, _), (_, backward, _)) = (answer(Topic::Good)?, answer(Topic::UnknownName)?);
    let suites = lists::GOOD.into_iter().filter(|suite| *suite != forward).collect();
    once(evidence, Topic::Order, || Question::new(Topic::Order, Version::Tls12, suites))
        .filter(|_| forward == backward)
}
