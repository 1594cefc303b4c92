//! Sessions of MySQL, which differ from those of all other protocols in two ways:
//! - packets are numbered across the boundary, so the numbers differ where only one side has TLS ([`sequence`]);
//! - `caching_sha2_password` sends passwords differently with and without TLS ([`caching_sha2`]).

mod caching_sha2;
mod sequence;

use starttls::proto::{Outgoing, Side};

use super::pending::PendingUpgrade;
use super::run::Session;
use super::splice::Filter;
use super::stream::Stream;
use super::transfer::Transfer;
use crate::failure::SessionFailure;
use sequence::SequenceFilter;

impl Session<'_> {
    /// Serves a client that has received this greeting, and is inside TLS if its listener has TLS.
    pub(super) async fn numbered(
        &mut self,
        mut client: Stream,
        mut backend: Stream,
        pending: Option<PendingUpgrade>,
        greeting: &[u8],
    ) -> Result<Transfer, SessionFailure> {
        let limit = self.listener.limits.negotiation;
        let mut login = Vec::new();
        if let Some(pending) = pending {
            let reading = sequence::read_login(&mut client);
            login = tokio::time::timeout(limit, reading).await.map_err(|_| SessionFailure::Late(limit))??;
            backend = pending.upgrade(backend, &sequence::ssl_request(&login)).await?;
            self.record.upstream = backend.shared_facts();
        }
        let mut out = Outgoing::default();
        // On a Unix socket, a server accepts an unencrypted password, as inside TLS.
        let original = backend.socket().tcp().is_some().then_some(greeting);
        let mut filter =
            SequenceFilter::between(client.facts().is_some(), backend.facts().is_some(), original);
        match &mut filter {
            Some(filter) => drop(filter.receive(Side::Client, &login, &mut out)?),
            None => out.to_server = login,
        }
        let filter = filter.map(|filter| Box::new(filter) as Box<dyn Filter>);
        Ok(self.transfer(client, backend, filter, out))
    }
}
