//! What the network sees of a session: the octets between a client and the gateway, read like a capture.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

use starttls::proto::Side;
use starttls_inspect::{ConnectionReport, Conversation, ConversationEnd, Moment};

use crate::config::Listener;
use crate::record::{ClientAddresses, SessionObserver};

/// The number of observed sessions of this process.
static NUMBER: AtomicU64 = AtomicU64::new(0);

/// Reads the octets of a session in both directions. When it is dropped, the observer gets the report.
pub(crate) struct Observation {
    conversation: Option<Conversation>,
    listener: Arc<Listener>,
    observer: Arc<dyn SessionObserver>,
    client: SocketAddr,
    server: SocketAddr,
    started: Moment,
}

impl std::fmt::Debug for Observation {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Observation").field("client", &self.client).finish_non_exhaustive()
    }
}

impl Observation {
    /// Returns the observation of a new connection to this listener.
    pub(crate) fn new(
        listener: &Arc<Listener>,
        observer: &Arc<dyn SessionObserver>,
        client: ClientAddresses,
    ) -> Self {
        // A Unix socket has no addresses.
        let nowhere = SocketAddr::new(IpAddr::V4(Ipv4Addr::UNSPECIFIED), 0);
        let server = client.local.unwrap_or(nowhere);
        Self {
            // The listener says which protocol its clients speak, whatever its port is.
            conversation: Some(Conversation::new(listener.protocol.port)),
            listener: listener.clone(),
            observer: observer.clone(),
            client: client.address.unwrap_or(nowhere),
            server,
            started: now(),
        }
    }

    /// Reads octets that passed.
    pub(crate) fn receive(&mut self, from: Side, octets: &[u8]) {
        if let Some(conversation) = &mut self.conversation {
            conversation.receive(from, octets, now());
        }
    }
}

impl Drop for Observation {
    fn drop(&mut self) {
        let Some(conversation) = self.conversation.take() else { return };
        let facts = conversation.finish(ConversationEnd::Closed);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed) + 1;
        let report =
            ConnectionReport::observed(number, (self.client, self.server), (self.started, now()), facts);
        self.observer.observed(&self.listener, &report);
    }
}

fn now() -> Moment {
    let time = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_nanos();
    Moment { packet: 0, time: u64::try_from(time).unwrap_or(u64::MAX) }
}
