//! A throw-away certificate authority, embedded servers and launchers for real ones.
//!
//! - [`Lab`] runs a sound server for every protocol on loopback;
//! - [`Cleartext`] runs servers without TLS, for whoever brings it to them;
//! - [`rogue`] runs servers that are wrong, or odd, in one way each;
//! - [`ca`] issues certificates that only a test should trust;
//! - [`process`] runs daemons that end with the value that holds them;
//! - [`real`] launches released servers from their Debian packages.
#![forbid(unsafe_code)]

mod apps;
pub mod ca;
mod cleartext;
mod error;
mod lab;
pub mod process;
pub mod real;
pub mod rogue;
mod server;
mod session;
mod store;

pub use cleartext::Cleartext;
pub use error::Error;
pub use lab::{Endpoint, Lab, Options, SERVER_NAME};
pub use server::{Incident, Log};
pub use session::SessionError;
pub use store::{Mail, Store};
