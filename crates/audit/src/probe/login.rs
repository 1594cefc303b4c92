//! A login in cleartext: is it taken for one?

use starttls::proto::{AfterUpgrade, ClientMessage, ReplyTo, ServerMessage};

use super::cleartext::{Said, ask, wait_for};
use super::mechanisms;
use crate::channel::{Question, Reply};
use crate::finding::{FindingBuilder, ProbeResult};
use crate::plan::Plan;
use crate::profile::begins;
use crate::report::CheckOutcome;
use crate::session::{CleartextSession, Opening, ProbeError};

const ID: &str = "srv-auth-before";

/// The name of the answer, for errors.
const WHAT: &str = "the answer to a login";

/// Sends a login that cannot succeed, and judges whether the server processes it. Also returns whether whatever comes next
/// answers another question.
///
/// # Errors
/// When the server ends the session. Only where no other command came before does that show a refusal: see [`ended`].
pub(super) async fn credentials(
    plan: &Plan,
    session: &mut CleartextSession,
    usual: Option<&str>,
    opening: &Opening,
    seen: &mut ProbeResult,
) -> Result<(FindingBuilder, bool), ProbeError> {
    let (finding, in_step) = login(plan, session, usual, seen).await?;
    Ok((with_list(plan, session, opening, finding), in_step))
}

/// Judges a server that ends the session when a login is the first command.
pub(super) fn ended(
    plan: &Plan,
    session: &CleartextSession,
    opening: &Opening,
    stop: &ProbeError,
) -> FindingBuilder {
    let finding = match session.has_heard() {
        true => FindingBuilder::pass(ID, "the server ends a session that logs in in cleartext"),
        false => FindingBuilder::inconclusive(ID, stop),
    };
    with_list(plan, session, opening, finding)
}

/// Adds what the server lists before TLS to what it does with a login.
fn with_list(
    plan: &Plan,
    session: &CleartextSession,
    opening: &Opening,
    finding: FindingBuilder,
) -> FindingBuilder {
    let listed = mechanisms::listed(plan, opening);
    let bad = matches!(finding.outcome, CheckOutcome::Fail | CheckOutcome::Warning);
    let finding = match listed.is_empty() || bad {
        true => finding,
        false => {
            let why = format!(
                "passwords are asked for in cleartext ({}); {}",
                listed.join(", "),
                finding.summary()
            );
            FindingBuilder::new(ID, CheckOutcome::Warning, why)
        }
    };
    trusted(session, finding)
}

/// Many servers trust the networks they belong to: a login that is taken from one of them may be refused elsewhere.
pub(super) fn trusted(session: &CleartextSession, finding: FindingBuilder) -> FindingBuilder {
    let bad = matches!(finding.outcome, CheckOutcome::Fail | CheckOutcome::Warning);
    let source = session.source().filter(|it| bad && is_local(it));
    let Some(source) = source else { return finding };
    finding.details(vec![format!(
        "this audit came from {source}, and many servers trust loopback and private networks: \
         run it from a host outside of them to see what others are allowed"
    )])
}

/// Whether an address is of this machine, or of a network that is not routed (RFC 1918, RFC 4193, RFC 3927).
fn is_local(address: &std::net::IpAddr) -> bool {
    match address.to_canonical() {
        std::net::IpAddr::V4(it) => it.is_loopback() || it.is_private() || it.is_link_local(),
        std::net::IpAddr::V6(it) => it.is_loopback() || it.is_unique_local() || it.is_unicast_link_local(),
    }
}

async fn login(
    plan: &Plan,
    session: &mut CleartextSession,
    usual: Option<&str>,
    seen: &mut ProbeResult,
) -> Result<(FindingBuilder, bool), ProbeError> {
    let bytes = session.words(ClientMessage::Credentials);
    if bytes.is_empty() {
        return Ok((
            FindingBuilder::new(ID, CheckOutcome::NotApplicable, "the protocol has no login of its own"),
            true,
        ));
    }
    // Only where nobody answers a login is there no answer to wait for.
    let answer = match plan.profile.took_credentials {
        [] => ask(session, &bytes, usual, WHAT).await,
        _ => {
            // Servers delay failures by more than anything else.
            let usual = std::mem::replace(&mut session.reply_timeout, plan.limits.reply_timeout);
            let answer = wait_for(session, &bytes, WHAT).await;
            session.reply_timeout = usual;
            answer
        }
    };
    let finding = match &answer {
        Ok(reply) => answered(plan, reply, &Said::by(session, reply), seen).await,
        // It waits for the rest of the login.
        Err(ProbeError::Others(_, last)) if begins(last, plan.profile.asks_for_more) => {
            mechanisms::taken(ID, last, &[])
        }
        Err(stop) if stop.ends() => return Err(stop.clone()),
        Err(ProbeError::PassedOver(_)) => FindingBuilder::new(
            ID,
            CheckOutcome::Info,
            "a login in cleartext is passed over, and what comes behind it answered",
        ),
        Err(stop) => FindingBuilder::inconclusive(ID, stop),
    };
    Ok((finding, matches!(answer, Ok(_) | Err(ProbeError::PassedOver(_)))))
}

