//! A dialer that a user configures at run time.

use std::net::{IpAddr, SocketAddr};
use std::str::FromStr;
use std::{fmt, io};

use starttls_proto::{InvalidUrl, host_and_port};

use super::{HttpConnect, Socks5, Tcp};
use crate::Endpoint;
use crate::proxy_header::ProxyHeaderVersion;

/// The way to servers that a user chose: directly or through a proxy, from a source address, with a PROXY header.
#[derive(Clone, Debug, Default)]
pub struct TcpRoute {
    pub(crate) tcp: Tcp,
    pub(crate) proxy: Option<Proxy>,
    pub(crate) header: Option<ProxyHeaderVersion>,
}

impl TcpRoute {
    /// Returns the direct way.
    pub fn direct() -> Self {
        Self::default()
    }

    /// Connects through this proxy.
    #[must_use]
    pub fn through(self, proxy: Proxy) -> Self {
        Self { proxy: Some(proxy), ..self }
    }

    /// Connects from this local address.
    #[must_use]
    pub fn source(self, address: IpAddr) -> Self {
        Self { tcp: self.tcp.source(address), ..self }
    }

    /// Sends a PROXY header first, for servers that require one. It contains the addresses of the connection, or, through a
    /// proxy, none: the server takes those of the connection then.
    #[must_use]
    pub fn with_proxy_header(self, version: ProxyHeaderVersion) -> Self {
        Self { header: Some(version), ..self }
    }

    /// Returns the addresses for a PROXY header. Those of a connection to a proxy say nothing about the server's.
    pub(crate) fn addresses(
        &self,
        local: io::Result<SocketAddr>,
        peer: io::Result<SocketAddr>,
    ) -> Option<(SocketAddr, SocketAddr)> {
        local.ok().zip(peer.ok()).filter(|_| self.proxy.is_none())
    }

    /// Returns whether a proxy looks up the names of servers.
    pub fn has_proxy(&self) -> bool {
        self.proxy.is_some()
    }
}

/// A proxy, as a URL names it: `socks5://user:password@host:port`, or `http://host:port`.
///
/// `Display` writes it without the login.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Proxy {
    /// SOCKS version 5.
    Socks5(Socks5),
    /// CONNECT of HTTP.
    HttpConnect(HttpConnect),
}

impl Proxy {
    pub(crate) fn endpoint(&self) -> &Endpoint {
        match self {
            Self::Socks5(socks) => &socks.proxy,
            Self::HttpConnect(http) => &http.proxy,
        }
    }
}

impl fmt::Display for Proxy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = match self {
            Self::Socks5(_) => "socks5",
            Self::HttpConnect(_) => "http",
        };
        write!(f, "{scheme}://{}", self.endpoint().dialed_address())
    }
}

/// Why a text does not name a proxy. The text may contain a password, so it is not repeated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct InvalidProxy(&'static str);

impl fmt::Display for InvalidProxy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{}: expected socks5://[USER:PASSWORD@]HOST[:PORT] or http://[USER:PASSWORD@]HOST:PORT",
            self.0
        )
    }
}

impl std::error::Error for InvalidProxy {}

/// The registered port of SOCKS. HTTP proxies have none that is usual.
const SOCKS_PORT: u16 = 1080;

impl FromStr for Proxy {
    type Err = InvalidProxy;

