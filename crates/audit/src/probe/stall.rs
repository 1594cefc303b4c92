//! A client that gets the go-ahead and does not complete the handshake: how long does the server hold the connection?

use std::time::{Duration, Instant};

use starttls::proto::Protocol;

use super::{Context, Cost, Probe, Running, Turn};
use crate::check::{Check, id};
use crate::error::ProbeError;
use crate::finding::{FindingBuilder, ProbeResult};
use crate::plan::Plan;
use crate::record::Log;
use crate::report::{CheckOutcome, EntryKind};
use crate::requirement::Requirement;
use crate::selection::Selection;
use crate::session::CleartextSession;

/// Time that a server's timer may take longer than the limit.
const GRACE: Duration = Duration::from_secs(2);

/// The pause between two octets of a slow handshake.
const BEAT: Duration = Duration::from_secs(1);

/// The beginning of a TLS record of 512 octets with a ClientHello (RFC 8446 section 4.1.2).
const HELLO: &[u8] = b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03";

/// Sends nothing after the go-ahead on one connection, and an octet a second on another.
pub(super) struct Stall;

impl Probe for Stall {
    fn checks(&self) -> &'static [&'static Check] {
        &[id::SRV_STALL]
    }

    fn cost(&self, _: &Selection, _: &'static Protocol) -> Cost {
        Cost { is_slow: true, ..Cost::new(2) }
    }

    fn run<'a>(&'a self, context: &'a Context<'a>) -> Running<'a> {
        Box::pin(probe(context.plan))
    }

    fn turn(&self) -> Turn {
        Turn::Alone
    }
}

async fn probe(plan: &Plan) -> ProbeResult {
    let check = id::SRV_STALL;
    let Some(limit) = plan.limits.slow else {
        return ProbeResult::of(FindingBuilder::not_run(check, Requirement::SlowChecks));
    };
    let mut result = ProbeResult::default();
    let slow = Log::default();
    let (silence, drip) = tokio::join!(
        held(plan, "the go-ahead, then silence", limit, false, &result.log),
        held(plan, "the go-ahead, then an octet of a handshake a second", limit, true, &slow),
    );
    result.log.absorb(&slow);
    let finding = match (silence, drip) {
        (Err(error), _) | (_, Err(error)) => FindingBuilder::inconclusive(check, &error),
        (Ok(None), _) => {
            let why =
                format!("the server holds a connection without a handshake for more than {}", text(limit));
            FindingBuilder::fail(check, why)
        }
        (Ok(Some(_)), Ok(None)) => {
            let why = format!("an octet a second holds a connection for more than {}", text(limit));
            FindingBuilder::new(check, CheckOutcome::Warning, why)
        }
        (Ok(Some(silent)), Ok(Some(slow))) => {
            let (silent, slow) = (silent.as_secs(), slow.as_secs());
            let why =
                format!("the server ends a silent connection after {silent} s, a slow one after {slow} s");
            FindingBuilder::pass(check, why)
        }
    };
    let evidence = result.log.all();
    result.push(finding.at_all(evidence));
    result
}

fn text(time: Duration) -> String {
    match time.as_secs() {
        300 => String::from("five minutes"),
        seconds => format!("{seconds} s"),
    }
}

/// Returns when the server ended the connection; `None` if it had not done so by the limit.
async fn held(
    plan: &Plan,
    purpose: &str,
    limit: Duration,
    is_slow: bool,
    log: &Log,
) -> Result<Option<Duration>, ProbeError> {
    let mut session = plan.open(purpose, log).await?;
    session.negotiate().await?;
    let hello = is_slow.then(|| HELLO.iter().copied().chain(std::iter::repeat(0))).into_iter().flatten();
    let ended = ends(&mut session, hello, limit + GRACE).await?;
    if ended.is_none() {
        session.record.text(EntryKind::Event, format!("the connection is still open after {}", text(limit)));
    }
    Ok(ended)
}

async fn ends(
    session: &mut CleartextSession,
    mut octets: impl Iterator<Item = u8>,
    limit: Duration,
) -> Result<Option<Duration>, ProbeError> {
    let started = Instant::now();
    while started.elapsed() < limit {
        if session.closes_within(BEAT).await? {
            return Ok(Some(started.elapsed()));
        }
        if let Some(octet) = octets.next()
            && session.send_unrecorded(&[octet]).await.is_err()
        {
            return Ok(Some(started.elapsed()));
        }
    }
    Ok(None)
}
