//! Sessions of MySQL, which differ from those of all other protocols in three ways:
//! - the login answers the greeting, so the client needs the greeting of the backend that serves it;
//! - packets are numbered across the boundary, so the numbers differ where only one side has TLS ([`sequence`]);
//! - `caching_sha2_password` sends passwords differently with and without TLS ([`caching_sha2`]).

mod caching_sha2;
pub(super) mod pending;
mod sequence;

use starttls::proto::{CapabilityRewrite, Outgoing, Phase, Relay, ReplyTo, Side};

use super::backend::ReadyBackend;
use super::closing::send;
use super::rules;
use super::run::Session;
use super::splice::{Filter, Splice};
use super::stream::{Socket, Stream};
use crate::config::ListenerTls;
use crate::failure::SessionFailure;
use sequence::SequenceFilter;

impl Session<'_> {
    /// Serves a client with the greeting of its backend. Before TLS the client receives nothing else, and the backend
    /// receives nothing.
    pub(super) async fn relayed_greeting(
        &mut self,
        socket: Socket,
        tls: Option<&ListenerTls>,
    ) -> Result<(), SessionFailure> {
        let mut client = Stream::Clear(socket);
        let connecting = Box::pin(self.cleartext_backend());
        let ReadyBackend { stream: mut backend, greeting, pending, .. } = match connecting.await {
            Ok(ready) => ready,
            Err(failure) => {
                self.reject(&mut client).await;
                return Err(failure);
            }
        };
        let (protocol, limit) = (self.listener.protocol, self.listener.limits.negotiation);
        let dialect = protocol.new_dialect(self.context(Phase::Cleartext));
        let change =
            if tls.is_some() { CapabilityRewrite::AddUpgrade } else { CapabilityRewrite::DropUpgrade };
        let original = greeting.unwrap_or_default();
        let greeting = dialect.rewrite(Side::Server, ReplyTo::Connect, &original, change);
        if let Some(tls) = tls {
            let relay = Relay::for_session(protocol, self.context(Phase::Cleartext), rules::greeting_only());
            let out = Outgoing { to_client: greeting, ..Outgoing::default() };
            let upgrading = self.relay_until_upgrade(client, backend, relay, out, limit, tls);
            let upgraded =
                tokio::time::timeout(limit, upgrading).await.map_err(|_| SessionFailure::Late(limit))??;
            let Some(upgraded) = upgraded else { return Ok(()) };
            (client, backend) = upgraded;
        } else {
            send(&mut client, &greeting).await;
        }
        self.record_downstream(&client);
        self.route(&client)?;
        let mut login = Vec::new();
        if let Some(pending) = pending {
            let reading = sequence::read_login(&mut client);
            login = tokio::time::timeout(limit, reading).await.map_err(|_| SessionFailure::Late(limit))??;
            backend = pending.upgrade(backend, &sequence::ssl_request(&login)).await?;
            self.record.upstream = backend.shared_facts();
        }
        let mut out = Outgoing::default();
        // On a Unix socket, a server accepts an unencrypted password, as inside TLS.
        let original = backend.socket().tcp().is_some().then_some(original.as_slice());
        let mut filter =
            SequenceFilter::between(client.facts().is_some(), backend.facts().is_some(), original);
        match &mut filter {
            Some(filter) => drop(filter.receive(Side::Client, &login, &mut out)?),
            None => out.to_server = login,
        }
        let mut splice = Splice::new(filter.map(Box::new), out);
        self.splice(&mut client, &mut backend, &mut splice).await
    }
}
