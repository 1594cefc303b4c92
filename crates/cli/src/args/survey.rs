//! The arguments of `survey`.

use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Subcommand, ValueEnum};
use clap_complete::ArgValueCandidates;
use starttls_dns::{DnsName, IpPrefix};
use starttls_survey::opt_out::OptOutEntry;
#[cfg(feature = "nats")]
use starttls_survey::queue::{QueueAddress, RunName};
use starttls_survey::settings::{EvidenceKept, ProbeKind};

use super::common::{Output, Resolver, duration, listener};
use crate::candidates;

/// Survey the servers of many domains: resolve, probe politely, and join the results to the domains
///
/// A survey is kept in a folder. It can be interrupted or killed at any time; the same command goes on where it was. One
/// machine needs no server; several machines share the work through a queue of NATS. Read docs/survey.md before you survey
/// networks of others.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  starttls survey plan domains.txt --out 2027-01 --client-name probe.example.org --contact https://probe.example.org
  starttls survey run domains.txt --out 2027-01 --client-name probe.example.org --contact https://probe.example.org
  starttls survey status 2027-01 --watch
  starttls survey verify 2027-01
  starttls survey work --queue nats://queue.example.org --run 2027-01
  starttls survey opt-out add opt-out.txt 192.0.2.0/24 AS64500 example.org")]
pub(crate) struct Survey {
    #[command(subcommand)]
    pub(crate) command: SurveyCommand,
}

#[derive(Debug, Subcommand)]
pub(crate) enum SurveyCommand {
    Run(Box<SurveyRun>),
    Plan(Box<SurveyRun>),
    #[cfg(feature = "nats")]
    Work(Box<SurveyWork>),
    #[cfg(feature = "nats")]
    Collect(SurveyCollect),
    Status(SurveyStatus),
    Join(SurveyJoin),
    Verify(SurveyVerify),
    OptOut(SurveyOptOut),
}

/// Run a survey on this machine, or go on with it
///
/// Looks up the exchangers of each domain and their addresses, connects to each endpoint within the budgets, repeats what
/// was throttled or not answered, and writes one row for each endpoint and each domain, as zstd-compressed JSON lines.
/// "plan" ends before the first connection to a server, and shows what the survey will do and how long it takes at least.
/// With --queue, both publish the work for "survey work" on other machines instead of doing it here.
#[derive(Debug, Args)]
#[command(after_help = "Exit codes:
  0    done
  2    wrong usage, a folder with another survey, or a client name that does not resolve back; no server was dialed
  3    the network does not let connections to the port out
  7    endpoints stayed throttled after the last pass, or no look-up was answered
  129, 130, 143  interrupted; the same command goes on")]
#[cfg_attr(feature = "nats", command(mut_arg("queue", on_this_machine)))]
pub(crate) struct SurveyRun {
    /// The list of domains, one a line; RANK,DOMAIN is read too; - is standard input
    #[arg(value_name = "DOMAINS")]
    pub(crate) domains: PathBuf,

    /// The folder of the survey
    #[arg(long, value_name = "DIR")]
    pub(crate) out: PathBuf,

    /// What to ask: the offer (one connection without TLS), the certificate (one connection), what TLS offers, or all
    /// checks
    #[arg(long, value_enum, default_value_t = ProbeArg::Certificate)]
    pub(crate) probe: ProbeArg,

    /// The protocol
    #[arg(long, value_name = "PROTO", default_value = "smtp", add = ArgValueCandidates::new(candidates::protocols))]
    pub(crate) protocol: String,

    /// The port [default: that of the protocol]
    #[arg(long, value_parser = clap::value_parser!(u16).range(1..))]
    pub(crate) port: Option<u16>,

    /// This machine's host name, for EHLO; it must resolve to the source address, and the address back to it
    #[arg(long, value_name = "NAME", help_heading = "Identity")]
    pub(crate) client_name: DnsName,

    /// The URL of the page that explains the survey and how to opt out
    #[arg(long, value_name = "URL", help_heading = "Identity", required_unless_present = "own_networks", value_parser = contact)]
    pub(crate) contact: Option<String>,

