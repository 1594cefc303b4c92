//! By hand: cleartext without an upgrade, and the upgrade of a protocol that is not known.

use std::time::Duration;

use starttls::proto::{Escaped, Protocol, smtp};
use starttls::{Connector, Encrypted, Error};
use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, BufReader};

use super::session::Manners;
use crate::exit;
use crate::failure::Failed;
use crate::output::Sink;
use crate::talk::{Talk, Tone};

/// Stands for a protocol that is not in the registry: no ALPN id, and a dialect that is never asked.
pub(crate) const UNKNOWN: Protocol =
    Protocol { name: "unknown", title: "an unknown protocol", implicit_tls: None, alpn: None, ..smtp::SMTP };

/// The longest answer to the line that asks for TLS.
const ANSWER: u64 = 64 * 1024;

/// A server that has been silent for this long has said what it had to say.
const QUIET: Duration = Duration::from_millis(500);

/// Talks in cleartext until `request` is typed and answered with one line, then starts TLS.
///
/// `None` when the input or the connection ended before that.
pub(crate) async fn upgrade_on<IO: AsyncRead + AsyncWrite + Unpin>(
    mut io: IO,
    request: &str,
    connector: &Connector,
    server_name: &str,
    talk: &Talk,
    sink: &mut Sink,
    timeout: Duration,
) -> Result<Option<Encrypted<IO>>, Failed> {
    let manners = Manners::lines();
    let mut typed = BufReader::new(tokio::io::stdin());
    let (mut line, mut heard) = (Vec::new(), vec![0; 16 * 1024]);
    loop {
        tokio::select! {
            len = io.read(&mut heard) => match len? {
                0 => return Ok(None),
                len => sink.show(heard.get(..len).unwrap_or_default())?,
            },
            len = typed.read_until(b'\n', &mut line) => {
                if len? == 0 {
                    return Ok(None);
                }
                let asked = line.trim_ascii() == request.trim().as_bytes();
                if asked {
                    hear_out(&mut io, &mut heard, sink).await?;
                }
                io.write_all(&manners.sent(&line, &mut 0)).await?;
                io.flush().await?;
                line.clear();
                if asked {
                    break;
                }
            }
        }
    }
    let late = || Error::Timeout { step: "the answer to the line that asks for TLS", limit: timeout };
    let answer = tokio::time::timeout(timeout, one_line(&mut io)).await.map_err(|_| late())??;
    sink.show(&answer)?;
    talk.line(Tone::Seam, "--- TLS from here ---");
    Ok(Some(connector.upgrade_implicit(&UNKNOWN, server_name, io).await?))
}

/// Lets the server finish what it has to say, so that the next line is the answer to the request: input that
/// comes from a file does not wait for answers.
async fn hear_out<IO: AsyncRead + Unpin>(
    io: &mut IO,
    heard: &mut [u8],
    sink: &mut Sink,
) -> Result<(), Failed> {
    while let Ok(len) = tokio::time::timeout(QUIET, io.read(heard)).await {
        match len? {
            0 => return Err(Failed::new(exit::UNREACHABLE, "the server closed the connection")),
            len => sink.show(heard.get(..len).unwrap_or_default())?,
        }
    }
    Ok(())
}

/// The answer to the request: one line, and not a byte behind it.
async fn one_line<IO: AsyncRead + Unpin>(io: &mut IO) -> Result<Vec<u8>, Failed> {
    let (mut answer, mut heard) = (Vec::new(), [0; 4096]);
    while !answer.contains(&b'\n') {
        let len = io.take(ANSWER - answer.len() as u64).read(&mut heard).await?;
        if len == 0 {
            return Err(Failed::new(
                exit::UNREACHABLE,
                "the server closed the connection instead of answering",
            ));
        }
        answer.extend_from_slice(heard.get(..len).unwrap_or_default());
    }
    let end = answer.iter().position(|&byte| byte == b'\n').map_or(answer.len(), |at| at + 1);
    match answer.get(end..) {
        Some(beyond) if !beyond.is_empty() => Err(Failed::new(
            exit::VIOLATION,
            format!(
                "the server sent cleartext beyond the boundary (rule B2): expected nothing but TLS behind its answer \
                 \"{}\", received \"{}\"",
                Escaped(answer.get(..end).unwrap_or_default()),
                Escaped(beyond.get(..beyond.len().min(200)).unwrap_or_default())
            ),
        )),
        _ => Ok(answer),
    }
}
