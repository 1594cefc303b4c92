//! Answers a mail server, from a cache.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use starttls_dns::{DnsName, Stub};
use tokio::sync::OnceCell;

use super::{PolicyFetcher, PolicyStore, domain_facts, texts};
use crate::dane::{DomainFacts, ExchangerState, NextHop};
use crate::decide::{DaneState, Decision, PartialDane, decide};
use crate::socketmap::{MapReply, MapRequest, next_hop, reply};
use crate::sts::{
    self, CachedPolicy, StsAction, StsPolicy, StsRecordState, after_fetch, next_action, parse_record,
};

/// The time limit of an answer. A lookup that takes longer goes on, and its result is in the cache for the next question.
const ANSWER_LIMIT: Duration = Duration::from_secs(12);
/// The part of it that MTA-STS may take.
const STS_LIMIT: Duration = Duration::from_secs(8);
/// The time for which a failed lookup is kept.
const FAILED: Duration = Duration::from_secs(30);
/// The limits for the time that other answers are kept.
const SHORTEST: u32 = 60;
const LONGEST: u32 = 3600;
/// The pause after a failed fetch (RFC 8461 section 3.3).
const FETCH_PAUSE: Duration = Duration::from_secs(300);
/// The most domains in the cache.
const MAX_ENTRIES: usize = 200_000;

/// How a service decides.
#[derive(Clone, Copy, Debug)]
pub struct ServiceSettings {
    /// Whether DANE is used. It needs a resolver that validates.
    pub dane: bool,
    /// The answer for domains that only some hosts of have TLSA records.
    pub partial: PartialDane,
}

/// Numbers for monitoring.
#[derive(Debug, Default)]
pub struct ServiceCounters {
    /// The questions.
    pub requests: AtomicU64,
    /// The answers that were in the cache.
    pub cached: AtomicU64,
    /// The answers that defer mail.
    pub deferred: AtomicU64,
    /// The fetches of a policy that failed.
    pub fetch_failures: AtomicU64,
    /// The policies that could not be written to the file.
    pub store_failures: AtomicU64,
}

/// Answers questions about domains. It is cheap to clone.
#[derive(Clone, Debug)]
pub struct PolicyService(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    stub: Stub,
    fetcher: PolicyFetcher,
    settings: ServiceSettings,
    cache: Mutex<HashMap<(NextHop, u16), Slot>>,
    policies: Mutex<HashMap<DnsName, CachedPolicy>>,
    store: Option<Mutex<PolicyStore>>,
    /// The ids whose fetch failed, and when.
    failed: Mutex<HashMap<DnsName, (String, Instant)>>,
    counters: ServiceCounters,
}

/// A place for one answer: the first question fills it, and later ones wait for it.
type Slot = Arc<OnceCell<Entry>>;

#[derive(Debug)]
struct Entry {
    decision: Decision,
    policy: Option<Arc<StsPolicy>>,
    until: Instant,
}

impl PolicyService {
    /// Returns a service. `store` keeps the policies, and contains those that are given.
    pub fn new(
        stub: Stub,
        fetcher: PolicyFetcher,
        settings: ServiceSettings,
        store: Option<(PolicyStore, HashMap<DnsName, CachedPolicy>)>,
    ) -> Self {
        let (store, policies) =
            store.map_or((None, HashMap::new()), |(store, known)| (Some(Mutex::new(store)), known));
        Self(Arc::new(Shared {
            stub,
            fetcher,
            settings,
            cache: Mutex::default(),
            policies: Mutex::new(policies),
            store,
            failed: Mutex::default(),
            counters: ServiceCounters::default(),
        }))
    }

    /// Returns the numbers for monitoring.
    pub fn counters(&self) -> &ServiceCounters {
        &self.0.counters
    }

    /// Returns the number of MTA-STS policies.
    pub fn policies(&self) -> usize {
        lock(&self.0.policies).len()
    }

    /// Answers a request of Postfix.
    pub async fn answer(&self, request: &MapRequest) -> MapReply {
        self.0.counters.requests.fetch_add(1, Ordering::Relaxed);
        let tlsrpt = match request.map.to_ascii_lowercase().as_str() {
            "query" | "postfix" => false,
            "querywithtlsrpt" => true,
            _ => return MapReply::Permanent(String::from("unknown map: expected QUERY or QUERYwithTLSRPT")),
        };
        let Some((hop, port)) = next_hop(&request.key) else { return MapReply::NotFound };
        let slot = self.slot(&hop, port);
        if slot.initialized() {
            self.0.counters.cached.fetch_add(1, Ordering::Relaxed);
        }
        let (service, name) = (self.clone(), hop.name().clone());
        let filling = slot.clone();
        // A task of its own: a client that leaves does not end the lookup.
        let work = async move {
            filling.get_or_init(|| service.look_up(&hop, port)).await;
        };
        if !slot.initialized() && tokio::time::timeout(ANSWER_LIMIT, tokio::spawn(work)).await.is_err() {
            self.0.counters.deferred.fetch_add(1, Ordering::Relaxed);
            return MapReply::Temporary(format!(
                "{name}: the lookup takes longer than {} s",
                ANSWER_LIMIT.as_secs()
            ));
        }
        let Some(entry) = slot.get() else {
            return MapReply::Temporary(format!("{name}: the lookup failed"));
        };
        if matches!(entry.decision, Decision::Defer(_)) {
            self.0.counters.deferred.fetch_add(1, Ordering::Relaxed);
        }
        reply(&entry.decision, &name, entry.policy.as_deref(), tlsrpt)
    }

