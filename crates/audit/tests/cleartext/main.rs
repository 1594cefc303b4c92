//! A client that never requests TLS, and how the audit reads the server's answers.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on panics")]

mod interim;
mod login;
mod refusals;
mod support;
