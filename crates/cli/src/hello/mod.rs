//! `starttls hello`: one ClientHello after the upgrade, and what the server answers.

pub(crate) mod offer;
pub(crate) mod report;
mod text;

use std::sync::Arc;
use std::time::Instant;

use starttls::dialer::TcpRoute;
use starttls::rustls::crypto::aws_lc_rs::default_provider;
use starttls::{Connector, ConnectorBuilder, Endpoint, Error};
use starttls_hello::{Answer, Flight, FlightProgress, GOODBYE, HelloContext, StreamEnd};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

use crate::args::{Format, Hello};
use crate::console::Console;
use crate::error::Failed;
use crate::exit;
use crate::output::Sink;
use crate::peer::{Dial, Io};
use crate::session::conversation::Conversation;
use crate::session::diagnose;
use crate::session::report::Report as Connection;
use crate::target::{Mode, Target};
use report::Report;

/// The time limit for the farewell. The answer is complete by then, so nothing depends on the farewell.
const FAREWELL: std::time::Duration = std::time::Duration::from_secs(1);

/// Runs the command and returns its exit code.
pub(crate) async fn run(args: &Hello) -> Result<u8, Failed> {
    let target: Target = args.target.parse()?;
    let question = offer::question(args)?;
    let json = args.format == Format::Json;
    let console = if json { Console::new(&args.output).silent() } else { Console::new(&args.output) };
    let mut sink = Sink::replacing(&args.output)?;
    let peer = args.dialing.peer();
    let name = peer.server_name(&target.host.ascii);
    let sent = question.to_bytes(&context(&target, name)?);

    let deadline = Instant::now() + args.dialing.timeout;
    let conversation = Arc::new(Conversation::new(target.protocol, console));
    let dial = peer.dial_target(&target)?;
    let builder = peer.builder(true)?.insecure();
    let (server, route) = (peer.endpoint_of(&target), peer.route()?);
    let way = Way { target: &target, dial: &dial, server, builder, route, deadline };
    let opening = way.open(conversation.clone());
    let opened = diagnose::negotiation(&target, &dial, &peer, || conversation.is_silent(), opening).await;
    let report = match opened {
        Ok((address, stream)) => {
            let answer = ask(stream, &sent, deadline).await;
            Report::answered(&target, address, conversation.finish(), &question, sent.len(), &answer)
        }
        Err(unopened) => {
            let connection = Connection::of_unopened(&target, conversation.finish(), unopened);
            Report::not_asked(&target, connection, &question, sent.len())
        }
    };
    let code = report.exit_code;
    if json {
        sink.json(&report)?;
        return sink.finish().map(|()| code);
    }
    text::show(&report, &mut sink)?;
    sink.finish()?;
    match report.error {
        Some(error) => Err(Failed::new(code, error.message).hint(error.hint)),
        None => Ok(code),
    }
}

fn context<'a>(target: &'a Target, name: &'a str) -> Result<HelloContext<'a>, Failed> {
    let mut octets = [0; 64];
    let source = default_provider().secure_random;
    source.fill(&mut octets).map_err(|_| Failed::new(exit::BUG, "the system has no random octets"))?;
    let (random, session_id) = octets.split_at(32);
    let half = |part: &[u8]| part.first_chunk().copied().unwrap_or_default();
    Ok(HelloContext {
        server_name: Some(name.trim_end_matches('.')),
        alpn: target.protocol.alpn.map(str::as_bytes),
        random: half(random),
        session_id: half(session_id),
    })
}

/// The parameters of a connection up to the start of TLS.
struct Way<'a> {
    target: &'a Target,
    dial: &'a Dial,
    server: Endpoint,
    builder: ConnectorBuilder,
    route: TcpRoute,
    deadline: Instant,
}

impl Way<'_> {
    /// Connects and negotiates. Returns the remote address, if the connection has one, and the stream.
    async fn open(&self, observer: Arc<Conversation>) -> Result<(Option<String>, Box<dyn Io>), Error> {
        let (address, io): (_, Box<dyn Io>) = match self.dial {
            Dial::Tcp(endpoint) => {
                let dialed = self.connector()?.dial(endpoint.clone()).await?;
                (dialed.address.map(|address| address.to_string()), Box::new(dialed.stream))
            }
            Dial::Unix(_) => (None, self.dial.open(&self.connector()?).await?),
        };
        if self.target.mode == Mode::ImplicitTls {
            return Ok((address, io));
        }
        let connector = self.connector()?.observed_by(observer);
        let (protocol, name) = (self.target.protocol, self.server.server_name());
        let identity = connector.identity_for(protocol, &self.server);
        let ready = connector.negotiate_as(protocol, identity, name, io).await?;
        Ok((address, Box::new(ready.into_raw_tls())))
    }

    /// Returns a connector whose timeout is the remaining time.
    fn connector(&self) -> Result<Connector<TcpRoute>, Error> {
        let left = self.deadline.saturating_duration_since(Instant::now());
        Ok(self.builder.clone().timeout(left).build()?.with_dialer(self.route.clone()))
    }
}

/// Sends the hello and reads the first flight, until the deadline.
async fn ask(mut stream: impl AsyncRead + AsyncWrite + Unpin, hello: &[u8], deadline: Instant) -> Answer {
    let mut flight = Flight::new();
    let asking = async {
        // A server may answer and close before it has read the whole hello. The answer still has to be read.
        let _ = stream.write_all(hello).await;
        let _ = stream.flush().await;
        let mut buffer = vec![0; 16 * 1024];
        loop {
            match stream.read(&mut buffer).await {
                Ok(0) | Err(_) => return,
                Ok(len) => match flight.receive(buffer.get(..len).unwrap_or_default()) {
                    FlightProgress::More => {}
                    FlightProgress::Done => return,
                },
            }
        }
    };
    let end = match tokio::time::timeout_at(deadline.into(), asking).await {
        Ok(()) => StreamEnd::Closed,
        Err(_) => StreamEnd::TimedOut,
    };
    let leaving = async {
        let _ = stream.write_all(&GOODBYE).await;
        let _ = stream.shutdown().await;
    };
    let _ = tokio::time::timeout(FAREWELL, leaving).await;
    flight.finish(end)
}
