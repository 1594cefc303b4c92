//! Servers that never get to their answer: from some stage on they send what is legal, or looks like the start of
//! something legal, without end.
//!
//! A client that has a deadline for each message, and not for each question, never leaves such a server. A client that
//! keeps what it was sent runs out of memory.

use std::io::{ErrorKind, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{sleep, spawn};
use std::time::Duration;

use starttls::proto::{
    ClientMessage, Dialect, MessageReader, OfferPlace, Protocol, ReplyTo, ServerMessage, ServerSession,
    SessionCommand, Side,
};
use starttls::{Acceptor, Encrypted};

use super::certificate;
use crate::ca::Authority;
use crate::error::Error;
use crate::profile::{Interim, profile};

/// The question that is never answered. Everything before it is answered as a sound server does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum StallPoint {
    /// The connection itself.
    Greeting,
    /// The hello in cleartext.
    Hello,
    /// The request for TLS.
    Request,
    /// None: the noise begins with the session inside TLS.
    Session,
    /// The first message inside TLS.
    TlsHello,
    /// The first command inside TLS that is not a hello, such as a login.
    TlsCommand,
}

/// What is sent instead of the answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Noise {
    /// Whole messages that answer nothing, or the lines of a list without end, as fast as the client reads.
    Interim,
    /// The same, one every so often.
    Trickled(Duration),
    /// One message without an end, as fast as the client reads.
    Unfinished,
    /// The same, an octet every so often.
    Dribbled(Duration),
    /// The answer, again and again, as fast as the client reads.
    Repeated,
}

/// A server that never gets to its answer. It ends when the value is dropped.
#[derive(Debug)]
pub struct Endless {
    address: SocketAddr,
    stop: Arc<AtomicBool>,
}

/// One listener's configuration.
struct Server {
    protocol: &'static Protocol,
    stage: StallPoint,
    noise: Noise,
    /// Whether TLS starts at the first byte.
    implicit: bool,
    acceptor: Acceptor,
    stop: Arc<AtomicBool>,
}

/// How long a read or a write may take before the server looks whether it shall end.
const TICK: Duration = Duration::from_millis(200);

impl StallPoint {
    /// Every stage, in order.
    pub const ALL: [Self; 6] =
        [Self::Greeting, Self::Hello, Self::Request, Self::Session, Self::TlsHello, Self::TlsCommand];

    /// Whether the protocol has this question.
    pub fn applies_to(self, protocol: &Protocol) -> bool {
        match self {
            Self::Greeting => protocol.flow.greeting,
            Self::Hello => protocol.flow.offer == OfferPlace::AfterHello,
            Self::Request => protocol.flow.request_is_answered,
            Self::Session | Self::TlsHello | Self::TlsCommand => true,
        }
    }
}

impl Endless {
    /// Starts such a server on loopback, with a certificate of the authority's for `localhost`.
    ///
    /// # Errors
    /// When a port or a certificate cannot be had.
    pub fn start(
        protocol: &'static Protocol,
        stage: StallPoint,
        noise: Noise,
        authority: &Authority,
    ) -> Result<Self, Error> {
        Self::with(protocol, stage, noise, false, authority)
    }

    /// Starts the same server with TLS from the first byte.
    ///
    /// # Errors
    /// As for [`start`](Self::start).
    pub fn start_implicit(
        protocol: &'static Protocol,
        stage: StallPoint,
        noise: Noise,
        authority: &Authority,
    ) -> Result<Self, Error> {
        Self::with(protocol, stage, noise, true, authority)
    }

