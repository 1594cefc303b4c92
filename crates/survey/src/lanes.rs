//! Divides the networks among lanes, so that each network belongs to one lane.
//!
//! A lane is held by one worker at a time, so the budgets of its networks are plain numbers in that worker's memory, however
//! many workers there are.

use std::collections::HashMap;
use std::time::Duration;

use crate::budget::Pace;
use crate::network::NetworkKey;

/// Networks and their targets, which are being counted.
#[derive(Debug)]
pub struct LaneBuilder {
    pace: Pace,
    index: HashMap<NetworkKey, usize>,
    /// The parent of each network in the union-find forest.
    parent: Vec<usize>,
    targets: Vec<u64>,
    /// The time that the slowest budget of each network needs.
    floor: Vec<Duration>,
}

/// The lane of each network.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LanePlan {
    lanes: HashMap<NetworkKey, u16>,
    /// The number of targets and the shortest time of each lane.
    pub loads: Vec<LaneLoad>,
}

/// How much a lane has to do.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct LaneLoad {
    /// The number of targets.
    pub targets: u64,
    /// The time that the budgets need at least.
    pub floor: Duration,
}

impl LaneBuilder {
    /// Returns a builder without networks.
    pub fn new(pace: Pace) -> Self {
        Self { pace, index: HashMap::new(), parent: Vec::new(), targets: Vec::new(), floor: Vec::new() }
    }

    /// Adds the targets at one address of a network, of which each opens this many connections.
    pub fn add_address(&mut self, network: NetworkKey, targets: u64, connections: u32) {
        let at = self.at(network);
        self.targets[at] += targets;
        let dials = targets * u64::from(connections);
        let own = times(self.pace.address.interval(), dials);
        let shared = times(self.pace.network.interval(), self.targets[at] * u64::from(connections));
        self.floor[at] = self.floor[at].max(own).max(shared);
    }

    /// Adds the targets of a suffix and the networks that they are in. If there are so many that they could exceed the budget of the
    /// suffix, all of its networks go into one lane.
    pub fn add_suffix(&mut self, networks: &[NetworkKey], targets: u64, connections: u32) {
        let Some((first, others)) = networks.split_first() else { return };
        let budget = self.pace.suffix;
        let dials = targets * u64::from(connections);
        if !self.needs_one_lane(dials) {
            return;
        }
        let first = self.at(*first);
        for other in others {
            let other = self.at(*other);
            self.join(first, other);
        }
        let root = self.root(first);
        self.floor[root] = self.floor[root].max(times(budget.interval(), dials));
    }

    /// Returns whether so many dials could exceed the budget of a suffix if several workers made them. Fewer than the budget of
    /// one second, and fewer than may be open at once, cannot.
    pub fn needs_one_lane(&self, dials: u64) -> bool {
        let budget = self.pace.suffix;
        dials as f64 > budget.per_second.max(1.0) || dials > u64::from(budget.at_once)
    }

    /// Packs the networks into at most this many lanes, the longest first, each into the emptiest lane.
    pub fn pack(mut self, lanes: u16) -> LanePlan {
        let mut groups: HashMap<usize, (LaneLoad, Vec<NetworkKey>)> = HashMap::new();
        let networks: Vec<_> = self.index.iter().map(|(network, at)| (*network, *at)).collect();
        for (network, at) in networks {
            let root = self.root(at);
            let (load, members) = groups.entry(root).or_default();
            load.targets += self.targets[at];
            load.floor = load.floor.max(self.floor[at]).max(self.floor[root]);
            members.push(network);
        }
        let mut groups: Vec<_> = groups.into_values().collect();
        groups.iter_mut().for_each(|(_, members)| members.sort());
        groups.sort_by(|(one, first), (other, second)| {
            (other.floor, other.targets, first).cmp(&(one.floor, one.targets, second))
        });
        let mut plan =
            LanePlan { lanes: HashMap::new(), loads: vec![LaneLoad::default(); usize::from(lanes.max(1))] };
        for (load, members) in groups {
            let emptiest =
                plan.loads.iter().enumerate().min_by_key(|(_, it)| it.targets).map_or(0, |(at, _)| at);
            let lane = &mut plan.loads[emptiest];
            lane.targets += load.targets;
            // Networks of one lane are dialed side by side.
            lane.floor = lane.floor.max(load.floor);
            let number = u16::try_from(emptiest).unwrap_or(u16::MAX);
            plan.lanes.extend(members.into_iter().map(|it| (it, number)));
        }
        plan
    }

