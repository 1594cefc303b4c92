//! One thread: its runtime, its sockets, its sessions.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tokio::net::{TcpListener, UnixListener};
use tokio::runtime::LocalOptions;
use tokio::sync::{mpsc, watch};
use tokio::task::spawn_local;

use super::sockets::Listening;
use super::{Observer, Post, recovery};
use crate::session::{self, Client, Socket};

/// What a worker is told.
pub(super) enum Order {
    Listen(Arc<Post>, Listening),
    LookAfter(Arc<Post>),
    Stop,
}

/// What the sessions of a thread share.
#[derive(Clone)]
struct Shared {
    sessions: Arc<AtomicUsize>,
    observer: Arc<dyn Observer>,
    open: watch::Receiver<bool>,
}

/// Counts one session.
struct Counted(Arc<AtomicUsize>);

impl Counted {
    fn new(sessions: &Arc<AtomicUsize>) -> Self {
        sessions.fetch_add(1, Ordering::Relaxed);
        Self(sessions.clone())
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Works until told to stop; what is under way then is dropped.
pub(super) fn run(
    mut orders: mpsc::UnboundedReceiver<Order>,
    sessions: Arc<AtomicUsize>,
    observer: Arc<dyn Observer>,
    open: watch::Receiver<bool>,
) {
    let mut builder = tokio::runtime::Builder::new_current_thread();
    let Ok(runtime) = builder.enable_all().build_local(LocalOptions::default()) else { return };
    let shared = Shared { sessions, observer, open };
    runtime.block_on(async move {
        while let Some(order) = orders.recv().await {
            match order {
                Order::Listen(post, socket) => drop(spawn_local(listen(post, socket, shared.clone()))),
                Order::LookAfter(post) => drop(spawn_local(look_after(post, shared.clone()))),
                Order::Stop => return,
            }
        }
    });
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

    async fn accept(&self) -> io::Result<(Socket, Client)> {
        match self {
            Self::Tcp(listener) => {
                let (tcp, address) = listener.accept().await?;
                tcp.set_nodelay(true)?;
                let client = Client { address: Some(address), local: tcp.local_addr().ok() };
                Ok((Socket::Tcp(tcp), client))
            }
            Self::Unix(listener) => {
                let (unix, _) = listener.accept().await?;
                Ok((Socket::Unix(unix), Client { address: None, local: None }))
            }
        }
    }
}

/// How long to wait when no connection can be taken, for want of file descriptors most often.
const BREATH: Duration = Duration::from_millis(50);

async fn look_after(post: Arc<Post>, mut shared: Shared) {
    let mut place = post.open.subscribe();
    tokio::select! {
        () = recovery::watch(post.clone()) => {}
        _ = shared.open.wait_for(|open| !open) => {}
        _ = place.wait_for(|open| !open) => {}
    }
}

async fn listen(post: Arc<Post>, socket: Listening, mut shared: Shared) {
    let Ok(accepting) = Accepting::new(socket) else { return };
    let mut place = post.open.subscribe();
    loop {
        let accepted = tokio::select! {
            accepted = accepting.accept() => accepted,
            _ = shared.open.wait_for(|open| !open) => return,
            _ = place.wait_for(|open| !open) => return,
        };
        match accepted {
            Ok((socket, client)) => {
                let (post, observer) = (post.clone(), shared.observer.clone());
                let counted = Counted::new(&shared.sessions);
                spawn_local(async move {
                    let listener = post.listener();
                    observer.connected(&listener);
                    let record = session::serve(&listener, &post.admission, socket, client).await;
                    observer.session(&listener, &record);
                    drop(counted);
                });
            }
            Err(_) => tokio::time::sleep(BREATH).await,
        }
    }
}
