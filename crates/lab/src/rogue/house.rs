//! One rogue's connections, from the greeting to the end.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use starttls::Acceptor;
use starttls::proto::{After, Identity, Offer, Protocol, ReplyTo, ServerMessage};
use tokio::io::AsyncReadExt;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

use super::engine::{Asked, Loose, Note, messages, taken};
use super::manner::{Behind, Inside, Manner, Served};
use super::wire::{CHUNK, Clear, Early, How, Restless, record};
use crate::apps::{self, World};
use crate::session::{Ends, Engine, Session, SessionError, Stream, within};

/// How long a client may be silent.
const IDLE: Duration = Duration::from_secs(60);

pub(super) struct House {
    pub(super) protocol: &'static Protocol,
    pub(super) manner: Manner,
    pub(super) acceptor: Acceptor,
    pub(super) world: Arc<World>,
    /// Whether a connection was served.
    pub(super) served: AtomicBool,
}

impl House {
    /// Serves connections until the task is dropped, and all its sessions with it.
    pub(super) async fn run(self: Arc<Self>, listener: TcpListener) {
        let mut sessions = JoinSet::new();
        loop {
            while sessions.try_join_next().is_some() {}
            let Ok((stream, _)) = listener.accept().await else {
                tokio::time::sleep(Duration::from_millis(50)).await;
                continue;
            };
            let house = Arc::clone(&self);
            // Whatever ends a rogue's session is the visitor's to notice.
            sessions.spawn(async move { house.serve(stream).await });
        }
    }

    async fn serve(&self, tcp: TcpStream) -> Result<(), SessionError> {
        tcp.set_nodelay(true)?;
        let ends = Ends::of(&tcp)?;
        let tcp = Arc::new(tcp);
        let (identity, note) = (self.acceptor.identity(), Note::default());
        let mut engine = Loose::clear(self.protocol, &identity, self.manner, Arc::clone(&note));
        let mut greeting = Vec::new();
        let turned_away = self.served.swap(true, Ordering::Relaxed) && self.manner.throttles;
        if turned_away {
            if self.protocol.flow.greeting {
                engine.say(ServerMessage::Bye, ReplyTo::Connect, &mut greeting);
            }
        } else if self.protocol.flow.greeting {
            let message = match self.protocol.flow.offer {
                _ if self.manner.preauth => ServerMessage::PreAuthenticated,
                Offer::InGreeting => ServerMessage::Offer { starttls: self.manner.offers },
                Offer::AfterHello | Offer::Unannounced => ServerMessage::Greeting,
            };
            engine.say(message, ReplyTo::Connect, &mut greeting);
        }
        let clear = Box::new(Clear::new(Arc::clone(&tcp), self.manner.pace));
        let mut session = self.session(clear, ends, &identity, Box::new(engine), greeting);
        // A greeting is not waited for with a question.
        session.flush().await?;
        if turned_away {
            return Ok(());
        }
        apps::serve(&mut session, &self.world, &self.acceptor).await?;
        session.close().await?;
        match (taken(&note), Arc::into_inner(tcp)) {
            (Some(asked), Some(tcp)) => self.upgrade(tcp, ends, identity, asked).await,
            _ => Ok(()),
        }
    }

    fn session(
        &self,
        stream: Box<dyn Stream>,
        ends: Ends,
        identity: &Identity,
        engine: Box<dyn Engine>,
        out: Vec<u8>,
    ) -> Session {
        Session::over(stream, ends, self.protocol, identity.clone(), engine, out, IDLE)
    }

    /// The go-ahead was said; TLS comes next.
    async fn upgrade(
        &self,
        tcp: TcpStream,
        ends: Ends,
        identity: Identity,
        asked: Asked,
    ) -> Result<(), SessionError> {
        let (whole, rest) = messages(self.protocol, &asked.behind);
        let injected = !asked.behind.is_empty();
        if injected && self.manner.restart.is_some_and(|only| !only.understands(&asked.behind)) {
            return Ok(());
        }
        let (mut tcp, mut early, mut how) = (tcp, Vec::new(), How::First);
        match self.manner.behind {
            Behind::CloseAfter if injected => return Ok(()),
            Behind::Eager | Behind::EagerIfSloppy => early = whole,
            Behind::Lazy => (early, how) = (whole, How::WithTheNext),
            Behind::Partial => early = rest,
            Behind::Split => early = until_tls(&tcp, asked.behind).await?,
            Behind::Plain if injected => tcp = self.answer_in_cleartext(tcp, ends, &identity, whole).await?,
            _ if self.manner.keeps_state => (early, how) = (asked.before, How::Muted),
            _ => {}
        }
        let tls: Box<dyn Stream> = if self.manner.falls_back {
            let tcp = Arc::new(tcp);
            let handshake = match is_tls(&tcp).await? {
                true => self.acceptor.handshake(Clear::all(Arc::clone(&tcp))).await.ok(),
                false => None,
            };
            match handshake {
                Some(tls) => Box::new(tls),
                None => return self.fall_back(tcp, ends, &identity).await,
            }
        } else if self.manner.restless {
            Box::new(self.acceptor.handshake(Restless::new(tcp)).await?)
        } else {
            Box::new(self.acceptor.handshake(tcp).await?)
        };
        if self.manner.session != Served::Usual {
            return self.unserved(tls, ends, &identity).await;
        }
        let (engine, mut out) = self.inside(&identity);
        if self.manner.behind == Behind::FatalInside && injected {
            out.clear();
            let mut engine = Loose::inside(self.protocol, &identity, self.manner);
            engine.say(ServerMessage::Bye, ReplyTo::Other, &mut out);
            return self.session(tls, ends, &identity, Box::new(engine), out).close().await;
        }
        let stream = Box::new(Early { stream: tls, early, how });
        let mut session = self.session(stream, ends, &identity, engine, out);
        session.flush().await?;
        let served = apps::serve(&mut session, &self.world, &self.acceptor).await;
        match served {
            // There is nobody to say goodbye to.
            Err(SessionError::Io(_) | SessionError::Idle) => served,
            served => served.and(session.close().await),
        }
    }

