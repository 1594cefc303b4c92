//! The scan state of an incomplete message.

/// The scan state of an incomplete message, so that the dialect examines each octet once.
///
/// A dialect uses the fields as it needs. All are zero at the start of each message.
#[derive(Clone, Copy, Debug, Default)]
pub struct Scan {
    /// The number of octets examined so far.
    pub at: usize,
    /// The start of the current line or element.
    pub mark: usize,
    /// The nesting depth, or the end of a part of known length.
    pub depth: usize,
    /// The state of a small state machine.
    pub state: u8,
}
