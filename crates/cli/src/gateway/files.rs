//! Fits the number of connections to the limit for open files.

use nix::sys::resource::{Resource, getrlimit, setrlimit};
use starttls_gateway::Config;

/// Files of one session: the client's connection, and the backend's.
const PER_SESSION: u64 = 2;
/// Files that are kept free for `/health`, renewed certificates, DNS lookups and connections that are refused.
const SPARE: u64 = 128;
/// Files that one thread needs to wait for events.
const PER_THREAD: u64 = 8;

/// Raises the limit for open files to the hard limit, and lowers `connections` if that is not enough. Returns a note for the
/// log if it was lowered.
///
/// Without free files, neither clients nor backends nor `/health` can connect. The limit for connections is reached first,
/// and further clients get the protocol's own refusal.
pub(super) fn fit(config: &mut Config) -> Option<String> {
    let (_, most) = getrlimit(Resource::RLIMIT_NOFILE).ok()?;
    // If it cannot be raised, the old limit applies.
    let _ = setrlimit(Resource::RLIMIT_NOFILE, most, most);
    let (limit, _) = getrlimit(Resource::RLIMIT_NOFILE).ok()?;
    let threads = std::thread::available_parallelism().map_or(1, std::num::NonZero::get) as u64;
    let own = threads * (config.listeners.len() as u64 + PER_THREAD) + SPARE;
    let enough_for = usize::try_from(limit.saturating_sub(own) / PER_SESSION).unwrap_or(usize::MAX).max(1);
    if enough_for >= config.connections {
        return None;
    }
    let wanted = std::mem::replace(&mut config.connections, enough_for);
    Some(format!(
        "at most {enough_for} connections instead of {wanted}, because at most {limit} files may be open \
         (LimitNOFILE, ulimit -n)"
    ))
}
