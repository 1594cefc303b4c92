//! After the go-ahead, anything but a ClientHello: the connection has to end there.

use std::time::{Duration, Instant};

use super::answers::{harmless, shown, signature};
use super::cleartext::probe_words;
use super::injection::cleartext_reply;
use crate::finding::{FindingBuilder, ProbeResult};
use crate::plan::Plan;
use crate::profile::{begins, is_final};
use crate::report::CheckOutcome;
use crate::session::{CleartextSession, ProbeError};

/// A fatal alert, handshake_failure, as a client sends it that cannot go on (RFC 8446 section 6.2).
const ALERT: &[u8] = b"\x15\x03\x01\x00\x02\x02\x28";

/// How long a server may take to do something about it, before it is asked something else.
const LISTEN: Duration = Duration::from_millis(700);

/// How long nothing more comes when a server has answered.
const QUIET: Duration = Duration::from_millis(100);

/// Octets that are heard out.
const MAX_HEARD: usize = 64 * 1024;

/// What a server does after a handshake that failed.
enum End {
    /// It ends the connection; what it says before.
    Closed(Option<String>),
    /// It serves in cleartext: with this.
    Serves(String),
    /// It refuses everything, and stays.
    Refuses(String),
    /// It says nothing, and stays.
    Silent,
}

/// Cleartext, and an alert with cleartext behind it, where the ClientHello belongs.
pub(crate) async fn probe(plan: &Plan, usual: Option<&str>) -> ProbeResult {
    let id = "srv-hs-fallback";
    let mut seen = ProbeResult::default();
    let (mut worst, mut inconclusive, mut ends) = (None, None, String::new());
    for (purpose, first) in [
        ("cleartext instead of a ClientHello", b"".as_slice()),
        ("an alert instead of a ClientHello, then cleartext", ALERT),
    ] {
        let _place = plan.place().await;
        let mut session = match plan.open(purpose).await {
            Ok(session) => session,
            Err((stop, record)) => {
                seen.record(record);
                inconclusive = Some(FindingBuilder::inconclusive(id, &stop));
                continue;
            }
        };
        let end = fall_back(plan, &mut session, first, usual).await;
        let all = session.record.all();
        let at = seen.record(session.record);
        match end {
            Ok(End::Closed(None)) => ends = String::from("the connection ends"),
            Ok(End::Closed(Some(text))) => {
                ends = format!("the server says \"{text}\", and the connection ends")
            }
            // In some protocols only the usual answer to a harmless command shows that the server serves.
            Ok(End::Refuses(text)) if usual.is_none() && !probe_words(plan.protocol).is_empty() => {
                let why = format!(
                    "after a handshake that fails the server answers \"{text}\"; whether that serves a client is \
                     unknown, because its answer to a harmless command before TLS is missing"
                );
                inconclusive = Some(FindingBuilder::new(id, CheckOutcome::Inconclusive, why).at(at, all));
            }
            Ok(End::Refuses(text)) => ends = format!("the server says \"{text}\" and serves nothing"),
            Ok(End::Serves(text)) => {
                let why =
                    format!("after a handshake that failed the server goes on in cleartext: \"{text}\"");
                worst = Some(FindingBuilder::fail(id, why).at(at, all));
            }
            Ok(End::Silent) => {
                let why =
                    "after a handshake that fails the server neither says anything nor ends the connection";
                inconclusive = Some(FindingBuilder::new(id, CheckOutcome::Inconclusive, why).at(at, all));
            }
            Err(stop) => inconclusive = Some(FindingBuilder::inconclusive(id, &stop).at(at, all)),
        }
    }
    seen.push(
        worst
            .or(inconclusive)
            .unwrap_or_else(|| FindingBuilder::pass(id, format!("after a handshake that fails, {ends}"))),
    );
    seen
}

/// Says something harmless instead of the handshake, and if the connection goes on, again: a TLS library may have
/// swallowed it, and an error may be all that there is to its answer.
async fn fall_back(
    plan: &Plan,
    session: &mut CleartextSession,
    first: &[u8],
    usual: Option<&str>,
) -> Result<End, ProbeError> {
    session.agree().await?;
    let mut said = None;
    for (first, wait) in [(first, LISTEN), (b"".as_slice(), plan.reply_timeout())] {
        let words = harmless(plan, &mut |message| session.words(message));
        match session.send(&[first, &words].concat()).await {
            Ok(()) => {}
            Err(ProbeError::Closed(_)) => return Ok(End::Closed(said)),
            Err(stop) => return Err(stop),
        }
        let until = Instant::now() + wait;
        let mut heard = Vec::new();
        loop {
            let (more, closed) = session.hear(QUIET).await;
            let quiet = more.is_empty();
            heard.extend(more);
            let answers = answers(plan, &heard);
            if let Some(text) = answers.iter().find(|text| serves(plan, text, usual)) {
                return Ok(End::Serves(cut(text)));
            }
            if session.is_over() {
                return Err(ProbeError::Deadline);
            }
            if closed {
                return Ok(End::Closed(answers.last().map(|text| cut(text)).or(said)));
            }
            let enough = Instant::now() > until || heard.len() > MAX_HEARD;
            if enough || (quiet && !answers.is_empty()) {
                said = answers.last().map(|text| cut(text)).or(said);
                break;
            }
        }
    }
    Ok(said.map_or(End::Silent, End::Refuses))
}

/// What was heard, an answer each. The alerts that end a handshake are as they should be; what comes behind is not.
fn answers(plan: &Plan, heard: &[u8]) -> Vec<String> {
    let mut rest = heard;
    while let [0x15, _, _, high, low, behind @ ..] = rest {
        rest = behind.get(usize::from(*high) * 256 + usize::from(*low)..).unwrap_or_default();
    }
    cleartext_reply::cut(plan, rest).into_iter().map(|message| shown(plan.protocol, message)).collect()
}

fn serves(plan: &Plan, text: &str, usual: Option<&str>) -> bool {
    let serves = begins(text, plan.profile.served) || usual.is_some_and(|usual| signature(text) == usual);
    serves && !is_final(text)
}

fn cut(text: &str) -> String {
    text.chars().take(100).collect()
}
