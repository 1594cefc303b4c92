//! Answers in cleartext after the go-ahead, where only TLS is allowed.

use starttls::proto::{Identity, MessageReader, ReplyTo, ServerMessage, Side};

use super::trial::End;
use super::{Judge, short};
use crate::check::{Check, id};
use crate::finding::FindingBuilder;
use crate::message;
use crate::plan::Plan;
use crate::probe::answers::{self, signature};
use crate::profile::{begins, is_final};
use crate::report::CheckOutcome;

const CHECK: &Check = id::SRV_REPLY_PLAIN;

/// Judges the cleartext after the go-ahead of a connection with injected bytes.
pub(super) fn judge(plan: &Plan, judge: &Judge<'_>, end: &End) -> FindingBuilder {
    if plan.protocol.flow.client_hello_is_request {
        let why = "the ClientHello is the request, so no cleartext can follow the request";
        return FindingBuilder::new(CHECK, CheckOutcome::NotApplicable, why);
    }
    let bytes = match end {
        End::Plain(bytes) => bytes,
        End::Stopped(error) => return FindingBuilder::inconclusive(CHECK, error),
        _ => return FindingBuilder::pass(CHECK, "the server sends no cleartext after the go-ahead"),
    };
    let messages = messages(plan, bytes);
    if let Some(text) = messages.iter().map(|it| &it.text).find(|text| answers(plan, judge, text)) {
        return FindingBuilder::fail(
            CHECK,
            message::INJECTED_ANSWERED_IN_CLEARTEXT.with(&[("text", &short(text))]),
        );
    }
    let text = shown(plan, bytes);
    match messages.iter().all(|it| it.refuses) {
        // The protocol has a message for a handshake that fails.
        true => FindingBuilder::pass(CHECK, message::FAILURE_REPORTED_IN_CLEARTEXT.with(&[("text", &text)])),
        false => {
            let why = message::STILL_READS_CLEARTEXT.with(&[("text", &text)]);
            FindingBuilder::new(CHECK, CheckOutcome::Warning, why)
        }
    }
}

/// Returns the beginning of the first message, for a report.
pub(super) fn shown(plan: &Plan, bytes: &[u8]) -> String {
    let text = messages(plan, bytes).into_iter().next().map(|it| it.text).unwrap_or_default();
    short(&text).to_owned()
}

struct Message {
    text: String,
    /// Whether it refuses the request, or reports that TLS failed.
    refuses: bool,
}

fn messages(plan: &Plan, bytes: &[u8]) -> Vec<Message> {
    let mut dialect = plan.protocol.new_dialect(plan.identity());
    // In a protocol without a go-ahead an error may still answer the request (MySQL).
    let refuses = |meaning| match meaning {
        Ok(ServerMessage::Refuse(_)) => true,
        Ok(ServerMessage::Bye) => !plan.protocol.flow.request_is_answered,
        _ => false,
    };
    cut(plan, bytes)
        .into_iter()
        .map(|message| {
            let text = answers::shown(plan.protocol, message);
            let refuses = refuses(dialect.read_server(ReplyTo::Request, message))
                || begins(&text, plan.profile.failed_handshake);
            Message { text, refuses }
        })
        .collect()
}

/// Returns whether this cleartext answers the injected messages as the server answers them in cleartext or inside TLS.
fn answers(plan: &Plan, judge: &Judge<'_>, text: &str) -> bool {
    let own = signature(text);
    let usual = judge.harmless_in_cleartext.is_some_and(|usual| usual == own);
    let known = begins(text, plan.profile.served) || begins(text, plan.profile.took_credentials);
    let ends = is_final(text) || begins(text, plan.profile.failed_handshake);
    !own.is_empty() && !ends && (usual || judge.normal.signatures.contains(&own) || known)
}

/// Splits bytes into messages. Bytes that are not a whole message are the last element.
pub(in crate::probe) fn cut<'a>(plan: &Plan, received: &'a [u8]) -> Vec<&'a [u8]> {
    let dialect = plan.protocol.new_dialect(Identity::new(""));
    let mut reader = MessageReader::with_max_message(Side::Server, received.len());
    reader.push(received);
    let (mut rest, mut messages) = (received, Vec::new());
    while let Ok(Some(message)) = reader.next(&*dialect, ReplyTo::Other) {
        let (message, after) = rest.split_at(message.len());
        messages.push(message);
        rest = after;
    }
    messages.extend(Some(rest).filter(|rest| !rest.is_empty()));
    messages
}
