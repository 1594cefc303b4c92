//! `connect --cleartext` and `connect --upgrade-on`: cleartext without an upgrade, and the upgrade of an unknown
//! protocol.

use std::sync::Arc;
use std::time::Duration;

use starttls::proto::{Escaped, Protocol, smtp};
use starttls::{Chunk, Error, Observer, Step};
use tokio::io::{
    AsyncBufRead, AsyncBufReadExt, AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, BufReader,
};

use super::tap::Tapped;
use crate::args::Connect;
use crate::console::{Console, Tone};
use crate::error::Failed;
use crate::exit;
use crate::output::Sink;
use crate::session::conversation::Negotiation;
use crate::session::stdio::{self, LineDiscipline};
use crate::session::{Session, open_transcript, text};
use crate::target::{Host, Mode, Target};

/// Stands for a protocol that is not in the registry: no ALPN id, and a dialect that is never used.
pub(crate) const UNKNOWN: Protocol =
    Protocol { name: "unknown", title: "an unknown protocol", implicit_tls: None, alpn: None, ..smtp::SMTP };

/// The longest answer to the line that requests TLS.
const ANSWER: u64 = 64 * 1024;

/// A server that has been silent for this long has sent all that it had to send.
const QUIET: Duration = Duration::from_millis(500);

