//! A common interface of clients and servers, and the input that their peers send in a sound negotiation.

use starttls_proto::{Client, DialectContext, Identity, Progress, Protocol, Server, Side, TlsSupport};

/// Returns an identity with the same names, tags and ids in every run. They are derived from a nonce, as in
/// production.
fn identity() -> DialectContext {
    Identity::new("mail.example.com").with_nonce(1)
}

/// The outcome of a machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum End {
    Upgrade,
    Other,
}

/// A client or a server.
pub(crate) trait Machine: Sized {
    const SIDE: Side;

    fn start(protocol: &Protocol, out: &mut Vec<u8>) -> Self;

    fn receive(self, input: &[u8], out: &mut Vec<u8>) -> Result<Self, End>;
}

impl Machine for Client {
    const SIDE: Side = Side::Client;

    fn start(protocol: &Protocol, out: &mut Vec<u8>) -> Self {
        Self::new(protocol, identity(), out)
    }

    #[inline]
    fn receive(self, input: &[u8], out: &mut Vec<u8>) -> Result<Self, End> {
        match self.receive(input, out) {
            Ok(Progress::Continue(machine)) => Ok(machine),
            Ok(Progress::Upgrade(_)) => Err(End::Upgrade),
            Ok(Progress::End(_)) | Err(_) => Err(End::Other),
        }
    }
}

impl Machine for Server {
    const SIDE: Side = Side::Server;

    fn start(protocol: &Protocol, out: &mut Vec<u8>) -> Self {
        Self::new(protocol, identity(), TlsSupport::Available, out)
    }

    #[inline]
    fn receive(self, input: &[u8], out: &mut Vec<u8>) -> Result<Self, End> {
        match self.receive(input, out) {
            Ok(Progress::Continue(machine)) => Ok(machine),
            Ok(Progress::Upgrade(_)) => Err(End::Upgrade),
            Ok(Progress::End(_)) | Err(_) => Err(End::Other),
        }
    }
}

/// Passes `input` to a machine in pieces, and discards its output.
#[inline]
pub(crate) fn feed<M: Machine>(
    mut machine: M,
    input: &[u8],
    piece: usize,
    out: &mut Vec<u8>,
) -> Result<M, End> {
    for piece in input.chunks(piece) {
        out.clear();
        machine = machine.receive(piece, out)?;
    }
    Ok(machine)
}

/// Runs a whole negotiation, from the first byte to the upgrade.
pub(crate) fn negotiate<M: Machine>(
    protocol: &Protocol,
    segments: &[Vec<u8>],
    piece: usize,
    out: &mut Vec<u8>,
) -> Option<End> {
    out.clear();
    let mut machine = M::start(protocol, out);
    for segment in segments {
        match feed(machine, segment, piece, out) {
            Ok(next) => machine = next,
            Err(end) => return Some(end),
        }
    }
    None
}

/// Returns the segments that the peer of a client or a server sends in a sound negotiation.
pub(crate) fn record<M: Machine>(protocol: &Protocol) -> Vec<Vec<u8>> {
    let (mut to_server, mut to_client) = (Vec::new(), Vec::new());
    let mut client = Some(<Client as Machine>::start(protocol, &mut to_server));
    let mut server = Some(<Server as Machine>::start(protocol, &mut to_client));
    let mut segments = Vec::new();
    while !to_server.is_empty() || !to_client.is_empty() {
        let (for_client, for_server) = (std::mem::take(&mut to_client), std::mem::take(&mut to_server));
        let segment = if M::SIDE == Side::Client { &for_client } else { &for_server };
        if !segment.is_empty() {
            segments.push(segment.clone());
        }
        // A machine that has finished must not be called again.
        if !for_client.is_empty() {
            client = client.and_then(|it| Machine::receive(it, &for_client, &mut to_server).ok());
        }
        if !for_server.is_empty() {
            server = server.and_then(|it| Machine::receive(it, &for_server, &mut to_client).ok());
        }
    }
    assert!(client.is_none() && server.is_none(), "{}: no upgrade", protocol.name);
    segments
}
