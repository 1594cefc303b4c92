//! The arguments of `web`.

use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use starttls::proto::ClientName;
use starttls_dns::{DnsName, IpPrefix};

use super::common::{Resolver, Trust, client_name, duration, listener};

/// Serve a page that audits servers for colleagues: live conversations, permanent links, history and comparison
///
/// The page takes a domain or a URL, shows the conversations while they happen, and keeps the report. Only public
/// addresses are audited, unless --allow-target names a network. Prometheus reads /probe?target=…&module=… and
/// /metrics.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  starttls web                                                  http://127.0.0.1:8080
  starttls web --data runs.redb --allow-target 10.0.0.0/8       for servers of one's own network
  starttls web --listen 0.0.0.0:8080 --public check.example.com --trusted-proxy 192.0.2.10
  starttls web --api-keys keys.txt --new-api-key alice          a key for the API
  curl 'http://127.0.0.1:8080/probe?target=smtp://mail.example.com&module=quick'

The service runs until a signal ends it. Exit codes:
  2   wrong usage, an address that cannot be listened on, or a file of reports or keys that cannot be used")]
pub(crate) struct Web {
    /// Listen on this address. Other addresses than loopback ones need --public
    #[arg(long, value_name = "ADDR:PORT", default_value = "127.0.0.1:8080", value_parser = listener)]
    pub(crate) listen: SocketAddr,

    /// Keep the reports in this file [default: in memory]
    #[arg(long, value_name = "FILE")]
    pub(crate) data: Option<PathBuf>,

    /// Delete reports after this number of days
    #[arg(long, value_name = "DAYS", default_value_t = 90, value_parser = clap::value_parser!(u32).range(1..=36_500))]
    pub(crate) keep_days: u32,

    /// Serve everybody under this host name, with limits for each client and for each audited server
    #[arg(long, value_name = "HOST", value_parser = host, conflicts_with_all = ["allow_target", "local_names"])]
    pub(crate) public: Vec<String>,

    /// Believe the X-Forwarded-For of this proxy
    #[arg(long, value_name = "NET")]
    pub(crate) trusted_proxy: Vec<IpPrefix>,

    /// Also audit servers in this network, although it is not public
    #[arg(long, value_name = "NET")]
    pub(crate) allow_target: Vec<IpPrefix>,

    /// Also audit servers on this port
    #[arg(long, value_name = "PORT", value_parser = clap::value_parser!(u16).range(1..))]
    pub(crate) allow_port: Vec<u16>,

    /// Read the keys of the API from this file. Their holders may audit many targets at once, and in full extent
    #[arg(long, value_name = "FILE")]
    pub(crate) api_keys: Option<PathBuf>,

    /// Make a key for this holder, add its digest to the file of --api-keys, show the key once, and exit
    #[arg(long, value_name = "NAME", requires = "api_keys")]
    pub(crate) new_api_key: Option<String>,

    /// Also look up names of local networks, such as mail.internal and names without a dot
    #[arg(long)]
    pub(crate) local_names: bool,

    /// The name that the client gives (EHLO) [default: the literal [127.0.0.1]]
    #[arg(long, value_name = "NAME", value_parser = client_name)]
    pub(crate) client_name: Option<ClientName>,

    /// The longest wait for one answer of a server
    #[arg(long, value_name = "TIME", default_value = "10s", value_parser = duration)]
    pub(crate) timeout: Duration,

    #[command(flatten)]
    pub(crate) trust: Trust,

    #[command(flatten)]
    pub(crate) resolver: Resolver,
}

/// Parses the host of a URL: a name, or an address in the form that URLs have.
fn host(text: &str) -> Result<String, String> {
    let is_address = text
        .strip_prefix('[')
        .and_then(|rest| rest.strip_suffix(']'))
        .is_some_and(|address| address.parse::<Ipv6Addr>().is_ok());
    let is_name = text.parse::<DnsName>().is_ok_and(|name| name.is_host());
    match is_address || is_name || text.parse::<Ipv4Addr>().is_ok() {
        true => Ok(text.to_owned()),
        false => Err(String::from(
            "expected the host in the URL of the page, without scheme, port and path, such as check.example.com",
        )),
    }
}
