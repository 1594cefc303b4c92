//! The parts that all launchers share.

use std::hash::{BuildHasher, RandomState};
use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::Duration;

use nix::unistd::User;

use crate::error::Error;
use crate::process::{Daemon, Scratch, free_port, own_loopback};
use starttls_lab::ca::{Authority, Leaf};

/// How long a server may take to listen.
pub(super) const START: Duration = Duration::from_secs(30);

/// The options of all launchers.
pub struct Setup {
    /// The authority that issues the certificates.
    pub authority: Authority,
    /// Whether the servers offer TLS.
    pub tls: bool,
}

impl Setup {
    /// Returns the options for servers with TLS and a new authority.
    pub fn new() -> Result<Self, Error> {
        Ok(Self { authority: Authority::new()?, tls: true })
    }

    /// Returns the options for servers without TLS.
    pub fn without_tls() -> Result<Self, Error> {
        Ok(Self { tls: false, ..Self::new()? })
    }
}

/// A server that runs until the value is dropped.
pub struct RunningServer {
    /// The endpoints of the server.
    pub endpoints: Vec<RealEndpoint>,
    /// The user that may log in, in the form of the protocol.
    pub user: String,
    /// The password of the user.
    pub password: String,
    // Dropped in this order: the folder outlives its daemons.
    daemons: Vec<Daemon>,
    scratch: Scratch,
}

/// One protocol of a running server.
#[derive(Clone, Debug)]
pub struct RealEndpoint {
    /// The protocol's name in the registry.
    pub protocol: &'static str,
    /// The address of the endpoint.
    pub address: SocketAddr,
    /// The name in its certificate.
    pub server_name: String,
}

impl RunningServer {
    /// Returns the endpoint of a protocol.
    pub fn endpoint(&self, protocol: &str) -> Option<&RealEndpoint> {
        self.endpoints.iter().find(|endpoint| endpoint.protocol == protocol)
    }

    /// Returns the folder with its configuration, data and logs.
    pub fn folder(&self) -> &Path {
        self.scratch.path()
    }

    /// Returns the process ids of its programs. Each one leads a process group.
    pub fn ids(&self) -> impl Iterator<Item = u32> {
        self.daemons.iter().map(Daemon::id)
    }
}

/// The folder, the address, the name and the password of one server that is being launched.
pub(super) struct Launcher<'a> {
    pub(super) setup: &'a Setup,
    pub(super) scratch: Scratch,
    pub(super) ip: IpAddr,
    pub(super) server_name: String,
    pub(super) password: String,
}

impl<'a> Launcher<'a> {
    pub(super) fn new(setup: &'a Setup, server_name: &str) -> Result<Self, Error> {
        Ok(Self {
            setup,
            scratch: Scratch::new()?,
            ip: own_loopback(),
            server_name: server_name.into(),
            password: format!("{:016x}", RandomState::new().hash_one("password")),
        })
    }

    /// Returns an endpoint on a free port.
    pub(super) fn endpoint(&self, protocol: &'static str) -> Result<RealEndpoint, Error> {
        Ok(RealEndpoint { protocol, address: free_port(self.ip)?, server_name: self.server_name.clone() })
    }

    /// Writes the certificate chain and the key of the server. Only `owner` can read the key.
    pub(super) fn certificate(&self, owner: &User) -> Result<(PathBuf, PathBuf), Error> {
        let issued = self.setup.authority.issue(&Leaf::named(&self.server_name))?;
        let chain = self.scratch.file("server.pem", &issued.chain_pem)?;
        let key = self.scratch.secret("server.key", &issued.key_pem, owner)?;
        Ok((chain, key))
    }

    /// Returns `with()` if the server offers TLS, or else `without`.
    pub(super) fn tls(
        &self,
        with: impl FnOnce() -> Result<String, Error>,
        without: &str,
    ) -> Result<String, Error> {
        if self.setup.tls { with() } else { Ok(without.into()) }
    }

    /// Returns the server once every endpoint listens. The first of `daemons` must listen on them.
    pub(super) fn running(
        self,
        user: &str,
        endpoints: Vec<RealEndpoint>,
        mut daemons: Vec<Daemon>,
    ) -> Result<RunningServer, Error> {
        if let Some(main) = daemons.first_mut() {
            endpoints.iter().try_for_each(|endpoint| main.wait_listening(endpoint.address, START))?;
        }
        let Self { scratch, password, .. } = self;
        Ok(RunningServer { endpoints, user: user.into(), password, daemons, scratch })
    }
}
