//! The answers inside TLS, counted with a harmless command of the probe as the sentinel.

use std::time::{Duration, Instant};

use starttls::proto::{
    AfterUpgrade, ClientMessage, Escaped, Identity, Protocol, ReplyTo, ServerMessage, Side,
};

use crate::channel::{Question, Reply};
use crate::error::ProbeError;
use crate::plan::Plan;
use crate::profile::{CODE_COMES_THIRD, ProtocolProfile, begins};
use crate::session::TlsSession;

/// The silence that ends the answers in a protocol whose servers do not answer the end of a session.
const QUIET: Duration = Duration::from_millis(250);

/// The most answers that the probe reads.
const MAX_ANSWERS: usize = 50;

/// The name of the sentinel's answer in errors.
const SENTINEL: &str = "the answer to a harmless command inside TLS";

/// The signatures of all answers inside TLS, in order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Answers {
    pub(crate) signatures: Vec<String>,
    /// How many of them came before the end of the session, or why the sentinel was not answered. A session that ends
    /// with the first answer is not served.
    pub(crate) served: Result<usize, ProbeError>,
}

impl Answers {
    /// Returns whether all due answers came, and more. A server that ends the session with an error is sound, however
    /// many messages it sends.
    pub(crate) fn has_more_than(&self, due: &Self) -> bool {
        self.signatures.len() > due.signatures.len() && self.has_all_of(due)
    }

    /// Returns whether all due answers came.
    pub(crate) fn has_all_of(&self, due: &Self) -> bool {
        let mut rest = self.signatures.iter();
        due.signatures.iter().all(|expected| rest.any(|answer| answer == expected))
    }

    /// Returns the answers to the sentinel, if the session continues after them.
    pub(crate) fn before_goodbye(&self) -> Option<&[String]> {
        self.signatures.get(..*self.served.as_ref().ok()?)
    }

    /// Returns whether the first answer of the control run is among these.
    pub(crate) fn has_some_of(&self, due: &Self) -> bool {
        due.signatures.first().is_some_and(|first| self.signatures.contains(first))
    }

    /// Adds the answers until the connection ends or is silent for `wait`. Answers without end are an error, because they
    /// cannot be compared.
    async fn all(&mut self, inside: &mut TlsSession, wait: Duration) {
        let until = Instant::now() + wait.saturating_mul(10);
        loop {
            match inside.reply(Question { within: wait, ..sentinel(inside) }).await {
                Ok(reply) => self.signatures.push(signature(&inside_text(inside, &reply))),
                Err(error @ (ProbeError::Endless(_) | ProbeError::Deadline)) => {
                    self.served = Err(error);
                    return;
                }
                Err(_) => return,
            }
            if self.signatures.len() >= MAX_ANSWERS || Instant::now() >= until {
                self.served = Err(ProbeError::Endless(SENTINEL));
                return;
            }
        }
    }

    /// Sends the sentinel. An answer that ends the session is an error.
    async fn ask(&mut self, plan: &Plan, inside: &mut TlsSession) -> Result<(), ProbeError> {
        let sentinel_bytes = harmless(plan, &mut |message| inside.encode(message));
        // The reason why the connection ended is the better error than the failed write.
        let sent = inside.send(&sentinel_bytes).await;
        let reply = inside.reply(Question { within: plan.reply_timeout(), ..sentinel(inside) }).await;
        let reply = match (reply, sent) {
            (Ok(reply), _) => reply,
            (Err(ProbeError::Silent(_)), Err(error)) => return Err(error),
            (Err(error), _) => {
                // An incomplete message is an answer, but the session does not continue.
                if let ProbeError::Unfinished(_, part) = &error {
                    self.signatures.push(signature(part));
                }
                return Err(error);
            }
        };
        let text = inside_text(inside, &reply);
        self.signatures.push(signature(&text));
        match reply.meaning == ServerMessage::Bye || begins(&text, plan.profile.turned_away) {
            true => Err(ProbeError::Bye(text)),
            false => Ok(()),
        }
    }
}

fn sentinel(inside: &TlsSession) -> Question<'static> {
    inside.question(ReplyTo::Other, SENTINEL)
}

fn inside_text(inside: &TlsSession, reply: &Reply) -> String {
    inside.describe(&reply.own).unwrap_or_else(|| Escaped(first_line(&reply.own)).to_string())
}

/// Returns a message in words, or its first line.
pub(crate) fn shown(protocol: &Protocol, message: &[u8]) -> String {
    let dialect = protocol.new_dialect(Identity::new(""));
    dialect.describe(Side::Server, message).unwrap_or_else(|| Escaped(first_line(message)).to_string())
}

/// Candidates for the harmless command, the first choice first.
fn candidates(profile: &ProtocolProfile) -> [ClientMessage; 4] {
    [profile.harmless, ClientMessage::Probe, ClientMessage::Hello, ClientMessage::Credentials]
}

