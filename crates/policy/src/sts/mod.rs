//! MTA-STS (RFC 8461): the TXT record, the policy text, and when a policy applies.

mod apply;
mod author;
mod pattern;
mod record;
mod text;

pub use apply::{
    CacheChange, CachedPolicy, StsAction, StsRecordState, after_fetch, cache_change, next_action,
};
pub use author::StsDraft;
pub use pattern::MxPattern;
pub use record::{StsRecord, StsRecordFault, parse_record};
pub use text::{MAX_POLICY, StsMode, StsPolicy, StsRemark, StsText, parse_policy};

use starttls_dns::{DnsName, InvalidName};

/// The longest time that a policy is kept, in seconds (RFC 8461 section 3.2).
pub const MAX_AGE_LIMIT: u64 = 31_557_600;

/// The path of the policy on its host (RFC 8461 section 3.3).
pub const POLICY_PATH: &str = "/.well-known/mta-sts.txt";

/// Returns the name of the TXT record: `_mta-sts.example.com`.
///
/// # Errors
/// [`InvalidName`] if the name would be too long.
pub fn record_name(domain: &DnsName) -> Result<DnsName, InvalidName> {
    domain.below("_mta-sts")
}

/// Returns the host that serves the policy: `mta-sts.example.com`.
///
/// # Errors
/// [`InvalidName`] if the name would be too long.
pub fn policy_host(domain: &DnsName) -> Result<DnsName, InvalidName> {
    domain.below("mta-sts")
}

/// Why a policy is not available, in the terms of TLSRPT (RFC 8460 section 4.3.2.1).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StsFailure {
    /// The certificate of the policy host is not valid for it.
    WebPki(String),
    /// The policy could not be fetched: no connection, no answer in time, another status than 200, too large, wrong type.
    Fetch(String),
    /// The policy was fetched and is invalid.
    Invalid(String),
}

impl StsFailure {
    /// Returns the result type in TLSRPT.
    pub fn result_type(&self) -> &'static str {
        match self {
            Self::WebPki(_) => "sts-webpki-invalid",
            Self::Fetch(_) => "sts-policy-fetch-error",
            Self::Invalid(_) => "sts-policy-invalid",
        }
    }

    /// Returns the reason, as a clause.
    pub fn reason(&self) -> &str {
        let (Self::WebPki(reason) | Self::Fetch(reason) | Self::Invalid(reason)) = self;
        reason
    }
}
