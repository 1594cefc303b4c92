//! One session, from the first byte to the last: the front, the way to a backend, the copying.

mod backend;
mod caching_sha2;
mod downstream;
mod ftp;
mod rules;
mod sequence;
mod stream;

use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};

use starttls::proto::{
    AfterUpgrade, CapabilityRewrite, Identity, Outgoing, Refusal, Relay, ServerMessage, ServiceName, Side,
};
use starttls::{Acceptor, TlsFacts};
use tokio::io::{AsyncReadExt, AsyncWrite, AsyncWriteExt};

use crate::admission::{Admission, Admitted, LimitReached};
use crate::config::{
    Backend, Downstream, Listener, ListenerTls, NotAdmitted, ProxyVersion, Route, UpgradePolicy,
};
use crate::failure::SessionFailure;
use crate::proxy_protocol::{self, Header, ProxiedClient};
use crate::splice::{Filter, Splice, State};
use backend::{Asked, Reached};
use downstream::answer_violation;
use ftp::SessionTickets;

pub(crate) use stream::{Socket, Stream};

/// Who connected.
#[derive(Clone, Copy, Debug)]
pub struct ClientAddresses {
    /// The client's own address; where a PROXY header came, the one in it.
    pub address: Option<SocketAddr>,
    /// The address that it connected to.
    pub local: Option<SocketAddr>,
}

/// What there is to say of a session when it is over.
#[derive(Debug)]
pub struct SessionRecord {
    /// Who connected.
    pub client: ClientAddresses,
    /// The TLS facts of the front, if it came to TLS there.
    pub downstream: Option<TlsFacts>,
    /// The name that the client asked for: by SNI, or in its stream.
    pub server_name: Option<String>,
    /// The backend, if one was reached.
    pub backend: Option<String>,
    /// The TLS facts toward the backend.
    pub upstream: Option<TlsFacts>,
    /// Octets from the client to the backend, inside TLS.
    pub octets_up: u64,
    /// Octets from the backend to the client, inside TLS.
    pub octets_down: u64,
    /// From the connection to the end of the front's handshake.
    pub until_tls: Option<Duration>,
    /// From then until the backend was ready.
    pub until_backend: Option<Duration>,
    /// The whole session.
    pub duration: Duration,
    /// Why it ended before its time, if it did.
    pub failure: Option<SessionFailure>,
}

impl SessionRecord {
    /// Of a session that begins.
    pub(crate) fn new(client: ClientAddresses) -> Self {
        Self {
            client,
            downstream: None,
            server_name: None,
            backend: None,
            upstream: None,
            octets_up: 0,
            octets_down: 0,
            until_tls: None,
            until_backend: None,
            duration: Duration::ZERO,
            failure: None,
        }
    }
}

/// A session under way.
struct Session<'a> {
    listener: &'a Listener,
    began: Instant,
    record: &'a mut SessionRecord,
    /// Whether the backend is told whose certificate the client has presented.
    identified: bool,
    /// Where the session has data connections: whose TLS sessions resume whose.
    tickets: Option<Box<SessionTickets>>,
}

/// Serves one connection to its end, and notes in `record` how far it comes.
pub(crate) async fn serve(
    listener: &Listener,
    admission: &Admission,
    socket: Socket,
    record: &mut SessionRecord,
) {
    let tickets = listener.tls().filter(|_| listener.protocol.flow.data_connections);
    let tickets = tickets.and_then(|tls| SessionTickets::new(&tls.acceptor)).map(Box::new);
    let mut session = Session { listener, began: Instant::now(), record, identified: false, tickets };
    session.record.failure = session.run(admission, socket).await.err();
}

