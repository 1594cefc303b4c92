//! One connection on its way to TLS, whoever drives it.

use std::io::{self, ErrorKind, Read, Write};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rustls::pki_types::ServerName;
use rustls::{
    AlertDescription, ClientConfig, ClientConnection, Connection, ProtocolVersion, ServerConfig,
    ServerConnection,
};

use starttls_proto::Protocol;

use crate::Error;
use crate::deadline::Deadline;
use crate::facts::{CertificateVerdict, Timings, TlsFacts};
use crate::observe::Tap;
use crate::stream::{self, Encrypted};
use crate::tapped_stream::TappedStream;
use crate::verify::{RecordingVerifier, VerificationRecord, describe, signature_failure};

/// How TLS will be done, and what has been measured so far.
#[derive(Debug)]
pub(crate) struct ConnectionAttempt {
    setup: TlsSetup,
    pub(crate) tap: Tap,
    pub(crate) deadline: Deadline,
    pub(crate) timings: Timings,
    pub(crate) address: Option<SocketAddr>,
    /// See [`Flow::space_before_tls`](starttls_proto::Flow::space_before_tls).
    pub(crate) space_before_tls: &'static [u8],
    /// The ALPN protocol id without which the handshake fails.
    required_alpn: Option<&'static str>,
    step_began: Instant,
}

#[derive(Debug)]
pub(crate) enum TlsSetup {
    Client {
        config: Arc<ClientConfig>,
        name: ServerName<'static>,
        recorder: Arc<RecordingVerifier>,
    },
    Server(Arc<ServerConfig>),
    /// A server without a certificate never gets as far as TLS.
    Unavailable,
}

/// What the driver says it was waiting for when a handshake does not end.
pub(crate) const HANDSHAKE: &str = "the TLS handshake";

impl ConnectionAttempt {
    pub(crate) fn new(setup: TlsSetup, tap: Tap, deadline: Deadline) -> Self {
        Self {
            setup,
            tap,
            deadline,
            timings: Timings::default(),
            address: None,
            space_before_tls: b"",
            required_alpn: None,
            step_began: Instant::now(),
        }
    }

    /// Starts TLS at the first byte, where the protocol may require ALPN. A server without ALPN
    /// ([`AcceptorBuilder::without_alpn`](crate::AcceptorBuilder::without_alpn)) does not require it.
    pub(crate) fn begin_implicit<IO>(
        mut self,
        protocol: &Protocol,
        tapped: TappedStream<IO>,
    ) -> Result<Handshake<IO>, Error> {
        let offers =
            |setup: &TlsSetup| !matches!(setup, TlsSetup::Server(config) if config.alpn_protocols.is_empty());
        self.required_alpn = protocol.required_alpn().filter(|_| offers(&self.setup));
        self.begin(tapped, Vec::new())
    }

    /// The time since the last call, or since the start.
    pub(crate) fn lap(&mut self) -> Duration {
        let now = Instant::now();
        now - std::mem::replace(&mut self.step_began, now)
    }

    /// Starts TLS on a connection from which `early` was read already.
    pub(crate) fn begin<IO>(
        mut self,
        mut tapped: TappedStream<IO>,
        early: Vec<u8>,
    ) -> Result<Handshake<IO>, Error> {
        tapped.begin_tls(early);
        self.lap();
        let tls = match &self.setup {
            TlsSetup::Client { config, name, .. } => {
                ClientConnection::new(config.clone(), name.clone()).map(Connection::from)
            }
            TlsSetup::Server(config) => ServerConnection::new(config.clone()).map(Connection::from),
            TlsSetup::Unavailable => return Err(Error::config("there is no certificate to do TLS with")),
        };
        Ok(Handshake { tls: tls.map_err(Error::Tls)?, tapped, attempt: self })
    }
}

/// A TLS handshake under way.
#[derive(Debug)]
pub(crate) struct Handshake<IO> {
    pub(crate) tls: Connection,
    pub(crate) tapped: TappedStream<IO>,
    pub(crate) attempt: ConnectionAttempt,
}

/// What ended a handshake.
#[derive(Debug)]
pub(crate) enum HandshakeFailure {
    Tls(rustls::Error),
    Io(io::Error),
}

impl HandshakeFailure {
    /// The alert `unrecognized_name` (RFC 6066 section 3) where it is the one to send: rustls says
    /// `access_denied` when there is no certificate for a connection, and it is the name that has none.
    pub(crate) fn alert(&self) -> &'static [u8] {
        match self {
            Self::Tls(rustls::Error::General(why)) if why == NO_CERTIFICATE => &[21, 3, 3, 0, 2, 2, 112],
            _ => &[],
        }
    }
}

/// What rustls calls a resolver that answers with nothing.
const NO_CERTIFICATE: &str = "no server certificate chain resolved";

