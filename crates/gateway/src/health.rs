//! Whether a backend was ready the last time somebody wanted it.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// What is known of one backend. Copies share it.
#[derive(Clone, Debug, Default)]
pub struct Health(Arc<AtomicBool>);

impl Health {
    /// Whether it is believed to be ready. A backend that nobody tried yet is.
    pub fn is_up(&self) -> bool {
        !self.0.load(Ordering::Relaxed)
    }

    pub(crate) fn set(&self, up: bool) {
        self.0.store(!up, Ordering::Relaxed);
    }
}
