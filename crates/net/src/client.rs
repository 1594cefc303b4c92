//! The client's configuration: trusted roots, identity, time limits.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use rustls::client::danger::ServerCertVerifier;
use rustls::client::{Resumption, Tls12Resumption};
use rustls::crypto::CryptoProvider;
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, RootCertStore};
use starttls_proto::{ClientName, Identity, Protocol, Side, Upgrade};

use crate::deadline::Deadline;
use crate::dialer::Tcp;
use crate::early_data::EarlyDataLimit;
use crate::exporter::ExporterLog;
use crate::handshake::{ConnectionAttempt, TlsSetup};
use crate::observe::{Observer, Tap};
use crate::tapped_stream::TappedStream;
use crate::tls::{self, KeyLogTarget, Options, TlsVersion};
use crate::verify::{RecordingVerifier, Trust};
use crate::{Endpoint, Error, Ready, UpgradeRefusal};

/// A client that opens connections, negotiates upgrades, and returns only encrypted streams.
///
/// It is cheap to clone and serves any number of connections. It verifies the certificate of every connection and resumes no
/// session, except [`with_session_resumption`](Self::with_session_resumption).
///
/// `D` opens the connections: [`with_dialer`](Self::with_dialer) sets it.
#[derive(Clone)]
pub struct Connector<D = Tcp> {
    shared: Arc<Shared>,
    pub(crate) dialer: D,
    alpn: Option<Vec<Vec<u8>>>,
    client_name: ClientName,
    observer: Option<Arc<dyn Observer>>,
    session: Option<SessionResumption>,
}

/// State that the connections of one session share. rustls resumes only sessions that the same verifier has verified.
#[derive(Clone)]
struct SessionResumption {
    resumption: Resumption,
    verifier: Arc<RecordingVerifier>,
}

struct Shared {
    config: ClientConfig,
    trust: Trust,
    timeout: Duration,
    retry: Retry,
    bound_login: bool,
}

/// The number of retries after a temporary refusal, and the pause before each.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Retry {
    pub(crate) attempts: u32,
    pub(crate) pause: Duration,
}

impl<D> fmt::Debug for Connector<D> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connector").field("timeout", &self.shared.timeout).finish_non_exhaustive()
    }
}

impl Connector {
    /// Returns a builder with the defaults: the system's roots, TLS 1.2 and 1.3, 30 seconds, no retries.
    pub fn builder() -> ConnectorBuilder {
        ConnectorBuilder::default()
    }
}

impl<D: Clone> Connector<D> {
    /// Returns the same connector with an observer of its connections. An observer usually belongs to one connection.
    #[must_use]
    pub fn observed_by(&self, observer: Arc<dyn Observer>) -> Self {
        Self { observer: Some(observer), ..self.clone() }
    }

    /// Returns the same connector with other ALPN ids, as in [`ConnectorBuilder::alpn`].
    #[must_use]
    pub fn with_alpn(&self, protocols: Vec<Vec<u8>>) -> Self {
        Self { alpn: Some(protocols), ..self.clone() }
    }

    /// Returns the same connector with another name that the client gives for itself in cleartext: in SMTP the argument of
    /// EHLO, in XMPP the `from` of the stream.
    #[must_use]
    pub fn with_client_name(&self, name: ClientName) -> Self {
        Self { client_name: name, ..self.clone() }
    }

    /// Returns the same connector for the connections of one session of a protocol that has several (FTP). Each of them
    /// resumes the TLS session of an earlier one, whose certificate was verified. No other session is resumed.
    #[must_use]
    pub fn with_session_resumption(&self) -> Self {
        let resumption = Resumption::in_memory_sessions(1);
        let session = SessionResumption { resumption, verifier: self.shared.trust.recording_verifier() };
        Self { session: Some(session), ..self.clone() }
    }
}

impl<D> Connector<D> {
    /// Returns the same connector with another dialer, which opens the connections: a proxy, a socket in the file system, or a
    /// way of the caller's own.
    #[must_use]
    pub fn with_dialer<E>(&self, dialer: E) -> Connector<E> {
        Connector {
            shared: self.shared.clone(),
            dialer,
            alpn: self.alpn.clone(),
            client_name: self.client_name.clone(),
            observer: self.observer.clone(),
            session: self.session.clone(),
        }
    }

    /// Returns a connection that is ready for TLS after an upgrade that another negotiation has agreed. A new deadline
    /// starts.
    ///
    /// # Errors
    /// [`Error::Config`] for an invalid server name.
    pub fn from_upgrade<IO>(
        &self,
        protocol: &Protocol,
        server_name: &str,
        io: IO,
        upgrade: Upgrade,
    ) -> Result<Ready<IO>, Error> {
        let attempt = self.attempt(protocol, server_name, self.deadline())?;
        Ok(Ready::new(TappedStream::new(io, attempt.tap.clone()), upgrade, attempt))
    }

