//! The limits of an audit, from the options.

use std::time::Duration;

use starttls_audit::{LIGHT_CONNECTIONS, Limits};

use crate::args::Check;

/// The wait of the slow checks. A server that waits longer for a handshake lets clients hold connections at no cost.
const FIVE_MINUTES: Duration = Duration::from_secs(300);

/// Returns the limits for one endpoint.
pub(crate) fn of(args: &Check) -> Limits {
    let slow = args.slow.then_some(FIVE_MINUTES);
    let pace = args.pace.unwrap_or_default();
    // The default deadline grows with what --pace and --slow need.
    let more = pace.saturating_mul(args.max_connections).saturating_add(slow.unwrap_or_default());
    let usual = Limits::default().deadline.saturating_add(more);
    let most = if args.light { LIGHT_CONNECTIONS } else { u32::MAX };
    Limits {
        connections: args.max_connections.min(most),
        concurrency: args.concurrency.into(),
        pace,
        reply_timeout: args.peer.timeout,
        deadline: args.deadline.unwrap_or(usual),
        slow,
        implicit_port: args.implicit_port,
        expiry_warning: args.expiry_warning,
    }
}
