//! The numbers of sessions and of sockets.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// The numbers of sessions of all threads.
#[derive(Clone, Default)]
pub(super) struct SessionCounts {
    pub(super) open: Arc<AtomicUsize>,
    /// Those of them that are parked.
    pub(super) parked: Arc<AtomicUsize>,
}

/// Counts a session or a socket until it is dropped.
pub(super) struct Counted(Arc<AtomicUsize>);

impl Counted {
    pub(super) fn new(all: &Arc<AtomicUsize>) -> Self {
        all.fetch_add(1, Ordering::Relaxed);
        Self(all.clone())
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Release);
    }
}
