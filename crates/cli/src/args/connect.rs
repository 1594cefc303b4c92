//! The arguments of `connect`.

use clap::{Args, ValueEnum};
use clap_complete::ArgValueCandidates;
use starttls_dns::TlsaData;

use super::common::{Output, Peer, Resolver, Trace};
use crate::candidates;
use crate::error::Failed;
use crate::target::Target;

/// Upgrade a connection to TLS, show the negotiation and the TLS parameters, then open an interactive session
///
/// The negotiation and the report are written to standard error. Standard input and output are connected to
/// the session inside TLS (line protocols send CRLF). At the end of input the session is closed with the
/// protocol's own command, such as QUIT.
#[cfg_attr(
    feature = "lab",
    doc = "Without a target, the command starts a sound server of each protocol on this machine and connects to it."
)]
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  starttls connect smtp://mail.example.com             port 25, upgraded
  starttls connect submission://mail.example.com       port 587
  starttls connect imaps://mail.example.com            TLS from the first byte
  starttls connect ldap://ldap.example.com --ca-file ca.pem </dev/null
  starttls connect smtp://192.0.2.1 --server-name mail.example.com --format json
  starttls connect smtp://mail.example.com --format html --output connection.html
  starttls connect smtp://mx.example.com --dane
  starttls connect host.example.com:4000 --upgrade-on STARTTLS")]
pub(crate) struct Connect {
    /// PROTO://HOST[:PORT], or HOST:PORT with a well-known port
    #[cfg_attr(feature = "lab", doc = "[default: a lab on this machine]")]
    #[arg(add = ArgValueCandidates::new(candidates::targets))]
    pub(crate) target: Option<String>,

    /// Open the session in cleartext, without the upgrade
    #[arg(long, conflicts_with = "upgrade_on")]
    pub(crate) cleartext: bool,

    /// For an unknown protocol: open the session in cleartext, and start TLS when LINE was sent and the server
    /// has answered it with one line
    #[arg(long, value_name = "LINE")]
    pub(crate) upgrade_on: Option<String>,

    /// Repeat the request up to N times, once a second, if the server refuses the upgrade temporarily
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub(crate) retry: u32,

    /// Authenticate the server by this TLSA record instead of trusted roots: "USAGE SELECTOR MATCHING DATA"; repeat it
    /// for each
    #[arg(long, value_name = "RECORD", value_parser = starttls_policy::tlsa::parse,
          conflicts_with_all = ["cleartext", "upgrade_on", "insecure"], requires = "target")]
    pub(crate) tlsa: Vec<TlsaData>,

    /// Authenticate the server by its TLSA records in DNS (DANE) instead of trusted roots
    #[arg(long, conflicts_with_all = ["cleartext", "upgrade_on", "insecure", "tlsa"], requires = "target")]
    pub(crate) dane: bool,

    /// The format of the report; with json and html, only the report is written and there is no session
    #[arg(long, value_enum, default_value_t = ConnectFormat::Text)]
    pub(crate) format: ConnectFormat,

    #[command(flatten)]
    pub(crate) peer: Peer,

    #[command(flatten)]
    pub(crate) trace: Trace,

    #[command(flatten)]
    pub(crate) resolver: Resolver,

    #[command(flatten)]
    pub(crate) output: Output,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum ConnectFormat {
    /// The report on standard error, then the session
    Text,
    /// One object for each connection
    Json,
    /// A page with a picture of the conversation
    Html,
}

impl Connect {
    /// Returns the target, if the user specified one.
    pub(crate) fn target(&self) -> Result<Option<Target>, Failed> {
        self.target.as_deref().map(str::parse).transpose()
    }
}
