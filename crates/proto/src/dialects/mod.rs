//! The registry: a protocol is one file here, and its line in [`PROTOCOLS`].

use crate::Protocol;

pub mod smtp;

/// Every protocol this library knows.
pub const PROTOCOLS: &[&Protocol] = &[&smtp::SMTP, &smtp::SUBMISSION];
