//! The renderers and the filter with sample reports.
#![expect(clippy::unwrap_used, reason = "a test that cannot be set up has failed")]

mod browser;
mod filter;
mod formats;
mod hostile;
mod readers;
mod sample;
mod snapshots;
