//! Questions and their answers.

use std::collections::HashMap;
use std::fmt;

use crate::{DnsName, RecordData, RecordType};

/// A question: the records of one type at one name.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct DnsQuestion {
    /// The name.
    pub name: DnsName,
    /// The type.
    pub record: RecordType,
}

impl fmt::Display for DnsQuestion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.name, self.record)
    }
}

/// The answer to a question.
///
/// `secure` means that DNSSEC proved the answer: all of it, every alias included (RFC 7672 section 2.1.3). `ttl` is in
/// seconds; that of a negative answer is the smaller one of the SOA record's own and its MINIMUM (RFC 2308 section 5).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DnsAnswer {
    /// Records exist, at the name or at the end of its aliases.
    Found {
        /// At least one record.
        records: Vec<RecordData>,
        /// Whether DNSSEC proved the answer.
        secure: bool,
        /// The targets of the aliases in order. The last one owns the records. Empty without an alias.
        aliases: Vec<DnsName>,
        /// The smallest time to live in the answer.
        ttl: u32,
    },
    /// The name has no records of this type.
    NoData {
        /// Whether DNSSEC proved it.
        secure: bool,
        /// The time to live.
        ttl: u32,
    },
    /// The name does not exist, and no name below it.
    NoName {
        /// Whether DNSSEC proved it.
        secure: bool,
        /// The time to live.
        ttl: u32,
    },
    /// The question was not answered. Decisions must not depend on the reason (RFC 7672 sections 2.1.1 and 2.1.2).
    Failed(LookupFailure),
}

impl DnsAnswer {
    /// Returns the records; none for the other answers.
    pub fn records(&self) -> &[RecordData] {
        match self {
            Self::Found { records, .. } => records,
            _ => &[],
        }
    }

    /// Returns whether DNSSEC proved the answer.
    pub fn is_secure(&self) -> bool {
        match self {
            Self::Found { secure, .. } | Self::NoData { secure, .. } | Self::NoName { secure, .. } => *secure,
            Self::Failed(_) => false,
        }
    }

    /// Returns the reason of a failure.
    pub fn failure(&self) -> Option<&LookupFailure> {
        match self {
            Self::Failed(failure) => Some(failure),
            _ => None,
        }
    }

    /// Returns the time to live; `None` for a failure.
    pub fn ttl(&self) -> Option<u32> {
        match self {
            Self::Found { ttl, .. } | Self::NoData { ttl, .. } | Self::NoName { ttl, .. } => Some(*ttl),
            Self::Failed(_) => None,
        }
    }
}

/// Why a question was not answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LookupFailure {
    /// The kind of failure.
    pub kind: FailureKind,
    /// What the resolver added, escaped; may be empty.
    pub detail: String,
}

/// A kind of failure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum FailureKind {
    /// The resolver answered SERVFAIL.
    ServFail,
    /// The resolver answered SERVFAIL because DNSSEC validation failed.
    Bogus,
    /// The resolver refused, or does not implement the question.
    Refused,
    /// No answer came in time.
    Timeout,
    /// The answer was invalid.
    Malformed,
    /// The aliases form a loop, or there are too many.
    AliasLoop,
    /// The connection to the resolver failed.
    Unreachable,
}

impl FailureKind {
    fn text(self) -> &'static str {
        match self {
            Self::ServFail => "the resolver answered SERVFAIL",
            Self::Bogus => "DNSSEC validation failed",
            Self::Refused => "the resolver refused the question",
            Self::Timeout => "the resolver did not answer in time",
            Self::Malformed => "the resolver's answer is malformed",
            Self::AliasLoop => "the aliases form a loop or are too many",
            Self::Unreachable => "the resolver cannot be reached",
        }
    }
}

impl From<FailureKind> for LookupFailure {
    fn from(kind: FailureKind) -> Self {
        Self { kind, detail: String::new() }
    }
}

impl fmt::Display for LookupFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.kind.text())?;
        if !self.detail.is_empty() {
            write!(f, " ({})", self.detail)?;
        }
        Ok(())
    }
}

/// The answers that a decision is made from.
#[derive(Clone, Debug, Default)]
pub struct Answers(HashMap<DnsQuestion, DnsAnswer>);

impl Answers {
    /// Returns the answer to a question, if it was asked.
    pub fn get(&self, name: &DnsName, record: RecordType) -> Option<&DnsAnswer> {
        self.0.get(&DnsQuestion { name: name.clone(), record })
    }

    /// Adds an answer.
    pub fn insert(&mut self, question: DnsQuestion, answer: DnsAnswer) {
        self.0.insert(question, answer);
    }
}
