//! The MTA-STS policies of a service: which one applies, and when it is fetched again.

use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::io;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use starttls_dns::{DnsName, Stub};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use super::{Warn, lock, now};
use crate::drive::{PolicyFetcher, PolicyStore, StoredPolicy, texts};
use crate::sts::{
    self, CacheChange, CachedPolicy, StsAction, StsMode, StsPolicy, StsRecordState, after_fetch,
    cache_change, next_action, parse_record,
};

/// The pause after a failed fetch (RFC 8461 section 3.3).
pub(super) const FETCH_PAUSE: Duration = Duration::from_secs(300);
/// The longest pause after a failed refresh.
const REFRESH_PAUSE: u64 = 3600;
/// The time without a question after which a policy is not fetched again.
const UNUSED: u64 = 30 * 86_400;
/// The most policies that are fetched again at the same time.
const REFRESHES: usize = 4;
/// The longest pause between two searches for policies that are due.
const SEARCH_PAUSE: Duration = Duration::from_secs(60);

/// The policies, and what is needed to fetch them.
#[derive(Debug)]
pub(super) struct Policies {
    stub: Stub,
    fetcher: PolicyFetcher,
    warn: Warn,
    /// The time after which each policy is fetched again, in seconds.
    refresh: u64,
    store: Mutex<PolicyStore>,
    /// When each policy is due, in seconds since 1970.
    due: Mutex<HashMap<DnsName, u64>>,
    /// The ids whose fetch failed, and when.
    failed: Mutex<HashMap<DnsName, (String, Instant)>>,
    pub(super) fetch_failures: AtomicU64,
    pub(super) store_failures: AtomicU64,
}

impl Policies {
    pub(super) fn new(
        stub: Stub,
        fetcher: PolicyFetcher,
        warn: Warn,
        refresh: Duration,
        store: PolicyStore,
    ) -> Self {
        let refresh = refresh.as_secs();
        let due = store.policies().iter();
        let due = due.map(|(name, it)| (name.clone(), it.cached.fetched + spread(refresh, name))).collect();
        Self {
            stub,
            fetcher,
            warn,
            refresh,
            store: Mutex::new(store),
            due: Mutex::new(due),
            failed: Mutex::default(),
            fetch_failures: AtomicU64::default(),
            store_failures: AtomicU64::default(),
        }
    }

    /// Returns all policies, sorted by domain.
    pub(super) fn all(&self) -> Vec<(DnsName, StoredPolicy)> {
        let store = lock(&self.store);
        let mut all: Vec<_> = store.policies().iter().map(|(name, it)| (name.clone(), it.clone())).collect();
        all.sort_unstable_by(|(one, _), (other, _)| one.cmp(other));
        all
    }

    pub(super) fn len(&self) -> usize {
        lock(&self.store).policies().len()
    }

    pub(super) fn get(&self, domain: &DnsName) -> Option<StoredPolicy> {
        lock(&self.store).policies().get(domain).cloned()
    }

    /// Returns the policy of a domain if it has not expired.
    pub(super) fn fresh(&self, domain: &DnsName) -> Option<CachedPolicy> {
        self.get(domain).map(|it| it.cached).filter(|it| it.is_fresh(now()))
    }

    /// Returns the age of the policy that was fetched or confirmed the longest time ago, in seconds. Policies of mode none do
    /// not count (RFC 8461 section 3.3).
    pub(super) fn oldest(&self) -> u64 {
        let (now, store) = (now(), lock(&self.store));
        let counted = store.policies().values().filter(|it| it.cached.policy.mode != StsMode::None);
        counted.map(|it| it.cached.age(now)).max().unwrap_or_default()
    }

    /// Removes the policy of a domain, and returns whether there was one.
    pub(super) fn forget(&self, domain: &DnsName) -> io::Result<bool> {
        lock(&self.failed).remove(domain);
        lock(&self.due).remove(domain);
        lock(&self.store).remove(domain)
    }

    /// Returns the MTA-STS policy that applies now, and how long the answer may be kept, in seconds. `shortest` is the time if
    /// the state of the domain is unknown.
    pub(super) async fn applying(
        &self,
        domain: &DnsName,
        shortest: u32,
    ) -> (Option<Arc<StsPolicy>>, Option<u32>) {
        lock(&self.store).touch(domain, now());
        let cached = self.get(domain).map(|it| it.cached);
        let (record, ttl) = self.record(domain).await;
        let applies = match next_action(cached.as_ref(), &record, now()) {
            StsAction::NoPolicy { .. } => None,
            StsAction::Apply(policy) => Some(policy),
            StsAction::Fetch(id) => self.fetch(domain, &id, cached.as_ref()).await,
        };
        self.keep(domain, cached.as_ref(), applies.as_ref());
        let ttl = match (&applies, &record) {
            (_, StsRecordState::Unknown) => Some(shortest),
            (None, StsRecordState::Id(_)) => Some(FETCH_PAUSE.as_secs() as u32),
            _ => ttl,
        };
        (applies.map(|it| it.policy), ttl)
    }

    async fn record(&self, domain: &DnsName) -> (StsRecordState, Option<u32>) {
        let Ok(name) = sts::record_name(domain) else { return (StsRecordState::Absent, None) };
        match texts(&self.stub, &name).await {
            Err(_) => (StsRecordState::Unknown, None),
            Ok((records, ttl)) => match parse_record(&records) {
                Ok(record) => (StsRecordState::Id(record.id), ttl),
                Err(_) => (StsRecordState::Absent, ttl),
            },
        }
    }

