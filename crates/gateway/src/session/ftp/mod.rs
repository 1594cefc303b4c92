//! Sessions with data connections (FTP): the control connection is read to its end (rule G2), and every data
//! connection is the gateway's own on both legs. No address that a peer names is ever believed.

mod control;
mod data;
mod reply;
mod session_tickets;

use std::net::{IpAddr, SocketAddr};
use std::rc::Rc;

use starttls::proto::{CapabilityRewrite, Outgoing, Side};

use super::backend::Reached;
use super::{Session, Socket, Stream};
use crate::failure::SessionFailure;
use crate::splice::Filter;
use control::Control;
use data::{Ends, Front};

pub(super) use session_tickets::SessionTickets;

impl Session<'_> {
    /// Goes on with a backend on a front that stands.
    pub(super) async fn tracked(&mut self, mut front: Stream, greeted: bool) -> Result<(), SessionFailure> {
        let reached = match self.route(&front) {
            Ok(route) => self.reach(route, None).await,
            Err(failure) => Err(failure),
        };
        let Reached { stream: mut back, greeting, unread, upstream, .. } = match reached {
            Ok(reached) => reached,
            Err(failure) => {
                self.reject(&mut front).await;
                return Err(failure);
            }
        };
        let mut out = Outgoing::default();
        if !greeted {
            out.to_client =
                self.first_words(greeting, front.facts().is_some(), false, &[CapabilityRewrite::DropUpgrade]);
        }
        let ends = self.ends(&front, &back, upstream);
        let mut control = Control::new(front.facts().is_some(), back.facts().is_some(), ends.map(Rc::new));
        if !unread.is_empty() {
            control.receive(Side::Server, &unread, &mut out)?;
        }
        self.copy(&mut front, &mut back, Some(control), out).await
    }

    /// Where data connections lead, if both legs have an address and the front's TLS can be had again.
    fn ends(
        &self,
        front: &Stream,
        back: &Stream,
        upstream: Option<crate::config::BackendTls>,
    ) -> Option<Ends> {
        let (local, client) = addresses(front.socket())?;
        let (own, backend) = addresses(back.socket())?;
        let tls = match front.facts() {
            None => None,
            Some(facts) => {
                let acceptor = self.tickets.as_ref()?.data().clone();
                let resumed_only = self.listener.data.resumed_only;
                Some(Front { acceptor, chain: facts.chain.clone(), resumed_only })
            }
        };
        let (protocol, patience) = (self.listener.protocol, self.listener.limits.negotiation);
        Some(Ends {
            protocol,
            local,
            ports: self.listener.data.ports.clone(),
            told: self.listener.data.address,
            client: client.ip(),
            own: own.ip(),
            backend: backend.ip(),
            tls,
            upstream,
            patience,
        })
    }
}

/// The addresses of both ends, those of IPv4 as such.
fn addresses(socket: &Socket) -> Option<(SocketAddr, SocketAddr)> {
    let Socket::Tcp(tcp) = socket else { return None };
    let canonical = |address: SocketAddr| match address.ip().to_canonical() {
        ip @ IpAddr::V4(_) => SocketAddr::new(ip, address.port()),
        IpAddr::V6(_) => address,
    };
    Some((canonical(tcp.local_addr().ok()?), canonical(tcp.peer_addr().ok()?)))
}
