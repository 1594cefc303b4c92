//! The arguments of `gateway`.

use std::path::PathBuf;

use clap::{Args, ValueEnum};
use clap_complete::ArgValueCandidates;

use starttls::proto::ClientName;

use super::common::{Format, client_name};
use crate::candidates;

/// Run a gateway that provides STARTTLS for a server, or uses it on behalf of a client
///
/// LISTEN and FORWARD are URLs of the same protocol: smtp:// is cleartext, smtp+starttls:// is the upgrade,
/// smtps:// is TLS from the first byte. Clients must use TLS, and the certificates of backends are verified.
/// Cleartext that would leave this machine needs --allow-cleartext. With -c, a file describes any number of
/// listeners, with routes by server name, certificates for many names, PROXY headers, logins and limits.
/// SIGHUP reloads the configuration, all of it or none; renewed certificates are loaded automatically.
/// SIGTERM stops the gateway after a grace period for the open sessions.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  starttls gateway submission+starttls://:587 smtp://127.0.0.1:2525 --cert mail.pem --key mail.key
  starttls gateway :143 imap://127.0.0.1:1143 --certs /etc/letsencrypt/live
  starttls gateway smtp://127.0.0.1:2525 submission+starttls://smtp.example.com
  starttls gateway -c /etc/starttls/gateway.toml --plan")]
pub(crate) struct Gateway {
    /// The address to listen on: PROTO[+starttls]://[ADDR][:PORT], PROTO://unix:/PATH, or :PORT
    #[arg(required_unless_present = "config", requires = "forward", add = ArgValueCandidates::new(candidates::gateway_urls))]
    pub(crate) listen: Option<String>,

    /// The backends, of which the first that is reachable is used: PROTO[+starttls]://HOST[:PORT] or
    /// PROTO://unix:/PATH
    #[arg(add = ArgValueCandidates::new(candidates::gateway_urls))]
    pub(crate) forward: Vec<String>,

    /// Read the configuration from this file
    #[arg(short, long, value_name = "FILE", conflicts_with_all = ["listen", "Front", "Backend"])]
    pub(crate) config: Option<PathBuf>,

    /// Only check the configuration, without dialing
    #[arg(long, conflicts_with = "plan")]
    pub(crate) check: bool,

    /// Only show the listeners, routes and certificates, and connect to every backend once
    #[arg(long)]
    pub(crate) plan: bool,

    /// The format of the plan; with json, one object is written to standard output
    #[arg(long, value_enum, default_value_t = Format::Text, requires = "plan")]
    pub(crate) format: Format,

    /// How much the log contains; takes precedence over the file's `log-level` [default: info]
    #[arg(long, value_enum, value_name = "LEVEL")]
    pub(crate) log_level: Option<LogLevel>,

    #[command(flatten)]
    pub(crate) front: Front,

    #[command(flatten)]
    pub(crate) backend: Backend,
}

/// Options for the side of the clients.
#[derive(Debug, Args)]
#[group(id = "Front", multiple = true)]
#[command(next_help_heading = "Clients")]
pub(crate) struct Front {
    /// The certificate, followed by its chain
    #[arg(long, value_name = "PEM", requires = "key")]
    pub(crate) cert: Option<PathBuf>,

    /// The private key of the certificate
    #[arg(long, value_name = "PEM", requires = "cert")]
    pub(crate) key: Option<PathBuf>,

    /// A folder with certificates: NAME.pem with NAME.key, or NAME/fullchain.pem with NAME/privkey.pem
    #[arg(long, value_name = "DIR")]
    pub(crate) certs: Option<PathBuf>,

    /// How to treat clients that do not upgrade [default: required]
    #[arg(long, value_enum, value_name = "HOW")]
    pub(crate) starttls: Option<Offer>,

    /// Serve only clients from this network; can be used more than once
    #[arg(long, value_name = "NETWORK")]
    pub(crate) allow: Vec<String>,
}

/// Options for the side of the servers.
#[derive(Debug, Args)]
#[group(id = "Backend", multiple = true)]
#[command(next_help_heading = "Backends")]
pub(crate) struct Backend {
    /// The name to send (SNI) and to verify [default: the backend's host]
    #[arg(long, value_name = "NAME")]
    pub(crate) server_name: Option<String>,

    /// Also trust these root certificates
    #[arg(long, value_name = "PEM")]
    pub(crate) ca_file: Option<PathBuf>,

    /// The gateway's own name toward the backend (EHLO) [default: this host's name if it is fully qualified,
    /// otherwise [127.0.0.1]]
    #[arg(long, value_name = "NAME", value_parser = client_name)]
    pub(crate) client_name: Option<ClientName>,

    /// Allow cleartext connections that leave this machine
    #[arg(long)]
    pub(crate) allow_cleartext: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Offer {
    /// Refuse all other commands
    Required,
    /// Serve them in cleartext, without login, as a public MX must
    Optional,
    /// As required, and do not announce the upgrade
    Hidden,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum LogLevel {
    /// Backends that do not serve, reloads that failed
    Error,
    /// Also clients that break the rules, and limits that were reached
    Warn,
    /// Also every session
    Info,
    /// Also each negotiation, handshake and login of a session, and its relay
    Debug,
    /// Also the steps of these
    Trace,
}

impl From<LogLevel> for starttls_gateway::LogLevel {
    fn from(level: LogLevel) -> Self {
        match level {
            LogLevel::Error => Self::Error,
            LogLevel::Warn => Self::Warn,
            LogLevel::Info => Self::Info,
            LogLevel::Debug => Self::Debug,
            LogLevel::Trace => Self::Trace,
        }
    }
}
