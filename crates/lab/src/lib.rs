//! A throw-away certificate authority, embedded servers and launchers for real ones.
//!
//! - [`Lab`] runs a sound server for every protocol on loopback;
//! - [`Cleartext`] runs servers without TLS, for whoever brings it to them;
//! - [`Props`] is what attacks on clients are played with;
//! - [`rogue`] runs servers that are wrong, or odd, in one way each;
//! - [`weak`] runs clients that can be fooled, in one way each;
//! - [`hello_limit`] is a device that does not accept a large ClientHello;
//! - [`ca`] issues certificates that only a test should trust;
//! - [`process`] runs daemons that end with the value that holds them;
//! - [`real`] launches released servers from their Debian packages.
#![forbid(unsafe_code)]

mod apps;
pub mod ca;
mod cleartext;
mod error;
pub mod hello_limit;
mod lab;
pub mod process;
mod props;
pub mod real;
pub mod rogue;
mod server;
mod session;
mod sha1_signature;
mod store;
pub mod weak;
mod weak_key;

pub use cleartext::Cleartext;
pub use error::Error;
pub use lab::{Endpoint, Lab, Options, SERVER_NAME};
pub use props::Props;
pub use server::{Incident, Log};
pub use session::SessionError;
pub use store::{Mail, Store};
