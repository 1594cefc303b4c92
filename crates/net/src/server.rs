//! The server's configuration: one protocol, its certificate, its options.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use rustls::crypto::CryptoProvider;
use rustls::server::danger::ClientCertVerifier;
use rustls::server::{ProducesTickets, ResolvesServerCert, ServerSessionMemoryCache, WebPkiClientVerifier};
use rustls::{RootCertStore, ServerConfig};
use starttls_proto::{AfterUpgrade, Capability, Identity, Protocol, ServiceName, Side, TlsSupport, Upgrade};

use crate::deadline::Deadline;
use crate::handshake::{ConnectionAttempt, TlsSetup};
use crate::observe::{Observer, Tap};
use crate::tapped_stream::TappedStream;
use crate::tls::{self, ClientAuth, KeyLogTarget, Options, TlsVersion};
use crate::{Error, Ready};

/// A server that negotiates upgrades, requires TLS, and returns only encrypted streams.
///
/// An acceptor serves one protocol on one listener, so that its TLS sessions can be resumed only there (rule S9). It is cheap
/// to clone.
///
/// # ALPN
/// If a client offers ALPN ids without the protocol's own, the handshake fails with the alert `no_application_protocol`
/// (rule S7, RFC 7301 section 3.2): its connection was meant for another server. A client that offers none is served. For a
/// protocol without a registered id the scheme is the id (`smtp`), because clients that offer an id use it.
#[derive(Clone)]
pub struct Acceptor {
    protocol: &'static Protocol,
    identity: Identity,
    config: Option<Arc<ServerConfig>>,
    /// Whether the caller's verifier decides on client certificates.
    is_callers_verifier: bool,
    timeout: Duration,
    announced: bool,
    observer: Option<Arc<dyn Observer>>,
}

impl fmt::Debug for Acceptor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Acceptor").field("protocol", &self.protocol).finish_non_exhaustive()
    }
}

impl Acceptor {
    /// Returns a builder of an acceptor for one protocol and the name of a service.
    pub fn builder(protocol: &'static Protocol, server_name: &str) -> AcceptorBuilder {
        AcceptorBuilder {
            protocol,
            server_name: server_name.to_owned(),
            capabilities: Vec::new(),
            certificate: Certificate::None,
            crypto_provider: None,
            server_config: None,
            client_auth: ClientVerification::None,
            tickets: None,
            options: Options::default(),
            timeout: crate::DEFAULT_TIMEOUT,
            alpn: true,
            announced: true,
        }
    }

    /// Returns the same acceptor with an observer of its connections. An observer usually belongs to one connection.
    #[must_use]
    pub fn observed_by(&self, observer: Arc<dyn Observer>) -> Self {
        Self { observer: Some(observer), ..self.clone() }
    }

    /// Returns the same acceptor with other session tickets, and an empty session cache for clients without tickets. It
    /// resumes sessions of this acceptor only if the tickets allow that.
    #[must_use]
    pub fn with_tickets(&self, tickets: Arc<dyn ProducesTickets>) -> Self {
        let config = self.config.as_deref().cloned().map(|mut config| {
            config.session_storage = ServerSessionMemoryCache::new(SESSION_CACHE_SIZE);
            config.ticketer = tickets;
            Arc::new(config)
        });
        Self { config, ..self.clone() }
    }

    /// Returns the producer of the session tickets; `None` if the acceptor has no certificate.
    pub fn tickets(&self) -> Option<Arc<dyn ProducesTickets>> {
        self.config.as_ref().map(|config| config.ticketer.clone())
    }