    /// Returns the place of an answer, a new one if the old answer has expired.
    fn slot(&self, hop: &NextHop, port: u16) -> Slot {
        let mut cache = lock(&self.0.cache);
        let is_fresh = |slot: &Slot| slot.get().is_none_or(|it| it.until > Instant::now());
        let key = (hop.clone(), port);
        if let Some(slot) = cache.get(&key).filter(|it| is_fresh(it)) {
            return slot.clone();
        }
        if cache.len() >= MAX_ENTRIES {
            cache.retain(|_, slot| is_fresh(slot));
        }
        if cache.len() >= MAX_ENTRIES {
            // Answers without a policy are cheap to find again.
            cache.retain(|_, slot| slot.get().is_none_or(|it| it.decision != Decision::NoPolicy));
        }
        if cache.len() >= MAX_ENTRIES {
            cache.clear();
        }
        let slot = Slot::default();
        cache.insert(key, slot.clone());
        slot
    }

    async fn look_up(&self, hop: &NextHop, port: u16) -> Entry {
        let facts = async {
            match self.0.settings.dane {
                true => domain_facts(&self.0.stub, hop, port).await,
                // Without DANE, MX records decide nothing here.
                false => DomainFacts {
                    exchangers: ExchangerState::Known { secure: false, from_mx: true },
                    hosts: Vec::new(),
                    steps: Vec::new(),
                    ttl: None,
                },
            }
        };
        let (facts, (policy, ttl)) = tokio::join!(facts, self.sts_in_time(hop.name()));
        let decision = decide(&facts, policy.as_deref(), self.0.settings.partial);
        let kept = match DaneState::of(&facts) {
            DaneState::Failed | DaneState::AllButFailed => FAILED,
            _ => {
                let ttl = facts.ttl.into_iter().chain(ttl).min().unwrap_or(SHORTEST);
                Duration::from_secs(ttl.clamp(SHORTEST, LONGEST).into())
            }
        };
        Entry { decision, policy, until: Instant::now() + kept }
    }

    /// Returns what [`sts`](Self::sts) does, or the policy that is known already if that takes too long: mail to a domain that
    /// never had a policy must not wait for its policy host. The task goes on, and the next answer has its result.
    async fn sts_in_time(&self, domain: &DnsName) -> (Option<Arc<StsPolicy>>, Option<u32>) {
        let (service, name) = (self.clone(), domain.clone());
        let task = tokio::spawn(async move { service.sts(&name).await });
        match tokio::time::timeout(STS_LIMIT, task).await {
            Ok(Ok(found)) => found,
            _ => {
                let known = lock(&self.0.policies).get(domain).filter(|it| it.is_fresh(now())).cloned();
                (known.map(|it| it.policy), Some(SHORTEST))
            }
        }
    }

    /// Returns the MTA-STS policy that applies now, and how long the answer may be kept, in seconds.
    async fn sts(&self, domain: &DnsName) -> (Option<Arc<StsPolicy>>, Option<u32>) {
        let cached = lock(&self.0.policies).get(domain).cloned();
        let Ok(name) = sts::record_name(domain) else { return (None, None) };
        let (record, ttl) = match texts(&self.0.stub, &name).await {
            Err(_) => (StsRecordState::Unknown, Some(SHORTEST)),
            Ok((records, ttl)) => match parse_record(&records) {
                Ok(record) => (StsRecordState::Id(record.id), ttl),
                Err(_) => (StsRecordState::Absent, ttl),
            },
        };
        let applies = match next_action(cached.as_ref(), &record, now()) {
            StsAction::NoPolicy { .. } => None,
            StsAction::Apply(policy) => Some(policy),
            StsAction::Fetch(id) => self.fetch(domain, &id, cached.as_ref()).await,
        };
        self.keep(domain, cached.as_ref(), applies.as_ref());
        let ttl = if applies.is_none() && matches!(record, StsRecordState::Id(_)) {
            Some(FETCH_PAUSE.as_secs() as u32)
        } else {
            ttl
        };
        (applies.map(|it| it.policy), ttl)
    }

    async fn fetch(&self, domain: &DnsName, id: &str, cached: Option<&CachedPolicy>) -> Option<CachedPolicy> {
        let failed = lock(&self.0.failed).get(domain).cloned();
        let is_recent = failed.is_some_and(|(failed, at)| failed == id && at.elapsed() < FETCH_PAUSE);
        if is_recent {
            return cached.filter(|it| it.is_fresh(now())).cloned();
        }
        let fetched = self.0.fetcher.fetch(&self.0.stub, domain).await;
        if fetched.is_err() {
            self.0.counters.fetch_failures.fetch_add(1, Ordering::Relaxed);
            let mut failed = lock(&self.0.failed);
            failed.retain(|_, (_, at)| at.elapsed() < FETCH_PAUSE);
            failed.insert(domain.clone(), (id.to_owned(), Instant::now()));
        }
        after_fetch(cached, id, fetched.map(|(policy, _)| Arc::new(policy)), now())
    }

    /// Keeps the policy in memory and in the file. The time of a policy with the same id is written once a day.
    fn keep(&self, domain: &DnsName, old: Option<&CachedPolicy>, new: Option<&CachedPolicy>) {
        let Some(new) = new else {
            let mut policies = lock(&self.0.policies);
            policies.retain(|name, it| name != domain || it.is_fresh(now()));
            return;
        };
        let is_known =
            old.is_some_and(|old| old.id == new.id && new.fetched.saturating_sub(old.fetched) < 86_400);
        if is_known {
            return;
        }
        lock(&self.0.policies).insert(domain.clone(), new.clone());
        if let Some(store) = &self.0.store
            && lock(store).put(domain, Some(new)).is_err()
        {
            self.0.counters.store_failures.fetch_add(1, Ordering::Relaxed);
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Returns the seconds since 1970.
fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs()
}