/// What an answer to a login in cleartext shows.
async fn answered(plan: &Plan, reply: &Reply, said: &Said, seen: &mut ProbeResult) -> FindingBuilder {
    let needs_tls = reply.meaning == ServerMessage::TlsRequired;
    if !needs_tls && said.shows(plan.profile.took_credentials) {
        let mut asked = mechanisms::asked(plan.protocol, &reply.own);
        // What the server does not name is what the probe has tried.
        asked.extend(plan.profile.login.filter(|_| asked.is_empty()).map(str::to_owned));
        return mechanisms::taken(ID, said.short(), &asked);
    }
    let text = said.short();
    if !begins(&said.own, plan.profile.rejections) || (needs_tls && names_tls(&said.own)) {
        return match needs_tls {
            true => FindingBuilder::pass(ID, "a login in cleartext is refused for want of TLS"),
            false => FindingBuilder::pass(ID, format!("a login in cleartext is refused: \"{text}\"")),
        };
    }
    // A wrong name or password is refused in such words too: only the same login inside TLS tells.
    match inside(plan, seen).await {
        Ok(inside) if beginning(&inside) == beginning(&said.own) => {
            let why = format!(
                "a login in cleartext is refused in the same words as inside TLS (\"{text}\"), so that it may have been \
                 judged like one"
            );
            FindingBuilder::new(ID, CheckOutcome::Inconclusive, why)
        }
        Ok(inside) => {
            let inside = inside.get(..100).unwrap_or(&inside);
            let why = format!(
                "a login in cleartext is refused (\"{text}\"), and answered inside TLS (\"{inside}\")"
            );
            FindingBuilder::pass(ID, why)
        }
        Err(stop) => {
            let why = format!(
                "a login in cleartext is refused (\"{text}\"), whether for want of TLS is unknown: {stop}"
            );
            let mut finding = FindingBuilder::new(ID, CheckOutcome::Inconclusive, why);
            finding.turned_away = stop.turns_away();
            finding
        }
    }
}

/// How the same login is answered inside TLS.
async fn inside(plan: &Plan, seen: &mut ProbeResult) -> Result<String, ProbeError> {
    let mut session = plan.open("the login inside TLS, for comparison").await.map_err(|it| it.0)?;
    if let Err(stop) = session.agree().await {
        seen.record(session.record);
        return Err(stop);
    }
    let mut session = match session.secure(&plan.connectors.open, &plan.server_name, plan.identity()).await {
        Ok(session) => session,
        Err((error, record)) => {
            seen.record(record);
            return Err(plan.unshaken(&error));
        }
    };
    let after = plan.protocol.flow.after;
    let first = match after {
        AfterUpgrade::ServerSpeaks => Some(ReplyTo::Connect),
        AfterUpgrade::AnswerPending => Some(ReplyTo::Other),
        // A stream begins with its header.
        AfterUpgrade::StreamRestart => {
            let _ = session.write(ClientMessage::Hello).await;
            Some(ReplyTo::Hello)
        }
        AfterUpgrade::Silent | AfterUpgrade::SequenceContinues => None,
    };
    let mut answer = Ok(());
    if let Some(reply_to) = first {
        answer = session.answer(session.question(reply_to, "what comes first inside TLS")).await.map(drop);
    }
    let login = session.words(ClientMessage::Credentials);
    let _ = session.send(&login).await;
    let question = Question {
        within: plan.limits.reply_timeout,
        asked: &login,
        ..session.question(ReplyTo::Other, WHAT)
    };
    let answer = match answer {
        Ok(()) => session.reply(question).await.map(|reply| session.shown(&reply.own)),
        Err(stop) => Err(stop),
    };
    session.goodbye().await;
    seen.record(session.record);
    answer.map_err(ProbeError::unserved)
}

/// Whether this text names TLS, by any of its names or what it does. The name of the probe's user, which servers repeat,
/// does not count, nor what PostgreSQL adds to its refusals: how the connection is encrypted.
fn names_tls(text: &str) -> bool {
    let mut upper = text.to_ascii_uppercase();
    for no_reason in ["STARTTLS-PROBE", "NO ENCRYPTION", "SSL OFF"] {
        upper = upper.replace(no_reason, "");
    }
    let names =
        ["TLS", "SSL", "AUTH ", "ENCRYPT", "SECUR", "CLEARTEXT", "PLAINTEXT", "PLAIN TEXT", "PRIVACY"];
    names.iter().any(|it| upper.contains(it))
}

/// What an answer says, without what changes from time to time: its first words, without those that are an id.
fn beginning(text: &str) -> Vec<String> {
    let is_volatile = |word: &&str| word.len() > 6 && word.bytes().any(|byte| byte.is_ascii_digit());
    let words = text.split_whitespace().filter(|word| !is_volatile(word)).take(4);
    words.map(str::to_ascii_lowercase).collect()
}
