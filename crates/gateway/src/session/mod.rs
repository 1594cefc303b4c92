//! One session, from the first byte to the last: the front, the way to a backend, the copying.

mod backend;
mod front;
mod rules;
mod sequence;
mod stream;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use starttls::Facts;
use starttls::proto::{After, Amend, Identity, Outgoing, Refusal, Relay, ServerMessage, Side};
use tokio::io::{AsyncReadExt, AsyncWrite, AsyncWriteExt};

use crate::config::{Front, Listener, Offer, Route};
use crate::copy::{Copy, Editor, State};
use crate::failure::{Failure, Leg};
use backend::Reached;

pub(crate) use stream::{Socket, Stream};

/// Who connected.
#[derive(Clone, Copy, Debug)]
pub struct Client {
    /// The client's own address; where a PROXY header came, the one in it.
    pub address: Option<SocketAddr>,
    /// The address that it connected to.
    pub local: Option<SocketAddr>,
}

/// What there is to say of a session when it is over.
#[derive(Debug)]
pub struct Record {
    /// Who connected.
    pub client: Client,
    /// The TLS facts of the front, if it came to TLS there.
    pub front: Option<Facts>,
    /// The name that the client asked for: by SNI, or in its stream.
    pub server_name: Option<String>,
    /// The backend, if one was reached.
    pub backend: Option<String>,
    /// The TLS facts toward the backend.
    pub upstream: Option<Facts>,
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
    pub failure: Option<Failure>,
}

/// A session under way.
struct Session<'a> {
    listener: &'a Listener,
    began: Instant,
    record: Record,
}

/// Serves one connection to its end.
pub(crate) async fn serve(listener: &Arc<Listener>, socket: Socket, client: Client) -> Record {
    let record = Record {
        client,
        front: None,
        server_name: None,
        backend: None,
        upstream: None,
        octets_up: 0,
        octets_down: 0,
        until_tls: None,
        until_backend: None,
        duration: Duration::ZERO,
        failure: None,
    };
    let mut session = Session { listener, began: Instant::now(), record };
    session.record.failure = session.run(socket).await.err();
    session.record.duration = session.began.elapsed();
    session.record
}

impl<'a> Session<'a> {
    async fn run(&mut self, socket: Socket) -> Result<(), Failure> {
        let flow = self.listener.protocol.flow;
        match &self.listener.front {
            Front::Cleartext => self.settled(Stream::Clear(socket), false).await,
            Front::Implicit(tls) => {
                let encrypted =
                    Box::pin(tls.acceptor.accept_implicit(socket)).await.map_err(Failure::front)?;
                self.settled(Stream::Tls(Box::new(encrypted)), false).await
            }
            Front::Upgrade(Offer::Optional, tls) => Box::pin(self.optional(socket, tls)).await,
            Front::Upgrade(_, tls) if flow.after == After::SequenceContinues => {
                Box::pin(self.relayed_greeting(socket, tls)).await
            }
            Front::Upgrade(_, tls) => {
                let encrypted = Box::pin(tls.acceptor.accept(socket)).await.map_err(Failure::front)?;
                self.settled(Stream::Tls(Box::new(encrypted)), true).await
            }
        }
    }

    /// The front stands as it is: goes on with a backend. `greeted` says whether the client was greeted before.
    async fn settled(&mut self, mut front: Stream, greeted: bool) -> Result<(), Failure> {
        self.stands(&front);
        let mut out = Outgoing::default();
        let ready = match Box::pin(self.prepare(&mut front, greeted, &mut out)).await {
            Ok(ready) => ready,
            Err(failure) => {
                Box::pin(self.farewell(&mut front)).await;
                return Err(failure);
            }
        };
        let (mut back, editor) = ready;
        self.copy(&mut front, &mut back, editor, out).await
    }

    /// Notes how far the front has come.
    fn stands(&mut self, front: &Stream) {
        self.record.until_tls = Some(self.began.elapsed());
        self.record.front = front.facts().cloned();
        self.record.server_name = front.facts().and_then(|facts| facts.server_name.clone());
    }

    /// Finds the way on and everything that has to be said first.
    async fn prepare(
        &mut self,
        front: &mut Stream,
        greeted: bool,
        out: &mut Outgoing,
    ) -> Result<(Stream, Option<Relay>), Failure> {
        let (protocol, inside_tls) = (self.listener.protocol, front.facts().is_some());
        let refusal = if inside_tls { Refusal::Permanent } else { Refusal::Temporary };
        let mut relay = Relay::within(protocol, self.identity(inside_tls), rules::settled(refusal));
        let mut state = State::Reading;
        if protocol.flow.after == After::StreamRestart {
            state = self.service(front, &mut relay, out).await?;
        }
        let route = self.route(front)?;
        let Reached { stream, greeting, unread } = self.reach(route).await?;
        // What the server owes the client by itself: its greeting, or what comes behind an upgrade.
        let owes = match protocol.flow.after {
            After::ServerSpeaks | After::AnswerPending => true,
            _ => protocol.flow.greeting && !greeted,
        };
        if owes {
            let words = self.first_words(greeting, inside_tls);
            out.to_client.splice(0..0, words);
        }
        if !unread.is_empty() {
            state = Editor::receive(&mut relay, Side::Server, &unread, out)?;
        }
        Ok((stream, (state == State::Reading).then_some(relay)))
    }

