//! What the tests of the command share: running it, and peers that do as they are told.

pub(crate) mod dns_server;
pub(crate) mod process;
pub(crate) mod scripted_server;
pub(crate) mod tls_server;

pub(crate) use process::{Run, starttls};
