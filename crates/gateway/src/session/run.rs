//! The course of a session: admission, TLS with the client, the connection to a backend, and the transfer.

use std::io::ErrorKind;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use starttls::proto::{
    AfterUpgrade, CapabilityRewrite, Outgoing, Phase, Refusal, ReplyTo, ServerMessage, ServiceName, Side,
};
use starttls::{Acceptor, TlsFacts};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::backend::{self, EarlyBackend, ReadyBackend, RequestedNames};
use super::busy_poll::awake;
use super::closing::{CLOSING, send};
use super::ftp::session_tickets::SessionTickets;
use super::late_relay::LateRelay;
use super::rules::Established;
use super::splice::{Filter, FilterState, Splice};
use super::stream::{Socket, Stream};
use super::transfer::Transfer;
use crate::admission::{Admission, Admitted, LimitReached};
use crate::config::{
    Backend, Downstream, Listener, ListenerTls, NotAdmitted, ProxyVersion, Route, UpgradePolicy,
};
use crate::failure::SessionFailure;
use crate::proxy_protocol::{self, Header, ProxiedClient};
use crate::record::{ClientAddresses, EarlyDialUse, SessionRecord};

/// The maximum number of octets before a client has named the service that it requests.
const OPENING: usize = 64 * 1024;

/// A session in progress.
pub(super) struct Session<'a> {
    pub(super) listener: &'a Arc<Listener>,
    pub(super) record: &'a mut SessionRecord,
    /// Whether the backend knows whose certificate the client has presented.
    identified: bool,
    /// The session tickets of a session with data connections.
    pub(super) tickets: Option<Box<SessionTickets>>,
    /// The backend that was dialed during the handshake.
    pub(super) early: Option<Box<EarlyBackend<'a>>>,
    /// The session's place within the limits.
    admitted: Option<Admitted>,
}

/// Serves one connection up to the transfer. Returns `None` if the session has ended; `record` then contains the failure.
pub(crate) async fn prepare(
    listener: &Arc<Listener>,
    admission: &Admission,
    socket: Socket,
    record: &mut SessionRecord,
) -> Option<Transfer> {
    let tickets = listener.tls().filter(|_| listener.protocol.flow.data_connections);
    let tickets = tickets.and_then(|tls| SessionTickets::new(&tls.acceptor)).map(Box::new);
    let mut session = Session { listener, record, identified: false, tickets, early: None, admitted: None };
    let prepared = session.prepare(admission, socket).await;
    prepared.unwrap_or_else(|failure| {
        record.failure = Some(Box::new(failure));
        None
    })
}

/// Returns whether a backend accepts connections. This does not log in, because backends count failed logins.
pub(crate) async fn is_ready(backend: &Backend, limit: Duration) -> bool {
    probe(&backend.without_login(), limit).await.is_ok()
}

/// Connects to a backend as a session does, its login included, and closes the connection. Returns the facts of the TLS
/// session, if the backend uses TLS.
///
/// # Errors
/// [`SessionFailure`], as for a session.
pub async fn probe(backend: &Backend, limit: Duration) -> Result<Option<TlsFacts>, SessionFailure> {
    let no_client = ProxiedClient { addresses: None, tls: None, certificate: false };
    let ready = backend::connect(backend, &proxy_header(backend, &no_client), None, limit).await?;
    Ok(ready.stream.facts().cloned())
}

