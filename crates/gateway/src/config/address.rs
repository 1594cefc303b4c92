//! URLs of listeners and backends: `PROTO[+starttls]://ADDRESS`.

use std::fmt;
use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::path::PathBuf;

use starttls::proto::{InvalidUrl, Protocol, ServiceUrl, Start};
use starttls_report::scheme_hint;

use crate::setup_error::{SetupError, shown};

/// The address of a listener.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ListenAddress {
    /// An address and a port. `[::]` is every address of both families.
    Tcp(SocketAddr),
    /// A Unix socket.
    Unix(PathBuf),
    /// A socket that the service manager opened, by its name (`FileDescriptorName=`).
    Systemd(String),
}

/// The address of a backend.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum BackendAddress {
    /// A host name or an IP address, and a port.
    Tcp(String, u16),
    /// A Unix socket.
    Unix(PathBuf),
}

impl ListenAddress {
    /// Returns whether the address is reachable from this machine only. A socket of the service manager counts as
    /// reachable, because its address is not known here.
    pub(super) fn is_local(&self) -> bool {
        match self {
            Self::Tcp(address) => address.ip().to_canonical().is_loopback(),
            Self::Unix(_) => true,
            Self::Systemd(_) => false,
        }
    }

    /// Returns whether a connection from this machine to the backend would reach this listener.
    pub(super) fn is_at(&self, backend: &BackendAddress) -> bool {
        match (self, backend) {
            (Self::Unix(here), BackendAddress::Unix(there)) => here == there,
            (Self::Tcp(here), BackendAddress::Tcp(host, port)) => {
                let ip = match host.as_str() {
                    "localhost" => Some(IpAddr::from([127, 0, 0, 1])),
                    host => host.parse::<IpAddr>().ok().map(|ip| ip.to_canonical()),
                };
                let own = here.ip().to_canonical();
                here.port() == *port
                    && ip.is_some_and(|ip| ip == own || (own.is_unspecified() && ip.is_loopback()))
            }
            _ => false,
        }
    }
}

impl fmt::Display for ListenAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(address) => address.fmt(f),
            Self::Unix(path) => write!(f, "unix:{}", path.display()),
            Self::Systemd(name) => write!(f, "systemd:{name}"),
        }
    }
}

impl fmt::Display for BackendAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(host, port) if host.contains(':') => write!(f, "[{host}]:{port}"),
            Self::Tcp(host, port) => write!(f, "{host}:{port}"),
            Self::Unix(path) => write!(f, "unix:{}", path.display()),
        }
    }
}

/// Where TLS starts on a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mode {
    /// Not at all: `smtp://`.
    Cleartext,
    /// In cleartext, upgraded in place: `smtp+starttls://`.
    Upgrade,
    /// At the first byte: `smtps://`.
    Implicit,
}

impl From<Start> for Mode {
    fn from(start: Start) -> Self {
        match start {
            Start::Unspecified => Self::Cleartext,
            Start::Upgrade => Self::Upgrade,
            Start::FirstByte => Self::Implicit,
        }
    }
}

impl Mode {
    /// Returns the scheme of URLs with this mode.
    pub(crate) fn scheme(self, protocol: &Protocol) -> String {
        match (self, protocol.implicit_tls) {
            (Self::Upgrade, _) => format!("{}+starttls", protocol.name),
            (Self::Implicit, Some(tls)) => tls.name.to_owned(),
            _ => protocol.name.to_owned(),
        }
    }
}

/// A parsed URL of a listener or a backend.
#[derive(Clone, Debug)]
pub(super) struct Url<'a> {
    pub(super) protocol: &'static Protocol,
    pub(super) mode: Mode,
    url: ServiceUrl<'a>,
}

impl<'a> Url<'a> {
    pub(super) fn parse(text: &'a str) -> Result<Self, SetupError> {
        let url = ServiceUrl::parse(text)?;
        let (protocol, mode) = (url.protocol, url.start.into());
        if mode == Mode::Cleartext && !protocol.flow.has_cleartext_sessions {
            let upgraded = Mode::Upgrade.scheme(protocol);
            return Err(SetupError::new(format!(
                "invalid URL {}: expected {upgraded}://, because sessions of {} without TLS cannot be relayed",
                shown(text),
                protocol.title
            ))
            .with_hint(format!("write {upgraded}://{}", url.place.escape_debug())));
        }
        Ok(Self { protocol, mode, url })
    }

    /// Returns the address of a listener.
    pub(super) fn address(&self) -> Result<ListenAddress, SetupError> {
        if let Some(name) = self.url.place.strip_prefix("systemd:") {
            let named = !name.is_empty() && name.bytes().all(|it| it.is_ascii_graphic() && it != b':');
            return if named { Ok(ListenAddress::Systemd(name.to_owned())) } else { Err(self.bad()) };
        }
        match self.place()? {
            BackendAddress::Unix(path) => Ok(ListenAddress::Unix(path)),
            BackendAddress::Tcp(host, port) => {
                let ip = match host.as_str() {
                    "" | "*" => IpAddr::V6(Ipv6Addr::UNSPECIFIED),
                    "localhost" => IpAddr::from([127, 0, 0, 1]),
                    other => other.parse().map_err(|_| {
                        SetupError::new(format!("invalid listen address {}", shown(other)))
                            .with_hint("write an IP address of this machine, or omit it to listen on all: \"smtp://:25\"")
                    })?,
                };
                Ok(ListenAddress::Tcp(SocketAddr::new(ip, port)))
            }
        }
    }

    /// Returns the address of a backend.
    pub(super) fn target(&self) -> Result<BackendAddress, SetupError> {
        let place = self.place()?;
        let BackendAddress::Tcp(host, port) = &place else { return Ok(place) };
        if host.is_empty() {
            return Err(SetupError::new("the backend URL has no host").with_hint(format!(
                "for a server on this machine write {}://127.0.0.1:{port}",
                self.mode.scheme(self.protocol)
            )));
        }
        if host.parse::<IpAddr>().is_err() && crate::names::normal(host).is_none() {
            return Err(SetupError::new(format!("invalid host name {}", shown(host))));
        }
        Ok(place)
    }

    fn place(&self) -> Result<BackendAddress, SetupError> {
        if let Some(path) = self.url.place.strip_prefix("unix:") {
            let hint = "write an absolute path, as in lmtp://unix:/run/lmtp.sock";
            return if path.starts_with('/') {
                Ok(BackendAddress::Unix(path.into()))
            } else {
                Err(self.bad().with_hint(hint))
            };
        }
        let (host, port) = self.url.host_and_port()?;
        Ok(BackendAddress::Tcp(host.to_owned(), port))
    }

    fn bad(&self) -> SetupError {
        SetupError::new(format!("invalid host and port {}", shown(self.url.place)))
    }
}

impl From<InvalidUrl> for SetupError {
    fn from(invalid: InvalidUrl) -> Self {
        let hint = match &invalid {
            InvalidUrl::NoScheme(text) => {
                Some(format!("write a URL, for example smtp+starttls://{}", text.escape_debug()))
            }
            InvalidUrl::UnknownScheme(name) => Some(scheme_hint(name, "")),
            other => other.hint(),
        };
        let error = Self::new(invalid.to_string());
        match hint {
            Some(hint) => error.with_hint(hint),
            None => error,
        }
    }
}
