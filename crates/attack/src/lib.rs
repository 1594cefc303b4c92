//! A man in the middle for testing clients: scenarios as data, verdicts by evidence, reports.
//!
//! A [`Campaign`] runs a client ([`Subject`]) once without an attack and once for each [`Scenario`], against a man
//! in the middle in front of a server that serves in cleartext and inside TLS. The server and the certificates come
//! from whoever runs the campaign ([`Environment`]). Names and passwords are new for each run, so that where they turn up
//! is where they were said.
//!
//! Nothing in the code names a protocol: the engine's relay edits what each dialect reads, and what has to be said
//! in a protocol's own words stands in the scenarios.
#![forbid(unsafe_code)]

mod campaign;
mod canary;
mod judge;
mod middle;
mod record;
pub mod render;
pub mod report;
mod scenario;
mod server;
mod subject;

pub use campaign::{Campaign, Environment, UpstreamLease};
pub use canary::{Canary, MARK_LENGTH};
pub use middle::Upstream;
pub use scenario::{SOUND_CERTIFICATE, Scenario};
pub use server::AttackServer;
pub use subject::{ClientExit, ClientFuture, ClientOutput, ClientRun, Shell, Subject, Target};
