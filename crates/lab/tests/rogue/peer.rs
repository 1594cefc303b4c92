//! A client that sends arbitrary messages.

use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use starttls::proto::{
    AfterUpgrade, ClientMessage, Dialect, Identity, OfferPlace, Phase, Protocol, ReplyTo, Scan,
    ServerMessage, Side,
};
use starttls::{Connector, Encrypted};

/// The limit for an answer that has to arrive.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);
/// The limit for an answer that may be missing.
pub(crate) const SOON: Duration = Duration::from_millis(1500);
/// The limit for an answer that should be missing.
pub(crate) const QUIET: Duration = Duration::from_millis(250);

pub(crate) struct Peer<S> {
    pub(crate) io: S,
    pub(crate) protocol: &'static Protocol,
    pub(crate) dialect: Box<dyn Dialect>,
    pub(crate) inbox: Vec<u8>,
    /// The messages of the hello that come directly before the request.
    hello_rounds: u8,
}

pub(crate) trait Wait: Read + Write {
    fn wait(&self, time: Duration);
}

impl Wait for TcpStream {
    fn wait(&self, time: Duration) {
        self.set_read_timeout(Some(time)).unwrap();
    }
}

impl Wait for Encrypted<TcpStream> {
    fn wait(&self, time: Duration) {
        self.io().set_read_timeout(Some(time)).unwrap();
    }
}

pub(crate) fn dialect(protocol: &Protocol, phase: Phase) -> Box<dyn Dialect> {
    protocol.new_dialect(Identity::new("localhost").in_phase(phase))
}

/// Returns a connector that accepts any certificate.
pub(crate) fn open_connector() -> Connector {
    Connector::builder().no_system_roots().insecure().timeout(PATIENCE).build().unwrap()
}

impl Peer<TcpStream> {
    pub(crate) fn dial(address: SocketAddr, protocol: &'static Protocol) -> Self {
        let io = TcpStream::connect(address).unwrap();
        io.set_nodelay(true).unwrap();
        let hello_rounds = protocol.flow.hello_rounds - 1;
        Self { io, protocol, dialect: dialect(protocol, Phase::Cleartext), inbox: Vec::new(), hello_rounds }
    }

    /// Runs the dialogue up to the request and returns what the server sent.
    pub(crate) fn open(address: SocketAddr, protocol: &'static Protocol) -> (Self, Vec<u8>) {
        let mut peer = Self::dial(address, protocol);
        let mut said = Vec::new();
        if protocol.flow.greeting {
            said.extend(peer.answer(ReplyTo::Connect, PATIENCE).expect("a greeting").0);
        }
        if protocol.flow.offer == OfferPlace::AfterHello {
            peer.say(ClientMessage::Hello);
            said.extend(peer.answer(ReplyTo::Hello, PATIENCE).expect("an answer to the hello").0);
        }
        (peer, said)
    }

    /// Returns whether the server accepted the request that was sent.
    pub(crate) fn accepted(&mut self) -> bool {
        if !self.protocol.flow.request_is_answered {
            return true;
        }
        matches!(self.answer(ReplyTo::Request, PATIENCE), Some((_, ServerMessage::Accept)))
    }

    /// Starts TLS and reads what the server sends first inside TLS; fails if the handshake fails.
    pub(crate) fn secure(
        self,
        connector: &Connector,
        dialect: Box<dyn Dialect>,
    ) -> Result<Peer<Encrypted<TcpStream>>, String> {
        if !self.inbox.is_empty() {
            return Err(String::from("there is cleartext behind the go-ahead"));
        }
        let tls = connector.blocking().upgrade_implicit(self.protocol, "localhost", self.io);
        let io = tls.map_err(|error| error.to_string())?;
        let mut peer = Peer { io, protocol: self.protocol, dialect, inbox: Vec::new(), hello_rounds: 0 };
        let first = match self.protocol.flow.after {
            AfterUpgrade::ServerSpeaks => Some(ReplyTo::Connect),
            AfterUpgrade::AnswerPending => Some(ReplyTo::Hello),
            _ => None,
        };
        if let Some(reply_to) = first {
            peer.answer(reply_to, PATIENCE).ok_or("the server did not speak first")?;
        }
        Ok(peer)
    }
}

