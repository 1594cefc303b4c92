//! A client that never requests TLS: does the server accept its login, or execute its commands?

use starttls::proto::{ClientMessage, Protocol, ReplyTo, ServerMessage};

use super::answers::{is_text, signature};
use super::ask::{ReplyText, ask, probe_message};
use super::{Context, Cost, PROBES, Probe, Running, Turn, login, open_session};
use crate::channel::{Question, Reply};
use crate::check::{Check, id};
use crate::error::ProbeError;
use crate::finding::{FindingBuilder, ProbeResult};
use crate::message;
use crate::plan::Plan;
use crate::profile::ProtocolProfile;
use crate::record::Log;
use crate::report::CheckOutcome;
use crate::selection::Selection;
use crate::session::CleartextSession;

/// Continues without TLS. Also learns how the server answers a harmless command in cleartext, for other probes.
pub(super) struct Cleartext;

impl Probe for Cleartext {
    fn checks(&self) -> &'static [&'static Check] {
        &[id::SRV_AUTH_BEFORE, id::SRV_NOT_ENFORCED]
    }

    fn cost(&self, selection: &Selection, protocol: &'static Protocol) -> Cost {
        let login = selection.wants(id::SRV_AUTH_BEFORE);
        let command = selection.wants(id::SRV_NOT_ENFORCED);
        let alone = is_asked_alone(protocol);
        let session = u32::from(login || command || !alone);
        // The same login inside TLS, where its refusal in cleartext is ambiguous.
        let compared = u32::from(login && !ProtocolProfile::of(protocol).rejections.is_empty());
        let again = u32::from(login) + u32::from(command);
        Cost { failed_login: login, ..Cost::new(session + u32::from(alone) + again + compared) }
    }

    fn run<'a>(&'a self, context: &'a Context<'a>) -> Running<'a> {
        Box::pin(probe(context))
    }

    fn turn(&self) -> Turn {
        Turn::First
    }

    fn is_needed(&self, selection: &Selection) -> bool {
        selection.wants_any(self.checks()) || PROBES.iter().any(|it| it.needs_harmless_reply(selection))
    }
}

async fn probe(context: &Context<'_>) -> ProbeResult {
    let plan = context.plan;
    let mut result = ProbeResult::default();
    let wanted = |check: &Check| plan.selection.wants(check);
    let alone = is_asked_alone(plan.protocol);
    let alone_reply = match alone {
        true => Some(harmless_alone(plan, &result.log).await),
        false => None,
    };
    if let Some(Ok(reply)) = &alone_reply {
        let _ = context.harmless_reply.set(reply.clone());
    }
    if alone && !plan.selection.wants_any(Cleartext.checks()) {
        return result;
    }
    let opened = open_session(plan, "a client that does not request TLS", &result.log).await;
    let (mut session, opening) = match opened {
        Ok(opened) => opened,
        Err(error) => {
            for check in Cleartext.checks() {
                result.push_with_last(FindingBuilder::inconclusive(check, &error));
            }
            return result;
        }
    };
    // Whether the server's next answer belongs to the client's next command.
    let mut in_step = true;
    if !alone {
        match harmless(plan, &mut session).await {
            Ok(reply) => drop(context.harmless_reply.set(reply)),
            Err(error) => in_step = !error.ends(),
        }
    }
    let usual = context.harmless_reply();
    let (mut login, mut command) = (None, None);
    if in_step && wanted(id::SRV_AUTH_BEFORE) {
        match login::credentials(plan, &mut session, usual, &opening, &result.log).await {
            Ok((finding, is_in_step)) => (login, in_step) = (Some(finding), is_in_step),
            Err(error) => {
                in_step = false;
                // Only here is the login the first command of the session.
                if alone || probe_message(plan.protocol).is_empty() {
                    login = Some(login::ended(plan, &session, &opening, &error));
                }
            }
        }
    }
    if in_step && wanted(id::SRV_NOT_ENFORCED) {
        command = served(plan, &mut session, usual).await.ok();
    }
    session.quit().await;
    let at = session.record.all();
    if wanted(id::SRV_AUTH_BEFORE) {
        result.push(match login {
            Some(finding) => finding.at(at),
            None => conclude(id::SRV_AUTH_BEFORE, login_alone(plan, usual, &result.log).await, &result.log),
        });
    }
    if wanted(id::SRV_NOT_ENFORCED) {
        let finding = match command {
            Some(finding) => finding.at(at),
            None => conclude(id::SRV_NOT_ENFORCED, served_alone(plan, usual, &result.log).await, &result.log),
        };
        let _ = context.is_enforced.set(finding.outcome == CheckOutcome::Pass);
        result.push(finding);
    }
    result
}

/// Turns an error into an inconclusive finding with the transcript of the latest connection.
fn conclude(check: &'static Check, finding: Result<FindingBuilder, ProbeError>, log: &Log) -> FindingBuilder {
    finding.unwrap_or_else(|error| FindingBuilder::inconclusive(check, &error).at_all(log.last()))
}

