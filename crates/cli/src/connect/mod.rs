//! `starttls connect`: the hands-on tool.

mod conversation;
mod lab;
mod manual;
mod report;
mod session;
mod text;

use std::sync::Arc;
use std::time::Duration;

use starttls::proto::Protocol;
use starttls::{Chunk, Connector, Encrypted, Transcript};
use tokio::io::AsyncReadExt;

use crate::args::{Connect, Format};
use crate::failure::Failed;
use crate::output::Sink;
use crate::peer::{Dial, Io};
use crate::talk::Talk;
use crate::target::{Mode, Target};
use crate::{diagnose, exit};
use conversation::Conversation;
use report::Report;
use session::Manners;

/// How long to listen before the report, for tickets and for servers that speak first inside TLS.
const LISTEN: Duration = Duration::from_millis(50);

/// Runs the command and returns its exit code.
pub(crate) async fn run(args: &Connect) -> Result<u8, Failed> {
    let talk = Talk::new(&args.output);
    let mut sink = Sink::open(&args.output)?;
    if args.cleartext || args.upgrade_on.is_some() {
        return by_hand(args, &talk, &mut sink).await;
    }
    match args.target().map_err(Failed::usage)? {
        Some(target) => connect(args, &target, &talk, &mut sink).await,
        None => lab::run(args, &mut sink).await,
    }
}

async fn connect(args: &Connect, target: &Target, talk: &Talk, sink: &mut Sink) -> Result<u8, Failed> {
    let connector = args.peer.connector(args.retry)?;
    let dial = args.peer.dial_target(target)?;
    let json = args.output.format == Format::Json;
    let talk = if json { talk.silent() } else { *talk };
    let name = args.peer.server_name(&target.host.ascii);
    let conversation = Arc::new(Conversation::new(target.protocol, talk));
    let connector = observed(args, &connector, target.protocol, &conversation)?;
    let started = match &dial {
        Dial::Tcp(endpoint) => {
            let tried = match target.mode {
                Mode::Upgrade => connector.connect(target.protocol, endpoint.clone()).await,
                Mode::ImplicitTls => connector.connect_implicit(target.protocol, endpoint.clone()).await,
            };
            tried.map(|session| {
                let local = session.io().local_addr().ok().map(|address| address.to_string());
                (local, Session::Tcp(session))
            })
        }
        Dial::Unix(_) => match dial.open(&connector).await {
            Ok(io) => {
                let tried = match target.mode {
                    Mode::Upgrade => connector.upgrade(target.protocol, name, io).await,
                    Mode::ImplicitTls => connector.upgrade_implicit(target.protocol, name, io).await,
                };
                tried.map(|session| (None, Session::Other(session)))
            }
            Err(error) => Err(error),
        },
    };
    let (local, mut session) = match started {
        Ok(started) => started,
        Err(error) => {
            let mut report = Report::of_error(target, conversation.finish(), &error);
            let silent = report.negotiation.as_ref().is_some_and(|it| it.server_bytes == 0);
            if let (true, Some(failure)) = (silent, &mut report.error)
                && let Some(hint) = diagnose::ask_silent(target, &dial, &error).await
            {
                failure.hint = Some(hint);
            }
            return failed(args, target, &report, &talk, sink);
        }
    };
    let first = session.listen().await;
    let report = session.report(target, conversation.finish());
    let manners = Manners::of(target.protocol, name);
    if json {
        let code = print(&report, sink)?;
        match session {
            Session::Tcp(session) => session::leave(session, &manners).await,
            Session::Other(session) => session::leave(session, &manners).await,
        }
        return Ok(code);
    }
    text::show(&talk, target, &report, local);
    match session {
        Session::Tcp(session) => session::run(session, &manners, &first, sink).await?,
        Session::Other(session) => session::run(session, &manners, &first, sink).await?,
    }
    Ok(report.exit_code)
}

/// An encrypted stream over whatever was dialled.
enum Session {
    Tcp(Encrypted<tokio::net::TcpStream>),
    Other(Encrypted<Box<dyn Io>>),
}

