//! How often and how much at once a survey connects, without I/O and without a clock of its own.
//!
//! A budget has no burst: after a connection the next one waits for a whole interval. So a worker that takes over a lane
//! keeps every budget if it waits once for [`Pace::longest_interval`], without a word about the previous holder.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use starttls_dns::IpPrefix;

use crate::network::NetworkKey;

/// A budget of connections.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Budget {
    /// The most connections per second.
    pub per_second: f64,
    /// The most connections at the same time.
    pub at_once: u32,
}

impl Budget {
    /// Returns the time between two connections.
    pub fn interval(self) -> Duration {
        Duration::try_from_secs_f64(1.0 / self.per_second).unwrap_or(Duration::from_secs(3600))
    }
}

/// The budgets of a run.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Pace {
    /// For one address.
    pub address: Budget,
    /// For a /24, or a /48 with IPv6.
    pub subnet: Budget,
    /// For an AS; without a table of them for a /16, or a /32 with IPv6.
    pub network: Budget,
    /// For the names under one registrable suffix.
    pub suffix: Budget,
    /// How long a subnet is left alone after it turned a client away. The time doubles with each repetition.
    pub pause: Duration,
    /// The longest pause.
    pub longest_pause: Duration,
}

impl Default for Pace {
    fn default() -> Self {
        Self {
            address: Budget { per_second: 1.0, at_once: 1 },
            subnet: Budget { per_second: 5.0, at_once: 10 },
            network: Budget { per_second: 20.0, at_once: 50 },
            suffix: Budget { per_second: 20.0, at_once: 50 },
            pause: Duration::from_secs(15 * 60),
            longest_pause: Duration::from_secs(4 * 3600),
        }
    }
}

impl Pace {
    fn of(&self, key: &BudgetKey) -> Budget {
        match key {
            BudgetKey::Address(_) => self.address,
            BudgetKey::Subnet(_) => self.subnet,
            BudgetKey::Network(_) => self.network,
            BudgetKey::Suffix(_) => self.suffix,
        }
    }

    /// Returns the longest time between two connections that a budget requires.
    pub fn longest_interval(&self) -> Duration {
        [self.address, self.subnet, self.network, self.suffix]
            .iter()
            .map(|it| it.interval())
            .max()
            .unwrap_or_default()
    }
}

/// What a budget is for.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum BudgetKey {
    /// One address.
    Address(IpAddr),
    /// A /24 or /48.
    Subnet(IpPrefix),
    /// An AS, or a prefix in place of it.
    Network(NetworkKey),
    /// A registrable suffix.
    Suffix(Arc<str>),
}

/// The budgets that a connection to one target uses.
pub type BudgetKeys = Vec<BudgetKey>;

/// The answer to the question whether a connection may be opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DialAdmission {
    /// It may, and it counts as opened.
    Now,
    /// Not before this time.
    At(Duration),
    /// Not before another connection is closed.
    Full,
    /// Not before this time, because the subnet turned clients away.
    Paused(Duration),
}

#[derive(Clone, Copy, Debug, Default)]
struct Bucket {
    /// When the next connection may be admitted.
    next: Duration,
    /// When the next admitted connection may be dialed. A busy process dials later than it admits, and must not make up for it.
    next_dial: Duration,
    open: u32,
    /// How often the subnet turned the survey away.
    strikes: u32,
    paused_until: Duration,
    has_served: bool,
}

/// A subnet that turned clients away, as it is remembered between workers and runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ThrottledSubnet {
    /// How often it did.
    pub strikes: u32,
    /// The end of the pause, in seconds since 1970.
    pub until_unix: i64,
}

/// The budgets of one lane. Times count from any fixed moment.
#[derive(Clone, Debug)]
pub struct Budgets {
    pace: Pace,
    buckets: HashMap<BudgetKey, Bucket>,
}

impl Budgets {
    /// Returns budgets of which nothing is used.
    pub fn new(pace: Pace) -> Self {
        Self { pace, buckets: HashMap::new() }
    }

