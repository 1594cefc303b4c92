//! DNS questions for mail and STARTTLS, and answers that keep their DNSSEC state.
//!
//! Policy decisions need more of an answer than its records. An answer without records may be proven by DNSSEC or not, and
//! "the name has no such record" must not be confused with "the question failed": DANE senders go on without TLSA
//! after the former, and defer the mail after the latter (RFC 7672 section 2.1). [`DnsAnswer`] keeps these apart.
//!
//! [`Permitted`] is an address from an answer that a program may dial.
//!
//! The types do no I/O. The feature `stub` adds a resolver, `Stub`, that asks a validating resolver and reads its AD bit.
#![forbid(unsafe_code)]

mod answer;
mod name;
mod permitted;
mod prefix;
mod record;
#[cfg(feature = "stub")]
mod stub;

pub use answer::{Answers, DnsAnswer, DnsQuestion, FailureKind, LookupFailure};
pub use name::{DnsName, InvalidName};
pub use permitted::{DialPolicy, NotPermitted, Permitted};
pub use prefix::{InvalidPrefix, IpPrefix, PrefixMap};
pub use record::{Mx, MxTarget, RecordData, RecordType, Srv, TlsaData};
#[cfg(feature = "stub")]
pub use stub::{AdTrust, Stub, StubError, SystemResolvers, system_resolvers};

/// Compiles the example of the README.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
