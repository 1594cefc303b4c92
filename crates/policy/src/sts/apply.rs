//! When a policy applies (RFC 8461 sections 3.3, 5 and 10.2).

use std::sync::Arc;

use super::{StsFailure, StsPolicy};

/// The time after which a policy with the same id is stored again with its new time, in seconds.
const CONFIRM: u64 = 86_400;

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

/// How the cache changes after the policy of a domain was looked up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CacheChange<'a> {
    /// Nothing changes.
    Keep,
    /// This policy replaces the cached one.
    Store(&'a CachedPolicy),
    /// The cached policy is removed.
    Forget,
}

/// Returns how the cache changes if this policy applies now, or none. The time of a policy with the same id is stored once a
/// day. No policy applies in place of a cached one only if that has expired or was replaced by one with `max_age` 0.
pub fn cache_change<'a>(cached: Option<&CachedPolicy>, applies: Option<&'a CachedPolicy>) -> CacheChange<'a> {
    let is_confirmed = |new: &CachedPolicy| {
        cached.is_some_and(|old| old.id == new.id && new.fetched.saturating_sub(old.fetched) < CONFIRM)
    };
    match applies {
        Some(new) if is_confirmed(new) => CacheChange::Keep,
        Some(new) => CacheChange::Store(new),
        None if cached.is_some() => CacheChange::Forget,
        None => CacheChange::Keep,
    }
}
