//! Tests of the gateway's components.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking, in its helpers too")]

mod certificates;
mod client;
mod config;
mod docs;
mod folder;
mod mistakes;
mod observed;
mod proxy_protocol;
mod tickets;
