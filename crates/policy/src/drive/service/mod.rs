//! Answers a mail server, from a cache.

mod cache;
mod policies;

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};
use std::{fmt, io};

use starttls_dns::{DnsName, Stub};

use super::{PolicyFetcher, PolicyStore, StoredPolicy, domain_facts};
use crate::dane::{DomainFacts, ExchangerState, NextHop};
use crate::decide::{DaneState, Decision, PartialDane, decide};
use crate::socketmap::{MapReply, MapRequest, next_hop, reply};
use crate::sts::StsPolicy;
use cache::{AnswerCache, Entry};
use policies::Policies;

/// The time limit of an answer. A lookup that takes longer goes on, and its result is in the cache for the next question.
const ANSWER_LIMIT: Duration = Duration::from_secs(12);
/// The part of it that MTA-STS may take.
const STS_LIMIT: Duration = Duration::from_secs(8);
/// The time for which a failed lookup is kept.
const FAILED: Duration = Duration::from_secs(30);
/// The limits for the time that other answers are kept.
const SHORTEST: u32 = 60;
const LONGEST: u32 = 3600;

/// Writes a warning to the log.
pub type Warn = fn(&dyn fmt::Display);

/// How a service decides.
#[derive(Clone, Copy, Debug)]
pub struct ServiceSettings {
    /// Whether DANE is used. It needs a resolver that validates.
    pub dane: bool,
    /// The answer for domains that only some hosts of have TLSA records.
    pub partial: PartialDane,
    /// The time after which MTA-STS policies are fetched again.
    pub refresh: Duration,
    /// Where warnings go.
    pub warn: Warn,
}

/// Numbers for monitoring.
#[derive(Clone, Copy, Debug)]
pub struct ServiceNumbers {
    /// The questions.
    pub requests: u64,
    /// The questions that the cache answered.
    pub cached: u64,
    /// The answers that defer mail.
    pub deferred: u64,
    /// The fetches of a policy that failed.
    pub fetch_failures: u64,
    /// The policies that could not be written to the file.
    pub store_failures: u64,
    /// The answers in the cache.
    pub answers: usize,
    /// The MTA-STS policies.
    pub policies: usize,
    /// The age of the policy that was fetched or confirmed the longest time ago, in seconds.
    pub oldest_policy: u64,
}

/// An answer in the cache.
#[derive(Clone, Debug)]
pub struct KeptAnswer {
    /// The next hop of the mail.
    pub next_hop: NextHop,
    /// Its port.
    pub port: u16,
    /// The answer to the mail server.
    pub reply: MapReply,
    /// How long it is kept.
    pub remaining: Duration,
}

/// Answers questions about domains. It is cheap to clone.
#[derive(Clone, Debug)]
pub struct PolicyService(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    stub: Stub,
    settings: ServiceSettings,
    cache: AnswerCache,
    policies: Arc<Policies>,
    requests: AtomicU64,
    cached: AtomicU64,
    deferred: AtomicU64,
}

impl PolicyService {
    /// Returns a service that keeps the MTA-STS policies in this store.
    pub fn new(stub: Stub, fetcher: PolicyFetcher, settings: ServiceSettings, store: PolicyStore) -> Self {
        let policies = Policies::new(stub.clone(), fetcher, settings.warn, settings.refresh, store);
        Self(Arc::new(Shared {
            stub,
            settings,
            cache: AnswerCache::default(),
            policies: Arc::new(policies),
            requests: AtomicU64::default(),
            cached: AtomicU64::default(),
            deferred: AtomicU64::default(),
        }))
    }

    /// Returns the numbers for monitoring.
    pub fn numbers(&self) -> ServiceNumbers {
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        let policies = &self.0.policies;
        ServiceNumbers {
            requests: read(&self.0.requests),
            cached: read(&self.0.cached),
            deferred: read(&self.0.deferred),
            fetch_failures: read(&policies.fetch_failures),
            store_failures: read(&policies.store_failures),
            answers: self.0.cache.len(),
            policies: policies.len(),
            oldest_policy: policies.oldest(),
        }
    }