    pub(crate) fn deadline(&self) -> Deadline {
        Deadline::starting_now(self.shared.timeout)
    }

    pub(crate) fn retry(&self) -> Retry {
        self.shared.retry
    }

    /// Returns the name that the client gives for itself, and the name of the server.
    pub(crate) fn identity(&self, server_name: &str) -> Identity {
        let bound_login = self.shared.bound_login;
        Identity { client_name: self.client_name.clone(), bound_login, ..Identity::new(server_name) }
    }

    /// Returns the identity that the client uses in cleartext for this endpoint: the names, and the authority of the URL. It
    /// is for [`upgrade_as`](Self::upgrade_as), on a stream that the caller opened.
    pub fn identity_for(&self, protocol: &Protocol, to: &Endpoint) -> Identity {
        Identity { authority: to.authority(protocol), ..self.identity(to.server_name()) }
    }

    /// Returns the setup of a new connection: its TLS configuration, its tap, its deadline.
    pub(crate) fn attempt(
        &self,
        protocol: &Protocol,
        server_name: &str,
        deadline: Deadline,
    ) -> Result<ConnectionAttempt, Error> {
        let address = server_name.strip_prefix('[').and_then(|name| name.strip_suffix(']'));
        let name = ServerName::try_from(address.unwrap_or(server_name).to_owned()).map_err(|cause| {
            Error::config_because("invalid server name: expected a host name or an address", cause)
        })?;
        let mut config = self.shared.config.clone();
        let early_data = Arc::new(EarlyDataLimit::default());
        let verifier = match &self.session {
            None => {
                let store = Resumption::store(early_data.clone());
                config.resumption = store.tls12_resumption(Tls12Resumption::Disabled);
                self.shared.trust.recording_verifier()
            }
            Some(SessionResumption { resumption, verifier }) => {
                config.resumption = resumption.clone();
                verifier.clone()
            }
        };
        if !self.shared.trust.stays_with_config() {
            config.dangerous().set_certificate_verifier(verifier.clone());
        }
        if !config.client_auth_cert_resolver.has_certs() {
            config.client_auth_cert_resolver = verifier.clone();
        }
        config.alpn_protocols = match &self.alpn {
            Some(instead) => instead.clone(),
            None => protocol.alpn.map(|id| id.as_bytes().to_vec()).into_iter().collect(),
        };
        let exporter = ExporterLog::new(config.key_log);
        config.key_log = exporter.clone();
        let setup = TlsSetup::Client { config: Arc::new(config), name, verifier, early_data, exporter };
        Ok(ConnectionAttempt::new(setup, protocol, Tap::new(Side::Client, self.observer.clone()), deadline))
    }
}

/// Builds a [`Connector`].
#[derive(Clone, Debug, Default)]
#[must_use = "a builder does nothing until `build`"]
pub struct ConnectorBuilder {
    roots: Vec<Vec<u8>>,
    no_system_roots: bool,
    #[cfg(feature = "webpki-roots")]
    mozilla_roots: bool,
    verifier: Option<Arc<dyn ServerCertVerifier>>,
    crypto_provider: Option<Arc<CryptoProvider>>,
    tls_config: Option<ClientConfig>,
    client_certificate: Option<(Vec<u8>, Vec<u8>)>,
    insecure: bool,
    small_hello: bool,
    options: Options,
    alpn: Option<Vec<Vec<u8>>>,
    timeout: Option<Duration>,
    retry: Retry,
    client_name: ClientName,
    bound_login: bool,
}

impl ConnectorBuilder {
    /// Trusts these certificates in PEM or DER, in addition.
    pub fn roots_pem(mut self, pem: impl Into<Vec<u8>>) -> Self {
        self.roots.push(pem.into());
        self
    }

    /// Trusts the roots that Mozilla trusted when the crate `webpki-roots` was published, in addition. With
    /// [`no_system_roots`](Self::no_system_roots) the trust does not depend on the system.
    #[cfg(feature = "webpki-roots")]
    pub fn mozilla_roots(self) -> Self {
        Self { mozilla_roots: true, ..self }
    }

    /// Does not trust the roots of the system, which are trusted by default with the feature `native-certs`.
    pub fn no_system_roots(self) -> Self {
        Self { no_system_roots: true, ..self }
    }

