//! How many files the gateway may have open, and how many connections that is enough for.

use nix::sys::resource::{Resource, getrlimit, setrlimit};
use starttls_gateway::Config;

/// Files of one session: the client's connection, and the backend's.
const PER_SESSION: u64 = 2;
/// Files that are kept free: for `/health`, certificates that are renewed, look-ups, and connections that are refused.
const SPARE: u64 = 128;
/// Files that one thread needs to wait for events.
const PER_THREAD: u64 = 8;

/// Raises the number of open files as far as the process may, and lowers `connections` to what that is enough for.
/// Returns what the log says about it, if it had to be lowered.
///
/// When no more files can be opened, neither clients nor backends nor `/health` can connect. A lower limit is reached
/// first, and a client beyond it gets the protocol's own refusal.
pub(super) fn fit(config: &mut Config) -> Option<String> {
    let (_, most) = getrlimit(Resource::RLIMIT_NOFILE).ok()?;
    // Where it cannot be raised, the limit is the old one.
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
        "at most {enough_for} connections instead of {wanted}, since no more than {limit} files may be open \
         (LimitNOFILE, ulimit -n)"
    ))
}