    /// Returns the protocol that the acceptor serves.
    pub fn protocol(&self) -> &'static Protocol {
        self.protocol
    }

    /// Returns the identity of the service. [`ServerSession`](starttls_proto::ServerSession) needs it too.
    pub fn identity(&self) -> Identity {
        self.identity.clone()
    }

    /// Returns whether the acceptor has a certificate, and announces TLS.
    pub(crate) fn tls(&self) -> TlsSupport {
        match self.config {
            Some(_) if self.announced => TlsSupport::Available,
            Some(_) => TlsSupport::Unannounced,
            None => TlsSupport::Unavailable,
        }
    }

    /// Returns a connection that is ready for TLS after an upgrade that another negotiation has agreed, such as a
    /// [`Relay`](starttls_proto::Relay) that granted it. A new deadline starts.
    pub fn from_upgrade<IO>(&self, io: IO, upgrade: Upgrade) -> Ready<IO> {
        let attempt = self.attempt();
        Ready::new(TappedStream::new(io, attempt.tap.clone()), upgrade, attempt)
    }

    pub(crate) fn attempt(&self) -> ConnectionAttempt {
        let setup = match self.config.clone() {
            Some(config) => TlsSetup::Server { config, is_callers_verifier: self.is_callers_verifier },
            None => TlsSetup::Unavailable,
        };
        let tap = Tap::new(Side::Server, self.observer.clone());
        let mut attempt =
            ConnectionAttempt::new(setup, self.protocol, tap, Deadline::starting_now(self.timeout));
        attempt.space_before_tls = self.protocol.flow.space_before_tls;
        attempt
    }
}

/// The session tickets after a handshake. Clients here resume one session at a time, and each ticket costs the server 3 µs.
const TICKETS: usize = 1;

/// The size of the session cache of an acceptor, as rustls has it.
const DEFAULT_SESSION_CACHE_SIZE: usize = 256;

/// Produces no session tickets.
#[derive(Debug)]
struct NoTickets;

impl ProducesTickets for NoTickets {
    fn enabled(&self) -> bool {
        false
    }

    fn lifetime(&self) -> u32 {
        0
    }

    fn encrypt(&self, _: &[u8]) -> Option<Vec<u8>> {
        None
    }

    fn decrypt(&self, _: &[u8]) -> Option<Vec<u8>> {
        None
    }
}

/// The size of the session cache for clients without tickets, of an acceptor for a few connections.
const SESSION_CACHE_SIZE: usize = 4;

/// Builds an [`Acceptor`].
#[derive(Debug)]
#[must_use = "a builder does nothing until `build`"]
pub struct AcceptorBuilder {
    protocol: &'static Protocol,
    server_name: String,
    capabilities: Vec<String>,
    certificate: Certificate,
    crypto_provider: Option<Arc<CryptoProvider>>,
    server_config: Option<ServerConfig>,
    client_auth: ClientVerification,
    tickets: Option<Arc<dyn ProducesTickets>>,
    options: Options,
    timeout: Duration,
    alpn: bool,
    announced: bool,
}

#[derive(Debug)]
enum Certificate {
    None,
    Pem(Vec<u8>, Vec<u8>),
    Resolver(Arc<dyn ResolvesServerCert>),
}

#[derive(Debug)]
enum ClientVerification {
    None,
    Roots(ClientAuth, Vec<u8>),
    Verifier(Arc<dyn ClientCertVerifier>),
}

impl AcceptorBuilder {
    /// Presents this certificate: the chain, the server's own certificate first, and the key, in PEM.
    ///
    /// An acceptor without a certificate still serves: it answers requests for TLS with the protocol's temporary refusal, and
    /// refuses all commands that require TLS (rule S5).
    pub fn certificate_pem(self, chain: impl Into<Vec<u8>>, key: impl Into<Vec<u8>>) -> Self {
        Self { certificate: Certificate::Pem(chain.into(), key.into()), ..self }
    }

    /// Chooses the certificate of each connection with this resolver. The name in SNI is hostile input (rule S6). A client for
    /// whose name there is no certificate gets the alert `unrecognized_name` (RFC 6066 section 3).
    pub fn cert_resolver(self, resolver: Arc<dyn ResolvesServerCert>) -> Self {
        Self { certificate: Certificate::Resolver(resolver), ..self }
    }

    /// Requests client certificates that lead to the roots in this PEM text.
    pub fn client_auth(self, auth: ClientAuth, roots_pem: impl Into<Vec<u8>>) -> Self {
        Self { client_auth: ClientVerification::Roots(auth, roots_pem.into()), ..self }
    }

    /// Verifies client certificates with this verifier instead of roots. The verdict on an accepted certificate is
    /// [`AcceptedByCaller`](crate::CertificateVerdict::AcceptedByCaller).
    pub fn client_verifier(self, verifier: Arc<dyn ClientCertVerifier>) -> Self {
        Self { client_auth: ClientVerification::Verifier(verifier), ..self }
    }

