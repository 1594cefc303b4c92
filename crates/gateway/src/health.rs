//! Whether the last connection to a backend succeeded.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// The health of one backend. Copies share it.
#[derive(Clone, Debug, Default)]
pub struct Health(Arc<AtomicBool>);

impl Health {
    /// Returns whether the last connection succeeded. Returns `true` before the first one.
    pub fn is_up(&self) -> bool {
        !self.0.load(Ordering::Relaxed)
    }

    pub(crate) fn set(&self, up: bool) {
        self.0.store(!up, Ordering::Relaxed);
    }
}
