//! The TLS survey: what a server offers beyond the session of the first connection.
//!
//! The TLS library speaks only secure versions and suites, so its handshakes cannot show whether a server also accepts
//! insecure ones. The survey sends ClientHellos of its own, one per connection, and reads the server's first flight. It
//! never completes a handshake. A [`Walk`](starttls_hello::Walk) chooses the hellos and derives the facts.
//!
//! [`run`] sends the hellos, [`findings`] turns the facts into findings, with the severities of [`role`], and [`summary`]
//! into data.

mod ask;
mod certificates;
mod faults;
mod findings;
mod judge;
mod key_exchange;
mod known_primes;
mod profile;
mod properties;
mod role;
mod run;
mod session;
mod suites;
mod summary;
mod versions;

pub(crate) use findings::{CHECKS, SESSION_CHECKS, findings};
pub(crate) use judge::Handshake;
pub(crate) use role::Role;
pub(crate) use run::Survey;
pub(crate) use summary::summary;
