//! TLS 1.3: suites and groups are walked in the same hellos, since a HelloRetryRequest names both.

use std::collections::BTreeSet;

use super::evidence::{Evidence, Refusal, ServerDecision};
use super::{WalkSize, lists};
use crate::question::{Question, Topic, groups};
use crate::table::{CipherSuite, NamedGroup, Strength};
use crate::version::Version;

fn question(topic: Topic) -> Question {
    Question::new(topic, Version::Tls13, lists::modern_suites())
}

/// TLS 1.3 with everything.
pub(super) fn first(evidence: &Evidence<'_>, _: WalkSize) -> Option<Question> {
    (!evidence.asked(Topic::Modern)).then(|| Question { grease: true, ..question(Topic::Modern) })
}

/// The same with a key share and without GREASE, if the first hello was refused without a clear reason.
pub(super) fn share(evidence: &Evidence<'_>, _: WalkSize) -> Option<Question> {
    let first = evidence.of(Topic::Modern).next()?;
    let clear = matches!(
        first.verdict,
        ServerDecision::Accepted { .. } | ServerDecision::Refused(Refusal::Version | Refusal::Parameters)
    );
    (!clear && !evidence.asked(Topic::ModernShare))
        .then(|| Question { share: true, ..question(Topic::ModernShare) })
}

/// Post-quantum groups only, if the first answer named another group.
pub(super) fn post_quantum(evidence: &Evidence<'_>, _: WalkSize) -> Option<Question> {
    let found = evidence.modern_accepted().filter_map(|(_, group)| group).any(NamedGroup::is_post_quantum);
    let asked = evidence.asked(Topic::PostQuantum) || !evidence.offers(Version::Tls13) || found;
    (!asked).then(|| Question {
        groups: groups(|info| info.tls13 && info.class == Strength::PostQuantum),
        share: evidence.needs_share(),
        ..question(Topic::PostQuantum)
    })
}

/// The suites and groups that were not seen, both at once while that works.
pub(super) fn walk(evidence: &Evidence<'_>, size: WalkSize) -> Option<Question> {
    let share = evidence.needs_share();
    if !evidence.offers(Version::Tls13) || has_unclear(evidence) {
        return None;
    }
    let suites = open_suites(evidence);
    let groups = open_groups(evidence, size);
    let all_groups = question(Topic::Modern).groups;
    let known = |suites: &[CipherSuite], groups: &[NamedGroup]| {
        suites.is_empty() || groups.is_empty() || is_refused(evidence, suites, groups)
    };
    let next = |suites: Vec<CipherSuite>, groups: Vec<NamedGroup>| {
        Some(Question { suites, groups, share, ..question(Topic::Modern) })
    };
    if !known(&suites, &groups) {
        next(suites, groups)
    } else if !known(&suites, &all_groups) {
        next(suites, all_groups)
    } else if !known(&lists::modern_suites(), &groups) {
        next(lists::modern_suites(), groups)
    } else {
        None
    }
}

/// Whether the server already refused these suites with these groups.
fn is_refused(evidence: &Evidence<'_>, suites: &[CipherSuite], groups: &[NamedGroup]) -> bool {
    evidence.of(Topic::Modern).any(|reading| {
        let question = reading.question;
        reading.refusal().is_some()
            && question.share == evidence.needs_share()
            && suites.iter().all(|suite| question.suites.contains(suite))
            && groups.iter().all(|group| question.groups.contains(group))
    })
}

/// Whether an answer on the way cannot be read: then further questions lead nowhere.
fn has_unclear(evidence: &Evidence<'_>) -> bool {
    evidence.of(Topic::Modern).skip(1).any(|reading| matches!(reading.verdict, ServerDecision::Unclear(_)))
}

fn open_suites(evidence: &Evidence<'_>) -> Vec<CipherSuite> {
    let mut suites = lists::modern_suites();
    suites.retain(|suite| {
        !evidence.accepts(Version::Tls13, *suite) && evidence.modern_suite_refused(*suite).is_none()
    });
    suites
}

/// The groups of the kinds that were not seen, or in a full walk the groups that were not seen.
fn open_groups(evidence: &Evidence<'_>, size: WalkSize) -> Vec<NamedGroup> {
    let kind = |group: NamedGroup| group.info().map(|info| info.kind);
    let accepted: Vec<_> = evidence.modern_accepted().filter_map(|(_, group)| group).collect();
    let kinds: BTreeSet<_> = accepted.iter().map(|group| kind(*group)).collect();
    let mut groups = question(Topic::Modern).groups;
    groups.retain(|group| {
        let known = match size {
            WalkSize::Full => accepted.contains(group),
            _ => kinds.contains(&kind(*group)),
        };
        !known && evidence.modern_group_refused(*group).is_none()
    });
    groups
}
