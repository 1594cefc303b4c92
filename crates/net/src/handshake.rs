//! One connection from its start to the end of the TLS handshake, for both drivers.

use std::io::{self, ErrorKind, Read, Write};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rustls::pki_types::ServerName;
use rustls::{AlertDescription, ClientConfig, ProtocolVersion, ServerConfig};

use starttls_proto::Protocol;

use crate::connection::TlsConnection;
use crate::deadline::Deadline;
use crate::dialer::Dialed;
use crate::early_data::EarlyDataLimit;
use crate::exporter::ExporterLog;
use crate::facts::{CertificateVerdict, Timings, TlsFacts};
use crate::observe::Tap;
use crate::stream::{self, Encrypted};
use crate::tapped_stream::TappedStream;
use crate::trace::Span;
use crate::verify::{RecordingResolver, RecordingVerifier, VerificationRecord};
use crate::{CertificateFailure, CertificateFault, Error, Step};

/// The TLS setup of one connection, and what has been measured so far.
#[derive(Debug)]
pub(crate) struct ConnectionAttempt {
    setup: TlsSetup,
    protocol: &'static str,
    pub(crate) tap: Tap,
    pub(crate) deadline: Deadline,
    pub(crate) timings: Timings,
    pub(crate) address: Option<SocketAddr>,
    /// See [`Flow::space_before_tls`](starttls_proto::Flow::space_before_tls).
    pub(crate) space_before_tls: &'static [u8],
    /// The ALPN protocol id that the peer must negotiate.
    required_alpn: Option<&'static str>,
    step_began: Instant,
}

#[derive(Debug)]
pub(crate) enum TlsSetup {
    Client {
        config: Arc<ClientConfig>,
        name: ServerName<'static>,
        verifier: Arc<RecordingVerifier>,
        early_data: Arc<EarlyDataLimit>,
        exporter: Arc<ExporterLog>,
    },
    Server {
        config: Arc<ServerConfig>,
        /// Whether the caller's verifier decides on client certificates.
        is_callers_verifier: bool,
    },
    /// A server without a certificate refuses every request for TLS.
    Unavailable,
}

impl ConnectionAttempt {
    pub(crate) fn new(setup: TlsSetup, protocol: &Protocol, tap: Tap, deadline: Deadline) -> Self {
        Self {
            setup,
            protocol: protocol.name,
            tap,
            deadline,
            timings: Timings::default(),
            address: None,
            space_before_tls: b"",
            required_alpn: None,
            step_began: Instant::now(),
        }
    }

    /// Starts TLS at the first byte. The protocol may require ALPN there, except on a server without ALPN
    /// ([`AcceptorBuilder::without_alpn`](crate::AcceptorBuilder::without_alpn)).
    pub(crate) fn begin_implicit<IO>(
        mut self,
        protocol: &Protocol,
        tapped: TappedStream<IO>,
    ) -> Result<Handshake<IO>, Error> {
        let offers = |setup: &TlsSetup| !matches!(setup, TlsSetup::Server { config, .. } if config.alpn_protocols.is_empty());
        self.required_alpn = protocol.required_alpn().filter(|_| offers(&self.setup));
        self.begin(tapped, Vec::new())
    }

    /// Returns the span of the negotiation.
    pub(crate) fn negotiation(&self) -> Span {
        Span::negotiation(self.protocol, self.tap.side, self.address)
    }

    /// Records how the connection was opened, and returns its stream.
    pub(crate) fn dialed<S>(&mut self, dialed: Dialed<S>) -> S {
        let opening = self.lap();
        self.timings.resolve = dialed.resolve;
        self.timings.connect = Some(opening.saturating_sub(dialed.resolve.unwrap_or_default()));
        self.address = dialed.address;
        dialed.stream
    }

    /// Returns the time since the last call, or since the start.
    pub(crate) fn lap(&mut self) -> Duration {
        let now = Instant::now();
        now - std::mem::replace(&mut self.step_began, now)
    }

