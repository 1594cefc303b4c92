//! Connects standard input and output to a session.

use std::time::Duration;

use starttls::proto::{ClientMessage, Identity, Protocol, Side};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadHalf, WriteHalf};

use crate::console::{Console, Tone};
use crate::error::Failed;
use crate::output::Sink;

/// The time that the server has to answer the goodbye.
const GOODBYE: Duration = Duration::from_secs(5);

/// The same where the answer is not shown.
const LEAVE: Duration = Duration::from_secs(1);

/// How typed input is sent in a protocol: the end of a line, and the goodbye at the end of input.
#[derive(Clone, Debug)]
pub(crate) struct LineDiscipline {
    /// The octets that replace a typed line feed; `None` sends the input unchanged.
    line_end: Option<&'static [u8]>,
    /// The protocol's message that ends a session, such as QUIT.
    pub(crate) goodbye: Vec<u8>,
    /// Whether the protocol's messages are not text.
    pub(crate) is_binary: bool,
}

/// How the server ended a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ended {
    /// With close_notify, or after the client left.
    InOrder,
    /// Without close_notify. An attacker between client and server can do that (RFC 8446 section 6.1).
    CutOff,
}

impl LineDiscipline {
    pub(crate) fn of(protocol: &Protocol, server_name: &str) -> Self {
        let mut dialect = protocol.new_dialect(Identity::new(server_name).inside_tls());
        let (mut request, mut goodbye) = (Vec::new(), Vec::new());
        dialect.write_client(ClientMessage::Request, &mut request);
        dialect.write_client(ClientMessage::Quit, &mut goodbye);
        // The dialect's own request shows how its lines end; binary protocols and XML have no lines.
        let line_end: Option<&'static [u8]> = match request.as_slice() {
            [.., b'\r', b'\n'] => Some(b"\r\n"),
            [.., b'\n'] => Some(b"\n"),
            _ => None,
        };
        let is_binary = dialect.describe(Side::Client, &request).is_some();
        Self { line_end, goodbye, is_binary }
    }

    /// Returns CRLF line endings and no goodbye, for an unknown protocol.
    pub(crate) fn crlf() -> Self {
        Self { line_end: Some(b"\r\n"), goodbye: Vec::new(), is_binary: false }
    }

    /// Returns the typed bytes as they are sent. `last` is the last typed byte so far.
    pub(crate) fn encode(&self, typed: &[u8], last: &mut u8) -> Vec<u8> {
        let Some(line_end) = self.line_end else { return typed.to_vec() };
        let mut bytes = Vec::with_capacity(typed.len() + 8);
        for &byte in typed {
            match byte {
                b'\n' if *last == b'\r' && line_end.len() == 2 => bytes.push(byte),
                b'\n' => bytes.extend_from_slice(line_end),
                _ => bytes.push(byte),
            }
            *last = byte;
        }
        bytes
    }
}

impl Ended {
    /// Shows a note if the session was cut off.
    pub(crate) fn note(self, console: &Console) {
        if self == Self::CutOff {
            let note = "note: the connection ended without close_notify: the last bytes from the server may be missing";
            console.line(Tone::Boundary, note);
        }
    }
}

/// Copies in both directions until the server closes the session, or until the input ends and both sides have said
/// goodbye.
///
/// `first` holds the bytes that the server has already sent.
pub(crate) async fn run<IO: AsyncRead + AsyncWrite>(
    io: IO,
    input: impl AsyncRead + Unpin,
    discipline: &LineDiscipline,
    first: &[u8],
    sink: &mut Sink,
) -> Result<Ended, Failed> {
    let (reader, writer) = tokio::io::split(io);
    sink.show(first)?;
    let incoming = receive(reader, sink);
    let outgoing = send(writer, input, discipline);
    tokio::pin!(incoming, outgoing);
    tokio::select! {
        ended = &mut incoming => return ended,
        ended = &mut outgoing => ended?,
    }
    tokio::time::timeout(GOODBYE, incoming).await.unwrap_or(Ok(Ended::InOrder))
}

/// Sends the protocol's goodbye and reads until the server closes: for a session without input.
pub(crate) async fn leave<IO: AsyncRead + AsyncWrite + Unpin>(
    mut io: IO,
    discipline: &LineDiscipline,
) -> Result<(), Failed> {
    let mut received = vec![0; 16 * 1024];
    let leaving = async {
        // If the server has closed already, the writes fail, but its last bytes can still be read.
        let _ = io.write_all(&discipline.goodbye).await;
        let _ = io.shutdown().await;
        while next(&mut io, &mut received).await? > 0 {}
        Ok(())
    };
    tokio::time::timeout(LEAVE, leaving).await.unwrap_or(Ok(()))
}

async fn receive<IO: AsyncRead>(mut reader: ReadHalf<IO>, sink: &mut Sink) -> Result<Ended, Failed> {
    let mut buffer = vec![0; 16 * 1024];
    loop {
        match reader.read(&mut buffer).await {
            Ok(0) => return Ok(Ended::InOrder),
            Ok(len) => sink.show(buffer.get(..len).unwrap_or_default())?,
            Err(error) if is_cut(&error) => return Ok(Ended::CutOff),
            Err(error) => return Err(error.into()),
        }
    }
}

/// Returns whether the connection ended without close_notify.
fn is_cut(error: &std::io::Error) -> bool {
    use std::io::ErrorKind;
    [ErrorKind::UnexpectedEof, ErrorKind::ConnectionReset].contains(&error.kind())
}

/// Reads the next bytes from the server; 0 at the end.
pub(crate) async fn next(io: &mut (impl AsyncRead + Unpin), buffer: &mut [u8]) -> std::io::Result<usize> {
    match io.read(buffer).await {
        // Servers that close without close_notify are common, and no decision depends on the end.
        Err(error) if is_cut(&error) => Ok(0),
        read => read,
    }
}

async fn send<IO: AsyncWrite>(
    mut writer: WriteHalf<IO>,
    mut input: impl AsyncRead + Unpin,
    discipline: &LineDiscipline,
) -> Result<(), Failed> {
    let (mut buffer, mut last) = (vec![0; 16 * 1024], 0);
    loop {
        let len = input.read(&mut buffer).await?;
        let bytes = match len {
            0 => discipline.goodbye.clone(),
            _ => discipline.encode(buffer.get(..len).unwrap_or_default(), &mut last),
        };
        let sent = async {
            writer.write_all(&bytes).await?;
            writer.flush().await
        };
        if sent.await.is_err() {
            // The reading half reports the cause.
            return Ok(());
        }
        if len == 0 {
            if bytes.is_empty() {
                let _ = writer.shutdown().await;
            }
            return Ok(());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use starttls::proto::smtp;

    #[test]
    fn lines_are_sent_with_crlf_once() {
        let discipline = LineDiscipline::of(&smtp::SMTP, "mail.example.com");
        let mut last = 0;
        assert_eq!(discipline.encode(b"NOOP\nNOOP\r", &mut last), b"NOOP\r\nNOOP\r");
        assert_eq!(discipline.encode(b"\nQUIT\n", &mut last), b"\nQUIT\r\n");
        assert_eq!(discipline.goodbye, b"QUIT\r\n");
    }
}
