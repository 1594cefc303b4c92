//! Looks up the MTA-STS policy of one domain, for a client that sends mail.

use std::sync::Arc;

use starttls_dns::{DnsName, Stub};

use super::{PolicyFetcher, texts};
use crate::sts::{
    self, CachedPolicy, StsAction, StsFailure, StsRecordFault, StsRecordState, after_fetch, next_action,
    parse_record,
};

/// The MTA-STS state of a domain.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct StsLookup {
    /// The policy that applies now.
    pub applies: Option<CachedPolicy>,
    /// Whether the policy was fetched now. Otherwise it comes from the cache.
    pub is_new: bool,
    /// Why the record or the policy is not known, if it is not. The client then acts as if there was none, or obeys the
    /// policy in its cache (RFC 8461 section 3.3). A missing record is a fault only if a policy in the cache applies.
    pub fault: Option<StsFault>,
}

/// Why the MTA-STS state of a domain is not known.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StsFault {
    /// The lookup of the TXT record failed: the reason.
    Lookup(String),
    /// The TXT record is invalid.
    Record(StsRecordFault),
    /// The policy could not be fetched, or is invalid.
    Policy(StsFailure),
}

impl std::fmt::Display for StsFault {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Lookup(reason) => f.write_str(reason),
            Self::Record(fault) => write!(f, "{fault}"),
            Self::Policy(failure) => f.write_str(failure.reason()),
        }
    }
}

/// Looks up the record, and fetches the policy unless the cached one has the same id. `now` is in seconds since 1970.
pub async fn look_up_sts(
    stub: &Stub,
    fetcher: &PolicyFetcher,
    domain: &DnsName,
    cached: Option<&CachedPolicy>,
    now: u64,
) -> StsLookup {
    // A domain with a name that is too long for the prefix cannot have a policy.
    let Ok(name) = sts::record_name(domain) else { return StsLookup::default() };
    let (record, mut fault) = match texts(stub, &name).await {
        Err(reason) => (StsRecordState::Unknown, Some(StsFault::Lookup(reason))),
        Ok((records, _)) => match parse_record(&records) {
            Ok(record) => (StsRecordState::Id(record.id), None),
            Err(StsRecordFault::Absent) => (StsRecordState::Absent, None),
            Err(fault) => (StsRecordState::Absent, Some(StsFault::Record(fault))),
        },
    };
    let (applies, is_new) = match next_action(cached, &record, now) {
        StsAction::NoPolicy { .. } => (None, false),
        StsAction::Apply(policy) => {
            if record == StsRecordState::Absent {
                fault.get_or_insert(StsFault::Record(StsRecordFault::Absent));
            }
            (Some(policy), false)
        }
        StsAction::Fetch(id) => {
            let fetched = fetcher.fetch(stub, domain).await.map(|(policy, _)| Arc::new(policy));
            let is_new = fetched.is_ok();
            fault = fetched.as_ref().err().cloned().map(StsFault::Policy);
            (after_fetch(cached, &id, fetched, now), is_new)
        }
    };
    StsLookup { applies, is_new, fault }
}
