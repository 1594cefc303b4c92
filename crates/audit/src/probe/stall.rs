//! The go-ahead, and no handshake: for how long is the connection held?

use std::time::{Duration, Instant};

use crate::dialogue::{Dialogue, Stop};
use crate::draft::{Draft, Seen};
use crate::plan::Plan;
use crate::record::Record;
use crate::report::{Kind, Outcome};

const ID: &str = "srv-stall";

/// Servers do not look at the clock all the time.
const GRACE: Duration = Duration::from_secs(2);

/// Between two octets of a handshake that does not get on.
const BEAT: Duration = Duration::from_secs(1);

/// A TLS record of 512 octets with a ClientHello of that length, as far as it goes (RFC 8446 section 4.1.2).
const HELLO: &[u8] = b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03";

/// Silence, and an octet now and then, each on a connection of its own.
pub(crate) async fn probe(plan: &Plan) -> Seen {
    let mut seen = Seen::default();
    let Some(limit) = plan.limits.slow else {
        let why = "it takes up to five minutes (needs --slow)";
        seen.push(Draft::new(ID, Outcome::NotRun, why));
        return seen;
    };
    let (silence, drip) = tokio::join!(
        held(plan, "the go-ahead, then silence", limit, false),
        held(plan, "the go-ahead, then an octet of a handshake a second", limit, true),
    );
    let draft = match (&silence.0, &drip.0) {
        (Err(stop), _) | (_, Err(stop)) => Draft::untold(ID, stop),
        (Ok(None), _) => Draft::fail(
            ID,
            format!("a connection without a handshake is held for more than {}", words(limit)),
        ),
        (Ok(Some(_)), Ok(None)) => {
            let why = format!("an octet a second holds a connection for more than {}", words(limit));
            Draft::new(ID, Outcome::Warning, why)
        }
        (Ok(Some(silent)), Ok(Some(slow))) => {
            let (silent, slow) = (silent.as_secs(), slow.as_secs());
            let why =
                format!("a silent connection is ended after {silent} s, one that dribbles after {slow} s");
            Draft::pass(ID, why)
        }
    };
    let draft = [silence.1, drip.1].into_iter().fold(draft, |draft, record| {
        let all = record.all();
        draft.at(seen.record(record), all)
    });
    seen.push(draft);
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
) -> (Result<Option<Duration>, Stop>, Record) {
    let mut dialogue = match plan.open(purpose).await {
        Ok(dialogue) => dialogue,
        Err((stop, record)) => return (Err(stop), record),
    };
    if let Err(stop) = dialogue.agree().await {
        return (Err(stop), dialogue.record);
    }
    let hello = dribbles.then(|| HELLO.iter().copied().chain(std::iter::repeat(0))).into_iter().flatten();
    let ended = match ends(&mut dialogue, hello, limit + GRACE).await {
        Ok(ended) => ended,
        Err(stop) => return (Err(stop), dialogue.record),
    };
    if ended.is_none() {
        dialogue.record.text(Kind::Event, format!("the connection is still open after {}", words(limit)));
    }
    (Ok(ended), dialogue.record)
}

async fn ends(
    dialogue: &mut Dialogue,
    mut octets: impl Iterator<Item = u8>,
    limit: Duration,
) -> Result<Option<Duration>, Stop> {
    let started = Instant::now();
    while started.elapsed() < limit {
        if dialogue.closes(BEAT).await? {
            return Ok(Some(started.elapsed()));
        }
        if let Some(octet) = octets.next()
            && dialogue.put(&[octet]).await.is_err()
        {
            return Ok(Some(started.elapsed()));
        }
    }
    Ok(None)
}
