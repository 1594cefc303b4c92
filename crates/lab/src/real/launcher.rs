//! The parts that all launchers share.

use std::hash::{BuildHasher, RandomState};
use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::Duration;

use nix::unistd::User;

use crate::ca::{Authority, Leaf};
use crate::error::Error;
use crate::process::{Daemon, Scratch, free_port, own_loopback};

/// How long a server may take until it listens.
pub(super) const START: Duration = Duration::from_secs(30);

/// What launchers share.
pub struct Setup {
    /// Who issues the servers' certificates.
    pub authority: Authority,
    /// Whether the servers offer TLS.
    pub tls: bool,
}

impl Setup {
    /// Servers with TLS, under a new authority.
    pub fn new() -> Result<Self, Error> {
        Ok(Self { authority: Authority::new()?, tls: true })
    }

    /// Servers without TLS.
    pub fn without_tls() -> Result<Self, Error> {
        Ok(Self { tls: false, ..Self::new()? })
    }
}

/// A server that runs until this is dropped.
pub struct RunningServer {
    /// Where it listens.
    pub endpoints: Vec<RealEndpoint>,
    /// The one user that may log in, as the protocol wants it written.
    pub user: String,
    /// That user's password.
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
    /// Where to connect.
    pub address: SocketAddr,
    /// The name in its certificate.
    pub server_name: String,
}

impl RunningServer {
    /// The endpoint of a protocol.
    pub fn endpoint(&self, protocol: &str) -> Option<&RealEndpoint> {
        self.endpoints.iter().find(|endpoint| endpoint.protocol == protocol)
    }

    /// The folder with its configuration, data and logs.
    pub fn folder(&self) -> &Path {
        self.scratch.path()
    }

    /// The process numbers of its programs; each leads a process group.
    pub fn ids(&self) -> impl Iterator<Item = u32> {
        self.daemons.iter().map(Daemon::id)
    }
}

/// What a launcher works with: folder, address, name and secrets of one server.
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

    /// A free port for a protocol.
    pub(super) fn endpoint(&self, protocol: &'static str) -> Result<RealEndpoint, Error> {
        Ok(RealEndpoint { protocol, address: free_port(self.ip)?, server_name: self.server_name.clone() })
    }

    /// The server's certificate chain and its key, the key readable by `owner` alone.
    pub(super) fn certificate(&self, owner: &User) -> Result<(PathBuf, PathBuf), Error> {
        let issued = self.setup.authority.issue(&Leaf::named(&self.server_name))?;
        let chain = self.scratch.file("server.pem", &issued.chain_pem)?;
        let key = self.scratch.secret("server.key", &issued.key_pem, owner)?;
        Ok((chain, key))
    }

    /// `with()` when the server shall offer TLS, else `without`.
    pub(super) fn tls(
        &self,
        with: impl FnOnce() -> Result<String, Error>,
        without: &str,
    ) -> Result<String, Error> {
        if self.setup.tls { with() } else { Ok(without.into()) }
    }

    /// The server, once every endpoint listens; `daemons` has the one that listens first.
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
