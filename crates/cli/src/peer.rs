//! Makes a connector from the options that the commands share.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use starttls::dialer::TcpRoute;
use starttls::proto::ClientName;
use starttls::rustls::client::danger::ServerCertVerifier;
use starttls::{AddressFamily, Connector, ConnectorBuilder, Endpoint, Error, Step};
use starttls_x509::{Bundle, BundleError};
use tokio::io::{AsyncRead, AsyncWrite};

use crate::args::{Peer, Trace};
use crate::error::Failed;
use crate::input;
use crate::target::Target;

/// The transport of a connection.
pub(crate) trait Io: AsyncRead + AsyncWrite + Unpin + Send {}
impl<T: AsyncRead + AsyncWrite + Unpin + Send> Io for T {}

/// The address to dial.
#[derive(Clone, Debug)]
pub(crate) enum Dial {
    Tcp(Endpoint),
    Unix(std::path::PathBuf),
}

impl Peer {
    /// Returns a connector for a session that the user watches.
    pub(crate) fn connector(&self, trace: &Trace, retries: u32) -> Result<Connector<TcpRoute>, Failed> {
        self.connector_as(self.client_name(), trace, retries)
    }

    /// Returns the same connector with another client name.
    pub(crate) fn connector_as(
        &self,
        client_name: ClientName,
        trace: &Trace,
        retries: u32,
    ) -> Result<Connector<TcpRoute>, Failed> {
        let builder = self.session_builder(client_name, trace, retries, trace.insecure)?;
        Ok(builder.build()?.with_dialer(self.route()?))
    }

    /// Returns the builder for a session that the user watches. If `without_roots`, root certificates may be missing.
    pub(crate) fn session_builder(
        &self,
        client_name: ClientName,
        trace: &Trace,
        retries: u32,
        without_roots: bool,
    ) -> Result<ConnectorBuilder, Failed> {
        Ok(watched(self.builder(without_roots)?, client_name, trace, retries))
    }

    /// Returns the builder for a session that the user watches, and whose server this verifier authenticates instead of roots.
    pub(crate) fn verified_builder(
        &self,
        client_name: ClientName,
        trace: &Trace,
        verifier: Arc<dyn ServerCertVerifier>,
    ) -> Result<ConnectorBuilder, Failed> {
        Ok(watched(self.builder_without_roots()?, client_name, trace, 0).verifier(verifier))
    }

    /// Returns the builder for every connector of a command. With `insecure`, root certificates may be missing.
    pub(crate) fn builder(&self, insecure: bool) -> Result<ConnectorBuilder, Failed> {
        let mut builder = self.builder_without_roots()?;
        if let Some(path) = &self.ca_file {
            builder = builder.roots_pem(roots(path)?);
        } else if self.no_system_roots && !insecure {
            let hint = String::from("specify one with --ca-file PEM");
            return Err(Failed::usage("no root certificate to trust").hint(Some(hint)));
        }
        if self.no_system_roots {
            builder = builder.no_system_roots();
        }
        Ok(builder)
    }

    fn builder_without_roots(&self) -> Result<ConnectorBuilder, Failed> {
        let builder = Connector::builder().timeout(self.timeout).client_name(self.client_name());
        // Many servers of RDP refuse TLS without CredSSP, and their TLS is the same.
        let mut builder = builder.bound_login();
        if let (Some(chain), Some(key)) = (&self.cert, &self.key) {
            let chain = read(chain, Bundle::certificates)?;
            builder = builder.client_certificate_pem(chain, read(key, Bundle::private_key)?);
        }
        Ok(builder)
    }

    /// Returns the way to the server.
    pub(crate) fn route(&self) -> Result<TcpRoute, Failed> {
        self.way.route().map_err(|invalid| Failed::usage(format!("invalid --proxy: {invalid}")))
    }

    /// Returns the client's own name. The default reveals nothing about this host.
    pub(crate) fn client_name(&self) -> ClientName {
        self.client_name.clone().unwrap_or_default()
    }

