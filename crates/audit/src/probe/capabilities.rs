//! What the server lists, before TLS and inside it, and whether the upgrade is still there inside.

use starttls::proto::{AfterUpgrade, ClientMessage, Escaped, Protocol, ReplyTo, ServerMessage};

use crate::channel::Question;
use crate::finding::FindingBuilder;
use crate::plan::Plan;
use crate::report::CheckOutcome;
use crate::session::{Opening, ProbeError, TlsSession};

/// What a session inside TLS shows of the upgrade, and of what the server can do.
pub(super) struct Again {
    pub(super) offer: FindingBuilder,
    pub(super) before: Vec<String>,
    /// The capabilities inside TLS, or the reason why the server listed none.
    pub(super) inside: Result<Vec<String>, ProbeError>,
}

/// The hello once more, inside; then the request, which has no business there.
pub(super) async fn asked_again(plan: &Plan, inside: &mut TlsSession, opening: &Opening) -> Again {
    let id = "srv-offer-inside";
    let before =
        lines(plan.protocol, if opening.hello.is_empty() { &opening.greeting } else { &opening.hello });
    let inconclusive = |before, stop: ProbeError| {
        let stop = stop.unserved();
        Again { offer: FindingBuilder::inconclusive(id, &stop), before, inside: Err(stop) }
    };
    let flow = plan.protocol.flow;
    // The server speaks first: its greeting, its capabilities, or the answer to the request before TLS.
    let first = match flow.after {
        _ if plan.implicit => flow.greeting.then_some(ReplyTo::Connect),
        AfterUpgrade::ServerSpeaks => Some(ReplyTo::Connect),
        AfterUpgrade::AnswerPending => Some(ReplyTo::Other),
        _ => None,
    };
    let lists_first = flow.after == AfterUpgrade::ServerSpeaks && !plan.implicit;
    let mut said = Vec::new();
    let mut listed = false;
    if let Some(reply_to) = first {
        match inside.answer(inside.question(reply_to, "what the server says first inside TLS")).await {
            Ok(reply) if lists_first => {
                listed = reply.meaning == ServerMessage::Offer { starttls: true };
                said = reply.all();
            }
            Ok(_) => {}
            Err(stop) => return inconclusive(before, stop),
        }
    }
    if !plan.protocol.flow.request_is_answered {
        let offer = FindingBuilder::new(id, CheckOutcome::NotApplicable, "nobody answers a request");
        return Again { offer, before, inside: Ok(Vec::new()) };
    }
    let hello = inside.words(ClientMessage::Hello);
    if !lists_first && !hello.is_empty() {
        let _ = inside.send(&hello).await;
        let question = Question {
            asked: &hello,
            ..inside.question(ReplyTo::Hello, "the answer to the hello inside TLS")
        };
        match inside.answer(question).await {
            Ok(reply) => {
                listed = reply.meaning == ServerMessage::Offer { starttls: true };
                said = reply.all();
            }
            Err(stop) => return inconclusive(before, stop),
        }
    }
    let offer = offered_again(plan, inside, listed).await;
    Again { offer, before, inside: Ok(lines(plan.protocol, &said)) }
}

/// Asks once more for TLS, inside TLS.
async fn offered_again(plan: &Plan, inside: &mut TlsSession, listed: bool) -> FindingBuilder {
    let id = "srv-offer-inside";
    let _ = inside.write(ClientMessage::Request).await;
    let answer = inside.reply(inside.question(ReplyTo::Request, "the answer to a request inside TLS")).await;
    // A session that answered its hello may end with the request; one that answered nothing shows nothing.
    let accepted = match answer {
        Ok(reply) => reply.meaning == ServerMessage::Accept,
        Err(ProbeError::Malformed(_)) => false,
        Err(stop) if stop.ends() && inside.has_heard() => false,
        Err(stop) => return FindingBuilder::inconclusive(id, &stop.unserved()),
    };
    match (accepted, listed) {
        (true, _) => FindingBuilder::fail(id, "the upgrade is accepted again inside TLS"),
        (false, true) if !plan.profile.may_repeat_offer => FindingBuilder::new(
            id,
            CheckOutcome::Warning,
            "the upgrade is listed again inside TLS, and refused",
        ),
        (false, true) => {
            FindingBuilder::pass(id, "the upgrade is still listed inside TLS, as it may be here, and refused")
        }
        (false, false) => FindingBuilder::pass(id, "inside TLS the upgrade is neither listed nor accepted"),
    }
}

/// What the server says it can do, one entry each, as people read it.
fn lines(protocol: &Protocol, bytes: &[u8]) -> Vec<String> {
    if bytes.is_empty() {
        return Vec::new();
    }
    let dialect = (protocol.dialect)(starttls::proto::Identity::new(""));
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
    // The first line names the server, or says that a list follows.
    lines.iter().skip(1).map(entry).collect()
}

/// The two lists compared.
pub(super) fn capabilities(
    plan: &Plan,
    before: &[String],
    inside: &Result<Vec<String>, ProbeError>,
) -> FindingBuilder {
    let id = "srv-caps-kept";
    let inside = match inside {
        Ok(inside) => inside,
        Err(stop) => return FindingBuilder::inconclusive(id, stop),
    };
    if inside.is_empty() {
        return FindingBuilder::new(
            id,
            CheckOutcome::NotApplicable,
            "there is no list inside TLS to compare",
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
            id,
            CheckOutcome::Warning,
            "inside TLS the list still says what holds in cleartext only",
        ),
        (false, true) => FindingBuilder::new(id, CheckOutcome::Info, "the list inside TLS is that of before"),
        (false, false) => FindingBuilder::pass(id, "the list changes with TLS"),
    }
    .details(difference)
}
