//! Each rogue has its own weakness, sound servers have none, and the library's client works with unusual servers.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking, in its helpers too")]

mod behaviors;
mod certificates;
mod endless;
mod injection;
mod peer;
mod quirks;
mod tls;

use std::net::SocketAddr;
use std::sync::OnceLock;

use starttls::proto::Protocol;
use starttls_lab::ca::Authority;
use starttls_lab::{Lab, Options};

pub(crate) fn authority() -> &'static Authority {
    static AUTHORITY: OnceLock<Authority> = OnceLock::new();
    AUTHORITY.get_or_init(|| Authority::new().unwrap())
}

/// Returns the address of the sound server for a protocol.
pub(crate) fn sound(protocol: &Protocol) -> SocketAddr {
    static LAB: OnceLock<Lab> = OnceLock::new();
    let lab = LAB.get_or_init(|| Lab::start(Options::default()).unwrap());
    lab.endpoint(protocol.name).unwrap().address
}
