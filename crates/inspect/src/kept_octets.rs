//! The octets that an inspection keeps for a comparison.

use crate::moment::Moment;

/// The first octets of a connection, kept to compare them. They may hold secrets, so no report contains them.
#[derive(Clone, Default, PartialEq)]
pub(crate) struct KeptOctets {
    pub(crate) octets: [Vec<u8>; 2],
    /// Which octets were completed when: the offset after them.
    pub(crate) moments: [Vec<(u64, Moment)>; 2],
    /// Sides of which later octets were not kept, or are missing.
    pub(crate) is_cut: [bool; 2],
    /// The sequence numbers of the first octets.
    pub(crate) start: [Option<u32>; 2],
}

impl std::fmt::Debug for KeptOctets {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("KeptOctets").finish_non_exhaustive()
    }
}
