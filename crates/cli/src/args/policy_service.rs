//! The arguments of `policy serve`, and of `policy list`, `show` and `forget`, which ask the service.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use clap::{Args, ValueEnum};
use starttls_dns::DnsName;

use super::common::{Format, Output, Resolver, Trust, duration};

/// Answer Postfix, for each domain that it delivers to, which policy governs
///
/// The service speaks Postfix's socketmap protocol. It looks up DANE and MTA-STS, decides, and keeps the answers. Mail to a
/// domain whose TLSA lookup fails is deferred; mail to a domain that never had a policy never waits for one.
///
/// In main.cf: smtp_dns_support_level = dnssec, smtp_tls_security_level = dane,
/// smtp_tls_policy_maps = socketmap:inet:127.0.0.1:8642:QUERY (QUERYwithTLSRPT with Postfix 3.10 or later).
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  starttls policy serve --state /var/lib/starttls/policies.jsonl --reset     the first start
  starttls policy serve --state /var/lib/starttls/policies.jsonl --health 127.0.0.1:8643
  starttls policy serve --listen systemd:policy --control /run/starttls-policy/control
  postmap -q example.com socketmap:inet:127.0.0.1:8642:QUERY

The service runs until a signal ends it. Exit codes:
  2   wrong usage, an address that cannot be listened on, or a file of policies that cannot be used
  7   the resolver does not validate DNSSEC or is not trusted")]
pub(crate) struct PolicyServe {
    /// Listen on this address, on a socket in the file system (unix:/PATH), or on the socket with this name that the
    /// service manager passes (systemd:NAME)
    #[arg(long, value_name = "ADDR:PORT", default_value = "127.0.0.1:8642")]
    pub(crate) listen: ListenAt,

    /// Keep MTA-STS policies in this file
    #[arg(long, value_name = "FILE")]
    pub(crate) state: Option<PathBuf>,

    /// Create an empty file of policies, or replace the old one
    #[arg(long, requires = "state")]
    pub(crate) reset: bool,

    /// Serve /health and /metrics (Prometheus) over HTTP; the forms are those of --listen
    #[arg(long, value_name = "ADDR:PORT")]
    pub(crate) health: Option<ListenAt>,

    /// Answer `policy list`, `show` and `forget` on this socket in the file system, or systemd:NAME
    #[arg(long, value_name = "PATH", value_parser = control)]
    pub(crate) control: Option<ListenAt>,

    /// Fetch each MTA-STS policy again after this time, 10 % more or less
    #[arg(long, value_name = "TIME", default_value = "24h", value_parser = duration)]
    pub(crate) refresh: Duration,

    /// Answer MTA-STS only; without this, the resolver must validate DNSSEC
    #[arg(long)]
    pub(crate) no_dane: bool,

    /// What governs a domain that has an enforced MTA-STS policy, and TLSA records for some exchangers only
    #[arg(long, value_enum, default_value_t = PartialArg::Sts)]
    pub(crate) partial: PartialArg,

    /// The time limit for each question and for each fetch
    #[arg(long, value_name = "TIME", default_value = "5s", value_parser = duration)]
    pub(crate) timeout: Duration,

    #[command(flatten)]
    pub(crate) trust: Trust,

    #[command(flatten)]
    pub(crate) resolver: Resolver,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum PartialArg {
    Sts,
    Dane,
}

/// Where a service listens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum ListenAt {
    /// An address and a port.
    Tcp(String),
    /// A socket in the file system.
    Unix(PathBuf),
    /// A socket of the service manager, by its name.
    Systemd(String),
}

impl FromStr for ListenAt {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.split_once(':') {
            Some(("unix", path)) if !path.is_empty() => Ok(Self::Unix(path.into())),
            Some(("systemd", name)) if !name.is_empty() => Ok(Self::Systemd(name.to_owned())),
            _ if text.rsplit_once(':').is_some_and(|(_, port)| port.parse::<u16>().is_ok()) => {
                Ok(Self::Tcp(text.to_owned()))
            }
            _ => Err(String::from("expected ADDR:PORT, unix:/PATH or systemd:NAME")),
        }
    }
}

impl fmt::Display for ListenAt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(address) => f.write_str(address),
            Self::Unix(path) => write!(f, "unix:{}", path.display()),
            Self::Systemd(name) => write!(f, "systemd:{name}"),
        }
    }
}

/// Parses the place of a control socket, which is never an address: anyone on the machine could connect to it.
fn control(text: &str) -> Result<ListenAt, String> {
    match text.strip_prefix("systemd:") {
        Some(_) => text.parse(),
        None => Ok(ListenAt::Unix(text.strip_prefix("unix:").unwrap_or(text).into())),
    }
}

/// Where the policies of a service are.
#[derive(Debug, Args)]
pub(crate) struct StoreAt {
    /// Ask the running service with this --control socket
    #[arg(long, value_name = "PATH", default_value = "/run/starttls-policy/control")]
    pub(crate) control: PathBuf,

    /// Use the file of a service, without asking the service
    #[arg(long, value_name = "FILE", conflicts_with = "control")]
    pub(crate) state: Option<PathBuf>,
}

/// List the MTA-STS policies that a service keeps
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  starttls policy list
  starttls policy list --state /var/lib/starttls/policies.jsonl --format json

Exit codes:
  0   done
  2   wrong usage, or the file cannot be read
  3   the service cannot be asked")]
pub(crate) struct PolicyList {
    #[command(flatten)]
    pub(crate) store: StoreAt,

    /// json: one object on standard output
    #[arg(long, value_enum, default_value_t = Format::Text)]
    pub(crate) format: Format,

    #[command(flatten)]
    pub(crate) output: Output,
}

/// Show the MTA-STS policy of a domain that a service keeps, and the answers in its cache
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  starttls policy show example.com
  starttls policy show example.com --state /var/lib/starttls/policies.jsonl

Exit codes:
  0   done
  1   the service keeps nothing about the domain
  2   wrong usage, or the file cannot be read
  3   the service cannot be asked")]
pub(crate) struct PolicyShow {
    /// The domain
    pub(crate) domain: DnsName,

    #[command(flatten)]
    pub(crate) store: StoreAt,

    /// json: one object on standard output
    #[arg(long, value_enum, default_value_t = Format::Text)]
    pub(crate) format: Format,

    #[command(flatten)]
    pub(crate) output: Output,
}

/// Forget the MTA-STS policy of a domain and the answers in the cache
///
/// The next question looks everything up again. Until then, and if the lookup fails, the domain is not protected by its
/// policy.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  starttls policy forget example.com

Exit codes:
  0   done
  1   the service keeps nothing about the domain
  2   wrong usage, or the file cannot be used, for example because a service uses it
  3   the service cannot be asked")]
pub(crate) struct PolicyForget {
    /// The domain
    pub(crate) domain: DnsName,

    #[command(flatten)]
    pub(crate) store: StoreAt,
}
