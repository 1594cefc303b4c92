//! Client libraries that take over a stream which `starttls` has upgraded and verified.
//!
//! Each module is the whole code for one library. The tests run it against the servers of the lab.
#![forbid(unsafe_code)]

pub mod imap;
pub mod ldap;
pub mod postgres;
pub mod smtp;
pub mod xmpp;

/// The error of an example.
pub type Failure = Box<dyn std::error::Error + Send + Sync>;
