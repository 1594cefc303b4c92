//! A temporary certificate authority, embedded servers, and launchers for real servers.
//!
//! - [`Lab`] runs a sound server for every protocol on loopback.
//! - [`CleartextServers`] runs servers without TLS, for tests of the gateway.
//! - [`Fixtures`] provides the servers and certificates for attacks on clients.
//! - [`rogue`] runs servers with one weakness each, and unusual servers that are correct.
//! - [`vulnerable_clients`] runs clients with one flaw each.
//! - [`hello_limit`] is a device that does not accept a large ClientHello.
//! - [`ca`] issues certificates that only tests should trust.
//! - [`process`] runs daemons that end with the value that owns them.
//! - [`real`] launches released servers from their Debian packages.
#![forbid(unsafe_code)]

mod apps;
pub mod ca;
mod cleartext;
mod error;
mod fixtures;
pub mod hello_limit;
mod lab;
pub mod process;
mod profile;
pub mod real;
pub mod rogue;
mod server;
mod session;
mod sha1_signature;
mod store;
pub mod vulnerable_clients;
mod weak_key;

pub use cleartext::CleartextServers;
pub use error::Error;
pub use fixtures::Fixtures;
pub use lab::{Lab, LabEndpoint, Options, SERVER_NAME};
pub use server::{Incident, IncidentLog};
pub use session::SessionError;
pub use store::{Mail, Store};
