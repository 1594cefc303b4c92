//! The server's configuration: one protocol, its certificate, its terms.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use rustls::server::{ProducesTickets, ResolvesServerCert, ServerSessionMemoryCache, WebPkiClientVerifier};
use rustls::{RootCertStore, ServerConfig};
use starttls_proto::{Capability, Identity, Protocol, ServiceName, Side, TlsSupport, Upgrade};

use crate::deadline::Deadline;
use crate::handshake::{ConnectionAttempt, TlsSetup};
use crate::observe::{Observer, Tap};
use crate::tapped_stream::TappedStream;
use crate::tls::{self, ClientAuth, KeyLogTarget, Options, TlsVersion};
use crate::{Error, Ready};

/// Greets, negotiates, lets nobody past without TLS, and hands out encrypted streams.
///
/// One acceptor serves one protocol on one listener, so that its sessions can be resumed there only
/// (rule S9). Cheap to clone.
///
/// # ALPN
/// A client that offers ALPN ids and not the protocol's own is turned away with the alert
/// `no_application_protocol` (rule S7, RFC 7301 section 3.2): its connection was meant for another
/// server. A client that offers none is served. A protocol without a registered id goes by its scheme
/// here (`smtp`), which is what those clients use that offer anything at all.
#[derive(Clone)]
pub struct Acceptor {
    protocol: &'static Protocol,
    identity: Identity,
    config: Option<Arc<ServerConfig>>,
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
    /// Starts an acceptor for one protocol, in the name of a service.
    pub fn builder(protocol: &'static Protocol, server_name: &str) -> AcceptorBuilder {
        AcceptorBuilder {
            protocol,
            server_name: server_name.to_owned(),
            capabilities: Vec::new(),
            certificate: Certificate::None,
            client_auth: None,
            tickets: None,
            options: Options::default(),
            timeout: crate::DEFAULT_TIMEOUT,
            alpn: true,
            announced: true,
        }
    }

    /// The same acceptor with a tap on its connections. One observer usually belongs to one connection.
    #[must_use]
    pub fn observed_by(&self, observer: Arc<dyn Observer>) -> Self {
        Self { observer: Some(observer), ..self.clone() }
    }

    /// The same acceptor with other tickets, and a memory of its own for clients without: what this one resumes,
    /// the other does only if those tickets say so.
    #[must_use]
    pub fn with_tickets(&self, tickets: Arc<dyn ProducesTickets>) -> Self {
        let config = self.config.as_deref().cloned().map(|mut config| {
            config.session_storage = ServerSessionMemoryCache::new(MEMORY);
            config.ticketer = tickets;
            Arc::new(config)
        });
        Self { config, ..self.clone() }
    }

    /// What makes the tickets that sessions are resumed by; nothing where there is no TLS to be had.
    pub fn tickets(&self) -> Option<Arc<dyn ProducesTickets>> {
        self.config.as_ref().map(|config| config.ticketer.clone())
    }

    /// The protocol that is served.
    pub fn protocol(&self) -> &'static Protocol {
        self.protocol
    }

    /// The service's identity on a new connection, as [`Inside`](starttls_proto::ServerSession) needs it too.
    pub fn identity(&self) -> Identity {
        let nonce = Identity::new("").nonce;
        Identity { nonce, ..self.identity.clone() }
    }

    /// Whether there is a certificate to do TLS with.
    pub(crate) fn tls(&self) -> TlsSupport {
        match self.config {
            Some(_) if self.announced => TlsSupport::Available,
            Some(_) => TlsSupport::Unannounced,
            None => TlsSupport::Unavailable,
        }
    }

    /// A connection on which an upgrade was agreed by other means than this acceptor's own negotiation: by a
    /// [`Relay`](starttls_proto::Relay) that granted it. The deadline starts anew.
    pub fn from_upgrade<IO>(&self, io: IO, upgrade: Upgrade) -> Ready<IO> {
        let attempt = self.attempt();
        Ready::new(TappedStream::new(io, attempt.tap.clone()), upgrade, attempt)
    }

    pub(crate) fn attempt(&self) -> ConnectionAttempt {
        let setup = self.config.clone().map_or(TlsSetup::Unavailable, TlsSetup::Server);
        let tap = Tap::new(Side::Server, self.observer.clone());
        let mut attempt = ConnectionAttempt::new(setup, tap, Deadline::starting_now(self.timeout));
        attempt.space_before_tls = self.protocol.flow.space_before_tls;
        attempt
    }
}

/// Sessions that are remembered for clients without tickets, where an acceptor is made for a few connections.
const MEMORY: usize = 4;

/// Builds an [`Acceptor`].
#[derive(Debug)]
#[must_use = "a builder does nothing until `build`"]
pub struct AcceptorBuilder {
    protocol: &'static Protocol,
    server_name: String,
    capabilities: Vec<String>,
    certificate: Certificate,
    client_auth: Option<(ClientAuth, Vec<u8>)>,
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

impl AcceptorBuilder {
    /// Presents this certificate: the chain, its own first, and the key, in PEM.
    ///
    /// Without any certificate the acceptor still serves: requests for TLS get the protocol's temporary
    /// refusal, and everything else waits for TLS (rule S5).
    pub fn certificate_pem(self, chain: impl Into<Vec<u8>>, key: impl Into<Vec<u8>>) -> Self {
        Self { certificate: Certificate::Pem(chain.into(), key.into()), ..self }
    }

