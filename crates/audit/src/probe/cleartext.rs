//! What the server does for a client that never asks for TLS.

use std::time::{Duration, Instant};

use starttls::proto::{ClientMessage, Identity, Protocol, ReplyTo, ServerMessage};

use super::answers::{is_text, signature};
use super::{login, open_session};
use crate::channel::{Question, Reply};
use crate::finding::{FindingBuilder, ProbeResult};
use crate::plan::Plan;
use crate::profile::shows;
use crate::report::CheckOutcome;
use crate::session::{CleartextSession, ProbeError};

/// How long a server may take to answer what many servers leave unanswered.
pub(super) const SHORT: Duration = Duration::from_millis(500);

/// How long to wait before asking something else, to see from the order of the answers what is not answered.
pub(super) const NUDGE: Duration = Duration::from_millis(100);

/// An answer in words: the message that answers, and all that came with it.
pub(super) struct Said {
    pub(super) own: String,
    all: String,
}

impl Said {
    pub(super) fn by(session: &CleartextSession, reply: &Reply) -> Self {
        Self { own: session.shown(&reply.own), all: session.shown(&reply.all()) }
    }

    pub(super) fn shows(&self, beginnings: &[&str]) -> bool {
        shows(&self.own, &self.all, beginnings)
    }

    pub(super) fn short(&self) -> &str {
        self.own.get(..100).unwrap_or(&self.own)
    }
}

/// Goes on without TLS. Also says how a harmless command is answered in cleartext, as a signature.
pub(crate) async fn probe(plan: &Plan) -> (ProbeResult, Option<String>) {
    let mut seen = ProbeResult::default();
    let mut session = match plan.open("a client that does not ask for TLS").await {
        Ok(session) => session,
        Err((stop, record)) => {
            seen.record(record);
            seen.push(FindingBuilder::inconclusive("srv-auth-before", &stop));
            seen.push(FindingBuilder::inconclusive("srv-not-enforced", &stop));
            return (seen, None);
        }
    };
    let mut usual = None;
    let (login, command) = match session.read_greeting_and_hello().await {
        Ok(opening) => {
            let words = probe_words(plan.protocol);
            let alone = !(words.is_empty() || is_text(&words));
            let asked = match alone {
                true => harmless_alone(plan, &mut seen).await,
                false => harmless(plan, &mut session).await,
            };
            let has_ended = !alone && asked.as_ref().is_err_and(ProbeError::ends);
            usual = asked.ok();
            let login = match has_ended {
                true => None,
                false => {
                    let usual = usual.as_deref();
                    match login::credentials(plan, &mut session, usual, &opening, &mut seen).await {
                        Ok(login) => Some(login),
                        Err(stop) if alone || words.is_empty() => {
                            Some((login::ended(plan, &session, &opening, &stop), false))
                        }
                        Err(_) => None,
                    }
                }
            };
            let command = match &login {
                Some((_, true)) => served(plan, &mut session, usual.as_deref()).await.ok(),
                _ => None,
            };
            (login.map(|it| it.0), command)
        }
        Err(stop) => {
            let inconclusive = |id| Some(FindingBuilder::inconclusive(id, &stop));
            (inconclusive("srv-auth-before"), inconclusive("srv-not-enforced"))
        }
    };
    session.goodbye().await;
    let at = seen.record(session.record);
    match login {
        Some(finding) => seen.push_shown(finding, at),
        None => login_alone(plan, usual.as_deref(), &mut seen).await,
    }
    match command {
        Some(finding) => seen.push_shown(finding, at),
        None => served_alone(plan, usual.as_deref(), &mut seen).await,
    }
    (seen, usual)
}

/// How this protocol's harmless message looks. A dialect that has written one waits for its answer, so that this one
/// serves no connection.
pub(super) fn probe_words(protocol: &Protocol) -> Vec<u8> {
    let mut words = Vec::new();
    (protocol.dialect)(Identity::new("")).write_client(ClientMessage::Probe, &mut words);
    words
}

/// Sends a login as the first command of a connection. Some servers end a session after any command, so only here does
/// the end show what the server does about a login.
async fn login_alone(plan: &Plan, usual: Option<&str>, seen: &mut ProbeResult) {
    let id = "srv-auth-before";
    let (mut session, opening) =
        match open_session(plan, "a login of a client that does not ask for TLS", seen).await {
            Ok(begun) => begun,
            Err((stop, at)) => return seen.push_shown(FindingBuilder::inconclusive(id, &stop), at),
        };
    let finding = match login::credentials(plan, &mut session, usual, &opening, seen).await {
        Ok((finding, _)) => finding,
        Err(stop) => login::ended(plan, &session, &opening, &stop),
    };
    session.goodbye().await;
    let at = seen.record(session.record);
    seen.push_shown(finding, at);
}

/// Sends a command as the first one of a connection. After a login, the answer to the command could be the late answer to
/// the login, and the end of the session the end that the login caused.
async fn served_alone(plan: &Plan, usual: Option<&str>, seen: &mut ProbeResult) {
    let id = "srv-not-enforced";
    let mut session = match open_session(plan, "a command of a client that does not ask for TLS", seen).await
    {
        Ok((session, _)) => session,
        Err((stop, at)) => return seen.push_shown(FindingBuilder::inconclusive(id, &stop), at),
    };
    let finding = match served(plan, &mut session, usual).await {
        Ok(finding) => finding,
        Err(_) if session.has_heard() => FindingBuilder::pass(id, "the server ends a session without TLS"),
        Err(stop) => FindingBuilder::inconclusive(id, &stop),
    };
    session.goodbye().await;
    let at = seen.record(session.record);
    seen.push_shown(finding, at);
}

