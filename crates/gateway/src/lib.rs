//! A gateway that terminates STARTTLS in front of any server, and uses STARTTLS toward any server.
#![forbid(unsafe_code)]

pub mod admission;
pub mod certificates;
pub mod config;
mod failure;
mod files;
mod health;
pub mod log;
mod log_level;
mod lookup;
pub mod metrics;
mod names;
mod outcome;
pub mod proxy_protocol;
mod record;
pub mod report;
mod serve;
mod session;
mod session_id;
mod setup_error;
mod span_log;
pub mod systemd;
pub mod tickets;
pub mod watch;

pub use config::Config;
pub use failure::SessionFailure;
pub use health::Health;
pub use log_level::LogLevel;
pub use outcome::SessionOutcome;
pub use record::{ClientAddresses, EarlyDialUse, SessionObserver, SessionRecord};
pub use serve::Gateway;
pub use session::probe;
pub use session_id::SessionId;
pub use setup_error::SetupError;
pub use span_log::install as log_spans;
