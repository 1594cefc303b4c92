//! Sound STARTTLS in front of any server, and toward any server.
#![forbid(unsafe_code)]

pub mod certificates;
pub mod config;
mod names;
pub mod proxy_protocol;
pub mod tickets;
pub mod watch;

pub use config::Config;
