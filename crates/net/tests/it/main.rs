//! The library against itself and against scripted peers, on loopback and in memory.
#![expect(clippy::unwrap_used, reason = "a test that cannot be set up has failed")]

mod alpn;
mod answered_hello;
mod authority;
mod blocking;
mod boundary;
mod chains;
mod dane;
mod deadlines;
mod dialers;
mod doors;
mod endless;
mod errors;
mod file;
mod login;
mod names;
mod next_mechanism;
mod pair;
mod refusals;
mod scram;
mod script;
mod submission;
#[cfg(feature = "tracing")]
mod tracing;
mod unverifiable;
mod verification;
mod white_space;
