//! The arguments of `check` and `explain`.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, ValueEnum};
use clap_complete::ArgValueCandidates;
use starttls_audit::SurveyExtent;
use starttls_audit::report::Severity;
use starttls_hello::WalkSize;

use super::common::{Output, Peer, dns_server, duration};
use crate::candidates;

/// Audit a server: is the upgrade offered, enforced and verified, and is it safe from injection?
///
/// The audit opens at most 30 connections to an endpoint and sends only harmless probes: it never completes a
/// mail transaction and never tries a real password. Every verdict contains the bytes that prove it.
///
/// A URL with smtps, imaps, pop3s, ldaps or a similar scheme is a port where TLS starts at the first byte. The
/// audit covers its certificate, its TLS and the session inside; the checks of the upgrade do not apply.
///
/// HOST alone is a domain. The audit covers everything that the domain announces in DNS: its mail exchangers
/// (MX) on port 25, and the servers in its SRV records for submission, IMAP, POP3, ManageSieve, XMPP and LDAP.
/// Every address is an endpoint of its own, at most 50 for one domain. If the domain announces nothing, the
/// services on the well-known ports of the host are audited. A network, such as smtp://192.0.2.0/28, stands for
/// each of its hosts, at most 1024.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  starttls check submission://mail.example.com
  starttls check example.com                            everything that the domain announces
  starttls check smtp://mx1.example.com imap://mail.example.com --format html --output report.html
  starttls check imaps://mail.example.com               TLS from the first byte
  starttls check smtp://mx1.example.com --tls survey    all classes of suites, groups and properties of TLS
  starttls check imap://mail.example.com --profile rfc9325
  starttls check --file targets.txt --format json --resume report.jsonl
  starttls check imap://mail.example.com --format nagios --expiry-warning 21
  starttls check example.com --format text,html,sarif --output-dir reports
  starttls explain srv-inject-eager

For several endpoints, the exit code is the first of 6, 5, 4, 1, 3, 7 that applies to one of them. It is 2 if all
are sound and a line of the file is not a valid target. After a signal, the report is partial and the exit code is
128 plus the number of the signal. With --format nagios, the exit codes are those of a monitoring plugin: 0 ok,
1 warning, 2 critical, 3 unknown.")]
pub(crate) struct Check {
    /// PROTO://HOST[:PORT], HOST:PORT with a well-known port, or a domain; several are audited in order
    #[arg(add = ArgValueCandidates::new(candidates::targets))]
    pub(crate) targets: Vec<String>,

    /// Read more targets from this file, one per line; # starts a comment; - is standard input. A line that is not a
    /// valid target is reported and skipped
    #[arg(long, value_name = "FILE")]
    pub(crate) file: Option<PathBuf>,

    /// Continue an earlier run with its output of --format json: skip the targets in it, except those that were
    /// unreachable or throttled, and append to it (or write the new lines to --output). An incomplete last line is
    /// replaced. The exit code is that of the whole file
    #[arg(long, value_name = "FILE")]
    pub(crate) resume: Option<PathBuf>,

    /// List the selected checks with the connections and logins that they need, and do nothing else
    #[arg(long)]
    pub(crate) list: bool,

    /// Run only these checks, by id or family (srv, cert, tls, leak, time; of a domain's policies mx, dane, sts, rpt,
    /// req, caa); the audit opens only the connections that they need, and without a check of servers none is
    /// audited. cert is the certificate for the server name; cert-no-sni and cert-unknown-sni are selected by id
    #[arg(long, value_name = "ID,…", value_delimiter = ',', add = ArgValueCandidates::new(candidates::check_selection))]
    pub(crate) only: Vec<String>,

    /// Run only the checks for monitoring: offer, upgrade and certificate. Opens at most 2 connections and sends
    /// no login
    #[arg(long, conflicts_with = "only")]
    pub(crate) light: bool,

    /// Do not run these checks, by id or family
    #[arg(long, value_name = "ID,…", value_delimiter = ',', add = ArgValueCandidates::new(candidates::check_selection))]
    pub(crate) skip: Vec<String>,

    /// The least severe finding for which the exit code is 1
    #[arg(long, value_enum, default_value_t = SeverityArg::Warning, value_name = "SEVERITY")]
    pub(crate) fail_on: SeverityArg,

    /// Compare with this earlier JSON report: its problems are reported as known and do not affect the exit code
    #[arg(long, value_name = "FILE")]
    pub(crate) baseline: Option<PathBuf>,

    /// The most connections to one endpoint in total [default: 30, and what the TLS survey needs beyond a brief one]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=1000))]
    pub(crate) max_connections: Option<u32>,

    /// The most connections to one endpoint at the same time
    #[arg(long, value_name = "N", default_value_t = 4, value_parser = clap::value_parser!(u16).range(1..=100))]
    pub(crate) concurrency: u16,

    /// The pause between two connections to one endpoint
    #[arg(long, value_name = "TIME", value_parser = duration)]
    pub(crate) pace: Option<Duration>,

    /// The time limit for the whole audit of one endpoint; checks that have not finished are inconclusive
    /// [default: 5m, plus the time that --slow and --pace need]
    #[arg(long, value_name = "TIME", value_parser = duration)]
    pub(crate) deadline: Option<Duration>,

