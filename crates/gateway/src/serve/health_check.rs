//! Health checks: the gateway retries failed backends, so that sessions do not have to wait for them.

use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinSet;

use super::slot::ListenerSlot;
use crate::session;

/// How often a failed backend is checked.
const EVERY: Duration = Duration::from_secs(5);

/// How many backends of one listener are checked at once. Each check needs an open file, and an outage may affect thousands
/// of backends.
const AT_ONCE: usize = 32;

/// Checks the failed backends of one listener. Never returns.
pub(super) async fn watch(slot: Arc<ListenerSlot>) {
    loop {
        tokio::time::sleep(EVERY).await;
        let listener = slot.listener();
        let backends = listener.routes().iter().flat_map(|route| &route.backends);
        // The checks run concurrently, because a backend that does not answer takes the whole time limit.
        let mut checks = JoinSet::new();
        for backend in backends.filter(|backend| !backend.health.is_up()).cloned() {
            if checks.len() == AT_ONCE {
                checks.join_next().await;
            }
            let limit = listener.limits.dial;
            checks.spawn_local(async move {
                backend.health.set(session::is_ready(&backend, limit).await);
            });
        }
        while checks.join_next().await.is_some() {}
    }
}
