//! Surveys the STARTTLS of many mail servers: from a list of domains to a row for each endpoint and each domain.
//!
//! A survey is a list of shards, grouped into lanes. The worker that holds a lane is the only one that connects to the networks in
//! it, so the budgets that keep a survey polite ([`budget`]) are plain numbers in its memory. Each shard gets exactly one
//! stored result ([`queue`]), whichever process is killed when.
//!
//! ```text
//! domains -> resolve -> addresses -> collapse, lanes -> probe, retry passes -> join -> domains
//! ```
//!
//! - [`Survey`] runs all stages in one process; the folder of the run ([`RunFolder`]) contains everything that it needs to go on after
//!   a crash.
//! - [`Surveyor`] works on shards. It is in the same process, or, with the feature `nats`, in processes on any number of machines that
//!   share a queue.
//! - [`row`] contains the results; [`join()`] and [`verify()`] read them.
//! - [`lanes`], [`collapse`], [`budget`], [`input`] and [`opt_out`] do no I/O besides reading their files.
#![forbid(unsafe_code)]

pub mod budget;
pub mod collapse;
mod error;
mod event;
mod files;
mod folder;
pub mod identity;
pub mod input;
mod join;
pub mod lanes;
pub mod monitor;
pub mod network;
pub mod opt_out;
mod planning;
pub mod queue;
pub mod row;
pub mod settings;
mod sort;
mod stage;
pub mod suffix;
mod survey;
mod surveyor;
pub mod target;
mod verify;
mod worker;

pub use error::SurveyError;
pub use event::{SurveyEvent, WorkerEnd};
pub use folder::{RunFolder, SHARD_TARGETS, ShardId, Stage, StagePlan};
pub use join::{JoinSummary, join};
pub use survey::{Survey, SurveyEnd, Workers};
pub use surveyor::Surveyor;
pub use verify::{Verification, verify};
