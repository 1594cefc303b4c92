//! The memory that the sessions of a thread may use for octets on their way.

use std::cell::Cell;

/// The size of one read. Bulk data costs half as much with reads of 1 MiB as with 64 KiB: every write wakes the receiver.
pub(super) const LARGE_READ: usize = 1 << 20;

/// The size of one read of a session with a filter, which parses messages, and of all sessions above the budget: one record.
pub(super) const SMALL_READ: usize = 16 << 10;

/// The octets that the sessions of a thread may hold before they read less at once.
pub(super) const BUDGET: usize = 64 << 20;

thread_local! {
    static HELD: Cell<usize> = const { Cell::new(0) };
}

/// Returns how much a session without a filter may read at once. What it has read it must be able to hold, because its sink
/// may not take it.
pub(super) fn read_size() -> usize {
    if held() < BUDGET { LARGE_READ } else { SMALL_READ }
}

/// Returns the octets that the sessions of this thread hold.
pub(super) fn held() -> usize {
    HELD.get()
}

/// The octets that one direction of a session holds until its sink takes them. They count for the thread.
#[derive(Debug, Default)]
pub(super) struct HeldOctets(usize);

impl HeldOctets {
    pub(super) fn set(&mut self, octets: usize) {
        if octets != self.0 {
            HELD.set(HELD.get().saturating_sub(self.0) + octets);
            self.0 = octets;
        }
    }
}

impl Drop for HeldOctets {
    fn drop(&mut self) {
        self.set(0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sessions_read_less_while_the_thread_holds_much() {
        let mut all: Vec<_> = (0..2000).map(|_| HeldOctets::default()).collect();
        for session in &mut all {
            session.set(read_size());
        }
        let large = BUDGET / LARGE_READ;
        assert_eq!(held(), BUDGET + (2000 - large) * SMALL_READ);
        all.truncate(large - 1);
        assert_eq!(read_size(), LARGE_READ);
        drop(all);
        assert_eq!(held(), 0);
    }
}
