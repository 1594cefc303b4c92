//! Sends a command in cleartext and finds the answer that belongs to it.

use std::time::{Duration, Instant};

use starttls::proto::{ClientMessage, Identity, Protocol, ReplyTo};

use super::answers::{is_text, signature};
use crate::channel::{Question, Reply};
use crate::error::ProbeError;
use crate::profile::shows;
use crate::session::CleartextSession;

/// How long a server may take to answer a command that many servers leave unanswered.
pub(super) const SHORT: Duration = Duration::from_millis(500);

/// How long to wait before the next command, so that the order of the answers shows a missing one.
pub(super) const NUDGE: Duration = Duration::from_millis(100);

/// The text of an answer, and of all messages that came with it.
pub(super) struct ReplyText {
    pub(super) own: String,
    all: String,
}

impl ReplyText {
    pub(super) fn of(session: &CleartextSession, reply: &Reply) -> Self {
        Self { own: session.shown(&reply.own), all: session.shown(&reply.all()) }
    }

    pub(super) fn shows(&self, beginnings: &[&str]) -> bool {
        shows(&self.own, &self.all, beginnings)
    }

    pub(super) fn short(&self) -> &str {
        self.own.get(..100).unwrap_or(&self.own)
    }
}

/// Sends a command that servers may leave unanswered, and returns the answer. If the answer to a harmless command is
/// known, the probe sends one after it, so that the order of the answers shows a missing one and not silence.
pub(super) async fn ask(
    session: &mut CleartextSession,
    bytes: &[u8],
    usual: Option<&str>,
    what: &'static str,
) -> Result<Reply, ProbeError> {
    let is_text = is_text(&probe_message(session.protocol));
    let Some(usual) = usual.filter(|_| is_text && !session.is_tagged(bytes)) else {
        return wait_for(session, bytes, what).await;
    };
    let sent = Instant::now();
    session.send(bytes).await?;
    let question = Question { asked: bytes, ..session.question(ReplyTo::Other, what) };
    match session.answer(Question { within: NUDGE, ..question }).await {
        Err(error) if error.is_silence() => {}
        answer => return answer,
    }
    session.write(ClientMessage::Probe).await?;
    // Without the bytes of a question, answers to other questions are not skipped, so that the order shows.
    let reply = session.answer(Question { asked: b"", ..question }).await?;
    if signature(&session.shown(&reply.own)) == usual {
        // A second answer shows that the first one was the slow answer to `bytes`, with the usual text. It arrives at
        // least `NUDGE` after the first one if the path is slow, and later if the server is.
        let within = SHORT.max(sent.elapsed().saturating_mul(4));
        return match session.answer(Question { asked: b"", within, ..question }).await {
            Ok(_) => Ok(reply),
            Err(error) if error.is_silence() => Err(ProbeError::PassedOver(what)),
            Err(error) if error.ends() => {
                let why =
                    format!("the server sends one answer and ends the connection where {what} was expected");
                Err(ProbeError::Unclear(why))
            }
            Err(error) => Err(error),
        };
    }
    // The server was slow, not silent. The answer to the harmless command is still due.
    let _ = session.answer(Question { asked: b"", ..question }).await;
    Ok(reply)
}

/// Sends a command and waits for its answer, which servers delay after a login that fails.
pub(super) async fn wait_for(
    session: &mut CleartextSession,
    bytes: &[u8],
    what: &'static str,
) -> Result<Reply, ProbeError> {
    session.send(bytes).await?;
    session.answer(Question { asked: bytes, ..session.question(ReplyTo::Other, what) }).await
}

/// Returns the no-op of the protocol. A dialect that has written one waits for its answer, so that this one serves no
/// connection.
pub(super) fn probe_message(protocol: &Protocol) -> Vec<u8> {
    let mut message = Vec::new();
    protocol.new_dialect(Identity::new("")).write_client(ClientMessage::Probe, &mut message);
    message
}
