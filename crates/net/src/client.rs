//! The client's configuration: whom to trust, who to be, how long to wait.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use rustls::client::Resumption;
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, RootCertStore};
use starttls_proto::{ClientName, Identity, Protocol, Side, Upgrade};

use crate::deadline::Deadline;
use crate::handshake::{ConnectionAttempt, TlsSetup};
use crate::observe::{Observer, Tap};
use crate::tapped_stream::TappedStream;
use crate::tls::{self, KeyLogTarget, Options, TlsVersion};
use crate::verify::{RecordingVerifier, Trust};
use crate::{Endpoint, Error, Ready, UpgradeRefusal};

/// Connects, negotiates, and hands out nothing but encrypted streams.
///
/// Cheap to clone, and good for any number of connections. Every certificate is verified anew:
/// no session is resumed, but for the connections [`with_session_resumption`](Self::with_session_resumption).
#[derive(Clone)]
pub struct Connector {
    shared: Arc<Shared>,
    observer: Option<Arc<dyn Observer>>,
    session: Option<SessionResumption>,
}

/// What the connections of one session have in common. rustls resumes what the same verifier has verified.
#[derive(Clone)]
struct SessionResumption {
    resumption: Resumption,
    recorder: Arc<RecordingVerifier>,
}

struct Shared {
    config: ClientConfig,
    trust: Trust,
    alpn: Option<Vec<Vec<u8>>>,
    timeout: Duration,
    retry: Retry,
    client_name: ClientName,
}

/// How often to ask again after a temporary refusal, and how long to wait before each time.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Retry {
    pub(crate) attempts: u32,
    pub(crate) pause: Duration,
}

impl fmt::Debug for Connector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connector").field("timeout", &self.shared.timeout).finish_non_exhaustive()
    }
}

impl Connector {
    /// Starts with the defaults: the system's roots, TLS 1.2 and 1.3, 30 seconds, no retry.
    pub fn builder() -> ConnectorBuilder {
        ConnectorBuilder::default()
    }

    /// The same connector with a tap on its connections. One observer usually belongs to one connection.
    #[must_use]
    pub fn observed_by(&self, observer: Arc<dyn Observer>) -> Self {
        Self { observer: Some(observer), ..self.clone() }
    }

    /// The same connector for the connections of one session, where a protocol has several (FTP): each resumes
    /// the TLS session of those before it, whose certificate was verified then. Nobody else's is resumed.
    #[must_use]
    pub fn with_session_resumption(&self) -> Self {
        let resumption = Resumption::in_memory_sessions(1);
        let session = SessionResumption { resumption, recorder: self.shared.trust.recorder() };
        Self { session: Some(session), ..self.clone() }
    }

    /// A connection on which an upgrade was agreed by other means than this connector's own negotiation. The
    /// deadline starts anew.
    ///
    /// # Errors
    /// [`Error::Config`] when the server's name is none.
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

    /// Who the client says it is, and whom it expects.
    pub(crate) fn identity(&self, server_name: &str) -> Identity {
        Identity { client_name: self.shared.client_name.clone(), ..Identity::new(server_name) }
    }

    /// Returns what the client writes in cleartext to this endpoint: the names, and the authority of the URL. It is for
    /// [`upgrade_as`](Self::upgrade_as), on a stream that was dialled by other means.
    pub fn identity_for(&self, protocol: &Protocol, to: &Endpoint) -> Identity {
        Identity { authority: to.authority(protocol), ..self.identity(to.server_name()) }
    }

    /// One connection to come: its TLS configuration, its tap, its deadline.
    pub(crate) fn attempt(
        &self,
        protocol: &Protocol,
        server_name: &str,
        deadline: Deadline,
    ) -> Result<ConnectionAttempt, Error> {
        let address = server_name.strip_prefix('[').and_then(|name| name.strip_suffix(']'));
        let name = ServerName::try_from(address.unwrap_or(server_name).to_owned()).map_err(|cause| {
            Error::config_because("the server's name is neither a host name nor an address", cause)
        })?;
        let mut config = self.shared.config.clone();
        let recorder = match &self.session {
            None => self.shared.trust.recorder(),
            Some(SessionResumption { resumption, recorder }) => {
                config.resumption = resumption.clone();
                recorder.clone()
            }
        };
        config.dangerous().set_certificate_verifier(recorder.clone());
        if !config.client_auth_cert_resolver.has_certs() {
            config.client_auth_cert_resolver = recorder.clone();
        }
        config.alpn_protocols = match &self.shared.alpn {
            Some(instead) => instead.clone(),
            None => protocol.alpn.map(|id| id.as_bytes().to_vec()).into_iter().collect(),
        };
        let setup = TlsSetup::Client { config: Arc::new(config), name, recorder };
        Ok(ConnectionAttempt::new(setup, Tap::new(Side::Client, self.observer.clone()), deadline))
    }
}

/// Builds a [`Connector`].
#[derive(Clone, Debug, Default)]
#[must_use = "a builder does nothing until `build`"]
pub struct ConnectorBuilder {
    roots: Vec<Vec<u8>>,
    no_system_roots: bool,
    client_certificate: Option<(Vec<u8>, Vec<u8>)>,
    insecure: bool,
    small_hello: bool,
    options: Options,
    alpn: Option<Vec<Vec<u8>>>,
    timeout: Option<Duration>,
    retry: Retry,
    client_name: ClientName,
}

