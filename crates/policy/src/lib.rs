//! Policies against STARTTLS stripping: DANE (RFC 7672), MTA-STS (RFC 8461) and TLSRPT (RFC 8460).
//!
//! STARTTLS alone can be suppressed by an attacker in the path. A domain can publish that its servers support TLS and how
//! their certificates are authenticated; a sender that finds such a policy refuses to deliver without it. This crate has the
//! rules: parsers for records, policy texts and reports, and decisions as functions over DNS answers, a policy text and
//! the time.
//!
//! Without the feature `drive`, nothing here does I/O, reads a clock or uses random numbers. [`dane::gather`] names the
//! questions whose answers it needs; the caller asks them and calls it again. `drive` does that, and fetches policies.
#![forbid(unsafe_code)]

pub mod dane;
pub mod decide;
#[cfg(feature = "drive")]
pub mod drive;
pub mod rollover;
pub mod socketmap;
pub mod sts;
pub mod tlsa;
pub mod tlsrpt;

/// Compiles the example of the README.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
