//! Arguments of `attack`.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, ValueEnum};
use clap_complete::ArgValueCandidates;
use starttls_attack::report::ScenarioOutcome;

use super::common::{Output, ProxyUrl, duration};
use crate::candidates;

/// Test a client: run it once per attack against a man in the middle, and report which attacks succeed
///
/// The command starts a server on this machine with a man in the middle in front of it. The client under test runs
/// once without an attack, which has to succeed, and once for each scenario. The verdicts are based on observations:
/// credentials or commands in cleartext, or a result that only injected bytes explain.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  starttls attack imap --run './my-client --host {host} --port {port} --ca {ca}'
  starttls attack smtp --run 'swaks -s {host}:{port} -tls --tls-verify --tls-ca-path {ca} …'
  starttls attack pop3 --run './my-client' --format junit --output report.xml
  starttls attack smtp --domain --run './my-mailer --to user@{domain} --resolver {resolver} …'
  starttls attack imap --serve 127.0.0.1:1143 --scenario cli-strip-offer
  starttls attack smtp --upstream smtp://mail.example.com --listen 127.0.0.1:2525
  starttls attack --list                                starttls explain cli-strip-offer

The variables STARTTLS_HOST, STARTTLS_PORT, STARTTLS_CA, STARTTLS_USER and STARTTLS_PASSWORD also contain the
target. The exit code is 1 if an outcome is at or above --fail-on. Otherwise it is 7 if a client crashed, hung or
has no verdict, or if the run without an attack failed. It is 0 if the other outcomes are less severe: weak (a
protection is missing, but another one held) or silent (the client reported success, but delivered nothing).")]
pub(crate) struct Attack {
    /// The protocol, such as smtp, imap or ldap
    #[arg(required_unless_present = "list", add = ArgValueCandidates::new(candidates::protocols))]
    pub(crate) protocol: Option<String>,

    /// Run this command as the client under test; {host}, {port}, {ca}, {user} and {password} are replaced
    #[arg(long, value_name = "COMMAND", conflicts_with_all = ["serve", "upstream"])]
    pub(crate) run: Option<String>,

    /// The client is a sender of mail: it gets a domain with MTA-STS or DANE in place of a server, and delivers to it
    /// once before each attack and once under it; {domain}, {resolver}, {sts_port} and {state} are replaced too
    #[arg(long, requires = "run", conflicts_with_all = ["serve", "upstream"])]
    pub(crate) domain: bool,

    /// With --domain: use the ports 53, 443 and 25 of 127.0.0.1, for senders that use no others; one scenario at a time
    #[arg(long, requires = "domain")]
    pub(crate) real_ports: bool,

    /// Listen here for a client that you run yourself; its first connection is not attacked
    #[arg(long, value_name = "ADDR:PORT", requires = "scenario", conflicts_with = "upstream")]
    pub(crate) serve: Option<SocketAddr>,

    /// Relay to this server instead of one on this machine: PROTO://HOST[:PORT]
    #[arg(long, value_name = "TARGET", requires = "listen", add = ArgValueCandidates::new(candidates::targets))]
    pub(crate) upstream: Option<String>,

    /// The address that the man in the middle for --upstream listens on
    #[arg(long, value_name = "ADDR:PORT", requires = "upstream")]
    pub(crate) listen: Option<SocketAddr>,

    /// Run only this attack; required with --serve [default with --upstream: all, one connection each]
    #[arg(long, value_name = "ID", conflicts_with_all = ["only", "skip"], add = ArgValueCandidates::new(candidates::scenarios))]
    pub(crate) scenario: Option<String>,

    /// Only list the scenarios of one protocol or of all; in the format text or json
    #[arg(long)]
    pub(crate) list: bool,

    /// Run only these scenarios, by id or by the start of an id (cli-cert)
    #[arg(long, value_name = "ID,…", value_delimiter = ',', add = ArgValueCandidates::new(candidates::scenarios))]
    pub(crate) only: Vec<String>,

    /// Do not run these scenarios
    #[arg(long, value_name = "ID,…", value_delimiter = ',', add = ArgValueCandidates::new(candidates::scenarios))]
    pub(crate) skip: Vec<String>,

    /// The number of clients that run at the same time
    #[arg(long, value_name = "N", default_value_t = 8, value_parser = clap::value_parser!(u16).range(1..=256))]
    pub(crate) jobs: u16,

    /// Run each scenario N times, and report how often the worst outcome occurred
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..=1000))]
    pub(crate) repeat: u16,

    /// The least severe outcome for which the exit code is 1
    #[arg(long, value_name = "OUTCOME", value_enum, default_value_t = FailOn::Fooled)]
    pub(crate) fail_on: FailOn,

    /// The time limit for one run of the client, for example 10s, 500ms, 2m; with --serve and --upstream, the
    /// limit for a connection is six times as long
    #[arg(long, value_name = "TIME", default_value = "10s", value_parser = duration)]
    pub(crate) timeout: Duration,

    /// Allow an address that other machines can reach: confirms that you are allowed to attack every client that
    /// connects
    #[arg(long)]
    pub(crate) i_am_authorised_to_test: bool,

    /// With --upstream: also trust these root certificates for the server
    #[arg(long, value_name = "PEM")]
    pub(crate) ca_file: Option<PathBuf>,

    /// With --upstream: connect to the server through this proxy, as in connect --proxy
    #[arg(long, value_name = "URL", requires = "upstream")]
    pub(crate) proxy: Option<ProxyUrl>,

    /// For --format sarif: the file that the results refer to, relative to the repository
    /// [default: the first file of the working directory in --run, or the first word of the command]
    #[arg(long, value_name = "FILE")]
    pub(crate) sarif_location: Option<String>,

    /// The format of the report; junit and sarif are for build servers
    #[arg(long, value_enum, default_value_t = AttackFormat::Text)]
    pub(crate) format: AttackFormat,

    #[command(flatten)]
    pub(crate) output: Output,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum AttackFormat {
    Text,
    Json,
    Junit,
    Sarif,
}

/// The least severe outcome for which the exit code is 1. Each value includes those before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum FailOn {
    /// The attacker gained credentials, a session, or content that the client accepted
    Fooled,
    /// A signal ended the client
    Crashed,
    /// A protection is missing, but another one held
    Weak,
    /// The client reported success, but delivered nothing
    Silent,
}

impl From<FailOn> for ScenarioOutcome {
    fn from(fail_on: FailOn) -> Self {
        match fail_on {
            FailOn::Fooled => Self::Fooled,
            FailOn::Crashed => Self::Crashed,
            FailOn::Weak => Self::Weak,
            FailOn::Silent => Self::Silent,
        }
    }
}