    /// Returns the MTA-STS policies, sorted by domain.
    pub fn policies(&self) -> Vec<(DnsName, StoredPolicy)> {
        self.0.policies.all()
    }

    /// Returns the MTA-STS policy of a domain.
    pub fn policy(&self, domain: &DnsName) -> Option<StoredPolicy> {
        self.0.policies.get(domain)
    }

    /// Returns the answers for a domain in the cache.
    pub fn answers(&self, domain: &DnsName) -> Vec<KeptAnswer> {
        let now = Instant::now();
        let kept = self.0.cache.of(domain).into_iter().filter_map(|(next_hop, port, slot)| {
            let entry = slot.get().filter(|it| it.until > now)?;
            let reply = reply(&entry.decision, domain, entry.policy.as_deref(), false);
            Some(KeptAnswer { next_hop, port, reply, remaining: entry.until - now })
        });
        kept.collect()
    }

    /// Forgets the MTA-STS policy and the answers for a domain, and returns whether there were any. The next question looks
    /// everything up again.
    ///
    /// # Errors
    /// The error of the file system: a restart may then find the policy again.
    pub fn forget(&self, domain: &DnsName) -> io::Result<bool> {
        let had_policy = self.0.policies.forget(domain);
        let had_answer = self.0.cache.forget(domain);
        Ok(had_policy? || had_answer)
    }

    /// Fetches each MTA-STS policy again when it is due, without end.
    pub async fn keep_fresh(&self) {
        let changed = |domain: &DnsName| {
            self.0.cache.forget(domain);
        };
        self.0.policies.keep_fresh(changed).await;
    }

    /// Answers a request of Postfix.
    pub async fn answer(&self, request: &MapRequest) -> MapReply {
        self.0.requests.fetch_add(1, Ordering::Relaxed);
        let is = |name: &str| request.map.eq_ignore_ascii_case(name);
        let tlsrpt = is("QUERYwithTLSRPT");
        if !tlsrpt && !is("QUERY") && !is("postfix") {
            return MapReply::Permanent(String::from("unknown map: expected QUERY or QUERYwithTLSRPT"));
        }
        let Some((hop, port)) = next_hop(&request.key) else { return MapReply::NotFound };
        let slot = self.0.cache.slot(&hop, port);
        if slot.initialized() {
            self.0.cached.fetch_add(1, Ordering::Relaxed);
        }
        let (service, name) = (self.clone(), hop.name().clone());
        let filling = slot.clone();
        // A task of its own: a client that leaves does not end the lookup.
        let work = async move {
            filling.get_or_init(|| service.look_up(&hop, port)).await;
        };
        if !slot.initialized() && tokio::time::timeout(ANSWER_LIMIT, tokio::spawn(work)).await.is_err() {
            self.0.deferred.fetch_add(1, Ordering::Relaxed);
            return MapReply::Temporary(format!(
                "{name}: the lookup takes longer than {} s",
                ANSWER_LIMIT.as_secs()
            ));
        }
        let Some(entry) = slot.get() else {
            return MapReply::Temporary(format!("{name}: the lookup failed"));
        };
        if matches!(entry.decision, Decision::Defer(_)) {
            self.0.deferred.fetch_add(1, Ordering::Relaxed);
        }
        reply(&entry.decision, &name, entry.policy.as_deref(), tlsrpt)
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

    /// Returns the MTA-STS policy that applies, or the policy that is known already if that takes too long: mail to a domain
    /// that never had a policy must not wait for its policy host. The task goes on, and the next answer has its result.
    async fn sts_in_time(&self, domain: &DnsName) -> (Option<Arc<StsPolicy>>, Option<u32>) {
        let (policies, name) = (self.0.policies.clone(), domain.clone());
        let task = tokio::spawn(async move { policies.applying(&name, SHORTEST).await });
        match tokio::time::timeout(STS_LIMIT, task).await {
            Ok(Ok(found)) => found,
            _ => (self.0.policies.fresh(domain).map(|it| it.policy), Some(SHORTEST)),
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