    /// Returns the name to send and verify.
    pub(crate) fn server_name<'a>(&'a self, host: &'a str) -> &'a str {
        self.server_name.as_deref().unwrap_or(host)
    }

    /// Returns the server of the URL, with the name to send and verify.
    pub(crate) fn endpoint(&self, host: &str, port: u16) -> Endpoint {
        let family = match (self.ipv4, self.ipv6) {
            (true, _) => AddressFamily::V4,
            (_, true) => AddressFamily::V6,
            _ => AddressFamily::Any,
        };
        Endpoint::new(host, port).with_server_name(self.server_name(host)).family(family)
    }

    pub(crate) fn dial(&self, host: &str, port: u16) -> Result<Dial, Failed> {
        let endpoint = self.endpoint(host, port);
        let Some(other) = &self.connect else { return Ok(Dial::Tcp(endpoint)) };
        if let Some(path) = other.strip_prefix("unix:") {
            if self.way.proxy.is_some() || self.way.source.is_some() || self.way.send_proxy_header.is_some() {
                return Err(Failed::usage(
                    "--connect unix:/PATH cannot be combined with --proxy, --source or --send-proxy-header",
                ));
            }
            return Ok(Dial::Unix(path.into()));
        }
        let (host, other_port) = crate::target::split_port(other)?;
        Ok(Dial::Tcp(endpoint.at(host, other_port.unwrap_or(port))))
    }

    /// Returns the server of this target, as [`endpoint`](Self::endpoint) does.
    pub(crate) fn endpoint_of(&self, target: &Target) -> Endpoint {
        self.endpoint(&target.host.ascii, target.port)
    }

    pub(crate) fn dial_target(&self, target: &Target) -> Result<Dial, Failed> {
        self.dial(&target.host.ascii, target.port)
    }
}

fn watched(
    builder: ConnectorBuilder,
    client_name: ClientName,
    trace: &Trace,
    retries: u32,
) -> ConnectorBuilder {
    let mut builder = builder.client_name(client_name).retries(retries, Duration::from_secs(1));
    if trace.insecure {
        builder = builder.insecure();
    }
    if let Some(path) = &trace.keylog {
        builder = builder.key_log_file(path);
    }
    builder
}

impl Dial {
    /// Opens the connection and sends nothing.
    pub(crate) async fn open(&self, connector: &Connector<TcpRoute>) -> Result<Box<dyn Io>, Error> {
        match self {
            Self::Tcp(endpoint) => Ok(Box::new(connector.dial(endpoint.clone()).await?.stream)),
            Self::Unix(path) => Ok(Box::new(unix(path).await?)),
        }
    }
}

/// Returns the error of a system without sockets in the file system.
#[cfg(not(unix))]
pub(crate) async fn unix(_: &Path) -> Result<tokio::io::DuplexStream, Error> {
    let source = std::io::Error::new(
        std::io::ErrorKind::Unsupported,
        "this system has no sockets in the file system: --connect unix:/PATH needs Unix",
    );
    Err(Error::Io { step: Step::Other("the connection to the socket"), source })
}

/// Connects to a socket in the file system.
#[cfg(unix)]
pub(crate) async fn unix(path: &Path) -> Result<tokio::net::UnixStream, Error> {
    let connected = tokio::net::UnixStream::connect(path).await;
    connected.map_err(|source| Error::Io { step: Step::Other("the connection to the socket"), source })
}

/// Reads a file with root certificates.
pub(crate) fn roots(path: &Path) -> Result<Vec<u8>, Failed> {
    read(path, Bundle::certificates)
}

/// Reads a file with certificates or keys, in PEM or DER, and checks that it contains what is expected.
fn read<T>(path: &Path, expected: impl FnOnce(&Bundle) -> Result<T, BundleError>) -> Result<Vec<u8>, Failed> {
    let content = input::read(path, input::PEM)?;
    match Bundle::read(path.display().to_string(), &content).and_then(|bundle| expected(&bundle).map(drop)) {
        Ok(()) => Ok(content),
        Err(error) => Err(Failed::usage(error.to_string()).hint(error.hint())),
    }
}
