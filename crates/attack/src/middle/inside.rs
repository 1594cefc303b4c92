//! Inside TLS. The man in the middle terminates TLS on both sides, and records what it relays.

use std::time::{Duration, Instant};

use starttls::proto::{self, ClientMessage, Identity, SessionCommand, Side};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::time::timeout;

use super::{CHUNK, Middle};
use crate::record::Layer;
use crate::scenario::SessionAction;

/// How long a client without answers may take for its first message, and for each further one, until the run ends.
const MUTE_ATTACK: (Duration, Duration) = (Duration::from_secs(3), Duration::from_secs(2));
/// The same limits in the run without an attack. They are longer than under attack: a pause on a busy machine can then hide
/// an attack that succeeded, but cannot make a sound client look fooled.
const MUTE_CONTROL: (Duration, Duration) = (Duration::from_secs(6), Duration::from_secs(3));
/// How long a client may continue without an answer.
const UNANSWERED: Duration = Duration::from_secs(20);
/// How long the client may take for each message after the server has closed.
const LAST_WORDS: Duration = Duration::from_secs(5);

impl Middle {
    /// Relays everything in both directions.
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
                    reader.receive(said);
                    match self.records.count(number, said.len()) {
                        Ok(()) => send(&mut server, said).await,
                        spent => spent,
                    }
                }
                read = server.read(&mut from_server) => {
                    let said = &from_server[..read.unwrap_or(0)];
                    if said.is_empty() {
                        let _ = client.shutdown().await;
                        // The client may still send messages.
                        while let Ok(Ok(read @ 1..)) = timeout(LAST_WORDS, client.read(&mut from_client)).await {
                            reader.receive(&from_client[..read]);
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

    /// Returns the start of the server's bytes if TLS must be cut off after it, which is in the answer to the last message of
    /// the client. A client that has sent its goodbye needs no answer, so cutting one off then would prove nothing.
    fn cut<'a>(&self, number: usize, said: &'a [u8]) -> Option<&'a [u8]> {
        if self.inside != SessionAction::Truncate || self.answered == 0 {
            return None;
        }
        // Fewer octets than any complete message has.
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

    /// Receives and sends nothing until the client waits for an answer.
    pub(super) async fn mute<A: AsyncRead + AsyncWrite + Unpin>(&self, number: usize, mut client: A) {
        let mut reader = Reader::new(self, number);
        let (first, quiet) = if self.rules.is_empty() { MUTE_CONTROL } else { MUTE_ATTACK };
        let (mut buffer, mut patience) = ([0; CHUNK], first);
        let until = Instant::now() + UNANSWERED;
        while let Ok(Ok(read @ 1..)) = timeout(patience, client.read(&mut buffer)).await {
            reader.receive(&buffer[..read]);
            // A client that keeps sending without an answer has shown its behavior.
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

/// Frames the messages of the client for the record, as far as they are valid.
struct Reader<'a> {
    middle: &'a Middle,
    number: usize,
    engine: Option<proto::ServerSession>,
}

impl<'a> Reader<'a> {
    fn new(middle: &'a Middle, number: usize) -> Self {
        // The answers of the engine are not sent.
        let engine = proto::ServerSession::new(middle.protocol, Identity::new("localhost"), &mut Vec::new());
        Self { middle, number, engine: Some(engine) }
    }

    fn receive(&mut self, said: &[u8]) {
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
