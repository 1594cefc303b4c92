//! The curves of TLS 1.2 and older by name, for a full walk.

use super::WalkSize;
use super::evidence::{Certainty, Evidence, Reading};
use super::facts::{Known, ServerFacts, Support};
use crate::question::{Question, Topic, groups};
use crate::table::{GroupInfo, GroupKind, NamedGroup, Strength};
use crate::version::Version;

/// Returns whether this is a curve that is neither weak nor unusual.
fn is_usual(info: &GroupInfo) -> bool {
    let is_curve = !matches!(info.kind, GroupKind::Ffdhe | GroupKind::Gost);
    info.tls12 && is_curve && info.class > Strength::Exotic
}

/// The usual curves that no answer used, until the server refuses the rest. `ecdhe` returns a version and its suites.
pub(super) fn next(
    evidence: &Evidence<'_>,
    size: WalkSize,
    ecdhe: impl FnOnce() -> Option<(Version, Vec<crate::CipherSuite>)>,
) -> Option<Question> {
    let settled = evidence.of(Topic::Curves).any(|reading| !reading.succeeded());
    if size != WalkSize::Full || settled {
        return None;
    }
    let (version, suites) = ecdhe()?;
    let mut open = groups(is_usual);
    open.retain(|group| !found(evidence).any(|(_, known)| known == *group));
    (!open.is_empty()).then(|| Question { groups: open, ..Question::new(Topic::Curves, version, suites) })
}

/// The curves of TLS 1.2 and older that were used.
fn found<'e>(evidence: &'e Evidence<'_>) -> impl Iterator<Item = (&'e Reading<'e>, NamedGroup)> {
    evidence.readings.iter().filter_map(|reading| {
        let (version, ..) = reading.accepted()?;
        let group = reading.group().filter(|_| version < Version::Tls13)?;
        Some((reading, group))
    })
}

impl ServerFacts<'_> {
    /// Returns whether a curve is offered in TLS 1.2 and older.
    pub fn classic_group(&self, group: NamedGroup) -> Known<Support> {
        if let Some((reading, _)) = found(&self.evidence).find(|(_, known)| *known == group) {
            return Known::witnessed(Support::Offered, reading);
        }
        let mut refusals = self.evidence.of(Topic::Curves).filter(|it| it.refusal().is_some());
        match refusals.find(|it| it.question.groups.contains(&group)) {
            Some(reading) => self.confirmed(reading.at, reading.certainty().min(Certainty::Implied)),
            None => Known::Unasked,
        }
    }
}
