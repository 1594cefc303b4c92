//! What the server does for a client that never asks for TLS, and what it keeps of what was said before.

use std::time::Duration;

use starttls::proto::{ClientMessage, Escaped, ReplyTo, ServerMessage};

use super::answers::{is_text, signature};
use super::mechanisms;
use crate::dialogue::{Dialogue, Inside, Opening, Stop};
use crate::draft::{Draft, Seen};
use crate::plan::Plan;
use crate::report::Outcome;
use crate::words::begins;

/// How long a server may take to answer what many servers leave unanswered.
pub(super) const SHORT: Duration = Duration::from_millis(500);

/// How long to wait before asking something else, to see from the order of the answers what is not answered.
pub(super) const NUDGE: Duration = Duration::from_millis(100);

/// How long a server may take inside TLS; silence is an answer where state is looked for.
const SILENCE: Duration = Duration::from_secs(1);

/// The answer in words, or the text itself.
pub(super) fn shown(dialogue: &Dialogue, bytes: &[u8]) -> String {
    dialogue.describe(bytes).unwrap_or_else(|| Escaped(bytes.trim_ascii_end()).to_string())
}

/// Goes on without TLS. Also says how a harmless command is answered in cleartext, as a signature.
pub(crate) async fn probe(plan: &Plan) -> (Seen, Option<String>) {
    let mut seen = Seen::default();
    let mut dialogue = match plan.open("a client that does not ask for TLS").await {
        Ok(dialogue) => dialogue,
        Err((stop, record)) => {
            seen.record(record);
            seen.push(Draft::untold("srv-auth-before", &stop));
            seen.push(Draft::untold("srv-not-enforced", &stop));
            return (seen, None);
        }
    };
    let mut usual = None;
    let (login, command) = match dialogue.open_up().await {
        Ok(opening) => {
            let words = dialogue.words(ClientMessage::Probe);
            usual = match words.is_empty() || is_text(&words) {
                true => harmless(plan, &mut dialogue).await,
                false => harmless_alone(plan, &mut seen).await,
            };
            let (login, in_step) = credentials(plan, &mut dialogue, usual.as_deref(), &opening).await;
            (login, if in_step { Some(served(plan, &mut dialogue, usual.as_deref()).await) } else { None })
        }
        Err(stop) => {
            (Draft::untold("srv-auth-before", &stop), Some(Draft::untold("srv-not-enforced", &stop)))
        }
    };
    dialogue.goodbye().await;
    let all = dialogue.record.all();
    let at = seen.record(dialogue.record);
    seen.push(login.at(at, all));
    match command {
        Some(draft) => seen.push(draft.at(at, all)),
        None => served_alone(plan, usual.as_deref(), &mut seen).await,
    }
    (seen, usual)
}

/// A command where no login came before it, whose answer could be taken for its own, or whose end for its end.
async fn served_alone(plan: &Plan, usual: Option<&str>, seen: &mut Seen) {
    let id = "srv-not-enforced";
    let mut dialogue = match plan.open("a command of a client that does not ask for TLS").await {
        Ok(dialogue) => dialogue,
        Err((stop, record)) => {
            seen.record(record);
            return seen.push(Draft::untold(id, &stop));
        }
    };
    let draft = match dialogue.open_up().await {
        Ok(_) => served(plan, &mut dialogue, usual).await,
        Err(stop) => Draft::untold(id, &stop),
    };
    dialogue.goodbye().await;
    let at = seen.record(dialogue.record);
    seen.push_shown(draft, at);
}

/// The same on a connection of its own: a binary protocol's harmless message may begin something that has to be
/// finished first, as PostgreSQL's question for GSSAPI does.
async fn harmless_alone(plan: &Plan, seen: &mut Seen) -> Option<String> {
    let mut dialogue = plan.open("a harmless message in cleartext").await.ok()?;
    let usual = match dialogue.open_up().await {
        Ok(_) => harmless(plan, &mut dialogue).await,
        Err(_) => None,
    };
    seen.record(dialogue.record);
    usual
}

