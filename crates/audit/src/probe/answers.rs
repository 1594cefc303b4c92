//! What comes back inside TLS, counted around a sentinel of our own.

use std::time::Duration;

use starttls::proto::{ClientMessage, Escaped, Identity, Protocol, ReplyTo, ServerMessage, Side};

use crate::dialogue::Inside;
use crate::plan::Plan;

/// How long silence has to last where a goodbye is not answered, so that nothing else tells the end.
const QUIET: Duration = Duration::from_millis(250);

/// Answers that are waited for; a server that goes on talking has shown enough.
const MAX_ANSWERS: usize = 50;

/// Everything the server said inside TLS, as signatures, in order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Answers(pub(crate) Vec<String>);

impl Answers {
    /// Whether everything that was due came, and more besides: a session that goes on as if nothing had been.
    /// A server that ends the session with an error is sound, however many words it uses.
    pub(crate) fn has_more_than(&self, due: &Self) -> bool {
        let mut rest = self.0.iter();
        self.0.len() > due.0.len() && due.0.iter().all(|expected| rest.any(|answer| answer == expected))
    }

    /// Adds what comes until the connection ends or is silent for as long as `wait`.
    async fn all(&mut self, inside: &mut Inside, wait: Duration) {
        while self.0.len() < MAX_ANSWERS
            && let Some(answer) = next(inside, wait).await
        {
            self.0.push(answer);
        }
    }
}

/// A message in words, or its first line.
pub(crate) fn shown(protocol: &Protocol, message: &[u8]) -> String {
    let dialect = (protocol.dialect)(Identity::new(""));
    dialect.describe(Side::Server, message).unwrap_or_else(|| Escaped(first_line(message)).to_string())
}

/// The harmless message that serves as a probe: what the protocol has, from a no-op up to a login that cannot succeed.
pub(crate) fn harmless(plan: &Plan, words: &mut dyn FnMut(ClientMessage) -> Vec<u8>) -> Vec<u8> {
    [plan.words.harmless, ClientMessage::Probe, ClientMessage::Hello, ClientMessage::Credentials]
        .into_iter()
        .map(words)
        .find(|bytes| !bytes.is_empty())
        .unwrap_or_default()
}

/// Says `first`, then the sentinel, then goodbye, and takes all answers until the connection ends.
pub(crate) async fn take(plan: &Plan, inside: &mut Inside, first: &[u8]) -> Answers {
    let mut answers = Answers::default();
    let sentinel = harmless(plan, &mut |message| inside.words(message));
    let started = inside.send(first).await.is_ok() && inside.send(&sentinel).await.is_ok();
    if started && let Some(answer) = next(inside, plan.patience()).await {
        answers.0.push(answer);
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
    answers.all(inside, plan.patience().min(Duration::from_secs(2))).await;
    answers
}

/// Whether a message is a line or an element of XML.
pub(crate) fn is_text(message: &[u8]) -> bool {
    message.is_ascii() && message.last().is_some_and(|&end| end.is_ascii_whitespace() || end == b'>')
}

/// The next answer's signature; notices are no answers.
async fn next(inside: &mut Inside, wait: Duration) -> Option<String> {
    loop {
        let message = inside.message(ReplyTo::Other, wait).await?;
        if inside.meaning(ReplyTo::Other, &message) == Some(ServerMessage::Interim) {
            continue;
        }
        let text = inside.describe(&message).unwrap_or_else(|| Escaped(first_line(&message)).to_string());
        return Some(signature(&text));
    }
}

fn first_line(message: &[u8]) -> &[u8] {
    message.split(|&byte| byte == b'\n').next().unwrap_or_default().trim_ascii()
}

/// What an answer is, without what changes from time to time: its first two words, without numbers that are long.
pub(crate) fn signature(text: &str) -> String {
    let word = |word: &str| -> String {
        let volatile = word.len() > 6 && word.bytes().any(|byte| byte.is_ascii_digit());
        if volatile { String::from("#") } else { word.to_ascii_lowercase() }
    };
    let line = text.split("\\r\\n").next().unwrap_or(text).trim_end_matches("\\n");
    line.split_whitespace().take(2).map(word).collect::<Vec<_>>().join(" ")
}
