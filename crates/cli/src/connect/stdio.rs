//! Standard input and output become the session.

use std::time::Duration;

use starttls::proto::{ClientMessage, Identity, Protocol, Side};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadHalf, WriteHalf};

use crate::console::{Console, Tone};
use crate::error::Failed;
use crate::output::Sink;

/// How long the server may take to answer the goodbye.
const GOODBYE: Duration = Duration::from_secs(5);

/// The same where the answer interests nobody.
const LEAVE: Duration = Duration::from_secs(1);

/// How a protocol's session is typed: what ends a line, and how one says goodbye.
#[derive(Clone, Debug)]
pub(crate) struct LineDiscipline {
    /// What a line feed that was typed is sent as; `None` sends bytes as they are.
    line_end: Option<&'static [u8]>,
    pub(crate) goodbye: Vec<u8>,
    /// Whether the messages are not text.
    pub(crate) is_binary: bool,
}

/// How the server ended a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ended {
    /// In order, or not before the client left.
    InOrder,
    /// Without close_notify: anybody on the way can do that (RFC 8446 section 6.1).
    CutOff,
}

impl LineDiscipline {
    pub(crate) fn of(protocol: &Protocol, server_name: &str) -> Self {
        let mut dialect = (protocol.dialect)(Identity { inside_tls: true, ..Identity::new(server_name) });
        let (mut request, mut goodbye) = (Vec::new(), Vec::new());
        dialect.write_client(ClientMessage::Request, &mut request);
        dialect.write_client(ClientMessage::Quit, &mut goodbye);
        // The request shows what a line is; binary protocols and XML have none.
        let line_end: Option<&'static [u8]> = match request.as_slice() {
            [.., b'\r', b'\n'] => Some(b"\r\n"),
            [.., b'\n'] => Some(b"\n"),
            _ => None,
        };
        let is_binary = dialect.describe(Side::Client, &request).is_some();
        Self { line_end, goodbye, is_binary }
    }

    /// Lines with CRLF, and no goodbye: for a protocol that is not known.
    pub(crate) fn lines() -> Self {
        Self { line_end: Some(b"\r\n"), goodbye: Vec::new(), is_binary: false }
    }

    /// What was typed, as it is sent.
    pub(crate) fn sent(&self, typed: &[u8], last: &mut u8) -> Vec<u8> {
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
    /// Notes a session that was cut off.
    pub(crate) fn tell(self, console: &Console) {
        if self == Self::CutOff {
            let note =
                "note: the connection ended without close_notify: what the server sent last may be missing";
            console.line(Tone::Boundary, note);
        }
    }
}

/// Copies both ways until the server closes, or input ends and the goodbyes are said.
///
/// `first` is what the server has said already.
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

/// Says goodbye in the protocol's way, and hears it out: for a session that nobody types into.
pub(crate) async fn leave<IO: AsyncRead + AsyncWrite + Unpin>(
    mut io: IO,
    discipline: &LineDiscipline,
) -> Result<(), Failed> {
    let mut heard = vec![0; 16 * 1024];
    let leaving = async {
        // A server that has left already is told nothing; what it said last is still to be read.
        let _ = io.write_all(&discipline.goodbye).await;
        let _ = io.shutdown().await;
        while next(&mut io, &mut heard).await? > 0 {}
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

/// Whether the connection ended without a goodbye in TLS.
fn is_cut(error: &std::io::Error) -> bool {
    use std::io::ErrorKind;
    [ErrorKind::UnexpectedEof, ErrorKind::ConnectionReset].contains(&error.kind())
}

/// Reads what the server says next: nothing at its end.
pub(crate) async fn next(io: &mut (impl AsyncRead + Unpin), buffer: &mut [u8]) -> std::io::Result<usize> {
    match io.read(buffer).await {
        // Servers that close without close_notify are common, and nothing here depends on the end.
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
            _ => discipline.sent(buffer.get(..len).unwrap_or_default(), &mut last),
        };
        let sent = async {
            writer.write_all(&bytes).await?;
            writer.flush().await
        };
        if sent.await.is_err() {
            // Whoever reads learns why.
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
        assert_eq!(discipline.sent(b"NOOP\nNOOP\r", &mut last), b"NOOP\r\nNOOP\r");
        assert_eq!(discipline.sent(b"\nQUIT\n", &mut last), b"\nQUIT\r\n");
        assert_eq!(discipline.goodbye, b"QUIT\r\n");
    }
}