    #[command(flatten)]
    pub(crate) pace: SurveyPace,

    #[command(flatten)]
    pub(crate) scope: SurveyScope,

    #[command(flatten)]
    pub(crate) machine: SurveyMachine,

    /// The time limit for each reply
    #[arg(long, value_name = "TIME", default_value = "10s", value_parser = duration, help_heading = "Connection")]
    pub(crate) timeout: Duration,

    #[cfg(feature = "nats")]
    #[command(flatten)]
    pub(crate) queue: SurveyQueue,

    /// A worker of the queue that gives no sign of life for this time loses its networks to another one
    #[cfg(feature = "nats")]
    #[arg(long, value_name = "TIME", default_value = "60s", value_parser = lease, requires = "queue", help_heading = "Queue")]
    pub(crate) lease: Duration,

    #[command(flatten)]
    pub(crate) output: Output,
}

/// What a machine needs that connects to servers.
#[derive(Debug, Args)]
pub(crate) struct SurveyMachine {
    /// A list of prefixes, AS and domains that are not surveyed; it is read again when it changes
    #[arg(long, value_name = "FILE", help_heading = "Identity")]
    pub(crate) opt_out: Option<PathBuf>,

    /// The networks are your own: do not check the client's name and the way out
    #[arg(long, help_heading = "Identity")]
    pub(crate) own_networks: bool,

    /// Connect to this host first, to find out whether the network lets the port out [default: the domain of --contact]
    #[arg(long, value_name = "HOST", help_heading = "Identity")]
    pub(crate) canary: Option<String>,

    /// Never dial this prefix; repeat it for each
    #[arg(long, value_name = "PREFIX", help_heading = "Scope")]
    pub(crate) block: Vec<IpPrefix>,

    /// Never dial the prefixes in this file, one a line
    #[arg(long, value_name = "FILE", help_heading = "Scope")]
    pub(crate) blocklist: Option<PathBuf>,

    /// Also dial this prefix of special-purpose addresses, for simulations; repeat it for each
    #[arg(long, value_name = "PREFIX", requires = "own_networks", help_heading = "Scope")]
    pub(crate) allow_special: Vec<IpPrefix>,

    /// Also trust these root certificates
    #[arg(long, value_name = "PEM", help_heading = "Connection")]
    pub(crate) ca_file: Option<PathBuf>,

    /// Do not trust the system's root certificates
    #[arg(long, help_heading = "Connection", requires = "ca_file")]
    pub(crate) no_system_roots: bool,

    /// Connect from this local address
    #[arg(long, value_name = "ADDR", help_heading = "Connection")]
    pub(crate) source: Option<IpAddr>,

    /// The most connections at the same time
    #[arg(long, value_name = "N", default_value_t = 1000, value_parser = clap::value_parser!(u32).range(1..=50_000), help_heading = "Connection")]
    pub(crate) parallel: u32,

    /// The most questions to the resolver at the same time
    #[arg(long, value_name = "N", default_value_t = 200, value_parser = clap::value_parser!(u32).range(1..=20_000), help_heading = "DNS")]
    pub(crate) questions: u32,

    #[command(flatten)]
    pub(crate) resolver: Resolver,

    /// Serve metrics for Prometheus on this address
    #[arg(long, value_name = "ADDR:PORT", value_parser = listener, help_heading = "Output")]
    pub(crate) metrics: Option<SocketAddr>,
}

/// The queue of a survey on several machines.
#[cfg(feature = "nats")]
#[derive(Debug, Args)]
#[command(next_help_heading = "Queue")]
pub(crate) struct SurveyQueue {
    /// The NATS server with the queue: nats://[USER@]HOST[:PORT], or tls:// instead of nats://
    #[arg(long, value_name = "URL", requires = "run")]
    pub(crate) queue: Option<QueueAddress>,

    /// The name of the survey on the queue
    #[arg(long, value_name = "NAME", requires = "queue")]
    pub(crate) run: Option<RunName>,

    /// The file with the password of USER
    #[arg(long, value_name = "FILE", requires = "queue")]
    pub(crate) queue_password_file: Option<PathBuf>,
}

