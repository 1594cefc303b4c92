//! A login in cleartext: does the server process it?

use starttls::proto::{AfterUpgrade, ClientMessage, ReplyTo, ServerMessage};

use super::ask::{ReplyText, ask, wait_for};
use super::mechanisms;
use crate::channel::{Question, Reply};
use crate::check::{Check, id};
use crate::error::ProbeError;
use crate::finding::FindingBuilder;
use crate::message;
use crate::plan::Plan;
use crate::profile::begins;
use crate::record::Log;
use crate::report::CheckOutcome;
use crate::session::{CleartextSession, Opening};

const CHECK: &Check = id::SRV_AUTH_BEFORE;

/// The name of the answer, for errors.
const WHAT: &str = "the answer to a login";

/// Sends a login that cannot succeed, and judges whether the server processes it. Also returns whether the server's next
/// message answers the next command.
///
/// # Errors
/// If the server ends the session. That shows a refusal only if the login was the first command: see [`ended`].
pub(super) async fn credentials(
    plan: &Plan,
    session: &mut CleartextSession,
    usual: Option<&str>,
    opening: &Opening,
    log: &Log,
) -> Result<(FindingBuilder, bool), ProbeError> {
    let (finding, in_step) = login(plan, session, usual, log).await?;
    Ok((with_list(plan, session, opening, finding), in_step))
}

/// Judges a server that ends the session after a login as the first command.
pub(super) fn ended(
    plan: &Plan,
    session: &CleartextSession,
    opening: &Opening,
    error: &ProbeError,
) -> FindingBuilder {
    let finding = match session.has_received() {
        true => FindingBuilder::pass(CHECK, "the server ends the session after a login in cleartext"),
        false => FindingBuilder::inconclusive(CHECK, error),
    };
    with_list(plan, session, opening, finding)
}

/// Adds the mechanisms that the server lists before TLS to the finding about a login.
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
                "the server offers to take passwords in cleartext ({}); {}",
                listed.join(", "),
                finding.summary()
            );
            FindingBuilder::new(CHECK, CheckOutcome::Warning, why)
        }
    };
    trusted(session, finding)
}

/// Adds a note if the audit came from a network that many servers trust: they may refuse the same login from elsewhere.
pub(super) fn trusted(session: &CleartextSession, finding: FindingBuilder) -> FindingBuilder {
    let bad = matches!(finding.outcome, CheckOutcome::Fail | CheckOutcome::Warning);
    let source = session.source().filter(|it| bad && is_local(it));
    let Some(source) = source else { return finding };
    finding.details(vec![format!(
        "this audit came from {source}, and many servers trust loopback and private networks; \
         run it from another network to see what the server allows there"
    )])
}

/// Returns whether an address is of this machine, or of a network that is not routed (RFC 1918, RFC 4193, RFC 3927).
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
    log: &Log,
) -> Result<(FindingBuilder, bool), ProbeError> {
    let bytes = session.encode(ClientMessage::Credentials);
    if bytes.is_empty() {
        return Ok((
            FindingBuilder::new(CHECK, CheckOutcome::NotApplicable, "the protocol has no login of its own"),
            true,
        ));
    }
    // A profile without answers to a login is of a protocol whose servers may leave it unanswered.
    let answer = match plan.profile.took_credentials {
        [] => ask(session, &bytes, usual, WHAT).await,
        _ => {
            // Servers delay the answer to a failed login for longer than any other.
            let usual = std::mem::replace(&mut session.reply_timeout, plan.limits.reply_timeout);
            let answer = wait_for(session, &bytes, WHAT).await;
            session.reply_timeout = usual;
            answer
        }
    };
    let finding = match &answer {
        Ok(reply) => answered(plan, reply, &ReplyText::of(session, reply), log).await,
        // The server waits for the rest of the login.
        Err(ProbeError::Others(_, last)) if begins(last, plan.profile.asks_for_more) => {
            mechanisms::processed(CHECK, last, &[])
        }
        Err(error) if error.ends() => return Err(error.clone()),
        Err(ProbeError::PassedOver(_)) => FindingBuilder::new(
            CHECK,
            CheckOutcome::Info,
            "the server does not answer a login in cleartext, and answers the next command",
        ),
        Err(error) => FindingBuilder::inconclusive(CHECK, error),
    };
    Ok((finding, matches!(answer, Ok(_) | Err(ProbeError::PassedOver(_)))))
}

