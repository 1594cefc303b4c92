//! A throw-away certificate authority, embedded servers and launchers for real ones.
//!
//! - [`ca`] issues certificates that only a test should trust;
//! - [`process`] runs daemons that end with the value that holds them;
//! - [`real`] launches released servers from their Debian packages.

pub mod ca;
mod error;
pub mod process;
pub mod real;

pub use error::Error;