    fn with(
        protocol: &'static Protocol,
        stage: StallPoint,
        noise: Noise,
        implicit: bool,
        authority: &Authority,
    ) -> Result<Self, Error> {
        let acceptor = certificate::acceptors(protocol, None, authority, None)?.upgrade;
        let listener =
            TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).map_err(|cause| Error::io(protocol.name)(cause))?;
        let address = listener.local_addr().map_err(|cause| Error::io(protocol.name)(cause))?;
        let stop = Arc::new(AtomicBool::new(false));
        let server = Arc::new(Server { protocol, stage, noise, implicit, acceptor, stop: stop.clone() });
        spawn(move || {
            for stream in listener.incoming().flatten() {
                if server.is_over() {
                    break;
                }
                let server = server.clone();
                // How the client leaves does not matter here.
                spawn(move || server.serve(stream));
            }
        });
        Ok(Self { address, stop })
    }

    /// Returns the address that the server listens on.
    pub fn address(&self) -> SocketAddr {
        self.address
    }
}

impl Drop for Endless {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        // The listener wakes up for this connection, and ends.
        let _ = TcpStream::connect(self.address);
    }
}

impl Server {
    fn is_over(&self) -> bool {
        self.stop.load(Ordering::Relaxed)
    }

    /// Serves one connection; `None` is its end, whatever ended it.
    fn serve(&self, mut tcp: TcpStream) -> Option<()> {
        tcp.set_nodelay(true).ok()?;
        if !self.implicit {
            self.negotiate(&mut tcp)?;
        }
        let mut session = self.acceptor.blocking().handshake(tcp).ok()?;
        session.io().set_write_timeout(Some(TICK)).ok()?;
        session.io().set_read_timeout(Some(TICK)).ok()?;
        self.session(&mut session)
    }

    /// The cleartext part, up to the go-ahead; `None` if the connection ends there.
    fn negotiate(&self, tcp: &mut TcpStream) -> Option<()> {
        tcp.set_write_timeout(Some(TICK)).ok()?;
        tcp.set_read_timeout(Some(TICK)).ok()?;
        let mut dialect = (self.protocol.dialect)(self.acceptor.identity());
        if self.protocol.flow.greeting {
            let greeting = match self.protocol.flow.offer {
                OfferPlace::InGreeting => ServerMessage::Offer { starttls: true },
                OfferPlace::AfterHello | OfferPlace::Unannounced => ServerMessage::Greeting,
            };
            self.answer(tcp, &mut *dialect, greeting, self.stage == StallPoint::Greeting)?;
        }
        // One octet at a time: what follows the request may be TLS already (MySQL).
        let (mut reader, mut chunk) = (MessageReader::new(Side::Client), [0; 1]);
        loop {
            let Some(message) = reader.next(&*dialect, ReplyTo::Other).ok()? else {
                let count = self.read(tcp, &mut chunk)?;
                reader.push(chunk.get(..count)?);
                continue;
            };
            match dialect.read_client(message).ok()? {
                ClientMessage::Hello => {
                    let offer = ServerMessage::Offer { starttls: true };
                    self.answer(tcp, &mut *dialect, offer, self.stage == StallPoint::Hello)?;
                }
                ClientMessage::Request if self.protocol.flow.request_is_answered => {
                    return self.answer(
                        tcp,
                        &mut *dialect,
                        ServerMessage::Accept,
                        self.stage == StallPoint::Request,
                    );
                }
                ClientMessage::Request => return Some(()),
                ClientMessage::Silent => {}
                ClientMessage::Quit => return None,
                _ => self.answer(tcp, &mut *dialect, ServerMessage::Other, false)?,
            }
        }
    }

    fn session(&self, session: &mut Encrypted<TcpStream>) -> Option<()> {
        let (mut chunk, mut words) = ([0; 4096], Vec::new());
        let identity = self.acceptor.identity();
        let mut engine = ServerSession::new(self.protocol, identity.clone(), &mut words);
        if self.implicit && self.protocol.flow.greeting {
            (self.protocol.dialect)(identity).write_server(ServerMessage::Greeting, &mut words);
        }
        if self.stage == StallPoint::Session {
            return self.make_noise(session, &words);
        }
        self.write(session, &words)?;
        loop {
            let count = self.read(session, &mut chunk)?;
            words.clear();
            if self.stage != StallPoint::TlsCommand {
                return self.make_noise(session, b"");
            }
            let mut rest = engine.receive(chunk.get(..count)?);
            loop {
                let command = engine.next(&mut words);
                self.write(session, &words)?;
                match command {
                    Ok(Some(SessionCommand::Answered(_))) => words.clear(),
                    Ok(Some(SessionCommand::Message(_))) | Err(_) => return self.make_noise(session, &words),
                    Ok(Some(SessionCommand::Quit)) => return None,
                    Ok(None) if rest.is_empty() => break,
                    Ok(None) => rest = engine.receive(rest),
                }
            }
        }
    }

