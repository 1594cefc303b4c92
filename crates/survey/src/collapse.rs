//! Chooses the names that are probed at each address.
//!
//! A provider that gives each customer a name of its own has millions of names at a few addresses. At one address, the names
//! under one registrable suffix are one class, and a few of them are probed for all.

use std::net::IpAddr;

use crate::sort::keyed_hash;

/// Returns the line of a name at an address, for sorting: the names of a class come after each other, in an order that depends
/// on the seed.
pub fn collapse_line(seed: u64, address: IpAddr, suffix: &str, name: &str) -> String {
    format!("{address}\t{suffix}\t{:016x}\t{name}", keyed_hash(seed, name))
}

/// A class of names and how many of them were chosen.
#[derive(Debug, Default)]
pub struct Collapse {
    samples: Option<u32>,
    class: String,
    last: String,
    chosen: u32,
}

/// A name that is probed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sample {
    /// The address.
    pub address: IpAddr,
    /// The registrable suffix.
    pub suffix: String,
    /// The name.
    pub name: String,
}

impl Collapse {
    /// Returns the choice of this many names in each class; `None` chooses every name.
    pub fn new(samples: Option<u32>) -> Self {
        Self { samples, ..Self::default() }
    }

    /// Takes the next line in order, and returns it if it is chosen. A line that comes twice is chosen once.
    pub fn choose(&mut self, line: &str) -> Option<Sample> {
        if line == self.last {
            return None;
        }
        line.clone_into(&mut self.last);
        let (class, name) =
            line.rsplit_once('\t').and_then(|(rest, name)| Some((rest.rsplit_once('\t')?.0, name)))?;
        if class != self.class {
            class.clone_into(&mut self.class);
            self.chosen = 0;
        }
        if self.samples.is_some_and(|most| self.chosen >= most) {
            return None;
        }
        self.chosen += 1;
        let (address, suffix) = class.split_once('\t')?;
        Some(Sample { address: address.parse().ok()?, suffix: suffix.to_owned(), name: name.to_owned() })
    }
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};

    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn every_class_has_its_samples_and_no_name_is_chosen_twice(
            names in proptest::collection::vec((0_u8..4, 0_u8..3, 0_u8..30), 0..200), samples in 1_u32..5, seed in 0_u64..4
        ) {
            let mut classes: BTreeMap<(IpAddr, String), BTreeSet<String>> = BTreeMap::new();
            let mut lines = Vec::new();
            for (address, suffix, name) in names {
                let (address, suffix) = (IpAddr::from([127, 0, 0, address]), format!("s{suffix}.example"));
                let name = format!("t{name}.{suffix}");
                lines.push(collapse_line(seed, address, &suffix, &name));
                classes.entry((address, suffix)).or_default().insert(name);
            }
            lines.sort();
            let mut collapse = Collapse::new(Some(samples));
            let mut chosen: BTreeMap<_, BTreeSet<String>> = BTreeMap::new();
            for sample in lines.iter().filter_map(|line| collapse.choose(line)) {
                prop_assert!(chosen.entry((sample.address, sample.suffix)).or_default().insert(sample.name));
            }
            prop_assert_eq!(chosen.len(), classes.len());
            for (class, names) in &classes {
                prop_assert!(chosen[class].is_subset(names));
                prop_assert_eq!(chosen[class].len(), names.len().min(samples as usize));
            }
            let mut all = Collapse::new(None);
            let every = lines.iter().filter_map(|line| all.choose(line)).count();
            prop_assert_eq!(every, classes.values().map(BTreeSet::len).sum::<usize>());
        }
    }
}
