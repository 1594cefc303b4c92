//! After the go-ahead, other bytes than a ClientHello: the connection has to end there.

use std::time::{Duration, Instant};

use starttls::proto::Protocol;

use super::answers::{harmless, harmless_is_login, shown, signature};
use super::ask::probe_message;
use super::injection::cleartext_reply;
use super::{Context, Cost, Probe, Running, Turn};
use crate::check::{Check, id};
use crate::error::ProbeError;
use crate::finding::{FindingBuilder, ProbeResult};
use crate::message;
use crate::plan::Plan;
use crate::profile::{begins, is_final};
use crate::record::Log;
use crate::report::CheckOutcome;
use crate::selection::Selection;
use crate::session::CleartextSession;

/// A fatal alert, handshake_failure, as a client sends it that cannot continue (RFC 8446 section 6.2).
const ALERT: &[u8] = b"\x15\x03\x01\x00\x02\x02\x28";

/// How long a server may take to react before the probe sends another command.
const LISTEN: Duration = Duration::from_millis(700);

/// After an answer, the silence that ends it.
const QUIET: Duration = Duration::from_millis(100);

/// The most octets that the probe reads.
const MAX_RECEIVED: usize = 64 * 1024;

/// What a server does after a handshake that failed.
enum End {
    /// It ends the connection, after this last message.
    Closed(Option<String>),
    /// It serves in cleartext with this answer.
    Serves(String),
    /// It refuses every command, and keeps the connection.
    Refuses(String),
    /// It sends nothing, and keeps the connection.
    Silent,
}

/// Sends cleartext, and an alert with cleartext after it, instead of the ClientHello.
pub(super) struct Fallback;

impl Probe for Fallback {
    fn checks(&self) -> &'static [&'static Check] {
        &[id::SRV_HS_FALLBACK]
    }

    fn cost(&self, _: &Selection, protocol: &'static Protocol) -> Cost {
        let connections = failures(protocol).count() as u32;
        Cost { failed_login: harmless_is_login(protocol), ..Cost::new(connections) }
    }

    fn run<'a>(&'a self, context: &'a Context<'a>) -> Running<'a> {
        Box::pin(probe(context.plan, context.harmless_reply()))
    }

    fn turn(&self) -> Turn {
        Turn::Alone
    }

    fn needs_harmless_reply(&self, selection: &Selection) -> bool {
        self.is_needed(selection)
    }
}

/// Returns the failed handshakes that the probe tries: the purpose of the connection, and the octets before cleartext. Where
/// the ClientHello is the request, cleartext in its place is a session without a request.
fn failures(protocol: &Protocol) -> impl Iterator<Item = (&'static str, &'static [u8])> {
    let cleartext = ("cleartext instead of a ClientHello", b"".as_slice());
    let first = Some(cleartext).filter(|_| !protocol.flow.client_hello_is_request);
    first.into_iter().chain([("an alert instead of a ClientHello, then cleartext", ALERT)])
}

async fn probe(plan: &Plan, usual: Option<&str>) -> ProbeResult {
    let check = id::SRV_HS_FALLBACK;
    let mut result = ProbeResult::default();
    let (mut worst, mut inconclusive, mut ends) = (None, None, String::new());
    for (purpose, first) in failures(plan.protocol) {
        let _place = plan.place().await;
        let end = one_connection(plan, purpose, first, usual, &result.log).await;
        let at = result.log.last();
        match end {
            Ok(End::Closed(None)) => ends = String::from("the server ends the connection"),
            Ok(End::Closed(Some(text))) => {
                ends = format!("the server sends \"{text}\" and ends the connection")
            }
            // In some protocols only the usual answer to a harmless command shows that the server serves.
            Ok(End::Refuses(text)) if usual.is_none() && !probe_message(plan.protocol).is_empty() => {
                let why = format!(
                    "after a handshake that fails the server answers \"{text}\"; whether that serves a client is \
                     unknown, because its answer to a harmless command before TLS is missing"
                );
                inconclusive = Some(FindingBuilder::new(check, CheckOutcome::Inconclusive, why).at_all(at));
            }
            Ok(End::Refuses(text)) => ends = format!("the server sends \"{text}\" and refuses every command"),
            Ok(End::Serves(text)) => {
                let why = message::FALLS_BACK.with(&[("text", &text)]);
                worst = Some(FindingBuilder::fail(check, why).at_all(at));
            }
            Ok(End::Silent) => {
                let why = "after a handshake that fails the server neither answers nor ends the connection";
                inconclusive = Some(FindingBuilder::new(check, CheckOutcome::Inconclusive, why).at_all(at));
            }
            Err(error) => inconclusive = Some(FindingBuilder::inconclusive(check, &error).at_all(at)),
        }
    }
    let pass = || FindingBuilder::pass(check, format!("after a handshake that fails, {ends}"));
    result.push(worst.or(inconclusive).unwrap_or_else(pass));
    result
}

async fn one_connection(
    plan: &Plan,
    purpose: &str,
    first: &[u8],
    usual: Option<&str>,
    log: &Log,
) -> Result<End, ProbeError> {
    let mut session = plan.open(purpose, log).await?;
    fall_back(plan, &mut session, first, usual).await
}

/// Sends a harmless command instead of the handshake, and another one if the connection stays open: a TLS library may
/// have consumed the first one, and its answer may be an error only.
async fn fall_back(
    plan: &Plan,
    session: &mut CleartextSession,
    first: &[u8],
    usual: Option<&str>,
) -> Result<End, ProbeError> {
    session.negotiate().await?;
    let mut last = None;
    for (first, wait) in [(first, LISTEN), (b"".as_slice(), plan.reply_timeout())] {
        let words = harmless(plan, &mut |message| session.encode(message));
        match session.send(&[first, &words].concat()).await {
            Ok(()) => {}
            Err(ProbeError::Closed(_)) => return Ok(End::Closed(last)),
            Err(error) => return Err(error),
        }
        let until = Instant::now() + wait;
        let mut received = Vec::new();
        loop {
            let (more, closed) = session.receive(QUIET).await;
            let quiet = more.is_empty();
            received.extend(more);
            let answers = answers(plan, &received);
            if let Some(text) = answers.iter().find(|text| serves(plan, text, usual)) {
                return Ok(End::Serves(cut(text)));
            }
            if session.is_over() {
                return Err(ProbeError::Deadline);
            }
            if closed {
                return Ok(End::Closed(answers.last().map(|text| cut(text)).or(last)));
            }
            let enough = Instant::now() > until || received.len() > MAX_RECEIVED;
            if enough || (quiet && !answers.is_empty()) {
                last = answers.last().map(|text| cut(text)).or(last);
                break;
            }
        }
    }
    Ok(last.map_or(End::Silent, End::Refuses))
}

/// Splits what was received into answers, without the alerts that end a handshake.
fn answers(plan: &Plan, received: &[u8]) -> Vec<String> {
    let mut rest = received;
    while let [0x15, _, _, high, low, after @ ..] = rest {
        rest = after.get(usize::from(*high) * 256 + usize::from(*low)..).unwrap_or_default();
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