    fn at(&mut self, network: NetworkKey) -> usize {
        let next = self.parent.len();
        let at = *self.index.entry(network).or_insert(next);
        if at == next {
            self.parent.push(next);
            self.targets.push(0);
            self.floor.push(Duration::ZERO);
        }
        at
    }

    fn root(&mut self, mut at: usize) -> usize {
        while self.parent[at] != at {
            self.parent[at] = self.parent[self.parent[at]];
            at = self.parent[at];
        }
        at
    }

    fn join(&mut self, one: usize, other: usize) {
        let (one, other) = (self.root(one), self.root(other));
        self.parent[other] = one;
        self.floor[one] = self.floor[one].max(self.floor[other]);
    }
}

impl LanePlan {
    /// Returns the lane of a network.
    pub fn lane(&self, network: NetworkKey) -> Option<u16> {
        self.lanes.get(&network).copied()
    }

    /// Returns the time that no number of workers can go below.
    pub fn floor(&self) -> Duration {
        self.loads.iter().map(|it| it.floor).max().unwrap_or_default()
    }
}

fn times(interval: Duration, count: u64) -> Duration {
    Duration::try_from_secs_f64(interval.as_secs_f64() * count as f64).unwrap_or(Duration::MAX)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn each_network_has_one_lane_and_large_suffixes_are_together(
            counts in proptest::collection::vec(1_u64..500, 1..40),
            suffixes in proptest::collection::vec((proptest::collection::vec(0_u32..40, 1..5), 1_u64..60), 0..12),
            lanes in 1_u16..9,
        ) {
            let mut builder = LaneBuilder::new(Pace::default());
            let networks: Vec<_> = (0..counts.len()).map(|it| NetworkKey::As(it as u32)).collect();
            for (network, count) in networks.iter().zip(&counts) {
                builder.add_address(*network, *count, 1);
            }
            let mut large = Vec::new();
            for (members, targets) in &suffixes {
                let members: Vec<_> = members.iter().map(|it| networks[*it as usize % networks.len()]).collect();
                builder.add_suffix(&members, *targets, 1);
                if *targets > 20 {
                    large.push(members);
                }
            }
            let plan = builder.pack(lanes);
            prop_assert!(networks.iter().all(|it| plan.lane(*it).is_some_and(|lane| lane < lanes)));
            for members in large {
                let all: std::collections::HashSet<_> = members.iter().map(|it| plan.lane(*it)).collect();
                prop_assert_eq!(all.len(), 1, "{:?}", members);
            }
            prop_assert_eq!(plan.loads.iter().map(|it| it.targets).sum::<u64>(), counts.iter().sum::<u64>());
            let most = counts.iter().max().copied().unwrap_or_default();
            prop_assert!(plan.floor() >= Duration::from_secs(most), "one address, one connection a second");
        }
    }

    #[test]
    fn the_floor_is_that_of_the_slowest_budget() {
        let mut builder = LaneBuilder::new(Pace::default());
        for address in 0..300_000 {
            builder.add_address(NetworkKey::As(64_500), 1, 1);
            if address < 3 {
                builder.add_address(NetworkKey::As(64_501), 3, 1);
            }
        }
        let plan = builder.pack(2);
        assert_eq!(plan.floor(), Duration::from_secs(15_000), "20 a second");
        assert_ne!(plan.lane(NetworkKey::As(64_500)), plan.lane(NetworkKey::As(64_501)));
    }
}
