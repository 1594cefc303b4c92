//! The capabilities before and inside TLS, and whether the server upgrades again inside TLS.

use starttls::proto::{AfterUpgrade, ClientMessage, Escaped, Protocol, ReplyTo, ServerMessage};

use super::answers::harmless;
use crate::channel::Question;
use crate::check::id;
use crate::error::ProbeError;
use crate::finding::FindingBuilder;
use crate::plan::Plan;
use crate::report::CheckOutcome;
use crate::session::{Opening, TlsSession};

/// The answers inside TLS to another hello and another request.
pub(super) struct Again {
    pub(super) offer: FindingBuilder,
    pub(super) before: Vec<String>,
    /// The capabilities inside TLS, or the reason why the server listed none.
    pub(super) inside: Result<Vec<String>, ProbeError>,
}

/// Sends the hello inside TLS, and then the request, which a server has to refuse there.
pub(super) async fn asked_again(plan: &Plan, inside: &mut TlsSession, opening: &Opening) -> Again {
    let check = id::SRV_OFFER_INSIDE;
    let before = match &opening.hello_text {
        Some(text) => vec![text.clone()],
        None if opening.hello.is_empty() => lines(plan.protocol, &opening.greeting),
        None => lines(plan.protocol, &opening.hello),
    };
    let inconclusive = |before, error: ProbeError| {
        let error = error.unserved();
        Again { offer: FindingBuilder::inconclusive(check, &error), before, inside: Err(error) }
    };
    let flow = plan.protocol.flow;
    // A server that speaks first sends its greeting, its capabilities, or the answer to the request before TLS.
    let first = match flow.after {
        _ if plan.implicit => flow.greeting.then_some(ReplyTo::Connect),
        AfterUpgrade::ServerSpeaks => Some(ReplyTo::Connect),
        AfterUpgrade::AnswerPending => Some(ReplyTo::Other),
        _ => None,
    };
    let lists_first = flow.after == AfterUpgrade::ServerSpeaks && !plan.implicit;
    let mut list = Vec::new();
    let mut listed = false;
    if let Some(reply_to) = first {
        match inside.answer(inside.question(reply_to, "the first message inside TLS")).await {
            Ok(reply) if lists_first => {
                listed = reply.meaning == ServerMessage::Offer { starttls: true };
                list = reply.all();
            }
            Ok(_) => {}
            Err(error) => return inconclusive(before, error),
        }
    }
    let not_applicable = |why| FindingBuilder::new(check, CheckOutcome::NotApplicable, why);
    if !flow.request_is_answered {
        let offer = not_applicable("the protocol has no answer to a request");
        return Again { offer, before, inside: Ok(Vec::new()) };
    }
    if flow.hello_rounds > 1 {
        let offer = not_applicable("the hello that precedes the request is not repeated inside TLS");
        let bytes = harmless(plan, &mut |message| inside.encode(message));
        let _ = inside.send(&bytes).await;
        let answer =
            inside.answer(inside.question(ReplyTo::Other, "the answer to a command inside TLS")).await;
        return Again { offer, before, inside: answer.map(|_| Vec::new()).map_err(ProbeError::unserved) };
    }
    let hello = inside.encode(ClientMessage::Hello);
    if !lists_first && !hello.is_empty() {
        let _ = inside.send(&hello).await;
        let question = Question {
            asked: &hello,
            ..inside.question(ReplyTo::Hello, "the answer to the hello inside TLS")
        };
        match inside.answer(question).await {
            Ok(reply) => {
                listed = reply.meaning == ServerMessage::Offer { starttls: true };
                list = reply.all();
            }
            Err(error) => return inconclusive(before, error),
        }
    }
    // The repeated request is sent only if its check is selected.
    let offer = match plan.selection.wants(check) {
        true => offered_again(plan, inside, listed).await,
        false => FindingBuilder::new(check, CheckOutcome::NotRun, "not selected"),
    };
    Again { offer, before, inside: Ok(lines(plan.protocol, &list)) }
}

