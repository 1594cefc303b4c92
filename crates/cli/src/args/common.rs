//! Options that several commands share, and the parsers of their values.

use std::convert::Infallible;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use clap::{Args, ValueEnum};
use starttls::dialer::{InvalidProxy, Proxy, TcpRoute};
use starttls::proto::{ClientName, InvalidValue};
use starttls::proxy_header::ProxyHeaderVersion;
use starttls_report::InvalidDuration;

use crate::target::Host;

/// The server to dial and the certificates to trust.
#[derive(Debug, Args)]
#[command(next_help_heading = "Connection")]
pub(crate) struct Peer {
    /// The name to send (SNI) and to verify [default: HOST]
    #[arg(long, value_name = "NAME")]
    pub(crate) server_name: Option<String>,

    /// The client's own name (EHLO), a domain or an address literal [default: [127.0.0.1]; with send --mx
    /// this host's name, if it is fully qualified]
    #[arg(long, value_name = "NAME", value_parser = client_name)]
    pub(crate) client_name: Option<ClientName>,

    /// Dial this instead of HOST: ADDR[:PORT] or unix:/PATH
    #[arg(long, value_name = "ADDR[:PORT]")]
    pub(crate) connect: Option<String>,

    /// Also trust these root certificates
    #[arg(long, value_name = "PEM")]
    pub(crate) ca_file: Option<PathBuf>,

    /// Do not trust the system's root certificates
    #[arg(long)]
    pub(crate) no_system_roots: bool,

    /// The client certificate, followed by its chain
    #[arg(long, value_name = "PEM", requires = "key")]
    pub(crate) cert: Option<PathBuf>,

    /// The private key of the client certificate
    #[arg(long, value_name = "PEM", requires = "cert")]
    pub(crate) key: Option<PathBuf>,

    /// The time limit from the lookup of the name to the end of the handshake, and again for a login; in check,
    /// the time limit for each reply. For example 10s, 500ms, 2m
    #[arg(long, value_name = "TIME", default_value = "10s", value_parser = duration)]
    pub(crate) timeout: Duration,

    /// Use IPv4 only
    #[arg(short = '4', conflicts_with = "ipv6")]
    pub(crate) ipv4: bool,

    /// Use IPv6 only
    #[arg(short = '6')]
    pub(crate) ipv6: bool,

    #[command(flatten)]
    pub(crate) way: Way,
}

/// The way to the server.
#[derive(Clone, Debug, Default, Args)]
#[command(next_help_heading = "Connection")]
pub(crate) struct Way {
    /// Connect through this proxy, which looks up HOST: socks5://[USER:PASSWORD@]HOST[:PORT] or
    /// http://[USER:PASSWORD@]HOST:PORT. A password is better in the environment variable than in the
    /// command line, which other users can see
    #[arg(long, value_name = "URL", env = "STARTTLS_PROXY", hide_env_values = true,
        conflicts_with_all = ["ipv4", "ipv6"])]
    pub(crate) proxy: Option<ProxyUrl>,

    /// Connect from this local address
    #[arg(long, value_name = "ADDR")]
    pub(crate) source: Option<IpAddr>,

    /// Send a PROXY header first, for a server that requires one, with the addresses of the connection
    #[arg(long, value_enum, value_name = "VERSION")]
    pub(crate) send_proxy_header: Option<HeaderVersion>,
}

impl Way {
    /// Returns the dialer.
    ///
    /// # Errors
    /// If the URL of the proxy is invalid.
    pub(crate) fn route(&self) -> Result<TcpRoute, InvalidProxy> {
        let mut route = TcpRoute::direct();
        if let Some(ProxyUrl(proxy)) = &self.proxy {
            route = route.through(proxy.clone()?);
        }
        if let Some(address) = self.source {
            route = route.source(address);
        }
        Ok(match self.send_proxy_header {
            Some(HeaderVersion::V1) => route.with_proxy_header(ProxyHeaderVersion::V1),
            Some(HeaderVersion::V2) => route.with_proxy_header(ProxyHeaderVersion::V2),
            None => route,
        })
    }
}

/// The URL of a proxy, or why it is invalid. The error is reported later, because clap's errors repeat the value, which may
/// contain a password.
#[derive(Clone, Debug)]
pub(crate) struct ProxyUrl(Result<Proxy, InvalidProxy>);