/// Runs `connect` with `--cleartext` or `--upgrade-on`.
pub(crate) async fn run(args: &Connect, console: &Console, sink: &mut Sink) -> Result<u8, Failed> {
    let text = args
        .target
        .as_deref()
        .ok_or_else(|| Failed::usage("--cleartext and --upgrade-on need a target: HOST:PORT"))?;
    let (protocol, host, port) = match text.parse::<Target>() {
        Ok(target) => (Some(target.protocol), target.host.ascii, target.port),
        Err(_) if !text.contains("://") => {
            let (host, port) = crate::target::split_port(text)?;
            let port =
                port.ok_or_else(|| Failed::usage("a target without a protocol needs a port: HOST:PORT"))?;
            let host: Host = host.parse()?;
            (None, host.ascii, port)
        }
        Err(failed) => return Err(failed),
    };
    if protocol.is_none() && args.trace.transcript.is_some() {
        let hint = String::from("specify the protocol: PROTO://HOST:PORT");
        let message = "--transcript needs a known protocol: otherwise the secrets in the transcript could not be blanked";
        return Err(Failed::usage(message).hint(Some(hint)));
    }
    let transcript = open_transcript(&args.trace, protocol.unwrap_or(&UNKNOWN))?;
    let observer: Arc<dyn Observer> = match transcript {
        Some(transcript) => Arc::new(transcript),
        None => Arc::new(|_: &Chunk<'_>| {}),
    };
    let connector = args.peer.connector(&args.trace, 0)?;
    let name = args.peer.server_name(&host).to_owned();
    let io = Tapped::new(args.peer.dial(&host, port)?.open(&connector).await?, observer);
    let discipline =
        protocol.map_or_else(LineDiscipline::crlf, |protocol| LineDiscipline::of(protocol, &name));
    let Some(request) = &args.upgrade_on else {
        console.line(
            Tone::Boundary,
            "--- cleartext: the session is not encrypted, and the server is not authenticated ---",
        );
        stdio::run(io, tokio::io::stdin(), &discipline, b"", sink).await?;
        return Ok(exit::DONE);
    };
    let mut input = BufReader::new(tokio::io::stdin());
    let io = upgrade_on(io, &mut input, request, console, sink, args.peer.timeout).await?;
    let (io, observer) = io.into_parts();
    let connector = connector.observed_by(observer);
    let mut session = Session::Other(connector.upgrade_implicit(&UNKNOWN, &name, io).await?);
    let received = session.listen().await;
    let mode = Mode::ImplicitTls;
    let host = host.parse()?;
    let target = Target { protocol: &UNKNOWN, mode, host, port };
    let report = session.report(&target, Negotiation::default());
    text::show(console, &target, &report, None);
    session.run(input, &discipline, &received?, sink).await?.note(console);
    Ok(report.exit_code)
}

/// Runs the session in cleartext until the user types `request` and the server answers with one line. TLS is next.
async fn upgrade_on<IO: AsyncRead + AsyncWrite + Unpin>(
    mut io: IO,
    typed: &mut (impl AsyncBufRead + Unpin),
    request: &str,
    console: &Console,
    sink: &mut Sink,
    timeout: Duration,
) -> Result<IO, Failed> {
    let discipline = LineDiscipline::crlf();
    let (mut line, mut received) = (Vec::new(), vec![0; 16 * 1024]);
    let never = || {
        let message =
            format!("the session ended before \"{}\" was sent: TLS was not started", request.escape_debug());
        Failed::new(exit::DECLINED, message)
    };
    loop {
        tokio::select! {
            len = stdio::next(&mut io, &mut received) => match len? {
                0 => return Err(never()),
                len => sink.show(received.get(..len).unwrap_or_default())?,
            },
            len = typed.read_until(b'\n', &mut line) => {
                if len? == 0 {
                    return Err(never());
                }
                let asked = line.trim_ascii() == request.trim().as_bytes();
                if asked {
                    let late = |_| Error::Timeout { step: Step::Other("the end of the server's output"), limit: timeout };
                    let quiet = read_until_quiet(&mut io, &mut received, QUIET.min(timeout / 2), sink);
                    tokio::time::timeout(timeout, quiet).await.map_err(late)??;
                }
                io.write_all(&discipline.encode(&line, &mut 0)).await?;
                io.flush().await?;
                line.clear();
                if asked {
                    break;
                }
            }
        }
    }
    let late = |_| Error::Timeout { step: Step::Request, limit: timeout };
    let answer = tokio::time::timeout(timeout, one_line(&mut io)).await.map_err(late)??;
    sink.show(&answer)?;
    console.line(Tone::Boundary, "--- TLS starts here ---");
    Ok(io)
}

/// Reads until the server has sent nothing for this time. Input from a file does not wait for answers, so this makes
/// the next line the answer to the request.
async fn read_until_quiet<IO: AsyncRead + Unpin>(
    io: &mut IO,
    received: &mut [u8],
    quiet: Duration,
    sink: &mut Sink,
) -> Result<(), Failed> {
    while let Ok(len) = tokio::time::timeout(quiet, stdio::next(io, received)).await {
        match len? {
            0 => return Err(Failed::new(exit::UNREACHABLE, "the server closed the connection")),
            len => sink.show(received.get(..len).unwrap_or_default())?,
        }
    }
    Ok(())
}

/// Reads the answer to the request. It must be one line without a byte after it.
async fn one_line<IO: AsyncRead + Unpin>(io: &mut IO) -> Result<Vec<u8>, Failed> {
    let (mut answer, mut received) = (Vec::new(), [0; 4096]);
    while !answer.contains(&b'\n') {
        let len = io.take(ANSWER - answer.len() as u64).read(&mut received).await?;
        if len == 0 {
            return Err(Failed::new(
                exit::UNREACHABLE,
                "the server closed the connection instead of answering the upgrade request",
            ));
        }
        answer.extend_from_slice(received.get(..len).unwrap_or_default());
    }
    let end = answer.iter().position(|&byte| byte == b'\n').map_or(answer.len(), |at| at + 1);
    match answer.get(end..) {
        Some(beyond) if !beyond.is_empty() => Err(Failed::new(
            exit::VIOLATION,
            format!(
                "the server sent cleartext after the boundary (rule B2): expected only TLS after its answer \"{}\", \
                 received \"{}\"",
                Escaped(answer.get(..end).unwrap_or_default()),
                Escaped(beyond.get(..beyond.len().min(200)).unwrap_or_default())
            ),
        )),
        _ => Ok(answer),
    }
}
