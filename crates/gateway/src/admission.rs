//! Who is let in, as far as numbers go.
//!
//! An address in IPv6 is one /64: that is what one customer has at least, and can pick addresses from.

use std::collections::HashMap;
use std::fmt;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use crate::config::ListenerLimits;

/// All connections of the gateway.
#[derive(Debug)]
pub struct TotalConnections {
    open: AtomicUsize,
    most: AtomicUsize,
}

impl TotalConnections {
    /// None yet, and never more than so many at once.
    pub fn new(most: usize) -> Arc<Self> {
        Arc::new(Self { open: AtomicUsize::new(0), most: AtomicUsize::new(most) })
    }

    /// How many there are.
    pub fn open(&self) -> usize {
        self.open.load(Ordering::Relaxed)
    }

    /// Changes how many there may be. Those that are open stay.
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

/// One of all connections, until it is dropped.
#[derive(Debug)]
struct Place(Arc<TotalConnections>);

impl Drop for Place {
    fn drop(&mut self) {
        self.0.open.fetch_sub(1, Ordering::Relaxed);
    }
}

/// The connections of one listener. Cheap to clone.
///
/// What is remembered of an address is dropped once it has no connection and could open as many as ever,
/// which is within a second: the memory is bounded by what is open and by what a second can bring.
#[derive(Clone, Debug)]
pub struct Admission {
    total: Arc<TotalConnections>,
    addresses: Arc<Mutex<Addresses>>,
}

#[derive(Debug)]
struct Addresses {
    limits: ListenerLimits,
    open: usize,
    known: HashMap<IpAddr, Known>,
    /// When there are so many, those that can be forgotten are looked for.
    crowd: usize,
}

/// What is remembered of an address.
#[derive(Clone, Copy, Debug)]
struct Known {
    open: usize,
    /// New connections that it could open at this moment: a bucket that fills up within a second.
    tokens: f64,
    seen: Instant,
}

/// Why a connection is not let in. It deserves the protocol's temporary error, and nothing more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LimitReached {
    /// The gateway has as many as it may.
    Total,
    /// The listener has.
    Listener,
    /// The address has.
    Address,
    /// The address opens them too fast.
    Rate,
}

impl LimitReached {
    /// All of them, in the order of their declaration.
    pub const ALL: [Self; 4] = [Self::Total, Self::Listener, Self::Address, Self::Rate];

    /// In one word.
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
            Self::Total => "the gateway has as many connections as it may have",
            Self::Listener => "the listener has as many connections as it may have",
            Self::Address => "the address has as many connections as it may have",
            Self::Rate => "the address opens connections too fast",
        })
    }
}

impl std::error::Error for LimitReached {}

/// A connection that was let in, until it is dropped.
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

impl Admission {
    /// For one listener of a gateway.
    pub fn new(total: Arc<TotalConnections>, limits: ListenerLimits) -> Self {
        let addresses = Addresses { limits, open: 0, known: HashMap::new(), crowd: CROWD };
        Self { total, addresses: Arc::new(Mutex::new(addresses)) }
    }

    /// Changes the limits. Connections that are open stay.
    pub fn adjust(&self, limits: ListenerLimits) {
        lock(&self.addresses).limits = limits;
    }

    /// Lets a connection in, or not. Those from a socket in the file system have no address, and only their
    /// number counts.
    ///
    /// # Errors
    /// [`LimitReached`] says which limit was reached.
    pub fn admit(&self, address: Option<IpAddr>) -> Result<Admitted, LimitReached> {
        self.admit_at(address, Instant::now())
    }

    /// Counts a connection whose PROXY header has not been read yet (`proxy-from`), so that its client is not known. It
    /// takes a place of the listener and of the gateway. [`Reserved::admit`] applies the limits of its address.
    ///
    /// # Errors
    /// [`LimitReached::Listener`] or [`LimitReached::Total`].
    pub fn reserve(&self) -> Result<Reserved, LimitReached> {
        self.reserve_in(&mut lock(&self.addresses))
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
        // The fast ones pay even when they are turned away, or they would take every place that comes free.
        if let Some(address) = address {
            addresses.pay(address, now)?;
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
        // One lock for the check and the count: two connections at a time must not both take the last place.
        let mut addresses = lock(&shared);
        let paid = address.map_or(Ok(()), |address| addresses.pay(address, Instant::now()));
        if let Err(refused) = paid {
            // A connection that gives its place back takes the lock.
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

/// Fewer than this are not worth a look.
const CROWD: usize = 1024;

impl Addresses {
    fn pay(&mut self, address: IpAddr, now: Instant) -> Result<(), LimitReached> {
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

    /// Counts a connection of this address, which has paid.
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

/// Counters are right after each statement, so that a lock that a panic left behind is as good as any.
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
