//! Sound STARTTLS in front of any server, and toward any server.
#![forbid(unsafe_code)]

pub mod admission;
pub mod certificates;
pub mod config;
mod copy;
mod failure;
mod health;
pub mod log;
mod lookup;
pub mod metrics;
mod names;
pub mod proxy_protocol;
pub mod report;
mod serve;
mod session;
mod systemd;
pub mod tickets;
pub mod watch;

pub use config::Config;
pub use failure::{Failure, Leg};
pub use health::Health;
pub use serve::{Gateway, Observer};
pub use session::{Client, Record, probe};
