//! What the tests of the command share: running it, and peers that do as they are told.

pub(crate) mod dns;
pub(crate) mod encrypted;
pub(crate) mod run;
pub(crate) mod script;

pub(crate) use run::{Run, starttls};