    /// Asks for a connection that stays open until [`Budgets::release`].
    pub fn admit(&mut self, now: Duration, keys: &[BudgetKey]) -> DialAdmission {
        let mut at = now;
        for key in keys {
            let Some(bucket) = self.buckets.get(key) else { continue };
            if bucket.paused_until > now {
                return DialAdmission::Paused(bucket.paused_until);
            }
            if bucket.open >= self.pace.of(key).at_once {
                return DialAdmission::Full;
            }
            at = at.max(bucket.next);
        }
        if at > now {
            return DialAdmission::At(at);
        }
        self.take(now, keys, |bucket, next| {
            bucket.next = next;
            bucket.open += 1;
        });
        DialAdmission::Now
    }

    /// Asks whether a connection that was admitted may be dialed at this moment.
    pub fn dial(&mut self, now: Duration, keys: &[BudgetKey]) -> DialAdmission {
        let next = keys.iter().filter_map(|key| self.buckets.get(key)).map(|it| it.next_dial).max();
        match next {
            Some(at) if at > now => DialAdmission::At(at),
            _ => {
                self.take(now, keys, |bucket, next| {
                    bucket.next_dial = next;
                    bucket.next = bucket.next.max(next);
                });
                DialAdmission::Now
            }
        }
    }

    /// Asks for another connection in place of one that is closed or about to be, and for its moment.
    pub fn admit_again(&mut self, now: Duration, keys: &[BudgetKey]) -> DialAdmission {
        let next = keys.iter().filter_map(|key| self.buckets.get(key)).map(|it| it.next).max();
        match next {
            Some(at) if at > now => DialAdmission::At(at),
            _ => self.dial(now, keys),
        }
    }

    /// Changes the buckets of a connection, which get the time of the next one.
    fn take(&mut self, now: Duration, keys: &[BudgetKey], change: impl Fn(&mut Bucket, Duration)) {
        for key in keys {
            let bucket = self.buckets.entry(key.clone()).or_default();
            // Half the rate after each time that the subnet turned a client away.
            let interval = self.pace.of(key).interval() * (1 << bucket.strikes.min(6));
            change(bucket, now + interval);
        }
    }

    /// Counts a connection as closed.
    pub fn release(&mut self, keys: &[BudgetKey]) {
        for key in keys {
            if let Some(bucket) = self.buckets.get_mut(key) {
                bucket.open = bucket.open.saturating_sub(1);
            }
        }
    }

    /// Records that a server in this subnet served a client.
    pub fn served(&mut self, subnet: IpPrefix) {
        self.buckets.entry(BudgetKey::Subnet(subnet)).or_default().has_served = true;
    }

    /// Returns whether a server in this subnet served a client, so that a closed connection is probably a limit.
    pub fn has_served(&self, subnet: IpPrefix) -> bool {
        self.buckets.get(&BudgetKey::Subnet(subnet)).is_some_and(|it| it.has_served)
    }

    /// Records that a server in this subnet turned a client away: a pause, and half the rate afterwards. Answers to connections
    /// that were opened before the pause count once.
    pub fn throttled(&mut self, now: Duration, subnet: IpPrefix) {
        let (pause, longest) = (self.pace.pause, self.pace.longest_pause);
        let bucket = self.buckets.entry(BudgetKey::Subnet(subnet)).or_default();
        if bucket.paused_until > now {
            return;
        }
        bucket.paused_until = now + (pause * (1 << bucket.strikes.min(16))).min(longest);
        bucket.strikes += 1;
    }

    /// Returns the subnets that turned clients away. `now` and `now_unix` are the same moment.
    pub fn memory(&self, now: Duration, now_unix: i64) -> HashMap<String, ThrottledSubnet> {
        let remembered = self.buckets.iter().filter_map(|(key, bucket)| match key {
            BudgetKey::Subnet(subnet) if bucket.strikes > 0 => {
                let left = bucket.paused_until.saturating_sub(now).as_secs();
                let until_unix = now_unix.saturating_add(i64::try_from(left).unwrap_or(i64::MAX));
                Some((subnet.to_string(), ThrottledSubnet { strikes: bucket.strikes, until_unix }))
            }
            _ => None,
        });
        remembered.collect()
    }