    /// Answers, or does so never.
    fn answer(
        &self,
        stream: &mut TcpStream,
        dialect: &mut dyn Dialect,
        message: ServerMessage,
        never: bool,
    ) -> Option<()> {
        let mut words = Vec::new();
        dialect.write_server(message, &mut words);
        if never { self.make_noise(stream, &words) } else { self.write(stream, &words) }
    }

    /// Sends noise until the client has left, or the server ends: `None`, so that nothing else follows.
    fn make_noise(&self, stream: &mut impl Write, answer: &[u8]) -> Option<()> {
        const BATCH: usize = 16 * 1024;
        let text = profile(self.protocol).noise;
        if matches!(self.noise, Noise::Interim | Noise::Trickled(_)) {
            self.write(stream, text.prefix)?;
        }
        for number in 0_u32.. {
            let mut piece = match self.noise {
                Noise::Interim | Noise::Trickled(_) => interim(self.protocol, number),
                Noise::Unfinished => unfinished(self.protocol, number, BATCH),
                Noise::Dribbled(_) => unfinished(self.protocol, number, 1),
                Noise::Repeated if answer.is_empty() => interim(self.protocol, number),
                Noise::Repeated => answer.to_vec(),
            };
            match self.noise {
                Noise::Trickled(pause) | Noise::Dribbled(pause) => sleep(pause),
                // A numbered message cannot be repeated in one batch.
                _ if matches!(text.interim, Interim::Same(_)) => {
                    piece = piece.repeat(BATCH / piece.len().max(1) + 1)
                }
                _ => {}
            }
            self.write(stream, &piece)?;
        }
        None
    }

    fn read(&self, stream: &mut impl Read, chunk: &mut [u8]) -> Option<usize> {
        loop {
            match stream.read(chunk) {
                Ok(0) => return None,
                Ok(count) => return Some(count),
                Err(error) if !self.is_over() && is_tick(error.kind()) => {}
                Err(_) => return None,
            }
        }
    }

    fn write(&self, stream: &mut impl Write, mut bytes: &[u8]) -> Option<()> {
        while !bytes.is_empty() {
            match stream.write(bytes) {
                Ok(count) => bytes = bytes.get(count..)?,
                Err(error) if !self.is_over() && is_tick(error.kind()) => {}
                Err(_) => return None,
            }
        }
        loop {
            match stream.flush() {
                Ok(()) => return (!self.is_over()).then_some(()),
                Err(error) if !self.is_over() && is_tick(error.kind()) => {}
                Err(_) => return None,
            }
        }
    }
}

fn is_tick(kind: ErrorKind) -> bool {
    matches!(kind, ErrorKind::WouldBlock | ErrorKind::TimedOut | ErrorKind::Interrupted)
}

/// Returns the message that is repeated.
fn interim(protocol: &Protocol, number: u32) -> Vec<u8> {
    match profile(protocol).noise.interim {
        Interim::Same(bytes) => bytes.to_vec(),
        Interim::Numbered(message) => message(number),
    }
}

/// Returns a piece of a message that is as long as the protocol allows, and longer.
fn unfinished(protocol: &Protocol, number: u32, octets: usize) -> Vec<u8> {
    let mut piece = if number == 0 { profile(protocol).noise.unfinished.to_vec() } else { Vec::new() };
    piece.resize(octets.max(piece.len()), b'2');
    piece
}
