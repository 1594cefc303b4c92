//! The command line, as clap reads it. Help, manual page and completions come from here.

mod attack;
mod check;
mod gateway;
mod hello;
mod login;
mod send;

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Parser, Subcommand, ValueEnum};
use starttls::proto::{ClientName, InvalidValue};

use crate::error::Failed;
use crate::exit;
use crate::target::{Host, Target};

pub(crate) use attack::{Attack, AttackFormat, FailOn};
pub(crate) use check::{Check, Explain, ReportFormat};
pub(crate) use gateway::{Gateway, Offer};
pub(crate) use hello::Hello;
pub(crate) use login::{Credentials, Login, Principal, Sasl};
pub(crate) use send::{Send, Stop};

/// STARTTLS, seen from every side: try, test and understand the upgrade to TLS on one port.
#[derive(Debug, Parser)]
#[command(name = "starttls", version, after_help = exit::HELP, max_term_width = 100)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    Attack(Box<Attack>),
    Check(Box<Check>),
    Connect(Box<Connect>),
    Explain(Explain),
    Gateway(Box<Gateway>),
    Hello(Box<Hello>),
    Lab(Lab),
    Login(Box<Login>),
    Sasl(Sasl),
    Send(Box<Send>),
    /// Print the completion script for a shell
    Completions {
        /// The shell
        shell: clap_complete::Shell,
    },
    /// Print the manual page of the program, or of one command (roff)
    Man {
        /// The command
        command: Option<String>,
    },
}

/// Upgrade a connection by hand: see the conversation, the TLS facts and the verdict, then talk inside TLS
///
/// The conversation and the report go to standard error; standard input and output are the session
/// inside TLS (line protocols send CRLF). At the end of input the session is closed in the protocol's
/// own way. Without a target, one sound server per protocol is started on this machine and tried.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  starttls connect smtp://mail.example.com             port 25, upgraded
  starttls connect submission://mail.example.com       port 587
  starttls connect imaps://mail.example.com            TLS from the first byte
  starttls connect ldap://ldap.example.com --ca-file ca.pem </dev/null
  starttls connect smtp://192.0.2.1 --server-name mail.example.com --format json
  starttls connect host.example.com:4000 --upgrade-on STARTTLS")]
pub(crate) struct Connect {
    /// PROTO://HOST[:PORT], or HOST:PORT with a well-known port [default: a lab on this machine]
    pub(crate) target: Option<String>,

    /// Talk in cleartext and do not upgrade
    #[arg(long, conflicts_with = "upgrade_on")]
    pub(crate) cleartext: bool,

    /// For a protocol that is not known here: talk in cleartext, and start TLS after the one-line answer
    /// to LINE, when LINE is typed
    #[arg(long, value_name = "LINE")]
    pub(crate) upgrade_on: Option<String>,

    /// Ask again up to N times, a second apart, when the upgrade is refused for a while
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub(crate) retry: u32,

    /// json: one object on standard output, and no session
    #[arg(long, value_enum, default_value_t = Format::Text)]
    pub(crate) format: Format,

    #[command(flatten)]
    pub(crate) peer: Peer,

    #[command(flatten)]
    pub(crate) trace: Trace,

    #[command(flatten)]
    pub(crate) output: Output,
}

/// Whom to dial, and whom to trust; the same for every command.
#[derive(Debug, Args)]
#[command(next_help_heading = "Connection")]
pub(crate) struct Peer {
    /// The name that is sent (SNI) and verified [default: HOST]
    #[arg(long, value_name = "NAME")]
    pub(crate) server_name: Option<String>,

    /// The client's own name (EHLO), a domain or an address literal [default: [127.0.0.1]; with send --mx
    /// the host's own name, if it is fully qualified]
    #[arg(long, value_name = "NAME", value_parser = client_name)]
    pub(crate) client_name: Option<ClientName>,

    /// Dial this instead of HOST: ADDR[:PORT] or unix:/PATH
    #[arg(long, value_name = "ADDR[:PORT]")]
    pub(crate) connect: Option<String>,

    /// Trust these root certificates too
    #[arg(long, value_name = "PEM")]
    pub(crate) ca_file: Option<PathBuf>,

