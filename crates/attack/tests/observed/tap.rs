//! Records the octets that pass between a client and a server, and writes them as a capture.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use starttls::proto::Side;
use starttls_inspect::{CapturedPacket, ConnectionReport, InspectLimits, Inspector};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::{sleep, timeout};

/// What passed over one connection, in the order in which it passed.
pub(crate) type Octets = Vec<(Side, Vec<u8>)>;

/// How long connections may take to end after the client has ended.
const LINGER: Duration = Duration::from_secs(10);

/// The connections that passed through a tap.
#[derive(Clone, Default)]
pub(crate) struct Taped(Arc<Mutex<Tape>>);

#[derive(Default)]
struct Tape {
    connections: Vec<Octets>,
    /// The number of directions that are open, of all connections.
    open: usize,
}

impl Taped {
    fn tape(&self) -> MutexGuard<'_, Tape> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Begins a connection, and returns its number.
    fn begin(&self) -> usize {
        let mut tape = self.tape();
        tape.open += 2;
        tape.connections.push(Vec::new());
        tape.connections.len() - 1
    }

    /// Returns the connections, when all of them have ended.
    pub(crate) async fn connections(&self) -> Vec<Octets> {
        let ended = async {
            while self.tape().open > 0 {
                sleep(Duration::from_millis(5)).await;
            }
        };
        // A server may wait longer for a client that is gone. Nothing passes then.
        let _ = timeout(LINGER, ended).await;
        self.tape().connections.clone()
    }
}

/// Listens on a port of its own and relays each connection to the target. Returns the port.
pub(crate) fn tap(target: SocketAddr, taped: Taped) -> u16 {
    let listener = std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    listener.set_nonblocking(true).unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        let listener = TcpListener::from_std(listener).unwrap();
        while let Ok((client, _)) = listener.accept().await {
            let Ok(server) = TcpStream::connect(target).await else { continue };
            let number = taped.begin();
            let _ = (client.set_nodelay(true), server.set_nodelay(true));
            let (from_client, to_client) = client.into_split();
            let (from_server, to_server) = server.into_split();
            tokio::spawn(pass(from_client, to_server, Side::Client, number, taped.clone()));
            tokio::spawn(pass(from_server, to_client, Side::Server, number, taped.clone()));
        }
    });
    port
}

async fn pass(
    mut from: impl AsyncRead + Unpin,
    mut to: impl AsyncWrite + Unpin,
    side: Side,
    connection: usize,
    taped: Taped,
) {
    let mut buffer = vec![0; 16 * 1024];
    while let Ok(len @ 1..) = from.read(&mut buffer).await {
        // Noted first: the answer is noted after it.
        taped.tape().connections[connection].push((side, buffer[..len].to_vec()));
        if to.write_all(&buffer[..len]).await.is_err() {
            break;
        }
    }
    let _ = to.shutdown().await;
    taped.tape().open -= 1;
}

const FIN: u8 = 1;
const SYN: u8 = 2;
const ACK: u8 = 16;

/// Inspects connections to a server on this port as packets. The octets to keep are for a comparison.
pub(crate) fn inspect(connections: &[Octets], port: u16, keeps: usize) -> Vec<ConnectionReport> {
    // Certificates are judged at the time of the capture.
    let mut time = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_nanos() as u64;
    let mut inspector = Inspector::new(InspectLimits::default()).keeping(keeps);
    for (number, turns) in connections.iter().enumerate() {
        let ends = [([192, 0, 2, 1], 40_000 + number as u16), ([192, 0, 2, 2], port)];
        let mut next = [1000_u32, 2000];
        let mut send = |side: Side, flags: u8, payload: &[u8]| {
            let (own, peer) = if side == Side::Client { (0, 1) } else { (1, 0) };
            let mut packet = vec![0x45, 0];
            packet.extend((40 + payload.len() as u16).to_be_bytes());
            packet.extend([0, 0, 0, 0, 64, 6, 0, 0]);
            packet.extend(ends[own].0);
            packet.extend(ends[peer].0);
            packet.extend(ends[own].1.to_be_bytes());
            packet.extend(ends[peer].1.to_be_bytes());
            packet.extend(next[own].to_be_bytes());
            packet.extend(if flags & ACK == 0 { 0 } else { next[peer] }.to_be_bytes());
            packet.extend([0x50, flags, 0xff, 0xff, 0, 0, 0, 0]);
            packet.extend(payload);
            next[own] = next[own].wrapping_add(payload.len() as u32 + u32::from(flags & (SYN | FIN) != 0));
            time += 1_000_000;
            let sent = packet.len() as u32;
            inspector.packet(&CapturedPacket { time, link: 101, sent, data: &packet });
        };
        send(Side::Client, SYN, b"");
        send(Side::Server, SYN | ACK, b"");
        send(Side::Client, ACK, b"");
        for (side, octets) in turns {
            octets.chunks(1448).for_each(|part| send(*side, ACK, part));
        }
        send(Side::Client, FIN | ACK, b"");
        send(Side::Server, FIN | ACK, b"");
        send(Side::Client, ACK, b"");
    }
    inspector.finish();
    inspector.take_finished()
}
