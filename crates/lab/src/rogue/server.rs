//! One rogue's connections, from the greeting to the end.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use starttls::Acceptor;
use starttls::proto::{AfterUpgrade, Identity, OfferPlace, Protocol, ReplyTo, ServerMessage};
use starttls::rustls::ServerConfig;
use tokio::io::AsyncReadExt;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

use super::behavior::{AfterRequest, Behavior, CleartextAccess, HANDSHAKE_TIMEOUT, InnerOffer, SessionMode};
use super::engine::{Note, PermissiveEngine, UpgradeRequest, messages, taken};
use super::simulated_tls::SimulatedTls;
use super::wire::{CHUNK, Clear, Early, EarlyReads, Restless, record};
use crate::apps::context::World;
use crate::profile;
use crate::session::{ConnectionAddresses, Engine, Session, SessionError, SessionStream, within};

/// EarlyReads long a client may be silent.
const IDLE: Duration = Duration::from_secs(60);

pub(super) struct RogueServer {
    pub(super) protocol: &'static Protocol,
    pub(super) behavior: Behavior,
    pub(super) acceptor: Acceptor,
    pub(super) simulated: Option<SimulatedTls>,
    pub(super) early_data: Option<Arc<ServerConfig>>,
    pub(super) world: Arc<World>,
    /// Whether a connection was served.
    pub(super) served: AtomicBool,
}

impl RogueServer {
    /// Serves connections until the task is dropped, and all its sessions with it.
    pub(super) async fn run(self: Arc<Self>, listener: TcpListener) {
        let mut sessions = JoinSet::new();
        loop {
            while sessions.try_join_next().is_some() {}
            let Ok((stream, _)) = listener.accept().await else {
                tokio::time::sleep(Duration::from_millis(50)).await;
                continue;
            };
            let server = Arc::clone(&self);
            // A client sees a failed session at its own end.
            sessions.spawn(async move { server.serve(stream).await });
        }
    }

    async fn serve(&self, tcp: TcpStream) -> Result<(), SessionError> {
        tcp.set_nodelay(true)?;
        let ends = ConnectionAddresses::of(&tcp)?;
        let tcp = Arc::new(tcp);
        let (identity, note) = (self.acceptor.identity(), Note::default());
        let mut engine = PermissiveEngine::clear(self.protocol, &identity, self.behavior, Arc::clone(&note));
        let mut greeting = Vec::new();
        let turned_away = self.served.swap(true, Ordering::Relaxed) && self.behavior.throttles;
        if turned_away {
            if self.protocol.flow.greeting {
                engine.say(ServerMessage::Bye, ReplyTo::Connect, &mut greeting);
            }
        } else if self.protocol.flow.greeting {
            let message = match self.protocol.flow.offer {
                _ if self.behavior.preauth => ServerMessage::PreAuthenticated,
                OfferPlace::InGreeting => ServerMessage::Offer { starttls: self.behavior.offers },
                OfferPlace::AfterHello | OfferPlace::Unannounced => ServerMessage::Greeting,
            };
            engine.say(message, ReplyTo::Connect, &mut greeting);
        }
        let clear = Box::new(Clear::new(Arc::clone(&tcp), self.behavior.pace));
        // Where the ClientHello is the request, a server that serves nothing in cleartext waits for the handshake.
        let hello_is_request = self.protocol.flow.client_hello_is_request;
        let waits_for_tls = hello_is_request && self.behavior.gate == CleartextAccess::Closed;
        let idle = if waits_for_tls && !self.behavior.stalls { HANDSHAKE_TIMEOUT } else { IDLE };
        let (protocol, own) = (self.protocol, identity.clone());
        let mut session = Session::over(clear, ends, protocol, own, Box::new(engine), greeting, idle);
        // The client sends nothing before the greeting.
        session.flush().await?;
        if turned_away {
            return Ok(());
        }
        profile::serve(&mut session, &self.world, &self.acceptor).await?;
        session.close().await?;
        match (taken(&note), Arc::into_inner(tcp)) {
            // The client closed the connection.
            (Some(_), Some(tcp)) if hello_is_request && !is_tls(&tcp).await? => Ok(()),
            (Some(asked), Some(tcp)) => self.upgrade(tcp, ends, identity, asked).await,
            _ => Ok(()),
        }
    }

