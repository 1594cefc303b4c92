//! Many sessions, slow ones, ends in the middle, and changes under load.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking, in its helpers too")]
#![expect(clippy::print_stdout, reason = "who runs them is told when fewer connections are held than wanted")]

mod changes;
mod flow;
mod house;
mod many;