/// The same on a connection of its own: a binary protocol's harmless message may begin something that has to be
/// finished first, as PostgreSQL's question for GSSAPI does.
async fn harmless_alone(plan: &Plan, seen: &mut ProbeResult) -> Result<String, ProbeError> {
    let begun = open_session(plan, "a harmless message in cleartext", seen).await;
    let (mut session, _) = begun.map_err(|it| it.0)?;
    let usual = harmless(plan, &mut session).await;
    seen.record(session.record);
    usual
}

async fn harmless(plan: &Plan, session: &mut CleartextSession) -> Result<String, ProbeError> {
    let (message, reply_to) = match plan.profile.harmless {
        ClientMessage::Hello => (ClientMessage::Hello, ReplyTo::Hello),
        _ => (ClientMessage::Probe, ReplyTo::Other),
    };
    let (bytes, what) = (session.words(message), "the answer to a harmless command");
    if bytes.is_empty() {
        return Err(ProbeError::Silent(what));
    }
    session.send(&bytes).await?;
    let reply = session.answer(Question { asked: &bytes, ..session.question(reply_to, what) }).await?;
    Ok(signature(&session.shown(&reply.own)))
}

/// Sends something that servers may leave unanswered, and takes the answer. Where it is known how a harmless command
/// is answered, that one is asked behind it, so that order tells and not silence.
pub(super) async fn ask(
    session: &mut CleartextSession,
    bytes: &[u8],
    usual: Option<&str>,
    what: &'static str,
) -> Result<Reply, ProbeError> {
    let is_text = is_text(&probe_words(session.protocol));
    let Some(usual) = usual.filter(|_| is_text && !session.is_tagged(bytes)) else {
        return wait_for(session, bytes, what).await;
    };
    let sent = Instant::now();
    session.send(bytes).await?;
    let question = Question { asked: bytes, ..session.question(ReplyTo::Other, what) };
    match session.answer(Question { within: NUDGE, ..question }).await {
        Err(stop) if stop.is_silence() => {}
        answer => return answer,
    }
    session.write(ClientMessage::Probe).await?;
    // Whose answer comes first cannot be told where answers to other questions are skipped.
    let reply = session.answer(Question { asked: b"", ..question }).await?;
    if signature(&session.shown(&reply.own)) == usual {
        // A second answer shows that the first one was the slow answer to `bytes`, in the same words as the usual one. It
        // comes at least `NUDGE` after the first one where the path is slow, and later where the server is.
        let within = SHORT.max(sent.elapsed().saturating_mul(4));
        return match session.answer(Question { asked: b"", within, ..question }).await {
            Ok(_) => Ok(reply),
            Err(stop) if stop.is_silence() => Err(ProbeError::PassedOver(what)),
            Err(stop) if stop.ends() => {
                let why = format!("the server gives one answer and ends the connection where {what} belongs");
                Err(ProbeError::Unclear(why))
            }
            Err(stop) => Err(stop),
        };
    }
    // It was slow, not silent; the answer to the harmless command is yet to come.
    let _ = session.answer(Question { asked: b"", ..question }).await;
    Ok(reply)
}

/// Sends something that is answered, however late, as servers delay the answer to a login that fails.
pub(super) async fn wait_for(
    session: &mut CleartextSession,
    bytes: &[u8],
    what: &'static str,
) -> Result<Reply, ProbeError> {
    session.send(bytes).await?;
    session.answer(Question { asked: bytes, ..session.question(ReplyTo::Other, what) }).await
}

/// Sends a command that needs TLS, and judges whether the server does it without TLS.
///
/// # Errors
/// When the server ends the session. Only where no other command came before does that show a refusal.
async fn served(
    plan: &Plan,
    session: &mut CleartextSession,
    usual: Option<&str>,
) -> Result<FindingBuilder, ProbeError> {
    let id = "srv-not-enforced";
    let bytes = session.words(ClientMessage::Other);
    if bytes.is_empty() {
        return Ok(FindingBuilder::new(
            id,
            CheckOutcome::NotApplicable,
            "the protocol does nothing before a login",
        ));
    }
    let what = "the answer to a command";
    let mut answer = ask(session, &bytes, usual, what).await;
    if matches!(answer, Err(ProbeError::Silent(_))) {
        // Servers of XMPP answer each other elsewhere; who takes leave has come past the command.
        session.goodbye().await;
        answer = match session.answer_to(ReplyTo::Other, what).await {
            Err(ProbeError::Closed(_) | ProbeError::Bye(_)) => Err(ProbeError::PassedOver(what)),
            late => late,
        };
    }
    Ok(match answer {
        Ok(Reply { meaning: ServerMessage::TlsRequired, .. }) => {
            FindingBuilder::pass(id, "commands are refused for want of TLS")
        }
        Ok(reply) => {
            let said = Said::by(session, &reply);
            match (said.shows(plan.profile.served), plan.profile.may_serve_cleartext) {
                (false, _) => FindingBuilder::pass(
                    id,
                    format!("a command in cleartext is refused: \"{}\"", said.short()),
                ),
                (true, Some(why)) => FindingBuilder::new(
                    id,
                    CheckOutcome::Info,
                    format!("the server serves cleartext too, {why}"),
                ),
                (true, None) => {
                    let said = said.short();
                    let why = format!("the server serves a client that never asked for TLS: \"{said}\"");
                    login::trusted(session, FindingBuilder::fail(id, why))
                }
            }
        }
        Err(stop) if stop.ends() => return Err(stop),
        Err(ProbeError::PassedOver(_)) => FindingBuilder::new(
            id,
            CheckOutcome::Info,
            "a command in cleartext is passed over, and what comes behind it answered",
        ),
        Err(stop) => FindingBuilder::inconclusive(id, &stop),
    })
}