impl ConnectorBuilder {
    /// Trusts the certificates in this PEM text too.
    pub fn roots_pem(mut self, pem: impl Into<Vec<u8>>) -> Self {
        self.roots.push(pem.into());
        self
    }

    /// Trusts nothing but what [`roots_pem`](Self::roots_pem) adds.
    pub fn no_system_roots(self) -> Self {
        Self { no_system_roots: true, ..self }
    }

    /// Presents this certificate to servers that ask for one: the chain, its own first, and the key, in PEM.
    pub fn client_certificate_pem(self, chain: impl Into<Vec<u8>>, key: impl Into<Vec<u8>>) -> Self {
        Self { client_certificate: Some((chain.into(), key.into())), ..self }
    }

    /// Finishes the handshake whatever the server's certificate, so that **anybody in the middle can read
    /// and change everything**. For diagnosis only.
    ///
    /// The certificate is verified all the same: [`TlsFacts::verdict`](crate::TlsFacts::verdict) tells what
    /// came of it. Signatures in the handshake always have to be right.
    pub fn insecure(self) -> Self {
        Self { insecure: true, ..self }
    }

    /// Leaves out the post-quantum key share, so that the ClientHello fits into one segment. For diagnosis: servers and
    /// devices that do not accept a larger one exist, and the key exchange is weaker without it.
    pub fn small_hello(self) -> Self {
        Self { small_hello: true, ..self }
    }

    /// Speaks these versions of TLS only, both included.
    pub fn tls_versions(mut self, min: TlsVersion, max: TlsVersion) -> Self {
        self.options.versions = Some((min, max));
        self
    }

    /// Offers these in ALPN, instead of the protocol's registered id. None at all if empty.
    ///
    /// A server that answers with none is accepted (most do not know ALPN), one that answers with
    /// something else is not (RFC 7301 section 3.2).
    pub fn alpn(self, protocols: Vec<Vec<u8>>) -> Self {
        Self { alpn: Some(protocols), ..self }
    }

    /// Appends the secrets of every session to this file, for Wireshark and its like.
    pub fn key_log_file(mut self, path: impl Into<PathBuf>) -> Self {
        self.options.key_log = KeyLogTarget::File(path.into());
        self
    }

    /// Appends the secrets of every session to the file that `SSLKEYLOGFILE` names, if it names one.
    pub fn key_log_from_env(mut self) -> Self {
        self.options.key_log = KeyLogTarget::Environment;
        self
    }

    /// The time for everything together, from the look-up of the name to the end of the handshake.
    pub fn timeout(self, timeout: Duration) -> Self {
        Self { timeout: Some(timeout), ..self }
    }

    /// Asks again on the same connection, so many times and after such a pause, when the server refuses
    /// TLS for now. The deadline stays.
    pub fn retries(self, attempts: u32, pause: Duration) -> Self {
        Self { retry: Retry { attempts, pause }, ..self }
    }

    /// Sets the name that the client gives for itself in cleartext. The default is the address literal
    /// `[127.0.0.1]`, which reveals nothing; [`host_name`](crate::host_name) is for servers that check the name.
    pub fn client_name(self, name: ClientName) -> Self {
        Self { client_name: name, ..self }
    }

    /// Reads the certificates and keys, and checks that they can work.
    ///
    /// # Errors
    /// [`Error::Config`] when they cannot.
    pub fn build(self) -> Result<Connector, Error> {
        let mut roots = RootCertStore::empty();
        for pem in &self.roots {
            tls::add_roots(&mut roots, pem, "the root certificates")?;
        }
        if !self.no_system_roots {
            roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
        }
        let provider = if self.small_hello { tls::small_hello_provider() } else { tls::provider() };
        let trust = Trust::new(roots, provider.clone(), self.insecure)?;
        let builder = ClientConfig::builder_with_provider(provider)
            .with_protocol_versions(&self.options.versions()?)
            .map_err(|cause| Error::config_because("the TLS versions are not usable", cause))?
            .dangerous()
            .with_custom_certificate_verifier(trust.recorder());
        let mut config = match &self.client_certificate {
            None => builder.with_no_client_auth(),
            Some((chain, key)) => builder
                .with_client_auth_cert(
                    tls::certificates(chain, "the client certificate")?,
                    tls::private_key(key, "the client certificate's key")?,
                )
                .map_err(|cause| Error::config_because("the client certificate is not usable", cause))?,
        };
        config.resumption = Resumption::disabled();
        config.key_log = self.options.key_log()?;
        let timeout = self.timeout.unwrap_or(crate::DEFAULT_TIMEOUT);
        let Self { alpn, retry, client_name, .. } = self;
        let shared = Shared { config, trust, alpn, timeout, retry, client_name };
        Ok(Connector { shared: Arc::new(shared), observer: None, session: None })
    }
}

impl From<&starttls_proto::Declined> for UpgradeRefusal {
    fn from(declined: &starttls_proto::Declined) -> Self {
        Self {
            reason: declined.reason,
            offered: declined.offered,
            no_list: declined.hello_refusal.clone(),
            answer: declined.answer.clone(),
        }
    }
}
