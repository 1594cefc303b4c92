//! Arguments of `attack`.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, ValueEnum};
use starttls_attack::report::ScenarioOutcome;

use super::{Output, duration};

/// Test whether a client can be fooled: play the man in the middle, once per attack, and say what it fell for
///
/// A server is started on this machine, with a man in the middle before it. The client under test runs once without
/// an attack, which has to succeed, and once for each scenario. Verdicts rest on what was seen: credentials and
/// commands in cleartext, or what only injected bytes explain.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  starttls attack imap --run './my-client --host {host} --port {port} --ca {ca}'
  starttls attack smtp --run 'swaks -s {host}:{port} -tls --tls-verify --tls-ca-path {ca} …'
  starttls attack pop3 --run './my-client' --format junit --output report.xml
  starttls attack imap --serve 127.0.0.1:1143 --scenario cli-strip-offer
  starttls attack smtp --upstream smtp://mail.example.com --listen 127.0.0.1:2525
  starttls attack --list                                starttls explain cli-strip-offer

The client also finds its target in STARTTLS_HOST, STARTTLS_PORT, STARTTLS_CA, STARTTLS_USER and
STARTTLS_PASSWORD. The exit code is 1 when an outcome is at or above --fail-on. It is 7 when none is, but
a client crashed, hung or stayed without a verdict, or the run without an attack failed. It is 0 when
only lesser outcomes are left: weak (a protection is missing, but another one held) or silent (the client
reported success, but delivered nothing).")]
pub(crate) struct Attack {
    /// The protocol: smtp, imap, ldap…
    #[arg(required_unless_present = "list")]
    pub(crate) protocol: Option<String>,

    /// Run this command as the client under test; {host}, {port}, {ca}, {user} and {password} are filled in
    #[arg(long, value_name = "COMMAND", conflicts_with_all = ["serve", "upstream"])]
    pub(crate) run: Option<String>,

    /// Serve here, in the foreground, for a client that a person drives; its first connection is not attacked
    #[arg(long, value_name = "ADDR:PORT", requires = "scenario", conflicts_with = "upstream")]
    pub(crate) serve: Option<SocketAddr>,

    /// Stand before this server instead of one on this machine: PROTO://HOST[:PORT]
    #[arg(long, value_name = "TARGET", requires = "listen")]
    pub(crate) upstream: Option<String>,

    /// Where the man in the middle before --upstream listens
    #[arg(long, value_name = "ADDR:PORT", requires = "upstream")]
    pub(crate) listen: Option<SocketAddr>,

    /// This attack alone; --serve needs one [default with --upstream: all, one connection each]
    #[arg(long, value_name = "ID", conflicts_with_all = ["only", "skip"])]
    pub(crate) scenario: Option<String>,

    /// List the scenarios, of one protocol or of all, and do nothing else; --format text or json
    #[arg(long)]
    pub(crate) list: bool,

    /// Only these scenarios, by id or by what their ids begin with (cli-cert)
    #[arg(long, value_name = "ID,…", value_delimiter = ',')]
    pub(crate) only: Vec<String>,

    /// Not these scenarios
    #[arg(long, value_name = "ID,…", value_delimiter = ',')]
    pub(crate) skip: Vec<String>,

    /// Runs of the client at a time
    #[arg(long, value_name = "N", default_value_t = 8, value_parser = clap::value_parser!(u16).range(1..=256))]
    pub(crate) jobs: u16,

    /// Run each scenario N times, and report how often the worst outcome came out
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..=1000))]
    pub(crate) repeat: u16,

    /// The least outcome that makes the exit code 1
    #[arg(long, value_name = "OUTCOME", value_enum, default_value_t = FailOn::Fooled)]
    pub(crate) fail_on: FailOn,

    /// How long one run of the client may take: 10s, 500ms, 2m; --serve and --upstream end a connection
    /// after six times as long
    #[arg(long, value_name = "TIME", default_value = "10s", value_parser = duration)]
    pub(crate) timeout: Duration,

    /// Listen beyond this machine, at the address given: you are allowed to attack whoever comes
    #[arg(long)]
    pub(crate) i_am_authorised_to_test: bool,

    /// With --upstream: trust these root certificates of the server's too
    #[arg(long, value_name = "PEM")]
    pub(crate) ca_file: Option<PathBuf>,

    /// For --format sarif: the file that results point at, relative to the repository
    /// [default: the first file of the working directory that --run names, or the command's first word]
    #[arg(long, value_name = "FILE")]
    pub(crate) sarif_location: Option<String>,

    /// How the report looks; junit and sarif are for build servers
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

/// The least outcome that makes the exit code 1. Each includes those before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum FailOn {
    /// An attacker gained credentials, a session, or content that the client believes
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
