//! The library against itself and against hand-made peers, on loopback and in memory.
#![expect(clippy::unwrap_used, reason = "a test that cannot be set up has failed")]

mod authority;
mod pair;
