//! Requests in the data of other commands. A server that acts on them splits the bytes into commands differently from a
//! relay in front of it.

use std::time::Duration;

use starttls::proto::{ClientMessage, ReplyTo};

use crate::channel::Question;
use crate::check::id;
use crate::error::ProbeError;
use crate::finding::FindingBuilder;
use crate::plan::Plan;
use crate::probe::answers::signature;
use crate::probe::ask::{NUDGE, SHORT};
use crate::probe::open_session;
use crate::profile::Data;
use crate::record::Log;
use crate::session::CleartextSession;

/// The most answers before the one to a harmless command.
const ANSWERS: usize = 4;

/// How the server treats a request in data.
pub(super) enum RequestInData {
    /// The protocol has no command with data before TLS.
    NoData,
    /// The server reads it as data.
    Kept,
    /// The server acts on the request.
    Acted(FindingBuilder),
    Inconclusive(FindingBuilder),
}

/// Tries every command with data, on one connection as long as that lasts. `usual` is the signature of the answer to a
/// harmless command in cleartext, which shows that the connection is still in cleartext.
pub(super) async fn probe(plan: &Plan, usual: Option<&str>, log: &Log) -> RequestInData {
    let check = id::SRV_INJECT_VARIANTS;
    let mut found = if plan.profile.data.is_empty() { RequestInData::NoData } else { RequestInData::Kept };
    let mut open = None;
    for data in plan.profile.data {
        let mut session = match open.take() {
            Some(session) => session,
            None => match open_session(plan, "requests in the data of other commands", log).await {
                Ok((session, _)) => session,
                Err(error) => {
                    return RequestInData::Inconclusive(FindingBuilder::inconclusive(check, &error));
                }
            },
        };
        match (usual, send(&mut session, data).await) {
            // The server does not accept data before TLS.
            (_, Ok(false)) => open = Some(session),
            (Some(usual), Ok(true)) if still_in_cleartext(&mut session, usual).await => {
                open = Some(session);
            }
            _ => {
                drop(session);
                match upgraded_by(plan, data, log).await {
                    Ok(None) => {}
                    Ok(Some(finding)) => return RequestInData::Acted(finding),
                    Err(error) => {
                        found = RequestInData::Inconclusive(FindingBuilder::inconclusive(check, &error));
                    }
                }
            }
        }
    }
    if let Some(mut session) = open {
        session.quit().await;
    }
    found
}

/// Sends a command with a request in its data, and returns whether the server accepted all of it.
async fn send(session: &mut CleartextSession, data: &Data) -> Result<bool, ProbeError> {
    let request = session.encode(ClientMessage::Request);
    let mut pieces = (data.around)(&request).into_iter().peekable();
    while let Some(piece) = pieces.next() {
        session.send(&piece).await?;
        let wait = if pieces.peek().is_some() { SHORT } else { NUDGE };
        let asked = matches!(answer(session, wait).await?, Some(answer) if answer.starts_with(b"+"));
        if pieces.peek().is_some() && !asked {
            return Ok(false);
        }
    }
    Ok(true)
}

async fn answer(session: &mut CleartextSession, within: Duration) -> Result<Option<Vec<u8>>, ProbeError> {
    let question = Question { within, ..session.question(ReplyTo::Other, "the answer to a command") };
    match session.answer(question).await {
        Ok(reply) => Ok(Some(reply.own)),
        Err(error) if error.is_silence() => Ok(None),
        Err(error) => Err(error),
    }
}

/// Returns whether the server answers a harmless command as usual.
async fn still_in_cleartext(session: &mut CleartextSession, usual: &str) -> bool {
    if session.write(ClientMessage::Probe).await.is_err() {
        return false;
    }
    for _ in 0..ANSWERS {
        match answer(session, SHORT).await {
            Ok(Some(answer)) if signature(&session.shown(&answer)) == usual => return true,
            Ok(Some(_)) => {}
            _ => return false,
        }
    }
    false
}

/// Sends the command alone, and a handshake, which succeeds if the server acts on the request.
async fn upgraded_by(plan: &Plan, data: &Data, log: &Log) -> Result<Option<FindingBuilder>, ProbeError> {
    let purpose = format!("a request in {}, and a handshake", data.name);
    let (mut session, _) = open_session(plan, &purpose, log).await?;
    if send(&mut session, data).await.is_ok() {
        session.listen(SHORT).await;
    }
    session.reply_timeout = plan.handshake_timeout();
    let secured = plan.secure(session).await;
    match secured.map_err(|error| plan.handshake_error(&error)) {
        Err(ProbeError::Handshake(_)) => Ok(None),
        Err(error) => Err(error),
        Ok(mut inside) => {
            inside.quit().await;
            let why = format!("the server acts on a request in {}: a handshake succeeds after it", data.name);
            Ok(Some(FindingBuilder::fail(id::SRV_INJECT_VARIANTS, why).at(inside.record.all())))
        }
    }
}
