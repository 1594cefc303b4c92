//! One direction of a TCP connection.

use std::collections::BTreeMap;

use starttls_proto::Side;

use super::StreamEvent;
use crate::moment::Moment;

/// How many of the last octets are kept to compare them with later copies.
const COMPARED: usize = 32 * 1024;

/// Takes the offset and both contents of octets that were sent twice with different contents.
type OnConflict<'a> = dyn FnMut(u64, &[u8], &[u8]) + 'a;

/// Octets that were not delivered yet.
#[derive(Clone, Copy, Debug)]
pub(super) struct Held {
    pub(super) moment: Moment,
    /// How many octets of the other side their sender had received.
    pub(super) needs: u64,
}

/// One direction of a TCP connection. Offsets count octets from the first octet that the side sent.
#[derive(Debug, Default)]
pub(super) struct Half {
    /// The sequence number of offset 0.
    base: Option<u32>,
    /// Whether offset 0 is the first octet of the connection.
    pub(super) is_from_start: bool,
    /// Whether it was reported that octets before offset 0 may be missing.
    is_announced: bool,
    /// The offset of the next octet to deliver.
    pub(super) next: u64,
    pending: BTreeMap<u64, (Held, Vec<u8>)>,
    held: usize,
    /// The offset of the end of the stream.
    end: Option<u64>,
    /// The octets that the other side acknowledged.
    acknowledged: u64,
    /// The last octets that were delivered.
    delivered: Vec<u8>,
}

impl Half {
    /// Notes the sequence number of the first octet.
    pub(super) fn start(&mut self, base: u32) {
        // The first acknowledgment of the other side may have been captured before the SYN.
        self.is_from_start |= !self.is_announced && *self.base.get_or_insert(base) == base;
    }

    /// Returns the sequence number of the first octet, if that was seen.
    pub(super) fn first_number(&self) -> Option<u32> {
        self.base.filter(|_| self.is_from_start)
    }

    /// Returns whether the direction is known to start elsewhere than after this SYN.
    pub(super) fn has_other_start(&self, syn: u32) -> bool {
        self.base.is_some_and(|base| base != syn.wrapping_add(1))
    }

    /// Returns the offset of this sequence number. The first number of a connection that was joined late is offset 0.
    pub(super) fn offset(&mut self, seq: u32) -> i64 {
        let base = *self.base.get_or_insert(seq);
        // A difference of at most 2 GiB from the next octet: sequence numbers wrap.
        let difference = seq.wrapping_sub(base.wrapping_add(self.next as u32)) as i32;
        self.next as i64 + i64::from(difference)
    }

    /// Notes an acknowledgment of the other side. Returns the offset that it acknowledges.
    pub(super) fn acknowledged(&mut self, ack: u32) -> u64 {
        let offset = u64::try_from(self.offset(ack)).unwrap_or(0);
        // The FIN counts as one octet.
        let offset = self.end.map_or(offset, |end| offset.min(end));
        self.acknowledged = self.acknowledged.max(offset);
        offset
    }

    pub(super) fn finish(&mut self, end: i64) {
        self.end = self.end.or(u64::try_from(end).ok());
    }

    pub(super) fn is_finished(&self) -> bool {
        self.end.is_some_and(|end| self.next >= end)
    }

    pub(super) fn held(&self) -> usize {
        self.held
    }

    pub(super) fn weight(&self) -> usize {
        /// What the tree and the heap add to each part that is held.
        const PART: usize = 128;
        self.held + self.pending.len() * PART + self.delivered.capacity()
    }

    /// Forgets all octets.
    pub(super) fn release(&mut self) {
        (self.pending, self.held, self.delivered) = (BTreeMap::new(), 0, Vec::new());
    }

    /// Returns the first octets that are held.
    pub(super) fn first(&self) -> Option<(u64, Held)> {
        self.pending.first_key_value().map(|(offset, (held, _))| (*offset, *held))
    }

    /// Returns the number of octets that were sent, according to the FIN or the other side, and never captured.
    pub(super) fn missing_at_end(&self) -> u64 {
        // If the FIN is missing, the other side's acknowledgment may count it, but a gap of one octet is harmless.
        let sent = self.end.unwrap_or(self.acknowledged);
        sent.saturating_sub(self.next)
    }

