//! One connection, in cleartext or inside TLS: sends bytes, cuts what comes back into messages, writes both down.

use std::time::{Duration, Instant};

use starttls::proto::{ClientMessage, Dialect, Escaped, Protocol, ReplyTo, Scan, Side};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

use crate::dialogue::Stop;
use crate::record::Record;
use crate::report::Kind;

/// Octets that a server may say before a probe gives up listening.
const MAX_UNREAD: usize = 256 * 1024;

/// Octets that are read at once.
const CHUNK: usize = 8192;

/// The two ends' words on one stream.
pub(crate) struct Channel<S> {
    pub(super) io: S,
    pub(crate) protocol: &'static Protocol,
    pub(super) dialect: Box<dyn Dialect>,
    unread: Vec<u8>,
    pub(crate) record: Record,
    /// The longest wait for one answer.
    pub(crate) patience: Duration,
    /// What our words and theirs are called in the record.
    kinds: [Kind; 2],
}

/// What came next.
pub(super) enum Next {
    /// A whole message.
    Message(Vec<u8>),
    /// Bytes that are no message, and what was expected.
    Broken(Vec<u8>, &'static str),
    /// The end of the connection, and what had come before it.
    Closed(Vec<u8>),
    /// Nothing in time. What has come of a message waits for its rest.
    Silent,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Channel<S> {
    pub(super) fn new(
        io: S,
        protocol: &'static Protocol,
        dialect: Box<dyn Dialect>,
        record: Record,
        patience: Duration,
        kinds: [Kind; 2],
    ) -> Self {
        Self { io, protocol, dialect, unread: Vec::new(), record, patience, kinds }
    }

    /// The bytes of a message of ours, not sent yet.
    pub(crate) fn words(&mut self, message: ClientMessage) -> Vec<u8> {
        let mut bytes = Vec::new();
        self.dialect.write_client(message, &mut bytes);
        bytes
    }

    /// Sends bytes in one segment, as far as that is ours to decide.
    pub(crate) async fn send(&mut self, bytes: &[u8]) -> Result<(), Stop> {
        if bytes.is_empty() {
            return Ok(());
        }
        self.record.bytes(self.kinds[0], bytes);
        self.put(bytes).await
    }

    /// Sends bytes that are not worth writing down.
    pub(crate) async fn put(&mut self, bytes: &[u8]) -> Result<(), Stop> {
        let sent = tokio::time::timeout(self.patience, async {
            self.io.write_all(bytes).await?;
            self.io.flush().await
        });
        match sent.await {
            Ok(Ok(())) => Ok(()),
            _ => {
                self.record.text(Kind::Event, "the connection is closed");
                Err(Stop::Closed("our own words"))
            }
        }
    }

    pub(crate) async fn write(&mut self, message: ClientMessage) -> Result<(), Stop> {
        let bytes = self.words(message);
        self.send(&bytes).await
    }

    /// Takes leave, if anybody still listens.
    pub(crate) async fn goodbye(&mut self) {
        let _ = self.write(ClientMessage::Quit).await;
    }

    /// The next message.
    pub(super) async fn next(&mut self, reply_to: ReplyTo, until: Instant) -> Next {
        let mut scan = Scan::default();
        loop {
            if !self.unread.is_empty() {
                match self.dialect.frame(Side::Server, reply_to, &self.unread, &mut scan) {
                    Ok(Some(len)) => {
                        let message: Vec<u8> = self.unread.drain(..len).collect();
                        self.record.bytes(self.kinds[1], &message);
                        return Next::Message(message);
                    }
                    Ok(None) if self.unread.len() < MAX_UNREAD => {}
                    Ok(None) => return Next::Broken(self.unread(), "an answer of reasonable length"),
                    Err(malformed) => return Next::Broken(self.unread(), malformed.expected),
                }
            }
            match self.more(until).await {
                Some(true) => {}
                Some(false) => {
                    let unread = self.unread();
                    self.record.text(Kind::Event, "the server closed the connection");
                    return Next::Closed(unread);
                }
                None => {
                    let behind = match self.unread.as_slice() {
                        [] => String::from("silence"),
                        part => format!("silence behind \"{}\"", Escaped(part.get(..80).unwrap_or(part))),
                    };
                    self.record.text(Kind::Event, behind);
                    return Next::Silent;
                }
            }
        }
    }

    /// Reads on: whether something came, or the end; nothing when nothing did.
    async fn more(&mut self, until: Instant) -> Option<bool> {
        let mut buffer = [0; CHUNK];
        match tokio::time::timeout_at(until.into(), self.io.read(&mut buffer)).await {
            Ok(Ok(len)) if len > 0 => {
                self.unread.extend_from_slice(buffer.get(..len).unwrap_or_default());
                Some(true)
            }
            Ok(_) => Some(false),
            Err(_) => None,
        }
    }

    /// What has come and was not read yet, without waiting.
    pub(crate) fn unread(&mut self) -> Vec<u8> {
        let unread = std::mem::take(&mut self.unread);
        if !unread.is_empty() {
            self.record.bytes(self.kinds[1], &unread);
        }
        unread
    }

    /// The same, and whatever comes within `wait`.
    pub(crate) async fn listen(&mut self, wait: Duration) -> Vec<u8> {
        self.hear(wait).await.0
    }

    /// The same, and whether the connection has ended.
    pub(crate) async fn hear(&mut self, wait: Duration) -> (Vec<u8>, bool) {
        let until = Instant::now() + wait;
        let mut going = Some(true);
        while self.unread.len() < MAX_UNREAD && going == Some(true) {
            going = self.more(until).await;
        }
        let heard = self.unread();
        if going == Some(false) {
            self.record.text(Kind::Event, "the server closed the connection");
        }
        (heard, going == Some(false))
    }

    /// Whether the connection ends within `wait`, whatever is said on the way.
    pub(crate) async fn closes(&mut self, wait: Duration) -> bool {
        let until = Instant::now() + wait;
        let closed = loop {
            match self.more(until).await {
                Some(true) => drop(self.unread()),
                Some(false) => break true,
                None => break false,
            }
        };
        if closed {
            self.record.text(Kind::Event, "the server closed the connection");
        }
        closed
    }

    /// The server's message in words, where bytes do not speak for themselves.
    pub(crate) fn describe(&self, message: &[u8]) -> Option<String> {
        self.dialect.describe(Side::Server, message)
    }
}
