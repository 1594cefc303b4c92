//! What the server keeps inside TLS of what was said before.

use std::time::Duration;

use starttls::proto::{ClientMessage, Escaped, ReplyTo, ServerMessage};

use super::answers::signature;
use super::cleartext::ask;
use crate::channel::Question;
use crate::finding::{FindingBuilder, ProbeResult};
use crate::plan::Plan;
use crate::report::CheckOutcome;
use crate::session::{CleartextSession, ProbeError, TlsSession};

/// How long a server may take to answer the harmless command that follows. After it, silence counts as the answer.
const SILENCE: Duration = Duration::from_secs(1);

/// Sets state in cleartext and looks for it inside TLS; and looks without setting it, for comparison.
pub(crate) async fn probe(plan: &Plan, usual: Option<&str>) -> ProbeResult {
    let id = "srv-fixation";
    let mut seen = ProbeResult::default();
    let Some((before, inside)) = plan.profile.fixation else {
        seen.push(FindingBuilder::new(
            id,
            CheckOutcome::NotApplicable,
            "the protocol keeps nothing that could be set before TLS",
        ));
        return seen;
    };
    let without = look(plan, "control: the same without the state", ("", usual), inside, &mut seen).await;
    // What is not answered without the state tells nothing with it.
    let with = match &without {
        Err(stop) => Err(stop.clone()),
        Ok(_) => {
            let purpose = "state set in cleartext, looked for inside TLS";
            look(plan, purpose, (before, usual), inside, &mut seen).await
        }
    };
    let (first, second) = (seen.records.first().map(|it| it.all()), seen.records.get(1).map(|it| it.all()));
    let finding = match (with, without) {
        (Ok(with), Ok(without)) if differ(&with, &without, before) => {
            let [with, without] = [with, without].map(|answers| answers.join("\", \""));
            let why = format!("\"{with}\" instead of \"{without}\"");
            FindingBuilder::fail(id, format!("what was said in cleartext still holds inside TLS: {why}"))
        }
        (Ok(_), Ok(_)) => FindingBuilder::pass(id, "what was said in cleartext is forgotten inside TLS"),
        // The control run is served, so the state is what ends this session. A server that turns clients away may
        // have ended it before the state was set.
        (Err(stop), Ok(_))
            if (stop.ends() && !stop.turns_away())
                || matches!(stop, ProbeError::Refused | ProbeError::Unshaken(_)) =>
        {
            FindingBuilder::pass(id, "the server does not go on after it")
        }
        (Err(stop), _) | (_, Err(stop)) => FindingBuilder::inconclusive(id, &stop),
    };
    let finding = first.into_iter().fold(finding, |finding, mark| finding.at(0, mark));
    seen.push(second.into_iter().fold(finding, |finding, mark| finding.at(1, mark)));
    seen
}

async fn look(
    plan: &Plan,
    purpose: &str,
    (before, usual): (&str, Option<&str>),
    inside: &str,
    seen: &mut ProbeResult,
) -> Result<Vec<String>, ProbeError> {
    let _place = plan.place().await;
    let mut session = match plan.open(purpose).await {
        Ok(session) => session,
        Err((stop, record)) => {
            seen.record(record);
            return Err(stop);
        }
    };
    if let Err(stop) = agree(&mut session, before, usual).await {
        seen.record(session.record);
        return Err(stop);
    }
    match session.secure(&plan.connectors.open, &plan.server_name, plan.identity()).await {
        Ok(mut session) => {
            // A command that the server always answers follows one that it may leave unanswered.
            let sentinel = session.words(ClientMessage::Probe);
            let _ = session.send(&[inside.as_bytes(), &sentinel].concat()).await;
            let answers = answers(plan, &mut session, usual).await;
            session.goodbye().await;
            seen.record(session.record);
            answers.map_err(ProbeError::unserved)
        }
        Err((error, record)) => {
            seen.record(record);
            Err(plan.unshaken(&error))
        }
    }
}

/// The answer to a command, if there is one, and that to the harmless one behind it. Servers delay the answer to a
/// login that fails, and the other one waits for it.
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
            // A server that turns everybody away answers once, and ends.
            Err(stop) if answers.is_empty() || stop.ends() => return Err(stop),
            Err(_) => break,
        }
    }
    Ok(answers)
}

/// Whether the answers are others than those to a client that set nothing, or know what was set.
fn differ(with: &[String], without: &[String], set: &str) -> bool {
    let signatures = |answers: &[String]| answers.iter().map(|it| signature(it)).collect::<Vec<_>>();
    let value = set.split_whitespace().next_back().unwrap_or_default();
    let knows = |answers: &[String]| answers.iter().any(|it| it.contains(value));
    signatures(with) != signatures(without) || (knows(with) && !knows(without))
}

/// The upgrade, with a command before the request.
async fn agree(session: &mut CleartextSession, before: &str, usual: Option<&str>) -> Result<(), ProbeError> {
    session.read_greeting_and_hello().await?;
    if !before.is_empty() {
        match ask(session, before.as_bytes(), usual, "the answer to a command").await {
            Ok(_) | Err(ProbeError::PassedOver(_)) => {}
            Err(stop) => return Err(stop),
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
        let (nick, nobody) = (":irc.example 451 stprobe :Register", ":irc.example 451 * :Register");
        let pong = ":irc.example PONG irc.example";
        for (with, without, differs) in [
            (&[nick, pong][..], &[nobody, pong][..], true),
            (&[nobody, pong], &[nobody, pong], false),
            (&[":irc.example 001 stprobe :Welcome"], &[pong], true),
            (&["-ERR [AUTH] no", "-ERR"], &["-ERR [AUTH] no", "-ERR"], false),
        ] {
            assert_eq!(differ(&all(with), &all(without), "NICK stprobe\r\n"), differs, "{with:?}");
        }
    }
}