    /// Adds octets at an offset. Octets that are there already stay, and are compared.
    pub(super) fn insert(
        &mut self,
        offset: i64,
        bytes: &[u8],
        held: Held,
        compares: bool,
        conflict: &mut OnConflict<'_>,
    ) {
        let next = self.next as i64;
        let skipped = usize::try_from((next - offset).max(0)).unwrap_or(usize::MAX).min(bytes.len());
        let (old, new) = bytes.split_at(skipped);
        if compares && !old.is_empty() {
            self.compare_delivered(offset, old, conflict);
        }
        let (mut at, mut rest) = ((offset + skipped as i64).max(0) as u64, new);
        if self.end.is_some_and(|end| at > end) {
            return;
        }
        while !rest.is_empty() {
            let before = self.pending.range(..=at).next_back();
            let covered = before.filter(|(start, (_, part))| **start + part.len() as u64 > at);
            if let Some((start, (_, part))) = covered {
                let from = (at - start) as usize;
                let len = (part.len() - from).min(rest.len());
                if part[from..from + len] != rest[..len] {
                    conflict(at, &part[from..from + len], &rest[..len]);
                }
                (at, rest) = (at + len as u64, &rest[len..]);
                continue;
            }
            let following = self.pending.range(at + 1..).next().map_or(u64::MAX, |(start, _)| *start);
            let len = usize::try_from(following - at).unwrap_or(usize::MAX).min(rest.len());
            self.pending.insert(at, (held, rest[..len].to_vec()));
            self.held += len;
            (at, rest) = (at + len as u64, &rest[len..]);
        }
    }

    /// Returns whether octets at this offset can be delivered at once.
    pub(super) fn is_next(&self, offset: i64) -> bool {
        self.pending.is_empty() && offset == self.next as i64 && self.end.is_none_or(|end| self.next <= end)
    }

    /// Continues at this offset. The octets before it are lost.
    pub(super) fn skip_to(&mut self, offset: u64) {
        self.next = offset;
        self.delivered.clear();
    }

    /// Delivers the first octets that are held.
    pub(super) fn deliver(&mut self, side: Side, compares: bool, emit: &mut dyn FnMut(StreamEvent<'_>)) {
        let Some((_, (held, bytes))) = self.pending.pop_first() else { return };
        self.held -= bytes.len();
        self.pass(side, held.moment, &bytes, compares, emit);
    }

    /// Delivers octets that are next.
    pub(super) fn pass(
        &mut self,
        side: Side,
        moment: Moment,
        bytes: &[u8],
        compares: bool,
        emit: &mut dyn FnMut(StreamEvent<'_>),
    ) {
        self.announce(side, emit);
        self.next += bytes.len() as u64;
        if compares {
            self.remember(bytes);
        } else if self.delivered.capacity() > 0 {
            self.delivered = Vec::new();
        }
        emit(StreamEvent::Data { side, moment, bytes });
    }

    /// Reports a gap of unknown length if the start of the direction was not seen.
    pub(super) fn announce(&mut self, side: Side, emit: &mut dyn FnMut(StreamEvent<'_>)) {
        if !std::mem::replace(&mut self.is_announced, true) && !self.is_from_start {
            emit(StreamEvent::Gap { side, octets: 0 });
        }
    }

    fn remember(&mut self, bytes: &[u8]) {
        self.delivered.extend_from_slice(bytes);
        if self.delivered.len() > 2 * COMPARED {
            self.delivered.drain(..self.delivered.len() - COMPARED);
        }
    }

    fn compare_delivered(&self, offset: i64, bytes: &[u8], conflict: &mut OnConflict<'_>) {
        let start = self.next as i64 - self.delivered.len() as i64;
        let from = offset.max(start).max(0);
        let end = offset + bytes.len() as i64;
        if from >= end {
            return;
        }
        let first = &self.delivered[(from - start) as usize..(end - start) as usize];
        let other = &bytes[(from - offset) as usize..];
        if first != other {
            conflict(from as u64, first, other);
        }
    }
}