    /// Verifies the server's certificate with this verifier instead of trusted roots: DANE, pinned keys, an OCSP policy.
    ///
    /// **The verifier alone decides whether a connection is authentic**, and it verifies the signatures of the handshake too:
    /// [`rustls::crypto::verify_tls13_signature`] and its like do that. The verdict of an accepted certificate is
    /// [`AcceptedByCaller`](crate::CertificateVerdict::AcceptedByCaller); any error that the verifier returns becomes
    /// [`Error::Certificate`].
    pub fn verifier(self, verifier: Arc<dyn ServerCertVerifier>) -> Self {
        Self { verifier: Some(verifier), ..self }
    }

    /// Uses this source of cryptography, for example one with FIPS validation, instead of the default one of the crate's
    /// features.
    pub fn crypto_provider(self, provider: Arc<CryptoProvider>) -> Self {
        Self { crypto_provider: Some(provider), ..self }
    }

    /// Takes over a complete TLS configuration: its verifier, client certificate, versions, cipher suites, key log.
    ///
    /// STARTTLS needs some of it to be different, so `build` overwrites:
    ///
    /// - `resumption`: disabled, because the certificate of each connection is verified, and a ticket of another protocol or
    ///   port must not stand in for that. [`Connector::with_session_resumption`] permits it for one session.
    /// - `enable_early_data`: off, because early data can be replayed, and no protocol here sends it.
    /// - `alpn_protocols`: the id of the protocol of each connection, or those of [`alpn`](Self::alpn). An id of another
    ///   protocol, such as `h2`, would let an attacker redirect the connection to a server of that protocol.
    ///   `check_selected_alpn` stays on for the same reason (RFC 7301 section 3.2).
    /// - the verifier and the key log, if [`verifier`](Self::verifier) or a key log is set here too.
    ///
    /// The verifier of a configuration cannot be read from it, so the library cannot record what it found: the verdict is
    /// [`AcceptedByCaller`](crate::CertificateVerdict::AcceptedByCaller). Settings that a configuration already contains,
    /// such as [`roots_pem`](Self::roots_pem), cannot be combined with it.
    pub fn tls_config(self, config: ClientConfig) -> Self {
        Self { tls_config: Some(config), ..self }
    }

    /// Presents this certificate to servers that request one: the chain, the client's own certificate first, and the key, in
    /// PEM.
    pub fn client_certificate_pem(self, chain: impl Into<Vec<u8>>, key: impl Into<Vec<u8>>) -> Self {
        Self { client_certificate: Some((chain.into(), key.into())), ..self }
    }

    /// Accepts every server certificate, so that **an attacker in the network path can read and change everything**. For
    /// diagnosis only.
    ///
    /// The certificate is still verified, and [`TlsFacts::verdict`](crate::TlsFacts::verdict) has the result. The server must
    /// still sign the handshake with the key of its certificate, unless this library cannot verify signatures of that key.
    pub fn insecure(self) -> Self {
        Self { insecure: true, ..self }
    }

    /// Omits the post-quantum key share, so that the ClientHello fits into one segment. For diagnosis of servers and
    /// middleboxes that do not accept a larger one: the key exchange is weaker without it.
    pub fn small_hello(self) -> Self {
        Self { small_hello: true, ..self }
    }

    /// Uses only the TLS versions from `min` to `max`, inclusive.
    pub fn tls_versions(mut self, min: TlsVersion, max: TlsVersion) -> Self {
        self.options.versions = Some((min, max));
        self
    }

    /// Offers these ids in ALPN instead of the protocol's registered id; sends no ALPN extension if the list is empty.
    ///
    /// A server that selects none is accepted, because most servers do not support ALPN. A server that selects an id that was
    /// not offered is refused (RFC 7301 section 3.2).
    pub fn alpn(self, protocols: Vec<Vec<u8>>) -> Self {
        Self { alpn: Some(protocols), ..self }
    }

    /// Appends the secrets of every session to this file, in the format of Wireshark.
    pub fn key_log_file(mut self, path: impl Into<PathBuf>) -> Self {
        self.options.key_log = KeyLogTarget::File(path.into());
        self
    }

    /// Appends the secrets of every session to the file in the environment variable `SSLKEYLOGFILE`, if it is set.
    pub fn key_log_from_env(mut self) -> Self {
        self.options.key_log = KeyLogTarget::Environment;
        self
    }

    /// Sets the time limit of all steps together, from the lookup of the name to the end of the handshake (rule B6). The
    /// default is [`DEFAULT_TIMEOUT`](crate::DEFAULT_TIMEOUT).
    pub fn timeout(self, timeout: Duration) -> Self {
        Self { timeout: Some(timeout), ..self }
    }

    /// Repeats the request on the same connection if the server refuses TLS temporarily: at most `attempts` times, each after
    /// this pause. The deadline stays the same.
    pub fn retries(self, attempts: u32, pause: Duration) -> Self {
        Self { retry: Retry { attempts, pause }, ..self }
    }

