//! What comes back inside TLS, counted around a sentinel of our own.

use std::time::{Duration, Instant};

use starttls::proto::{
    AfterUpgrade, ClientMessage, Escaped, Identity, Protocol, ReplyTo, ServerMessage, Side,
};

use crate::channel::{Question, Reply};
use crate::plan::Plan;
use crate::profile::{CODE_COMES_THIRD, begins};
use crate::session::{ProbeError, TlsSession};

/// How long silence has to last where a goodbye is not answered, so that nothing else tells the end.
const QUIET: Duration = Duration::from_millis(250);

/// Answers that are waited for; a server that goes on talking has shown enough.
const MAX_ANSWERS: usize = 50;

/// The name of the sentinel's answer, for errors.
const SENTINEL: &str = "the answer to a harmless command inside TLS";

/// Everything the server said inside TLS, as signatures, in order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Answers {
    pub(crate) signatures: Vec<String>,
    /// How many of them answered the sentinel, before the goodbye; or why it was not answered. A session that ends
    /// with the first answer is not served.
    pub(crate) served: Result<usize, ProbeError>,
}

impl Answers {
    /// Whether everything that was due came, and more besides: a session that goes on as if nothing had been.
    /// A server that ends the session with an error is sound, however many words it uses.
    pub(crate) fn has_more_than(&self, due: &Self) -> bool {
        self.signatures.len() > due.signatures.len() && self.has_all_of(due)
    }

    /// Whether everything that was due came.
    pub(crate) fn has_all_of(&self, due: &Self) -> bool {
        let mut rest = self.signatures.iter();
        due.signatures.iter().all(|expected| rest.any(|answer| answer == expected))
    }

    /// The answers to the sentinel, if the session continues after them.
    pub(crate) fn before_goodbye(&self) -> Option<&[String]> {
        self.signatures.get(..*self.served.as_ref().ok()?)
    }

    /// Whether the sentinel's answer is among these, as the control run had it.
    pub(crate) fn has_some_of(&self, due: &Self) -> bool {
        due.signatures.first().is_some_and(|first| self.signatures.contains(first))
    }

    /// Adds what comes until the connection ends or is silent for as long as `wait`. A server that answers without end
    /// cannot be compared with.
    async fn all(&mut self, inside: &mut TlsSession, wait: Duration) {
        let until = Instant::now() + wait.saturating_mul(10);
        loop {
            match inside.reply(Question { within: wait, ..sentinel(inside) }).await {
                Ok(reply) => self.signatures.push(signature(&inside_text(inside, &reply))),
                Err(stop @ (ProbeError::Endless(_) | ProbeError::Deadline)) => {
                    self.served = Err(stop);
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

    /// Asks something harmless; whether the answer is one of a session that goes on.
    async fn ask(&mut self, plan: &Plan, inside: &mut TlsSession) -> Result<(), ProbeError> {
        let words = harmless(plan, &mut |message| inside.words(message));
        // What ended the connection tells more than that it cannot be written to.
        let sent = inside.send(&words).await;
        let reply = inside.reply(Question { within: plan.reply_timeout(), ..sentinel(inside) }).await;
        let reply = match (reply, sent) {
            (Ok(reply), _) => reply,
            (Err(ProbeError::Silent(_)), Err(stop)) => return Err(stop),
            (Err(stop), _) => {
                // A message that is cut short is an answer, but not one of a session that goes on.
                if let ProbeError::Unfinished(_, part) = &stop {
                    self.signatures.push(signature(part));
                }
                return Err(stop);
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

/// A message in words, or its first line.
pub(crate) fn shown(protocol: &Protocol, message: &[u8]) -> String {
    let dialect = (protocol.dialect)(Identity::new(""));
    dialect.describe(Side::Server, message).unwrap_or_else(|| Escaped(first_line(message)).to_string())
}

/// The harmless message that serves as a probe: what the protocol has, from a no-op up to a login that cannot succeed.
pub(crate) fn harmless(plan: &Plan, words: &mut dyn FnMut(ClientMessage) -> Vec<u8>) -> Vec<u8> {
    [plan.profile.harmless, ClientMessage::Probe, ClientMessage::Hello, ClientMessage::Credentials]
        .into_iter()
        .map(words)
        .find(|bytes| !bytes.is_empty())
        .unwrap_or_default()
}

/// Says `first`, then the sentinel, twice where a session takes it twice, then goodbye, and takes all answers until
/// the connection ends. A server that turns everybody away may not say so in so many words, but it answers once.
pub(crate) async fn take(plan: &Plan, inside: &mut TlsSession, first: &[u8]) -> Answers {
    let mut answers = Answers { signatures: Vec::new(), served: Ok(0) };
    let _ = inside.send(first).await;
    for answered in 0..plan.sentinels() {
        if let Err(stop) = answers.ask(plan, inside).await {
            answers.served = Err(stop);
            break;
        }
        answers.served = Ok(answered + 1);
    }
    if answers.served.as_ref().is_err_and(|stop| !stop.is_silence() && !matches!(stop, ProbeError::Bye(_))) {
        return answers;
    }
    let goodbye = inside.words(ClientMessage::Quit);
    // Text is answered in order, so that a goodbye can wait for what is still due; a binary one is not answered.
    if !is_text(&goodbye) {
        answers.all(inside, QUIET).await;
    }
    if goodbye.is_empty() {
        return answers;
    }
    let _ = inside.send(&goodbye).await;
    answers.all(inside, plan.reply_timeout().min(Duration::from_secs(2))).await;
    answers
}

/// Takes what a server says inside TLS while the client is silent, in words.
pub(crate) async fn unasked(
    plan: &Plan,
    inside: &mut TlsSession,
    wait: Duration,
    more: Duration,
) -> Vec<String> {
    let mut wait = wait;
    let mut heard = Vec::new();
    // What a server says by itself inside TLS is not an answer.
    let reply_to = match plan.protocol.flow.after {
        AfterUpgrade::ServerSpeaks => Some(ReplyTo::Connect),
        AfterUpgrade::AnswerPending => Some(ReplyTo::Other),
        AfterUpgrade::Silent | AfterUpgrade::StreamRestart | AfterUpgrade::SequenceContinues => None,
    };
    if let Some(reply_to) = reply_to {
        let _ = inside.reply(Question { within: wait, ..inside.question(reply_to, SENTINEL) }).await;
    }
    while heard.len() < MAX_ANSWERS {
        match inside.reply(Question { within: wait, ..sentinel(inside) }).await {
            Ok(reply) if reply.meaning == ServerMessage::Bye => break,
            Ok(reply) => heard.push(shown(plan.protocol, &reply.own)),
            Err(ProbeError::Unfinished(_, part)) => {
                heard.push(part);
                break;
            }
            Err(_) => break,
        }
        wait = more;
    }
    heard
}

/// Whether a message is a line or an element of XML.
pub(crate) fn is_text(message: &[u8]) -> bool {
    message.is_ascii() && message.last().is_some_and(|&end| end.is_ascii_whitespace() || end == b'>')
}

fn first_line(message: &[u8]) -> &[u8] {
    message.split(|&byte| byte == b'\n').next().unwrap_or_default().trim_ascii()
}

/// What an answer is, without what changes from time to time: its first two words, or three where the third is a code,
/// without numbers that are long.
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
