//! An attacker between the command and a real server: the engine's relay with rules.

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread::spawn;

use starttls::proto::{
    ClientMessage, Edit, EventKind, Outgoing, Protocol, Relay, RelayEvent, RelayRule, ServerMessage, Side,
    Trigger,
};

use super::Peer;

/// What the attacker does on each connection.
#[derive(Clone)]
pub(crate) struct Middle {
    pub(crate) protocol: &'static Protocol,
    pub(crate) server: SocketAddr,
    pub(crate) rules: Vec<RelayRule>,
    /// Closes the connection after this event.
    pub(crate) close_at: Option<EventKind>,
    /// Answers the client's TLS with these bytes instead of forwarding it.
    pub(crate) instead_of_tls: Option<&'static [u8]>,
    /// Replaces the first name by the second in cleartext to the server, and the second by the first to the client.
    pub(crate) names: Option<(&'static str, String)>,
}

impl Middle {
    /// Creates an attacker that changes nothing.
    pub(crate) fn new(peer: &Peer) -> Self {
        let (protocol, server) = (peer.protocol, peer.endpoint.address);
        Self { protocol, server, rules: Vec::new(), close_at: None, instead_of_tls: None, names: None }
    }

    /// Listens on the address of the server and returns the port.
    pub(crate) fn start(self) -> u16 {
        let listener = TcpListener::bind((self.server.ip(), 0)).unwrap();
        let port = listener.local_addr().unwrap().port();
        spawn(move || {
            for client in listener.incoming().flatten() {
                let middle = self.clone();
                spawn(move || middle.stand_between(client));
            }
        });
        port
    }

    fn renamed(&self, from: Side, bytes: &[u8]) -> Vec<u8> {
        let (Some((asked, real)), Ok(text)) = (&self.names, std::str::from_utf8(bytes)) else {
            return bytes.to_vec();
        };
        match from {
            Side::Client => text.replace(asked, real),
            Side::Server => text.replace(real, asked),
        }
        .into_bytes()
    }

    fn stand_between(self, client: TcpStream) {
        let server = TcpStream::connect(self.server).unwrap();
        let relay = Relay::new(self.protocol, self.rules.clone());
        let line = Arc::new(Line { client, server, middle: self, state: Mutex::new((relay, false)) });
        let other = Arc::clone(&line);
        spawn(move || other.carry(Side::Server));
        line.carry(Side::Client);
    }
}

struct Line {
    client: TcpStream,
    server: TcpStream,
    middle: Middle,
    /// The relay, and whether both sides have passed the boundary.
    state: Mutex<(Relay, bool)>,
}

impl Line {
    /// Forwards the data of one side until either side closes or the rules end the connection.
    fn carry(&self, from: Side) {
        let (mut ours, mut buffer) =
            (if from == Side::Client { &self.client } else { &self.server }, [0; 16 * 1024]);
        while let Ok(len @ 1..) = ours.read(&mut buffer) {
            if !self.pass(from, &buffer[..len]) {
                break;
            }
        }
        // Data already written is still delivered, and the thread of the other side no longer blocks.
        let _ = self.client.shutdown(Shutdown::Write);
        let _ = self.server.shutdown(Shutdown::Both);
    }

    fn pass(&self, from: Side, bytes: &[u8]) -> bool {
        let mut state = self.state.lock().unwrap();
        let (relay, upgraded) = &mut *state;
        if let (Some(garbage), true) = (self.middle.instead_of_tls, *upgraded) {
            return from == Side::Server || (&self.client).write_all(garbage).is_err();
        }
        let bytes = self.middle.renamed(from, bytes);
        let (mut out, mut events) = (Outgoing::default(), Vec::new());
        relay.receive(from, &bytes, &mut out, &mut events);
        *upgraded |= events.iter().any(|event: &RelayEvent| event.kind == EventKind::Boundary);
        if events.iter().any(|event| Some(event.kind) == self.middle.close_at) {
            return false;
        }
        // Where the server does not answer the request, the boundary may come with the ClientHello: the start of a record.
        let has_hello = from == Side::Client && bytes.windows(3).any(|it| it == b"\x16\x03\x01");
        if let (Some(garbage), true) = (self.middle.instead_of_tls, *upgraded && has_hello) {
            return (&self.client).write_all(garbage).is_err();
        }
        (&self.client).write_all(&out.to_client).is_ok() && (&self.server).write_all(&out.to_server).is_ok()
    }
}

pub(crate) fn on_client(message: ClientMessage, edit: Edit) -> RelayRule {
    RelayRule { trigger: Trigger::Client(message), edit }
}

pub(crate) fn on_server(message: ServerMessage, edit: Edit) -> RelayRule {
    RelayRule { trigger: Trigger::Server(message), edit }
}

pub(crate) fn replace(bytes: Vec<u8>) -> Edit {
    Edit::Replace(bytes)
}