impl<'a> Session<'a> {
    /// Completes the steps before the transfer. Returns `None` if the session has ended in good order.
    async fn prepare(
        &mut self,
        admission: &Admission,
        mut socket: Socket,
    ) -> Result<Option<Transfer>, SessionFailure> {
        match Box::pin(self.admit(admission, &mut socket)).await? {
            Ok(admitted) => self.admitted = Some(admitted),
            Err(limit) => {
                // With implicit TLS there is no way to send a message before the handshake.
                if !matches!(self.listener.downstream, Downstream::Implicit(_)) {
                    Box::pin(self.reject(&mut Stream::Clear(socket))).await;
                }
                return Err(SessionFailure::LimitReached(limit));
            }
        }
        let busy_poll = self.listener.busy_poll;
        let relays_greeting = self.listener.protocol.flow.login_needs_greeting;
        let client = match &self.listener.downstream {
            Downstream::Cleartext if relays_greeting => {
                return Box::pin(self.relayed_greeting(socket, None)).await;
            }
            Downstream::Cleartext => Ok((Stream::Clear(socket), false)),
            // The first message of such a client is its request or its login, so the upgrade is never optional (rule S4).
            Downstream::Upgrade(_, tls) if relays_greeting => {
                return Box::pin(self.relayed_greeting(socket, Some(tls))).await;
            }
            Downstream::Upgrade(UpgradePolicy::Optional, tls) => {
                return Box::pin(self.optional(socket, tls)).await;
            }
            Downstream::Implicit(tls) | Downstream::Upgrade(_, tls) if self.listener.early_dial => {
                let greeted = matches!(self.listener.downstream, Downstream::Upgrade(..));
                let accepting = Box::pin(self.accept_and_dial(admission, socket, tls));
                let encrypted = awake(busy_poll, accepting).await;
                encrypted.map(|encrypted| (Stream::Tls(Box::new(encrypted)), greeted))
            }
            Downstream::Implicit(tls) => {
                let encrypted = awake(busy_poll, Box::pin(self.acceptor(tls).accept_implicit(socket))).await;
                encrypted.map(|encrypted| (Stream::Tls(Box::new(encrypted)), false))
            }
            Downstream::Upgrade(_, tls) => {
                let encrypted = awake(busy_poll, Box::pin(self.acceptor(tls).accept(socket))).await;
                encrypted.map(|encrypted| (Stream::Tls(Box::new(encrypted)), true))
            }
        };
        let (client, greeted) = client.map_err(SessionFailure::downstream)?;
        self.established(client, greeted).await.map(Some)
    }

    /// Determines the client's address and applies the limits. The inner error is a limit that was reached.
    ///
    /// A connection counts from its start: for the listener and the gateway while its PROXY header is read, and for the
    /// client's address as soon as that is known.
    async fn admit(
        &mut self,
        admission: &Admission,
        socket: &mut Socket,
    ) -> Result<Result<Admitted, LimitReached>, SessionFailure> {
        let peer = self.peer();
        if !peer.is_some_and(|peer| self.listener.expects_proxy_header(peer)) {
            self.allow(peer)?;
            return Ok(admission.admit(peer));
        }
        let reserved = match admission.reserve() {
            Ok(reserved) => reserved,
            Err(limit) => return Ok(Err(limit)),
        };
        let limit = self.listener.limits.negotiation;
        let header = tokio::time::timeout(limit, proxy_protocol::read(socket)).await;
        if let Header::Proxied { client, destination } =
            header.map_err(|_| SessionFailure::Late(limit))?.map_err(SessionFailure::Proxy)?
        {
            self.record.client = ClientAddresses { address: Some(client), local: Some(destination) };
        }
        let client = self.peer();
        self.allow(client)?;
        Ok(reserved.admit(client))
    }

    fn peer(&self) -> Option<IpAddr> {
        self.record.client.address.map(|address| address.ip())
    }

    fn allow(&self, client: Option<IpAddr>) -> Result<(), SessionFailure> {
        match client {
            Some(client) if !self.listener.admits(Some(client)) => Err(SessionFailure::NotAllowed(client)),
            _ => Ok(()),
        }
    }

    /// Continues with a backend. The client's connection has its final form: cleartext for good, or inside TLS. `greeted`
    /// is whether the client has received a greeting, if its protocol has one.
    pub(super) async fn established(
        &mut self,
        client: Stream,
        greeted: bool,
    ) -> Result<Transfer, SessionFailure> {
        self.record_downstream(&client);
        if self.listener.protocol.flow.data_connections {
            return Box::pin(self.with_data_connections(client, greeted)).await;
        }
        awake(self.listener.busy_poll, Box::pin(self.prepare_or_reject(client, greeted))).await
    }

