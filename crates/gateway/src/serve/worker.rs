//! A worker thread: its runtime, its sockets and its sessions.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream, UnixListener, UnixStream};
use tokio::runtime::LocalOptions;
use tokio::sync::{mpsc, watch};
use tokio::task::spawn_local;

use super::counts::{Counted, SessionCounts};
use super::health_check;
use super::served_session::{ServedSession, allow_parking};
use super::slot::ListenerSlot;
use super::sockets::Listening;
use crate::record::{ClientAddresses, SessionObserver};
use crate::session::Socket;

/// A command to a worker.
pub(super) enum Order {
    Listen(Arc<ListenerSlot>, Listening, Counted),
    CheckHealth(Arc<ListenerSlot>),
    Stop,
}

/// State shared by the sessions of a thread.
#[derive(Clone)]
struct Shared {
    sessions: Arc<AtomicUsize>,
    observer: Arc<dyn SessionObserver>,
    open: watch::Receiver<bool>,
}

/// Runs until [`Order::Stop`], which drops the open sessions.
pub(super) fn run(
    mut orders: mpsc::UnboundedReceiver<Order>,
    SessionCounts { open: sessions, parked }: SessionCounts,
    observer: Arc<dyn SessionObserver>,
    open: watch::Receiver<bool>,
) {
    let mut builder = tokio::runtime::Builder::new_current_thread();
    let Ok(runtime) = builder.enable_all().build_local(LocalOptions::default()) else { return };
    let shared = Shared { sessions, observer, open };
    runtime.block_on(async {
        // Without a queue for them, silent sessions keep their tasks.
        let _ = allow_parking(parked);
        while let Some(order) = orders.recv().await {
            match order {
                Order::Listen(slot, socket, counted) => {
                    drop(spawn_local(listen(slot, socket, counted, shared.clone())));
                }
                Order::CheckHealth(slot) => drop(spawn_local(check_health(slot, shared.clone()))),
                Order::Stop => return,
            }
        }
    });
    // Do not wait for threads that look up a name or read a password: the resolver can take half a minute.
    runtime.shutdown_background();
}

enum Accepting {
    Tcp(TcpListener),
    Unix(UnixListener),
}

impl Accepting {
    fn new(socket: Listening) -> io::Result<Self> {
        match socket {
            Listening::Tcp(socket) => TcpListener::from_std(socket).map(Self::Tcp),
            Listening::Unix(socket) => UnixListener::from_std(socket).map(Self::Unix),
        }
    }

    async fn accept(&self) -> io::Result<(Socket, ClientAddresses)> {
        match self {
            Self::Tcp(listener) => {
                let (tcp, address) = listener.accept().await?;
                Ok(of_tcp(tcp, address))
            }
            Self::Unix(listener) => Ok(of_unix(listener.accept().await?.0)),
        }
    }

    /// Stops listening, and returns the connections in the accept queue, which would be reset otherwise.
    fn close(self) -> io::Result<Vec<(Socket, ClientAddresses)>> {
        let mut rest = Vec::new();
        match self {
            Self::Tcp(listener) => {
                let listener = listener.into_std()?;
                while let Ok((tcp, address)) = listener.accept() {
                    tcp.set_nonblocking(true)?;
                    rest.push(of_tcp(TcpStream::from_std(tcp)?, address));
                }
            }
            Self::Unix(listener) => {
                let listener = listener.into_std()?;
                while let Ok((unix, _)) = listener.accept() {
                    unix.set_nonblocking(true)?;
                    rest.push(of_unix(UnixStream::from_std(unix)?));
                }
            }
        }
        Ok(rest)
    }
}

fn of_tcp(tcp: TcpStream, address: SocketAddr) -> (Socket, ClientAddresses) {
    let client = ClientAddresses { address: Some(address), local: tcp.local_addr().ok() };
    (tcp.into(), client)
}

fn of_unix(unix: UnixStream) -> (Socket, ClientAddresses) {
    (unix.into(), ClientAddresses { address: None, local: None })
}

/// The pause after a failed accept, usually for lack of file descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

async fn check_health(slot: Arc<ListenerSlot>, mut shared: Shared) {
    let mut place = slot.open.subscribe();
    tokio::select! {
        () = health_check::watch(slot.clone()) => {}
        _ = shared.open.wait_for(|open| !open) => {}
        _ = place.wait_for(|open| !open) => {}
    }
}

/// Accepts connections until the gateway stops listening here. `_counted` is kept until all of them are sessions.
async fn listen(slot: Arc<ListenerSlot>, socket: Listening, _counted: Counted, mut shared: Shared) {
    let Ok(accepting) = Accepting::new(socket) else { return };
    let mut place = slot.open.subscribe();
    loop {
        let accepted = tokio::select! {
            accepted = accepting.accept() => accepted,
            _ = shared.open.wait_for(|open| !open) => break,
            _ = place.wait_for(|open| !open) => break,
        };
        match accepted {
            Ok((socket, client)) => shared.serve(&slot, socket, client),
            Err(_) => tokio::time::sleep(ACCEPT_PAUSE).await,
        }
    }
    for (socket, client) in accepting.close().unwrap_or_default() {
        shared.serve(&slot, socket, client);
    }
}

impl Shared {
    fn serve(&self, slot: &Arc<ListenerSlot>, socket: Socket, client: ClientAddresses) {
        let counted = Counted::new(&self.sessions);
        ServedSession::new(slot.listener(), self.observer.clone(), client, counted)
            .start(slot.clone(), socket);
    }
}
