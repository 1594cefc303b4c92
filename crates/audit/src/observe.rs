//! Watching an audit while it runs.

use std::fmt;
use std::sync::Arc;

use crate::report::Entry;

/// What happens during the audit of an endpoint.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub enum AuditEvent<'a> {
    /// The audit opens a connection.
    Connection {
        /// The number of the connection, from 1.
        number: u32,
        /// Its purpose.
        purpose: &'a str,
    },
    /// A message or an event on a connection. Several connections may be open at the same time.
    Entry {
        /// The number of the connection.
        number: u32,
        /// What its transcript contains about it.
        entry: &'a Entry,
    },
}

/// Gets the events of an audit, in the order of time. The connection waits while it runs, so it must not block.
pub trait AuditObserver: fmt::Debug + Send + Sync {
    /// Takes note of an event.
    fn observe(&self, event: &AuditEvent<'_>);
}

/// The observer of one connection.
#[derive(Clone, Debug)]
pub(crate) struct Observed {
    pub(crate) observer: Arc<dyn AuditObserver>,
    pub(crate) number: u32,
}

impl Observed {
    pub(crate) fn connection(&self, purpose: &str) {
        self.observer.observe(&AuditEvent::Connection { number: self.number, purpose });
    }

    pub(crate) fn entry(&self, entry: &Entry) {
        self.observer.observe(&AuditEvent::Entry { number: self.number, entry });
    }
}