impl<'a> Session<'a> {
    async fn run(&mut self, admission: &Admission, mut socket: Socket) -> Result<(), SessionFailure> {
        // What is over before the copying is boxed, so that it is not kept meanwhile: it is far larger.
        let _admitted = match Box::pin(self.admit(admission, &mut socket)).await? {
            Ok(admitted) => admitted,
            Err(reason) => {
                // Where TLS comes first there are no words for it.
                if !matches!(self.listener.downstream, Downstream::Implicit(_)) {
                    Box::pin(self.reject(&mut Stream::Clear(socket))).await;
                }
                return Err(SessionFailure::Crowded(reason));
            }
        };
        let flow = self.listener.protocol.flow;
        let relays = flow.after == AfterUpgrade::SequenceContinues;
        match &self.listener.downstream {
            Downstream::Cleartext if relays => Box::pin(self.relayed_greeting(socket, None)).await,
            Downstream::Cleartext => self.settled(Stream::Clear(socket), false).await,
            Downstream::Implicit(tls) => {
                let encrypted = Box::pin(self.acceptor(tls).accept_implicit(socket))
                    .await
                    .map_err(SessionFailure::downstream)?;
                self.settled(Stream::Tls(Box::new(encrypted)), false).await
            }
            // Where the client says nothing before its request but its login, nothing is optional (rule S4).
            Downstream::Upgrade(_, tls) if relays => Box::pin(self.relayed_greeting(socket, Some(tls))).await,
            Downstream::Upgrade(UpgradePolicy::Optional, tls) => Box::pin(self.optional(socket, tls)).await,
            Downstream::Upgrade(_, tls) => {
                let encrypted =
                    Box::pin(self.acceptor(tls).accept(socket)).await.map_err(SessionFailure::downstream)?;
                self.settled(Stream::Tls(Box::new(encrypted)), true).await
            }
        }
    }

    /// Finds out who the client is, and whether it is served here. The inner error is a limit that was reached.
    ///
    /// A connection counts from its first moment: for the listener and the gateway while its PROXY header is on the
    /// way, and for the client's address as soon as that is known.
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
            Err(refused) => return Ok(Err(refused)),
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

    /// The front stands as it is: goes on with a backend. `greeted` says whether the client has negotiated before, and
    /// was greeted if its protocol greets.
    async fn settled(&mut self, mut front: Stream, greeted: bool) -> Result<(), SessionFailure> {
        self.stands(&front);
        if self.listener.protocol.flow.data_connections {
            return Box::pin(self.tracked(front, greeted)).await;
        }
        let mut out = Outgoing::default();
        let ready = match Box::pin(self.prepare(&mut front, greeted, &mut out)).await {
            Ok(ready) => ready,
            Err(failure) => {
                Box::pin(self.reject(&mut front)).await;
                return Err(failure);
            }
        };
        let (mut back, editor) = ready;
        self.copy(&mut front, &mut back, editor, out).await
    }

    /// What does the front's TLS in this session.
    fn acceptor<'b>(&'b self, tls: &'b ListenerTls) -> &'b Acceptor {
        self.tickets.as_deref().map_or(&tls.acceptor, SessionTickets::control)
    }

    /// Notes how far the front has come.
    fn stands(&mut self, front: &Stream) {
        self.record.until_tls = Some(self.began.elapsed());
        self.record.downstream = front.facts().cloned();
        self.record.server_name = front.facts().and_then(|facts| facts.server_name.clone());
    }

    /// Finds the way on and everything that has to be said first.
    async fn prepare(
        &mut self,
        front: &mut Stream,
        greeted: bool,
        out: &mut Outgoing,
    ) -> Result<(Stream, Option<Relay>), SessionFailure> {
        let (protocol, inside_tls) = (self.listener.protocol, front.facts().is_some());
        let refusal = if inside_tls { Refusal::Permanent } else { Refusal::Temporary };
        let mut relay = Relay::for_session(protocol, self.identity(inside_tls), rules::settled(refusal));
        let mut state = State::Reading;
        if protocol.flow.after == AfterUpgrade::StreamRestart {
            state = self.service(front, &mut relay, out).await?;
        }
        let route = self.route(front)?;
        let asked = relay.service().map(|service| Asked {
            service: ServiceName::from_peer(&service),
            client: relay.client().and_then(|name| name.parse().ok()),
        });
        let Reached { stream, greeting, unread, logged_in, .. } = self.reach(route, asked.as_ref()).await?;
        if logged_in {
            relay.add_rule(rules::logged_in());
        }
        if !self.identified {
            relay.add_rule(rules::unidentified());
        }
        // What the server owes the client by itself: its greeting, or what comes behind an upgrade.
        let owes = match protocol.flow.after {
            AfterUpgrade::ServerSpeaks => true,
            AfterUpgrade::AnswerPending => greeted,
            _ => protocol.flow.greeting && !greeted,
        };
        if owes {
            let words = self.first_words(greeting, inside_tls, logged_in, &[CapabilityRewrite::DropUpgrade]);
            out.to_client.splice(0..0, words);
        }
        if !unread.is_empty() {
            state = Filter::receive(&mut relay, Side::Server, &unread, out)?;
        }
        Ok((stream, (state == State::Reading).then_some(relay)))
    }