impl From<io::Error> for HandshakeFailure {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

/// Drives the handshake until it is done or `io` would block; call again then.
///
/// It reads even while it cannot write: two sides that first want to be heard wait forever.
pub(crate) fn advance_handshake(
    tls: &mut Connection,
    io: &mut (impl Read + Write),
) -> Result<(), HandshakeFailure> {
    while !only_tickets_left(tls) {
        let blocked = match stream::push(tls, io).and_then(|()| io.flush()) {
            Err(error) if error.kind() == ErrorKind::WouldBlock => true,
            done => done.map(|()| false)?,
        };
        if !tls.is_handshaking() {
            return if blocked { Err(io::Error::from(ErrorKind::WouldBlock).into()) } else { Ok(()) };
        }
        if tls.read_tls(io)? == 0 {
            return Err(io::Error::from(ErrorKind::UnexpectedEof).into());
        }
        tls.process_new_packets().map_err(HandshakeFailure::Tls)?;
    }
    Ok(())
}

/// Tickets are no part of the handshake: they go out with the first answer, in the same segment.
fn only_tickets_left(tls: &Connection) -> bool {
    let modern = tls.protocol_version() == Some(ProtocolVersion::TLSv1_3);
    modern && !tls.is_handshaking() && matches!(tls, Connection::Server(_))
}

impl<IO> Handshake<IO> {
    /// The handshake is done: collects what is known.
    ///
    /// # Errors
    /// [`Error::NoAlpn`] when the peer did not negotiate the ALPN id that is required.
    pub(crate) fn finish(self) -> Result<Encrypted<IO>, Error> {
        let Self { tls, mut tapped, mut attempt } = self;
        tapped.begin_session();
        attempt.timings.handshake = Some(attempt.lap());
        let server_name = match (&attempt.setup, &tls) {
            (TlsSetup::Client { name: ServerName::DnsName(name), .. }, _) => Some(name.as_ref().to_owned()),
            (_, Connection::Server(server)) => server.server_name().map(str::to_owned),
            _ => None,
        };
        let mut facts = TlsFacts::new(&tls, server_name, attempt.timings);
        if let Some(id) = attempt.required_alpn.filter(|id| facts.alpn.as_deref() != Some(id.as_bytes())) {
            return Err(Error::NoAlpn { by: attempt.tap.side.peer(), id });
        }
        facts.address = attempt.address;
        facts.handshake_read = tapped.handshake_read;
        facts.handshake_written = tapped.handshake_written;
        if let Some(VerificationRecord { path, verdict, ocsp_stapled, .. }) = attempt.setup.seen() {
            (facts.path, facts.verdict, facts.ocsp_stapled) = (path, verdict, ocsp_stapled);
        } else if !facts.chain.is_empty() {
            // A client's certificate: without being verified it would not have got here.
            facts.verdict = CertificateVerdict::Verified;
        }
        Ok(Encrypted::new(tls, tapped, facts))
    }

    /// The handshake failed: says whose fault it is. The connection is dropped here (rule B5).
    pub(crate) fn fail(mut self, broken: HandshakeFailure) -> Error {
        if let Some(received) = self.tapped.plaintext() {
            return Error::PlaintextNotTls { by: self.attempt.tap.side.peer(), received };
        }
        match broken {
            HandshakeFailure::Io(source) => self.attempt.deadline.explain(HANDSHAKE, source),
            HandshakeFailure::Tls(source @ rustls::Error::InvalidCertificate(_)) => {
                let seen = self.attempt.setup.seen();
                let reason = match &seen {
                    Some(VerificationRecord { accepted: true, chain, .. }) => signature_failure(chain),
                    Some(VerificationRecord {
                        verdict: CertificateVerdict::Failed { reason, .. }, ..
                    }) => reason.clone(),
                    _ => describe(&source),
                };
                let chain = seen.map(|seen| seen.chain).unwrap_or_default();
                Error::Certificate { reason, chain, source }
            }
            HandshakeFailure::Tls(source @ rustls::Error::AlertReceived(_))
                if self.attempt.setup.was_asked() =>
            {
                Error::ClientCertificate(source)
            }
            HandshakeFailure::Tls(source @ rustls::Error::AlertReceived(alert))
                if self.attempt.setup.sends_no_name() && may_miss_a_name(alert) =>
            {
                Error::NoServerName(source)
            }
            HandshakeFailure::Tls(source) => Error::Tls(source),
        }
    }
}

/// Whether servers send this alert when they need a name and get none. Only `unrecognized_name` is meant for that; TLS
/// libraries send the others too when no certificate can be chosen.
fn may_miss_a_name(alert: AlertDescription) -> bool {
    use AlertDescription as Alert;
    matches!(
        alert,
        Alert::UnrecognisedName
            | Alert::InternalError
            | Alert::HandshakeFailure
            | Alert::AccessDenied
            | Alert::NoApplicationProtocol
    )
}

impl TlsSetup {
    /// Whether the server asked for a client certificate that there is not.
    fn was_asked(&self) -> bool {
        matches!(self, Self::Client { recorder, .. } if recorder.was_asked())
    }

    /// Whether the ClientHello has no server name: an address cannot be one (RFC 6066 section 3).
    fn sends_no_name(&self) -> bool {
        matches!(self, Self::Client { name: ServerName::IpAddress(_), .. })
    }

    fn seen(&self) -> Option<VerificationRecord> {
        match self {
            Self::Client { recorder, .. } => recorder.seen(),
            Self::Server(_) | Self::Unavailable => None,
        }
    }
}
