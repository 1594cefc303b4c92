//! Clients that log in with data from the greeting, and so need the greeting of the backend that serves them.

use starttls::proto::{
    AfterUpgrade, CapabilityRewrite, ClientMessage, Outgoing, Phase, Relay, ReplyTo, Side,
};

use super::backend::ReadyBackend;
use super::closing::send;
use super::rules;
use super::run::Session;
use super::stream::{Socket, Stream};
use super::transfer::Transfer;
use crate::config::ListenerTls;
use crate::failure::SessionFailure;

impl Session<'_> {
    /// Serves a client with the greeting of its backend. Before TLS the client receives nothing else, and the backend
    /// receives nothing.
    pub(super) async fn relayed_greeting(
        &mut self,
        socket: Socket,
        tls: Option<&ListenerTls>,
    ) -> Result<Option<Transfer>, SessionFailure> {
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
        let mut dialect = protocol.new_dialect(self.listener.context(Phase::Cleartext));
        let change =
            if tls.is_some() { CapabilityRewrite::AddUpgrade } else { CapabilityRewrite::DropUpgrade };
        let original = greeting.unwrap_or_default();
        let greeting = dialect.rewrite(Side::Server, ReplyTo::Connect, &original, change);
        if let Some(tls) = tls {
            let relay =
                Relay::for_session(protocol, self.listener.context(Phase::Cleartext), rules::greeting_only());
            let out = Outgoing { to_client: greeting, ..Outgoing::default() };
            let upgrading = self.relay_until_upgrade(client, backend, relay, out, limit, tls);
            let upgraded =
                tokio::time::timeout(limit, upgrading).await.map_err(|_| SessionFailure::Late(limit))??;
            let Some(upgraded) = upgraded else { return Ok(None) };
            (client, backend) = upgraded;
        } else {
            send(&mut client, &greeting).await;
        }
        self.record_downstream(&client);
        self.route(&client)?;
        if protocol.flow.after == AfterUpgrade::SequenceContinues {
            return self.numbered(client, backend, pending, &original).await.map(Some);
        }
        if let Some(pending) = pending {
            let mut request = Vec::new();
            dialect.write_client(ClientMessage::Request, &mut request);
            backend = pending.upgrade(backend, &request).await?;
            self.record.upstream = backend.shared_facts();
        }
        Ok(Some(self.transfer(client, backend, None, Outgoing::default())))
    }
}
