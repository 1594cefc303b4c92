//! Real servers, from their Debian packages, on loopback.
//!
//! Each launcher writes a configuration into a scratch folder, takes free ports on a loopback
//! address of its own, and runs the daemon in the foreground until its [`RunningServer`] is dropped.
//! Nothing of the system's own configuration is read or written. The launchers start as root and
//! let each daemon drop to the user that its package made.
//!
//! With [`Setup::tls`] a server has a certificate for `NAME.example.test` and, where its software
//! can say so, accepts no login before the upgrade; without, it offers no upgrade.
//!
//! # Add a server
//!
//! 1. Write `real/NAME.rs` with `pub(super) fn start(&Setup) -> Result<RunningServer, Error>`: make a
//!    `Stage`, ask it for endpoints, certificate and files, spawn each program in the
//!    foreground with [`Daemon::spawn`], wait for each endpoint, and return `stage.running(..)`.
//!    Name programs only through [`process::program`](crate::process::program), which names the
//!    package when one is missing.
//! 2. Add a row to [`SERVERS`], with every Debian package it needs.
//! 3. Add its name to [`each_real_server`](crate::each_real_server), by which every test of real servers runs.
//! 4. Add a test to `tests/real_servers.rs` that upgrades with somebody else's client.

mod cups;
mod dovecot;
mod inn;
mod inspircd;
mod mariadb;
mod nut;
mod openldap;
mod postfix;
mod postgresql;
mod prosody;
mod vsftpd;

use std::hash::{BuildHasher, RandomState};
use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::Duration;

use nix::unistd::User;

use crate::Error;
use crate::ca::{Authority, Leaf};
use crate::process::{Daemon, Scratch, free_port, own_loopback};

/// How long a server may take until it listens.
const START: Duration = Duration::from_secs(30);

/// A server that can be launched.
pub struct RealServer {
    /// What people call it, in lower case.
    pub name: &'static str,
    /// The Debian packages it needs.
    pub packages: &'static [&'static str],
    /// The protocols it speaks, by their names in the registry.
    pub protocols: &'static [&'static str],
    /// Launches it.
    pub start: fn(&Setup) -> Result<RunningServer, Error>,
}

/// Every server that can be launched.
pub const SERVERS: &[RealServer] = &[
    RealServer {
        name: "postfix",
        packages: &["postfix", "dovecot-core"],
        protocols: &["smtp", "submission"],
        start: postfix::start,
    },
    RealServer {
        name: "dovecot",
        packages: &["dovecot-imapd", "dovecot-pop3d", "dovecot-managesieved", "dovecot-lmtpd"],
        protocols: &["imap", "pop3", "sieve", "lmtp"],
        start: dovecot::start,
    },
    RealServer { name: "openldap", packages: &["slapd"], protocols: &["ldap"], start: openldap::start },
    RealServer { name: "vsftpd", packages: &["vsftpd"], protocols: &["ftp"], start: vsftpd::start },
    RealServer {
        name: "prosody",
        packages: &["prosody"],
        protocols: &["xmpp", "xmpp-server"],
        start: prosody::start,
    },
    RealServer { name: "inn", packages: &["inn2", "openssl"], protocols: &["nntp"], start: inn::start },
    RealServer { name: "cups", packages: &["cups"], protocols: &["http"], start: cups::start },
    RealServer {
        name: "postgresql",
        packages: &["postgresql"],
        protocols: &["postgres"],
        start: postgresql::start,
    },
    RealServer {
        name: "mariadb",
        packages: &["mariadb-server"],
        protocols: &["mysql"],
        start: mariadb::start,
    },
    RealServer {
        name: "nut",
        packages: &["nut-server", "libnss3-tools", "openssl"],
        protocols: &["nut"],
        start: nut::start,
    },
    RealServer { name: "inspircd", packages: &["inspircd"], protocols: &["irc"], start: inspircd::start },
];

/// The server that is called this.
pub fn server(name: &str) -> Option<&'static RealServer> {
    SERVERS.iter().find(|server| server.name == name)
}

/// One test per server of [`SERVERS`](crate::real::SERVERS), each of which calls this function with it; and one that
/// none is left out.
#[macro_export]
macro_rules! each_real_server {
    ($test:path) => {
        $crate::each_real_server! {
            $test: cups dovecot inn inspircd mariadb nut openldap postfix postgresql prosody vsftpd
        }
    };
    ($test:path: $($name:ident)*) => {
        $(#[test]
        fn $name() {
            let name = stringify!($name);
            $test($crate::real::server(name).unwrap_or_else(|| panic!("there is no server {name}")));
        })*

        #[test]
        fn every_server_is_tested() {
            let mut names: Vec<_> = $crate::real::SERVERS.iter().map(|server| server.name).collect();
            names.sort_unstable();
            assert_eq!(names, [$(stringify!($name)),*]);
        }
    };
}

/// Postfix, and behind it a Dovecot that keeps the mail: SMTP, submission, IMAP and POP3.
///
/// # Errors
/// When a program is missing, or does not start.
pub fn start_mail_host(setup: &Setup) -> Result<RunningServer, Error> {
    postfix::start_with_mailbox(setup)
}

/// The Debian packages of the clients that tests use.
pub const CLIENT_PACKAGES: &[&str] = &[
    "cups-ipp-utils",
    "curl",
    "gnutls-bin",
    "ldap-utils",
    "libnss-wrapper",
    "mariadb-client",
    "nut-client",
    "openssl",
    "postgresql-client",
    "procps",
    "python3",
    "python3-slixmpp",
    "sieve-connect",
    "swaks",
];

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
struct Stage<'a> {
    setup: &'a Setup,
    scratch: Scratch,
    ip: IpAddr,
    server_name: String,
    password: String,
}

impl<'a> Stage<'a> {
    fn new(setup: &'a Setup, server_name: &str) -> Result<Self, Error> {
        Ok(Self {
            setup,
            scratch: Scratch::new()?,
            ip: own_loopback(),
            server_name: server_name.into(),
            password: format!("{:016x}", RandomState::new().hash_one("password")),
        })
    }

    /// A free port for a protocol.
    fn endpoint(&self, protocol: &'static str) -> Result<RealEndpoint, Error> {
        Ok(RealEndpoint { protocol, address: free_port(self.ip)?, server_name: self.server_name.clone() })
    }

    /// The server's certificate chain and its key, the key readable by `owner` alone.
    fn certificate(&self, owner: &User) -> Result<(PathBuf, PathBuf), Error> {
        let issued = self.setup.authority.issue(&Leaf::named(&self.server_name))?;
        let chain = self.scratch.file("server.pem", &issued.chain_pem)?;
        let key = self.scratch.secret("server.key", &issued.key_pem, owner)?;
        Ok((chain, key))
    }

    /// `with()` when the server shall offer TLS, else `without`.
    fn tls(&self, with: impl FnOnce() -> Result<String, Error>, without: &str) -> Result<String, Error> {
        if self.setup.tls { with() } else { Ok(without.into()) }
    }

    /// The server, once every endpoint listens; `daemons` has the one that listens first.
    fn running(
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
