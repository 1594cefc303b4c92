//! Listening sockets, one for each thread.

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::os::unix::fs::FileTypeExt;
use std::os::unix::net::UnixListener;
use std::path::Path;

use socket2::{Domain, Protocol, SockAddr, SockRef, Socket, Type};

use crate::config::ListenAddress;
use crate::systemd::{self, Passed};

/// A listening socket.
pub(super) enum Listening {
    Tcp(TcpListener),
    Unix(UnixListener),
}

/// The sockets of one address.
pub(super) struct Opened {
    pub(super) bound: Option<SocketAddr>,
    pub(super) sockets: Vec<Listening>,
}

/// The length of the accept queue.
const BACKLOG: i32 = 1024;

/// Opens one socket for each thread. The kernel distributes connections over the sockets of one TCP address. Unix sockets and
/// sockets from the service manager are shared by all threads. `held` are the addresses on which the gateway listens already.
pub(super) fn open(address: &ListenAddress, threads: usize, held: &[SocketAddr]) -> io::Result<Opened> {
    match address {
        ListenAddress::Tcp(address) => {
            let overlaps = held.iter().any(|other| overlap(*address, *other));
            let first = tcp(*address, if overlaps { Reuse::Shared } else { Reuse::Exclusive })?;
            let bound = first.local_addr()?;
            let others = (1..threads).map(|_| tcp(bound, Reuse::Shared));
            let sockets: io::Result<Vec<_>> = [Ok(first)].into_iter().chain(others).collect();
            Ok(Opened { bound: Some(bound), sockets: sockets?.into_iter().map(Listening::Tcp).collect() })
        }
        ListenAddress::Unix(path) => shared_unix(&unix(path)?, threads),
        ListenAddress::Systemd(name) => match systemd::take(name)? {
            Passed::Unix(socket) => shared_unix(&socket, threads),
            Passed::Tcp(socket) => {
                SockRef::from(&socket).set_tcp_nodelay(true)?;
                let sockets: io::Result<Vec<_>> = (0..threads).map(|_| socket.try_clone()).collect();
                let bound = Some(socket.local_addr()?);
                Ok(Opened { bound, sockets: sockets?.into_iter().map(Listening::Tcp).collect() })
            }
        },
    }
}

fn shared_unix(socket: &UnixListener, threads: usize) -> io::Result<Opened> {
    let sockets: io::Result<Vec<_>> = (0..threads).map(|_| socket.try_clone()).collect();
    Ok(Opened { bound: None, sockets: sockets?.into_iter().map(Listening::Unix).collect() })
}

/// Which sockets may already have the same address.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Reuse {
    /// None. With SO_REUSEPORT, every other gateway of the same user could share the port.
    Exclusive,
    /// Sockets of this gateway.
    Shared,
}

fn tcp(address: SocketAddr, reuse: Reuse) -> io::Result<TcpListener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    socket.set_reuse_address(true)?;
    socket.set_reuse_port(reuse == Reuse::Shared)?;
    if address.is_ipv6() {
        // Both families on [::].
        socket.set_only_v6(false)?;
    }
    socket.set_nonblocking(true)?;
    // The connections that it accepts inherit the option.
    socket.set_tcp_nodelay(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    // From here on, other sockets of this gateway may share the address. A gateway that requests it exclusively gets an error.
    socket.set_reuse_port(true)?;
    Ok(socket.into())
}

/// Returns whether a connection to one address may arrive at the other.
fn overlap(one: SocketAddr, other: SocketAddr) -> bool {
    let (one_ip, other_ip) = (one.ip().to_canonical(), other.ip().to_canonical());
    one.port() == other.port() && (one_ip == other_ip || one_ip.is_unspecified() || other_ip.is_unspecified())
}

/// Returns whether no process listens on this socket. It connects without blocking: a blocking connection waits without
/// a limit while the queue of the listening process is full.
fn is_abandoned(path: &Path) -> io::Result<bool> {
    let probe = Socket::new(Domain::UNIX, Type::STREAM, None)?;
    probe.set_nonblocking(true)?;
    let connected = probe.connect(&SockAddr::unix(path)?);
    Ok(connected.is_err_and(|error| error.kind() == io::ErrorKind::ConnectionRefused))
}

/// Listens on a Unix socket. Replaces a socket of an earlier run, but no socket that is in use and no other file.
fn unix(path: &Path) -> io::Result<UnixListener> {
    let listener = match UnixListener::bind(path) {
        Err(error) if error.kind() == io::ErrorKind::AddrInUse => {
            let is_socket = std::fs::symlink_metadata(path)?.file_type().is_socket();
            if !is_socket || !is_abandoned(path)? {
                return Err(error);
            }
            std::fs::remove_file(path)?;
            UnixListener::bind(path)?
        }
        bound => bound?,
    };
    listener.set_nonblocking(true)?;
    Ok(listener)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_socket_whose_queue_is_full_is_in_use() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("socket");
        let busy = Socket::new(Domain::UNIX, Type::STREAM, None).unwrap();
        busy.bind(&SockAddr::unix(&path).unwrap()).unwrap();
        busy.listen(0).unwrap();
        let mut waiting = Vec::new();
        loop {
            let client = Socket::new(Domain::UNIX, Type::STREAM, None).unwrap();
            client.set_nonblocking(true).unwrap();
            if client.connect(&SockAddr::unix(&path).unwrap()).is_err() {
                break;
            }
            waiting.push(client);
        }
        let (sender, opened) = std::sync::mpsc::channel();
        let place = path.clone();
        std::thread::spawn(move || sender.send(unix(&place).map(drop)));
        let opened = opened.recv_timeout(std::time::Duration::from_secs(20)).expect("it waits for the queue");
        assert_eq!(opened.unwrap_err().kind(), io::ErrorKind::AddrInUse);
        // A socket that an earlier run left is replaced.
        drop((busy, waiting));
        unix(&path).unwrap();
    }
}