    fn session(
        &self,
        stream: Box<dyn SessionStream>,
        ends: ConnectionAddresses,
        identity: &Identity,
        engine: Box<dyn Engine>,
        out: Vec<u8>,
    ) -> Session {
        Session::over(stream, ends, self.protocol, identity.clone(), engine, out, IDLE)
    }

    /// Starts TLS after the acceptance.
    async fn upgrade(
        &self,
        tcp: TcpStream,
        ends: ConnectionAddresses,
        identity: Identity,
        asked: UpgradeRequest,
    ) -> Result<(), SessionError> {
        let (whole, rest) = messages(self.protocol, &asked.pipelined);
        let injected = !asked.pipelined.is_empty();
        if injected && self.behavior.restart.is_some_and(|only| !only.understands(&asked.pipelined)) {
            return Ok(());
        }
        let (mut tcp, mut early, mut how) = (tcp, Vec::new(), EarlyReads::First);
        match self.behavior.after_request {
            AfterRequest::CloseAfter if injected => return Ok(()),
            AfterRequest::Eager | AfterRequest::EagerIfSloppy => early = whole,
            AfterRequest::Lazy => (early, how) = (whole, EarlyReads::WithTheNext),
            AfterRequest::Partial => early = rest,
            AfterRequest::Split => early = until_tls(&tcp, asked.pipelined).await?,
            AfterRequest::Plain if injected => {
                tcp = self.answer_in_cleartext(tcp, ends, &identity, whole).await?
            }
            _ if self.behavior.keeps_state => (early, how) = (asked.before, EarlyReads::Muted),
            _ => {}
        }
        let tls: Box<dyn SessionStream> = if self.behavior.falls_back {
            let tcp = Arc::new(tcp);
            let handshake = match is_tls(&tcp).await? {
                true => self.acceptor.handshake(Clear::all(Arc::clone(&tcp))).await.ok(),
                false => None,
            };
            match handshake {
                Some(tls) => Box::new(tls),
                None => return self.fall_back(tcp, ends, &identity).await,
            }
        } else if self.behavior.restless {
            Box::new(self.acceptor.handshake(Restless::new(tcp)).await?)
        } else if let Some(config) = &self.early_data {
            let acceptor = tokio_rustls::TlsAcceptor::from(Arc::clone(config));
            Box::new(within(HANDSHAKE_TIMEOUT, acceptor.accept(tcp)).await?)
        } else if let Some(simulated) = &self.simulated {
            let Some(tcp) = simulated.serve(tcp).await? else { return Ok(()) };
            Box::new(self.acceptor.handshake(tcp).await?)
        } else {
            Box::new(self.acceptor.handshake(tcp).await?)
        };
        if self.behavior.session != SessionMode::Usual {
            return self.unserved(tls, ends, &identity).await;
        }
        let (engine, mut out) = self.inside(&identity);
        if self.behavior.after_request == AfterRequest::FatalInside && injected {
            out.clear();
            let mut engine = PermissiveEngine::inside(self.protocol, &identity, self.behavior);
            engine.say(ServerMessage::Bye, ReplyTo::Other, &mut out);
            return self.session(tls, ends, &identity, Box::new(engine), out).close().await;
        }
        let stream = Box::new(Early { stream: tls, early, how });
        let mut session = self.session(stream, ends, &identity, engine, out);
        session.flush().await?;
        let served = profile::serve(&mut session, &self.world, &self.acceptor).await;
        match served {
            // The client is gone or does not read.
            Err(SessionError::Io(_) | SessionError::Idle) => served,
            served => served.and(session.close().await),
        }
    }

    /// Ends a session inside TLS without serving it.
    async fn unserved(
        &self,
        mut tls: Box<dyn SessionStream>,
        ends: ConnectionAddresses,
        identity: &Identity,
    ) -> Result<(), SessionError> {
        let mut engine = PermissiveEngine::inside(self.protocol, identity, self.behavior);
        let mut out = Vec::new();
        if self.behavior.session != SessionMode::Ends {
            let mut buffer = [0; CHUNK];
            while let Ok(1..) = within(IDLE, tls.read(&mut buffer)).await {
                if self.behavior.session == SessionMode::TurnedAway {
                    engine.say(ServerMessage::Unavailable, ReplyTo::Other, &mut out);
                    break;
                }
            }
        }
        self.session(tls, ends, identity, Box::new(engine), out).close().await
    }