    /// Starts TLS on a connection from which `early` has already been read.
    pub(crate) fn begin<IO>(
        mut self,
        mut tapped: TappedStream<IO>,
        early: Vec<u8>,
    ) -> Result<Handshake<IO>, Error> {
        tapped.begin_tls(early);
        self.lap();
        let mut resolver = None;
        let (tls, exporter) = match &self.setup {
            TlsSetup::Client { config, name, exporter, .. } => {
                (TlsConnection::client(config.clone(), name.clone()), exporter.clone())
            }
            TlsSetup::Server { config, .. } => {
                // A resolver and a key log do not know the connection that they serve, so each connection has its own, in a
                // configuration of its own: 240 octets until the end of the handshake, and about 0.2 µs.
                let mut config = ServerConfig::clone(config);
                let recording = Arc::new(RecordingResolver::new(config.cert_resolver));
                config.cert_resolver = recording.clone();
                resolver = Some(recording);
                let exporter = ExporterLog::new(config.key_log);
                config.key_log = exporter.clone();
                (TlsConnection::server(Arc::new(config)), exporter)
            }
            TlsSetup::Unavailable => return Err(Error::config("this server has no certificate for TLS")),
        };
        let tls = Box::new(tls.map_err(Error::Tls)?);
        Ok(Handshake { tls, tapped, attempt: self, resolver, exporter })
    }
}

/// A TLS handshake in progress.
#[derive(Debug)]
pub(crate) struct Handshake<IO> {
    pub(crate) tls: Box<TlsConnection>,
    pub(crate) tapped: TappedStream<IO>,
    pub(crate) attempt: ConnectionAttempt,
    /// The resolver of a server's certificate.
    resolver: Option<Arc<RecordingResolver>>,
    exporter: Arc<ExporterLog>,
}

/// The error that ended a handshake.
#[derive(Debug)]
pub(crate) enum HandshakeFailure {
    Tls(rustls::Error),
    Io(io::Error),
}

impl From<io::Error> for HandshakeFailure {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

/// Advances the handshake until it is done or `io` would block; the caller then calls again.
///
/// It reads even while it cannot write: two sides that both write first would wait for each other forever.
pub(crate) fn advance_handshake(
    tls: &mut TlsConnection,
    io: &mut (impl Read + Write),
) -> Result<(), HandshakeFailure> {
    while !only_tickets_left(tls) {
        let blocked = match stream::push(tls, io).and_then(|()| io.flush()) {
            Err(error) if error.kind() == ErrorKind::WouldBlock => true,
            done => done.map(|()| false)?,
        };
        if !tls.state().is_handshaking() {
            return if blocked { Err(io::Error::from(ErrorKind::WouldBlock).into()) } else { Ok(()) };
        }
        if stream::receive_handshake(tls, io)?.map_err(HandshakeFailure::Tls)? == 0 {
            return Err(io::Error::from(ErrorKind::UnexpectedEof).into());
        }
    }
    Ok(())
}

/// Returns whether a server has only session tickets left to send. They are no part of the handshake, so they go out with
/// the first application data, in the same segment.
fn only_tickets_left(tls: &TlsConnection) -> bool {
    let is_tls13 = tls.state().protocol_version() == Some(ProtocolVersion::TLSv1_3);
    is_tls13 && !tls.state().is_handshaking() && tls.is_server()
}

/// The fatal alert `unrecognized_name` in a record of TLS 1.2 (RFC 6066 section 3).
const UNRECOGNIZED_NAME: &[u8] = &[21, 3, 3, 0, 2, 2, 112];

impl<IO> Handshake<IO> {
    /// Returns the span of this handshake.
    pub(crate) fn span(&self) -> Span {
        Span::handshake(self.attempt.protocol, self.attempt.tap.side, self.attempt.address)
    }

    /// Returns whether a server has sent its answer to the ClientHello, for which it has chosen a certificate.
    #[cfg(feature = "tokio")]
    pub(crate) fn has_answered_hello(&self) -> bool {
        let chosen = self.resolver.as_ref().is_some_and(|resolver| resolver.presented().is_some());
        chosen && self.tls.unsent().is_empty()
    }

    /// Returns the server name in the ClientHello, once a server has read it.
    #[cfg(feature = "tokio")]
    pub(crate) fn server_name(&self) -> Option<String> {
        self.resolver.as_ref().and_then(|resolver| resolver.server_name())
    }

    /// Returns the alert to send instead of the one that rustls chose; empty to send that one. Without a certificate for
    /// the client's server name rustls sends `access_denied`, where `unrecognized_name` names the cause.
    pub(crate) fn own_alert(&self) -> &'static [u8] {
        let found_none = self.resolver.as_ref().is_some_and(|resolver| resolver.found_none());
        if found_none { UNRECOGNIZED_NAME } else { b"" }
    }