    /// Ends the preparation.
    pub(super) fn transfer(
        &mut self,
        client: Stream,
        backend: Stream,
        filter: Option<Box<dyn Filter>>,
        first: Outgoing,
    ) -> Transfer {
        Transfer::new(self.listener, client, backend, Splice::new(filter, first), self.admitted.take())
    }

    /// Returns the acceptor for this session.
    pub(super) fn acceptor<'b>(&'b self, tls: &'b ListenerTls) -> &'b Acceptor {
        self.tickets.as_deref().map_or(&tls.acceptor, SessionTickets::control)
    }

    /// Records the TLS session with the client.
    pub(super) fn record_downstream(&mut self, client: &Stream) {
        let since = self.record.began;
        self.record.until_tls.get_or_insert_with(|| since.elapsed());
        self.record.downstream = client.shared_facts();
        self.record.server_name = client.facts().and_then(|facts| facts.server_name.clone());
    }

    async fn prepare_or_reject(
        &mut self,
        mut client: Stream,
        greeted: bool,
    ) -> Result<Transfer, SessionFailure> {
        let mut out = Outgoing::default();
        match self.prepare_relay(&mut client, greeted, &mut out).await {
            Ok((backend, relay)) => {
                let relay = relay.map(|relay| relay as Box<dyn Filter>);
                let transfer = self.transfer(client, backend, relay, out);
                Ok(if self.listener.busy_poll { transfer.busy_polling() } else { transfer })
            }
            Err(failure) => {
                self.reject(&mut client).await;
                Err(failure)
            }
        }
    }

    /// Connects to a backend, and puts the first messages to both sides into `out`. Returns the backend, and the filter if
    /// there is anything left to filter.
    async fn prepare_relay(
        &mut self,
        client: &mut Stream,
        mut greeted: bool,
        out: &mut Outgoing,
    ) -> Result<(Stream, Option<Box<LateRelay>>), SessionFailure> {
        let (protocol, phase) = (self.listener.protocol, client.phase());
        let refusal = match phase {
            Phase::InsideTls => Refusal::Permanent,
            Phase::Cleartext => Refusal::Temporary,
        };
        // What a backend knows is decided when there is one.
        let rules = Established { refusal, logged_in: false, identified: true };
        let new_relay = |phase| Box::new(LateRelay::new(self.listener.clone(), phase, rules.rules()));
        let mut relay = new_relay(phase);
        let mut state = FilterState::Reading;
        if protocol.flow.after == AfterUpgrade::StreamRestart {
            state = self.read_service(client, &mut relay, out).await?;
        }
        let route = self.route(client)?;
        let requested = relay.service().map(|service| RequestedNames {
            service: ServiceName::from_peer(&service),
            client: relay.client().and_then(|name| name.parse().ok()),
        });
        let ReadyBackend { stream, greeting, unread, logged_in, .. } =
            self.connect(route, requested.as_ref()).await?;
        match (greeted, greeting.is_some()) {
            // The client sent its preamble before its upgrade, and the backend still waits for it.
            (true, true) => out.to_server.extend_from_slice(protocol.flow.client_preamble),
            // The gateway sent the preamble before its own upgrade, so that the client's must not follow.
            (false, false) if protocol.flow.greeting && !protocol.flow.client_preamble.is_empty() => {
                self.take_preamble(client, phase).await?;
                relay = new_relay(Phase::InsideTls);
                greeted = true;
            }
            _ => {}
        }
        relay.set_rules(Established { logged_in, identified: self.identified, ..rules }.rules());
        // Whether the server has to send the next message: its greeting, or a message after the upgrade.
        let server_is_next = match protocol.flow.after {
            AfterUpgrade::ServerSpeaks => true,
            AfterUpgrade::AnswerPending => greeted,
            _ => protocol.flow.greeting && !greeted,
        };
        if server_is_next {
            let message = self.first_message(greeting, phase, logged_in, &[CapabilityRewrite::DropUpgrade]);
            out.to_client.splice(0..0, message);
        }
        if !unread.is_empty() {
            state = relay.receive(Side::Server, &unread, out)?;
        }
        Ok((stream, (state == FilterState::Reading).then_some(relay)))
    }