    /// Returns the engine inside TLS, and the bytes to send first.
    fn inside(&self, identity: &Identity) -> (Box<dyn Engine>, Vec<u8>) {
        let mut out = Vec::new();
        if self.behavior.inside == InnerOffer::Sound {
            let inside = starttls::proto::ServerSession::new(self.protocol, identity.clone(), &mut out);
            return (Box::new(inside), out);
        }
        let mut engine = PermissiveEngine::inside(self.protocol, identity, self.behavior);
        match self.protocol.flow.after {
            AfterUpgrade::ServerSpeaks => {
                engine.say(ServerMessage::Offer { starttls: true }, ReplyTo::Other, &mut out);
            }
            AfterUpgrade::AnswerPending => engine.say(ServerMessage::Other, ReplyTo::Other, &mut out),
            AfterUpgrade::Silent | AfterUpgrade::StreamRestart | AfterUpgrade::SequenceContinues => {}
        }
        (Box::new(engine), out)
    }

    /// Answers these messages in cleartext, as if they had arrived inside TLS.
    async fn answer_in_cleartext(
        &self,
        tcp: TcpStream,
        ends: ConnectionAddresses,
        identity: &Identity,
        early: Vec<u8>,
    ) -> Result<TcpStream, SessionError> {
        let tcp = Arc::new(tcp);
        let stream = Clear::new(Arc::clone(&tcp), self.behavior.pace);
        let stream = Box::new(Early { stream, early, how: EarlyReads::Alone });
        let engine = Box::new(PermissiveEngine::inside(self.protocol, identity, self.behavior));
        let mut session = self.session(stream, ends, identity, engine, Vec::new());
        // The injected messages may fail or contain a goodbye. TLS follows in any case.
        let _ = profile::serve(&mut session, &self.world, &self.acceptor).await;
        session.close().await?;
        Arc::into_inner(tcp).ok_or(SessionError::Bad("a connection of its own"))
    }

    /// Serves in cleartext instead of TLS.
    async fn fall_back(
        &self,
        tcp: Arc<TcpStream>,
        ends: ConnectionAddresses,
        identity: &Identity,
    ) -> Result<(), SessionError> {
        let stream = Clear::new(Arc::clone(&tcp), self.behavior.pace);
        // The bytes instead of a ClientHello may be commands or garbage.
        let mut early = Vec::new();
        let mut buffer = [0; CHUNK];
        if let Ok(read) = tcp.try_read(&mut buffer)
            && !self.behavior.swallows
        {
            early = messages(self.protocol, &buffer[..read]).0;
        }
        let stream = Box::new(Early { stream, early, how: EarlyReads::First });
        let engine = Box::new(PermissiveEngine::inside(self.protocol, identity, self.behavior));
        let mut session = self.session(stream, ends, identity, engine, Vec::new());
        profile::serve(&mut session, &self.world, &self.acceptor).await?;
        session.close().await
    }
}

/// Returns whether TLS records follow, which include alerts.
async fn is_tls(tcp: &TcpStream) -> Result<bool, SessionError> {
    let mut first = [0];
    within(IDLE, tcp.peek(&mut first)).await?;
    Ok((0x14..=0x17).contains(&first[0]))
}

/// Reads cleartext up to the first TLS record.
async fn until_tls(tcp: &TcpStream, mut kept: Vec<u8>) -> Result<Vec<u8>, SessionError> {
    let mut buffer = [0; CHUNK];
    while kept.len() < 16 * CHUNK {
        let seen = within(IDLE, tcp.peek(&mut buffer)).await?;
        let end = record(&buffer[..seen]).unwrap_or(seen);
        if end == 0 {
            break;
        }
        let read = tcp.try_read(&mut buffer[..end])?;
        kept.extend_from_slice(&buffer[..read]);
    }
    Ok(kept)
}