/// Runs a complete, regular upgrade.
pub(crate) fn upgraded(
    address: SocketAddr,
    protocol: &'static Protocol,
) -> Result<Peer<Encrypted<TcpStream>>, String> {
    let (mut peer, _) = Peer::open(address, protocol);
    peer.say(ClientMessage::Request);
    if !peer.accepted() {
        return Err(String::from("refused"));
    }
    peer.secure(&open_connector(), dialect(protocol, Phase::InsideTls))
}

impl<S: Wait> Peer<S> {
    /// Returns a message. Before the request, it sends the rest of the hello.
    pub(crate) fn words(&mut self, message: ClientMessage) -> Vec<u8> {
        if message == ClientMessage::Request {
            for _ in 0..std::mem::take(&mut self.hello_rounds) {
                self.say(ClientMessage::Hello);
                self.answer(ReplyTo::Hello, PATIENCE);
            }
        }
        let mut words = Vec::new();
        self.dialect.write_client(message, &mut words);
        words
    }

    pub(crate) fn say(&mut self, message: ClientMessage) {
        let words = self.words(message);
        self.send(&words);
    }

    /// A broken connection is not an error here: the next answer is missing.
    pub(crate) fn send(&mut self, bytes: &[u8]) {
        let _ = self.io.write_all(bytes).and_then(|()| self.io.flush());
    }

    /// Returns the next answer, with the interim messages before it; `None` if none arrived in time.
    pub(crate) fn answer(
        &mut self,
        reply_to: ReplyTo,
        patience: Duration,
    ) -> Option<(Vec<u8>, ServerMessage)> {
        let mut all = Vec::new();
        loop {
            let message = self.message(reply_to, patience)?;
            all.extend_from_slice(&message);
            match self.dialect.read_server(reply_to, &message) {
                Ok(ServerMessage::Interim) => {}
                Ok(meaning) => return Some((all, meaning)),
                Err(_) => return Some((all, ServerMessage::Other)),
            }
        }
    }

    fn message(&mut self, reply_to: ReplyTo, patience: Duration) -> Option<Vec<u8>> {
        self.io.wait(patience);
        let mut scan = Scan::default();
        loop {
            if !self.inbox.is_empty() {
                match self.dialect.frame(Side::Server, reply_to, &self.inbox, &mut scan) {
                    Ok(Some(end)) => return Some(self.inbox.drain(..end).collect()),
                    Ok(None) => {}
                    Err(_) => return None,
                }
            }
            if !self.fill() {
                return None;
            }
        }
    }

    /// Returns whether any data arrived.
    pub(crate) fn fill(&mut self) -> bool {
        let mut buffer = [0; 4096];
        match self.io.read(&mut buffer) {
            Ok(0) => false,
            Ok(read) => {
                self.inbox.extend_from_slice(&buffer[..read]);
                true
            }
            Err(error) if error.kind() == ErrorKind::Interrupted => true,
            Err(_) => false,
        }
    }
}

/// Returns a command that a server answers in the same way each time inside TLS, and what its answer is a reply to.
pub(crate) fn probe(protocol: &Protocol, dialect: &mut dyn Dialect) -> (Vec<u8>, ReplyTo) {
    for (message, reply_to) in [
        (ClientMessage::Hello, ReplyTo::Hello),
        (ClientMessage::Probe, ReplyTo::Other),
        (ClientMessage::Other, ReplyTo::Other),
    ] {
        let mut words = Vec::new();
        dialect.write_client(message, &mut words);
        if !words.is_empty() {
            return (words, reply_to);
        }
    }
    assert_eq!(protocol.name, "mysql");
    (mysql_login(2), ReplyTo::Other)
}

/// Returns the HandshakeResponse41 of a user without a password.
pub(crate) fn mysql_login(sequence: u8) -> Vec<u8> {
    let mut body = (0x200_u32 | 0x8000 | 0x8_0000).to_le_bytes().to_vec();
    body.extend((1_u32 << 24).to_le_bytes());
    body.push(45);
    body.extend([0; 23]);
    body.extend(b"nobody\0\0mysql_native_password\0");
    let length = (body.len() as u32).to_le_bytes();
    [&length[..3], &[sequence], &body].concat()
}
