//! The answers that are kept in memory.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::Instant;

use starttls_dns::DnsName;
use tokio::sync::OnceCell;

use super::lock;
use crate::dane::NextHop;
use crate::decide::Decision;
use crate::sts::StsPolicy;

/// The most domains.
const MAX_ENTRIES: usize = 200_000;

/// A place for one answer: the first question fills it, and later ones wait for it.
pub(super) type Slot = Arc<OnceCell<Entry>>;

/// An answer.
#[derive(Debug)]
pub(super) struct Entry {
    pub(super) decision: Decision,
    pub(super) policy: Option<Arc<StsPolicy>>,
    pub(super) until: Instant,
}

#[derive(Debug, Default)]
pub(super) struct AnswerCache(Mutex<HashMap<(NextHop, u16), Slot>>);

impl AnswerCache {
    /// Returns the place of an answer, a new one if the old answer has expired.
    pub(super) fn slot(&self, hop: &NextHop, port: u16) -> Slot {
        let mut slots = lock(&self.0);
        let is_fresh = |slot: &Slot| slot.get().is_none_or(|it| it.until > Instant::now());
        let key = (hop.clone(), port);
        if let Some(slot) = slots.get(&key).filter(|it| is_fresh(it)) {
            return slot.clone();
        }
        if slots.len() >= MAX_ENTRIES {
            slots.retain(|_, slot| is_fresh(slot));
        }
        if slots.len() >= MAX_ENTRIES {
            // Answers without a policy are cheap to find again.
            slots.retain(|_, slot| slot.get().is_none_or(|it| it.decision != Decision::NoPolicy));
        }
        if slots.len() >= MAX_ENTRIES {
            slots.clear();
        }
        let slot = Slot::default();
        slots.insert(key, slot.clone());
        slot
    }

    /// Returns the number of answers.
    pub(super) fn len(&self) -> usize {
        lock(&self.0).len()
    }

    /// Returns the answers for a domain, each with its next hop and port.
    pub(super) fn of(&self, domain: &DnsName) -> Vec<(NextHop, u16, Slot)> {
        let slots = lock(&self.0);
        let of_domain = slots.iter().filter(|((hop, _), _)| hop.name() == domain);
        of_domain.map(|((hop, port), slot)| (hop.clone(), *port, slot.clone())).collect()
    }

    /// Forgets the answers for a domain, and returns whether there were any.
    pub(super) fn forget(&self, domain: &DnsName) -> bool {
        let mut slots = lock(&self.0);
        let before = slots.len();
        slots.retain(|(hop, _), _| hop.name() != domain);
        slots.len() < before
    }
}