async fn harmless(plan: &Plan, dialogue: &mut Dialogue) -> Option<String> {
    let (message, reply_to) = match plan.words.harmless {
        ClientMessage::Hello => (ClientMessage::Hello, ReplyTo::Hello),
        _ => (ClientMessage::Probe, ReplyTo::Other),
    };
    let bytes = dialogue.words(message);
    if bytes.is_empty() {
        return None;
    }
    dialogue.send(&bytes).await.ok()?;
    let (_, answer) = dialogue.answer(reply_to, "the answer to a harmless command").await.ok()?;
    Some(signature(&shown(dialogue, &answer)))
}

/// Sends something that servers may leave unanswered, and takes the answer. Where it is known how a harmless command
/// is answered, that one is asked behind it, so that order tells and not silence.
async fn ask(
    dialogue: &mut Dialogue,
    bytes: &[u8],
    usual: Option<&str>,
    what: &'static str,
) -> Result<(ServerMessage, Vec<u8>), Stop> {
    let nudge = dialogue.words(ClientMessage::Probe);
    let Some(usual) = usual.filter(|_| is_text(&nudge)) else { return wait_for(dialogue, bytes, what).await };
    dialogue.send(bytes).await?;
    match dialogue.answer_within(ReplyTo::Other, what, NUDGE).await {
        Err(Stop::Silent(_)) => {}
        answer => return answer,
    }
    dialogue.send(&nudge).await?;
    let (meaning, answer) = dialogue.answer(ReplyTo::Other, what).await?;
    if signature(&shown(dialogue, &answer)) == usual {
        return Err(Stop::PassedOver(what));
    }
    // It was slow, not silent; the answer to the harmless command is yet to come.
    let _ = dialogue.answer(ReplyTo::Other, what).await;
    Ok((meaning, answer))
}

/// Sends something that is answered, however late, as servers delay the answer to a login that fails.
async fn wait_for(
    dialogue: &mut Dialogue,
    bytes: &[u8],
    what: &'static str,
) -> Result<(ServerMessage, Vec<u8>), Stop> {
    dialogue.send(bytes).await?;
    dialogue.answer(ReplyTo::Other, what).await
}

/// A login that cannot succeed: is it taken for one? Also says whether whatever comes next answers another question.
async fn credentials(
    plan: &Plan,
    dialogue: &mut Dialogue,
    usual: Option<&str>,
    opening: &Opening,
) -> (Draft, bool) {
    let id = "srv-auth-before";
    let listed = mechanisms::listed(plan, opening);
    let (draft, in_step) = login(plan, dialogue, usual).await;
    if listed.is_empty() || matches!(draft.outcome, Outcome::Fail | Outcome::Warning) {
        return (draft, in_step);
    }
    let why = format!("passwords are asked for in cleartext ({}); {}", listed.join(", "), draft.summary());
    (Draft::new(id, Outcome::Warning, why), in_step)
}

async fn login(plan: &Plan, dialogue: &mut Dialogue, usual: Option<&str>) -> (Draft, bool) {
    let id = "srv-auth-before";
    let bytes = dialogue.words(ClientMessage::Credentials);
    if bytes.is_empty() {
        return (Draft::new(id, Outcome::NotApplicable, "the protocol has no login of its own"), true);
    }
    let what = "the answer to a login";
    // Only where nobody answers a login is there no answer to wait for.
    let answer = match plan.words.took_credentials {
        [] => ask(dialogue, &bytes, usual, what).await,
        _ => {
            // Servers delay failures by more than anything else.
            let usual = std::mem::replace(&mut dialogue.patience, plan.limits.patience);
            let answer = wait_for(dialogue, &bytes, what).await;
            dialogue.patience = usual;
            answer
        }
    };
    let draft = match &answer {
        Ok((ServerMessage::TlsRequired, _)) => {
            Draft::pass(id, "a login in cleartext is refused for want of TLS")
        }
        Ok((_, bytes)) => {
            let text = shown(dialogue, bytes);
            let text = text.get(..100).unwrap_or(&text);
            match begins(text, plan.words.took_credentials) {
                true => taken(id, text, &mechanisms::asked(plan.protocol, bytes)),
                false => Draft::pass(id, format!("a login in cleartext is refused: \"{text}\"")),
            }
        }
        Err(Stop::Closed(_) | Stop::Bye(_)) => {
            Draft::pass(id, "the server ends a session that logs in in cleartext")
        }
        Err(Stop::PassedOver(_)) => Draft::new(
            id,
            Outcome::Info,
            "a login in cleartext is passed over, and what comes behind it answered",
        ),
        Err(stop) => Draft::untold(id, stop),
    };
    (draft, matches!(answer, Ok(_) | Err(Stop::PassedOver(_))))
}

