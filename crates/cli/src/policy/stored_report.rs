//! The MTA-STS policies and answers that a service keeps, as data. The schema is in `docs/schema/policy-stored.json`.

use serde::{Deserialize, Serialize};
use starttls::validity::rfc3339;
use starttls_dns::DnsName;
use starttls_policy::dane::NextHop;
use starttls_policy::drive::{KeptAnswer, StoredPolicy};

/// The policies that a service keeps.
#[derive(Debug, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(crate) struct Report {
    /// Grows when a field changes its meaning or goes.
    pub(crate) schema_version: u32,
    /// The MTA-STS policies, sorted by domain.
    pub(crate) policies: Vec<Entry>,
    /// The answers that the service keeps in memory. Only `show` has them, and only from a running service.
    pub(crate) answers: Vec<Answer>,
}

/// A policy that a service keeps.
#[derive(Debug, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(crate) struct Entry {
    /// The domain, in A-labels.
    pub(crate) domain: String,
    /// The id in the record.
    pub(crate) id: String,
    /// The mode: enforce, testing or none.
    pub(crate) mode: String,
    /// The patterns.
    pub(crate) mx: Vec<String>,
    /// When the policy was fetched or confirmed, in RFC 3339.
    pub(crate) fetched: String,
    /// When the policy ends unless it is confirmed.
    pub(crate) expires: String,
    /// When a mail server last asked for the domain.
    pub(crate) used: String,
    /// The lines of the policy; only `show` has them.
    pub(crate) text: Vec<String>,
}

/// An answer that a service keeps.
#[derive(Debug, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(crate) struct Answer {
    /// The next hop, as Postfix writes it.
    pub(crate) next_hop: String,
    /// The answer to Postfix.
    pub(crate) reply: String,
    /// How long it is kept, in seconds.
    pub(crate) remaining: u64,
}

impl Report {
    pub(crate) fn new(policies: Vec<Entry>, answers: Vec<Answer>) -> Self {
        Self { schema_version: 1, policies, answers }
    }
}

impl Entry {
    pub(crate) fn new(domain: &DnsName, policy: &StoredPolicy, with_text: bool) -> Self {
        let StoredPolicy { cached, used } = policy;
        let time = |seconds: u64| rfc3339(seconds.try_into().unwrap_or(i64::MAX));
        Self {
            domain: domain.to_string(),
            id: cached.id.clone(),
            mode: cached.policy.mode.name().to_owned(),
            mx: cached.policy.mx.iter().map(ToString::to_string).collect(),
            fetched: time(cached.fetched),
            expires: time(cached.fetched.saturating_add(cached.policy.max_age)),
            used: time(*used),
            text: if with_text { cached.policy.lines.clone() } else { Vec::new() },
        }
    }
}

impl Answer {
    pub(crate) fn new(kept: &KeptAnswer) -> Self {
        let name = match &kept.next_hop {
            NextHop::Domain(name) => name.to_string(),
            NextHop::Host(name) => format!("[{name}]"),
        };
        let port = if kept.port == 25 { String::new() } else { format!(":{}", kept.port) };
        Self {
            next_hop: format!("{name}{port}"),
            reply: kept.reply.to_string(),
            remaining: kept.remaining.as_secs(),
        }
    }
}
