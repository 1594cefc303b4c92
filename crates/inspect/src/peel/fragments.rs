//! Reassembly of IP fragments.

use std::collections::HashMap;
use std::net::IpAddr;

use super::{Fragment, Layers};

/// The longest datagram.
const MAX_DATAGRAM: usize = 64 * 1024;
/// The most octets of all incomplete datagrams.
const MAX_TOTAL: usize = 4 * 1024 * 1024;
/// The most fragments of one datagram. Real senders need 45 for the longest one.
const MAX_PARTS: usize = 256;
/// How long a datagram may stay incomplete, in nanoseconds of capture time.
const MAX_AGE: u64 = 30_000_000_000;

/// Incomplete datagrams.
#[derive(Debug, Default)]
pub(crate) struct Fragments {
    datagrams: HashMap<Key, Datagram>,
    octets: usize,
    /// Datagrams that were given up.
    pub(crate) dropped: u64,
    /// Datagrams whose fragments contradict each other.
    pub(crate) conflicts: u64,
}

type Key = (IpAddr, IpAddr, u32, u8);

#[derive(Debug)]
struct Datagram {
    /// Fragments without overlap, by offset.
    parts: Vec<(usize, Vec<u8>)>,
    end: Option<usize>,
    since: u64,
    octets: usize,
    layers: Layers,
    /// An IPv6 datagram with overlapping fragments is dropped as a whole (RFC 5722).
    is_dropped: bool,
}

/// A datagram that is complete.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Whole {
    pub(crate) addresses: (IpAddr, IpAddr),
    pub(crate) protocol: u8,
    pub(crate) data: Vec<u8>,
    pub(crate) layers: Layers,
}

impl Fragments {
    /// Adds a fragment. Returns the datagram when it is complete.
    pub(crate) fn push(&mut self, fragment: &Fragment<'_>, now: u64) -> Option<Whole> {
        self.make_room(now, fragment.data.len());
        let key = (fragment.from, fragment.to, fragment.id, fragment.protocol);
        let datagram = self.datagrams.entry(key).or_insert_with(|| Datagram {
            parts: Vec::new(),
            end: None,
            since: now,
            octets: 0,
            layers: fragment.layers,
            is_dropped: false,
        });
        let end = fragment.offset + fragment.data.len();
        if datagram.is_dropped || end > MAX_DATAGRAM || datagram.parts.len() >= MAX_PARTS {
            return None;
        }
        if !fragment.more {
            datagram.end.get_or_insert(end);
        }
        let (added, conflict) = datagram.insert(fragment.offset, fragment.data);
        datagram.octets += added;
        self.octets += added;
        self.conflicts += u64::from(conflict);
        if conflict && fragment.from.is_ipv6() {
            self.octets -= std::mem::take(&mut datagram.octets);
            datagram.parts.clear();
            datagram.is_dropped = true;
            return None;
        }
        if datagram.end != Some(datagram.octets) {
            return None;
        }
        let datagram = self.datagrams.remove(&key)?;
        self.octets -= datagram.octets;
        let mut parts = datagram.parts;
        parts.sort_unstable_by_key(|(offset, _)| *offset);
        let data = parts.into_iter().flat_map(|(_, data)| data).collect();
        let addresses = (fragment.from, fragment.to);
        Some(Whole { addresses, protocol: fragment.protocol, data, layers: datagram.layers })
    }

    fn make_room(&mut self, now: u64, needed: usize) {
        const MAX_DATAGRAMS: usize = 4096;
        if self.octets + needed <= MAX_TOTAL && self.datagrams.len() < MAX_DATAGRAMS {
            return;
        }
        let count = self.datagrams.len();
        self.datagrams.retain(|_, datagram| now.saturating_sub(datagram.since) < MAX_AGE);
        self.octets = self.datagrams.values().map(|datagram| datagram.octets).sum();
        if self.octets + needed > MAX_TOTAL || self.datagrams.len() >= MAX_DATAGRAMS {
            self.datagrams.clear();
            self.octets = 0;
        }
        self.dropped += (count - self.datagrams.len()) as u64;
    }
}

impl Datagram {
    /// Adds the octets that are new. Returns their number, and whether known octets came with another content.
    fn insert(&mut self, offset: usize, data: &[u8]) -> (usize, bool) {
        let (mut at, end) = (offset, offset + data.len());
        let (mut added, mut conflict) = (0, false);
        while at < end {
            let known = self.parts.iter().find(|(start, part)| (*start..start + part.len()).contains(&at));
            if let Some((start, part)) = known {
                let stop = (start + part.len()).min(end);
                conflict |= part[at - start..stop - start] != data[at - offset..stop - offset];
                at = stop;
                continue;
            }
            let next = self.parts.iter().map(|(start, _)| *start).filter(|start| *start > at).min();
            let stop = next.unwrap_or(end).min(end);
            self.parts.push((at, data[at - offset..stop - offset].to_vec()));
            added += stop - at;
            at = stop;
        }
        (added, conflict)
    }
}
