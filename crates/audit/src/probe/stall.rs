//! The go-ahead, and no handshake: for how long is the connection held?

use std::time::{Duration, Instant};

use crate::finding::{FindingBuilder, ProbeResult};
use crate::plan::Plan;
use crate::record::Record;
use crate::report::{CheckOutcome, EntryKind};
use crate::session::{CleartextSession, ProbeError};

const ID: &str = "srv-stall";

/// Servers do not look at the clock all the time.
const GRACE: Duration = Duration::from_secs(2);

/// Between two octets of a handshake that does not get on.
const BEAT: Duration = Duration::from_secs(1);

/// A TLS record of 512 octets with a ClientHello of that length, as far as it goes (RFC 8446 section 4.1.2).
const HELLO: &[u8] = b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03";

/// Silence, and an octet now and then, each on a connection of its own.
pub(crate) async fn probe(plan: &Plan) -> ProbeResult {
    let mut seen = ProbeResult::default();
    let Some(limit) = plan.limits.slow else {
        let why = "it takes up to five minutes (needs --slow)";
        seen.push(FindingBuilder::new(ID, CheckOutcome::NotRun, why));
        return seen;
    };
    let (silence, drip) = tokio::join!(
        held(plan, "the go-ahead, then silence", limit, false),
        held(plan, "the go-ahead, then an octet of a handshake a second", limit, true),
    );
    let finding = match (&silence.0, &drip.0) {
        (Err(stop), _) | (_, Err(stop)) => FindingBuilder::inconclusive(ID, stop),
        (Ok(None), _) => FindingBuilder::fail(
            ID,
            format!("a connection without a handshake is held for more than {}", words(limit)),
        ),
        (Ok(Some(_)), Ok(None)) => {
            let why = format!("an octet a second holds a connection for more than {}", words(limit));
            FindingBuilder::new(ID, CheckOutcome::Warning, why)
        }
        (Ok(Some(silent)), Ok(Some(slow))) => {
            let (silent, slow) = (silent.as_secs(), slow.as_secs());
            let why =
                format!("a silent connection is ended after {silent} s, one that dribbles after {slow} s");
            FindingBuilder::pass(ID, why)
        }
    };
    let finding = [silence.1, drip.1].into_iter().fold(finding, |finding, record| {
        let all = record.all();
        finding.at(seen.record(record), all)
    });
    seen.push(finding);
    seen
}

fn words(time: Duration) -> String {
    match time.as_secs() {
        300 => String::from("five minutes"),
        seconds => format!("{seconds} s"),
    }
}

/// When the server ended a connection; `None` if it had not done so by the limit.
async fn held(
    plan: &Plan,
    purpose: &str,
    limit: Duration,
    dribbles: bool,
) -> (Result<Option<Duration>, ProbeError>, Record) {
    let mut session = match plan.open(purpose).await {
        Ok(session) => session,
        Err((stop, record)) => return (Err(stop), record),
    };
    if let Err(stop) = session.agree().await {
        return (Err(stop), session.record);
    }
    let hello = dribbles.then(|| HELLO.iter().copied().chain(std::iter::repeat(0))).into_iter().flatten();
    let ended = match ends(&mut session, hello, limit + GRACE).await {
        Ok(ended) => ended,
        Err(stop) => return (Err(stop), session.record),
    };
    if ended.is_none() {
        session.record.text(EntryKind::Event, format!("the connection is still open after {}", words(limit)));
    }
    (Ok(ended), session.record)
}

async fn ends(
    session: &mut CleartextSession,
    mut octets: impl Iterator<Item = u8>,
    limit: Duration,
) -> Result<Option<Duration>, ProbeError> {
    let started = Instant::now();
    while started.elapsed() < limit {
        if session.closes(BEAT).await? {
            return Ok(Some(started.elapsed()));
        }
        if let Some(octet) = octets.next()
            && session.put(&[octet]).await.is_err()
        {
            return Ok(Some(started.elapsed()));
        }
    }
    Ok(None)
}
