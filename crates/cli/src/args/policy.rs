//! The arguments of `policy`.

use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use clap::{Args, Subcommand, ValueEnum};
use clap_complete::ArgValueCandidates;
use starttls_dns::{DnsName, TlsaData};
use starttls_policy::sts::{MxPattern, StsMode};

use super::common::{Format, Output, dns_server, duration};
use super::hello::Dialing;
use crate::candidates;

/// Make stripping fail: DANE, MTA-STS and TLSRPT for mail between servers
///
/// STARTTLS alone can be suppressed by an attacker in the path. With these policies a domain tells senders that its
/// servers support TLS and how their certificates are authenticated.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  starttls policy check example.com
  starttls policy sts example.com --mx mx1.example.com --mx '*.mail.example.com'
  starttls policy sts --lint mta-sts.txt
  starttls policy tlsa --from chain.pem --name mx1.example.com
  starttls policy tlsa --live smtp://mx1.example.com --next new-key.pem
  starttls policy report tlsrpt/*.json.gz
  starttls policy serve --state policies.jsonl
  starttls policy show example.com --state policies.jsonl")]
pub(crate) struct Policy {
    #[command(subcommand)]
    pub(crate) command: PolicyCommand,
}

#[derive(Debug, Subcommand)]
pub(crate) enum PolicyCommand {
    Check(Box<PolicyCheck>),
    Forget(PolicyForget),
    List(PolicyList),
    Report(PolicyReport),
    Serve(Box<PolicyServe>),
    Show(PolicyShow),
    Sts(PolicySts),
    Tlsa(Box<PolicyTlsa>),
}

/// Check what a domain publishes, and whether its servers keep it
///
/// Looks up the mail exchangers, their TLSA records and the MTA-STS policy, fetches the policy from every address of its
/// host, connects once to every address of every exchanger, and compares. It also shows what senders do, and why.
///
/// DANE needs a resolver that validates DNSSEC, on this machine or declared trusted. Without one, DANE is inconclusive.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  starttls policy check example.com
  starttls policy check example.com --resolver 192.0.2.53 --trust-ad --format json

Exit codes:
  0   no problems found
  1   a warning, an error or a critical finding
  2   wrong usage; nothing was asked
  3   the domain does not exist
  7   inconclusive: DNSSEC is not available, a lookup failed, or a server was not reached")]
pub(crate) struct PolicyCheck {
    /// The domain
    pub(crate) domain: DnsName,

    /// The port of the exchangers
    #[arg(long, default_value_t = 25, value_parser = clap::value_parser!(u16).range(1..))]
    pub(crate) port: u16,

    /// The time limit for each question and for each connection
    #[arg(long, value_name = "TIME", default_value = "10s", value_parser = duration)]
    pub(crate) timeout: Duration,

    /// json: one object on standard output
    #[arg(long, value_enum, default_value_t = Format::Text)]
    pub(crate) format: Format,

    #[command(flatten)]
    pub(crate) trust: Trust,

    #[command(flatten)]
    pub(crate) resolver: Resolver,

    #[command(flatten)]
    pub(crate) output: Output,
}

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

/// Which certificates of policy hosts and exchangers are trusted.
#[derive(Debug, Args)]
pub(crate) struct Trust {
    /// Also trust these root certificates
    #[arg(long, value_name = "PEM")]
    pub(crate) ca_file: Option<PathBuf>,

    /// Do not trust the system's root certificates
    #[arg(long, requires = "ca_file")]
    pub(crate) no_system_roots: bool,

    /// The port of policy hosts, for tests
    #[arg(long, default_value_t = 443, hide = true)]
    pub(crate) sts_port: u16,
}

/// Which resolver is asked.
#[derive(Debug, Args)]
#[command(next_help_heading = "DNS")]
pub(crate) struct Resolver {
    /// Ask this DNS resolver [default port: 53; default: the resolvers of /etc/resolv.conf]
    #[arg(long, value_name = "ADDR[:PORT]", value_parser = dns_server)]
    pub(crate) resolver: Option<SocketAddr>,

    /// Trust the resolver's AD bit although it is not on this machine: no attacker can change its answers on the way
    #[arg(long)]
    pub(crate) trust_ad: bool,
}

/// Read TLSRPT reports and add up what failed
///
/// Reads reports in JSON or gzip, mails with reports, mailboxes (mbox), and folders of them (Maildir included). A report
/// that occurs twice is counted once. Reports are not authenticated: anyone can send one.
#[derive(Debug, Args)]
#[command(after_help = "Exit codes:
  0   no failure was reported
  1   failures were reported
  2   wrong usage, or a file cannot be read
  7   no report was found, or a part of the files is not a valid report and nothing failed in the others")]
pub(crate) struct PolicyReport {
    /// Files or folders; - is standard input
    #[arg(required = true, value_name = "FILE")]
    pub(crate) files: Vec<PathBuf>,

    /// json: one object on standard output
    #[arg(long, value_enum, default_value_t = Format::Text)]
    pub(crate) format: Format,

    #[command(flatten)]
    pub(crate) output: Output,
}

/// Write an MTA-STS policy and its record, or check the text of one
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  starttls policy sts example.com --from-mx                         what to publish, in order
  starttls policy sts example.com --mode enforce --mx mx1.example.com --print text > mta-sts.txt
  starttls policy sts --lint mta-sts.txt

Exit codes:
  0   done; with --lint, the policy is valid and has no errors
  1   with --lint: senders discard the policy or a part of it
  2   wrong usage, or the file cannot be read
  7   with --from-mx: the lookup failed")]
pub(crate) struct PolicySts {
    /// The domain of the policy
    #[arg(required_unless_present = "lint", conflicts_with = "lint")]
    pub(crate) domain: Option<DnsName>,

    /// Check this policy text; - is standard input
    #[arg(long, value_name = "FILE")]
    pub(crate) lint: Option<PathBuf>,

    /// What to print: everything that is to be done, in order; the policy text; or the record
    #[arg(long, value_enum, default_value_t = StsPart::Plan, value_name = "PART", num_args = 0..=1,
          default_missing_value = "plan", conflicts_with = "lint")]
    pub(crate) print: StsPart,

    /// What senders do with a connection that does not satisfy the policy
    #[arg(long, value_enum, default_value_t = StsModeArg::Testing, conflicts_with = "lint")]
    pub(crate) mode: StsModeArg,

    /// How long senders keep the policy: 2w, 30d, 12h
    #[arg(long, value_name = "TIME", default_value = "2w", value_parser = max_age, conflicts_with = "lint")]
    pub(crate) max_age: u64,

    /// A mail exchanger, or *.DOMAIN for all with one more label; repeat it for each
    #[arg(long, value_name = "PATTERN", value_parser = pattern, conflicts_with = "lint")]
    pub(crate) mx: Vec<MxPattern>,

    /// Add the mail exchangers of the domain, as they are in DNS now
    #[arg(long, conflicts_with = "lint")]
    pub(crate) from_mx: bool,

    /// The id of the policy, 1 to 32 letters and digits [default: the time]
    #[arg(long, value_parser = policy_id, conflicts_with = "lint")]
    pub(crate) id: Option<String>,

    #[command(flatten)]
    pub(crate) resolver: Resolver,

    #[command(flatten)]
    pub(crate) output: Output,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum StsPart {
    Plan,
    Text,
    Record,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum StsModeArg {
    Enforce,
    Testing,
    None,
}

impl From<StsModeArg> for StsMode {
    fn from(mode: StsModeArg) -> Self {
        match mode {
            StsModeArg::Enforce => Self::Enforce,
            StsModeArg::Testing => Self::Testing,
            StsModeArg::None => Self::None,
        }
    }
}

/// Write TLSA records for DANE, and plan the change of a key
///
/// The records are those of a certificate, a certificate request or a key. With --look-up or --published, the command
/// compares them with the records that are in DNS now. With --next, it prints each step to the next key, with times, such that a
/// record matches at every moment.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  starttls policy tlsa --from chain.pem --name mx1.example.com
  starttls policy tlsa --live smtp://mx1.example.com --look-up
  starttls policy tlsa --from chain.pem --name mx1.example.com --next new-key.pem --ttl 1h

Exit codes:
  0   done
  1   with --look-up or --published: no usable record matches
  2   wrong usage, or a file cannot be read
  3 to 7   with --live, those of connect; 7 also if --look-up fails")]
pub(crate) struct PolicyTlsa {
    /// The certificate with its chain, a certificate request or a private key, in PEM
    #[arg(long, value_name = "PEM", required_unless_present = "live", conflicts_with = "live")]
    pub(crate) from: Option<PathBuf>,

    /// Take the chain that this server presents: PROTO://HOST[:PORT]
    #[arg(long, value_name = "TARGET", add = ArgValueCandidates::new(candidates::targets))]
    pub(crate) live: Option<String>,

    /// The host name of the server [default: that of --live]
    #[arg(long, required_unless_present = "live")]
    pub(crate) name: Option<DnsName>,

    /// The port of the server [default: that of --live, or 25]
    #[arg(long)]
    pub(crate) port: Option<u16>,

    /// Certificate usage: 3 is the server's own certificate or key, 2 is a CA in its chain
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u8).range(2..=3))]
    pub(crate) usage: u8,

    /// Selector: 0 is the certificate, 1 the public key [default: 1; 0 for usage 2]
    #[arg(long, value_parser = clap::value_parser!(u8).range(0..=1))]
    pub(crate) selector: Option<u8>,

    /// Matching type: 0 is the data itself, 1 SHA-256, 2 SHA-512
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u8).range(0..=2))]
    pub(crate) matching: u8,

    /// The time to live of the records
    #[arg(long, value_name = "TIME", default_value = "1h", value_parser = duration)]
    pub(crate) ttl: Duration,

    /// Write the records in the generic form of RFC 3597
    #[arg(long)]
    pub(crate) generic: bool,

    /// A record that is published now: "USAGE SELECTOR MATCHING DATA"; repeat it for each
    #[arg(long, value_name = "RECORD", value_parser = starttls_policy::tlsa::parse)]
    pub(crate) published: Vec<TlsaData>,

    /// Take the published records from DNS
    #[arg(long, conflicts_with = "published")]
    pub(crate) look_up: bool,

    /// Plan the change to this certificate, certificate request or private key, in PEM
    #[arg(long, value_name = "PEM")]
    pub(crate) next: Option<PathBuf>,

    /// The time until every name server of the zone has a change
    #[arg(long, value_name = "TIME", default_value = "1h", value_parser = duration)]
    pub(crate) propagation: Duration,

    #[command(flatten)]
    pub(crate) dialing: Dialing,

    #[command(flatten)]
    pub(crate) resolver: Resolver,

    #[command(flatten)]
    pub(crate) output: Output,
}

/// Parses the lifetime of a policy: a number and a unit.
fn max_age(text: &str) -> Result<u64, String> {
    let wrong = || String::from("expected a number with a unit, such as 2w, 30d or 12h, at most a year");
    let digits = text.len() - text.trim_start_matches(|it: char| it.is_ascii_digit()).len();
    let (number, unit) = text.split_at(digits);
    let seconds = match unit {
        "s" => 1,
        "m" | "min" => 60,
        "h" => 3600,
        "d" => 86_400,
        "w" => 604_800,
        _ => return Err(wrong()),
    };
    let age = number.parse::<u64>().ok().and_then(|it| it.checked_mul(seconds)).ok_or_else(wrong)?;
    if (1..=starttls_policy::sts::MAX_AGE_LIMIT).contains(&age) { Ok(age) } else { Err(wrong()) }
}

fn pattern(text: &str) -> Result<MxPattern, String> {
    MxPattern::parse(text).map(|(pattern, _)| pattern).map_err(str::to_owned)
}

fn policy_id(text: &str) -> Result<String, String> {
    let fits = (1..=32).contains(&text.len()) && text.bytes().all(|it| it.is_ascii_alphanumeric());
    fits.then(|| text.to_owned()).ok_or_else(|| String::from("expected 1 to 32 letters and digits"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lifetimes_have_units() {
        for (text, expected) in [("2w", 1_209_600), ("30d", 2_592_000), ("12h", 43_200), ("60s", 60)] {
            assert_eq!(max_age(text), Ok(expected), "{text}");
        }
        for wrong in ["", "2", "w", "0s", "2 w", "-1d", "99999d", "99999999999999999999w", "1y"] {
            assert!(max_age(wrong).is_err(), "{wrong}");
        }
    }
}
