//! `starttls connect`: the hands-on tool.

pub(crate) mod conversation;
mod lab;
mod manual;
pub(crate) mod report;
pub(crate) mod stdio;
mod tap;
pub(crate) mod text;

use std::fs::File;
use std::io::IsTerminal;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use starttls::proto::Protocol;
use starttls::{Chunk, Connector, Encrypted, Endpoint, Observer, TranscriptWriter, file};
use tokio::io::AsyncRead;

use crate::args::{Connect, Format};
use crate::console::{Console, Tone};
use crate::diagnose;
use crate::error::Failed;
use crate::output::Sink;
use crate::peer::{Dial, Io};
use crate::target::{Mode, Target};
use conversation::Conversation;
use report::Report;
use stdio::{Ended, LineDiscipline};

/// How long to listen before the report, for tickets and for servers that speak first inside TLS.
const LISTEN: Duration = Duration::from_millis(50);

/// Runs the command and returns its exit code.
pub(crate) async fn run(args: &Connect) -> Result<u8, Failed> {
    let console = Console::new(&args.output);
    let json = args.format == Format::Json;
    if json && (args.cleartext || args.upgrade_on.is_some()) {
        return Err(Failed::usage("--format json shows no session, and by hand there is nothing else"));
    }
    if !json && args.target.is_none() && args.output.output.is_some() {
        let hint = String::from("name a target, or ask for --format json");
        return Err(Failed::usage("without a target there is no session for --output").hint(Some(hint)));
    }
    // A session is written as it goes on.
    let mut sink = if json { Sink::replacing(&args.output)? } else { Sink::open(&args.output)? };
    if args.cleartext || args.upgrade_on.is_some() {
        return manual::run(args, &console, &mut sink).await;
    }
    let code = match args.target()? {
        Some(target) => connect(args, &target, &console, &mut sink).await?,
        None => lab::run(args, &mut sink).await?,
    };
    sink.finish()?;
    Ok(code)
}

async fn connect(args: &Connect, target: &Target, console: &Console, sink: &mut Sink) -> Result<u8, Failed> {
    let connector = args.connector(args.retry)?;
    let dial = args.peer.dial_target(target)?;
    let json = args.format == Format::Json;
    let console = if json { console.silent() } else { *console };
    let server = args.peer.endpoint_of(target);
    let conversation = Arc::new(Conversation::new(target.protocol, console));
    let transcript = transcript(args, target.protocol)?;
    let connector = connector.observed_by(observer(conversation.clone(), transcript));
    let opening = open(&connector, target, &dial, &server);
    let opened = diagnose::opening(target, &dial, &args.peer, || conversation.is_silent(), opening).await;
    let (local, mut session) = match opened {
        Ok(opened) => opened,
        Err(unopened) => {
            let report = unopened.report(target, conversation.finish());
            return failed(args, target, &report, &console, sink);
        }
    };
    let heard = session.listen().await;
    let report = session.report(target, conversation.finish());
    let discipline = LineDiscipline::of(target.protocol, server.server_name());
    if json {
        let ended = match heard {
            Ok(_) => session.leave(&discipline).await,
            Err(failed) => Err(failed),
        };
        return match ended {
            Ok(()) => print(&report, sink),
            Err(failed) => print(&report.rejected(failed), sink),
        };
    }
    text::show(&console, target, &report, local);
    if std::io::stdin().is_terminal() {
        console.line(Tone::Boundary, "--- inside TLS: what you type is sent, Ctrl-D says goodbye ---");
    }
    if discipline.is_binary && std::io::stdin().is_terminal() {
        let title = target.protocol.title;
        console.line(
            Tone::Boundary,
            format_args!("{title} is a binary protocol: text that is typed is not a message of it"),
        );
    }
    let ended = session.run(tokio::io::stdin(), &discipline, &heard?, sink).await?;
    ended.tell(&console);
    Ok(report.exit_code)
}

