//! Writes policies and their records.

use std::fmt::Write;

use starttls_dns::DnsName;

use super::{MxPattern, StsMode, policy_host, record_name};

/// A policy to publish.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StsDraft {
    /// The domain of the policy.
    pub domain: DnsName,
    /// The mode.
    pub mode: StsMode,
    /// How long senders keep the policy, in seconds.
    pub max_age: u64,
    /// The patterns for the exchangers.
    pub mx: Vec<MxPattern>,
}

impl StsDraft {
    /// Returns the text of the policy, with CRLF (RFC 8461 section 3.2).
    pub fn text(&self) -> String {
        let mut text = format!("version: STSv1\r\nmode: {}\r\nmax_age: {}\r\n", self.mode, self.max_age);
        for pattern in &self.mx {
            // Writing to a string does not fail.
            let _ = write!(text, "mx: {pattern}\r\n");
        }
        text
    }

    /// Returns the line for the zone. The id must change with every change of the policy: a time in UTC such as
    /// `20261129150000Z` does.
    pub fn zone_line(&self, id: &str) -> Option<String> {
        Some(format!("{}. 3600 IN TXT \"v=STSv1; id={id};\"", record_name(&self.domain).ok()?))
    }

    /// Returns the URL where senders fetch the policy.
    pub fn url(&self) -> Option<String> {
        Some(format!("https://{}{}", policy_host(&self.domain).ok()?, super::POLICY_PATH))
    }
}