    /// Do not trust the system's root certificates
    #[arg(long)]
    pub(crate) no_system_roots: bool,

    /// Client certificate, its chain behind it
    #[arg(long, value_name = "PEM", requires = "key")]
    pub(crate) cert: Option<PathBuf>,

    /// The client certificate's private key
    #[arg(long, value_name = "PEM", requires = "cert")]
    pub(crate) key: Option<PathBuf>,

    /// The time from the look-up of the name to the end of the handshake, and as long again for a login; in check,
    /// the time for each answer: 10s, 500ms, 2m
    #[arg(long, value_name = "TIME", default_value = "10s", value_parser = duration)]
    pub(crate) timeout: Duration,

    /// IPv4 only
    #[arg(short = '4', conflicts_with = "ipv6")]
    pub(crate) ipv4: bool,

    /// IPv6 only
    #[arg(short = '6')]
    pub(crate) ipv6: bool,
}

/// What a connection leaves behind, and how far it goes.
#[derive(Debug, Args)]
#[command(next_help_heading = "Connection")]
pub(crate) struct Trace {
    /// Finish the handshake whatever the certificate; the verdict is still shown
    #[arg(long)]
    pub(crate) insecure: bool,

    /// Write both directions with time stamps, secrets blanked
    #[arg(long, value_name = "FILE")]
    pub(crate) transcript: Option<PathBuf>,

    /// Write the session's keys for a capture's reader
    #[arg(long, value_name = "FILE", env = "SSLKEYLOGFILE", hide_env_values = true)]
    pub(crate) keylog: Option<PathBuf>,
}

/// How results are shown; the same for every command.
#[derive(Debug, Args)]
#[command(next_help_heading = "Output")]
pub(crate) struct Output {
    /// Write there instead of standard output
    #[arg(long, value_name = "FILE")]
    pub(crate) output: Option<PathBuf>,

    /// When to use colour
    #[arg(long, value_enum, default_value_t = When::Auto, value_name = "WHEN")]
    pub(crate) color: When,

    /// When to show progress on standard error
    #[arg(long, value_enum, default_value_t = Progress::Auto, value_name = "WHEN")]
    pub(crate) progress: Progress,

    /// Only the data: the session, the report
    #[arg(short, long, conflicts_with = "verbose")]
    pub(crate) quiet: bool,

    /// More detail, such as whole certificates
    #[arg(short, long)]
    pub(crate) verbose: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    Text,
    Json,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum When {
    Auto,
    Always,
    Never,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Progress {
    Auto,
    Never,
}

/// Run one sound server per protocol on this machine, until Ctrl-C
#[derive(Debug, Args)]
pub(crate) struct Lab {
    /// json: one line with everything, as soon as all listen
    #[arg(long, value_enum, default_value_t = Format::Text)]
    pub(crate) format: Format,

    /// Only these protocols, separated by commas
    #[arg(long, value_name = "PROTO,…", value_delimiter = ',')]
    pub(crate) only: Vec<String>,
}

impl Connect {
    /// The target, if one was named.
    pub(crate) fn target(&self) -> Result<Option<Target>, Failed> {
        self.target.as_deref().map(str::parse).transpose()
    }
}

/// Parses the client's own name. A Unicode domain becomes its ASCII form (A-labels), which every server reads.
fn client_name(text: &str) -> Result<ClientName, InvalidValue> {
    match text.parse::<Host>() {
        Ok(host) if !text.is_ascii() => host.ascii.parse(),
        _ => text.parse(),
    }
}

pub(crate) fn duration(text: &str) -> Result<Duration, String> {
    let (number, unit) = text.split_at(text.find(|c: char| c.is_ascii_alphabetic()).unwrap_or(text.len()));
    let factor = match unit {
        "ms" => 0.001,
        "s" | "" => 1.0,
        "m" | "min" => 60.0,
        _ => return Err(String::from("a time is a number and ms, s or m")),
    };
    let seconds =
        number.trim().parse::<f64>().map_err(|_| String::from("a time is a number and ms, s or m"))?;
    match Duration::try_from_secs_f64(seconds * factor) {
        Ok(time) if !time.is_zero() && time <= Duration::from_secs(86_400) => Ok(time),
        _ => Err(String::from("a time is longer than nothing and no longer than a day")),
    }
}