/// Judges the answer to a login in cleartext.
async fn answered(plan: &Plan, reply: &Reply, text: &ReplyText, log: &Log) -> FindingBuilder {
    let needs_tls = reply.meaning == ServerMessage::TlsRequired;
    if !needs_tls && text.shows(plan.profile.took_credentials) {
        let mut asked = mechanisms::asked(plan.protocol, &reply.own);
        // If the server names no mechanism, it processes the one that the probe has tried.
        asked.extend(plan.profile.login.filter(|_| asked.is_empty()).map(str::to_owned));
        return mechanisms::processed(CHECK, text.short(), &asked);
    }
    let (own, short) = (&text.own, text.short());
    if !begins(own, plan.profile.rejections) || (needs_tls && names_tls(own)) {
        return match needs_tls {
            true => FindingBuilder::pass(CHECK, "the server refuses a login before TLS"),
            false => FindingBuilder::pass(CHECK, message::LOGIN_REFUSED_WITH.with(&[("text", &short)])),
        };
    }
    // A wrong name or password is refused with the same text. Only the same login inside TLS shows the difference.
    match inside(plan, log).await {
        Ok(inside) if beginning(&inside) == beginning(own) => {
            let why = format!(
                "the server refuses a login in cleartext and inside TLS with the same text (\"{short}\"), so it may have \
                 checked the password in cleartext"
            );
            FindingBuilder::new(CHECK, CheckOutcome::Inconclusive, why)
        }
        Ok(inside) => {
            let inside = inside.get(..100).unwrap_or(&inside);
            let why = format!(
                "the server refuses a login in cleartext (\"{short}\") and answers it differently inside TLS (\"{inside}\")"
            );
            FindingBuilder::pass(CHECK, why)
        }
        Err(error) => {
            let why = format!(
                "the server refuses a login in cleartext (\"{short}\"); whether that is for lack of TLS is unknown: {error}"
            );
            let mut finding = FindingBuilder::new(CHECK, CheckOutcome::Inconclusive, why);
            finding.turned_away = error.turns_away();
            finding
        }
    }
}

/// Returns the answer to the same login inside TLS.
async fn inside(plan: &Plan, log: &Log) -> Result<String, ProbeError> {
    let mut session = plan.upgrade("the login inside TLS, for comparison", log).await?;
    let first = match plan.protocol.flow.after {
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
        answer = session.answer(session.question(reply_to, "the first message inside TLS")).await.map(drop);
    }
    let login = session.encode(ClientMessage::Credentials);
    let _ = session.send(&login).await;
    let question = Question {
        within: plan.limits.reply_timeout,
        asked: &login,
        ..session.question(ReplyTo::Other, WHAT)
    };
    let answer = match answer {
        Ok(()) => session.reply(question).await.map(|reply| session.shown(&reply.own)),
        Err(error) => Err(error),
    };
    session.quit().await;
    answer.map_err(ProbeError::unserved)
}

/// Returns whether this text names TLS or what it does. The name of the probe's user does not count, because servers
/// repeat it. The description of the connection that PostgreSQL adds to its refusals does not count either.
fn names_tls(text: &str) -> bool {
    let mut upper = text.to_ascii_uppercase();
    for no_reason in ["STARTTLS-PROBE", "NO ENCRYPTION", "SSL OFF"] {
        upper = upper.replace(no_reason, "");
    }
    let names =
        ["TLS", "SSL", "AUTH ", "ENCRYPT", "SECUR", "CLEARTEXT", "PLAINTEXT", "PLAIN TEXT", "PRIVACY"];
    names.iter().any(|it| upper.contains(it))
}

/// Returns the first words of an answer, without words that are ids.
fn beginning(text: &str) -> Vec<String> {
    let is_volatile = |word: &&str| word.len() > 6 && word.bytes().any(|byte| byte.is_ascii_digit());
    let words = text.split_whitespace().filter(|word| !is_volatile(word)).take(4);
    words.map(str::to_ascii_lowercase).collect()
}
