//! What a dialect remembers of a message that is not complete yet.

/// What a dialect has learned of a message that is not complete yet, so that no octet is examined twice.
///
/// A dialect uses the fields as it needs. All are zero at the start of each message.
#[derive(Clone, Copy, Debug, Default)]
pub struct Scan {
    /// Octets examined so far.
    pub at: usize,
    /// Where the current line or element starts.
    pub mark: usize,
    /// Nesting, or where a part of known length ends.
    pub depth: usize,
    /// The state of a small state machine.
    pub state: u8,
}
