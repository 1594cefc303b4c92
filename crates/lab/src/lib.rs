//! A temporary certificate authority, and embedded servers: sound ones, and rogues.
//!
//! - [`Lab`] runs a sound server for every protocol on loopback.
//! - [`CleartextServers`] runs servers without TLS, for tests of the gateway.
//! - [`Fixtures`] provides the servers and certificates for attacks on clients.
//! - [`rogue`] runs servers with one weakness each, and unusual servers that are correct.
//! - [`ca`] issues certificates that only tests should trust.
//! - [`files`] creates files and folders that programs of other users can read.
#![forbid(unsafe_code)]

mod apps;
pub mod ca;
mod cleartext;
mod error;
pub mod files;
mod fixtures;
mod lab;
mod ocsp;
mod profile;
pub mod rogue;
mod server;
mod session;
mod sha1_signature;
mod store;
mod weak_key;

pub use cleartext::CleartextServers;
pub use error::Error;
pub use fixtures::Fixtures;
pub use lab::{Lab, LabEndpoint, Options, SERVER_NAME};
pub use server::{Incident, IncidentLog};
pub use session::SessionError;
pub use store::{Mail, Store};
