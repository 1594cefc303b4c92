//! The parts of the tests that several crates share. No released crate depends on it.
//!
//! - [`real`] launches released servers from their Debian packages.
//! - [`process`] runs daemons that end with the value that owns them.
//! - [`vulnerable_clients`] runs clients with one flaw each.
//! - [`internet`] simulates the mail servers of millions of domains on loopback.
//! - [`broker`] is a NATS server that can be killed and started again.
//! - [`display`] is an X server for clients with windows.
//! - [`hello_limit`] is a device that does not accept a large ClientHello.
#![forbid(unsafe_code)]

pub mod broker;
pub mod display;
mod error;
pub mod hello_limit;
pub mod internet;
pub mod process;
pub mod real;
pub mod vulnerable_clients;

pub use error::Error;
