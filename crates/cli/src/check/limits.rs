//! The limits of an audit, from the options.

use std::time::Duration;

use starttls_audit::{LIGHT_CONNECTIONS, Limits, SurveyExtent};
use starttls_hello::WalkSize;

use crate::args::Check;

/// The wait of the slow checks. A server that waits longer for a handshake lets clients hold connections at no cost.
const FIVE_MINUTES: Duration = Duration::from_secs(300);

/// Returns the limits for one endpoint.
pub(crate) fn of(args: &Check) -> Limits {
    let slow = args.slow.then_some(FIVE_MINUTES);
    let pace = args.pace.unwrap_or_default();
    // The default deadline grows with what --pace and --slow need.
    let connections = args.max_connections.unwrap_or_else(|| usual_connections(args));
    let more = pace.saturating_mul(connections).saturating_add(slow.unwrap_or_default());
    let usual = Limits::default().deadline.saturating_add(more);
    let most = if args.light { LIGHT_CONNECTIONS } else { u32::MAX };
    Limits {
        connections: connections.min(most),
        concurrency: args.concurrency.into(),
        pace,
        reply_timeout: args.peer.timeout,
        deadline: args.deadline.unwrap_or(usual),
        slow,
        implicit_port: args.implicit_port,
        expiry_warning: args.expiry_warning,
    }
}

/// Returns the default limit of connections, which includes a brief TLS survey. A larger one needs more.
fn usual_connections(args: &Check) -> u32 {
    let brief = SurveyExtent::new(WalkSize::Brief).hellos;
    let more = args.survey().map_or(0, |survey| survey.hellos.saturating_sub(brief));
    Limits::default().connections.saturating_add(u32::try_from(more).unwrap_or(u32::MAX))
}
