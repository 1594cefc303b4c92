//! Sessions with data connections (FTP). The gateway parses the whole control connection (rule G2), and opens both sides of
//! every data connection itself. It never connects to an address that a peer sends.

mod control;
mod data;
mod reply;
pub(super) mod session_tickets;

use std::net::{IpAddr, SocketAddr};
use std::rc::Rc;

use starttls::proto::{CapabilityRewrite, Outgoing, Side};

use super::backend::ReadyBackend;
use super::run::Session;
use super::splice::Filter;
use super::stream::{Socket, Stream};
use super::transfer::Transfer;
use crate::config::BackendTls;
use crate::failure::SessionFailure;
use control::Control;
use data::{ClientTls, DataPeers};

impl Session<'_> {
    /// Continues a session with a backend, its data connections included.
    pub(super) async fn with_data_connections(
        &mut self,
        mut client: Stream,
        greeted: bool,
    ) -> Result<Transfer, SessionFailure> {
        let connected = match self.route(&client) {
            Ok(route) => self.connect(route, None).await,
            Err(failure) => Err(failure),
        };
        let ReadyBackend { stream: backend, greeting, unread, tls, .. } = match connected {
            Ok(ready) => ready,
            Err(failure) => {
                self.reject(&mut client).await;
                return Err(failure);
            }
        };
        let mut out = Outgoing::default();
        if !greeted {
            out.to_client =
                self.first_message(greeting, client.phase(), false, &[CapabilityRewrite::DropUpgrade]);
        }
        let peers = self.data_peers(&client, &backend, tls);
        let mut control =
            Control::new(client.facts().is_some(), backend.facts().is_some(), peers.map(Rc::new));
        if !unread.is_empty() {
            control.receive(Side::Server, &unread, &mut out)?;
        }
        Ok(self.transfer(client, backend, Some(Box::new(control)), out))
    }

    /// Returns the peers of data connections. `None` if a side has no IP address, or if no TLS session can be resumed.
    fn data_peers(
        &self,
        client: &Stream,
        backend: &Stream,
        backend_tls: Option<BackendTls>,
    ) -> Option<DataPeers> {
        let (local, client_address) = addresses(client.socket())?;
        let (own, backend_address) = addresses(backend.socket())?;
        let tls = match client.facts() {
            None => None,
            Some(facts) => {
                let acceptor = self.tickets.as_ref()?.data().clone();
                let resumed_only = self.listener.data.resumed_only;
                Some(ClientTls { acceptor, chain: facts.chain.clone(), resumed_only })
            }
        };
        let (protocol, patience) = (self.listener.protocol, self.listener.limits.negotiation);
        Some(DataPeers {
            protocol,
            local,
            ports: self.listener.data.ports.clone(),
            advertised: self.listener.data.address,
            client: client_address.ip(),
            own: own.ip(),
            backend: backend_address.ip(),
            tls,
            backend_tls,
            patience,
        })
    }
}

/// Returns the local and the peer address. IPv4-mapped IPv6 addresses become IPv4 addresses.
fn addresses(socket: &Socket) -> Option<(SocketAddr, SocketAddr)> {
    let tcp = socket.tcp()?;
    let canonical = |address: SocketAddr| match address.ip().to_canonical() {
        ip @ IpAddr::V4(_) => SocketAddr::new(ip, address.port()),
        IpAddr::V6(_) => address,
    };
    Some((canonical(tcp.local_addr().ok()?), canonical(tcp.peer_addr().ok()?)))
}
