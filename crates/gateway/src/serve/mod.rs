//! The running gateway: sockets, worker threads, reload and drain.

mod counts;
mod health_check;
mod parking;
mod served_session;
mod slot;
mod sockets;
mod worker;

use std::io;
use std::net::SocketAddr;
use std::num::NonZero;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, RwLock};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use tokio::sync::{mpsc, watch};

use crate::admission::{Admission, TotalConnections};
use crate::config::{Config, Listener};
use crate::record::SessionObserver;
use counts::{Counted, SessionCounts};
use slot::ListenerSlot;
use sockets::Opened;
use worker::Order;

/// A running gateway. A drop stops it at once; see [`drain`](Self::drain).
pub struct Gateway {
    workers: Vec<Worker>,
    slots: Vec<Arc<ListenerSlot>>,
    total: Arc<TotalConnections>,
    sessions: SessionCounts,
    /// The number of listening sockets.
    listening: Arc<AtomicUsize>,
    /// `false` when no more connections are accepted.
    open: watch::Sender<bool>,
    drain: Duration,
}

struct Worker {
    orders: mpsc::UnboundedSender<Order>,
    thread: JoinHandle<()>,
}

impl std::fmt::Debug for Gateway {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Gateway").field("addresses", &self.addresses()).finish_non_exhaustive()
    }
}

impl Gateway {
    /// Opens all sockets and starts serving, with one thread per core. Each thread has its own sockets, and a connection stays
    /// on the thread that accepted it.
    ///
    /// # Errors
    /// When a socket cannot be opened. Then no socket listens.
    pub fn start(config: Config, observer: Arc<dyn SessionObserver>) -> io::Result<Self> {
        let threads = thread::available_parallelism().map_or(1, NonZero::get);
        let opened = open(&config.listeners, threads, Vec::new())?;
        let (open, closing) = watch::channel(true);
        let sessions = SessionCounts::default();
        let workers: io::Result<Vec<_>> = (0..threads)
            .map(|at| {
                let (orders, taken) = mpsc::unbounded_channel();
                let (sessions, observer, closing) = (sessions.clone(), observer.clone(), closing.clone());
                let thread = thread::Builder::new()
                    .name(format!("gateway-{at}"))
                    .spawn(move || worker::run(taken, sessions, observer, closing))?;
                Ok(Worker { orders, thread })
            })
            .collect();
        let drain = config.drain;
        let total = TotalConnections::new(config.connections);
        let (workers, listening) = (workers?, Arc::default());
        let mut gateway = Self { workers, slots: Vec::new(), total, sessions, listening, open, drain };
        for (listener, opened) in config.listeners.into_iter().zip(opened) {
            gateway.add_slot(listener, opened);
        }
        Ok(gateway)
    }

    /// Returns the name and the address of each listener. Unix sockets have no address.
    pub fn addresses(&self) -> Vec<(String, Option<SocketAddr>)> {
        self.slots.iter().map(|slot| (slot.listener().name.clone(), slot.bound)).collect()
    }

    /// Returns the number of open connections.
    pub fn sessions(&self) -> usize {
        self.sessions.open.load(Ordering::Relaxed)
    }

    /// Returns how many of the open connections are parked: they have no task, because nothing has moved for a second.
    pub fn parked(&self) -> usize {
        self.sessions.parked.load(Ordering::Relaxed)
    }

    /// Applies a new configuration to new connections. Open connections keep the old one.
    ///
    /// # Errors
    /// When a socket cannot be opened. Then nothing changes (rule G6).
    pub fn reload(&mut self, config: Config) -> io::Result<()> {
        let (kept, added): (Vec<_>, Vec<_>) = config
            .listeners
            .into_iter()
            .partition(|listener| self.slots.iter().any(|slot| slot.address == listener.address));
        let held = self.slots.iter().filter_map(|slot| slot.bound).collect();
        let opened = open(&added, self.workers.len(), held)?;
        self.slots.retain(|slot| {
            let stays = kept.iter().any(|listener| listener.address == slot.address);
            if !stays {
                slot.open.send_replace(false);
            }
            stays
        });
        for listener in kept {
            if let Some(slot) = self.slots.iter().find(|slot| slot.address == listener.address) {
                slot.set(listener);
            }
        }
        for (listener, opened) in added.into_iter().zip(opened) {
            self.add_slot(listener, opened);
        }
        self.total.adjust(config.connections);
        self.drain = config.drain;
        Ok(())
    }

    fn add_slot(&mut self, listener: Listener, opened: Opened) {
        let slot = Arc::new(ListenerSlot {
            address: listener.address.clone(),
            bound: opened.bound,
            admission: Admission::new(self.total.clone(), listener.limits),
            listener: RwLock::new(Arc::new(listener)),
            open: watch::Sender::new(true),
        });
        for (worker, socket) in self.workers.iter().zip(opened.sockets) {
            // This fails only if the worker has panicked.
            let _ = worker.orders.send(Order::Listen(slot.clone(), socket, Counted::new(&self.listening)));
        }
        if let Some(worker) = self.workers.first() {
            let _ = worker.orders.send(Order::CheckHealth(slot.clone()));
        }
        self.slots.push(slot);
    }

    /// Stops listening and waits for the open sessions, those in the accept queues included, for at most the time in the
    /// configuration (`drain`). Blocks the thread. Returns how many sessions were cut off.
    pub fn drain(self) -> usize {
        let until = Instant::now() + self.drain;
        self.open.send_replace(false);
        // The sockets are counted first: connections in their queues become sessions.
        while (self.listening.load(Ordering::Acquire) > 0 || self.sessions() > 0) && Instant::now() < until {
            thread::sleep(Duration::from_millis(20));
        }
        let left = self.sessions();
        for Worker { orders, thread } in self.workers {
            let _ = orders.send(Order::Stop);
            // A panic was reported on standard error.
            let _ = thread.join();
        }
        left
    }
}

/// Opens the sockets of these listeners. `held` are the addresses on which the gateway listens already.
fn open(listeners: &[Listener], threads: usize, mut held: Vec<SocketAddr>) -> io::Result<Vec<Opened>> {
    let open = |listener: &Listener| {
        let opened = sockets::open(&listener.address, threads, &held).map_err(|cause| {
            io::Error::new(cause.kind(), format!("cannot listen on {}: {cause}", listener.address))
        })?;
        held.extend(opened.bound);
        Ok(opened)
    };
    listeners.iter().map(open).collect()
}
