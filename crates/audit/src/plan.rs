//! State shared by all probes of one endpoint: address, TLS configuration, selected checks, limits.

use std::net::IpAddr;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use starttls::Connector;
use starttls::dialer::TcpRoute;
use starttls::proto::{AfterUpgrade, Identity, ImplicitTls, Protocol, ReplyTo, ServerMessage};
use tokio::sync::{Mutex, Semaphore};

use crate::DialGate;
use crate::address::EndpointAddress;
use crate::error::{HandshakeFault, ProbeError};
use crate::observe::{AuditObserver, Observed};
use crate::profile::ProtocolProfile;
use crate::record::Log;
use crate::requirement::{Advice, Requirement};
use crate::selection::Selection;
use crate::session::{CleartextSession, TlsSession};

/// The limits of one endpoint's audit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// The most connections in total.
    pub connections: u32,
    /// The most connections at the same time.
    pub concurrency: usize,
    /// The pause between one connection and the next.
    pub pace: Duration,
    /// The longest wait for one answer.
    pub reply_timeout: Duration,
    /// The time for the whole audit of an endpoint. Checks without a result by then are inconclusive.
    pub deadline: Duration,
    /// How long the slow checks wait. By default they are not run.
    pub slow: Option<Duration>,
    /// The port where the same service starts TLS at the first byte. By default it is the protocol's port for
    /// implicit TLS, if the audited port is the protocol's port for the upgrade.
    pub implicit_port: Option<u16>,
    /// A certificate with fewer days left is a finding. The default is 14: certificates for 90 days are usually renewed
    /// when 30 days are left.
    pub expiry_warning: i64,
}

impl Default for Limits {
    fn default() -> Self {
        let (pace, reply_timeout) = (Duration::ZERO, Duration::from_secs(10));
        Self {
            connections: 30,
            concurrency: 4,
            pace,
            reply_timeout,
            deadline: Duration::from_secs(300),
            slow: None,
            implicit_port: None,
            expiry_warning: 14,
        }
    }
}

/// The TLS configurations of the probes. Each completes the handshake whatever the certificate, and records the verdict.
#[derive(Clone, Debug)]
pub(crate) struct Connectors {
    /// The configuration of an ordinary client.
    pub(crate) open: Connector,
    /// Offers only another protocol's ALPN id.
    pub(crate) foreign_alpn: Connector,
    /// The same connectors with a ClientHello that fits into one segment.
    pub(crate) small: Option<Box<Connectors>>,
}

/// The longest audit, so that adding it to the clock cannot overflow.
const LONGEST: Duration = Duration::from_secs(365 * 24 * 60 * 60);

/// The shortest reply timeout after a quick first connection.
const SHORTEST_REPLY_TIMEOUT: Duration = Duration::from_secs(3);

/// The shortest timeout for a handshake that the server may not continue.
const SHORTEST_HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(1);

/// The ALPN id of another protocol, which no server of the protocols here serves.
pub(crate) const FOREIGN_ALPN: &[u8] = b"acme-tls/1";

impl Connectors {
    pub(crate) fn new(
        builder: &dyn Fn() -> starttls::ConnectorBuilder,
        reply_timeout: Duration,
    ) -> Result<Self, starttls::Error> {
        let small = Self::of(&|| builder().small_hello(), reply_timeout)?;
        Ok(Self { small: Some(Box::new(small)), ..Self::of(builder, reply_timeout)? })
    }

    fn of(
        builder: &dyn Fn() -> starttls::ConnectorBuilder,
        reply_timeout: Duration,
    ) -> Result<Self, starttls::Error> {
        let open = || builder().insecure().timeout(reply_timeout);
        Ok(Self {
            open: open().build()?,
            foreign_alpn: open().alpn(vec![FOREIGN_ALPN.to_vec()]).build()?,
            small: None,
        })
    }
}

/// One endpoint's audit.
pub(crate) struct Plan {
    /// The target as the report names it: `smtp://mail.example.com`.
    pub(crate) target: String,
    /// Whether TLS starts at the first byte.
    pub(crate) implicit: bool,
    pub(crate) protocol: &'static Protocol,
    pub(crate) profile: &'static ProtocolProfile,
    pub(crate) address: EndpointAddress,
    /// The way to the address.
    pub(crate) route: TcpRoute,
    pub(crate) server_name: String,
    /// The names of client and server, as each probe sends them.
    identity: Identity,
    pub(crate) connectors: Connectors,
    /// The checks to run.
    pub(crate) selection: Selection,
    pub(crate) limits: Limits,
    pub(crate) advice: Advice,
    /// Who watches the connections.
    pub(crate) observer: Option<Arc<dyn AuditObserver>>,
    /// When the audit has to end.
    deadline: Instant,
    opened: AtomicU32,
    /// The connections since the last whole session, if the server lets clients in without a login
    /// ([`ProtocolProfile::patience`]).
    unfinished: Mutex<Option<u32>>,
    /// Milliseconds to wait for one answer, adapted to the speed of the first connection.
    reply_timeout: AtomicU32,
    /// The same for a handshake that the server may not continue.
    handshake_timeout: AtomicU32,
    slots: Semaphore,
    /// Asked before each connection.
    pub(crate) gate: Option<Arc<dyn DialGate>>,
    /// Whether the audit ends before the request for TLS.
    pub(crate) until_offer: bool,
    /// The local address of the first connection.
    source: OnceLock<IpAddr>,
}

