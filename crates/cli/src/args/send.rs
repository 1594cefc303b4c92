//! The arguments of `send`.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, ValueEnum};
use starttls::submission::{Notify, Until};

use super::check::dns_server;
use super::{Credentials, Format, Output, Peer, Trace, duration};

/// Hand in a message, inside TLS and not otherwise, and show each step
///
/// Without --subject, --body, --body-file, --attach and --header a ready message is read from standard input
/// and passed on as it is; only its lines' ends may be LF. The server is a submission server to log in to, a
/// named host, or with --mx the mail exchangers of the recipients' domain, in order of preference.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  starttls send submission://mail.example.com --user john --from john@example.com --to jane@example.org \\
      --subject 'A test' --body 'Hello!' --attach report.pdf
  starttls send --mx --from john@example.com --to jane@example.org < message.eml
  starttls send lmtp://localhost:24 --to jane@example.org --body Hello
  starttls send smtp://mx.example.org --to jane@example.org --until rcpt

Exit code 1: the server refused the message, or a recipient of it; 7: it did so for now; 8: it refused the
login. The others are those of every command.")]
pub(crate) struct Send {
    /// PROTO://HOST[:PORT]: submission, smtp, lmtp, smtps
    #[arg(required_unless_present = "mx", conflicts_with = "mx")]
    pub(crate) target: Option<String>,

    /// Deliver straight to the recipients' domain, to its mail exchangers in order of preference
    #[arg(long)]
    pub(crate) mx: bool,

    /// The sender, in the envelope and in a message that is built; empty for none
    #[arg(long, value_name = "ADDRESS", default_value = "")]
    pub(crate) from: String,

    /// A recipient; give it again for more
    #[arg(long, value_name = "ADDRESS", required = true)]
    pub(crate) to: Vec<String>,

    /// Stop early, without sending the message
    #[arg(long, value_enum, value_name = "STEP")]
    pub(crate) until: Option<Stop>,

    /// Have every server on the way use verified TLS, or send the message back (REQUIRETLS)
    #[arg(long, conflicts_with = "tls_optional")]
    pub(crate) require_tls: bool,

    /// Have the servers behind this one deliver even without TLS (the header TLS-Required: No)
    #[arg(long)]
    pub(crate) tls_optional: bool,

    /// Ask for reports (DSN)
    #[arg(long, value_enum, value_name = "WHEN,…", value_delimiter = ',')]
    pub(crate) notify: Vec<NotifyArg>,

    /// Send the message by DATA, though the server offers CHUNKING
    #[arg(long)]
    pub(crate) no_chunking: bool,

    /// For the delivery inside TLS as a whole. Each answer has the time of RFC 5321 section 4.5.3.2 at most:
    /// 2 minutes for DATA, 10 for the message, 5 for the others
    #[arg(long, value_name = "TIME", default_value = "15m", value_parser = duration)]
    pub(crate) deadline: Duration,

    /// json: one object on standard output
    #[arg(long, value_enum, default_value_t = Format::Text)]
    pub(crate) format: Format,

    #[command(flatten)]
    pub(crate) compose: Compose,

    #[command(flatten)]
    pub(crate) credentials: Credentials,

    /// Ask this DNS server instead of the system's, with --mx [default port: 53]
    #[arg(long, value_name = "ADDR[:PORT]", value_parser = dns_server, help_heading = "Connection")]
    pub(crate) resolver: Option<SocketAddr>,

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
    /// Its subject
    #[arg(long, value_name = "TEXT")]
    pub(crate) subject: Option<String>,

    /// Its text
    #[arg(long, value_name = "TEXT", conflicts_with = "body_file")]
    pub(crate) body: Option<String>,

    /// Its text, from a file; - is standard input
    #[arg(long, value_name = "FILE")]
    pub(crate) body_file: Option<PathBuf>,

    /// A file to attach; give it again for more
    #[arg(long, value_name = "FILE")]
    pub(crate) attach: Vec<PathBuf>,

    /// A header field; give it again for more
    #[arg(long, value_name = "NAME: VALUE")]
    pub(crate) header: Vec<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Stop {
    /// Before TLS, after the answer to EHLO
    Ehlo,
    /// After the answer to EHLO inside TLS
    Starttls,
    /// After the login
    Auth,
    /// After the answers to RCPT
    Rcpt,
    /// When the server waits for the message: the connection is cut
    Data,
}

impl Stop {
    /// How far a delivery goes.
    pub(crate) fn until(self) -> Until {
        match self {
            Self::Ehlo | Self::Starttls | Self::Auth => Until::Hello,
            Self::Rcpt => Until::Recipients,
            Self::Data => Until::Data,
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
