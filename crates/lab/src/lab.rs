//! The lab: a sound server for every protocol, on loopback, until the value is dropped.

use std::fmt;
use std::hash::{BuildHasher, Hasher, RandomState};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use starttls::proto::{PROTOCOLS, Protocol};
use starttls::{Acceptor, TlsVersion};
use tempfile::TempDir;
use tokio::runtime::{Builder, Runtime};

use crate::apps::context::World;
use crate::ca::{Authority, Leaf};
use crate::error::Error;
use crate::files::readable_folder;
use crate::profile;
use crate::server::{IncidentLog, SoundServer};
use crate::store::Store;

/// The name in the certificate of the lab, besides `localhost`, 127.0.0.1 and ::1.
pub const SERVER_NAME: &str = "mail.example.test";

/// The options of a [`Lab`].
#[derive(Clone, Default)]
pub struct Options {
    /// Each server listens on the port of its protocol plus this number; by default on a free port.
    pub base_port: Option<u16>,
    /// The lowest and the highest TLS version of the servers; by default those of the library.
    pub tls: Option<(TlsVersion, TlsVersion)>,
    /// Receives the sessions that end with an error.
    pub log: Option<IncidentLog>,
}

impl fmt::Debug for Options {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (base_port, tls) = (&self.base_port, &self.tls);
        f.debug_struct("Options").field("base_port", base_port).field("tls", tls).finish_non_exhaustive()
    }
}

/// One server of the lab.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct LabEndpoint {
    /// The protocol of the server.
    pub protocol: &'static Protocol,
    /// The scheme in a target: the name of the protocol, or a name such as `smtps` for implicit TLS.
    pub scheme: &'static str,
    /// Whether TLS starts at the first byte.
    pub implicit: bool,
    /// The address of the server.
    pub address: SocketAddr,
    /// A name in the certificate.
    pub server_name: &'static str,
}

impl LabEndpoint {
    /// Returns the URL of the server: `smtp://localhost:40025`.
    pub fn url(&self) -> String {
        format!("{}://{}:{}", self.scheme, self.server_name, self.address.port())
    }
}

/// Sound servers for every protocol, on loopback, with a temporary certificate authority.
///
/// They run on threads of their own until the value is dropped.
///
/// ```
/// use starttls_lab::{Lab, Options};
///
/// let lab = Lab::start(Options::default())?;
/// for endpoint in lab.endpoints() {
///     assert!(endpoint.url().starts_with(endpoint.scheme));
/// }
/// assert!(lab.ca_file().is_file());
/// # Ok::<(), starttls_lab::Error>(())
/// ```
pub struct Lab {
    endpoints: Vec<LabEndpoint>,
    world: Arc<World>,
    ca_pem: String,
    ca_file: PathBuf,
    /// Removed on drop.
    _scratch: TempDir,
    runtime: Option<Runtime>,
}

impl fmt::Debug for Lab {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Lab").field("endpoints", &self.endpoints).finish_non_exhaustive()
    }
}

impl Lab {
    /// Starts every server. All of them listen when this returns.
    ///
    /// # Errors
    /// Returns an error if a port is in use, or a certificate, folder or thread cannot be created.
    pub fn start(options: Options) -> Result<Self, Error> {
        let authority = Authority::new()?;
        let scratch = readable_folder()?;
        let ca_file = authority.write_to(scratch.path())?;
        let issued = authority.issue(&Leaf {
            dns: vec![String::from("localhost"), String::from(SERVER_NAME)],
            ips: vec![IpAddr::V4(Ipv4Addr::LOCALHOST), IpAddr::V6(Ipv6Addr::LOCALHOST)],
            ..Leaf::default()
        })?;
        let world = Arc::new(World {
            store: Store::default(),
            user: String::from("test"),
            password: password(),
            open: false,
            clear: false,
        });
        let runtime = Builder::new_multi_thread()
            .worker_threads(2)
            .thread_name("starttls-lab")
            .enable_all()
            .build()
            .map_err(Error::io("the threads of the lab"))?;
        let guard = runtime.enter();
        let mut endpoints = Vec::new();
        for protocol in PROTOCOLS.iter().copied() {
            // A server of the lab starts either in cleartext or with TLS. Where a protocol has one port for both
            // (PostgreSQL), implicit TLS is on the next port.
            let implicit = protocol.implicit_tls.map(|tls| {
                let port = if tls.port == protocol.port { tls.port + 1 } else { tls.port };
                (tls.name, port, true)
            });
            for (scheme, port, implicit) in
                [Some((protocol.name, protocol.port, false)), implicit].into_iter().flatten()
            {
                let mut builder = Acceptor::builder(protocol, "localhost")
                    .certificate_pem(issued.chain_pem.as_bytes(), issued.key_pem.as_bytes())
                    .capabilities(profile::capabilities(protocol));
                if let Some((min, max)) = options.tls {
                    builder = builder.tls_versions(min, max);
                }
                let acceptor = builder.build().map_err(Error::Server)?;
                let (listener, address) = bind(scheme, port, options.base_port)?;
                let listener = tokio::net::TcpListener::from_std(listener).map_err(Error::io(scheme))?;
                let (world, log) = (Arc::clone(&world), options.log.clone());
                runtime.spawn(SoundServer { scheme, implicit, acceptor, world, log }.run(listener));
                endpoints.push(LabEndpoint { protocol, scheme, implicit, address, server_name: "localhost" });
            }
        }
        drop(guard);
        let ca_pem = authority.root_pem();
        Ok(Self { endpoints, world, ca_pem, ca_file, _scratch: scratch, runtime: Some(runtime) })
    }

    /// Returns every server, with an upgrade or implicit TLS, in the order of the registry.
    pub fn endpoints(&self) -> &[LabEndpoint] {
        &self.endpoints
    }

    /// Returns the server with this scheme (`imap`, `imaps`).
    pub fn endpoint(&self, scheme: &str) -> Option<&LabEndpoint> {
        self.endpoints.iter().find(|endpoint| endpoint.scheme == scheme)
    }

    /// Returns the file with the root certificate. Its folder is removed on drop.
    pub fn ca_file(&self) -> &Path {
        &self.ca_file
    }

    /// Returns the root certificate in PEM.
    pub fn ca_pem(&self) -> &str {
        &self.ca_pem
    }

    /// Returns the user of every server.
    pub fn user(&self) -> &str {
        &self.world.user
    }

    /// Returns the password of the user, which is random for each lab.
    pub fn password(&self) -> &str {
        &self.world.password
    }

    /// Returns the mail and files of the servers.
    pub fn store(&self) -> &Store {
        &self.world.store
    }
}

impl Drop for Lab {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

fn bind(scheme: &str, port: u16, base: Option<u16>) -> Result<(TcpListener, SocketAddr), Error> {
    let port = match base.map(|base| base.checked_add(port)) {
        None => 0,
        Some(Some(port)) => port,
        Some(None) => {
            return Err(Error::Io {
                what: format!("{scheme}: the base port is too high"),
                source: std::io::ErrorKind::InvalidInput.into(),
            });
        }
    };
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port))
        .map_err(Error::io(format!("{scheme} on port {port}")))?;
    listener.set_nonblocking(true).map_err(Error::io(scheme))?;
    let address = listener.local_addr().map_err(Error::io(scheme))?;
    Ok((listener, address))
}

/// Returns 128 random bits from the generator that seeds the hash maps of the standard library.
pub(crate) fn password() -> String {
    let half = || RandomState::new().build_hasher().finish();
    format!("{:016x}{:016x}", half(), half())
}