    /// The number of endpoints that are audited at the same time
    #[arg(long, value_name = "N", default_value_t = 4, value_parser = clap::value_parser!(u16).range(1..=1000))]
    pub(crate) parallel: u16,

    /// Also run the checks that have to wait, up to five minutes each
    #[arg(long)]
    pub(crate) slow: bool,

    /// The extent of the TLS survey, which finds versions and suites that no secure client offers. Each of its
    /// ClientHellos takes a connection: none, brief (at most 8), survey (at most 30) or full (at most 60)
    /// [default: brief, or survey with --profile]
    #[arg(long, value_enum, value_name = "SIZE", conflicts_with = "light")]
    pub(crate) tls: Option<TlsSize>,

    /// Compare the TLS survey with a profile: rfc9325, mozilla-modern, mozilla-intermediate, mozilla-old, ncsc-nl, bsi,
    /// nist, or a file in the same format
    #[arg(long, value_name = "NAME|FILE", conflicts_with = "light", value_hint = clap::ValueHint::FilePath)]
    pub(crate) profile: Option<String>,

    /// The most ClientHellos of the TLS survey [default: 8, 30 or 60, depending on --tls]
    #[arg(long, value_name = "N", conflicts_with = "light", value_parser = clap::value_parser!(u16).range(1..=250))]
    pub(crate) tls_hellos: Option<u16>,

    /// The port where the same service starts TLS at the first byte [default: the protocol's port for that, if the
    /// target has the protocol's usual port]
    #[arg(long, value_name = "PORT", value_parser = clap::value_parser!(u16).range(1..))]
    pub(crate) implicit_port: Option<u16>,

    /// The format of the report, or several formats with --output-dir; with json alone and several endpoints, each
    /// endpoint is written as one line as soon as it is finished
    #[arg(long, value_enum, value_name = "FORMAT,…", value_delimiter = ',', default_value = "text")]
    pub(crate) format: Vec<ReportFormat>,

    /// Write each format to its own file in this folder: report.txt, report.json, report.csv,
    /// report.junit.xml, report.sarif, report.html, report.nagios, report.prom, report.testssl.json
    #[arg(long, value_name = "DIR", conflicts_with = "output")]
    pub(crate) output_dir: Option<PathBuf>,

    /// Report a certificate that expires in fewer days than this
    #[arg(long, value_name = "DAYS", visible_alias = "warning-days", default_value_t = 14)]
    pub(crate) expiry_warning: i64,

    /// With nagios: a certificate that expires in fewer days than this is critical
    #[arg(long, value_name = "DAYS", default_value_t = 7)]
    pub(crate) critical_days: i64,

    /// Leave the transcripts out of the report
    #[arg(long)]
    pub(crate) no_transcripts: bool,

    /// With sarif: the file of the repository that the results refer to [default: the line of --file that
    /// contains the target, or the baseline]
    #[arg(long, value_name = "FILE")]
    pub(crate) sarif_location: Option<String>,

    /// With a domain: leave out the checks of its policies (DANE, MTA-STS, TLSRPT), which --light and an --only without
    /// them leave out too
    #[arg(long)]
    pub(crate) no_policy: bool,

    /// Use this DNS server instead of the system's [default port: 53]
    #[arg(long, value_name = "ADDR[:PORT]", value_parser = dns_server, help_heading = "Connection")]
    pub(crate) resolver: Option<SocketAddr>,

    #[command(flatten)]
    pub(crate) peer: Peer,

    #[command(flatten)]
    pub(crate) output: Output,
}

#[cfg_attr(
    feature = "attack",
    doc = "Explain a check, an attack, a finding or a TLS profile: what it does, why it matters, and the fix"
)]
#[cfg_attr(
    not(feature = "attack"),
    doc = "Explain a check, a finding or a TLS profile: what it does, why it matters, and the fix"
)]
#[derive(Debug, Args)]
pub(crate) struct Explain {
    /// The id, as shown in reports and by the option --list of a command, or the word "profile"
    #[arg(add = ArgValueCandidates::new(candidates::ids))]
    pub(crate) id: String,

    /// With "profile": the name of the profile, or its file [default: list the built-in profiles]
    #[arg(value_name = "NAME|FILE")]
    pub(crate) profile: Option<String>,
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
    TestsslJson,
}

/// The extent of the TLS survey.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum TlsSize {
    None,
    Brief,
    Survey,
    Full,
}

impl Check {
    /// Returns the extent of the TLS survey; `None` if it is not run.
    pub(crate) fn survey(&self) -> Option<SurveyExtent> {
        let usual = if self.profile.is_some() { TlsSize::Survey } else { TlsSize::Brief };
        let size = match self.tls.unwrap_or(usual) {
            TlsSize::None => return None,
            TlsSize::Brief => WalkSize::Brief,
            TlsSize::Survey => WalkSize::Survey,
            TlsSize::Full => WalkSize::Full,
        };
        let hellos = self.tls_hellos.map_or(size.connections(), usize::from);
        Some(SurveyExtent { size, hellos })
    }
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