/// Returns whether the harmless command needs a connection of its own. In a binary protocol it may begin something that
/// has to be finished first, as PostgreSQL's request for GSSAPI does.
fn is_asked_alone(protocol: &Protocol) -> bool {
    let message = probe_message(protocol);
    !(message.is_empty() || is_text(&message))
}

/// Sends a login as the first command of a connection. Some servers end a session after any command, so only here does
/// the end show how the server treats a login.
async fn login_alone(plan: &Plan, usual: Option<&str>, log: &Log) -> Result<FindingBuilder, ProbeError> {
    let (mut session, opening) =
        open_session(plan, "a login of a client that does not request TLS", log).await?;
    let finding = match login::credentials(plan, &mut session, usual, &opening, log).await {
        Ok((finding, _)) => finding,
        Err(error) => login::ended(plan, &session, &opening, &error),
    };
    session.quit().await;
    Ok(finding.at(session.record.all()))
}

/// Sends a command as the first one of a connection. After a login, the answer to the command could be the late answer to
/// the login, and the end of the session the end that the login caused.
async fn served_alone(plan: &Plan, usual: Option<&str>, log: &Log) -> Result<FindingBuilder, ProbeError> {
    let check = id::SRV_NOT_ENFORCED;
    let (mut session, _) = open_session(plan, "a command of a client that does not request TLS", log).await?;
    let finding = match served(plan, &mut session, usual).await {
        Ok(finding) => finding,
        Err(_) if session.has_received() => {
            FindingBuilder::pass(check, "the server ends a session without TLS")
        }
        Err(error) => FindingBuilder::inconclusive(check, &error),
    };
    session.quit().await;
    Ok(finding.at(session.record.all()))
}

async fn harmless_alone(plan: &Plan, log: &Log) -> Result<String, ProbeError> {
    let (mut session, _) = open_session(plan, "a harmless message in cleartext", log).await?;
    harmless(plan, &mut session).await
}

/// Returns the signature of the answer to a harmless command in cleartext.
async fn harmless(plan: &Plan, session: &mut CleartextSession) -> Result<String, ProbeError> {
    let (message, reply_to) = match plan.profile.harmless {
        ClientMessage::Hello => (ClientMessage::Hello, ReplyTo::Hello),
        _ => (ClientMessage::Probe, ReplyTo::Other),
    };
    let (bytes, what) = (session.encode(message), "the answer to a harmless command");
    if bytes.is_empty() {
        return Err(ProbeError::Silent(what));
    }
    session.send(&bytes).await?;
    let reply = session.answer(Question { asked: &bytes, ..session.question(reply_to, what) }).await?;
    Ok(signature(&session.shown(&reply.own)))
}

/// Sends a command that needs TLS, and judges whether the server executes it without TLS.
///
/// # Errors
/// If the server ends the session. That shows a refusal only if the command was the first one.
async fn served(
    plan: &Plan,
    session: &mut CleartextSession,
    usual: Option<&str>,
) -> Result<FindingBuilder, ProbeError> {
    let check = id::SRV_NOT_ENFORCED;
    let bytes = session.encode(ClientMessage::Other);
    if bytes.is_empty() {
        return Ok(FindingBuilder::new(
            check,
            CheckOutcome::NotApplicable,
            "the protocol does nothing before a login",
        ));
    }
    let what = "the answer to a command";
    let mut answer = ask(session, &bytes, usual, what).await;
    if matches!(answer, Err(ProbeError::Silent(_))) {
        // Servers of XMPP answer each other on another connection. The answer to the end of the session comes after the
        // command.
        session.quit().await;
        answer = match session.answer_to(ReplyTo::Other, what).await {
            Err(ProbeError::Closed(_) | ProbeError::Bye(_)) => Err(ProbeError::PassedOver(what)),
            late => late,
        };
    }
    Ok(match answer {
        Ok(Reply { meaning: ServerMessage::TlsRequired, .. }) => {
            FindingBuilder::pass(check, "the server refuses commands before TLS")
        }
        Ok(reply) => {
            let text = ReplyText::of(session, &reply);
            match (text.shows(plan.profile.served), plan.profile.may_serve_cleartext) {
                (false, _) => FindingBuilder::pass(
                    check,
                    message::COMMAND_REFUSED_WITH.with(&[("text", &text.short())]),
                ),
                (true, Some(why)) => FindingBuilder::new(
                    check,
                    CheckOutcome::Info,
                    message::SERVES_CLEARTEXT_TOO.with(&[("why", &why)]),
                ),
                (true, None) => {
                    let text = text.short();
                    let why = message::SERVED_WITHOUT_TLS.with(&[("text", &text)]);
                    login::trusted(session, FindingBuilder::fail(check, why))
                }
            }
        }
        Err(error) if error.ends() => return Err(error),
        Err(ProbeError::PassedOver(_)) => FindingBuilder::new(
            check,
            CheckOutcome::Info,
            "the server does not answer a command in cleartext, and answers the next one",
        ),
        Err(error) => FindingBuilder::inconclusive(check, &error),
    })
}
