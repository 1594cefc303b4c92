//! State that a client sets before TLS: does the server keep it inside TLS?

use std::time::Duration;

use starttls::proto::{ClientMessage, Escaped, Protocol, ReplyTo, ServerMessage};

use super::answers::signature;
use super::ask::ask;
use super::{Context, Cost, Probe, Running};
use crate::channel::Question;
use crate::check::{Check, id};
use crate::error::ProbeError;
use crate::finding::{FindingBuilder, ProbeResult};
use crate::message;
use crate::plan::Plan;
use crate::profile::{Fixation, ProtocolProfile};
use crate::record::Log;
use crate::report::CheckOutcome;
use crate::selection::Selection;
use crate::session::{CleartextSession, TlsSession};

/// How long a server may take to answer the harmless command that follows. After it, silence counts as the answer.
const SILENCE: Duration = Duration::from_secs(1);

/// Sets state in cleartext and looks for it inside TLS, and looks without setting it for comparison.
pub(super) struct StateBeforeTls;

impl Probe for StateBeforeTls {
    fn checks(&self) -> &'static [&'static Check] {
        &[id::SRV_FIXATION]
    }

    fn cost(&self, _: &Selection, protocol: &'static Protocol) -> Cost {
        match ProtocolProfile::of(protocol).fixation {
            Some(fixation) => Cost { failed_login: fixation.is_login, ..Cost::new(2) },
            None => Cost::default(),
        }
    }

    fn run<'a>(&'a self, context: &'a Context<'a>) -> Running<'a> {
        Box::pin(probe(context.plan, context.harmless_reply()))
    }

    fn needs_harmless_reply(&self, selection: &Selection) -> bool {
        self.is_needed(selection)
    }
}

async fn probe(plan: &Plan, usual: Option<&str>) -> ProbeResult {
    let check = id::SRV_FIXATION;
    let Some(fixation) = plan.profile.fixation else {
        let why = "the protocol keeps no state that a client could set before TLS";
        return ProbeResult::of(FindingBuilder::new(check, CheckOutcome::NotApplicable, why));
    };
    let mut result = ProbeResult::default();
    let control = Fixation { state: "", ..fixation };
    let without = look(plan, "control: the same without the state", control, usual, &result.log).await;
    // If the control run shows nothing, the comparison cannot show anything either.
    let with = match &without {
        Err(error) => Err(error.clone()),
        Ok(_) => {
            let purpose = "state set in cleartext, looked for inside TLS";
            look(plan, purpose, fixation, usual, &result.log).await
        }
    };
    let finding = match (with, without) {
        (Ok(with), Ok(without)) if differ(&with, &without, fixation.state) => {
            let [with, without] = [with, without].map(|answers| answers.join("\", \""));
            let why = message::STATE_KEPT.with(&[("with", &with), ("without", &without)]);
            FindingBuilder::fail(check, why)
        }
        (Ok(_), Ok(_)) => {
            FindingBuilder::pass(check, "the server discards state from the cleartext when TLS starts")
        }
        // The control run is served, so the state is what ends this session. A server that turns clients away may
        // have ended it before the state was set.
        (Err(error), Ok(_))
            if (error.ends() && !error.turns_away())
                || matches!(error, ProbeError::Refused | ProbeError::Handshake(_)) =>
        {
            FindingBuilder::pass(check, "the server ends the session after the state was set")
        }
        (Err(error), _) | (_, Err(error)) => FindingBuilder::inconclusive(check, &error),
    };
    let evidence = result.log.all();
    result.push(finding.at_all(evidence));
    result
}

async fn look(
    plan: &Plan,
    purpose: &str,
    fixation: Fixation,
    usual: Option<&str>,
    log: &Log,
) -> Result<Vec<String>, ProbeError> {
    let _place = plan.place().await;
    let mut session = plan.open(purpose, log).await?;
    negotiate(&mut session, fixation.state, usual).await?;
    let mut session = plan.secure(session).await.map_err(|error| plan.handshake_error(&error))?;
    // A command that the server always answers follows one that it may leave unanswered.
    let sentinel = session.encode(ClientMessage::Probe);
    let _ = session.send(&[fixation.question.as_bytes(), &sentinel].concat()).await;
    let answers = answers(plan, &mut session, usual).await;
    session.quit().await;
    answers.map_err(ProbeError::unserved)
}

/// Returns the answer to a command, if the server sends one, and the answer to the harmless command after it. Servers
/// delay the answer to a login that fails, and then the second answer waits for the first.
async fn answers(
    plan: &Plan,
    session: &mut TlsSession,
    usual: Option<&str>,
) -> Result<Vec<String>, ProbeError> {
    let mut answers = Vec::new();
    while answers.len() < 2
        && answers.last().is_none_or(|last: &String| Some(signature(last).as_str()) != usual)
    {
        let what = "the answer to a command inside TLS";
        let within =
            if answers.is_empty() { plan.limits.reply_timeout } else { plan.reply_timeout().min(SILENCE) };
        let question = Question { within, ..session.question(ReplyTo::Other, what) };
        match session.reply(question).await {
            Ok(reply) if reply.meaning == ServerMessage::Bye && answers.is_empty() => {
                return Err(ProbeError::Bye(session.shown(&reply.own)));
            }
            Ok(reply) => answers.push(Escaped(reply.own.trim_ascii_end()).to_string()),
            // A server that turns every client away answers once and ends the session.
            Err(error) if answers.is_empty() || error.ends() => return Err(error),
            Err(_) => break,
        }
    }
    Ok(answers)
}

/// Returns whether the answers differ from those to a client that set no state, or repeat the state.
fn differ(with: &[String], without: &[String], set: &str) -> bool {
    let signatures = |answers: &[String]| answers.iter().map(|it| signature(it)).collect::<Vec<_>>();
    let value = set.split_whitespace().next_back().unwrap_or_default();
    let knows = |answers: &[String]| answers.iter().any(|it| it.contains(value));
    signatures(with) != signatures(without) || (knows(with) && !knows(without))
}

/// Negotiates the upgrade, with a command before the request.
async fn negotiate(
    session: &mut CleartextSession,
    before: &str,
    usual: Option<&str>,
) -> Result<(), ProbeError> {
    session.read_greeting_and_hello().await?;
    if !before.is_empty() {
        match ask(session, before.as_bytes(), usual, "the answer to a command").await {
            Ok(_) | Err(ProbeError::PassedOver(_)) => {}
            Err(error) => return Err(error),
        }
    }
    session.request().await
}

#[cfg(test)]
mod tests {
    use super::differ;

    #[test]
    fn state_shows_in_the_kind_of_an_answer_or_in_the_answer_itself() {
        let all = |lines: &[&str]| lines.iter().map(ToString::to_string).collect::<Vec<_>>();
        let (nick, unregistered) = (":irc.example 451 stprobe :Register", ":irc.example 451 * :Register");
        let pong = ":irc.example PONG irc.example";
        for (with, without, differs) in [
            (&[nick, pong][..], &[unregistered, pong][..], true),
            (&[unregistered, pong], &[unregistered, pong], false),
            (&[":irc.example 001 stprobe :Welcome"], &[pong], true),
            (&["-ERR [AUTH] no", "-ERR"], &["-ERR [AUTH] no", "-ERR"], false),
        ] {
            assert_eq!(differ(&all(with), &all(without), "NICK stprobe\r\n"), differs, "{with:?}");
        }
    }
}