    /// Uses this source of cryptography instead of the default one of the crate's features.
    pub fn crypto_provider(self, provider: Arc<CryptoProvider>) -> Self {
        Self { crypto_provider: Some(provider), ..self }
    }

    /// Takes over a complete TLS configuration: its certificates, verifier of clients, versions, cipher suites, key log.
    ///
    /// STARTTLS needs some of it to be different, so `build` overwrites:
    ///
    /// - `session_storage` and `ticketer`: new and empty, because a session of another listener must not be resumed here
    ///   (rule S9). [`tickets`](Self::tickets) sets a ticketer.
    /// - `max_early_data_size`: 0, because early data can be replayed, and `send_half_rtt_data`: off, because the server must
    ///   have verified the client before it sends application data.
    /// - `alpn_protocols`: the id of the acceptor's protocol (rule S7), or none with [`without_alpn`](Self::without_alpn).
    /// - the certificate and the key log, if [`cert_resolver`](Self::cert_resolver) or a key log is set here too.
    ///
    /// The verifier of client certificates cannot be read from a configuration, so the verdict on a certificate is
    /// [`AcceptedByCaller`](crate::CertificateVerdict::AcceptedByCaller). Settings that a configuration already contains,
    /// such as [`client_auth`](Self::client_auth), cannot be combined with it.
    pub fn server_config(self, config: ServerConfig) -> Self {
        Self { server_config: Some(config), ..self }
    }

    /// Resumes sessions with these session tickets, instead of the session cache.
    ///
    /// Acceptors that share the ticket keys resume each other's sessions. The keys must differ if the protocol or the
    /// requirements for clients differ (rule S9). A ticket contains the client's certificate as verified at the start of the
    /// session, and is valid only for the same name in SNI.
    pub fn tickets(self, tickets: Arc<dyn ProducesTickets>) -> Self {
        Self { tickets: Some(tickets), ..self }
    }

    /// Uses only the TLS versions from `min` to `max`, inclusive.
    pub fn tls_versions(mut self, min: TlsVersion, max: TlsVersion) -> Self {
        self.options.versions = Some((min, max));
        self
    }

    /// Appends the secrets of every session to this file, in the format of Wireshark.
    pub fn key_log_file(mut self, path: impl Into<PathBuf>) -> Self {
        self.options.key_log = KeyLogTarget::File(path.into());
        self
    }

    /// Sets the time limit of all steps together, from the greeting to the end of the handshake (rule B6). The default is
    /// [`DEFAULT_TIMEOUT`](crate::DEFAULT_TIMEOUT).
    pub fn timeout(self, timeout: Duration) -> Self {
        Self { timeout, ..self }
    }

    /// Ignores ALPN, so that **the acceptor also serves connections that were meant for another protocol**.
    ///
    /// Most servers do that, against rule S7. For peers in tests.
    pub fn without_alpn(self) -> Self {
        Self { alpn: false, ..self }
    }

    /// Does not announce the upgrade, but grants it, for clients that request it without an announcement.
    pub fn unannounced(self) -> Self {
        Self { announced: false, ..self }
    }

    /// Sets the capabilities that are listed inside TLS in addition to the protocol's minimum; see
    /// [`Identity::capabilities`].
    pub fn capabilities(mut self, capabilities: Vec<String>) -> Self {
        self.capabilities = capabilities;
        self
    }