    async fn fetch(&self, domain: &DnsName, id: &str, cached: Option<&CachedPolicy>) -> Option<CachedPolicy> {
        let failed = lock(&self.failed).get(domain).cloned();
        let is_recent = failed.is_some_and(|(failed, at)| failed == id && at.elapsed() < FETCH_PAUSE);
        if is_recent {
            return cached.filter(|it| it.is_fresh(now())).cloned();
        }
        let fetched = self.fetcher.fetch(&self.stub, domain).await;
        if let Err(failure) = &fetched {
            self.fetch_failures.fetch_add(1, Ordering::Relaxed);
            (self.warn)(&format_args!("{domain}: the MTA-STS policy was not fetched: {}", failure.reason()));
            let mut failed = lock(&self.failed);
            failed.retain(|_, (_, at)| at.elapsed() < FETCH_PAUSE);
            failed.insert(domain.clone(), (id.to_owned(), Instant::now()));
        }
        after_fetch(cached, id, fetched.map(|(policy, _)| Arc::new(policy)), now())
    }

    /// Keeps the policy in memory and in the file.
    fn keep(&self, domain: &DnsName, old: Option<&CachedPolicy>, new: Option<&CachedPolicy>) {
        let result = match cache_change(old, new) {
            CacheChange::Keep => return,
            CacheChange::Store(new) => self.put(domain, new.clone(), now()),
            CacheChange::Forget => self.forget(domain).map(drop),
        };
        self.written(domain, result);
    }

    fn put(&self, domain: &DnsName, cached: CachedPolicy, used: u64) -> io::Result<()> {
        let next = now() + spread(self.refresh, domain);
        lock(&self.due).insert(domain.clone(), next);
        lock(&self.store).put(domain.clone(), StoredPolicy { cached, used })
    }

    fn written(&self, domain: &DnsName, result: io::Result<()>) {
        if let Err(error) = result {
            self.store_failures.fetch_add(1, Ordering::Relaxed);
            (self.warn)(&format_args!("{domain}: the file of policies was not written: {error}"));
        }
    }

    /// Fetches each policy again when it is due (RFC 8461 section 10.2), without end. `changed` is called with each domain
    /// whose policy is another one afterwards.
    pub(super) async fn keep_fresh(self: &Arc<Self>, changed: impl Fn(&DnsName)) {
        let pause = Duration::from_secs(self.refresh.max(1)).min(SEARCH_PAUSE);
        let slots = Arc::new(Semaphore::new(REFRESHES));
        loop {
            tokio::time::sleep(pause).await;
            let mut refreshes = JoinSet::new();
            for domain in self.due() {
                let (policies, slots) = (Arc::clone(self), Arc::clone(&slots));
                refreshes.spawn(async move {
                    let _slot = slots.acquire().await;
                    policies.refresh(&domain).await.then_some(domain)
                });
            }
            while let Some(refreshed) = refreshes.join_next().await {
                if let Ok(Some(domain)) = refreshed {
                    changed(&domain);
                }
            }
        }
    }

    /// Returns the domains whose policies are due, and forgets those that have expired.
    fn due(&self) -> Vec<DnsName> {
        let now = now();
        let due: Vec<DnsName> =
            lock(&self.due).iter().filter(|(_, due)| **due <= now).map(|(name, _)| name.clone()).collect();
        let mut refreshed = Vec::new();
        for domain in due {
            match self.get(&domain) {
                Some(policy) if policy.cached.is_fresh(now) => {
                    let is_used = now.saturating_sub(policy.used) < UNUSED;
                    lock(&self.due).insert(domain.clone(), now + self.refresh.min(REFRESH_PAUSE));
                    if is_used {
                        refreshed.push(domain);
                    }
                }
                _ => {
                    let result = self.forget(&domain).map(drop);
                    self.written(&domain, result);
                }
            }
        }
        refreshed
    }

    /// Fetches the policy of a domain again, and returns whether it is another one. Without a record the policy is left to
    /// expire: its owner may have removed it.
    async fn refresh(&self, domain: &DnsName) -> bool {
        let Some(old) = self.get(domain) else { return false };
        let failure = match self.record(domain).await {
            (StsRecordState::Id(id), _) => match self.fetcher.fetch(&self.stub, domain).await {
                Ok((policy, _)) => {
                    let new = CachedPolicy { id, fetched: now(), policy: Arc::new(policy) };
                    let is_other = new.policy != old.cached.policy;
                    let result = self.put(domain, new, old.used);
                    self.written(domain, result);
                    return is_other;
                }
                Err(failure) => failure.reason().to_owned(),
            },
            (StsRecordState::Absent, _) => String::from("it has no record"),
            (StsRecordState::Unknown, _) => String::from("the lookup of its record failed"),
        };
        if old.cached.policy.mode != StsMode::None {
            self.fetch_failures.fetch_add(1, Ordering::Relaxed);
            (self.warn)(&format_args!("{domain}: the MTA-STS policy was not fetched again: {failure}"));
        }
        false
    }
}

/// Returns 90 % to 110 % of the time, a value for each domain, so that policies that were fetched together are not due
/// together.
fn spread(seconds: u64, domain: &DnsName) -> u64 {
    let mut hasher = DefaultHasher::new();
    domain.hash(&mut hasher);
    seconds * (90 + hasher.finish() % 21) / 100
}
