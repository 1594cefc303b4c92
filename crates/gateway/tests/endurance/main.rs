//! Many sessions, slow sessions, interrupted sessions, and changes under load.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking, in its helpers too")]
#![expect(clippy::print_stdout, reason = "the figures are for the person who runs the tests")]

mod changes;
mod crowds;
mod flow;
mod load;
mod many;
mod outages;