    /// Parses the certificates and keys, and returns the acceptor.
    ///
    /// # Errors
    /// [`Error::Config`] if the configuration is invalid.
    pub fn build(self) -> Result<Acceptor, Error> {
        // A server without a name serves every service that a client requests.
        let service =
            if self.server_name.is_empty() { Ok(ServiceName::default()) } else { self.server_name.parse() };
        let capabilities: Result<Vec<Capability>, _> =
            self.capabilities.iter().map(|it| it.parse()).collect();
        let identity = Identity {
            capabilities: capabilities.map_err(|cause| Error::config(cause.to_string()))?,
            ..Identity::of(service.map_err(|cause| Error::config(cause.to_string()))?)
        };
        let Self { protocol, timeout, announced, alpn, .. } = self;
        let is_callers_verifier =
            self.server_config.is_some() || matches!(self.client_auth, ClientVerification::Verifier(_));
        let key_log = self.options.key_log()?;
        let tickets = self.tickets.clone();
        let config = match self.server_config {
            Some(_) => Some(self.config_of_caller()?),
            None => self.config_of_settings()?,
        };
        let config = config.map(|mut config| {
            // A client of FTP resumes the session of its control connection several times.
            if !protocol.flow.data_connections {
                // A server that speaks first sends its tickets with its first message. Clients that wait for the socket, and not
                // for their TLS library, do not read that message before the next one (viewers of VNC).
                let speaks_first = protocol.flow.after == AfterUpgrade::ServerSpeaks;
                config.send_tls13_tickets = if speaks_first { 0 } else { TICKETS };
            }
            let id = protocol.alpn.unwrap_or(protocol.name).as_bytes().to_vec();
            config.alpn_protocols = alpn.then_some(id).into_iter().collect();
            if let Some(key_log) = key_log {
                config.key_log = key_log;
            }
            if let Some(tickets) = tickets {
                config.ticketer = tickets;
            }
            Arc::new(config)
        });
        Ok(Acceptor { protocol, identity, config, is_callers_verifier, timeout, announced, observer: None })
    }

    /// Returns the caller's TLS configuration, with what STARTTLS demands.
    fn config_of_caller(self) -> Result<ServerConfig, Error> {
        tls::refuse_beside_config(
            "server_config",
            &[
                ("certificate_pem", matches!(self.certificate, Certificate::Pem(..))),
                ("client_auth", matches!(self.client_auth, ClientVerification::Roots(..))),
                ("client_verifier", matches!(self.client_auth, ClientVerification::Verifier(_))),
                ("crypto_provider", self.crypto_provider.is_some()),
                ("tls_versions", self.options.versions.is_some()),
            ],
        )?;
        let mut config = self.server_config.ok_or_else(|| Error::config("no TLS configuration"))?;
        if let Certificate::Resolver(resolver) = self.certificate {
            config.cert_resolver = resolver;
        }
        config.session_storage = ServerSessionMemoryCache::new(DEFAULT_SESSION_CACHE_SIZE);
        config.ticketer = Arc::new(NoTickets);
        config.max_early_data_size = 0;
        config.send_half_rtt_data = false;
        Ok(config)
    }

    /// Returns the TLS configuration; `None` without a certificate.
    fn config_of_settings(self) -> Result<Option<ServerConfig>, Error> {
        let provider = match self.crypto_provider {
            Some(provider) => provider,
            None => tls::default_provider()?,
        };
        let builder = ServerConfig::builder_with_provider(provider.clone())
            .with_protocol_versions(&self.options.versions()?)
            .map_err(|cause| Error::config_because("the TLS versions cannot be used", cause))?;
        let builder = match self.client_auth {
            ClientVerification::None => builder.with_no_client_auth(),
            ClientVerification::Verifier(verifier) => builder.with_client_cert_verifier(verifier),
            ClientVerification::Roots(auth, pem) => {
                let mut roots = RootCertStore::empty();
                tls::add_roots(&mut roots, &pem, "the roots for client certificates")?;
                let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider);
                let verifier = match auth {
                    ClientAuth::Optional => verifier.allow_unauthenticated(),
                    ClientAuth::Required => verifier,
                };
                builder.with_client_cert_verifier(verifier.build().map_err(|cause| {
                    Error::config_because("the roots for client certificates cannot be used", cause)
                })?)
            }
        };
        Ok(match self.certificate {
            Certificate::None => None,
            Certificate::Resolver(resolver) => Some(builder.with_cert_resolver(resolver)),
            Certificate::Pem(chain, key) => Some(
                builder
                    .with_single_cert(
                        tls::certificates(&chain, "the certificate")?,
                        tls::private_key(&key, "the certificate's key")?,
                    )
                    .map_err(|cause| Error::config_because("the certificate cannot be used", cause))?,
            ),
        })
    }
}