impl Session {
    /// What the server says first inside TLS, if it does. Its session tickets come along.
    async fn listen(&mut self) -> Vec<u8> {
        let mut first = Vec::with_capacity(16 * 1024);
        // Silence is the usual case; whatever else goes wrong, the session will meet it again.
        let _ = match self {
            Self::Tcp(session) => tokio::time::timeout(LISTEN, session.read_buf(&mut first)).await,
            Self::Other(session) => tokio::time::timeout(LISTEN, session.read_buf(&mut first)).await,
        };
        first
    }

    fn report(&self, target: &Target, negotiation: conversation::Negotiation) -> Report {
        match self {
            Self::Tcp(session) => Report::of_session(target, negotiation, session),
            Self::Other(session) => Report::of_session(target, negotiation, session),
        }
    }
}

fn observed(
    args: &Connect,
    connector: &Connector,
    protocol: &'static Protocol,
    conversation: &Arc<Conversation>,
) -> Result<Connector, Failed> {
    use starttls::Observer;
    let transcript = match &args.peer.transcript {
        Some(path) => {
            let file = std::fs::File::create(path)
                .map_err(|error| Failed::usage(format!("cannot write {}: {error}", path.display())))?;
            Some(Transcript::new(protocol, file))
        }
        None => None,
    };
    let conversation = conversation.clone();
    Ok(connector.observed_by(Arc::new(move |chunk: &Chunk<'_>| {
        conversation.observe(chunk);
        if let Some(transcript) = &transcript {
            transcript.observe(chunk);
        }
    })))
}

fn failed(
    args: &Connect,
    target: &Target,
    report: &Report,
    talk: &Talk,
    sink: &mut Sink,
) -> Result<u8, Failed> {
    if args.output.format == Format::Json {
        return print(report, sink);
    }
    text::show(talk, target, report, None);
    let error = report.error.as_ref();
    let message = error.map_or_else(String::new, |error| error.message.clone());
    Err(Failed::new(report.exit_code, message).hint(error.and_then(|error| error.hint.clone())))
}

fn print(report: &Report, sink: &mut Sink) -> Result<u8, Failed> {
    let line = serde_json::to_string(report).map_err(|error| Failed::new(exit::BUG, error.to_string()))?;
    sink.line(&line)?;
    Ok(report.exit_code)
}

async fn by_hand(args: &Connect, talk: &Talk, sink: &mut Sink) -> Result<u8, Failed> {
    let text = args.target.as_deref().ok_or_else(|| Failed::usage("a target is needed here: HOST:PORT"))?;
    let (protocol, host, port) = match text.parse::<Target>() {
        Ok(target) => (Some(target.protocol), target.host.ascii, target.port),
        Err(_) if !text.contains("://") => {
            let (host, port) = crate::target::split_port(text).map_err(Failed::usage)?;
            let port = port.ok_or_else(|| Failed::usage("an unknown protocol needs HOST:PORT"))?;
            let host: crate::target::Host = host.parse().map_err(Failed::usage)?;
            (None, host.ascii, port)
        }
        Err(error) => return Err(Failed::usage(error)),
    };
    let connector = args.peer.connector(0)?;
    let name = args.peer.server_name(&host).to_owned();
    let io = args.peer.dial(&host, port)?.open(&connector).await?;
    let manners = protocol.map_or_else(Manners::lines, |protocol| Manners::of(protocol, &name));
    let Some(request) = &args.upgrade_on else {
        session::run(io, &manners, b"", sink).await?;
        return Ok(exit::DONE);
    };
    let Some(mut session) = manual::upgrade_on(io, request, &connector, &name, talk, sink, args.peer.timeout)
        .await?
        .map(Session::Other)
    else {
        let message = format!("the session ended before \"{}\" was typed", request.escape_debug());
        return Err(Failed::new(exit::DECLINED, message));
    };
    let first = session.listen().await;
    let mode = Mode::ImplicitTls;
    let host = host.parse().map_err(Failed::usage)?;
    let target = Target { protocol: &manual::UNKNOWN, mode, host, port };
    let report = session.report(&target, conversation::Negotiation::default());
    text::show(talk, &target, &report, None);
    if let Session::Other(session) = session {
        session::run(session, &manners, &first, sink).await?;
    }
    Ok(report.exit_code)
}
