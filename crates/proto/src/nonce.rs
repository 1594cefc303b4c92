//! Values that an attacker cannot guess.

use core::hash::{Hash, Hasher};

/// Returns a value that depends on all of `parts`, and that an attacker without the nonce cannot predict from other such
/// values: SipHash-2-4 with the nonce in its key.
#[expect(deprecated, reason = "it is the only keyed hash that `core` contains")]
pub(crate) fn unguessable(nonce: u64, parts: impl Hash) -> u64 {
    let mut hasher = core::hash::SipHasher::new_with_keys(nonce, 0);
    parts.hash(&mut hasher);
    hasher.finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_part_and_the_nonce_change_the_value() {
        let values = [
            unguessable(1, (true, 1)),
            unguessable(2, (true, 1)),
            unguessable(1, (false, 1)),
            unguessable(1, (true, 2)),
        ];
        for (at, value) in values.iter().enumerate() {
            assert!(!values[..at].contains(value), "{values:x?}");
        }
        assert_eq!(values[0], unguessable(1, (true, 1)));
    }
}
