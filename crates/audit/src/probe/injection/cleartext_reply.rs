//! What comes in cleartext after the go-ahead, where nothing but TLS belongs.

use starttls::proto::{Identity, ReplyTo, Scan, ServerMessage, Side};

use super::trial::End;
use super::{Judge, short};
use crate::finding::FindingBuilder;
use crate::plan::Plan;
use crate::probe::answers::{self, signature};
use crate::profile::{begins, is_final};
use crate::report::CheckOutcome;

const ID: &str = "srv-reply-plain";

/// What the end of a connection with injected bytes shows of the cleartext after the go-ahead.
pub(super) fn judge(plan: &Plan, judge: &Judge<'_>, end: &End) -> FindingBuilder {
    let bytes = match end {
        End::Plain(bytes) => bytes,
        End::Stopped(stop) => return FindingBuilder::inconclusive(ID, stop),
        _ => return FindingBuilder::pass(ID, "no answer in cleartext behind the go-ahead"),
    };
    let messages = messages(plan, bytes);
    if let Some(text) = messages.iter().map(|it| &it.text).find(|text| answers(plan, judge, text)) {
        return FindingBuilder::fail(
            ID,
            format!("the injected command was answered in cleartext: \"{}\"", short(text)),
        );
    }
    let text = shown(plan, bytes);
    match messages.iter().all(|it| it.refuses) {
        // The protocol's own word for a handshake that fails.
        true => FindingBuilder::pass(
            ID,
            format!("the server reports in cleartext that the handshake failed: \"{text}\""),
        ),
        false => {
            let why =
                format!("after its go-ahead the server still reads cleartext, and answers it: \"{text}\"");
            FindingBuilder::new(ID, CheckOutcome::Warning, why)
        }
    }
}

/// The beginning of what came, for people.
pub(super) fn shown(plan: &Plan, bytes: &[u8]) -> String {
    let text = messages(plan, bytes).into_iter().next().map(|it| it.text).unwrap_or_default();
    short(&text).to_owned()
}

struct Message {
    text: String,
    /// Whether it refuses the request, or says that TLS failed.
    refuses: bool,
}

fn messages(plan: &Plan, bytes: &[u8]) -> Vec<Message> {
    let mut dialect = (plan.protocol.dialect)(plan.identity());
    // Without a go-ahead an error may still be the answer to the request (MySQL).
    let refuses = |meaning| match meaning {
        Ok(ServerMessage::Refuse(_)) => true,
        Ok(ServerMessage::Bye) => !plan.protocol.flow.request_is_answered,
        _ => false,
    };
    cut(plan, bytes)
        .into_iter()
        .map(|message| Message {
            text: answers::shown(plan.protocol, message),
            refuses: refuses(dialect.read_server(ReplyTo::Request, message)),
        })
        .collect()
}

/// Whether cleartext that came where TLS belongs answers the injected messages, as they are answered in cleartext
/// or inside TLS.
fn answers(plan: &Plan, judge: &Judge<'_>, text: &str) -> bool {
    let said = signature(text);
    let usual = judge.harmless_in_cleartext.is_some_and(|usual| usual == said);
    let words = begins(text, plan.profile.served) || begins(text, plan.profile.took_credentials);
    !said.is_empty() && !is_final(text) && (usual || judge.normal.signatures.contains(&said) || words)
}

/// The messages in what was heard; what is not one is the last.
pub(in crate::probe) fn cut<'a>(plan: &Plan, heard: &'a [u8]) -> Vec<&'a [u8]> {
    let dialect = (plan.protocol.dialect)(Identity::new(""));
    let (mut rest, mut messages) = (heard, Vec::new());
    while !rest.is_empty() {
        let whole = dialect.frame(Side::Server, ReplyTo::Other, rest, &mut Scan::default());
        let end = whole.ok().flatten().filter(|end| *end > 0).unwrap_or(rest.len()).min(rest.len());
        let (message, behind) = rest.split_at(end);
        messages.push(message);
        rest = behind;
    }
    messages
}