impl FromStr for ProxyUrl {
    type Err = Infallible;

    fn from_str(text: &str) -> Result<Self, Infallible> {
        Ok(Self(text.parse()))
    }
}

/// The version of a PROXY header.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum HeaderVersion {
    V1,
    V2,
}

/// Options for diagnosis: what a connection records, and whether an invalid certificate ends it.
#[derive(Clone, Debug, Args)]
#[command(next_help_heading = "Connection")]
pub(crate) struct Trace {
    /// Complete the handshake even if the certificate is invalid; the verdict is still shown
    #[arg(long)]
    pub(crate) insecure: bool,

    /// Write a transcript of both directions with time stamps; secrets are blanked
    #[arg(long, value_name = "FILE")]
    pub(crate) transcript: Option<PathBuf>,

    /// Write the TLS keys of the session, to decrypt a packet capture (SSLKEYLOGFILE format)
    #[arg(long, value_name = "FILE", env = "SSLKEYLOGFILE", hide_env_values = true)]
    pub(crate) keylog: Option<PathBuf>,
}

/// How results are shown.
#[derive(Clone, Debug, Args)]
#[command(next_help_heading = "Output")]
pub(crate) struct Output {
    /// Write to FILE instead of standard output
    #[arg(long, value_name = "FILE")]
    pub(crate) output: Option<PathBuf>,

    /// When to use color
    #[arg(long, value_enum, default_value_t = When::Auto, value_name = "WHEN")]
    pub(crate) color: When,

    /// When to show progress on standard error
    #[arg(long, value_enum, default_value_t = Progress::Auto, value_name = "WHEN")]
    pub(crate) progress: Progress,

    /// Write only the data: the session or the report
    #[arg(short, long, conflicts_with = "verbose")]
    pub(crate) quiet: bool,

    /// Show more detail, such as whole certificates
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

/// Parses the client's own name. A Unicode domain is converted to its ASCII form (A-labels), which every server accepts.
pub(super) fn client_name(text: &str) -> Result<ClientName, InvalidValue> {
    match text.parse::<Host>() {
        Ok(host) if !text.is_ascii() => host.ascii.parse(),
        _ => text.parse(),
    }
}

/// Which certificates of policy hosts and exchangers are trusted.
#[derive(Debug, Args)]
pub(crate) struct Trust {
    /// Also trust these root certificates
    #[arg(long, value_name = "PEM")]
    pub(crate) ca_file: Option<PathBuf>,

    /// Do not trust the system's root certificates
    #[arg(long, requires = "ca_file")]
    pub(crate) no_system_roots: bool,

    /// The port of policy hosts, for tests
    #[arg(long, default_value_t = 443, hide = true)]
    pub(crate) sts_port: u16,
}

/// Which resolver is asked.
#[derive(Debug, Args)]
#[command(next_help_heading = "DNS")]
pub(crate) struct Resolver {
    /// Ask this DNS resolver [default port: 53; default: the resolvers of /etc/resolv.conf]
    #[arg(long, value_name = "ADDR[:PORT]", value_parser = dns_server)]
    pub(crate) resolver: Option<SocketAddr>,

    /// Trust the resolver's AD bit although it is not on this machine: no attacker can change its answers on the way
    #[arg(long)]
    pub(crate) trust_ad: bool,
}

/// The longest duration of an option: one day.
const LONGEST: Duration = Duration::from_secs(24 * 60 * 60);

/// Parses a duration, in the grammar of the gateway's configuration.
pub(super) fn duration(text: &str) -> Result<Duration, InvalidDuration> {
    starttls_report::duration(text, LONGEST)
}

/// Parses an address to listen on.
pub(super) fn listener(text: &str) -> Result<SocketAddr, String> {
    text.parse()
        .map_err(|_| String::from("expected an IP address and a port, such as 127.0.0.1:8080 or [::1]:8080"))
}

/// Parses the address of a DNS server. The default port is 53.
pub(super) fn dns_server(text: &str) -> Result<SocketAddr, String> {
    let bare = text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(text);
    let with_usual_port = bare.parse::<IpAddr>().map(|address| SocketAddr::new(address, 53));
    with_usual_port.or_else(|_| text.parse()).map_err(|_| {
        String::from(
            "expected an IP address with an optional port, such as 192.0.2.53 or [2001:db8::53]:5353",
        )
    })
}
