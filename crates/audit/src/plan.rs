//! What every probe of one endpoint shares: whom to dial, how to do TLS, and how much of it is polite.

use std::net::{IpAddr, SocketAddr};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use starttls::proto::{AfterUpgrade, ClientMessage, Identity, ImplicitTls, Protocol};
use starttls::{Connector, TlsVersion};
use tokio::sync::Semaphore;

use crate::profile::ProtocolProfile;
use crate::record::Record;
use crate::session::{CleartextSession, ProbeError};

/// How much an audit may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Connections in all.
    pub connections: u32,
    /// Connections at once.
    pub concurrency: usize,
    /// The pause between one connection and the next.
    pub pace: Duration,
    /// The longest wait for one answer.
    pub reply_timeout: Duration,
    /// The time for the whole audit of an endpoint. What has not been seen by then is inconclusive.
    pub deadline: Duration,
    /// For how long the checks wait that have to; by default they are not run.
    pub slow: Option<Duration>,
    /// Where the same service speaks TLS from the first byte. By default it is the protocol's own port, if the
    /// upgrade is on its own too.
    pub implicit_port: Option<u16>,
    /// A certificate with fewer days left is a finding. By default it is 14: certificates for ninety days are renewed
    /// when thirty are left.
    pub expiry_warning: i64,
}

impl Default for Limits {
    fn default() -> Self {
        let (pace, reply_timeout) = (Duration::ZERO, Duration::from_secs(10));
        Self {
            connections: 25,
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

/// How to do TLS. Every one finishes whatever the certificate, and records the verdict.
#[derive(Clone, Debug)]
pub(crate) struct Connectors {
    /// As clients do it.
    pub(crate) open: Connector,
    pub(crate) tls12: Connector,
    pub(crate) tls13: Connector,
    /// Offers only another protocol's ALPN id.
    pub(crate) foreign_alpn: Connector,
    /// The same connectors with a ClientHello that fits into one segment.
    pub(crate) small: Option<Box<Connectors>>,
}

/// The longest audit: clocks end somewhere.
const LONGEST: Duration = Duration::from_secs(365 * 24 * 60 * 60);

/// The shortest reply_timeout with a server that was quick so far.
const QUICK: Duration = Duration::from_secs(3);

/// The same for a handshake that nobody may answer.
const DOUBTFUL: Duration = Duration::from_secs(1);

/// Another protocol's id, which no server of the protocols here has a use for.
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
            tls12: open().tls_versions(TlsVersion::Tls12, TlsVersion::Tls12).build()?,
            tls13: open().tls_versions(TlsVersion::Tls13, TlsVersion::Tls13).build()?,
            foreign_alpn: open().alpn(vec![FOREIGN_ALPN.to_vec()]).build()?,
            small: None,
        })
    }
}

/// One endpoint's audit.
pub(crate) struct Plan {
    /// What is audited, as the report calls it: `smtp://mail.example.com`.
    pub(crate) target: String,
    /// Whether TLS starts at the first byte.
    pub(crate) implicit: bool,
    pub(crate) protocol: &'static Protocol,
    pub(crate) profile: &'static ProtocolProfile,
    pub(crate) address: SocketAddr,
    pub(crate) server_name: String,
    /// What every probe calls itself and the server.
    identity: Identity,
    pub(crate) connectors: Connectors,
    pub(crate) limits: Limits,
    /// When the audit has to end.
    ends: Instant,
    opened: AtomicU32,
    /// Milliseconds to wait for one answer, once it is known how fast the server is.
    reply_timeout: AtomicU32,
    /// The same for a handshake that may well not go on.
    handshake_timeout: AtomicU32,
    slots: Semaphore,
    /// The local address of the first connection.
    source: OnceLock<IpAddr>,
}

impl Plan {
    pub(crate) fn new(
        protocol: &'static Protocol,
        target: &str,
        address: SocketAddr,
        server_name: String,
        identity: Identity,
        connectors: Connectors,
        limits: Limits,
    ) -> Self {
        let profile = ProtocolProfile::of(protocol);
        let slots = Semaphore::new(limits.concurrency.max(1));
        let reply_timeout = AtomicU32::new(millis(limits.reply_timeout));
        let handshake_timeout = AtomicU32::new(millis(limits.reply_timeout));
        Self {
            target: target.to_owned(),
            implicit: false,
            protocol,
            profile,
            address,
            server_name,
            identity,
            connectors,
            limits,
            ends: Instant::now() + limits.deadline.min(LONGEST),
            opened: AtomicU32::new(0),
            reply_timeout,
            handshake_timeout,
            slots,
            source: OnceLock::new(),
        }
    }

    /// A fresh identity: tags and ids differ from connection to connection.
    pub(crate) fn identity(&self) -> Identity {
        Identity { nonce: Identity::new("").nonce, ..self.identity.clone() }
    }

    /// Opens one connection, if the limits allow one more.
    pub(crate) async fn open(&self, purpose: &str) -> Result<CleartextSession, (ProbeError, Record)> {
        self.open_port(self.port(), purpose).await
    }

