//! A throw-away certificate authority, embedded servers and launchers for real ones.
//!
//! - [`Lab`] runs a sound server for every protocol on loopback;
//! - [`CleartextServers`] runs servers without TLS, for whoever brings it to them;
//! - [`Fixtures`] is what attacks on clients are played with;
//! - [`rogue`] runs servers that are wrong, or odd, in one way each;
//! - [`vulnerable_clients`] runs clients that can be fooled, in one way each;
//! - [`hello_limit`] is a device that does not accept a large ClientHello;
//! - [`ca`] issues certificates that only a test should trust;
//! - [`process`] runs daemons that end with the value that holds them;
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