    /// Restores what another worker remembered.
    pub fn remember(&mut self, now: Duration, now_unix: i64, memory: &HashMap<String, ThrottledSubnet>) {
        for (subnet, throttled) in memory {
            // A file that was edited by hand must not stop the run.
            let Ok(subnet) = subnet.parse::<IpPrefix>() else { continue };
            let left = u64::try_from(throttled.until_unix.saturating_sub(now_unix)).unwrap_or_default();
            let left = Duration::from_secs(left).min(self.pace.longest_pause);
            let bucket = self.buckets.entry(BudgetKey::Subnet(subnet)).or_default();
            (bucket.strikes, bucket.paused_until) = (throttled.strikes, now + left);
        }
    }

    /// Forgets what has no effect any more, so that the memory follows the work and not the run.
    pub fn forget_idle(&mut self, now: Duration) {
        let is_used = |it: &Bucket| it.open > 0 || it.next.max(it.next_dial) > now || it.strikes > 0;
        self.buckets.retain(|_, it| is_used(it) || it.has_served);
        // Whether a subnet has served a client matters only near the time when it did.
        if self.buckets.len() > 100_000 {
            self.buckets.retain(|_, it| is_used(it));
        }
    }

    /// Returns the number of subnets that are paused.
    pub fn paused(&self, now: Duration) -> usize {
        self.buckets.values().filter(|it| it.paused_until > now).count()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::network::subnet;

    fn pace() -> Pace {
        let budget = |per_second, at_once| Budget { per_second, at_once };
        Pace {
            address: budget(10.0, 1),
            subnet: budget(40.0, 3),
            network: budget(100.0, 5),
            suffix: budget(50.0, 4),
            pause: Duration::from_secs(60),
            longest_pause: Duration::from_secs(200),
        }
    }

    fn keys(address: [u8; 4], suffix: u8) -> BudgetKeys {
        let address = IpAddr::from(address);
        vec![
            BudgetKey::Address(address),
            BudgetKey::Subnet(subnet(address)),
            BudgetKey::Network(NetworkKey::Prefix(IpPrefix::containing(address, 16))),
            BudgetKey::Suffix(format!("s{suffix}.example").into()),
        ]
    }

    proptest! {
        /// Dials as soon as it may, for connections of any length, and checks every pair of dials.
        #[test]
        fn no_budget_is_exceeded_and_every_target_is_dialed(
            targets in proptest::collection::vec((0_u8..2, 0_u8..3, 0_u8..4, 0_u8..3, 0_u64..400), 1..60)
        ) {
            let mut budgets = Budgets::new(pace());
            let mut pending: Vec<_> = targets.iter().map(|(a, b, c, s, ms)| (keys([127, *a, *b, *c], *s), *ms)).collect();
            let (mut now, mut open, mut log) = (Duration::ZERO, Vec::<(Duration, BudgetKeys)>::new(), Vec::new());
            while !pending.is_empty() || !open.is_empty() {
                open.retain(|(end, keys)| { if *end <= now { budgets.release(keys); } *end > now });
                let mut wake = open.iter().map(|(end, _)| *end).min();
                pending.retain(|(keys, ms)| match budgets.admit(now, keys) {
                    DialAdmission::Now => {
                        assert_eq!(budgets.dial(now, keys), DialAdmission::Now);
                        open.push((now + Duration::from_millis(*ms), keys.clone()));
                        log.push((now, now + Duration::from_millis(*ms), keys.clone()));
                        false
                    }
                    DialAdmission::At(at) => { assert!(at > now); wake = Some(wake.map_or(at, |it| it.min(at))); true }
                    DialAdmission::Full => true,
                    DialAdmission::Paused(_) => unreachable!(),
                });
                if let Some(end) = open.iter().map(|(end, _)| *end).min() { wake = Some(wake.map_or(end, |it| it.min(end))); }
                if let Some(wake) = wake { now = wake.max(now); }
            }
            prop_assert_eq!(log.len(), targets.len());
            for (index, (start, _, keys)) in log.iter().enumerate() {
                for key in keys {
                    let budget = pace().of(key);
                    let before = log[..index].iter().filter(|(_, _, other)| other.contains(key));
                    prop_assert!(before.clone().all(|(earlier, ..)| *start >= *earlier + budget.interval()), "{:?}", key);
                    let at_once = before.filter(|(_, end, _)| end > start).count();
                    prop_assert!(at_once < budget.at_once as usize, "{:?}", key);
                }
            }
            budgets.forget_idle(now + Duration::from_secs(60));
            prop_assert!(budgets.buckets.is_empty());
        }
    }

    #[test]
    fn a_subnet_that_turns_clients_away_is_left_alone_and_then_asked_less_often() {
        let (mut budgets, keys) = (Budgets::new(pace()), keys([127, 0, 0, 1], 0));
        let (subnet, second) = (subnet([127, 0, 0, 1].into()), Duration::from_secs(1));
        assert_eq!(budgets.admit(second, &keys), DialAdmission::Now);
        budgets.release(&keys);
        budgets.throttled(second, subnet);
        budgets.throttled(2 * second, subnet);
        assert_eq!(
            budgets.admit(2 * second, &keys),
            DialAdmission::Paused(61 * second),
            "the second answer counts once"
        );
        let memory = budgets.memory(2 * second, 1_000);
        assert_eq!(memory["127.0.0.0/24"], ThrottledSubnet { strikes: 1, until_unix: 1_059 });

        let mut other = Budgets::new(pace());
        other.remember(Duration::ZERO, 1_050, &memory);
        assert_eq!(other.admit(Duration::ZERO, &keys), DialAdmission::Paused(9 * second));
        assert_eq!(other.admit(9 * second, &keys), DialAdmission::Now);
        other.release(&keys);
        let next = other.admit(9 * second, &[BudgetKey::Subnet(subnet)]);
        assert_eq!(next, DialAdmission::At(9 * second + Duration::from_millis(50)), "half the rate");
        other.throttled(10 * second, subnet);
        assert_eq!(other.admit(10 * second, &keys), DialAdmission::Paused(130 * second), "twice the pause");
        other.throttled(131 * second, subnet);
        assert_eq!(
            other.admit(131 * second, &keys),
            DialAdmission::Paused(331 * second),
            "at most the longest pause"
        );
    }

    #[test]
    fn a_process_that_dials_late_does_not_make_up_for_it() {
        let (mut budgets, keys) = (Budgets::new(pace()), keys([127, 0, 0, 1], 0));
        let others = &keys[1..];
        let (interval, late) = (Duration::from_millis(25), Duration::from_millis(300));
        // Two connections to a subnet are admitted at their times, and both are dialed late.
        assert_eq!(budgets.admit(Duration::ZERO, &keys), DialAdmission::Now);
        assert_eq!(budgets.admit(interval, others), DialAdmission::Now);
        assert_eq!(budgets.dial(late, &keys), DialAdmission::Now);
        assert_eq!(budgets.dial(late, others), DialAdmission::At(late + interval));
        assert_eq!(budgets.dial(late + interval, others), DialAdmission::Now);
        // The next one follows what was dialed, not what was admitted.
        assert_eq!(budgets.admit(late + interval, others), DialAdmission::At(late + 2 * interval));
    }

    #[test]
    fn another_connection_of_an_audit_counts() {
        let (mut budgets, keys) = (Budgets::new(pace()), keys([127, 0, 0, 1], 0));
        assert_eq!(budgets.admit(Duration::ZERO, &keys), DialAdmission::Now);
        let next = Duration::from_millis(100);
        assert_eq!(budgets.admit_again(Duration::ZERO, &keys), DialAdmission::At(next));
        assert_eq!(budgets.admit_again(next, &keys), DialAdmission::Now);
        assert_eq!(budgets.admit_again(next, &keys), DialAdmission::At(2 * next));
        budgets.release(&keys);
        assert_eq!(budgets.admit(2 * next, &keys), DialAdmission::Now);
    }
}