    /// Asks this for the certificate of each connection. The name in SNI is hostile input (rule S6); a client
    /// whose name there is no certificate for is told so.
    pub fn resolver(self, resolver: Arc<dyn ResolvesServerCert>) -> Self {
        Self { certificate: Certificate::Resolver(resolver), ..self }
    }

    /// Asks clients for certificates that lead to the roots in this PEM text.
    pub fn client_auth(self, auth: ClientAuth, roots_pem: impl Into<Vec<u8>>) -> Self {
        Self { client_auth: Some((auth, roots_pem.into())), ..self }
    }

    /// Resumes sessions by tickets of this kind, instead of remembering a few of them.
    ///
    /// Whoever shares the keys resumes each other's sessions, so the keys must differ wherever the protocol or
    /// the terms for clients differ (rule S9). A ticket brings along the client's certificate as it was
    /// verified when the session began, and is good for the same name in SNI only.
    pub fn tickets(self, tickets: Arc<dyn ProducesTickets>) -> Self {
        Self { tickets: Some(tickets), ..self }
    }

    /// Speaks these versions of TLS only, both included.
    pub fn tls_versions(mut self, min: TlsVersion, max: TlsVersion) -> Self {
        self.options.versions = Some((min, max));
        self
    }

    /// Appends the secrets of every session to this file, for Wireshark and its like.
    pub fn key_log_file(mut self, path: impl Into<PathBuf>) -> Self {
        self.options.key_log = KeyLogTarget::File(path.into());
        self
    }

    /// The time for everything together, from the greeting to the end of the handshake.
    pub fn timeout(self, timeout: Duration) -> Self {
        Self { timeout, ..self }
    }

    /// Knows nothing of ALPN, so that **connections that were meant for another protocol are served too**.
    ///
    /// That is what most servers do, and rule S7 is against it. For peers in tests.
    pub fn without_alpn(self) -> Self {
        Self { alpn: false, ..self }
    }

    /// Does not list the upgrade, and grants it all the same: for clients that ask without being told.
    pub fn unannounced(self) -> Self {
        Self { announced: false, ..self }
    }

    /// What is listed inside TLS beyond the protocol's own minimum; see [`Identity::capabilities`].
    pub fn capabilities(mut self, capabilities: Vec<String>) -> Self {
        self.capabilities = capabilities;
        self
    }

    /// Reads the certificates and keys, and checks that they can work.
    ///
    /// # Errors
    /// [`Error::Config`] when they cannot.
    pub fn build(self) -> Result<Acceptor, Error> {
        let Self { protocol, certificate, client_auth, tickets, options, timeout, alpn, announced, .. } =
            self;
        // Without a name the server speaks for whatever service the client asks for.
        let service =
            if self.server_name.is_empty() { Ok(ServiceName::default()) } else { self.server_name.parse() };
        let capabilities: Result<Vec<Capability>, _> =
            self.capabilities.iter().map(|it| it.parse()).collect();
        let identity = Identity {
            capabilities: capabilities.map_err(|cause| Error::config(cause.to_string()))?,
            ..Identity::of(service.map_err(|cause| Error::config(cause.to_string()))?)
        };
        let provider = tls::provider();
        let builder = ServerConfig::builder_with_provider(provider.clone())
            .with_protocol_versions(&options.versions()?)
            .map_err(|cause| Error::config_because("the TLS versions are not usable", cause))?;
        let builder = match client_auth {
            None => builder.with_no_client_auth(),
            Some((auth, pem)) => {
                let mut roots = RootCertStore::empty();
                tls::add_roots(&mut roots, &pem, "the roots for client certificates")?;
                let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider);
                let verifier = match auth {
                    ClientAuth::Optional => verifier.allow_unauthenticated(),
                    ClientAuth::Required => verifier,
                };
                builder.with_client_cert_verifier(verifier.build().map_err(|cause| {
                    Error::config_because("the roots for client certificates are not usable", cause)
                })?)
            }
        };
        let config = match certificate {
            Certificate::None => None,
            Certificate::Resolver(resolver) => Some(builder.with_cert_resolver(resolver)),
            Certificate::Pem(chain, key) => Some(
                builder
                    .with_single_cert(
                        tls::certificates(&chain, "the certificate")?,
                        tls::private_key(&key, "the certificate's key")?,
                    )
                    .map_err(|cause| Error::config_because("the certificate is not usable", cause))?,
            ),
        };
        let key_log = options.key_log()?;
        let config = config.map(|mut config| {
            let id = protocol.alpn.unwrap_or(protocol.name).as_bytes().to_vec();
            config.alpn_protocols = alpn.then_some(id).into_iter().collect();
            config.key_log = key_log;
            if let Some(tickets) = tickets {
                config.ticketer = tickets;
            }
            Arc::new(config)
        });
        Ok(Acceptor { protocol, identity, config, timeout, announced, observer: None })
    }
}