/// Returns whether the harmless command inside TLS is a login that fails.
pub(super) fn harmless_is_login(protocol: &Protocol) -> bool {
    let mut dialect = protocol.new_dialect(Identity::new("").inside_tls());
    let is_written = |message: &ClientMessage| {
        let mut bytes = Vec::new();
        dialect.write_client(*message, &mut bytes);
        !bytes.is_empty()
    };
    let chosen = candidates(ProtocolProfile::of(protocol)).into_iter().find(is_written);
    chosen == Some(ClientMessage::Credentials)
}

/// Writes the harmless command of the protocol: a no-op if there is one, otherwise a hello or a login that fails.
pub(crate) fn harmless(plan: &Plan, encode: &mut dyn FnMut(ClientMessage) -> Vec<u8>) -> Vec<u8> {
    candidates(plan.profile).into_iter().map(encode).find(|bytes| !bytes.is_empty()).unwrap_or_default()
}

/// Sends `first`, then the sentinel (twice if a session accepts it twice), then the end of the session, and reads all
/// answers until the connection ends. A server that turns every client away answers the sentinel at most once.
pub(crate) async fn take(plan: &Plan, inside: &mut TlsSession, first: &[u8]) -> Answers {
    let mut answers = Answers { signatures: Vec::new(), served: Ok(0) };
    let _ = inside.send(first).await;
    for answered in 0..plan.sentinels() {
        if let Err(error) = answers.ask(plan, inside).await {
            answers.served = Err(error);
            break;
        }
        answers.served = Ok(answered + 1);
    }
    if answers.served.as_ref().is_err_and(|error| !error.is_silence() && !matches!(error, ProbeError::Bye(_)))
    {
        return answers;
    }
    let quit = inside.encode(ClientMessage::Quit);
    // A server of a text protocol answers in order, so that the answer to the end comes last. A binary end of the session
    // is not answered.
    let longest = plan.reply_timeout().min(Duration::from_secs(2));
    if !is_text(&quit) {
        // Where injected bytes begin the session, its next answer comes after the sentinel, not before.
        answers.all(inside, if plan.profile.begins_once { longest } else { QUIET }).await;
    }
    if quit.is_empty() {
        return answers;
    }
    let _ = inside.send(&quit).await;
    answers.all(inside, longest).await;
    answers
}

/// Returns what a server sends inside TLS while the client is silent, in words.
pub(crate) async fn unasked(
    plan: &Plan,
    inside: &mut TlsSession,
    wait: Duration,
    more: Duration,
) -> Vec<String> {
    let mut wait = wait;
    let mut received = Vec::new();
    // The first message of a server that speaks first inside TLS is not an answer.
    let reply_to = match plan.protocol.flow.after {
        AfterUpgrade::ServerSpeaks => Some(ReplyTo::Connect),
        AfterUpgrade::AnswerPending => Some(ReplyTo::Other),
        AfterUpgrade::Silent | AfterUpgrade::StreamRestart | AfterUpgrade::SequenceContinues => None,
    };
    if let Some(reply_to) = reply_to {
        let _ = inside.reply(Question { within: wait, ..inside.question(reply_to, SENTINEL) }).await;
    }
    while received.len() < MAX_ANSWERS {
        match inside.reply(Question { within: wait, ..sentinel(inside) }).await {
            Ok(reply) if reply.meaning == ServerMessage::Bye => break,
            Ok(reply) => received.push(shown(plan.protocol, &reply.own)),
            Err(ProbeError::Unfinished(_, part)) => {
                received.push(part);
                break;
            }
            Err(_) => break,
        }
        wait = more;
    }
    received
}

/// Returns whether a message is a line or an XML element.
pub(crate) fn is_text(message: &[u8]) -> bool {
    message.is_ascii() && message.last().is_some_and(|&end| end.is_ascii_whitespace() || end == b'>')
}

fn first_line(message: &[u8]) -> &[u8] {
    message.split(|&byte| byte == b'\n').next().unwrap_or_default().trim_ascii()
}

/// Returns what identifies the kind of an answer: its first two words, or three if the third is a code. Ids, which change
/// from session to session, are replaced.
pub(crate) fn signature(text: &str) -> String {
    let word = |word: &str| -> String {
        let volatile = word.len() > 6 && word.bytes().any(|byte| byte.is_ascii_digit());
        if volatile { String::from("#") } else { word.to_ascii_lowercase() }
    };
    let line = text.split("\\r\\n").next().unwrap_or(text).trim_end_matches("\\n");
    let words = if begins(line, CODE_COMES_THIRD) { 3 } else { 2 };
    line.split_whitespace().take(words).map(word).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::signature;

    #[test]
    fn a_signature_keeps_the_code_and_drops_ids() {
        for (text, expected) in [
            ("250 2.0.0 Ok", "250 2.0.0"),
            ("a12345678 OK done", "# ok"),
            ("ErrorResponse FATAL 28000 no pg_hba.conf entry", "errorresponse fatal 28000"),
            ("ErrorResponse FATAL 08P01 received unencrypted data", "errorresponse fatal 08p01"),
            ("ERR 1045 #28000Access denied", "err 1045"),
        ] {
            assert_eq!(signature(text), expected);
        }
    }
}
