//! The arguments of `check` and `explain`.

use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, ValueEnum};
use starttls_audit::report::Severity;

use super::{Output, Peer, duration};

/// Audit a server's upgrade: is it offered, enforced, verified, and free of the attacks on the seam
///
/// Opens at most 25 connections to an endpoint and sends harmless probes only: it never completes a mail
/// transaction and never tries a real password. Every verdict points at the bytes that show it.
///
/// A URL with smtps, imaps, pop3s, ldaps and the like is a port where TLS starts at the first byte: its
/// certificate, its TLS and what the session inside shows are audited, and the checks of the upgrade do
/// not apply.
///
/// HOST alone is a domain, and all that it announces is audited: its mail exchangers (MX) on port 25, and
/// what its SRV records name for submission, IMAP, POP3, ManageSieve, XMPP and LDAP. Every address is an
/// endpoint of its own; of one domain, 50 at most. Where nothing is announced, the services on the host's
/// own well-known ports are audited. A network, such as smtp://192.0.2.0/28, stands for each of its hosts,
/// at most 1024.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  starttls check submission://mail.example.com
  starttls check example.com                            all that the domain announces
  starttls check smtp://mx1.example.com imap://mail.example.com --format html --output report.html
  starttls check imaps://mail.example.com               TLS from the first byte
  starttls check --file targets.txt --format json --resume report.jsonl
  starttls check imap://mail.example.com --format nagios --expiry-warning 21
  starttls check example.com --format text,html,sarif --output-dir reports
  starttls explain srv-inject-eager

Of several endpoints, the exit code is the first of 6, 5, 4, 1, 3, 7 that one of them has; it is
2 when all are sound and a line of the file is no target. A signal leaves a partial report and whole
lines; the code is then 128 and the signal's number. With --format nagios the exit codes are a plugin's: 0 ok, 1 warning, 2 critical, 3 unknown.")]
pub(crate) struct Check {
    /// PROTO://HOST[:PORT], HOST:PORT with a well-known port, or a domain; several are audited in order
    pub(crate) targets: Vec<String>,

    /// Read more targets from here, one a line, # starts a comment; - is standard input. A line that is no
    /// target is reported and passed over
    #[arg(long, value_name = "FILE")]
    pub(crate) file: Option<PathBuf>,

    /// Go on with this earlier output of --format json: skip the targets in it, except those that were
    /// unreachable or throttled, and append to it (or write the new lines to --output). A line that was cut
    /// off at the end is done again. The exit code is that of the whole file
    #[arg(long, value_name = "FILE")]
    pub(crate) resume: Option<PathBuf>,

    /// List the selected checks with the connections and logins that they need, and do nothing else
    #[arg(long)]
    pub(crate) list: bool,

    /// Run only these checks, by id or family (srv, cert, tls, leak, time); the audit opens only the connections
    /// that they need. cert is the certificate for the server name; cert-no-sni and cert-unknown-sni are selected
    /// by id
    #[arg(long, value_name = "ID,…", value_delimiter = ',')]
    pub(crate) only: Vec<String>,

    /// Run only the checks for monitoring: offer, upgrade and certificate. Opens at most 2 connections and sends
    /// no login
    #[arg(long, conflicts_with = "only")]
    pub(crate) light: bool,

    /// Do not run these checks, by id or family
    #[arg(long, value_name = "ID,…", value_delimiter = ',')]
    pub(crate) skip: Vec<String>,

    /// Exit with 1 when something at least this bad is found
    #[arg(long, value_enum, default_value_t = SeverityArg::Warning, value_name = "SEVERITY")]
    pub(crate) fail_on: SeverityArg,

    /// Compare with this older JSON report: problems that it has stay in the report as known and do not count
    #[arg(long, value_name = "FILE")]
    pub(crate) baseline: Option<PathBuf>,

    /// Connections to one endpoint in all
    #[arg(long, value_name = "N", default_value_t = 25, value_parser = clap::value_parser!(u32).range(1..=1000))]
    pub(crate) max_connections: u32,