    /// Reads until the client has said which service it wants.
    async fn service(
        &mut self,
        front: &mut Stream,
        relay: &mut Relay,
        out: &mut Outgoing,
    ) -> Result<State, SessionFailure> {
        let limit = self.listener.limits.negotiation;
        let reading = async {
            let (mut chunk, mut left) = ([0; 2048], OPENING);
            loop {
                let count =
                    front.read(&mut chunk).await.map_err(|cause| SessionFailure::io(Side::Client, cause))?;
                if count == 0 {
                    return Err(SessionFailure::io(Side::Client, std::io::ErrorKind::UnexpectedEof.into()));
                }
                // What comes before it is kept for the backend.
                left = left.checked_sub(count).ok_or_else(|| SessionFailure::Protocol {
                    side: Side::Client,
                    expected: "the start of a stream within 64 KiB",
                    received: chunk[..count.min(200)].to_vec(),
                })?;
                let state = Filter::receive(relay, Side::Client, &chunk[..count], out)?;
                if relay.service().is_some() || state != State::Reading {
                    return Ok(state);
                }
            }
        };
        let state = tokio::time::timeout(limit, reading).await.map_err(|_| SessionFailure::Late(limit))??;
        let (wanted, verified) = (relay.service(), self.record.server_name.take());
        // TLS was shaken hands on with one service; the stream is not for another.
        if let (Some(wanted), Some(verified)) = (&wanted, &verified)
            && !wanted.eq_ignore_ascii_case(verified)
        {
            return Err(SessionFailure::NotAdmitted(NotAdmitted::NoRoute(Some(wanted.clone()))));
        }
        self.record.server_name = wanted.or(verified);
        Ok(state)
    }

