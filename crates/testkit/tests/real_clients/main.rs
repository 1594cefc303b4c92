//! Established clients complete verified sessions with the lab's servers.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on panics")]

mod client;
mod curl;
mod gnutls;
mod openssl;
mod others;
mod python;
mod support;
