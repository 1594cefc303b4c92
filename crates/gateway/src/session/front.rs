//! Fronts that do not speak for themselves before TLS: a backend does.

use starttls::proto::{Amend, Outgoing, Relay, Side};

use super::backend::Reached;
use super::sequence::Sequence;
use super::{Session, Socket, Stream, rules, say};
use crate::config::{Route, Tls};
use crate::copy::{Copy, Ended};
use crate::failure::Failure;

impl Session<'_> {
    /// A front on which the client may upgrade and need not. Until it does, a backend serves it in cleartext;
    /// after that another connection to a backend does, so that nothing that was said before survives (rule B3).
    pub(super) async fn optional(&mut self, socket: Socket, tls: &Tls) -> Result<(), Failure> {
        let mut front = Stream::Clear(socket);
        let relay = Relay::within(self.listener.protocol, self.identity(false), rules::optional());
        let mut out = Outgoing::default();
        let reached = match Box::pin(self.cleartext_backend()).await {
            Ok(reached) => reached,
            Err(failure) => {
                self.farewell(&mut front).await;
                return Err(failure);
            }
        };
        if self.listener.protocol.flow.greeting {
            out.to_client = self.first_words(reached.greeting, false);
        }
        let idle = self.listener.limits.idle;
        match self.granted(front, reached.stream, relay, out, idle, tls).await? {
            Some((front, _)) => self.settled(front, true).await,
            None => Ok(()),
        }
    }

    /// A front whose greeting the session inside TLS depends on, and which is the backend's for that reason. The
    /// client is told nothing but this, and the backend nothing at all.
    pub(super) async fn relayed_greeting(&mut self, socket: Socket, tls: &Tls) -> Result<(), Failure> {
        let mut front = Stream::Clear(socket);
        let reached = match Box::pin(self.cleartext_backend()).await {
            Ok(reached) => reached,
            Err(failure) => {
                self.farewell(&mut front).await;
                return Err(failure);
            }
        };
        let protocol = self.listener.protocol;
        let relay = Relay::within(protocol, self.identity(false), rules::greeting_only());
        let greeting = reached.greeting.unwrap_or_default();
        let dialect = (protocol.dialect)(self.identity(false));
        let to_client = dialect.amend(Side::Server, &greeting, Amend::AddUpgrade);
        let out = Outgoing { to_client, ..Outgoing::default() };
        let limit = self.listener.limits.negotiation;
        let Some((mut front, mut back)) = self.granted(front, reached.stream, relay, out, limit, tls).await?
        else {
            return Ok(());
        };
        self.stands(&front);
        self.route(&front)?;
        // Toward a backend inside TLS there was a request on both legs.
        let sequence = back.facts().is_none().then(Sequence::default);
        self.copy(&mut front, &mut back, sequence, Outgoing::default()).await
    }

    /// A backend for a client of whom nothing is known yet.
    async fn cleartext_backend(&mut self) -> Result<Reached, Failure> {
        let nowhere = || Failure::NotAdmitted(crate::config::NotAdmitted::NoRoute(None));
        let listener = self.listener;
        let route: &Route = listener.default_route().ok_or_else(nowhere)?;
        self.reach(route).await
    }

    /// Relays until the client's request is granted, and does the handshake. `None` when the session ended without
    /// an upgrade.
    async fn granted(
        &mut self,
        mut front: Stream,
        mut back: Stream,
        relay: Relay,
        first: Outgoing,
        idle: std::time::Duration,
        tls: &Tls,
    ) -> Result<Option<(Stream, Stream)>, Failure> {
        let mut copy = Copy::new(Some(relay), first);
        let ended = copy.run(&mut front, &mut back, idle).await?;
        let (Ended::Stopped, Some(relay), Stream::Clear(mut socket)) = (ended, copy.into_editor(), front)
        else {
            return Ok(None);
        };
        let mut words = Vec::new();
        let upgrade = relay.upgrade(&mut words);
        say(&mut socket, &words).await;
        let upgrade = upgrade.map_err(|error| Failure::protocol(*error))?;
        let handshake = Box::pin(tls.acceptor.agreed(socket, upgrade).handshake());
        let encrypted = handshake.await.map_err(Failure::front)?;
        Ok(Some((Stream::Tls(Box::new(encrypted)), back)))
    }
}