    /// The route for the name that the client asked for, if its certificate is good for it.
    fn route(&self, front: &Stream) -> Result<&'a Route, SessionFailure> {
        let chain = front.facts().map(|facts| facts.chain.as_slice()).unwrap_or_default();
        let listener: &'a Listener = self.listener;
        listener.admit(self.record.server_name.as_deref(), chain).map_err(SessionFailure::NotAdmitted)
    }

    /// The first backend of the route that is ready.
    async fn reach(&mut self, route: &Route, asked: Option<&Asked>) -> Result<Reached, SessionFailure> {
        let began = Instant::now();
        let mut last = None;
        // Those that failed lately come last: they may be all there is.
        let (up, down): (Vec<_>, Vec<_>) = route.backends.iter().partition(|it| it.health.is_up());
        for backend in up.into_iter().chain(down) {
            let identity = self.proxied(route);
            let header = header(backend, &identity);
            let identified = backend.send_proxy == Some(ProxyVersion::V2) && identity.client_name().is_some();
            let reached = backend::reach(backend, &header, asked, self.listener.limits.dial).await;
            // Who is told of the client may turn it away, and no other.
            let ready = reached.is_ok()
                || (backend.send_proxy.is_some() && matches!(reached, Err(SessionFailure::Refused { .. })));
            backend.health.set(ready);
            match reached {
                Ok(reached) => {
                    self.identified = identified;
                    self.record.backend = Some(backend.to_string());
                    self.record.upstream = reached.stream.facts().cloned();
                    self.record.until_backend = Some(began.elapsed());
                    return Ok(reached);
                }
                Err(failure) => last = Some(failure),
            }
        }
        Err(last.unwrap_or(SessionFailure::NotAdmitted(NotAdmitted::NoRoute(None))))
    }

    /// What the backends of this route are told of the client (rules G3, G4).
    fn proxied(&self, route: &Route) -> ProxiedClient<'_> {
        let ClientAddresses { address, local } = self.record.client;
        let (tls, certificate) = (self.record.downstream.as_ref(), route.client_auth.is_some());
        ProxiedClient { addresses: address.zip(local), tls, certificate }
    }

    /// The service's identity on a new connection.
    fn identity(&self, inside_tls: bool) -> Identity {
        let own = self.listener.tls().map(|tls| tls.acceptor.identity());
        Identity { inside_tls, ..own.unwrap_or_else(|| Identity::new(&self.listener.server_name)) }
    }

    /// What the client is sent first, with these changes: the backend's words if the backend has sent them, otherwise
    /// words of our own.
    fn first_words(
        &self,
        greeting: Option<Vec<u8>>,
        inside_tls: bool,
        logged_in: bool,
        changes: &[CapabilityRewrite],
    ) -> Vec<u8> {
        let protocol = self.listener.protocol;
        let mut dialect = (protocol.dialect)(self.identity(inside_tls));
        let mut own = Vec::new();
        match (protocol.flow.after, greeting) {
            (AfterUpgrade::AnswerPending, _) => dialect.write_server(ServerMessage::Other, &mut own),
            (_, Some(words)) => own = words,
            (AfterUpgrade::ServerSpeaks, None) => {
                dialect.write_server(ServerMessage::Offer { starttls: false }, &mut own);
            }
            (_, None) => {
                if logged_in {
                    dialect.write_server(ServerMessage::PreAuthenticated, &mut own);
                }
                // Most protocols cannot say that one is logged in, and need not.
                if own.is_empty() {
                    dialect.write_server(ServerMessage::Greeting, &mut own);
                }
            }
        }
        let external = (!self.identified).then_some(CapabilityRewrite::DropExternal);
        let always = [CapabilityRewrite::DropChannelBinding, CapabilityRewrite::DropOnBehalf];
        let changes = changes.iter().copied().chain(always).chain(external);
        changes.fold(own, |words, how| dialect.rewrite(Side::Server, &words, how))
    }

    /// Closes a front behind which there is no backend, in the protocol's own words.
    async fn reject(&self, front: &mut Stream) {
        let mut words = Vec::new();
        let mut identity = self.identity(front.facts().is_some());
        if let (true, Some(asked)) = (identity.server_name.is_empty(), &self.record.server_name) {
            identity = Identity { server_name: ServiceName::from_peer(asked), ..identity };
        }
        (self.listener.protocol.dialect)(identity).write_server(ServerMessage::Unavailable, &mut words);
        say(front, &words).await;
        // A courtesy, as the words.
        let _ = tokio::time::timeout(COURTESY, front.shutdown()).await;
    }

    async fn copy(
        &mut self,
        front: &mut Stream,
        back: &mut Stream,
        editor: Option<impl Filter>,
        first: Outgoing,
    ) -> Result<(), SessionFailure> {
        let mut copy = Splice::new(editor, first);
        let ended = copy.run(front, back, self.listener.limits.idle).await;
        answer_violation(&ended, &mut copy, front).await;
        (self.record.octets_up, self.record.octets_down) = copy.octets();
        ended.map(drop)
    }
}

/// Whether a backend is there. The gateway does not log in: nobody asked it to, and a backend counts refused logins.
pub(crate) async fn is_ready(backend: &Backend, limit: Duration) -> bool {
    probe(&backend.without_login(), limit).await.is_ok()
}

/// Reaches a backend as a session would, a login included, and leaves. The facts are those of its TLS, if there
/// is TLS.
///
/// # Errors
/// As for a session.
pub async fn probe(backend: &Backend, limit: Duration) -> Result<Option<TlsFacts>, SessionFailure> {
    let nobody = ProxiedClient { addresses: None, tls: None, certificate: false };
    let reached = backend::reach(backend, &header(backend, &nobody), None, limit).await?;
    Ok(reached.stream.facts().cloned())
}

/// Who the client is, in the form that the backend wants to be told in.
fn header(backend: &Backend, client: &ProxiedClient<'_>) -> Vec<u8> {
    match backend.send_proxy {
        None => Vec::new(),
        Some(ProxyVersion::V1) => proxy_protocol::v1(client),
        Some(ProxyVersion::V2) => proxy_protocol::v2(client),
    }
}

/// Octets until a client has said which service it wants.
const OPENING: usize = 64 * 1024;

/// How long last words may take.
const COURTESY: Duration = Duration::from_secs(1);

/// Says something for which nobody waits long. Who does not hear it has the connection closed all the same.
async fn say(to: &mut (impl AsyncWrite + Unpin), words: &[u8]) {
    let saying = async {
        to.write_all(words).await?;
        to.flush().await
    };
    let _ = tokio::time::timeout(COURTESY, saying).await;
}