    fn from_str(text: &str) -> Result<Self, InvalidProxy> {
        let (scheme, rest) = text.split_once("://").ok_or(InvalidProxy("the scheme is missing"))?;
        let rest = rest.strip_suffix('/').unwrap_or(rest);
        let (login, place) = match rest.rsplit_once('@') {
            Some((login, place)) => (Some(read_login(login)?), place),
            None => (None, rest),
        };
        let usual = match scheme.to_ascii_lowercase().as_str() {
            // curl's name for a proxy that looks up the host, which all proxies do here.
            "socks5" | "socks5h" => Some(SOCKS_PORT),
            "http" => None,
            "https" => return Err(InvalidProxy("TLS to the proxy is not supported")),
            _ => return Err(InvalidProxy("unknown kind of proxy")),
        };
        let (host, port) = read_place(place)?;
        let port = port.or(usual).ok_or(InvalidProxy("the port is missing"))?;
        let socks = || Socks5::new((host, port));
        let http = || HttpConnect::new((host, port));
        Ok(match (usual, login) {
            (Some(_), None) => Self::Socks5(socks()),
            (Some(_), Some((user, password))) => Self::Socks5(socks().login(user, password)),
            (None, None) => Self::HttpConnect(http()),
            (None, Some((user, password))) => Self::HttpConnect(http().login(user, password)),
        })
    }
}

fn read_login(text: &str) -> Result<(String, String), InvalidProxy> {
    let (user, password) = text.split_once(':').ok_or(InvalidProxy("the password is missing"))?;
    Ok((percent_decoded(user)?, percent_decoded(password)?))
}

fn read_place(text: &str) -> Result<(&str, Option<u16>), InvalidProxy> {
    let (host, port) = host_and_port(text).map_err(|invalid| match invalid {
        InvalidUrl::Ipv6WithoutBrackets(_) => InvalidProxy("an IPv6 address must be in brackets"),
        _ => InvalidProxy("invalid host and port"),
    })?;
    if port == Some(0) {
        return Err(InvalidProxy("invalid port"));
    }
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._:".contains(&byte);
    if host.is_empty() || !host.bytes().all(is_plain) {
        return Err(InvalidProxy("invalid host"));
    }
    Ok((host, port))
}

/// Decodes percent-encoding (RFC 3986 section 2.1), so that a password can contain any octets.
fn percent_decoded(text: &str) -> Result<String, InvalidProxy> {
    const INVALID: InvalidProxy = InvalidProxy("invalid percent-encoding in the login");
    let mut parts = text.split('%');
    let mut decoded = parts.next().unwrap_or_default().as_bytes().to_vec();
    for part in parts {
        let (code, rest) = part.split_at_checked(2).ok_or(INVALID)?;
        if !code.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            return Err(INVALID);
        }
        decoded.push(u8::from_str_radix(code, 16).map_err(|_| INVALID)?);
        decoded.extend_from_slice(rest.as_bytes());
    }
    String::from_utf8(decoded).map_err(|_| INVALID)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_names_a_proxy() {
        for (text, expected) in [
            ("socks5://proxy.example", "socks5://proxy.example:1080"),
            ("SOCKS5H://user:p%40ss%3a@[::1]:9050/", "socks5://[::1]:9050"),
            ("http://127.0.0.1:3128", "http://127.0.0.1:3128"),
        ] {
            assert_eq!(text.parse::<Proxy>().unwrap().to_string(), expected);
        }
    }

    #[test]
    fn an_error_names_the_invalid_part_and_no_password() {
        for (text, expected) in [
            ("proxy.example:1080", "the scheme is missing"),
            ("socks4://proxy.example", "unknown kind"),
            ("https://user:hunter2@proxy.example:443", "TLS to the proxy"),
            ("http://user:hunter2@proxy.example", "the port is missing"),
            ("socks5://user:hunter2@proxy.example:0", "invalid port"),
            ("socks5://user:hunter2%4@proxy.example", "invalid percent-encoding"),
            ("socks5://user@proxy.example", "the password is missing"),
            ("socks5://::1:1080", "in brackets"),
            ("socks5://a b", "invalid host"),
            ("socks5://", "invalid host"),
        ] {
            let error = text.parse::<Proxy>().unwrap_err().to_string();
            assert!(error.starts_with(expected) || error.contains(expected), "{text}: {error}");
            assert!(!error.contains("hunter2"), "{error}");
        }
        let proxy: Proxy = "socks5://user:hunter2@proxy.example".parse().unwrap();
        assert!(!format!("{proxy:?}{proxy}").contains("hunter2"), "{proxy:?}");
    }
}
