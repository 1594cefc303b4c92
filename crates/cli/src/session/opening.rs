//! Opens a session: dials the target, negotiates the upgrade and does the handshake; on failure, finds the cause.

use std::sync::Arc;
use std::time::Duration;

use starttls::dialer::TcpRoute;
use starttls::login::{self, Account, LoggedIn};
use starttls::proto::Protocol;
use starttls::rustls::pki_types::CertificateDer;
use starttls::submission::{self, Delivered, Delivery};
use starttls::{Connector, Encrypted, Endpoint, Error};
use tokio::io::AsyncRead;
use tokio::net::TcpStream;

use super::conversation::Negotiation;
use super::diagnose;
use super::report::Report;
use super::stdio::{self, Ended, LineDiscipline};
use super::watch::Watch;
use crate::args::Peer;
use crate::error::Failed;
use crate::output::Sink;
use crate::peer::{Dial, Io};
use crate::target::{Mode, Target};

/// The time to wait for bytes that the server sends first inside TLS, such as session tickets and greetings.
const LISTEN: Duration = Duration::from_millis(50);

/// A session to open.
pub(crate) struct Opening<'a> {
    pub(crate) peer: &'a Peer,
    pub(crate) target: &'a Target,
    /// The address to dial, which is not always the target's.
    pub(crate) dial: Dial,
    /// Sees every byte of the connection.
    pub(crate) watch: Watch,
}

/// An open session, and what was seen while it was opened.
pub(crate) struct Opened {
    pub(crate) session: Session,
    /// This side's address, if the session runs over TCP.
    pub(crate) local: Option<String>,
    pub(crate) watch: Watch,
}

impl Opening<'_> {
    /// Opens the session. If that fails, returns the report of the failed connection.
    pub(crate) async fn open(self, connector: &Connector<TcpRoute>) -> Result<Opened, Box<Report>> {
        let Self { peer, target, dial, watch } = self;
        let connector = connector.observed_by(Arc::new(watch.clone()));
        let server = peer.endpoint_of(target);
        let work = dial_and_upgrade(&connector, target, &dial, &server);
        let is_silent = || watch.conversation().is_silent();
        match diagnose::opening(target, &dial, peer, is_silent, work).await {
            Ok(session) => Ok(Opened { local: session.local_address(), session, watch }),
            Err(unopened) => {
                Err(Box::new(Report::of_unopened(target, watch.conversation().finish(), unopened)))
            }
        }
    }
}

async fn dial_and_upgrade(
    connector: &Connector<TcpRoute>,
    target: &Target,
    dial: &Dial,
    server: &Endpoint,
) -> Result<Session, Error> {
    let protocol = target.protocol;
    if let Dial::Tcp(endpoint) = dial {
        let session = match target.mode {
            Mode::Upgrade => connector.connect(protocol, endpoint.clone()).await?,
            Mode::ImplicitTls => connector.connect_implicit(protocol, endpoint.clone()).await?,
        };
        return Ok(Session::Tcp(session));
    }
    let io = dial.open(connector).await?;
    let name = server.server_name();
    let session = match target.mode {
        Mode::Upgrade => {
            connector.upgrade_as(protocol, connector.identity_for(protocol, server), name, io).await?
        }
        Mode::ImplicitTls => connector.upgrade_implicit(protocol, name, io).await?,
    };
    Ok(Session::Other(session))
}

/// An encrypted stream over TCP or over another transport.
pub(crate) enum Session {
    Tcp(Encrypted<TcpStream>),
    Other(Encrypted<Box<dyn Io>>),
}

impl Session {
    fn local_address(&self) -> Option<String> {
        match self {
            Self::Tcp(session) => session.io().local_addr().ok().map(|address| address.to_string()),
            Self::Other(_) => None,
        }
    }

    /// Returns the certificates that the server presented, its own first.
    pub(crate) fn chain(&self) -> &[CertificateDer<'static>] {
        match self {
            Self::Tcp(session) => &session.facts().chain,
            Self::Other(session) => &session.facts().chain,
        }
    }

    /// Returns what the server sends first inside TLS, if it sends anything soon. Its session tickets are read too.
    pub(crate) async fn listen(&mut self) -> Result<Vec<u8>, Failed> {
        let mut first = vec![0; 16 * 1024];
        let received = match self {
            Self::Tcp(session) => tokio::time::timeout(LISTEN, stdio::next(session, &mut first)).await,
            Self::Other(session) => tokio::time::timeout(LISTEN, stdio::next(session, &mut first)).await,
        };
        // Most servers send nothing before the client does.
        first.truncate(received.unwrap_or(Ok(0))?);
        Ok(first)
    }

    /// Logs in.
    pub(crate) async fn log_in(
        &mut self,
        account: Account,
        protocol: &'static Protocol,
    ) -> Result<LoggedIn, login::LoginError> {
        match self {
            Self::Tcp(session) => account.log_in(protocol, session).await,
            Self::Other(session) => account.log_in(protocol, session).await,
        }
    }

    /// Submits a message.
    pub(crate) async fn submit(
        &mut self,
        delivery: Delivery,
        protocol: &'static Protocol,
        login: Option<&LoggedIn>,
    ) -> Result<Delivered, submission::SubmissionError> {
        match self {
            Self::Tcp(session) => delivery.send(protocol, session, login).await,
            Self::Other(session) => delivery.send(protocol, session, login).await,
        }
    }

    /// Copies between the session and `input` and `sink`, as [`stdio::run`] does.
    pub(crate) async fn run(
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

    /// Ends the session in the protocol's way, as [`stdio::leave`] does.
    pub(crate) async fn leave(self, discipline: &LineDiscipline) -> Result<(), Failed> {
        match self {
            Self::Tcp(session) => stdio::leave(session, discipline).await,
            Self::Other(session) => stdio::leave(session, discipline).await,
        }
    }

    pub(crate) fn report(&self, target: &Target, negotiation: Negotiation) -> Report {
        match self {
            Self::Tcp(session) => Report::of_session(target, negotiation, session),
            Self::Other(session) => Report::of_session(target, negotiation, session),
        }
    }
}
