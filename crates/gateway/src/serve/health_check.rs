//! Backends that failed are tried until they are ready again, so that sessions need not find out.

use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinSet;

use super::slot::ListenerSlot;
use crate::session;

/// How often a backend that failed is tried.
const EVERY: Duration = Duration::from_secs(5);

/// Backends of one listener that are tried together. Each needs an open file, and an outage may affect thousands.
const AT_ONCE: usize = 32;

/// Looks after the backends of one listener. Never ends by itself.
pub(super) async fn watch(slot: Arc<ListenerSlot>) {
    loop {
        tokio::time::sleep(EVERY).await;
        let listener = slot.listener();
        let backends = listener.routes().iter().flat_map(|route| &route.backends);
        // A backend that does not answer takes its whole time, and the others must not wait for it.
        let mut looking = JoinSet::new();
        for backend in backends.filter(|backend| !backend.health.is_up()).cloned() {
            if looking.len() == AT_ONCE {
                looking.join_next().await;
            }
            let limit = listener.limits.dial;
            looking.spawn_local(async move {
                backend.health.set(session::is_ready(&backend, limit).await);
            });
        }
        while looking.join_next().await.is_some() {}
    }
}
