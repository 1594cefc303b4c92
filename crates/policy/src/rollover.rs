//! Changes of keys under DANE: what the published records mean now, and how to get to the next key without a moment at which
//! no record matches (RFC 7671 section 8, RFC 7672 section 4).

use starttls_dns::TlsaData;

use crate::tlsa::{self, PublicKeyFacts};

/// The longest time to live that is recommended, in seconds: after a lost key, mail fails for as long.
pub const RECOMMENDED_TTL: u32 = 3600;

/// How the published records relate to the certificates in use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RolloverState {
    /// No usable record matches: senders that use DANE defer all mail.
    Broken,
    /// Every record matches. A new key needs its record first.
    Single,
    /// A record matches, and another one is ready for a key that is not in use.
    Spare,
    /// The record of the next key is published, and the server still uses the current one.
    PrePublished,
    /// The server uses the next key, and the record of the old one is still published.
    NotRetired,
}

impl RolloverState {
    /// Returns the state in words.
    pub fn text(self) -> &'static str {
        match self {
            Self::Broken => "broken: no usable record matches the certificate in use",
            Self::Single => "steady: the records match; there is no record for another key",
            Self::Spare => "steady, with a spare: a record is ready for a key that is not in use",
            Self::PrePublished => {
                "pre-published: the record of the next key is published, the server uses the current key"
            }
            Self::NotRetired => {
                "switched, not retired: the server uses the next key, an old record is still published"
            }
        }
    }

    /// Returns the name in reports.
    pub fn name(self) -> &'static str {
        match self {
            Self::Broken => "broken",
            Self::Single => "steady-single",
            Self::Spare => "steady-with-spare",
            Self::PrePublished => "pre-published",
            Self::NotRetired => "switched-not-retired",
        }
    }
}

/// Returns the state of the records of a server that presents this chain, its own certificate first. `next` is the key that
/// the server will use, if it is known.
pub fn classify(
    published: &[TlsaData],
    chain: &[PublicKeyFacts],
    next: Option<&PublicKeyFacts>,
) -> RolloverState {
    let usable = tlsa::usable(published);
    let matching = usable.iter().filter(|it| tlsa::matching_index(it, chain).is_some()).count();
    let is_in_use = next.is_some_and(|next| chain.first().is_some_and(|leaf| leaf.spki == next.spki));
    let has_next = next.is_some_and(|next| usable.iter().any(|it| tlsa::matches(it, next)));
    match (matching, usable.len()) {
        (0, _) => RolloverState::Broken,
        (matching, all) if matching == all => RolloverState::Single,
        _ if is_in_use => RolloverState::NotRetired,
        _ if has_next => RolloverState::PrePublished,
        _ => RolloverState::Spare,
    }
}

/// Returns whether the records form a rollover scheme in the terms of internet.nl: two of usage 3, or one of usage 3 and one
/// of usage 2.
pub fn has_rollover_scheme(published: &[TlsaData]) -> bool {
    let count = |usage| published.iter().filter(|it| it.usage == usage && tlsa::fault(it).is_none()).count();
    count(3) >= 2 || (count(3) >= 1 && count(2) >= 1)
}

/// One step of a plan.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RolloverStep {
    /// The earliest time, in seconds after the first step.
    pub after: u64,
    /// What to do.
    pub action: &'static str,
    /// The records in the zone after this step.
    pub zone: Vec<TlsaData>,
    /// The key that the server uses after this step.
    pub server: &'static str,
}

/// Plans the change from the current to the next key. `ttl` is the largest time to live of the old and the new records, or of
/// a negative answer if there were none; `propagation` is the time until every name server has a change. Both are in
/// seconds.
///
/// At each moment, in each cache, a record matches the key in use: the next record is everywhere before the server uses it,
/// and the old record stays until the server no longer does.
pub fn plan(current: &[TlsaData], next: &TlsaData, ttl: u32, propagation: u64) -> Vec<RolloverStep> {
    let mut both = current.to_vec();
    if !both.contains(next) {
        both.push(next.clone());
    }
    // RFC 7671 section 8.1 asks for at least two times the TTL.
    let wait = propagation.saturating_add(2 * u64::from(ttl));
    vec![
        RolloverStep {
            after: 0,
            action: "publish the record of the next key beside the current ones",
            zone: both.clone(),
            server: "current",
        },
        RolloverStep {
            after: wait,
            action: "install the next key on every address of the server, and check it with starttls policy check",
            zone: both,
            server: "next",
        },
        RolloverStep {
            after: wait,
            action: "when every address uses the next key, remove the records of the old one",
            zone: vec![next.clone()],
            server: "next",
        },
    ]
}