    /// Connections to one endpoint at once
    #[arg(long, value_name = "N", default_value_t = 4, value_parser = clap::value_parser!(u16).range(1..=100))]
    pub(crate) concurrency: u16,

    /// Pause between two connections to one endpoint
    #[arg(long, value_name = "TIME", value_parser = duration)]
    pub(crate) pace: Option<Duration>,

    /// Time for the whole audit of one endpoint; what was not seen by then is inconclusive [default: 5m,
    /// and as much more as --slow and --pace need]
    #[arg(long, value_name = "TIME", value_parser = duration)]
    pub(crate) deadline: Option<Duration>,

    /// Endpoints that are audited at once
    #[arg(long, value_name = "N", default_value_t = 4, value_parser = clap::value_parser!(u16).range(1..=1000))]
    pub(crate) parallel: u16,

    /// Also the checks that have to wait, up to five minutes each
    #[arg(long)]
    pub(crate) slow: bool,

    /// Where the same service speaks TLS from the first byte [default: the protocol's port for that, when
    /// the upgrade is on its own port]
    #[arg(long, value_name = "PORT", value_parser = clap::value_parser!(u16).range(1..))]
    pub(crate) implicit_port: Option<u16>,

    /// The format of the report, or several of them with --output-dir; with json alone, several endpoints are
    /// one line each as they are done
    #[arg(long, value_enum, value_name = "FORMAT,…", value_delimiter = ',', default_value = "text")]
    pub(crate) format: Vec<ReportFormat>,

    /// Write each format to a file of its own in this folder: report.txt, report.json, report.csv,
    /// report.junit.xml, report.sarif, report.html, report.nagios, report.prom
    #[arg(long, value_name = "DIR", conflicts_with = "output")]
    pub(crate) output_dir: Option<PathBuf>,

    /// Report a certificate that has fewer days left than this
    #[arg(long, value_name = "DAYS", visible_alias = "warning-days", default_value_t = 14)]
    pub(crate) expiry_warning: i64,

    /// With nagios: fewer days left than this are critical
    #[arg(long, value_name = "DAYS", default_value_t = 7)]
    pub(crate) critical_days: i64,

    /// Leave the conversations out of the report
    #[arg(long)]
    pub(crate) no_transcripts: bool,

    /// With sarif: show results at this file of the repository [default: the line of --file that has the
    /// target, or the baseline]
    #[arg(long, value_name = "FILE")]
    pub(crate) sarif_location: Option<String>,

    /// Ask this DNS server instead of the system's [default port: 53]
    #[arg(long, value_name = "ADDR[:PORT]", value_parser = dns_server, help_heading = "Connection")]
    pub(crate) resolver: Option<SocketAddr>,

    #[command(flatten)]
    pub(crate) peer: Peer,

    #[command(flatten)]
    pub(crate) output: Output,
}

/// Say what a check looks for or what an attack does, why it matters, and what to do
#[derive(Debug, Args)]
pub(crate) struct Explain {
    /// The id of the check or the attack, as reports, `check --list` and `attack --list` have it
    pub(crate) id: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum ReportFormat {
    Text,
    Json,
    Csv,
    Junit,
    Sarif,
    Html,
    Nagios,
    Prometheus,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum SeverityArg {
    Info,
    Warning,
    Error,
    Critical,
}

impl From<SeverityArg> for Severity {
    fn from(arg: SeverityArg) -> Self {
        match arg {
            SeverityArg::Info => Self::Info,
            SeverityArg::Warning => Self::Warning,
            SeverityArg::Error => Self::Error,
            SeverityArg::Critical => Self::Critical,
        }
    }
}

pub(super) fn dns_server(text: &str) -> Result<SocketAddr, String> {
    let bare = text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(text);
    let with_usual_port = bare.parse::<IpAddr>().map(|address| SocketAddr::new(address, 53));
    with_usual_port
        .or_else(|_| text.parse())
        .map_err(|_| String::from("a DNS server is an address, with or without a port"))
}