/// Dials and starts TLS, with or without the upgrade; returns the local address too, where there is one.
async fn open(
    connector: &Connector,
    target: &Target,
    dial: &Dial,
    server: &Endpoint,
) -> Result<(Option<String>, Session), starttls::Error> {
    let protocol = target.protocol;
    if let Dial::Tcp(endpoint) = dial {
        let session = match target.mode {
            Mode::Upgrade => connector.connect(protocol, endpoint.clone()).await?,
            Mode::ImplicitTls => connector.connect_implicit(protocol, endpoint.clone()).await?,
        };
        let local = session.io().local_addr().ok().map(|address| address.to_string());
        return Ok((local, Session::Tcp(session)));
    }
    let io = dial.open(connector).await?;
    let name = server.server_name();
    let session = match target.mode {
        Mode::Upgrade => {
            connector.upgrade_as(protocol, connector.identity_for(protocol, server), name, io).await?
        }
        Mode::ImplicitTls => connector.upgrade_implicit(protocol, name, io).await?,
    };
    Ok((None, Session::Other(session)))
}

/// An encrypted stream over whatever was dialled.
enum Session {
    Tcp(Encrypted<tokio::net::TcpStream>),
    Other(Encrypted<Box<dyn Io>>),
}

impl Session {
    /// What the server says first inside TLS, if it does. Its session tickets come along.
    async fn listen(&mut self) -> Result<Vec<u8>, Failed> {
        let mut first = vec![0; 16 * 1024];
        let heard = match self {
            Self::Tcp(session) => tokio::time::timeout(LISTEN, stdio::next(session, &mut first)).await,
            Self::Other(session) => tokio::time::timeout(LISTEN, stdio::next(session, &mut first)).await,
        };
        // Silence is the usual case.
        first.truncate(heard.unwrap_or(Ok(0))?);
        Ok(first)
    }

    async fn run(
        self,
        input: impl AsyncRead + Unpin,
        discipline: &LineDiscipline,
        first: &[u8],
        sink: &mut Sink,
    ) -> Result<Ended, Failed> {
        match self {
            Self::Tcp(session) => stdio::run(session, input, discipline, first, sink).await,
            Self::Other(session) => stdio::run(session, input, discipline, first, sink).await,
        }
    }

    async fn leave(self, discipline: &LineDiscipline) -> Result<(), Failed> {
        match self {
            Self::Tcp(session) => stdio::leave(session, discipline).await,
            Self::Other(session) => stdio::leave(session, discipline).await,
        }
    }

    fn report(&self, target: &Target, negotiation: conversation::Negotiation) -> Report {
        match self {
            Self::Tcp(session) => Report::of_session(target, negotiation, session),
            Self::Other(session) => Report::of_session(target, negotiation, session),
        }
    }
}

/// Writes the transcript that was asked for.
fn transcript(args: &Connect, protocol: &Protocol) -> Result<Option<TranscriptWriter<File>>, Failed> {
    let open = |path: &PathBuf| {
        let file = file::create(path)
            .map_err(|error| Failed::usage(format!("cannot write {}: {error}", path.display())))?;
        Ok(TranscriptWriter::new(protocol, file))
    };
    args.trace.transcript.as_ref().map(open).transpose()
}

fn observer(
    conversation: Arc<Conversation>,
    transcript: Option<TranscriptWriter<File>>,
) -> Arc<dyn Observer> {
    Arc::new(move |chunk: &Chunk<'_>| {
        conversation.observe(chunk);
        if let Some(transcript) = &transcript {
            transcript.observe(chunk);
        }
    })
}

fn failed(
    args: &Connect,
    target: &Target,
    report: &Report,
    console: &Console,
    sink: &mut Sink,
) -> Result<u8, Failed> {
    if args.format == Format::Json {
        return print(report, sink);
    }
    text::show(console, target, report, None);
    let error = report.error.as_ref();
    let message = error.map_or_else(String::new, |error| error.message.clone());
    Err(Failed::new(report.exit_code, message).hint(error.and_then(|error| error.hint.clone())))
}

fn print(report: &Report, sink: &mut Sink) -> Result<u8, Failed> {
    sink.json(report)?;
    Ok(report.exit_code)
}
