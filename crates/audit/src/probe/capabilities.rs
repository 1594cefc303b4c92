//! What the server lists, before TLS and inside it, and whether the upgrade is still there inside.

use starttls::proto::{After, ClientMessage, Escaped, Protocol, ReplyTo, ServerMessage};

use crate::dialogue::{Inside, Opening};
use crate::draft::Draft;
use crate::plan::Plan;
use crate::report::Outcome;

/// The hello once more, inside; then the request, which has no business there.
pub(super) async fn asked_again(
    plan: &Plan,
    inside: &mut Inside,
    opening: &Opening,
) -> (Draft, Vec<String>, Vec<String>) {
    let id = "srv-offer-inside";
    let patience = plan.patience();
    let list = |bytes: &[u8]| lines(plan.protocol, bytes);
    let before = list(if opening.hello.is_empty() { &opening.greeting } else { &opening.hello });
    if plan.protocol.flow.after == After::ServerSpeaks {
        let Some(said) = inside.message(ReplyTo::Connect, patience).await else {
            return (
                Draft::new(id, Outcome::Inconclusive, "the server says nothing inside TLS"),
                before,
                Vec::new(),
            );
        };
        let again = inside.meaning(ReplyTo::Connect, &said) == Some(ServerMessage::Offer { starttls: true });
        return (offered_again(plan, inside, again).await, before, list(&said));
    }
    let hello = inside.words(ClientMessage::Hello);
    if plan.protocol.flow.after == After::AnswerPending {
        inside.message(ReplyTo::Other, patience).await;
    }
    if !plan.protocol.flow.verdict {
        return (Draft::new(id, Outcome::NotApplicable, "nobody answers a request"), before, Vec::new());
    }
    if hello.is_empty() {
        return (offered_again(plan, inside, false).await, before, Vec::new());
    }
    let _ = inside.send(&hello).await;
    let mut said = Vec::new();
    let draft = loop {
        let Some(message) = inside.message(ReplyTo::Hello, patience).await else {
            break Draft::new(id, Outcome::Inconclusive, "the hello inside TLS is not answered");
        };
        said.extend_from_slice(&message);
        match inside.meaning(ReplyTo::Hello, &message) {
            Some(ServerMessage::Offer { starttls }) => break offered_again(plan, inside, starttls).await,
            Some(ServerMessage::Interim) => {}
            _ => {
                break Draft::new(
                    id,
                    Outcome::Info,
                    "the server ends the session behind the hello inside TLS",
                );
            }
        }
    };
    (draft, before, list(&said))
}

/// Asks once more for TLS, inside TLS.
async fn offered_again(plan: &Plan, inside: &mut Inside, listed: bool) -> Draft {
    let id = "srv-offer-inside";
    let _ = inside.write(ClientMessage::Request).await;
    let answer = inside.message(ReplyTo::Request, plan.patience()).await;
    let accepted =
        answer.and_then(|answer| inside.meaning(ReplyTo::Request, &answer)) == Some(ServerMessage::Accept);
    match (accepted, listed) {
        (true, _) => Draft::fail(id, "the upgrade is accepted again inside TLS"),
        (false, true) if !plan.words.may_repeat_offer => {
            Draft::new(id, Outcome::Warning, "the upgrade is listed again inside TLS, and refused")
        }
        (false, true) => {
            Draft::pass(id, "the upgrade is still listed inside TLS, as it may be here, and refused")
        }
        (false, false) => Draft::pass(id, "inside TLS the upgrade is neither listed nor accepted"),
    }
}

/// What the server says it can do, one entry each, as people read it.
fn lines(protocol: &Protocol, bytes: &[u8]) -> Vec<String> {
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
pub(super) fn capabilities(plan: &Plan, before: &[String], inside: &[String]) -> Draft {
    let id = "srv-caps-kept";
    if inside.is_empty() {
        return Draft::new(id, Outcome::NotApplicable, "there is no list inside TLS to compare");
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
    let kept = !plan.words.may_repeat_offer && inside.iter().any(kept);
    match (kept, difference.is_empty()) {
        (true, _) => {
            Draft::new(id, Outcome::Warning, "inside TLS the list still says what holds in cleartext only")
        }
        (false, true) => Draft::new(id, Outcome::Info, "the list inside TLS is that of before"),
        (false, false) => Draft::pass(id, "the list changes with TLS"),
    }
    .details(difference)
}
