//! Inside TLS, where the man in the middle has the keys of both legs: what passes is written down.

use std::time::Duration;

use starttls::proto::{self, ClientMessage, Command, Identity, Side};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::time::timeout;

use super::{CHUNK, Middle};
use crate::record::Layer;

/// How long a client that hears nothing may take to say its first word, and how long for the next, before it has said
/// all that it says without an answer.
const UNDER_ATTACK: (Duration, Duration) = (Duration::from_secs(3), Duration::from_secs(1));
/// The same where it is not attacked. It is heard out for longer there than in what that is compared with: a pause
/// on a busy machine may make an attack look as if it had come to nothing, and never a sound client as if it were fooled.
const IN_PEACE: (Duration, Duration) = (Duration::from_secs(6), Duration::from_secs(3));

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
                    send(&mut server, said).await
                }
                read = server.read(&mut from_server) => {
                    let said = &from_server[..read.unwrap_or(0)];
                    if said.is_empty() {
                        let _ = client.shutdown().await;
                        // The client may have a word to say yet.
                        while let Ok(read @ 1..) = client.read(&mut from_client).await {
                            reader.heard(&from_client[..read]);
                        }
                        break;
                    }
                    self.records.with(number, |record| {
                        record.push(Side::Server, Layer::Inside, None, said, None);
                    });
                    send(&mut client, said).await
                }
            };
            if passed.is_err() {
                break;
            }
        }
        let _ = server.shutdown().await;
    }

    /// Listens, and says nothing, until the client waits for an answer.
    pub(super) async fn mute<A: AsyncRead + AsyncWrite + Unpin>(&self, number: usize, mut client: A) {
        let mut reader = Reader::new(self, number);
        let (first, quiet) = if self.rules.is_empty() { IN_PEACE } else { UNDER_ATTACK };
        let (mut buffer, mut patience) = ([0; CHUNK], first);
        while let Ok(Ok(read @ 1..)) = timeout(patience, client.read(&mut buffer)).await {
            reader.heard(&buffer[..read]);
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
    engine: Option<proto::Inside>,
}

impl<'a> Reader<'a> {
    fn new(middle: &'a Middle, number: usize) -> Self {
        // What the engine would answer is nobody's business.
        let engine = proto::Inside::new(middle.protocol, Identity::new("localhost"), &mut Vec::new());
        Self { middle, number, engine: Some(engine) }
    }

    fn heard(&mut self, said: &[u8]) {
        let mut rest = said;
        while let Some(engine) = self.engine.as_mut().filter(|_| !rest.is_empty()) {
            rest = engine.receive(rest);
            loop {
                let (meaning, message) = match engine.next(&mut Vec::new()) {
                    Ok(Some(Command::Message(message))) => (ClientMessage::Other, message),
                    Ok(Some(Command::Answered(message))) => (ClientMessage::Hello, message),
                    Ok(Some(Command::Quit)) => (ClientMessage::Quit, b"(goodbye)".to_vec()),
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
