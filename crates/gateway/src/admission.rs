//! Limits on the number and the rate of connections.
//!
//! An IPv6 address stands for its /64, because one customer has at least that many addresses.

use std::collections::HashMap;
use std::fmt;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use crate::config::ListenerLimits;

/// The connections of the gateway as a whole.
#[derive(Debug)]
pub struct TotalConnections {
    open: AtomicUsize,
    most: AtomicUsize,
}

impl TotalConnections {
    /// Makes a counter that admits at most `most` connections at once.
    pub fn new(most: usize) -> Arc<Self> {
        Arc::new(Self { open: AtomicUsize::new(0), most: AtomicUsize::new(most) })
    }

    /// Returns the number of open connections.
    pub fn open(&self) -> usize {
        self.open.load(Ordering::Relaxed)
    }

    /// Changes the maximum. Open connections stay.
    pub fn adjust(&self, most: usize) {
        self.most.store(most, Ordering::Relaxed);
    }

    fn enter(self: &Arc<Self>) -> Option<Place> {
        let most = self.most.load(Ordering::Relaxed);
        let more = |open: usize| (open < most).then_some(open + 1);
        let entered = self.open.fetch_update(Ordering::Relaxed, Ordering::Relaxed, more);
        entered.is_ok().then(|| Place(self.clone()))
    }
}

/// A place among all connections, until it is dropped.
#[derive(Debug)]
struct Place(Arc<TotalConnections>);

impl Drop for Place {
    fn drop(&mut self) {
        self.0.open.fetch_sub(1, Ordering::Relaxed);
    }
}

/// The connections of one listener. Cheap to clone.
///
/// The state of an address is dropped when it has no connection and all its tokens, which takes at most a second. So the
/// memory is bounded by the open connections and by the connections of one second.
#[derive(Clone, Debug)]
pub struct Admission {
    total: Arc<TotalConnections>,
    addresses: Arc<Mutex<Addresses>>,
}

#[derive(Debug)]
struct Addresses {
    limits: ListenerLimits,
    open: usize,
    early_dials: usize,
    known: HashMap<IpAddr, Known>,
    /// The number of known addresses at which unused ones are dropped.
    crowd: usize,
}

/// The state of an address.
#[derive(Clone, Copy, Debug)]
struct Known {
    open: usize,
    /// The tokens of a bucket that fills within a second. Each new connection takes one.
    tokens: f64,
    seen: Instant,
}

/// The limit that a rejected connection has reached. The client gets the protocol's temporary error.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LimitReached {
    /// The number of connections of the gateway.
    Total,
    /// The number of connections of the listener.
    Listener,
    /// The number of connections of the address.
    Address,
    /// The rate of new connections of the address.
    Rate,
}

impl LimitReached {
    /// All limits, in the order of their declaration.
    pub const ALL: [Self; 4] = [Self::Total, Self::Listener, Self::Address, Self::Rate];

    /// Returns the name in the metrics.
    pub fn name(self) -> &'static str {
        match self {
            Self::Total => "total",
            Self::Listener => "listener",
            Self::Address => "address",
            Self::Rate => "rate",
        }
    }
}

impl fmt::Display for LimitReached {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Total => "the gateway has reached its limit of connections",
            Self::Listener => "the listener has reached its limit of connections",
            Self::Address => "the client's address has reached its limit of connections",
            Self::Rate => "the client's address opens connections too fast",
        })
    }
}

impl std::error::Error for LimitReached {}

/// An admitted connection. It counts until it is dropped.
#[derive(Debug)]
#[must_use = "the connection counts for as long as this is kept"]
pub struct Admitted {
    reserved: Reserved,
    address: Option<IpAddr>,
}

/// A connection whose client is not known yet. It counts for the listener and for the gateway until it is dropped.
#[derive(Debug)]
#[must_use = "the connection counts for as long as this is kept"]
pub struct Reserved {
    _place: Place,
    addresses: Arc<Mutex<Addresses>>,
}

/// A connection to a backend for a client that has not completed its handshake. It counts until it is dropped.
#[derive(Debug)]
#[must_use = "the connection counts for as long as this is kept"]
pub struct EarlyDial(Arc<Mutex<Addresses>>);

