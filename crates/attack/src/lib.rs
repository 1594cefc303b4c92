//! A man in the middle that tests clients: scenarios as data, verdicts by evidence, reports.
//!
//! A [`Campaign`] runs a client ([`Subject`]) once without an attack and once for each [`Scenario`]. The client connects
//! to a man in the middle, which relays to an upstream server that serves in cleartext and inside TLS. The caller provides
//! the server and the certificates ([`Environment`]). User names, passwords and marks are new for each run: where one of
//! them is found, the client sent or printed it in that run.
//!
//! The code names no protocol. The relay of `starttls-proto` edits messages by their meaning, and the scenarios contain
//! the text that a protocol needs.
#![forbid(unsafe_code)]

mod campaign;
mod canary;
mod domain;
mod environment;
mod error;
mod judge;
mod middle;
mod outcome;
mod record;
pub mod render;
pub mod report;
mod scenario;
mod server;
mod subject;

pub use campaign::Campaign;
pub use canary::{Canary, MARK_LENGTH};
pub use domain::{DOMAIN, DomainPorts};
pub use environment::{Environment, UpstreamLease};
pub use error::{AttackError, ScenarioError};
pub use middle::Upstream;
pub use scenario::{SOUND_CERTIFICATE, Scenario};
pub use server::AttackServer;
pub use subject::{ClientExit, ClientFuture, ClientOutput, ClientRun, Shell, Subject, Target, TargetDomain};
