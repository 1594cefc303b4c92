//! A listening address with the settings for its new connections.

use std::net::SocketAddr;
use std::sync::{Arc, RwLock};

use tokio::sync::watch;

use crate::admission::Admission;
use crate::config::{ListenAddress, Listener};

/// A listening address with the configuration of its new connections.
pub(super) struct ListenerSlot {
    pub(super) address: ListenAddress,
    pub(super) bound: Option<SocketAddr>,
    pub(super) listener: RwLock<Arc<Listener>>,
    pub(super) admission: Admission,
    /// `false` when the gateway stops listening here.
    pub(super) open: watch::Sender<bool>,
}

impl ListenerSlot {
    pub(super) fn listener(&self) -> Arc<Listener> {
        match self.listener.read() {
            Ok(listener) => listener.clone(),
            Err(poisoned) => poisoned.into_inner().clone(),
        }
    }

    pub(super) fn set(&self, listener: Listener) {
        self.admission.adjust(listener.limits);
        let mut current = self.listener.write().unwrap_or_else(|poisoned| poisoned.into_inner());
        *current = Arc::new(listener);
    }
}