    /// The same on another port of the same host.
    pub(crate) async fn open_port(
        &self,
        port: u16,
        purpose: &str,
    ) -> Result<CleartextSession, (ProbeError, Record)> {
        if self.is_over() {
            return Err((ProbeError::Deadline, Record::new(purpose)));
        }
        if self.opened.fetch_add(1, Ordering::Relaxed) >= self.limits.connections {
            self.opened.fetch_sub(1, Ordering::Relaxed);
            return Err((ProbeError::Budget, Record::new(purpose)));
        }
        tokio::time::sleep_until((Instant::now() + self.limits.pace).min(self.ends).into()).await;
        let address = SocketAddr::new(self.address.ip(), port);
        let session = CleartextSession::open(
            self.protocol,
            self.identity(),
            address,
            (self.reply_timeout(), self.ends),
            purpose,
        )
        .await?;
        if let Ok(local) = session.io.local_addr() {
            self.source.get_or_init(|| local.ip());
        }
        Ok(session)
    }

    /// Returns the local address of the first connection.
    pub(crate) fn source(&self) -> Option<String> {
        self.source.get().map(ToString::to_string)
    }

    /// Whether the audit's deadline has passed.
    pub(crate) fn is_over(&self) -> bool {
        Instant::now() >= self.ends
    }

    /// The longest wait for one answer.
    pub(crate) fn reply_timeout(&self) -> Duration {
        Duration::from_millis(self.reply_timeout.load(Ordering::Relaxed).into())
    }

    /// The baseline took this long: a server that has answered so far in no time is not waited for as long as one
    /// that delays its greeting.
    pub(crate) fn calibrate(&self, baseline_ms: f64) {
        let enough = Duration::from_secs_f64(baseline_ms / 1000.0).saturating_mul(20);
        self.reply_timeout.fetch_min(millis(enough.max(QUICK)), Ordering::Relaxed);
        self.handshake_timeout.fetch_min(millis(enough.max(DOUBTFUL)), Ordering::Relaxed);
    }

    /// The longest wait for a handshake behind injected bytes: a server that took them for part of it may wait for
    /// more without end, and one that acts on them shakes hands as ever.
    pub(crate) fn handshake_timeout(&self) -> Duration {
        Duration::from_millis(self.handshake_timeout.load(Ordering::Relaxed).into())
    }

    /// The host of the target, as its URL has it.
    pub(crate) fn host(&self) -> &str {
        let rest = self.target.split_once("://").map_or("", |(_, rest)| rest);
        let host = match rest.strip_prefix('[') {
            Some(address) => address.split(']').next(),
            None => rest.split(':').next(),
        };
        host.filter(|host| !host.is_empty()).unwrap_or(&self.server_name)
    }

    /// The port that is audited.
    pub(crate) fn port(&self) -> u16 {
        self.address.port()
    }

    /// Where the same service speaks TLS from the first byte, as far as is known.
    pub(crate) fn implicit_port(&self) -> Option<u16> {
        // Where both start on one port, no other port exists (PostgreSQL).
        let apart = |tls: &ImplicitTls| tls.port != self.protocol.port && self.port() == self.protocol.port;
        let usual = self.protocol.implicit_tls.filter(apart);
        self.limits.implicit_port.or(usual.map(|tls| tls.port))
    }

    /// Returns whether the protocol starts TLS at the first byte on the port of the upgrade (PostgreSQL). That TLS
    /// works there is then no evidence of a wrong URL.
    pub(crate) fn has_one_port(&self) -> bool {
        self.protocol.implicit_tls.is_some_and(|tls| tls.port == self.protocol.port)
    }

    /// The ALPN protocol id that the server has to select on this endpoint.
    pub(crate) fn required_alpn(&self) -> Option<&'static str> {
        self.protocol.required_alpn().filter(|_| self.implicit)
    }

    /// How often a session takes the harmless command: once where it begins the session.
    pub(crate) fn sentinels(&self) -> usize {
        let begins = self.protocol.flow.after == AfterUpgrade::StreamRestart
            || self.profile.harmless == ClientMessage::Credentials
            || self.protocol.flow.after == AfterUpgrade::SequenceContinues;
        if begins { 1 } else { 2 }
    }

    /// How many connections were opened.
    pub(crate) fn opened(&self) -> u32 {
        self.opened.load(Ordering::Relaxed)
    }

    /// Returns why a handshake did not finish. After a timeout nothing is known of what the server would have done.
    pub(crate) fn unshaken(&self, error: &starttls::Error) -> ProbeError {
        match error {
            _ if self.is_over() => ProbeError::Deadline,
            starttls::Error::Timeout { .. } => ProbeError::Silent("the rest of the handshake"),
            error => ProbeError::Unshaken(error.to_string()),
        }
    }

    /// Waits for a place among those that may run at once.
    pub(crate) async fn place(&self) -> Option<tokio::sync::SemaphorePermit<'_>> {
        self.slots.acquire().await.ok()
    }
}

fn millis(time: Duration) -> u32 {
    u32::try_from(time.as_millis()).unwrap_or(u32::MAX)
}