impl Plan {
    pub(crate) fn new(
        protocol: &'static Protocol,
        target: &str,
        address: EndpointAddress,
        server_name: String,
        identity: Identity,
        connectors: Connectors,
        limits: Limits,
    ) -> Self {
        Self {
            target: target.to_owned(),
            implicit: false,
            protocol,
            profile: ProtocolProfile::of(protocol),
            address,
            route: TcpRoute::direct(),
            server_name,
            identity,
            connectors,
            selection: Selection::default(),
            limits,
            advice: Requirement::advice,
            observer: None,
            deadline: Instant::now() + limits.deadline.min(LONGEST),
            opened: AtomicU32::new(0),
            unfinished: Mutex::new(Some(0)),
            reply_timeout: AtomicU32::new(millis(limits.reply_timeout)),
            handshake_timeout: AtomicU32::new(millis(limits.reply_timeout)),
            slots: Semaphore::new(limits.concurrency.max(1)),
            gate: None,
            until_offer: false,
            source: OnceLock::new(),
        }
    }

    /// Returns the names for a connection.
    pub(crate) fn identity(&self) -> Identity {
        self.identity.clone()
    }

    /// Opens a connection, if the limits allow another one. Its transcript goes to `log`, whether or not it succeeds.
    pub(crate) async fn open(&self, purpose: &str, log: &Log) -> Result<CleartextSession, ProbeError> {
        self.open_port(self.port(), purpose, log).await
    }

    /// Opens a connection to another port of the same host.
    pub(crate) async fn open_port(
        &self,
        port: u16,
        purpose: &str,
        log: &Log,
    ) -> Result<CleartextSession, ProbeError> {
        self.stay_welcome().await;
        self.dial(port, purpose, log).await
    }

    /// Completes a session, if servers block the address of a client that opens another connection without one.
    async fn stay_welcome(&self) {
        let Some(patience) = self.profile.patience else { return };
        let mut unfinished = self.unfinished.lock().await;
        *unfinished = match *unfinished {
            Some(count) if count < patience => Some(count + 1),
            // After a session that the server does not let in, others would only add to its count.
            Some(_) if Box::pin(self.is_let_in()).await => Some(1),
            _ => None,
        };
    }

    /// Opens a session up to the server's first message inside TLS, and returns whether it lets the client in.
    async fn is_let_in(&self) -> bool {
        let log = Log::default();
        let session = async {
            let mut session =
                self.dial(self.port(), "a whole session, so that others are served", &log).await?;
            session.negotiate().await?;
            let secured = self.secure(session).await;
            let mut inside = secured.map_err(|error| self.handshake_error(&error))?;
            inside.answer_to(ReplyTo::Connect, "the first message inside TLS").await
        };
        session.await.is_ok_and(|reply| reply.meaning != ServerMessage::Other)
    }

    async fn dial(&self, port: u16, purpose: &str, log: &Log) -> Result<CleartextSession, ProbeError> {
        if self.is_over() {
            log.start(self.protocol, purpose);
            return Err(ProbeError::Deadline);
        }
        let before = self.opened.fetch_add(1, Ordering::Relaxed);
        if before >= self.limits.connections {
            self.opened.fetch_sub(1, Ordering::Relaxed);
            log.start(self.protocol, purpose);
            return Err(ProbeError::Budget);
        }
        self.pause(self.limits.pace).await;
        if let Some(gate) = &self.gate {
            gate.admit().await;
        }
        let way = (&self.route, &self.address.endpoint(port));
        let limits = (self.reply_timeout(), self.deadline);
        let observer = self.observer.clone();
        let observed = observer.map(|observer| Observed { observer, number: before + 1 });
        let transcript = (purpose, log, observed);
        let session = CleartextSession::open(self.protocol, self.identity(), way, limits, transcript).await?;
        // The address toward a proxy says nothing about the way to the server.
        if let Some(source) = session.source().filter(|_| !self.route.has_proxy()) {
            self.source.get_or_init(|| source);
        }
        Ok(session)
    }

    /// Completes the handshake of an agreed upgrade as an ordinary client does.
    pub(crate) async fn secure(&self, session: CleartextSession) -> Result<TlsSession, starttls::Error> {
        Box::pin(session.secure(&self.connectors.open, &self.server_name, self.identity())).await
    }

    /// Opens a connection, upgrades it, and completes the handshake as an ordinary client does.
    pub(crate) async fn upgrade(&self, purpose: &str, log: &Log) -> Result<TlsSession, ProbeError> {
        self.upgrade_with(&self.connectors.open, &self.server_name, purpose, log).await
    }

