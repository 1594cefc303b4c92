//! The arguments of `gateway`.

use std::path::PathBuf;

use clap::{Args, ValueEnum};

use starttls::proto::ClientName;

use super::Format;

/// Put sound STARTTLS in front of a server, or between this machine and one
///
/// LISTEN and FORWARD are URLs: smtp:// is cleartext, smtp+starttls:// the upgrade, smtps:// TLS from the
/// first byte; both name the same protocol. TLS is required of clients, and backends with TLS are
/// verified. Cleartext that would leave this machine needs an option that says so. With -c a file
/// describes any number of listeners, with routes by name, certificates for many names, PROXY headers,
/// logins and limits. SIGHUP reads everything anew, all or nothing; renewed certificates are noticed by
/// themselves. SIGTERM ends: sessions may finish for a while.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  starttls gateway submission+starttls://:587 smtp://127.0.0.1:2525 --cert mail.pem --key mail.key
  starttls gateway :143 imap://127.0.0.1:1143 --certs /etc/letsencrypt/live
  starttls gateway smtp://127.0.0.1:2525 submission+starttls://smtp.example.com
  starttls gateway -c /etc/starttls/gateway.toml --plan")]
pub(crate) struct Gateway {
    /// Where to listen: PROTO[+starttls]://[ADDR][:PORT], PROTO://unix:/PATH, or :PORT
    #[arg(required_unless_present = "config", requires = "forward")]
    pub(crate) listen: Option<String>,

    /// Where to forward to, the first that is there: PROTO[+starttls]://HOST[:PORT] or PROTO://unix:/PATH
    pub(crate) forward: Vec<String>,

    /// Read everything from this file
    #[arg(short, long, value_name = "FILE", conflicts_with_all = ["listen", "Front", "Backend"])]
    pub(crate) config: Option<PathBuf>,

    /// Only say whether the configuration is sound; dial nobody
    #[arg(long, conflicts_with = "plan")]
    pub(crate) check: bool,

    /// Only show what would be done, and try every backend
    #[arg(long)]
    pub(crate) plan: bool,

    /// json: the plan as one object
    #[arg(long, value_enum, default_value_t = Format::Text, requires = "plan")]
    pub(crate) format: Format,

    #[command(flatten)]
    pub(crate) front: Front,

    #[command(flatten)]
    pub(crate) backend: Backend,
}

/// The side of the clients.
#[derive(Debug, Args)]
#[group(id = "Front", multiple = true)]
#[command(next_help_heading = "Clients")]
pub(crate) struct Front {
    /// The certificate, its chain behind it
    #[arg(long, value_name = "PEM", requires = "key")]
    pub(crate) cert: Option<PathBuf>,

    /// The certificate's private key
    #[arg(long, value_name = "PEM", requires = "cert")]
    pub(crate) key: Option<PathBuf>,

    /// A folder of certificates: NAME.pem with NAME.key, or NAME/fullchain.pem with NAME/privkey.pem
    #[arg(long, value_name = "DIR")]
    pub(crate) certs: Option<PathBuf>,

    /// How to deal with clients that do not upgrade [default: required]
    #[arg(long, value_enum, value_name = "HOW")]
    pub(crate) starttls: Option<Offer>,

    /// Serve only clients from this network; may be given more than once
    #[arg(long, value_name = "NETWORK")]
    pub(crate) allow: Vec<String>,
}

/// The side of the servers.
#[derive(Debug, Args)]
#[group(id = "Backend", multiple = true)]
#[command(next_help_heading = "Backends")]
pub(crate) struct Backend {
    /// The name that is sent (SNI) and verified [default: the backend's host]
    #[arg(long, value_name = "NAME")]
    pub(crate) server_name: Option<String>,

    /// Trust these root certificates too
    #[arg(long, value_name = "PEM")]
    pub(crate) ca_file: Option<PathBuf>,

    /// The gateway's own name toward the backend (EHLO) [default: the host's own name, if it is fully qualified,
    /// otherwise [127.0.0.1]]
    #[arg(long, value_name = "NAME", value_parser = super::client_name)]
    pub(crate) client_name: Option<ClientName>,

    /// Let cleartext leave this machine
    #[arg(long)]
    pub(crate) allow_cleartext: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Offer {
    /// They get nothing but refusals
    Required,
    /// They are served in cleartext, without a way to log in, as a public MX must
    Optional,
    /// As required, and the upgrade is not announced
    Hidden,
}
