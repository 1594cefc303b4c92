//! The messages of a client, in cleartext or inside TLS.

use std::io;
use std::time::Duration;

use starttls::proto::{
    ClientMessage, Dialect, Identity, MessageReader, Phase, Protocol, ReplyTo, ServerMessage, Side,
};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::time::timeout;

/// The size limit of a message, in octets.
const LIMIT: usize = 1 << 20;

/// The stream of a client: in cleartext, or TLS.
pub(super) trait ClientStream: AsyncRead + AsyncWrite + Unpin + Send {}
impl<S: AsyncRead + AsyncWrite + Unpin + Send> ClientStream for S {}

pub(super) struct Conversation {
    pub(super) stream: Box<dyn ClientStream>,
    dialect: Box<dyn Dialect>,
    pub(super) inside: bool,
    pub(super) reader: MessageReader,
    /// All received messages.
    pub(super) heard: Vec<u8>,
    patience: Option<Duration>,
    /// The number of sent messages.
    pub(super) said: u32,
    /// The last list of capabilities.
    pub(super) list: Vec<u8>,
    /// Whether the client logs in.
    pub(super) logs_in: bool,
}

impl Conversation {
    /// Tags and ids count from one, as in most clients, so an attacker can predict them.
    fn new(
        protocol: &Protocol,
        patience: Option<Duration>,
        stream: Box<dyn ClientStream>,
        inside: bool,
        unread: &[u8],
    ) -> Self {
        let mut reader = MessageReader::with_max_message(Side::Server, LIMIT);
        reader.push(unread);
        let phase = if inside { Phase::InsideTls } else { Phase::Cleartext };
        let dialect = protocol.new_dialect(Identity::new("localhost").in_phase(phase).with_nonce(0));
        Self {
            stream,
            dialect,
            inside,
            reader,
            heard: Vec::new(),
            patience,
            said: 0,
            list: Vec::new(),
            logs_in: true,
        }
    }

    pub(super) fn clear(
        protocol: &Protocol,
        patience: Option<Duration>,
        stream: Box<dyn ClientStream>,
    ) -> Self {
        Self::new(protocol, patience, stream, false, b"")
    }

    /// Continues inside TLS with the remaining bytes, after this number of sent messages.
    pub(super) fn inside(
        protocol: &Protocol,
        patience: Option<Duration>,
        stream: Box<dyn ClientStream>,
        unread: &[u8],
        said: u32,
    ) -> Self {
        let mut conversation = Self::new(protocol, patience, stream, true, unread);
        // Tags and ids continue across the upgrade.
        for _ in 0..said {
            conversation.dialect.write_client(ClientMessage::Request, &mut Vec::new());
        }
        conversation
    }

    /// Sends a message and returns its length, which is 0 if the protocol has no such message.
    pub(super) async fn say(&mut self, message: ClientMessage) -> io::Result<usize> {
        let mut out = Vec::new();
        self.dialect.write_client(message, &mut out);
        self.said += 1;
        self.stream.write_all(&out).await?;
        self.stream.flush().await?;
        Ok(out.len())
    }

    /// Sends these bytes.
    pub(super) async fn say_as_is(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.stream.write_all(bytes).await?;
        self.stream.flush().await
    }

    /// Receives the answer to a message; `None` if it is invalid.
    pub(super) async fn hear(&mut self, to: ReplyTo) -> io::Result<Option<ServerMessage>> {
        let mut heard = Vec::new();
        loop {
            let Some(message) = self.message(to).await? else { return Ok(None) };
            heard.extend_from_slice(&message);
            match self.dialect.read_server(to, &message) {
                Ok(ServerMessage::Interim) => {}
                Ok(meaning) => {
                    if matches!(meaning, ServerMessage::Offer { .. }) {
                        self.list = heard;
                    }
                    return Ok(Some(meaning));
                }
                Err(_) => return Ok(None),
            }
        }
    }

    /// Receives the next message; `None` if the bytes are invalid.
    async fn message(&mut self, to: ReplyTo) -> io::Result<Option<Vec<u8>>> {
        loop {
            match self.reader.next(&*self.dialect, to) {
                Ok(Some(message)) => {
                    self.heard.extend_from_slice(message);
                    return Ok(Some(message.to_vec()));
                }
                Ok(None) => {}
                Err(_) => {
                    if self.reader.is_too_long() {
                        return Err(io::Error::other("the message is too long"));
                    }
                    self.heard.append(&mut self.reader.take_unread());
                    return Ok(None);
                }
            }
            let mut chunk = [0; 8 * 1024];
            let reading = self.stream.read(&mut chunk);
            let read = match self.patience {
                Some(patience) => timeout(patience, reading).await.map_err(|_| io::ErrorKind::TimedOut)??,
                None => reading.await?,
            };
            if read == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            self.reader.push(&chunk[..read]);
        }
    }
}
