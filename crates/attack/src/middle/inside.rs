//! Inside TLS, where the man in the middle has the keys of both legs: what passes is written down.

use std::time::{Duration, Instant};

use starttls::proto::{self, ClientMessage, Identity, SessionCommand, Side};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::time::timeout;

use super::{CHUNK, Middle};
use crate::record::Layer;
use crate::scenario::SessionAction;

/// How long a client that hears nothing may take to say its first word, and how long for the next, before it has said
/// all that it says without an answer.
const UNDER_ATTACK: (Duration, Duration) = (Duration::from_secs(3), Duration::from_secs(1));
/// The same where it is not attacked. It is heard out for longer there than in what that is compared with: a pause
/// on a busy machine may make an attack look as if it had come to nothing, and never a sound client as if it were fooled.
const IN_PEACE: (Duration, Duration) = (Duration::from_secs(6), Duration::from_secs(3));
/// How long a client may go on without an answer.
const UNANSWERED: Duration = Duration::from_secs(20);
/// For each thing that the client says after the server has closed.
const LAST_WORDS: Duration = Duration::from_secs(5);

impl Middle {
    /// Passes everything, in both directions.
    pub(super) async fn pass_inside<A, B>(&self, number: usize, mut client: A, mut server: B)
    where
        A: AsyncRead + AsyncWrite + Unpin,
        B: AsyncRead + AsyncWrite + Unpin,
    {
        let mut reader = Reader::new(self, number);
        let (mut from_client, mut from_server) = ([0; CHUNK], [0; CHUNK]);
        loop {
            let passed = tokio::select! {
                read = client.read(&mut from_client) => {
                    let said = &from_client[..read.unwrap_or(0)];
                    if said.is_empty() {
                        break;
                    }
                    reader.heard(said);
                    match self.records.count(number, said.len()) {
                        Ok(()) => send(&mut server, said).await,
                        spent => spent,
                    }
                }
                read = server.read(&mut from_server) => {
                    let said = &from_server[..read.unwrap_or(0)];
                    if said.is_empty() {
                        let _ = client.shutdown().await;
                        // The client may have a word to say yet.
                        while let Ok(Ok(read @ 1..)) = timeout(LAST_WORDS, client.read(&mut from_client)).await {
                            reader.heard(&from_client[..read]);
                            if self.records.count(number, read).is_err() {
                                break;
                            }
                        }
                        break;
                    }
                    let said = match self.cut(number, said) {
                        Some(start) => {
                            let _ = send(&mut client, start).await;
                            // Without a close_notify alert: the connection just ends (RFC 8446 section 6.1).
                            return;
                        }
                        None => said,
                    };
                    self.records.with(number, |record| {
                        record.push(Side::Server, Layer::Inside, None, said, None);
                    });
                    match self.records.count(number, said.len()) {
                        Ok(()) => send(&mut client, said).await,
                        spent => spent,
                    }
                }
            };
            if passed.is_err() {
                break;
            }
        }
        let _ = server.shutdown().await;
    }

    /// Returns the start of what the server said, if TLS is to be cut off in it: it is the answer to the client's last
    /// message. A client that has said goodbye no longer needs an answer, so cutting one off then would prove nothing.
    fn cut<'a>(&self, number: usize, said: &'a [u8]) -> Option<&'a [u8]> {
        if self.inside != SessionAction::Truncate || self.answered == 0 {
            return None;
        }
        // Fewer octets than any whole message has.
        let start = &said[..(said.len() / 2).min(3)];
        let mut is_due = false;
        self.records.with(number, |record| {
            let is_leaving = record.entries.iter().any(|entry| entry.meaning == Some(ClientMessage::Quit));
            is_due = record.messages_inside >= self.answered && !is_leaving;
            if is_due {
                (record.applied, record.truncated) = (true, true);
                record.push(Side::Server, Layer::Inside, None, start, None);
            }
        });
        is_due.then_some(start)
    }

    /// Listens, and says nothing, until the client waits for an answer.
    pub(super) async fn mute<A: AsyncRead + AsyncWrite + Unpin>(&self, number: usize, mut client: A) {
        let mut reader = Reader::new(self, number);
        let (first, quiet) = if self.rules.is_empty() { IN_PEACE } else { UNDER_ATTACK };
        let (mut buffer, mut patience) = ([0; CHUNK], first);
        let until = Instant::now() + UNANSWERED;
        while let Ok(Ok(read @ 1..)) = timeout(patience, client.read(&mut buffer)).await {
            reader.heard(&buffer[..read]);
            // A client that says more and more without an answer has shown what it does.
            if self.records.count(number, read).is_err() || Instant::now() > until {
                break;
            }
            patience = quiet;
        }
        let _ = client.shutdown().await;
    }
}

async fn send(to: &mut (impl AsyncWrite + Unpin), bytes: &[u8]) -> std::io::Result<()> {
    to.write_all(bytes).await?;
    to.flush().await
}

/// Cuts what the client says into messages, as far as they can be read.
struct Reader<'a> {
    middle: &'a Middle,
    number: usize,
    engine: Option<proto::ServerSession>,
}

impl<'a> Reader<'a> {
    fn new(middle: &'a Middle, number: usize) -> Self {
        // What the engine would answer is nobody's business.
        let engine = proto::ServerSession::new(middle.protocol, Identity::new("localhost"), &mut Vec::new());
        Self { middle, number, engine: Some(engine) }
    }

    fn heard(&mut self, said: &[u8]) {
        let mut rest = said;
        while let Some(engine) = self.engine.as_mut().filter(|_| !rest.is_empty()) {
            rest = engine.receive(rest);
            loop {
                let (meaning, message) = match engine.next(&mut Vec::new()) {
                    Ok(Some(SessionCommand::Message(message))) => (ClientMessage::Other, message),
                    Ok(Some(SessionCommand::Answered(message))) => (ClientMessage::Hello, message),
                    Ok(Some(SessionCommand::Quit)) => (ClientMessage::Quit, b"(goodbye)".to_vec()),
                    Ok(None) => break,
                    Err(_) => {
                        self.engine = None;
                        return self.write(ClientMessage::Other, said);
                    }
                };
                self.middle.records.with(self.number, |record| {
                    record.push(Side::Client, Layer::Inside, Some(meaning), &message, None);
                });
            }
        }
        if self.engine.is_none() {
            self.write(ClientMessage::Other, rest);
        }
    }

    fn write(&self, meaning: ClientMessage, bytes: &[u8]) {
        self.middle.records.with(self.number, |record| {
            record.push(Side::Client, Layer::Inside, Some(meaning), bytes, None);
        });
    }
}