    /// Opens a connection, upgrades it, and completes the handshake with this connector and server name. With implicit
    /// TLS the handshake starts at once.
    pub(crate) async fn upgrade_with(
        &self,
        connector: &Connector,
        server_name: &str,
        purpose: &str,
        log: &Log,
    ) -> Result<TlsSession, ProbeError> {
        let mut session = self.open(purpose, log).await?;
        if !self.implicit {
            session.negotiate().await?;
        }
        let secured = Box::pin(session.secure(connector, server_name, self.identity())).await;
        secured.map_err(|error| self.handshake_error(&error))
    }

    /// Returns why a handshake did not finish. After a timeout nothing is known of what the server would have done.
    pub(crate) fn handshake_error(&self, error: &starttls::Error) -> ProbeError {
        match error {
            _ if self.is_over() => ProbeError::Deadline,
            starttls::Error::Timeout { .. } => ProbeError::Silent("the rest of the handshake"),
            error => ProbeError::Handshake(HandshakeFault::new(error)),
        }
    }

    /// Waits, at most until the audit's deadline.
    pub(crate) async fn pause(&self, time: Duration) {
        tokio::time::sleep_until((Instant::now() + time).min(self.deadline).into()).await;
    }

    /// Returns the local address of the first connection.
    pub(crate) fn source(&self) -> Option<String> {
        self.source.get().map(ToString::to_string)
    }

    /// Returns whether the audit's deadline has passed.
    pub(crate) fn is_over(&self) -> bool {
        Instant::now() >= self.deadline
    }

    /// Returns the longest wait for one answer.
    pub(crate) fn reply_timeout(&self) -> Duration {
        Duration::from_millis(self.reply_timeout.load(Ordering::Relaxed).into())
    }

    /// Shortens the timeouts for a server that was quick on the first connection. One that delays its greeting gets
    /// more time.
    pub(crate) fn calibrate(&self, baseline_ms: f64) {
        let enough = Duration::from_secs_f64(baseline_ms / 1000.0).saturating_mul(20);
        self.reply_timeout.fetch_min(millis(enough.max(SHORTEST_REPLY_TIMEOUT)), Ordering::Relaxed);
        self.handshake_timeout.fetch_min(millis(enough.max(SHORTEST_HANDSHAKE_TIMEOUT)), Ordering::Relaxed);
    }

    /// Returns the longest wait for a handshake after injected bytes. A server that reads them as part of the handshake
    /// may wait for more without end, and one that acts on them completes the handshake as usual.
    pub(crate) fn handshake_timeout(&self) -> Duration {
        Duration::from_millis(self.handshake_timeout.load(Ordering::Relaxed).into())
    }

    /// Returns the host of the target as its URL has it.
    pub(crate) fn host(&self) -> &str {
        let rest = self.target.split_once("://").map_or("", |(_, rest)| rest);
        let host = match rest.strip_prefix('[') {
            Some(address) => address.split(']').next(),
            None => rest.split(':').next(),
        };
        host.filter(|host| !host.is_empty()).unwrap_or(&self.server_name)
    }

    /// Returns the audited port.
    pub(crate) fn port(&self) -> u16 {
        self.address.port()
    }

    /// Returns the port where the same service starts TLS at the first byte, if it is known.
    pub(crate) fn implicit_port(&self) -> Option<u16> {
        // A protocol that starts both on one port has no other port (PostgreSQL).
        let apart = |tls: &ImplicitTls| tls.port != self.protocol.port && self.port() == self.protocol.port;
        let usual = self.protocol.implicit_tls.filter(apart);
        self.limits.implicit_port.or(usual.map(|tls| tls.port))
    }

    /// Returns whether the protocol starts TLS at the first byte on the port of the upgrade (PostgreSQL). That TLS
    /// works there is then no evidence of a wrong URL.
    pub(crate) fn has_one_port(&self) -> bool {
        self.protocol.implicit_tls.is_some_and(|tls| tls.port == self.protocol.port)
    }

    /// Returns whether the limits allow one connection at the same time only.
    pub(crate) fn has_one_connection_at_once(&self) -> bool {
        self.limits.concurrency <= 1
    }

    /// Returns the ALPN protocol id that the server has to select on this endpoint.
    pub(crate) fn required_alpn(&self) -> Option<&'static str> {
        self.protocol.required_alpn().filter(|_| self.implicit)
    }

    /// Returns how many harmless commands a session accepts: one if the command begins the session, otherwise two.
    pub(crate) fn sentinels(&self) -> usize {
        let begins = self.protocol.flow.after == AfterUpgrade::StreamRestart
            || self.profile.begins_session()
            || self.protocol.flow.after == AfterUpgrade::SequenceContinues;
        if begins { 1 } else { 2 }
    }

    /// Returns how many connections were opened.
    pub(crate) fn opened(&self) -> u32 {
        self.opened.load(Ordering::Relaxed)
    }

    /// Waits for one of the places for connections at the same time.
    pub(crate) async fn place(&self) -> Option<tokio::sync::SemaphorePermit<'_>> {
        self.slots.acquire().await.ok()
    }
}

fn millis(time: Duration) -> u32 {
    u32::try_from(time.as_millis()).unwrap_or(u32::MAX)
}