impl Drop for EarlyDial {
    fn drop(&mut self) {
        let mut addresses = lock(&self.0);
        addresses.early_dials = addresses.early_dials.saturating_sub(1);
    }
}

impl Admission {
    /// Makes the admission of one listener of a gateway.
    pub fn new(total: Arc<TotalConnections>, limits: ListenerLimits) -> Self {
        let addresses = Addresses { limits, open: 0, early_dials: 0, known: HashMap::new(), crowd: CROWD };
        Self { total, addresses: Arc::new(Mutex::new(addresses)) }
    }

    /// Changes the limits. Open connections stay.
    pub fn adjust(&self, limits: ListenerLimits) {
        lock(&self.addresses).limits = limits;
    }

    /// Admits a connection or rejects it. Connections on a Unix socket have no address, so only their number is limited.
    ///
    /// # Errors
    /// [`LimitReached`]: the limit.
    pub fn admit(&self, address: Option<IpAddr>) -> Result<Admitted, LimitReached> {
        self.admit_at(address, Instant::now())
    }

    /// Counts a connection whose PROXY header has not been read yet (`proxy-from`), so that its client is not known. It
    /// counts for the listener and the gateway. [`Reserved::admit`] applies the limits of the client's address.
    ///
    /// # Errors
    /// [`LimitReached::Listener`] or [`LimitReached::Total`].
    pub fn reserve(&self) -> Result<Reserved, LimitReached> {
        self.reserve_in(&mut lock(&self.addresses))
    }

    /// Counts a connection to a backend whose client has not completed its handshake. `None` if there are as many as permitted:
    /// the backend is then dialed after the handshake, so that clients that send only a ClientHello cost a backend no more.
    pub fn early_dial(&self) -> Option<EarlyDial> {
        let mut addresses = lock(&self.addresses);
        let permitted = addresses.early_dials < addresses.limits.early_dials;
        permitted.then(|| {
            addresses.early_dials += 1;
            EarlyDial(self.addresses.clone())
        })
    }

    fn reserve_in(&self, addresses: &mut Addresses) -> Result<Reserved, LimitReached> {
        if addresses.open >= addresses.limits.connections {
            return Err(LimitReached::Listener);
        }
        let place = self.total.enter().ok_or(LimitReached::Total)?;
        addresses.open += 1;
        Ok(Reserved { _place: place, addresses: self.addresses.clone() })
    }

    fn admit_at(&self, address: Option<IpAddr>, now: Instant) -> Result<Admitted, LimitReached> {
        let address = address.map(network);
        let mut addresses = lock(&self.addresses);
        // A rejected connection takes a token too. Otherwise a fast client would get every place that becomes free.
        if let Some(address) = address {
            addresses.take_token(address, now)?;
        }
        let reserved = self.reserve_in(&mut addresses)?;
        Ok(addresses.let_in(reserved, address))
    }
}

impl Reserved {
    /// Applies the limits of the client's address, now that it is known.
    ///
    /// # Errors
    /// [`LimitReached::Address`] or [`LimitReached::Rate`].
    pub fn admit(self, address: Option<IpAddr>) -> Result<Admitted, LimitReached> {
        let address = address.map(network);
        let shared = self.addresses.clone();
        // One lock for the check and the count, so that two connections cannot both take the last place.
        let mut addresses = lock(&shared);
        let taken = address.map_or(Ok(()), |address| addresses.take_token(address, Instant::now()));
        if let Err(refused) = taken {
            // Dropping `self` takes the lock.
            drop(addresses);
            return Err(refused);
        }
        Ok(addresses.let_in(self, address))
    }
}

impl Drop for Reserved {
    fn drop(&mut self) {
        let mut addresses = lock(&self.addresses);
        addresses.open = addresses.open.saturating_sub(1);
    }
}

/// The minimum of `Addresses::crowd`.
const CROWD: usize = 1024;

