//! Many sessions, slow ones, ends in the middle, and changes under load.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking, in its helpers too")]

mod changes;
mod flow;
mod house;
mod many;