    /// Collects the facts of a handshake that is done.
    ///
    /// # Errors
    /// [`Error::NoAlpn`] if the peer did not negotiate the required ALPN id.
    pub(crate) fn finish(self) -> Result<Encrypted<IO>, Error> {
        let Self { tls, mut tapped, mut attempt, resolver, exporter } = self;
        let (read, written) = tapped.begin_session();
        attempt.timings.handshake = Some(attempt.lap());
        let server_name = match (&attempt.setup, &resolver) {
            (TlsSetup::Client { name: ServerName::DnsName(name), .. }, _) => Some(name.as_ref().to_owned()),
            (_, Some(resolver)) => resolver.server_name(),
            _ => None,
        };
        let mut facts = TlsFacts::new(tls.state(), server_name, attempt.timings);
        if let Some(id) = attempt.required_alpn.filter(|id| facts.alpn.as_deref() != Some(id.as_bytes())) {
            return Err(Error::NoAlpn { by: attempt.tap.side.peer(), id });
        }
        facts.address = attempt.address;
        facts.handshake_read = read;
        facts.handshake_written = written;
        if let Some(VerificationRecord { path, verdict, ocsp_response, .. }) = attempt.setup.record() {
            (facts.path, facts.verdict) = (path, verdict);
            facts.ocsp_response = Some(ocsp_response).filter(|it| !it.is_empty());
        } else if !facts.chain.is_empty() {
            // rustls ends the handshake if the verifier does not accept the certificate.
            facts.verdict = attempt.setup.accepted();
        }
        let early_data = match attempt.setup {
            TlsSetup::Client { early_data, .. } => Some(early_data),
            TlsSetup::Server { .. } | TlsSetup::Unavailable => None,
        };
        let presented = resolver.and_then(|resolver| resolver.presented());
        let exporter = exporter.exporter(tls.state());
        Ok(Encrypted::new(tls, tapped, facts, presented, early_data, exporter))
    }

    /// Returns the error of a handshake that failed, by whose fault it is, and drops the connection (rule B5).
    pub(crate) fn fail(mut self, failure: HandshakeFailure) -> Error {
        if let Some(received) = self.tapped.plaintext() {
            return Error::PlaintextNotTls { by: self.attempt.tap.side.peer(), received };
        }
        match failure {
            HandshakeFailure::Io(source) => self.attempt.deadline.explain(Step::Handshake, source),
            // A caller's verifier may return any error.
            HandshakeFailure::Tls(source)
                if matches!(source, rustls::Error::InvalidCertificate(_))
                    || self.attempt.setup.has_rejected() =>
            {
                let record = self.attempt.setup.record();
                let failure = match &record {
                    Some(VerificationRecord { accepted: true, key_fault, .. }) => CertificateFailure {
                        proves_key: false,
                        ..CertificateFailure::new(
                            key_fault.clone().unwrap_or(CertificateFault::KeyNotHeld),
                            None,
                        )
                    },
                    Some(VerificationRecord { verdict: CertificateVerdict::Failed(failure), .. }) => {
                        failure.clone()
                    }
                    _ => CertificateFailure::new(CertificateFault::of(&source, None), None),
                };
                let chain = record.map(|record| record.chain).unwrap_or_default();
                Error::Certificate { failure: Box::new(failure), chain, source }
            }
            HandshakeFailure::Tls(source @ rustls::Error::AlertReceived(_))
                if self.attempt.setup.certificate_was_requested() =>
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

/// Returns whether servers send this alert when they need a server name and get none. The specified one is
/// `unrecognized_name`; TLS libraries also send the others if they cannot choose a certificate.
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
    /// Returns whether the server requested a client certificate that this client does not have.
    fn certificate_was_requested(&self) -> bool {
        matches!(self, Self::Client { verifier, .. } if verifier.certificate_was_requested())
    }

    /// Returns whether the ClientHello has no server name: an address cannot be one (RFC 6066 section 3).
    fn sends_no_name(&self) -> bool {
        matches!(self, Self::Client { name: ServerName::IpAddress(_), .. })
    }

    fn record(&self) -> Option<VerificationRecord> {
        match self {
            Self::Client { verifier, .. } => verifier.record(),
            Self::Server { .. } | Self::Unavailable => None,
        }
    }

    /// Returns whether the verifier has rejected the server's certificate.
    fn has_rejected(&self) -> bool {
        self.record().is_some_and(|record| !record.accepted)
    }

    /// Returns the verdict on a certificate that the verifier accepted, if there is no record of it.
    fn accepted(&self) -> CertificateVerdict {
        match self {
            Self::Client { verifier, .. } => verifier.accepted(),
            Self::Server { is_callers_verifier: true, .. } => CertificateVerdict::AcceptedByCaller,
            Self::Server { .. } | Self::Unavailable => CertificateVerdict::Verified,
        }
    }
}
