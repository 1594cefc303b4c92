//! Real servers, from their Debian packages, on loopback.
//!
//! Each launcher writes a configuration into a scratch folder, takes free ports on a loopback
//! address of its own, and runs the daemon in the foreground until its [`RunningServer`] is dropped.
//! It does not use the configuration of the system. The launchers run as root, and each daemon changes to the user of its
//! package.
//!
//! With [`Setup::tls`] a server has a certificate for `NAME.example.test` and, if its software has such a setting, accepts no
//! login before the upgrade. Without it, the server offers no upgrade.
//!
//! # Add a server
//!
//! 1. Write `real/NAME.rs` with `pub(super) fn start(&Setup) -> Result<RunningServer, Error>`: make a
//!    `Launcher`, ask it for endpoints, certificate and files, spawn each program in the
//!    foreground with `Daemon::spawn`, wait for each endpoint, and return `launcher.running(..)`.
//!    Name programs only through [`process::program`](crate::process::program), which names the
//!    package when one is missing.
//! 2. Add a row to [`SERVERS`], with every Debian package it needs.
//! 3. Add its name to [`each_real_server`](crate::each_real_server), by which every test of real servers runs.
//! 4. Add a test to `tests/real_servers.rs` that upgrades with a client of another project.

mod cups;
mod dovecot;
mod inn;
mod inspircd;
mod launcher;
mod mariadb;
mod nats;
mod nbdkit;
mod nut;
mod openldap;
mod postfix;
mod postgresql;
mod prosody;
mod qemu;
mod tigervnc;
mod vsftpd;
mod xrdp;

pub use launcher::{RealEndpoint, RunningServer, Setup};

use crate::error::Error;

/// A server that can be launched.
pub struct RealServer {
    /// The name of the server, in lower case.
    pub name: &'static str,
    /// The Debian packages it needs.
    pub packages: &'static [&'static str],
    /// The names of its protocols in the registry.
    pub protocols: &'static [&'static str],
    /// Launches the server.
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
    RealServer { name: "nats", packages: &["nats-server"], protocols: &["nats"], start: nats::start },
    RealServer { name: "nbdkit", packages: &["nbdkit"], protocols: &["nbd"], start: nbdkit::start },
    RealServer { name: "qemu", packages: &["qemu-utils"], protocols: &["nbd"], start: qemu::start },
    RealServer { name: "xrdp", packages: &["xrdp"], protocols: &["rdp"], start: xrdp::start },
    RealServer {
        name: "tigervnc",
        packages: &["tigervnc-standalone-server"],
        protocols: &["vnc"],
        start: tigervnc::start,
    },
];

/// Returns the server with this name.
pub fn server(name: &str) -> Option<&'static RealServer> {
    SERVERS.iter().find(|server| server.name == name)
}

/// Defines a test for each server of [`SERVERS`](crate::real::SERVERS) that calls this function, and a test that the list is
/// complete.
#[macro_export]
macro_rules! each_real_server {
    ($test:path) => {
        $crate::each_real_server! {
            $test: cups dovecot inn inspircd mariadb nats nbdkit nut openldap postfix postgresql prosody qemu tigervnc vsftpd xrdp
        }
    };
    ($test:path: $($name:ident)*) => {
        $(#[test]
        fn $name() {
            let name = stringify!($name);
            $test($crate::real::server(name).unwrap_or_else(|| panic!("unknown server {name}")));
        })*

        #[test]
        fn every_server_is_tested() {
            let mut names: Vec<_> = $crate::real::SERVERS.iter().map(|server| server.name).collect();
            names.sort_unstable();
            assert_eq!(names, [$(stringify!($name)),*]);
        }
    };
}

/// Starts Postfix with a Dovecot that stores the mail: SMTP, submission, IMAP and POP3.
///
/// # Errors
/// Returns an error if a program is missing or does not start.
pub fn start_mail_host(setup: &Setup) -> Result<RunningServer, Error> {
    postfix::start_with_mailbox(setup)
}

/// Starts TigerVNC with these security types, separated by commas.
///
/// # Errors
/// Returns an error if a program is missing or does not start.
pub fn start_tigervnc(setup: &Setup, security_types: &str) -> Result<RunningServer, Error> {
    tigervnc::start_with(setup, security_types)
}

/// The Debian packages of the clients that tests use.
pub const CLIENT_PACKAGES: &[&str] = &[
    "cups-ipp-utils",
    "curl",
    "freerdp2-x11",
    "gnutls-bin",
    "ldap-utils",
    "libnats3.4",
    "libnbd-bin",
    "libnss-wrapper",
    "mariadb-client",
    "nut-client",
    "openssl",
    "postgresql-client",
    "procps",
    "python3",
    "python3-slixmpp",
    "qemu-utils",
    "sieve-connect",
    "swaks",
    "tigervnc-viewer",
    "xvfb",
];
