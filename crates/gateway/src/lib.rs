//! Sound STARTTLS in front of any server, and toward any server.
#![forbid(unsafe_code)]

pub mod admission;
pub mod certificates;
pub mod config;
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
mod setup_error;
mod splice;
mod systemd;
pub mod tickets;
pub mod watch;

pub use config::Config;
pub use failure::SessionFailure;
pub use health::Health;
pub use serve::{Gateway, SessionObserver};
pub use session::{ClientAddresses, SessionRecord, probe};
pub use setup_error::SetupError;