/// Work for a survey on a queue, until it is done
///
/// Start it on any number of machines, at any time; each may be interrupted or killed. The survey's settings, with the budgets
/// and the client's name, come from the queue. No two workers connect to the same network at the same time.
#[cfg(feature = "nats")]
#[derive(Debug, Args)]
#[command(after_help = "Exit codes:
  0    the survey is done
  2    wrong usage, a queue that cannot be used, or a client name that does not resolve back; no server was dialed
  3    the queue cannot be reached, or the network does not let connections to the port out
  7    no look-up was answered
  129, 130, 143  interrupted; other workers go on")]
#[command(mut_arg("queue", |it| it.required(true)))]
pub(crate) struct SurveyWork {
    #[command(flatten)]
    pub(crate) queue: SurveyQueue,

    /// The most lanes at the same time; a lane is a group of networks that no other worker connects to meanwhile
    #[arg(long, value_name = "N", default_value_t = 64, value_parser = clap::value_parser!(u16).range(1..), help_heading = "Queue")]
    pub(crate) most_lanes: u16,

    /// This machine's host name, for EHLO [default: that of the survey]
    #[arg(long, value_name = "NAME", help_heading = "Identity")]
    pub(crate) client_name: Option<DnsName>,

    #[command(flatten)]
    pub(crate) machine: SurveyMachine,

    #[command(flatten)]
    pub(crate) output: Output,
}

/// Collect the results of a survey on a queue into its folder, and plan its further passes, until it is done
///
/// The folder is the one that "plan --queue" has made. It contains the survey then, for "status", "join" and "verify".
#[cfg(feature = "nats")]
#[derive(Debug, Args)]
#[command(after_help = "Exit codes:
  0    done
  2    wrong usage, a queue that cannot be used, or a folder of another survey
  3    the queue cannot be reached
  7    endpoints stayed throttled after the last pass, or no look-up was answered
  129, 130, 143  interrupted; the same command goes on")]
#[command(mut_arg("queue", |it| it.required(true)))]
pub(crate) struct SurveyCollect {
    #[command(flatten)]
    pub(crate) queue: SurveyQueue,

    /// The folder of the survey
    #[arg(long, value_name = "DIR")]
    pub(crate) out: PathBuf,

    /// The table of networks that "plan" got; needed if "plan" was interrupted
    #[arg(long, value_name = "FILE")]
    pub(crate) as_table: Option<PathBuf>,

    /// The public suffix list that "plan" got
    #[arg(long, value_name = "FILE")]
    pub(crate) suffix_list: Option<PathBuf>,

    #[command(flatten)]
    pub(crate) output: Output,
}

/// How often to connect. The defaults are made for networks of others.
#[derive(Debug, Args)]
#[command(next_help_heading = "Pace")]
pub(crate) struct SurveyPace {
    /// The most connections per second to one address; one at the same time
    #[arg(long, value_name = "N", default_value_t = 1.0, value_parser = rate)]
    pub(crate) address_rate: f64,

    /// The most connections per second to a /24, or a /48 with IPv6; 10 at the same time
    #[arg(long, value_name = "N", default_value_t = 5.0, value_parser = rate)]
    pub(crate) subnet_rate: f64,

    /// The most connections per second to an AS, or a /16 without --as-table; 50 at the same time
    #[arg(long, value_name = "N", default_value_t = 20.0, value_parser = rate)]
    pub(crate) network_rate: f64,

    /// The most connections per second to names under one registrable suffix; 50 at the same time
    #[arg(long, value_name = "N", default_value_t = 20.0, value_parser = rate)]
    pub(crate) suffix_rate: f64,

    /// How long to leave a /24 alone that turned a client away; it doubles with each repetition, up to 16 times as long
    #[arg(long, value_name = "TIME", default_value = "15m", value_parser = duration)]
    pub(crate) pause: Duration,

    /// The wait before each further pass over what was throttled or not answered; "none" is one pass
    #[arg(long, value_name = "TIME,…", default_value = "1h,6h", value_parser = waits)]
    pub(crate) retry_after: Waits,
}

