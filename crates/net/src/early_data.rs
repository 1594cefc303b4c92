//! The early data (0-RTT) that a server's session tickets permit.

use std::sync::atomic::{AtomicU32, Ordering};

use rustls::NamedGroup;
use rustls::client::{ClientSessionStore, Tls12ClientSessionValue, Tls13ClientSessionValue};
use rustls::pki_types::ServerName;

/// Records the limit in the tickets of one connection. It keeps no session, so that none is resumed.
#[derive(Debug, Default)]
pub(crate) struct EarlyDataLimit(AtomicU32);

impl EarlyDataLimit {
    /// Returns the most octets of early data that a ticket permits so far.
    pub(crate) fn octets(&self) -> u32 {
        self.0.load(Ordering::Relaxed)
    }
}

impl ClientSessionStore for EarlyDataLimit {
    fn set_kx_hint(&self, _: ServerName<'static>, _: NamedGroup) {}

    fn kx_hint(&self, _: &ServerName<'_>) -> Option<NamedGroup> {
        None
    }

    fn set_tls12_session(&self, _: ServerName<'static>, _: Tls12ClientSessionValue) {}

    fn tls12_session(&self, _: &ServerName<'_>) -> Option<Tls12ClientSessionValue> {
        None
    }

    fn remove_tls12_session(&self, _: &ServerName<'static>) {}

    fn insert_tls13_ticket(&self, _: ServerName<'static>, ticket: Tls13ClientSessionValue) {
        self.0.fetch_max(ticket.max_early_data_size(), Ordering::Relaxed);
    }

    fn take_tls13_ticket(&self, _: &ServerName<'static>) -> Option<Tls13ClientSessionValue> {
        None
    }
}