/// Requests TLS again, inside TLS.
async fn offered_again(plan: &Plan, inside: &mut TlsSession, listed: bool) -> FindingBuilder {
    let check = id::SRV_OFFER_INSIDE;
    let _ = inside.write(ClientMessage::Request).await;
    let answer = inside.reply(inside.question(ReplyTo::Request, "the answer to a request inside TLS")).await;
    // A session that answered the hello may end after the request. One that answered nothing shows nothing.
    let accepted = match answer {
        Ok(reply) => reply.meaning == ServerMessage::Accept,
        Err(ProbeError::Malformed(_)) => false,
        Err(error) if error.ends() && inside.has_received() => false,
        Err(error) => return FindingBuilder::inconclusive(check, &error.unserved()),
    };
    match (accepted, listed) {
        (true, _) => FindingBuilder::fail(check, "the server accepts the upgrade again inside TLS"),
        (false, true) if !plan.profile.may_repeat_offer => FindingBuilder::new(
            check,
            CheckOutcome::Warning,
            "the server lists the upgrade again inside TLS, and refuses it",
        ),
        (false, true) => FindingBuilder::pass(
            check,
            "the server lists the upgrade inside TLS, as this protocol allows, and refuses it",
        ),
        (false, false) => {
            FindingBuilder::pass(check, "the server neither lists nor accepts the upgrade inside TLS")
        }
    }
}

/// Returns the capabilities in a server message, one entry each, as a report shows them.
fn lines(protocol: &Protocol, bytes: &[u8]) -> Vec<String> {
    if bytes.is_empty() {
        return Vec::new();
    }
    let dialect = protocol.new_dialect(starttls::proto::Identity::new(""));
    if let Some(text) = dialect.describe(starttls::proto::Side::Server, bytes) {
        return vec![text];
    }
    let split = bytes.split(|&byte| byte == b'\n').map(|line| Escaped(line.trim_ascii()).to_string());
    let one_line =
        |line: &String| line.to_ascii_uppercase().starts_with("* CAPABILITY") || line.starts_with('<');
    let lines: Vec<String> = split.filter(|line| !line.is_empty() && line != ".").collect();
    if let Some(list) = lines.iter().find(|line| one_line(line)) {
        let words = if list.starts_with('<') { list.split("><") } else { list.split(" ") };
        return words.skip(2).map(str::to_owned).collect();
    }
    let entry = |line: &String| match line.get(..4) {
        Some(code) if code.starts_with(|c: char| c.is_ascii_digit()) => {
            line.get(4..).unwrap_or_default().to_owned()
        }
        _ => line.trim().to_owned(),
    };
    // The first line names the server, or introduces the list.
    lines.iter().skip(1).map(entry).collect()
}

/// Compares the two lists.
pub(super) fn capabilities(
    plan: &Plan,
    before: &[String],
    inside: &Result<Vec<String>, ProbeError>,
) -> FindingBuilder {
    let check = id::SRV_CAPS_KEPT;
    let inside = match inside {
        Ok(inside) => inside,
        Err(error) => return FindingBuilder::inconclusive(check, error),
    };
    if inside.is_empty() {
        return FindingBuilder::new(
            check,
            CheckOutcome::NotApplicable,
            "the server sends no list inside TLS to compare",
        );
    }
    let gone = before.iter().filter(|it| !inside.contains(it)).map(|it| format!("- {it}"));
    let new = inside.iter().filter(|it| !before.contains(it)).map(|it| format!("+ {it}"));
    let difference: Vec<String> = gone.chain(new).collect();
    let cleartext_only = ["STARTTLS", "STLS", "LOGINDISABLED"];
    let names = |it: &String, word: &&str| {
        it.trim_matches(|c: char| !c.is_ascii_alphanumeric()).eq_ignore_ascii_case(word)
    };
    let kept = |it: &String| {
        it.contains("<starttls")
            || it.starts_with("starttls ")
            || cleartext_only.iter().any(|word| names(it, word))
    };
    let kept = !plan.profile.may_repeat_offer && inside.iter().any(kept);
    match (kept, difference.is_empty()) {
        (true, _) => FindingBuilder::new(
            check,
            CheckOutcome::Warning,
            "the list inside TLS still contains capabilities that are valid in cleartext only",
        ),
        (false, true) => {
            FindingBuilder::new(check, CheckOutcome::Info, "the list inside TLS is the same as before TLS")
        }
        (false, false) => FindingBuilder::pass(check, "the list changes with TLS"),
    }
    .details(difference)
}
