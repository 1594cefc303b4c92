//! By hand: cleartext without an upgrade, and the upgrade of a protocol that is not known.

use std::sync::Arc;
use std::time::Duration;

use starttls::proto::{Escaped, Protocol, smtp};
use starttls::{Chunk, Error, Observer, Step};
use tokio::io::{
    AsyncBufRead, AsyncBufReadExt, AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, BufReader,
};

use super::conversation::Negotiation;
use super::stdio::{self, LineDiscipline};
use super::tap::Tapped;
use super::{Session, text, transcript};
use crate::args::Connect;
use crate::console::{Console, Tone};
use crate::error::Failed;
use crate::exit;
use crate::output::Sink;
use crate::target::{Host, Mode, Target};

/// Stands for a protocol that is not in the registry: no ALPN id, and a dialect that is never asked.
pub(crate) const UNKNOWN: Protocol =
    Protocol { name: "unknown", title: "an unknown protocol", implicit_tls: None, alpn: None, ..smtp::SMTP };

/// The longest answer to the line that asks for TLS.
const ANSWER: u64 = 64 * 1024;

/// A server that has been silent for this long has said what it had to say.
const QUIET: Duration = Duration::from_millis(500);

/// Runs `connect` with `--cleartext` or `--upgrade-on`.
pub(crate) async fn run(args: &Connect, console: &Console, sink: &mut Sink) -> Result<u8, Failed> {
    let text = args.target.as_deref().ok_or_else(|| Failed::usage("a target is needed here: HOST:PORT"))?;
    let (protocol, host, port) = match text.parse::<Target>() {
        Ok(target) => (Some(target.protocol), target.host.ascii, target.port),
        Err(_) if !text.contains("://") => {
            let (host, port) = crate::target::split_port(text)?;
            let port = port.ok_or_else(|| Failed::usage("an unknown protocol needs HOST:PORT"))?;
            let host: Host = host.parse()?;
            (None, host.ascii, port)
        }
        Err(failed) => return Err(failed),
    };
    if protocol.is_none() && args.trace.transcript.is_some() {
        let hint = String::from("name the protocol: PROTO://HOST:PORT");
        let message = "a transcript of a protocol that is not known here could not blank its secrets";
        return Err(Failed::usage(message).hint(Some(hint)));
    }
    let transcript = transcript(args, protocol.unwrap_or(&UNKNOWN))?;
    let observer: Arc<dyn Observer> = match transcript {
        Some(transcript) => Arc::new(transcript),
        None => Arc::new(|_: &Chunk<'_>| {}),
    };
    let connector = args.connector(0)?;
    let name = args.peer.server_name(&host).to_owned();
    let io = Tapped::new(args.peer.dial(&host, port)?.open(&connector).await?, observer);
    let discipline =
        protocol.map_or_else(LineDiscipline::lines, |protocol| LineDiscipline::of(protocol, &name));
    let Some(request) = &args.upgrade_on else {
        console.line(
            Tone::Boundary,
            "--- cleartext: what follows is not encrypted, and nobody proved who answers ---",
        );
        stdio::run(io, tokio::io::stdin(), &discipline, b"", sink).await?;
        return Ok(exit::DONE);
    };
    let mut input = BufReader::new(tokio::io::stdin());
    let io = upgrade_on(io, &mut input, request, console, sink, args.peer.timeout).await?;
    let (io, observer) = io.into_parts();
    let connector = connector.observed_by(observer);
    let mut session = Session::Other(connector.upgrade_implicit(&UNKNOWN, &name, io).await?);
    let heard = session.listen().await;
    let mode = Mode::ImplicitTls;
    let host = host.parse()?;
    let target = Target { protocol: &UNKNOWN, mode, host, port };
    let report = session.report(&target, Negotiation::default());
    text::show(console, &target, &report, None);
    session.run(input, &discipline, &heard?, sink).await?.tell(console);
    Ok(report.exit_code)
}

/// Talks in cleartext until `request` is typed and answered with one line: TLS is next.
async fn upgrade_on<IO: AsyncRead + AsyncWrite + Unpin>(
    mut io: IO,
    typed: &mut (impl AsyncBufRead + Unpin),
    request: &str,
    console: &Console,
    sink: &mut Sink,
    timeout: Duration,
) -> Result<IO, Failed> {
    let discipline = LineDiscipline::lines();
    let (mut line, mut heard) = (Vec::new(), vec![0; 16 * 1024]);
    let never = || {
        let message = format!("the session ended before \"{}\" was typed", request.escape_debug());
        Failed::new(exit::DECLINED, message)
    };
    loop {
        tokio::select! {
            len = stdio::next(&mut io, &mut heard) => match len? {
                0 => return Err(never()),
                len => sink.show(heard.get(..len).unwrap_or_default())?,
            },
            len = typed.read_until(b'\n', &mut line) => {
                if len? == 0 {
                    return Err(never());
                }
                let asked = line.trim_ascii() == request.trim().as_bytes();
                if asked {
                    let late = |_| Error::Timeout { step: Step::Other("the end of the server's replies"), limit: timeout };
                    let quiet = hear_out(&mut io, &mut heard, QUIET.min(timeout / 2), sink);
                    tokio::time::timeout(timeout, quiet).await.map_err(late)??;
                }
                io.write_all(&discipline.sent(&line, &mut 0)).await?;
                io.flush().await?;
                line.clear();
                if asked {
                    break;
                }
            }
        }
    }
    let late =
        |_| Error::Timeout { step: Step::Other("the answer to the line that requests TLS"), limit: timeout };
    let answer = tokio::time::timeout(timeout, one_line(&mut io)).await.map_err(late)??;
    sink.show(&answer)?;
    console.line(Tone::Boundary, "--- TLS from here ---");
    Ok(io)
}

/// Reads until the server has sent nothing for this time, so that the next line is the answer to the request: input
/// that comes from a file does not wait for answers.
async fn hear_out<IO: AsyncRead + Unpin>(
    io: &mut IO,
    heard: &mut [u8],
    quiet: Duration,
    sink: &mut Sink,
) -> Result<(), Failed> {
    while let Ok(len) = tokio::time::timeout(quiet, stdio::next(io, heard)).await {
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
