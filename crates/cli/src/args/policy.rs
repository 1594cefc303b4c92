//! The arguments of `policy`.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Subcommand, ValueEnum};
use clap_complete::ArgValueCandidates;
use starttls_dns::{DnsName, TlsaData};
use starttls_policy::sts::{MxPattern, StsMode};

use super::common::{Format, Output, Resolver, Trust, duration};
use super::hello::Dialing;
#[cfg(feature = "gateway")]
use super::policy_service::{PolicyForget, PolicyList, PolicyServe, PolicyShow};
use crate::candidates;

#[cfg(feature = "gateway")]
macro_rules! service_examples {
    () => {
        "
  starttls policy serve --state policies.jsonl
  starttls policy show example.com --state policies.jsonl"
    };
}
#[cfg(not(feature = "gateway"))]
macro_rules! service_examples {
    () => {
        ""
    };
}

/// Make stripping fail: DANE, MTA-STS and TLSRPT for mail between servers
///
/// STARTTLS alone can be suppressed by an attacker in the path. With these policies a domain tells senders that its
/// servers support TLS and how their certificates are authenticated.
#[derive(Debug, Args)]
#[command(after_help = concat!(
    "Examples:
  starttls policy check example.com
  starttls policy sts example.com --mx mx1.example.com --mx '*.mail.example.com'
  starttls policy sts --lint mta-sts.txt
  starttls policy tlsa --from chain.pem --name mx1.example.com
  starttls policy tlsa --live smtp://mx1.example.com --next new-key.pem
  starttls policy report tlsrpt/*.json.gz",
    service_examples!()
))]
pub(crate) struct Policy {
    #[command(subcommand)]
    pub(crate) command: PolicyCommand,
}

#[derive(Debug, Subcommand)]
pub(crate) enum PolicyCommand {
    Check(Box<PolicyCheck>),
    #[cfg(feature = "gateway")]
    Forget(PolicyForget),
    #[cfg(feature = "gateway")]
    List(PolicyList),
    Report(PolicyReport),
    #[cfg(feature = "gateway")]
    Serve(Box<PolicyServe>),
    #[cfg(feature = "gateway")]
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