/// A login was taken in cleartext; by which mechanism, if that is known.
fn taken(id: &'static str, text: &str, asked: &[String]) -> Draft {
    let proof = |name: &String| name.starts_with("SCRAM-");
    let names = asked.join(", ");
    match asked {
        [] => Draft::fail(id, format!("a login in cleartext is taken: \"{text}\"")),
        all if all.iter().all(proof) => {
            let why =
                format!("a login in cleartext is taken, by {names} alone, which does not send the password");
            Draft::new(id, Outcome::Warning, why)
        }
        _ => Draft::fail(id, format!("a login in cleartext is taken: the server asks for {names}")),
    }
}

/// Something that needs TLS: is it done without?
async fn served(plan: &Plan, dialogue: &mut Dialogue, usual: Option<&str>) -> Draft {
    let id = "srv-not-enforced";
    let bytes = dialogue.words(ClientMessage::Other);
    if bytes.is_empty() {
        return Draft::new(id, Outcome::NotApplicable, "the protocol does nothing before a login");
    }
    let what = "the answer to a command";
    let mut answer = ask(dialogue, &bytes, usual, what).await;
    if matches!(answer, Err(Stop::Silent(_))) {
        // Servers of XMPP answer each other elsewhere; who takes leave has come past the command.
        dialogue.goodbye().await;
        answer = match dialogue.answer(ReplyTo::Other, what).await {
            Err(Stop::Closed(_) | Stop::Bye(_)) => Err(Stop::PassedOver(what)),
            late => late,
        };
    }
    match answer {
        Ok((ServerMessage::TlsRequired, _)) => Draft::pass(id, "commands are refused for want of TLS"),
        Ok((_, bytes)) => {
            let text = shown(dialogue, &bytes);
            let text = text.get(..100).unwrap_or(&text);
            if !begins(text, plan.words.served) {
                return Draft::pass(id, format!("a command in cleartext is refused: \"{text}\""));
            }
            if let Some(why) = plan.words.may_serve_cleartext {
                return Draft::new(id, Outcome::Info, format!("the server serves cleartext too, {why}"));
            }
            Draft::fail(id, format!("the server serves a client that never asked for TLS: \"{text}\""))
        }
        Err(Stop::Closed(_) | Stop::Bye(_)) => Draft::pass(id, "the server ends a session without TLS"),
        Err(Stop::PassedOver(_)) => Draft::new(
            id,
            Outcome::Info,
            "a command in cleartext is passed over, and what comes behind it answered",
        ),
        Err(stop) => Draft::untold(id, &stop),
    }
}

/// Sets state in cleartext and looks for it inside TLS; and looks without setting it, for comparison.
pub(crate) async fn fixation(plan: &Plan, usual: Option<&str>) -> Seen {
    let id = "srv-fixation";
    let mut seen = Seen::default();
    let Some((before, inside)) = plan.words.fixation else {
        seen.push(Draft::new(
            id,
            Outcome::NotApplicable,
            "the protocol keeps nothing that could be set before TLS",
        ));
        return seen;
    };
    let with =
        look(plan, "state set in cleartext, looked for inside TLS", (before, usual), inside, &mut seen).await;
    let without = look(plan, "control: the same without the state", ("", usual), inside, &mut seen).await;
    let (first, second) = (seen.records.first().map(|it| it.all()), seen.records.get(1).map(|it| it.all()));
    let draft = match (with, without) {
        (Ok(with), Ok(without)) if differ(&with, &without, before) => {
            let [with, without] = [with, without].map(|answers| answers.join("\", \""));
            let why = format!("\"{with}\" instead of \"{without}\"");
            Draft::fail(id, format!("what was said in cleartext still holds inside TLS: {why}"))
        }
        (Ok(_), Ok(_)) => Draft::pass(id, "what was said in cleartext is forgotten inside TLS"),
        (Err(Stop::Closed(_)), Ok(_)) => Draft::pass(id, "the server does not go on after it"),
        (Err(stop), _) | (_, Err(stop)) => Draft::untold(id, &stop),
    };
    let draft = first.into_iter().fold(draft, |draft, mark| draft.at(0, mark));
    seen.push(second.into_iter().fold(draft, |draft, mark| draft.at(1, mark)));
    seen
}