/// What to connect to.
#[derive(Debug, Args)]
#[command(next_help_heading = "Scope")]
pub(crate) struct SurveyScope {
    /// A table of networks, PREFIX,ASNUMBER a line, so that budgets are for an AS
    #[arg(long, value_name = "FILE")]
    pub(crate) as_table: Option<PathBuf>,

    /// The public suffix list [default: that of Debian's package publicsuffix, or the last two labels of a name]
    #[arg(long, value_name = "FILE")]
    pub(crate) suffix_list: Option<PathBuf>,

    /// How many names under one registrable suffix to probe at an address; the others are compared with their certificate
    #[arg(long, value_name = "N", default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) samples: u32,

    /// Probe every name at every address
    #[arg(long, conflicts_with = "samples")]
    pub(crate) every_name: bool,

    /// Decides the order of the targets and the choice of samples
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub(crate) seed: u64,

    /// The most lanes: groups of networks that are worked on side by side
    #[arg(long, value_name = "N", default_value_t = 256, value_parser = clap::value_parser!(u16).range(1..=512))]
    pub(crate) lanes: u16,

    /// Which parts of transcripts to keep
    #[arg(long, value_enum, default_value_t = EvidenceArg::Failures)]
    pub(crate) evidence: EvidenceArg,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum ProbeArg {
    Offer,
    Certificate,
    Tls,
    Full,
}

impl From<ProbeArg> for ProbeKind {
    fn from(arg: ProbeArg) -> Self {
        match arg {
            ProbeArg::Offer => Self::Offer,
            ProbeArg::Certificate => Self::Certificate,
            ProbeArg::Tls => Self::Tls,
            ProbeArg::Full => Self::Full,
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum EvidenceArg {
    None,
    Failures,
    All,
}

impl From<EvidenceArg> for EvidenceKept {
    fn from(arg: EvidenceArg) -> Self {
        match arg {
            EvidenceArg::None => Self::None,
            EvidenceArg::Failures => Self::Failures,
            EvidenceArg::All => Self::All,
        }
    }
}

/// Show how far a survey is: what is done, what is left, and what decides the time
#[derive(Debug, Args)]
pub(crate) struct SurveyStatus {
    /// The folder of the survey
    #[arg(value_name = "DIR")]
    #[cfg_attr(feature = "nats", arg(required_unless_present = "queue", conflicts_with = "queue"))]
    #[cfg_attr(not(feature = "nats"), arg(required = true))]
    pub(crate) folder: Option<PathBuf>,

    #[cfg(feature = "nats")]
    #[command(flatten)]
    pub(crate) queue: SurveyQueue,

    /// Repeat every two seconds, until the survey is done
    #[arg(long)]
    pub(crate) watch: bool,

    /// json: one object on standard output; prometheus: metrics, for the textfile collector of node_exporter
    #[arg(long, value_enum, default_value_t = StatusFormat::Text)]
    pub(crate) format: StatusFormat,

    #[command(flatten)]
    pub(crate) output: Output,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum StatusFormat {
    Text,
    Json,
    Prometheus,
}

/// Join the results so far to the domains, and write each certificate once
///
/// Writes joined/domains.jsonl.zst and joined/certificates.jsonl.zst in the folder of the survey. "run" does it at its end.
#[derive(Debug, Args)]
pub(crate) struct SurveyJoin {
    /// The folder of the survey
    #[arg(value_name = "DIR")]
    pub(crate) folder: PathBuf,

    /// The public suffix list that the survey used
    #[arg(long, value_name = "FILE")]
    pub(crate) suffix_list: Option<PathBuf>,

    #[command(flatten)]
    pub(crate) output: Output,
}

/// Check that every planned target has one whole row
#[derive(Debug, Args)]
#[command(after_help = "Exit codes:
  0   every planned target has one row
  1   rows are missing, repeated or damaged
  2   the folder contains no survey
  7   the survey is not finished, and nothing is wrong so far")]
pub(crate) struct SurveyVerify {
    /// The folder of the survey
    #[arg(value_name = "DIR")]
    pub(crate) folder: PathBuf,

    #[command(flatten)]
    pub(crate) output: Output,
}

/// Change or show the list of those that do not want to be surveyed
///
/// A running survey that uses the file notices a change within five seconds. With --queue and --run, "add" and "remove" also
/// change the list on the queue, and the workers of that survey notice it within five seconds, on all machines.
#[derive(Debug, Args)]
pub(crate) struct SurveyOptOut {
    #[command(subcommand)]
    pub(crate) command: OptOutCommand,
}

#[derive(Debug, Subcommand)]
pub(crate) enum OptOutCommand {
    /// Add prefixes, AS and domains with all names below them; with --queue, the queue gets the whole list of the file
    Add(OptOutChange),
    /// Remove entries
    Remove(OptOutChange),
    /// Print the list of a file, or that of a survey on a queue
    List(OptOutShow),
}

/// Entries of an opt-out list that are added or removed.
#[derive(Debug, Args)]
pub(crate) struct OptOutChange {
    /// The file with the list
    #[arg(value_name = "FILE")]
    pub(crate) file: PathBuf,

    /// A prefix, an AS such as AS64500, or a domain
    #[arg(value_name = "ENTRY", required = true)]
    pub(crate) entries: Vec<OptOutEntry>,

    #[cfg(feature = "nats")]
    #[command(flatten)]
    pub(crate) queue: SurveyQueue,
}

/// Which opt-out list is shown.
#[derive(Debug, Args)]
pub(crate) struct OptOutShow {
    /// The file with the list
    #[arg(value_name = "FILE")]
    #[cfg_attr(feature = "nats", arg(required_unless_present = "queue", conflicts_with = "queue"))]
    #[cfg_attr(not(feature = "nats"), arg(required = true))]
    pub(crate) file: Option<PathBuf>,

    #[cfg(feature = "nats")]
    #[command(flatten)]
    pub(crate) queue: SurveyQueue,
}

/// The waits before the further passes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Waits(pub(crate) Vec<Duration>);

/// The most passes after the first one.
const MAX_WAITS: usize = 9;

fn waits(text: &str) -> Result<Waits, String> {
    if text == "none" {
        return Ok(Waits(Vec::new()));
    }
    let waits: Result<Vec<_>, _> = text.split(',').map(duration).collect();
    let waits = waits.map_err(|error| error.to_string())?;
    if waits.len() > MAX_WAITS {
        return Err(format!("expected at most {MAX_WAITS} times, found {}", waits.len()));
    }
    Ok(Waits(waits))
}

/// The options of a machine that connects to servers. With a queue, that is not this one.
#[cfg(feature = "nats")]
fn on_this_machine(queue: clap::Arg) -> clap::Arg {
    queue.conflicts_with_all([
        "opt_out",
        "canary",
        "block",
        "blocklist",
        "allow_special",
        "ca_file",
        "no_system_roots",
        "source",
    ])
}

/// Parses a lease: long enough that a slow network does not end it, and short enough that a lane does not wait for hours.
#[cfg(feature = "nats")]
fn lease(text: &str) -> Result<Duration, String> {
    let lease = duration(text).map_err(|error| error.to_string())?;
    let limits = Duration::from_secs(2)..=Duration::from_secs(3600);
    if limits.contains(&lease) { Ok(lease) } else { Err(String::from("expected a time from 2s to 1h")) }
}

fn rate(text: &str) -> Result<f64, String> {
    let rate = text.parse::<f64>().ok().filter(|it| it.is_finite() && *it >= 0.001 && *it <= 1e6);
    rate.ok_or_else(|| String::from("expected a number of connections per second, from 0.001 to 1000000"))
}

fn contact(text: &str) -> Result<String, String> {
    let host = text.strip_prefix("https://").or_else(|| text.strip_prefix("http://"));
    let host = host.and_then(|rest| rest.split(['/', ':']).next());
    match host.is_some_and(|it| it.parse::<DnsName>().is_ok()) {
        true => Ok(text.to_owned()),
        false => Err(String::from("expected the URL of a page, such as https://probe.example.org")),
    }
}
