//! The decision tables.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on panics")]

mod dane;
mod records;
mod reports;
mod rollover;
mod socketmap;
mod sts;
mod support;
mod tlsa;
