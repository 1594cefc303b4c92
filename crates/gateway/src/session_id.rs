//! The ids of sessions, by which the lines of one session are found in the log.

use std::fmt;
use std::hash::{BuildHasher, RandomState};
use std::sync::LazyLock;
use std::sync::atomic::{AtomicU64, Ordering};

use serde::{Serialize, Serializer};

/// The id of a session: ten hexadecimal digits, which no other session of the process has.
///
/// The first id of a process is random, so that a log with several runs rarely has two sessions with one id.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct SessionId(u64);

/// Ids repeat after this many sessions: in 34 years, with a thousand sessions a second.
const COUNT: u64 = 1 << 40;

impl SessionId {
    pub(crate) fn next() -> Self {
        static NEXT: LazyLock<AtomicU64> =
            LazyLock::new(|| AtomicU64::new(RandomState::new().hash_one("session")));
        Self(NEXT.fetch_add(1, Ordering::Relaxed) % COUNT)
    }
}

impl fmt::Display for SessionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:010x}", self.0)
    }
}

impl Serialize for SessionId {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_differ_and_have_one_length() {
        let ids: Vec<String> = (0..1000).map(|_| SessionId::next().to_string()).collect();
        let distinct: std::collections::HashSet<_> = ids.iter().collect();
        assert_eq!(distinct.len(), ids.len());
        assert!(
            ids.iter().all(|id| id.len() == 10 && id.bytes().all(|it| it.is_ascii_hexdigit())),
            "{ids:?}"
        );
    }
}
