//! Requests in the data of other commands, where they are none: who takes them reads the same bytes differently
//! from whoever stands before him.

use std::time::Duration;

use starttls::proto::{ClientMessage, ReplyTo};

use crate::channel::Question;
use crate::finding::{FindingBuilder, ProbeResult};
use crate::plan::Plan;
use crate::probe::answers::signature;
use crate::probe::cleartext::{NUDGE, SHORT};
use crate::probe::open_session;
use crate::profile::Data;
use crate::session::{CleartextSession, ProbeError};

/// Answers that may come until a harmless command's own.
const ANSWERS: usize = 4;

/// What came of the data that the protocol has before TLS.
pub(crate) enum RequestInData {
    /// It has none.
    Nowhere,
    /// It stays data.
    Kept,
    /// A request in it was taken for one.
    Taken(FindingBuilder),
    Inconclusive(FindingBuilder),
}

/// Tries every kind of data, on one connection as long as that lasts. `usual` is the signature of the answer to a
/// harmless command in cleartext, which tells that the connection still is.
pub(crate) async fn probe(
    plan: &Plan,
    usual: Option<&str>,
    seen: &mut ProbeResult,
    id: &'static str,
) -> RequestInData {
    let mut found = if plan.profile.data.is_empty() { RequestInData::Nowhere } else { RequestInData::Kept };
    let mut open = None;
    for data in plan.profile.data {
        let mut session = match open.take() {
            Some(session) => session,
            None => match open_session(plan, "requests in the data of other commands", seen).await {
                Ok((session, _)) => session,
                Err((stop, _)) => {
                    return RequestInData::Inconclusive(FindingBuilder::inconclusive(id, &stop));
                }
            },
        };
        match (usual, say(&mut session, data).await) {
            // It does not take data before TLS.
            (_, Ok(false)) => open = Some(session),
            (Some(usual), Ok(true)) if still_in_cleartext(&mut session, usual).await => open = Some(session),
            _ => {
                seen.record(session.record);
                match taken(plan, data, seen, id).await {
                    Ok(None) => {}
                    Ok(Some(finding)) => return RequestInData::Taken(finding),
                    Err(stop) => found = RequestInData::Inconclusive(FindingBuilder::inconclusive(id, &stop)),
                }
            }
        }
    }
    if let Some(mut session) = open {
        session.goodbye().await;
        seen.record(session.record);
    }
    found
}

/// Says a command with a request in its data; whether the server took all of it.
async fn say(session: &mut CleartextSession, data: &Data) -> Result<bool, ProbeError> {
    let request = session.words(ClientMessage::Request);
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
        Err(stop) if stop.is_silence() => Ok(None),
        Err(stop) => Err(stop),
    }
}

/// Whether a harmless command is answered as ever.
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

/// The same alone, and a handshake: it succeeds if the request was taken for one.
async fn taken(
    plan: &Plan,
    data: &Data,
    seen: &mut ProbeResult,
    id: &'static str,
) -> Result<Option<FindingBuilder>, ProbeError> {
    let purpose = format!("a request in {}, and a handshake", data.name);
    let (mut session, _) = open_session(plan, &purpose, seen).await.map_err(|it| it.0)?;
    if say(&mut session, data).await.is_ok() {
        session.listen(SHORT).await;
    }
    session.reply_timeout = plan.handshake_timeout();
    match session.secure(&plan.connectors.open, &plan.server_name, plan.identity()).await {
        Err((error, record)) => {
            seen.record(record);
            match plan.unshaken(&error) {
                ProbeError::Unshaken(_) => Ok(None),
                stop => Err(stop),
            }
        }
        Ok(mut inside) => {
            inside.goodbye().await;
            let all = inside.record.all();
            let at = seen.record(inside.record);
            let why = format!("a request in {} is taken for one: a handshake succeeds behind it", data.name);
            Ok(Some(FindingBuilder::fail(id, why).at(at, all)))
        }
    }
}
