//! A throw-away certificate authority, embedded servers and launchers for real ones.

pub mod ca;
mod error;
pub mod process;
pub mod real;

pub use error::Error;
