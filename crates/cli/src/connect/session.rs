//! Standard input and output become the session.

use std::io::{IsTerminal, Write};
use std::time::Duration;

use starttls::proto::{ClientMessage, Identity, Protocol};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadHalf, WriteHalf};

/// How long the server may take to answer the goodbye.
const GOODBYE: Duration = Duration::from_secs(5);

/// How a protocol's session is typed: what ends a line, and how one says goodbye.
#[derive(Clone, Debug)]
pub(crate) struct Manners {
    /// What a line feed that was typed is sent as; `None` sends bytes as they are.
    line_end: Option<&'static [u8]>,
    pub(crate) goodbye: Vec<u8>,
}

impl Manners {
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
        Self { line_end, goodbye }
    }

    /// Lines with CRLF, and no goodbye: for a protocol that is not known.
    pub(crate) fn lines() -> Self {
        Self { line_end: Some(b"\r\n"), goodbye: Vec::new() }
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

/// Copies both ways until the server closes, or input ends and the goodbyes are said.
///
/// `first` is what the server has said already.
pub(crate) async fn run<IO: AsyncRead + AsyncWrite>(
    io: IO,
    manners: &Manners,
    first: &[u8],
) -> std::io::Result<()> {
    let (reader, writer) = tokio::io::split(io);
    let terminal = std::io::stdout().is_terminal();
    show(first, terminal)?;
    let incoming = receive(reader, terminal);
    let outgoing = send(writer, manners);
    tokio::pin!(incoming, outgoing);
    tokio::select! {
        ended = &mut incoming => return ended,
        ended = &mut outgoing => ended?,
    }
    tokio::time::timeout(GOODBYE, incoming).await.unwrap_or(Ok(()))
}

async fn receive<IO: AsyncRead>(mut reader: ReadHalf<IO>, terminal: bool) -> std::io::Result<()> {
    let mut buffer = vec![0; 16 * 1024];
    loop {
        match reader.read(&mut buffer).await {
            Ok(0) => return Ok(()),
            Ok(len) => show(buffer.get(..len).unwrap_or_default(), terminal)?,
            // Servers that close without close_notify are common, and nothing here depends on the end.
            Err(error) if error.kind() == std::io::ErrorKind::UnexpectedEof => return Ok(()),
            Err(error) if error.kind() == std::io::ErrorKind::ConnectionReset => return Ok(()),
            Err(error) => return Err(error),
        }
    }
}

async fn send<IO: AsyncWrite>(mut writer: WriteHalf<IO>, manners: &Manners) -> std::io::Result<()> {
    let mut stdin = tokio::io::stdin();
    let (mut buffer, mut last) = (vec![0; 16 * 1024], 0);
    loop {
        let len = stdin.read(&mut buffer).await?;
        let bytes = match len {
            0 => manners.goodbye.clone(),
            _ => manners.sent(buffer.get(..len).unwrap_or_default(), &mut last),
        };
        writer.write_all(&bytes).await?;
        writer.flush().await?;
        if len == 0 {
            if bytes.is_empty() {
                writer.shutdown().await?;
            }
            return Ok(());
        }
    }
}

/// What the server says goes out as it is, but a terminal gets no control characters from a peer.
pub(crate) fn show(bytes: &[u8], terminal: bool) -> std::io::Result<()> {
    let mut out = std::io::stdout().lock();
    if terminal {
        for &byte in bytes {
            match byte {
                b'\n' | b'\t' | 0x20..=0x7e => out.write_all(&[byte])?,
                b'\r' => {}
                _ => write!(out, "\\x{byte:02x}")?,
            }
        }
    } else {
        out.write_all(bytes)?;
    }
    out.flush()
}

#[cfg(test)]
mod tests {
    use super::*;
    use starttls::proto::smtp;

    #[test]
    fn lines_are_sent_with_crlf_once() {
        let manners = Manners::of(&smtp::SMTP, "mail.example.com");
        let mut last = 0;
        assert_eq!(manners.sent(b"NOOP\nNOOP\r", &mut last), b"NOOP\r\nNOOP\r");
        assert_eq!(manners.sent(b"\nQUIT\n", &mut last), b"\nQUIT\r\n");
        assert_eq!(manners.goodbye, b"QUIT\r\n");
    }
}
