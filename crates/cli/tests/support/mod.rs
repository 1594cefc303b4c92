//! Shared by the tests of the command: running it, and scripted peers.

pub(crate) mod dns_server;
pub(crate) mod process;
pub(crate) mod scripted_server;
pub(crate) mod tls_server;

pub(crate) use process::{Run, starttls};
