//! Records the connections at the servers, and compares them with budgets. What the client believes does not count.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::io;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use tokio::runtime::Handle;

use super::provider;

/// The record of all connections.
pub struct Referee {
    started: Instant,
    visits: Mutex<Vec<Visit>>,
    /// The names of clients in EHLO, in cleartext and in TLS.
    hellos: Mutex<BTreeSet<String>>,
    watcher: OnceLock<Watcher>,
    handshakes: AtomicUsize,
    /// The longest time that a thread of this process waited for its turn, in microseconds. A connection may be recorded so much late.
    lag: Arc<AtomicU64>,
    /// The same for a task of the servers' runtime, which notices the end of a connection.
    task_lag: Arc<AtomicU64>,
    is_over: Arc<AtomicBool>,
}

type Watcher = Box<dyn Fn(Ipv4Addr) + Send + Sync>;

impl fmt::Debug for Referee {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Referee").field("connections", &self.connections()).finish_non_exhaustive()
    }
}

#[derive(Clone, Copy, Debug)]
struct Visit {
    address: Ipv4Addr,
    opened: Duration,
    closed: Option<Duration>,
}

/// A budget that was exceeded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Excess {
    /// The address, network or suffix.
    pub network: String,
    /// What was counted, and what is permitted.
    pub why: String,
}