    /// Greets the client, and reads what it sends once before its first message.
    async fn take_preamble(&self, client: &mut Stream, phase: Phase) -> Result<(), SessionFailure> {
        let expected = self.listener.protocol.flow.client_preamble;
        let limit = self.listener.limits.negotiation;
        let mut received = vec![0; expected.len()];
        send(client, &self.first_message(None, phase, false, &[])).await;
        tokio::time::timeout(limit, client.read_exact(&mut received))
            .await
            .map_err(|_| SessionFailure::Late(limit))?
            .map_err(|cause| SessionFailure::io(Side::Client, cause))?;
        match received == expected {
            true => Ok(()),
            false => {
                let (side, expected) = (Side::Client, "the flags that the greeting announces");
                Err(SessionFailure::Protocol { side, expected, received })
            }
        }
    }

    /// Reads until the client has named the service that it requests.
    async fn read_service(
        &mut self,
        client: &mut Stream,
        relay: &mut LateRelay,
        out: &mut Outgoing,
    ) -> Result<FilterState, SessionFailure> {
        let limit = self.listener.limits.negotiation;
        let reading = async {
            let (mut chunk, mut left) = ([0; 2048], OPENING);
            loop {
                let count =
                    client.read(&mut chunk).await.map_err(|cause| SessionFailure::io(Side::Client, cause))?;
                if count == 0 {
                    return Err(SessionFailure::io(Side::Client, ErrorKind::UnexpectedEof.into()));
                }
                // Everything before the name is kept for the backend, so it is bounded.
                left = left.checked_sub(count).ok_or_else(|| SessionFailure::Protocol {
                    side: Side::Client,
                    expected: "the start of a stream within 64 KiB",
                    received: chunk[..count.min(200)].to_vec(),
                })?;
                let state = relay.receive(Side::Client, &chunk[..count], out)?;
                if relay.service().is_some() || state != FilterState::Reading {
                    return Ok(state);
                }
            }
        };
        let state = tokio::time::timeout(limit, reading).await.map_err(|_| SessionFailure::Late(limit))??;
        let (requested, verified) = (relay.service(), self.record.server_name.take());
        // A client that did the handshake with one service must not open a stream to another.
        if let (Some(requested), Some(verified)) = (&requested, &verified)
            && !requested.eq_ignore_ascii_case(verified)
        {
            return Err(SessionFailure::NotAdmitted(NotAdmitted::NoRoute(Some(requested.clone()))));
        }
        self.record.server_name = requested.or(verified);
        Ok(state)
    }