impl Addresses {
    fn take_token(&mut self, address: IpAddr, now: Instant) -> Result<(), LimitReached> {
        if self.known.len() >= self.crowd {
            let full = self.limits.handshakes as f64;
            self.known.retain(|_, known| known.open > 0 || known.tokens_at(now, full) < full);
            self.crowd = CROWD.max(2 * self.known.len());
        }
        let (full, most) = (self.limits.handshakes as f64, self.limits.per_address);
        let known = self.known.entry(address).or_insert(Known { open: 0, tokens: full, seen: now });
        known.tokens = known.tokens_at(now, full);
        known.seen = now;
        if known.tokens < 1.0 {
            return Err(LimitReached::Rate);
        }
        known.tokens -= 1.0;
        if known.open >= most { Err(LimitReached::Address) } else { Ok(()) }
    }

    /// Counts a connection of this address after [`take_token`](Self::take_token).
    fn let_in(&mut self, reserved: Reserved, address: Option<IpAddr>) -> Admitted {
        if let Some(known) = address.and_then(|address| self.known.get_mut(&address)) {
            known.open += 1;
        }
        Admitted { reserved, address }
    }
}

impl Known {
    fn tokens_at(&self, now: Instant, full: f64) -> f64 {
        let gained = now.saturating_duration_since(self.seen).as_secs_f64() * full;
        (self.tokens + gained).min(full)
    }
}

impl Drop for Admitted {
    fn drop(&mut self) {
        let mut addresses = lock(&self.reserved.addresses);
        if let Some(known) = self.address.and_then(|address| addresses.known.get_mut(&address)) {
            known.open = known.open.saturating_sub(1);
        }
    }
}

/// Ignores poisoning, because the counters are consistent after each statement.
fn lock(addresses: &Mutex<Addresses>) -> MutexGuard<'_, Addresses> {
    addresses.lock().unwrap_or_else(PoisonError::into_inner)
}

fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V4(address) => address.into(),
        IpAddr::V6(address) => Ipv6Addr::from_bits(address.to_bits() & !u128::from(u64::MAX)).into(),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn admission(connections: usize, per_address: usize, handshakes: usize) -> Admission {
        let limits = ListenerLimits { connections, per_address, handshakes, ..ListenerLimits::default() };
        Admission::new(TotalConnections::new(1_000_000), limits)
    }

    fn ip(text: &str) -> Option<IpAddr> {
        Some(text.parse().unwrap())
    }

    #[test]
    fn each_limit_has_its_refusal_and_is_lifted_when_a_connection_ends() {
        let total = TotalConnections::new(3);
        let limits =
            ListenerLimits { connections: 2, per_address: 1, handshakes: 1000, ..ListenerLimits::default() };
        let [one, two] = [Admission::new(total.clone(), limits), Admission::new(total.clone(), limits)];
        let first = one.admit(ip("192.0.2.1")).unwrap();
        assert_eq!(one.admit(ip("::ffff:192.0.2.1")).unwrap_err(), LimitReached::Address);
        let second = one.admit(ip("192.0.2.2")).unwrap();
        assert_eq!(one.admit(ip("192.0.2.3")).unwrap_err(), LimitReached::Listener);
        let third = two.admit(None).unwrap();
        assert_eq!(two.admit(None).unwrap_err(), LimitReached::Total);
        drop((first, third));
        assert_eq!(total.open(), 1);
        let again = one.admit(ip("192.0.2.1")).unwrap();
        one.adjust(ListenerLimits { connections: 3, per_address: 2, ..limits });
        assert!(one.admit(ip("192.0.2.1")).is_ok());
        drop((second, again));
        assert_eq!(total.open(), 0);
    }

    #[test]
    fn a_client_that_is_not_known_yet_takes_a_place_and_gives_it_back() {
        let total = TotalConnections::new(3);
        let limits =
            ListenerLimits { connections: 2, per_address: 1, handshakes: 1000, ..ListenerLimits::default() };
        let admission = Admission::new(total.clone(), limits);
        let (one, two) = (admission.reserve().unwrap(), admission.reserve().unwrap());
        assert_eq!(admission.reserve().unwrap_err(), LimitReached::Listener);
        assert_eq!(admission.admit(ip("192.0.2.9")).unwrap_err(), LimitReached::Listener);
        // Now that both are known, they turn out to be one.
        let one = one.admit(ip("192.0.2.1")).unwrap();
        assert_eq!(two.admit(ip("192.0.2.1")).unwrap_err(), LimitReached::Address);
        assert_eq!(total.open(), 1);
        drop(one);
        assert_eq!(total.open(), 0);
        assert!(admission.reserve().unwrap().admit(ip("192.0.2.1")).is_ok());
    }

    #[test]
    fn clients_that_become_known_at_a_time_share_the_limit_of_their_address() {
        let limits = ListenerLimits {
            connections: 1000,
            per_address: 1,
            handshakes: 100_000,
            ..ListenerLimits::default()
        };
        let admission = Admission::new(TotalConnections::new(1000), limits);
        for _ in 0..500 {
            let (start, both) = (std::sync::Barrier::new(2), [admission.reserve(), admission.reserve()]);
            let admitted = std::thread::scope(|scope| {
                let threads = both.map(|reserved| {
                    let start = &start;
                    scope.spawn(move || {
                        start.wait();
                        reserved.unwrap().admit(ip("192.0.2.1"))
                    })
                });
                threads.map(|thread| thread.join().unwrap())
            });
            assert_eq!(admitted.iter().filter(|it| it.is_ok()).count(), 1);
        }
    }

    #[test]
    fn early_dials_have_a_limit_of_their_own_and_give_their_place_back() {
        let limits = ListenerLimits { early_dials: 2, ..ListenerLimits::default() };
        let admission = Admission::new(TotalConnections::new(1000), limits);
        let (first, second) = (admission.early_dial(), admission.early_dial());
        assert!(first.is_some() && second.is_some() && admission.early_dial().is_none());
        drop(first);
        let third = admission.early_dial();
        assert!(third.is_some() && admission.early_dial().is_none());
        admission.adjust(ListenerLimits { early_dials: 3, ..limits });
        assert!(admission.early_dial().is_some());
    }

    #[test]
    fn an_address_of_ipv6_is_its_network() {
        let admission = admission(100, 1, 100);
        let _first = admission.admit(ip("2001:db8:1:2::1")).unwrap();
        assert_eq!(admission.admit(ip("2001:db8:1:2:ffff::9")).unwrap_err(), LimitReached::Address);
        assert!(admission.admit(ip("2001:db8:1:3::1")).is_ok());
    }

    #[test]
    fn a_fast_address_is_slowed_down_and_others_are_not() {
        let admission = admission(1000, 1000, 10);
        let start = Instant::now();
        let at = |milliseconds| start + Duration::from_millis(milliseconds);
        let let_in = |address: &str, when| admission.admit_at(ip(address), when).is_ok();
        let burst = (0..30).filter(|_| let_in("192.0.2.1", at(0))).count();
        assert_eq!(burst, 10);
        assert!(let_in("192.0.2.2", at(0)));
        assert_eq!(admission.admit_at(ip("192.0.2.1"), at(50)).unwrap_err(), LimitReached::Rate);
        let later = (0..300).filter(|it| let_in("192.0.2.1", at(100 + it * 10))).count();
        assert!((29..=31).contains(&later), "{later}");
    }

    #[test]
    fn by_default_all_of_an_address_come_back_at_once() {
        let admission = Admission::new(TotalConnections::new(1_000_000), ListenerLimits::default());
        let now = Instant::now();
        let most = ListenerLimits::default().per_address;
        let held: Vec<_> = (0..most).map(|_| admission.admit_at(ip("192.0.2.1"), now).unwrap()).collect();
        drop(held);
        let later = now + Duration::from_secs(1);
        let again = (0..most).filter(|_| admission.admit_at(ip("192.0.2.1"), later).is_ok()).count();
        assert_eq!(again, most);
    }

    #[test]
    fn a_flood_of_addresses_is_forgotten() {
        let admission = admission(1_000_000, 10, 10);
        let start = Instant::now();
        let kept = admission.admit_at(ip("192.0.2.1"), start).unwrap();
        for second in 0..20_u32 {
            for address in 0..5_000_u32 {
                let address =
                    IpAddr::from((u128::from(second) << 96 | u128::from(address) << 64).to_be_bytes());
                drop(admission.admit_at(Some(address), start + Duration::from_secs(second.into())).unwrap());
            }
        }
        let addresses = lock(&admission.addresses);
        assert!(addresses.known.len() < 25_000, "{}", addresses.known.len());
        assert!(addresses.known.contains_key(&"192.0.2.1".parse::<IpAddr>().unwrap()));
        drop(addresses);
        drop(kept);
    }
}
