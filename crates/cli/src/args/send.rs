//! The arguments of `send`.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, ValueEnum};
use clap_complete::ArgValueCandidates;
use starttls::submission::{Notify, Until};
use starttls_policy::decide::PolicyChoice;

use super::common::{Format, Output, Peer, Resolver, Trace, duration};
use super::login::Credentials;
use crate::candidates;

/// Send a mail message, only inside TLS, and show each step
///
/// The message is built from --subject, --body, --body-file, --attach and --header. Without these options, a
/// complete message is read from standard input and sent unchanged; its lines may end in LF. TARGET is a
/// submission server or another mail server. With --mx, the message goes to the mail exchangers of the
/// recipients' domain, in order of preference.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  starttls send submission://mail.example.com --user john --from john@example.com --to jane@example.org \\
      --subject 'A test' --body 'Hello!' --attach report.pdf
  starttls send --mx --from john@example.com --to jane@example.org < message.eml
  starttls send --mx --to jane@example.org --policy-cache policies.jsonl < message.eml
  starttls send lmtp://localhost:24 --to jane@example.org --body Hello
  starttls send smtp://mx.example.org --to jane@example.org --until rcpt

Exit codes of send in addition to those of every command:
  1   the server refused the message or a recipient, or does not offer an extension that the message needs
  4   no STARTTLS, also where a policy of the domain requires it
  5   TLS failed, or no exchanger satisfies the policy of the domain
  7   a temporary refusal, or a failed lookup on which a policy depends
  8   the server refused the login")]
pub(crate) struct Send {
    /// PROTO://HOST[:PORT]: submission, smtp, lmtp, smtps
    #[arg(required_unless_present = "mx", conflicts_with = "mx", add = ArgValueCandidates::new(candidates::targets))]
    pub(crate) target: Option<String>,

    /// Deliver directly to the mail exchangers of the recipients' domain, in order of preference
    #[arg(long, conflicts_with = "proxy")]
    pub(crate) mx: bool,

    /// The sender, in the envelope and in a message that is built; empty for the null sender
    #[arg(long, value_name = "ADDRESS", default_value = "")]
    pub(crate) from: String,

    /// A recipient; can be used more than once
    #[arg(long, value_name = "ADDRESS", required = true)]
    pub(crate) to: Vec<String>,

    /// Stop after this step, without sending the message
    #[arg(long, value_enum, value_name = "STEP")]
    pub(crate) until: Option<Stop>,

    /// Which policies of the domain to obey: best is DANE, and MTA-STS where DANE does not authenticate the server; sts
    /// is MTA-STS in addition to DANE [default: best with --mx, none with TARGET]
    #[arg(long, value_enum, value_name = "CHOICE")]
    pub(crate) policy: Option<PolicyArg>,

    /// Keep the MTA-STS policies that deliveries fetch in this file, and obey them until they expire, even if an attacker
    /// suppresses the record of the domain. Without this, each run asks anew
    #[cfg(unix)]
    #[arg(long, value_name = "FILE")]
    pub(crate) policy_cache: Option<PathBuf>,

    /// Create an empty --policy-cache, or replace the old one
    #[cfg(unix)]
    #[arg(long, requires = "policy_cache")]
    pub(crate) reset_policy_cache: bool,

    /// With --mx: report each session to the collector of TLSRPT data that listens on this datagram socket, in libtlsrpt's
    /// format, if the domain asks for reports
    #[arg(long, value_name = "SOCKET", requires = "mx")]
    pub(crate) tlsrpt: Option<PathBuf>,

    /// The port of policy hosts, for tests
    #[arg(long, default_value_t = 443, hide = true)]
    pub(crate) sts_port: u16,

    /// The port of mail exchangers, for tests
    #[arg(long, default_value_t = 25, hide = true)]
    pub(crate) mx_port: u16,

    /// Require every server on the path to use verified TLS, or to return the message (REQUIRETLS). With --mx, DNSSEC
    /// or MTA-STS must prove the exchanger
    #[arg(long, conflicts_with_all = ["tls_optional", "insecure"])]
    pub(crate) require_tls: bool,

    /// Deliver rather than obey policies (the header field TLS-Required: No): the servers after this one may deliver
    /// without TLS, and with --mx the policies of the domain are shown and not enforced
    #[arg(long)]
    pub(crate) tls_optional: bool,

    /// Request delivery reports (DSN)
    #[arg(long, value_enum, value_name = "WHEN,…", value_delimiter = ',')]
    pub(crate) notify: Vec<NotifyArg>,

    /// Send the message with DATA even if the server offers CHUNKING
    #[arg(long)]
    pub(crate) no_chunking: bool,

    /// The time limit for the delivery inside TLS as a whole. Each reply also has the limit of RFC 5321 section
    /// 4.5.3.2: 2 minutes for DATA, 10 for the message, 5 for the other commands
    #[arg(long, value_name = "TIME", default_value = "15m", value_parser = duration)]
    pub(crate) deadline: Duration,

    /// The format of the report; with json, one object is written to standard output
    #[arg(long, value_enum, default_value_t = Format::Text)]
    pub(crate) format: Format,

    #[command(flatten)]
    pub(crate) compose: Compose,

    #[command(flatten)]
    pub(crate) credentials: Credentials,

    #[command(flatten)]
    pub(crate) resolver: Resolver,

    #[command(flatten)]
    pub(crate) peer: Peer,

    #[command(flatten)]
    pub(crate) trace: Trace,

    #[command(flatten)]
    pub(crate) output: Output,
}

/// A message to build.
#[derive(Debug, Args)]
#[command(next_help_heading = "Message")]
pub(crate) struct Compose {
    /// The subject
    #[arg(long, value_name = "TEXT")]
    pub(crate) subject: Option<String>,

    /// The text
    #[arg(long, value_name = "TEXT", conflicts_with = "body_file")]
    pub(crate) body: Option<String>,

    /// The file with the text; - is standard input
    #[arg(long, value_name = "FILE")]
    pub(crate) body_file: Option<PathBuf>,

    /// A file to attach; can be used more than once
    #[arg(long, value_name = "FILE")]
    pub(crate) attach: Vec<PathBuf>,

    /// A header field; can be used more than once
    #[arg(long, value_name = "NAME: VALUE")]
    pub(crate) header: Vec<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Stop {
    /// Before TLS, after the reply to EHLO
    Ehlo,
    /// After the reply to EHLO inside TLS
    Starttls,
    /// After the login
    Auth,
    /// After the replies to RCPT
    Rcpt,
    /// After the reply to DATA: the connection is then aborted
    Data,
}

impl Stop {
    /// Returns the last step of the delivery inside TLS.
    pub(crate) fn until(self) -> Until {
        match self {
            Self::Ehlo | Self::Starttls | Self::Auth => Until::Hello,
            Self::Rcpt => Until::Recipients,
            Self::Data => Until::Data,
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum PolicyArg {
    Best,
    Dane,
    Sts,
    None,
}

impl From<PolicyArg> for PolicyChoice {
    fn from(arg: PolicyArg) -> Self {
        match arg {
            PolicyArg::Best => Self::Best,
            PolicyArg::Dane => Self::Dane,
            PolicyArg::Sts => Self::Sts,
            PolicyArg::None => Self::None,
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum NotifyArg {
    Success,
    Failure,
    Delay,
    Never,
}

impl From<NotifyArg> for Notify {
    fn from(arg: NotifyArg) -> Self {
        match arg {
            NotifyArg::Success => Self::Success,
            NotifyArg::Failure => Self::Failure,
            NotifyArg::Delay => Self::Delay,
            NotifyArg::Never => Self::Never,
        }
    }
}