    /// Returns the route for the name that the client requested, if its certificate is valid for that route.
    pub(super) fn route(&self, client: &Stream) -> Result<&'a Route, SessionFailure> {
        let chain = client.facts().map(|facts| facts.chain.as_slice()).unwrap_or_default();
        let listener: &'a Listener = self.listener;
        listener.admit(self.record.server_name.as_deref(), chain).map_err(SessionFailure::NotAdmitted)
    }

    /// Connects to the first backend of the route that is ready, or returns the one that was dialed during the handshake.
    pub(super) async fn connect(
        &mut self,
        route: &Route,
        requested: Option<&RequestedNames>,
    ) -> Result<ReadyBackend, SessionFailure> {
        if let Some(early) = self.early.take()
            && std::ptr::eq(early.route, route)
        {
            self.record.early_dial = Some(EarlyDialUse::Used);
            return early.connected;
        }
        let began = Instant::now();
        let mut last = None;
        // Backends whose last connection failed are tried too, after the others.
        let (up, down): (Vec<_>, Vec<_>) = route.backends.iter().partition(|it| it.health.is_up());
        for backend in up.into_iter().chain(down) {
            let client = self.proxied_client(route);
            let header = proxy_header(backend, &client);
            let identified = backend.send_proxy == Some(ProxyVersion::V2) && client.client_name().is_some();
            let connected = backend::connect(backend, &header, requested, self.listener.limits.dial).await;
            // A backend that knows the client's address may refuse this client and serve others.
            let ready = connected.is_ok()
                || (backend.send_proxy.is_some() && matches!(connected, Err(SessionFailure::Refused { .. })));
            backend.health.set(ready);
            match connected {
                Ok(connected) => {
                    self.identified = identified;
                    self.record.backend = Some(backend.url.clone());
                    self.record.upstream = connected.stream.shared_facts();
                    self.record.until_backend = Some(began.elapsed());
                    return Ok(connected);
                }
                Err(failure) => last = Some(failure),
            }
        }
        Err(last.unwrap_or(SessionFailure::NotAdmitted(NotAdmitted::NoRoute(None))))
    }

    /// Returns what the gateway reports about the client to the backends of this route (rules G3, G4).
    fn proxied_client(&self, route: &Route) -> ProxiedClient<'_> {
        let ClientAddresses { address, local } = self.record.client;
        let (tls, certificate) = (self.record.downstream.as_deref(), route.client_auth.is_some());
        ProxiedClient { addresses: address.zip(local), tls, certificate }
    }

    /// Returns the first message to the client: the backend's, if it has sent one, otherwise the gateway's own. `changes`
    /// are applied to it.
    pub(super) fn first_message(
        &self,
        greeting: Option<Vec<u8>>,
        phase: Phase,
        logged_in: bool,
        changes: &[CapabilityRewrite],
    ) -> Vec<u8> {
        let protocol = self.listener.protocol;
        let mut dialect = protocol.new_dialect(self.listener.context(phase));
        let mut message = Vec::new();
        match (protocol.flow.after, greeting) {
            (AfterUpgrade::AnswerPending, _) => dialect.write_server(ServerMessage::Other, &mut message),
            (_, Some(greeting)) => message = greeting,
            (AfterUpgrade::ServerSpeaks, None) => {
                dialect.write_server(ServerMessage::Offer { starttls: false }, &mut message);
            }
            (_, None) => {
                if logged_in {
                    dialect.write_server(ServerMessage::PreAuthenticated, &mut message);
                }
                // Most protocols have no greeting for clients that are logged in.
                if message.is_empty() {
                    dialect.write_server(ServerMessage::Greeting, &mut message);
                }
            }
        }
        let external = (!self.identified).then_some(CapabilityRewrite::DropExternal);
        let always = [CapabilityRewrite::DropChannelBinding, CapabilityRewrite::DropOnBehalf];
        let changes = changes.iter().copied().chain(always).chain(external);
        changes.fold(message, |message, change| {
            dialect.rewrite(Side::Server, ReplyTo::Connect, &message, change)
        })
    }

    /// Closes the connection of a client that gets no backend, after the protocol's message for that.
    pub(super) async fn reject(&self, client: &mut Stream) {
        let mut message = Vec::new();
        let mut context = self.listener.context(client.phase());
        if let (true, Some(requested)) = (context.identity.server_name.is_empty(), &self.record.server_name) {
            context.identity.server_name = ServiceName::from_peer(requested);
        }
        self.listener.protocol.new_dialect(context).write_server(ServerMessage::Unavailable, &mut message);
        send(client, &message).await;
        let _ = tokio::time::timeout(CLOSING, client.shutdown()).await;
    }
}

/// Returns the PROXY header for this backend; empty if it gets none.
fn proxy_header(backend: &Backend, client: &ProxiedClient<'_>) -> Vec<u8> {
    match backend.send_proxy {
        None => Vec::new(),
        Some(ProxyVersion::V1) => proxy_protocol::v1(client),
        Some(ProxyVersion::V2) => proxy_protocol::v2(client),
    }
}
