//! Clients that are in contact with a backend before TLS.

use std::time::Duration;

use starttls::proto::{Outgoing, Phase, Relay};

use super::backend::ReadyBackend;
use super::closing::{answer_violation, send};
use super::rules;
use super::run::Session;
use super::splice::{Ended, Splice};
use super::stream::{Socket, Stream};
use super::transfer::Transfer;
use crate::config::{ListenerTls, NotAdmitted, Route};
use crate::failure::SessionFailure;

impl Session<'_> {
    /// Serves a client that may upgrade and need not. A backend serves it in cleartext until it upgrades. After that, a new
    /// connection to a backend does, so that no state from before the upgrade survives (rule B3).
    pub(super) async fn optional(
        &mut self,
        socket: Socket,
        tls: &ListenerTls,
    ) -> Result<Option<Transfer>, SessionFailure> {
        let mut client = Stream::Clear(socket);
        let relay = Relay::for_session(
            self.listener.protocol,
            self.listener.context(Phase::Cleartext),
            rules::optional(),
        );
        let mut out = Outgoing::default();
        let ready = match Box::pin(self.cleartext_backend()).await {
            Ok(ready) => ready,
            Err(failure) => {
                self.reject(&mut client).await;
                return Err(failure);
            }
        };
        if self.listener.protocol.flow.greeting {
            out.to_client =
                self.first_message(ready.greeting, Phase::Cleartext, false, &rules::BEFORE_UPGRADE);
        }
        let idle = self.listener.limits.idle;
        let Some((client, backend)) =
            self.relay_until_upgrade(client, ready.stream, relay, out, idle, tls).await?
        else {
            return Ok(None);
        };
        // The cleartext session ends here, before the next one begins.
        drop(backend);
        self.established(client, true).await.map(Some)
    }

    /// Connects to a backend of the default route, for a client that has not named a host yet.
    pub(super) async fn cleartext_backend(&mut self) -> Result<ReadyBackend, SessionFailure> {
        let no_route = || SessionFailure::NotAdmitted(NotAdmitted::NoRoute(None));
        let listener = self.listener;
        let route: &Route = listener.default_route().ok_or_else(no_route)?;
        self.connect(route, None).await
    }

    /// Relays until the client's upgrade request is granted, and does the handshake. Returns `None` when the session ended
    /// without an upgrade.
    pub(super) async fn relay_until_upgrade(
        &mut self,
        mut client: Stream,
        mut backend: Stream,
        relay: Relay,
        first: Outgoing,
        idle: Duration,
        tls: &ListenerTls,
    ) -> Result<Option<(Stream, Stream)>, SessionFailure> {
        let mut splice = Splice::new(Some(Box::new(relay)), first);
        let ended = splice.run(&mut client, &mut backend, &idle).await;
        if let Err(failure) = &ended {
            answer_violation(failure, &mut splice, &mut client).await;
        }
        let ended = ended?;
        let (Ended::Stopped, Some(relay), Stream::Clear(mut socket)) = (ended, splice.into_filter(), client)
        else {
            return Ok(None);
        };
        let mut answer = Vec::new();
        let upgrade = relay.upgrade(&mut answer);
        send(&mut socket, &answer).await;
        let upgrade = upgrade.map_err(|error| SessionFailure::protocol(*error))?;
        let handshake = Box::pin(self.acceptor(tls).from_upgrade(socket, upgrade).handshake());
        let encrypted = handshake.await.map_err(SessionFailure::downstream)?;
        Ok(Some((Stream::Tls(Box::new(encrypted)), backend)))
    }
}