    /// Reads until the client has said which service it wants.
    async fn service(
        &mut self,
        front: &mut Stream,
        relay: &mut Relay,
        out: &mut Outgoing,
    ) -> Result<State, Failure> {
        let limit = self.listener.limits.negotiation;
        let reading = async {
            let mut chunk = [0; 2048];
            loop {
                let count = front.read(&mut chunk).await.map_err(|cause| Failure::io(Leg::Front, cause))?;
                if count == 0 {
                    return Err(Failure::io(Leg::Front, std::io::ErrorKind::UnexpectedEof.into()));
                }
                let state = Editor::receive(relay, Side::Client, &chunk[..count], out)?;
                if relay.service().is_some() || state != State::Reading {
                    return Ok(state);
                }
            }
        };
        let state = tokio::time::timeout(limit, reading).await.map_err(|_| Failure::Late(limit))??;
        self.record.server_name = relay.service().or(self.record.server_name.take());
        Ok(state)
    }

    /// The route for the name that the client asked for, if its certificate is good for it.
    fn route(&self, front: &Stream) -> Result<&'a Route, Failure> {
        let chain = front.facts().map(|facts| facts.chain.as_slice()).unwrap_or_default();
        let listener: &'a Listener = self.listener;
        listener.admit(self.record.server_name.as_deref(), chain).map_err(Failure::NotAdmitted)
    }

    /// The first backend of the route that is ready.
    async fn reach(&mut self, route: &Route) -> Result<Reached, Failure> {
        let began = Instant::now();
        let mut last = None;
        for backend in &route.backends {
            let header = Vec::new();
            match backend::reach(backend, &header, self.listener.limits.dial).await {
                Ok(reached) => {
                    self.record.backend = Some(backend.to_string());
                    self.record.upstream = reached.stream.facts().cloned();
                    self.record.until_backend = Some(began.elapsed());
                    return Ok(reached);
                }
                Err(failure) => last = Some(failure),
            }
        }
        Err(last.unwrap_or(Failure::NotAdmitted(crate::config::NotAdmitted::NoRoute(None))))
    }

    /// The service's identity on a new connection.
    fn identity(&self, inside_tls: bool) -> Identity {
        let own = self.listener.tls().map(|tls| tls.acceptor.identity());
        Identity { inside_tls, ..own.unwrap_or_else(|| Identity::new("")) }
    }

    /// What the client hears first: the backend's words where it has said them, ours where it could not.
    fn first_words(&self, greeting: Option<Vec<u8>>, inside_tls: bool) -> Vec<u8> {
        let protocol = self.listener.protocol;
        let mut dialect = (protocol.dialect)(self.identity(inside_tls));
        let mut own = Vec::new();
        match (protocol.flow.after, greeting) {
            (After::AnswerPending, _) => dialect.write_server(ServerMessage::Other, &mut own),
            (_, Some(words)) => {
                return [Amend::DropUpgrade, Amend::DropChannelBinding, Amend::DropOnBehalf]
                    .into_iter()
                    .fold(words, |words, how| dialect.amend(Side::Server, &words, how));
            }
            (After::ServerSpeaks, None) => {
                dialect.write_server(ServerMessage::Offer { starttls: false }, &mut own);
            }
            (_, None) => dialect.write_server(ServerMessage::Greeting, &mut own),
        }
        own
    }

    /// Closes a front behind which there is no backend, in the protocol's own words.
    async fn farewell(&self, front: &mut Stream) {
        let mut words = Vec::new();
        let mut dialect = (self.listener.protocol.dialect)(self.identity(front.facts().is_some()));
        dialect.write_server(ServerMessage::Bye, &mut words);
        say(front, &words).await;
        // A courtesy, as the words.
        let _ = tokio::time::timeout(COURTESY, front.shutdown()).await;
    }

    async fn copy(
        &mut self,
        front: &mut Stream,
        back: &mut Stream,
        editor: Option<impl Editor>,
        first: Outgoing,
    ) -> Result<(), Failure> {
        let mut copy = Copy::new(editor, first);
        let ended = copy.run(front, back, self.listener.limits.idle).await;
        (self.record.octets_up, self.record.octets_down) = copy.octets();
        ended.map(drop)
    }
}

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
