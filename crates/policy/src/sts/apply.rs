//! When a policy applies (RFC 8461 sections 3.3, 5 and 10.2).

use std::sync::Arc;

use super::{StsFailure, StsPolicy};

/// A policy that was fetched earlier. Times are in seconds since 1970.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CachedPolicy {
    /// The id in the TXT record at that time.
    pub id: String,
    /// When the policy was fetched, or last confirmed by a record with the same id.
    pub fetched: u64,
    /// The policy.
    pub policy: Arc<StsPolicy>,
}

impl CachedPolicy {
    /// Returns the age in seconds; 0 if the clock went back since.
    pub fn age(&self, now: u64) -> u64 {
        now.saturating_sub(self.fetched)
    }

    /// Returns whether the policy still applies.
    pub fn is_fresh(&self, now: u64) -> bool {
        self.age(now) < self.policy.max_age
    }
}

/// The TXT record as it is now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StsRecordState {
    /// The domain has no valid record.
    Absent,
    /// The lookup failed.
    Unknown,
    /// The record has this id.
    Id(String),
}

/// What to do with the record and the cached policy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StsAction {
    /// The domain has no policy. If the record is unknown, ask again soon.
    NoPolicy {
        /// Whether the lookup failed.
        retry_soon: bool,
    },
    /// The cached policy applies.
    Apply(CachedPolicy),
    /// Fetch the policy with this id, then call [`after_fetch`].
    Fetch(String),
}

/// Decides what the record and the cached policy require. A cached policy survives a missing record: an attacker who can
/// suppress the record must not be able to end the policy (RFC 8461 section 3.3).
pub fn next_action(cached: Option<&CachedPolicy>, record: &StsRecordState, now: u64) -> StsAction {
    let fresh = cached.filter(|it| it.is_fresh(now));
    match (fresh, record) {
        (Some(cached), StsRecordState::Id(id)) if *id == cached.id => {
            StsAction::Apply(CachedPolicy { fetched: now, ..cached.clone() })
        }
        (_, StsRecordState::Id(id)) => StsAction::Fetch(id.clone()),
        (Some(cached), _) => StsAction::Apply(cached.clone()),
        (None, StsRecordState::Absent) => StsAction::NoPolicy { retry_soon: false },
        (None, StsRecordState::Unknown) => StsAction::NoPolicy { retry_soon: true },
    }
}

/// Returns the policy that applies after an attempt to fetch the one with this id. A new policy replaces the cached one at
/// once. After a failure the cached one stays while it is fresh; without one the domain has no policy (RFC 8461 section 3.3).
pub fn after_fetch(
    cached: Option<&CachedPolicy>,
    id: &str,
    fetched: Result<Arc<StsPolicy>, StsFailure>,
    now: u64,
) -> Option<CachedPolicy> {
    match fetched {
        Ok(policy) => {
            let new = CachedPolicy { id: id.to_owned(), fetched: now, policy };
            // A policy with max_age 0 is valid but never applies.
            new.is_fresh(now).then_some(new)
        }
        Err(_) => cached.filter(|it| it.is_fresh(now)).cloned(),
    }
}