async fn look(
    plan: &Plan,
    purpose: &str,
    (before, usual): (&str, Option<&str>),
    inside: &str,
    seen: &mut Seen,
) -> Result<Vec<String>, Stop> {
    let _place = plan.place().await;
    let mut dialogue = match plan.open(purpose).await {
        Ok(dialogue) => dialogue,
        Err((stop, record)) => {
            seen.record(record);
            return Err(stop);
        }
    };
    if let Err(stop) = agree(&mut dialogue, before, usual).await {
        seen.record(dialogue.record);
        return Err(stop);
    }
    match dialogue.secure(&plan.connectors.open, &plan.server_name, plan.identity()).await {
        Ok(mut session) => {
            // Behind what may not be answered goes something that is.
            let sentinel = session.words(ClientMessage::Probe);
            let _ = session.send(&[inside.as_bytes(), &sentinel].concat()).await;
            let answers = answers(&mut session, usual, plan.patience().min(SILENCE)).await;
            session.goodbye().await;
            seen.record(session.record);
            Ok(answers)
        }
        Err((_, record)) => {
            seen.record(record);
            Err(Stop::Closed("the handshake"))
        }
    }
}

/// The answer to a command, if there is one, and that to the harmless one behind it.
async fn answers(session: &mut Inside, usual: Option<&str>, wait: Duration) -> Vec<String> {
    let mut answers = Vec::new();
    while answers.len() < 2
        && answers.last().is_none_or(|last: &String| Some(signature(last).as_str()) != usual)
        && let Some(message) = session.message(ReplyTo::Other, wait).await
    {
        if session.meaning(ReplyTo::Other, &message) != Some(ServerMessage::Interim) {
            answers.push(Escaped(message.trim_ascii_end()).to_string());
        }
    }
    answers
}

/// Whether the answers are others than those to a client that set nothing, or know what was set.
fn differ(with: &[String], without: &[String], set: &str) -> bool {
    let signatures = |answers: &[String]| answers.iter().map(|it| signature(it)).collect::<Vec<_>>();
    let value = set.split_whitespace().next_back().unwrap_or_default();
    let knows = |answers: &[String]| answers.iter().any(|it| it.contains(value));
    signatures(with) != signatures(without) || (knows(with) && !knows(without))
}

/// The upgrade, with a command before the request.
async fn agree(dialogue: &mut Dialogue, before: &str, usual: Option<&str>) -> Result<(), Stop> {
    dialogue.open_up().await?;
    if !before.is_empty() {
        match ask(dialogue, before.as_bytes(), usual, "the answer to a command").await {
            Ok(_) | Err(Stop::PassedOver(_)) => {}
            Err(stop) => return Err(stop),
        }
    }
    dialogue.write(ClientMessage::Request).await?;
    match dialogue.verdict().await? {
        Ok(()) => Ok(()),
        Err(_) => Err(Stop::Closed("the go-ahead")),
    }
}

#[cfg(test)]
mod tests {
    use starttls::proto::postgres::POSTGRES;

    use super::{Outcome, differ, mechanisms, taken};

    #[test]
    fn who_asks_for_a_proof_does_not_ask_for_the_password() {
        let scram = b"R\0\0\0\x17\0\0\0\x0aSCRAM-SHA-256\0\0";
        let (md5, bare) = (b"R\0\0\0\x0c\0\0\0\x05salt", b"R\0\0\0\x08\0\0\0\x03");
        for (answer, outcome, name) in [
            (&scram[..], Outcome::Warning, "SCRAM-SHA-256"),
            (md5, Outcome::Fail, "MD5"),
            (bare, Outcome::Fail, "PASSWORD"),
            (b"R\0\0\0\x08\0\0\0\0", Outcome::Fail, "message R"),
        ] {
            let draft = taken("srv-auth-before", "message R", &mechanisms::asked(&POSTGRES, answer));
            assert_eq!(draft.outcome, outcome, "{}", draft.summary());
            assert!(draft.summary().contains(name), "{}", draft.summary());
        }
    }

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
