//! Requests in the data of other commands, where they are none: who takes them reads the same bytes differently
//! from whoever stands before him.

use std::time::Duration;

use starttls::proto::{ClientMessage, ReplyTo};

use super::answers::signature;
use super::begun;
use super::cleartext::{NUDGE, SHORT};
use crate::channel::Question;
use crate::dialogue::{Dialogue, Stop};
use crate::draft::{Draft, Seen};
use crate::plan::Plan;
use crate::words::Data;

/// Answers that may come until a harmless command's own.
const ANSWERS: usize = 4;

/// What came of the data that the protocol has before TLS.
pub(crate) enum Hidden {
    /// It has none.
    Nowhere,
    /// It stays data.
    Kept,
    /// A request in it was taken for one.
    Taken(Draft),
    Untold(Draft),
}

/// Tries every kind of data, on one connection as long as that lasts. `usual` is the signature of the answer to a
/// harmless command in cleartext, which tells that the connection still is.
pub(crate) async fn probe(plan: &Plan, usual: Option<&str>, seen: &mut Seen, id: &'static str) -> Hidden {
    let mut found = if plan.words.data.is_empty() { Hidden::Nowhere } else { Hidden::Kept };
    let mut open = None;
    for data in plan.words.data {
        let mut dialogue = match open.take() {
            Some(dialogue) => dialogue,
            None => match begun(plan, "requests in the data of other commands", seen).await {
                Ok((dialogue, _)) => dialogue,
                Err((stop, _)) => return Hidden::Untold(Draft::untold(id, &stop)),
            },
        };
        match (usual, say(&mut dialogue, data).await) {
            // It does not take data before TLS.
            (_, Ok(false)) => open = Some(dialogue),
            (Some(usual), Ok(true)) if still_in_cleartext(&mut dialogue, usual).await => {
                open = Some(dialogue)
            }
            _ => {
                seen.record(dialogue.record);
                match taken(plan, data, seen, id).await {
                    Ok(None) => {}
                    Ok(Some(draft)) => return Hidden::Taken(draft),
                    Err(stop) => found = Hidden::Untold(Draft::untold(id, &stop)),
                }
            }
        }
    }
    if let Some(mut dialogue) = open {
        dialogue.goodbye().await;
        seen.record(dialogue.record);
    }
    found
}

/// Says a command with a request in its data; whether the server took all of it.
async fn say(dialogue: &mut Dialogue, data: &Data) -> Result<bool, Stop> {
    let request = dialogue.words(ClientMessage::Request);
    let mut pieces = (data.around)(&request).into_iter().peekable();
    while let Some(piece) = pieces.next() {
        dialogue.send(&piece).await?;
        let wait = if pieces.peek().is_some() { SHORT } else { NUDGE };
        let asked = matches!(answer(dialogue, wait).await?, Some(answer) if answer.starts_with(b"+"));
        if pieces.peek().is_some() && !asked {
            return Ok(false);
        }
    }
    Ok(true)
}

async fn answer(dialogue: &mut Dialogue, within: Duration) -> Result<Option<Vec<u8>>, Stop> {
    let question = Question { within, ..dialogue.question(ReplyTo::Other, "the answer to a command") };
    match dialogue.answer(question).await {
        Ok(reply) => Ok(Some(reply.own)),
        Err(stop) if stop.is_silence() => Ok(None),
        Err(stop) => Err(stop),
    }
}

/// Whether a harmless command is answered as ever.
async fn still_in_cleartext(dialogue: &mut Dialogue, usual: &str) -> bool {
    if dialogue.write(ClientMessage::Probe).await.is_err() {
        return false;
    }
    for _ in 0..ANSWERS {
        match answer(dialogue, SHORT).await {
            Ok(Some(answer)) if signature(&dialogue.shown(&answer)) == usual => return true,
            Ok(Some(_)) => {}
            _ => return false,
        }
    }
    false
}

/// The same alone, and a handshake: it succeeds if the request was taken for one.
async fn taken(plan: &Plan, data: &Data, seen: &mut Seen, id: &'static str) -> Result<Option<Draft>, Stop> {
    let purpose = format!("a request in {}, and a handshake", data.name);
    let (mut dialogue, _) = begun(plan, &purpose, seen).await.map_err(|it| it.0)?;
    if say(&mut dialogue, data).await.is_ok() {
        dialogue.listen(SHORT).await;
    }
    dialogue.patience = plan.doubt();
    match dialogue.secure(&plan.connectors.open, &plan.server_name, plan.identity()).await {
        Err((error, record)) => {
            seen.record(record);
            match plan.unshaken(&error) {
                Stop::Unshaken(_) => Ok(None),
                stop => Err(stop),
            }
        }
        Ok(mut inside) => {
            inside.goodbye().await;
            let all = inside.record.all();
            let at = seen.record(inside.record);
            let why = format!("a request in {} is taken for one: a handshake succeeds behind it", data.name);
            Ok(Some(Draft::fail(id, why).at(at, all)))
        }
    }
}
