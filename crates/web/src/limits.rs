//! Budgets: how often a client may ask, and how often a server is asked.

use std::collections::HashMap;
use std::hash::Hash;
use std::net::IpAddr;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use starttls_dns::IpPrefix;

/// The most keys that a budget remembers.
const MAX_KEYS: usize = 65_536;

/// A budget for each key: so many at once, and a new one after each interval (a token bucket).
#[derive(Debug)]
pub(crate) struct Budget<K> {
    burst: f64,
    interval: Duration,
    /// The tokens that each key had at a time. A key that is not in the map has all of them.
    keys: Mutex<HashMap<K, (f64, Instant)>>,
}

impl<K: Eq + Hash> Budget<K> {
    /// Returns a budget of `burst` at once, and one more after each interval.
    pub(crate) fn new(burst: u32, interval: Duration) -> Self {
        Self { burst: f64::from(burst), interval, keys: Mutex::default() }
    }

    /// Takes one of the key's budget. Returns how long to wait if it is used up.
    pub(crate) fn take(&self, key: K, now: Instant) -> Result<(), Duration> {
        let mut keys = self.keys.lock().unwrap_or_else(PoisonError::into_inner);
        if keys.len() >= MAX_KEYS && !keys.contains_key(&key) {
            keys.retain(|_, state| self.left(*state, now) < self.burst);
            if keys.len() >= MAX_KEYS {
                return Err(self.interval);
            }
        }
        let left = keys.get(&key).map_or(self.burst, |state| self.left(*state, now));
        if left < 1.0 {
            return Err(self.interval.mul_f64(1.0 - left));
        }
        keys.insert(key, (left - 1.0, now));
        Ok(())
    }

    /// Returns whether the key's budget is used up.
    pub(crate) fn is_used_up(&self, key: &K, now: Instant) -> bool {
        let keys = self.keys.lock().unwrap_or_else(PoisonError::into_inner);
        keys.get(key).is_some_and(|state| self.left(*state, now) < 1.0)
    }

    fn left(&self, (tokens, at): (f64, Instant), now: Instant) -> f64 {
        let new = now.saturating_duration_since(at).as_secs_f64() / self.interval.as_secs_f64();
        (tokens + new).min(self.burst)
    }
}

/// The budgets of a public service.
#[derive(Debug)]
pub(crate) struct Budgets {
    /// By the canonical form of a target.
    pub(crate) targets: Budget<String>,
    clients: Budget<IpPrefix>,
    addresses: Budget<IpPrefix>,
    networks: Budget<IpPrefix>,
}

impl Default for Budgets {
    fn default() -> Self {
        let minutes = |minutes: u64| Duration::from_secs(60 * minutes);
        Self {
            targets: Budget::new(2, minutes(5)),
            clients: Budget::new(3, minutes(6)),
            addresses: Budget::new(2, minutes(5)),
            networks: Budget::new(20, minutes(3)),
        }
    }
}

impl Budgets {
    /// Takes one audit of a client's budget.
    pub(crate) fn client(&self, address: IpAddr, now: Instant) -> Result<(), Duration> {
        self.clients.take(network(address, 32, 56), now)
    }

    /// Takes one audit of a server's budget, whatever its names. An audit opens many connections to a server that did not ask for it, so
    /// this budget comes before that of the client.
    pub(crate) fn server(&self, address: IpAddr, now: Instant) -> Result<(), Duration> {
        self.addresses.take(network(address, 32, 64), now)?;
        self.networks.take(network(address, 24, 48), now)
    }
}

/// Returns the network of an address, with a prefix of this length.
fn network(address: IpAddr, v4: u8, v6: u8) -> IpPrefix {
    let address = address.to_canonical();
    IpPrefix::containing(address, if address.is_ipv4() { v4 } else { v6 })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_budget_is_used_up_and_comes_back() {
        let (budget, start) = (Budget::new(2, Duration::from_secs(60)), Instant::now());
        let at = |seconds| start + Duration::from_secs(seconds);
        assert!(budget.take("a", at(0)).is_ok() && budget.take("a", at(0)).is_ok());
        assert_eq!(budget.take("a", at(30)), Err(Duration::from_secs(30)));
        assert!(budget.take("b", at(30)).is_ok());
        assert!(budget.take("a", at(60)).is_ok());
        assert!(budget.take("a", at(61)).is_err());
    }

    #[test]
    fn a_budget_remembers_a_bounded_number_of_keys() {
        let (budget, start) = (Budget::new(1, Duration::from_secs(60)), Instant::now());
        for key in 0..MAX_KEYS {
            assert!(budget.take(key, start).is_ok());
        }
        assert!(budget.take(MAX_KEYS, start).is_err());
        assert!(budget.take(MAX_KEYS, start + Duration::from_secs(61)).is_ok());
        assert_eq!(budget.keys.lock().unwrap().len(), 1);
    }

    /// A thousand clients together ask a server as rarely as one client does.
    #[test]
    fn no_server_is_asked_more_often_than_its_budget_allows() {
        let (budgets, start) = (Budgets::default(), Instant::now());
        let mut asked = 0;
        for second in 0..3600 {
            let now = start + Duration::from_secs(second);
            asked += u32::from(budgets.server(IpAddr::from([192, 0, 2, 25]), now).is_ok());
        }
        assert_eq!(asked, 2 + 11);
        let mut network = 0;
        for host in 0..=255 {
            network += u32::from(budgets.server(IpAddr::from([198, 51, 100, host]), start).is_ok());
        }
        assert_eq!(network, 20);
    }

    #[test]
    fn addresses_of_one_client_share_its_budget() {
        let (budgets, now) = (Budgets::default(), Instant::now());
        for host in 0..3 {
            assert!(budgets.client(format!("2001:db8::{host}").parse().unwrap(), now).is_ok());
        }
        assert!(budgets.client("2001:db8:0:ff::9".parse().unwrap(), now).is_err());
        assert!(budgets.client("2001:db8:1::9".parse().unwrap(), now).is_ok());
        assert!(budgets.client("::ffff:192.0.2.1".parse().unwrap(), now).is_ok());
    }
}