    /// A session inside TLS that is not served.
    async fn unserved(
        &self,
        mut tls: Box<dyn Stream>,
        ends: Ends,
        identity: &Identity,
    ) -> Result<(), SessionError> {
        let mut engine = Loose::inside(self.protocol, identity, self.manner);
        let mut out = Vec::new();
        if self.manner.session != Served::Ends {
            let mut buffer = [0; CHUNK];
            while let Ok(1..) = within(IDLE, tls.read(&mut buffer)).await {
                if self.manner.session == Served::TurnedAway {
                    engine.say(ServerMessage::Unavailable, ReplyTo::Other, &mut out);
                    break;
                }
            }
        }
        self.session(tls, ends, identity, Box::new(engine), out).close().await
    }

    /// The engine inside TLS, and what is said there first.
    fn inside(&self, identity: &Identity) -> (Box<dyn Engine>, Vec<u8>) {
        let mut out = Vec::new();
        if self.manner.inside == Inside::Sound {
            let inside = starttls::proto::Inside::new(self.protocol, identity.clone(), &mut out);
            return (Box::new(inside), out);
        }
        let mut engine = Loose::inside(self.protocol, identity, self.manner);
        match self.protocol.flow.after {
            After::ServerSpeaks => {
                engine.say(ServerMessage::Offer { starttls: true }, ReplyTo::Other, &mut out);
            }
            After::AnswerPending => engine.say(ServerMessage::Other, ReplyTo::Other, &mut out),
            After::Silent | After::StreamRestart | After::SequenceContinues => {}
        }
        (Box::new(engine), out)
    }

    /// Answers this as if it had come inside TLS, and in cleartext.
    async fn answer_in_cleartext(
        &self,
        tcp: TcpStream,
        ends: Ends,
        identity: &Identity,
        early: Vec<u8>,
    ) -> Result<TcpStream, SessionError> {
        let tcp = Arc::new(tcp);
        let stream = Clear::new(Arc::clone(&tcp), self.manner.pace);
        let stream = Box::new(Early { stream, early, how: How::Alone });
        let engine = Box::new(Loose::inside(self.protocol, identity, self.manner));
        let mut session = self.session(stream, ends, identity, engine, Vec::new());
        // What the injected messages come to, a goodbye among it, changes nothing.
        let _ = apps::serve(&mut session, &self.world, &self.acceptor).await;
        session.close().await?;
        Arc::into_inner(tcp).ok_or(SessionError::Bad("a connection of its own"))
    }

    /// Serves in cleartext where TLS belongs.
    async fn fall_back(
        &self,
        tcp: Arc<TcpStream>,
        ends: Ends,
        identity: &Identity,
    ) -> Result<(), SessionError> {
        let stream = Clear::new(Arc::clone(&tcp), self.manner.pace);
        // What came instead of a ClientHello may be commands, or noise that nobody could go on from.
        let mut early = Vec::new();
        let mut buffer = [0; CHUNK];
        if let Ok(read) = tcp.try_read(&mut buffer)
            && !self.manner.swallows
        {
            early = messages(self.protocol, &buffer[..read]).0;
        }
        let stream = Box::new(Early { stream, early, how: How::First });
        let engine = Box::new(Loose::inside(self.protocol, identity, self.manner));
        let mut session = self.session(stream, ends, identity, engine, Vec::new());
        apps::serve(&mut session, &self.world, &self.acceptor).await?;
        session.close().await
    }
}

/// Whether what comes next are TLS records, an alert for one.
async fn is_tls(tcp: &TcpStream) -> Result<bool, SessionError> {
    let mut first = [0];
    within(IDLE, tcp.peek(&mut first)).await?;
    Ok((0x14..=0x17).contains(&first[0]))
}

/// Reads on in cleartext up to the first TLS record.
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