    /// Sets the name that the client gives for itself in cleartext. The default is the address literal
    /// `[127.0.0.1]`, which reveals nothing; [`host_name`](crate::host_name) is for servers that check the name.
    pub fn client_name(self, name: ClientName) -> Self {
        Self { client_name: name, ..self }
    }

    /// Also offers the login that the upgrade of some protocols may include ([`Identity::bound_login`]: CredSSP in RDP). If the
    /// server selects it, the session inside TLS starts with that login.
    pub fn bound_login(self) -> Self {
        Self { bound_login: true, ..self }
    }

    /// Parses the certificates and keys, and returns the connector.
    ///
    /// # Errors
    /// [`Error::Config`] if the configuration is invalid.
    pub fn build(self) -> Result<Connector, Error> {
        let (mut config, trust) = match &self.tls_config {
            Some(config) => self.config_of_caller(config.clone())?,
            None => self.config_of_settings()?,
        };
        config.resumption = Resumption::disabled();
        config.enable_early_data = false;
        config.check_selected_alpn = true;
        if let Some(key_log) = self.options.key_log()? {
            config.key_log = key_log;
        }
        let timeout = self.timeout.unwrap_or(crate::DEFAULT_TIMEOUT);
        let Self { alpn, retry, client_name, bound_login, .. } = self;
        let shared = Arc::new(Shared { config, trust, timeout, retry, bound_login });
        Ok(Connector { shared, dialer: Tcp::new(), alpn, client_name, observer: None, session: None })
    }

    /// Returns the caller's TLS configuration, and what decides about certificates.
    fn config_of_caller(&self, config: ClientConfig) -> Result<(ClientConfig, Trust), Error> {
        tls::refuse_beside_config(
            "tls_config",
            &[
                ("roots_pem", !self.roots.is_empty()),
                ("no_system_roots", self.no_system_roots),
                #[cfg(feature = "webpki-roots")]
                ("mozilla_roots", self.mozilla_roots),
                ("crypto_provider", self.crypto_provider.is_some()),
                ("client_certificate_pem", self.client_certificate.is_some()),
                ("insecure", self.insecure),
                ("small_hello", self.small_hello),
                ("tls_versions", self.options.versions.is_some()),
            ],
        )?;
        let trust = Trust::of_caller(self.verifier.clone(), config.crypto_provider().clone(), false);
        Ok((config, trust))
    }

    fn config_of_settings(&self) -> Result<(ClientConfig, Trust), Error> {
        let provider = match &self.crypto_provider {
            Some(provider) => provider.clone(),
            None => tls::default_provider()?,
        };
        let provider = if self.small_hello { tls::without_post_quantum(&provider) } else { provider };
        let trust = match &self.verifier {
            Some(_) if !self.roots.is_empty() => {
                return Err(Error::config(
                    "`roots_pem` cannot be combined with `verifier`, which replaces roots",
                ));
            }
            Some(verifier) => Trust::of_caller(Some(verifier.clone()), provider.clone(), self.insecure),
            None => Trust::new(self.trusted_roots()?, provider.clone(), self.insecure)?,
        };
        let builder = ClientConfig::builder_with_provider(provider)
            .with_protocol_versions(&self.options.versions()?)
            .map_err(|cause| Error::config_because("the TLS versions cannot be used", cause))?
            .dangerous()
            .with_custom_certificate_verifier(trust.recording_verifier());
        let config = match &self.client_certificate {
            None => builder.with_no_client_auth(),
            Some((chain, key)) => builder
                .with_client_auth_cert(
                    tls::certificates(chain, "the client certificate")?,
                    tls::private_key(key, "the client certificate's key")?,
                )
                .map_err(|cause| Error::config_because("the client certificate cannot be used", cause))?,
        };
        Ok((config, trust))
    }

    fn trusted_roots(&self) -> Result<RootCertStore, Error> {
        let mut roots = RootCertStore::empty();
        for pem in &self.roots {
            tls::add_roots(&mut roots, pem, "the root certificates")?;
        }
        #[cfg(feature = "webpki-roots")]
        if self.mozilla_roots {
            roots.extend(webpki_roots::TLS_SERVER_ROOTS.iter().cloned());
        }
        #[cfg(feature = "native-certs")]
        if !self.no_system_roots {
            roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
        }
        Ok(roots)
    }
}

impl From<&starttls_proto::Declined> for UpgradeRefusal {
    fn from(declined: &starttls_proto::Declined) -> Self {
        Self {
            reason: declined.reason,
            offered: declined.offered,
            no_list: declined.hello_refusal.clone(),
            answer: declined.answer.clone(),
            description: declined.description.clone(),
        }
    }
}