impl Referee {
    pub(super) fn start(runtime: &Handle) -> io::Result<Self> {
        let (lag, is_over) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicBool::new(false)));
        let (of_thread, until) = (Arc::clone(&lag), Arc::clone(&is_over));
        let pause = Duration::from_millis(2);
        let task_lag = Arc::new(AtomicU64::new(0));
        let of_task = Arc::clone(&task_lag);
        runtime.spawn(async move {
            loop {
                let before = Instant::now();
                tokio::time::sleep(pause).await;
                record_lag(&of_task, before.elapsed().saturating_sub(pause));
            }
        });
        std::thread::Builder::new().name(String::from("lag")).spawn(move || {
            while !until.load(Ordering::Relaxed) {
                let before = Instant::now();
                std::thread::sleep(pause);
                record_lag(&of_thread, before.elapsed().saturating_sub(pause));
            }
        })?;
        Ok(Self {
            started: Instant::now(),
            visits: Mutex::default(),
            hellos: Mutex::default(),
            watcher: OnceLock::new(),
            handshakes: AtomicUsize::new(0),
            lag,
            task_lag,
            is_over,
        })
    }

    pub(super) fn opened(&self, address: IpAddr) -> usize {
        let IpAddr::V4(address) = address.to_canonical() else { return usize::MAX };
        let visit = {
            let mut visits = self.visits.lock().unwrap_or_else(PoisonError::into_inner);
            visits.push(Visit { address, opened: self.started.elapsed(), closed: None });
            visits.len() - 1
        };
        if let Some(watcher) = self.watcher.get() {
            watcher(address);
        }
        visit
    }

    /// Calls a function for each connection from now on, before the server answers. The first call decides.
    pub fn watch(&self, watcher: impl Fn(Ipv4Addr) + Send + Sync + 'static) {
        let _ = self.watcher.set(Box::new(watcher));
    }

    /// Records the name in a line of a client, if it is an EHLO.
    pub(super) fn heard(&self, line: &[u8]) {
        let text = String::from_utf8_lossy(line);
        if let Some((verb, name)) = text.trim_end().split_once(' ')
            && verb.eq_ignore_ascii_case("EHLO")
        {
            self.hellos.lock().unwrap_or_else(PoisonError::into_inner).insert(name.to_owned());
        }
    }

    /// Returns the names of clients.
    pub fn hellos(&self) -> BTreeSet<String> {
        self.hellos.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Returns the number of connections that were opened in the last moments of this length.
    pub fn recent(&self, length: Duration, mut counts: impl FnMut(Ipv4Addr) -> bool) -> usize {
        let since = self.started.elapsed().saturating_sub(length);
        let visits = self.visits.lock().unwrap_or_else(PoisonError::into_inner);
        visits.iter().filter(|it| it.opened >= since && counts(it.address)).count()
    }

    pub(super) fn closed(&self, visit: usize) {
        let now = self.started.elapsed();
        let mut visits = self.visits.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(visit) = visits.get_mut(visit) {
            visit.closed.get_or_insert(now);
        }
    }

    /// Counts all open connections as closed. A process that was stopped (SIGSTOP) cannot close its connections, and others must
    /// be able to go on in its place.
    pub fn client_was_stopped(&self) {
        let now = self.started.elapsed();
        for visit in self.visits.lock().unwrap_or_else(PoisonError::into_inner).iter_mut() {
            visit.closed.get_or_insert(now);
        }
    }

    pub(super) fn shook_hands(&self) {
        self.handshakes.fetch_add(1, Ordering::Relaxed);
    }

    /// Returns the number of TLS handshakes that succeeded.
    pub fn handshakes(&self) -> usize {
        self.handshakes.load(Ordering::Relaxed)
    }

    /// Returns the number of connections.
    pub fn connections(&self) -> usize {
        self.visits.lock().unwrap_or_else(PoisonError::into_inner).len()
    }

    /// Returns the addresses that were connected to.
    pub fn addresses(&self) -> BTreeSet<Ipv4Addr> {
        self.visits.lock().unwrap_or_else(PoisonError::into_inner).iter().map(|it| it.address).collect()
    }

    /// Forgets all connections.
    pub fn reset(&self) {
        self.visits.lock().unwrap_or_else(PoisonError::into_inner).clear();
        self.handshakes.store(0, Ordering::Relaxed);
        self.lag.store(0, Ordering::Relaxed);
        self.task_lag.store(0, Ordering::Relaxed);
    }

    /// Returns the longest time that a thread of this process waited for its turn.
    pub fn lag(&self) -> Duration {
        Duration::from_micros(self.lag.load(Ordering::Relaxed))
    }

    /// Returns the networks of this prefix length that were connected to more often than permitted. Connections are recorded late by
    /// at most the lag, of which this process and its clients each have one, so that many more may come in a window.
    pub fn excess(&self, length: u8, per_second: f64, at_once: usize) -> Vec<Excess> {
        let mask = u32::MAX.checked_shl(32 - u32::from(length)).unwrap_or(0);
        let network = |address| Some(format!("{}/{length}", Ipv4Addr::from_bits(u32::from(address) & mask)));
        self.excess_of(network, per_second, at_once)
    }

    /// Returns the suffixes of the large providers that were connected to more often than permitted. Their servers are at addresses
    /// of their own, in many networks.
    pub fn excess_of_suffixes(&self, per_second: f64, at_once: usize) -> Vec<Excess> {
        self.excess_of(|address| provider(address).map(str::to_owned), per_second, at_once)
    }

    fn excess_of(
        &self,
        group: impl Fn(Ipv4Addr) -> Option<String>,
        per_second: f64,
        at_once: usize,
    ) -> Vec<Excess> {
        let mut networks: BTreeMap<String, Vec<Visit>> = BTreeMap::new();
        for visit in self.visits.lock().unwrap_or_else(PoisonError::into_inner).iter() {
            if let Some(network) = group(visit.address) {
                networks.entry(network).or_default().push(*visit);
            }
        }
        let slack = 2 * self.lag() + Duration::from_millis(20);
        let late = slack + 2 * Duration::from_micros(self.task_lag.load(Ordering::Relaxed));
        let mut found = Vec::new();
        for (network, mut visits) in networks {
            visits.sort_by_key(|it| it.opened);
            for window in [Duration::from_secs(1), Duration::from_secs(5), Duration::from_secs(20)] {
                let permitted = 1 + ((window + slack).as_secs_f64() * per_second).ceil() as usize;
                let counts = visits.iter().enumerate().map(|(index, first)| {
                    visits[index..].partition_point(|it| it.opened < first.opened + window)
                });
                if let Some(most) = counts.max().filter(|most| *most > permitted) {
                    let why = format!(
                        "{most} connections in {window:?}, {permitted} are permitted (lag {slack:?})"
                    );
                    found.push(Excess { network: network.clone(), why });
                    break;
                }
            }
            if let Some(most) = most_at_once(&visits, late).filter(|most| *most > at_once) {
                let why = format!("{most} connections at once, {at_once} are permitted (lag {late:?})");
                found.push(Excess { network, why });
            }
        }
        found
    }
}

fn record_lag(lag: &AtomicU64, late: Duration) {
    lag.fetch_max(u64::try_from(late.as_micros()).unwrap_or(u64::MAX), Ordering::Relaxed);
}

/// Returns the most connections at once. Each counts as closed earlier by the slack, because its end is noticed late.
fn most_at_once(visits: &[Visit], slack: Duration) -> Option<usize> {
    let mut changes: Vec<(Duration, i64)> = Vec::new();
    for visit in visits {
        let Some(closed) = visit.closed.map(|it| it.saturating_sub(slack)) else { continue };
        if closed > visit.opened {
            changes.extend([(visit.opened, 1), (closed, -1)]);
        }
    }
    changes.sort();
    let mut open = 0;
    let counts = changes.iter().map(|(_, change)| {
        open += change;
        open
    });
    counts.max().and_then(|most| usize::try_from(most).ok())
}

impl Drop for Referee {
    fn drop(&mut self) {
        self.is_over.store(true, Ordering::Relaxed);
    }
}
