//! Servers that never send an answer: from some point on they send valid messages, or the start of one, without end.
//!
//! A client with a deadline for each message, but not for each answer, never leaves such a server. A client that keeps what
//! it receives runs out of memory.

use std::io::{ErrorKind, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{sleep, spawn};
use std::time::Duration;

use starttls::proto::{
    ClientMessage, Dialect, Identity, MessageReader, OfferPlace, Protocol, ReplyTo, ServerMessage,
    ServerSession, SessionCommand, Side,
};
use starttls::{Acceptor, Encrypted};

use super::certificate;
use crate::ca::Authority;
use crate::error::Error;
use crate::profile::{Interim, NoiseText, profile};

/// The message that is never answered. The server answers everything before it as a sound server does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum StallPoint {
    /// The connection: the greeting never ends.
    Greeting,
    /// The hello in cleartext.
    Hello,
    /// The request for TLS.
    Request,
    /// The noise starts with the session inside TLS.
    Session,
    /// The first message inside TLS.
    TlsHello,
    /// The first command inside TLS that is not a hello, such as a login.
    TlsCommand,
}

/// The bytes that are sent instead of the answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Noise {
    /// Complete messages that answer nothing, or the lines of an endless list, as fast as the client reads.
    Interim,
    /// The same messages, with this pause after each.
    Trickled(Duration),
    /// One endless message, as fast as the client reads.
    Unfinished,
    /// The same message, with this pause after each octet.
    Dribbled(Duration),
    /// The answer repeated, as fast as the client reads.
    Repeated,
}

/// A server that never sends an answer. It ends when the value is dropped.
#[derive(Debug)]
pub struct Endless {
    address: SocketAddr,
    stop: Arc<AtomicBool>,
}

/// The configuration of one listener.
struct Server {
    protocol: &'static Protocol,
    stage: StallPoint,
    noise: Noise,
    /// Whether TLS is implicit.
    implicit: bool,
    acceptor: Acceptor,
    stop: Arc<AtomicBool>,
}

/// How long a read or a write may take before the server checks whether it must end.
const TICK: Duration = Duration::from_millis(200);

impl StallPoint {
    /// Every point, in order.
    pub const ALL: [Self; 6] =
        [Self::Greeting, Self::Hello, Self::Request, Self::Session, Self::TlsHello, Self::TlsCommand];

    /// Returns whether the protocol has this message.
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
    /// Starts a server on loopback, with a certificate of the authority for `localhost`.
    ///
    /// # Errors
    /// Returns an error if a port or a certificate cannot be created.
    pub fn start(
        protocol: &'static Protocol,
        stage: StallPoint,
        noise: Noise,
        authority: &Authority,
    ) -> Result<Self, Error> {
        Self::with(protocol, stage, noise, false, authority)
    }

    /// Starts the same server with implicit TLS.
    ///
    /// # Errors
    /// As [`start`](Self::start).
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
                // The end of the session does not matter.
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

    /// Serves one connection. Returns `None` at its end.
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

    /// Negotiates in cleartext up to the acceptance. Returns `None` if the connection ends.
    fn negotiate(&self, tcp: &mut TcpStream) -> Option<()> {
        tcp.set_write_timeout(Some(TICK)).ok()?;
        tcp.set_read_timeout(Some(TICK)).ok()?;
        let mut dialect = self.protocol.new_dialect(self.acceptor.identity());
        if self.protocol.flow.greeting {
            let greeting = match self.protocol.flow.offer {
                OfferPlace::InGreeting => ServerMessage::Offer { starttls: true },
                OfferPlace::AfterHello | OfferPlace::Unannounced => ServerMessage::Greeting,
            };
            self.answer(tcp, &mut *dialect, greeting, self.stage == StallPoint::Greeting)?;
        }
        if self.protocol.flow.client_hello_is_request {
            return Some(());
        }
        // One octet at a time, since TLS may follow the request at once (MySQL).
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
            self.protocol.new_dialect(identity).write_server(ServerMessage::Greeting, &mut words);
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

    /// Sends an answer, or noise in its place.
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

    /// Sends noise until the client leaves or the server ends. Always returns `None`.
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
                _ if !matches!(text.interim, Interim::Numbered(_)) => {
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
        Interim::Written => {
            let mut message = Vec::new();
            let mut dialect = protocol.new_dialect(Identity::new("localhost"));
            dialect.write_server(ServerMessage::Other, &mut message);
            message
        }
    }
}

/// Returns a piece of a message that is as long as the protocol allows, and longer.
fn unfinished(protocol: &Protocol, number: u32, octets: usize) -> Vec<u8> {
    let mut piece = match profile(protocol).noise {
        _ if number > 0 => Vec::new(),
        NoiseText { interim: Interim::Written, .. } => {
            let message = interim(protocol, number);
            message[..message.len() / 2].to_vec()
        }
        NoiseText { unfinished, .. } => unfinished.to_vec(),
    };
    piece.resize(octets.max(piece.len()), b'2');
    piece
}
