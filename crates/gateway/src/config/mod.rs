//! The configuration: parsed, not validated. What comes out of here works as it is.
//!
//! ```
//! # fn example() -> Result<(), starttls_gateway::SetupError> {
//! let config = starttls_gateway::Config::read("/etc/starttls/gateway.toml".as_ref())?;
//! for listener in &config.listeners {
//!     println!("{} serves {}", listener.name, listener.protocol.title);
//! }
//! # Ok(())
//! # }
//! ```

mod address;
mod arguments;
mod backend;
mod client_auth;
mod data;
mod document;
mod listener;
mod login;
mod networks;
mod reader;
mod values;

use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use starttls::proto::{ClientName, Protocol, UrlAuthority};
use starttls::{Acceptor, Connector};

use crate::certificates::Certificates;
use crate::health::Health;
use crate::lookup::Lookup;
use crate::setup_error::SetupError;
use crate::tickets::TicketKeys;
use crate::watch::Watched;

pub use address::ListenAddress;
pub use arguments::Arguments;
pub use client_auth::{ClientPolicy, NotAdmitted};
pub use data::DataConnections;
pub use login::{BackendLogin, SecretSource};
pub use networks::Networks;

pub(crate) use values::{exposure, file};

/// Everything the gateway does.
#[derive(Debug)]
pub struct Config {
    /// What is listened on; at least one.
    pub listeners: Vec<Listener>,
    /// How many connections there may be at once, on all listeners together.
    pub connections: usize,
    /// How long sessions may go on after the order to stop.
    pub drain: Duration,
    /// Where the sessions are logged.
    pub log: Log,
    /// Where metrics and health can be asked for.
    pub metrics: Option<SocketAddr>,
    /// What works, and should not stay as it is.
    pub warnings: Vec<String>,
    tickets: Option<Arc<TicketKeys>>,
}

/// Where the line of each session goes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Log {
    /// Standard error, where a service manager collects it.
    #[default]
    Stderr,
    /// Standard output.
    Stdout,
    /// Appended to a file.
    File(PathBuf),
    /// Nowhere.
    Nowhere,
}

/// One address, one protocol, one kind of front.
#[derive(Debug)]
pub struct Listener {
    /// Its name in logs, metrics and the derivation of ticket keys.
    pub name: String,
    /// What is spoken.
    pub protocol: &'static Protocol,
    /// The name in greetings of its own where there is no certificate to take it from.
    pub server_name: String,
    /// Where TLS starts.
    pub downstream: Downstream,
    /// Where it listens.
    pub address: ListenAddress,
    /// Who may connect, if not everybody; see [`admits`](Self::admits).
    pub allow: Option<Networks>,
    /// Who has to say by a PROXY header on whose behalf it connects.
    pub proxy_from: Networks,
    /// How much is too much.
    pub limits: ListenerLimits,
    /// Data connections, where the protocol has them.
    pub data: DataConnections,
    routes: Routes,
}

/// Where TLS starts on a listener.
#[derive(Debug)]
pub enum Downstream {
    /// In cleartext, upgraded in place.
    Upgrade(UpgradePolicy, ListenerTls),
    /// At the first byte.
    Implicit(ListenerTls),
    /// Nowhere. Only for this machine, or for whom [`Listener::allow`] names.
    Cleartext,
}

/// How the front deals with those who do not upgrade.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum UpgradePolicy {
    /// They get nothing but refusals (rule G1).
    #[default]
    Required,
    /// They are served in cleartext, without a way to log in; as a public MX must (RFC 3207 section 4).
    Optional,
    /// As required, and the upgrade is not announced: for clients that ask without being told.
    Hidden,
}

/// What a listener needs for TLS.
#[derive(Debug)]
pub struct ListenerTls {
    /// Does the front's TLS, with these certificates.
    pub acceptor: Acceptor,
    /// The certificates, which can be read anew while they are in use.
    pub certificates: Arc<Certificates>,
}

/// How much is too much, for one listener.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ListenerLimits {
    /// Connections at once.
    pub connections: usize,
    /// Connections at once from one address (IPv6: one /64).
    pub per_address: usize,
    /// New connections per second from one address (IPv6: one /64).
    pub handshakes: usize,
    /// For the cleartext phase and the handshake together.
    pub negotiation: Duration,
    /// For reaching a backend, until its TLS stands.
    pub dial: Duration,
    /// For a session in which nothing moves.
    pub idle: Duration,
}

impl Default for ListenerLimits {
    fn default() -> Self {
        Self {
            connections: 10_000,
            per_address: 200,
            // Whoever may have so many at once may come back with all of them after an outage.
            handshakes: 200,
            negotiation: Duration::from_secs(30),
            dial: Duration::from_secs(10),
            // RFC 9051 section 5.4: at least 30 minutes.
            idle: Duration::from_secs(31 * 60),
        }
    }
}

/// The backends by the name that the client wants.
#[derive(Debug, Default)]
struct Routes {
    all: Vec<Route>,
    by_name: crate::names::ByName<usize>,
    /// For names without a route of their own, and for clients that name none.
    default: Option<usize>,
}

/// Where the sessions for some names go.
#[derive(Debug)]
pub struct Route {
    /// The names; none for the default route.
    pub names: Vec<String>,
    /// Where to, in order of preference; at least one.
    pub backends: Vec<Backend>,
    /// Which clients are let in, where client certificates decide.
    pub client_auth: Option<ClientPolicy>,
}

/// A server that sessions are handed to.
#[derive(Clone, Debug)]
pub struct Backend {
    /// What is spoken: what the front speaks, or a close relative.
    pub protocol: &'static Protocol,
    /// Where it listens.
    pub place: BackendAddress,
    /// Where TLS starts on the way to it.
    pub tls_start: TlsStart,
    /// In which form it is told who the client is.
    pub send_proxy: Option<ProxyVersion>,
    /// What the gateway calls itself toward it: the argument of EHLO, the `from` of a stream between servers.
    pub client_name: ClientName,
    /// Whether it was ready lately.
    pub health: Health,
    pub(crate) lookup: Lookup,
}

/// Where a backend listens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum BackendAddress {
    /// A host name or an address, and a port.
    Tcp(String, u16),
    /// A socket in the file system.
    Unix(PathBuf),
}

/// Where TLS starts on the way to a backend.
#[derive(Clone, Debug)]
pub enum TlsStart {
    /// Nowhere.
    Cleartext,
    /// In cleartext, upgraded in place.
    Upgrade(BackendTls),
    /// At the first byte.
    Implicit(BackendTls),
}

/// What TLS toward a backend needs.
#[derive(Clone, Debug)]
pub struct BackendTls {
    /// Does it.
    pub connector: Connector,
    /// The name that is sent and verified.
    pub server_name: String,
    /// Whether the gateway presents a certificate of its own.
    pub certificate: bool,
    /// Whether the connector verifies, and what only a verified backend is given.
    pub trust: BackendTrust,
}

/// Rule G5 as a type: a login exists for a verified backend only.
#[derive(Clone, Debug)]
pub enum BackendTrust {
    /// The backend's certificate is verified. The gateway logs in there on behalf of its clients, or not.
    Verified(Option<BackendLogin>),
    /// Anybody can be the backend.
    Unverified,
}

/// The forms of the PROXY header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ProxyVersion {
    /// A line of text: addresses only.
    V1,
    /// Binary: addresses, and what is known of the client's TLS.
    V2,
}

/// The largest configuration that is read.
const LARGEST: u64 = 16 << 20;

impl Config {
    /// Reads a file in TOML, and everything that it names.
    ///
    /// # Errors
    /// The first mistake, with its line. Nothing is half configured (rule G6).
    pub fn read(path: &Path) -> Result<Self, SetupError> {
        const WHAT: &str = "the configuration";
        let bytes = starttls::file::read(path, LARGEST)
            .map_err(|source| SetupError::unreadable(WHAT, path, source))?;
        let text = String::from_utf8(bytes).map_err(|cause| {
            SetupError::new(format!("{WHAT} {} is not UTF-8", path.display())).because(cause)
        })?;
        Self::parse(&text, &path.display().to_string())
    }

    /// Reads a text in TOML; `name` is what errors call it.
    ///
    /// # Errors
    /// As for [`read`](Self::read).
    pub fn parse(text: &str, name: &str) -> Result<Self, SetupError> {
        document::parse(&reader::Source { name, text })
    }

    /// Everything that is read anew when its files change, without a new configuration; see
    /// [`watch`](crate::watch::watch).
    pub fn watched(&self) -> Vec<Arc<dyn Watched>> {
        let certificates = self.listeners.iter().filter_map(Listener::tls);
        let certificates = certificates.map(|tls| tls.certificates.clone() as Arc<dyn Watched>);
        certificates.chain(self.tickets.clone().map(|keys| keys as _)).collect()
    }

    /// The configuration of one listener from the command line.
    ///
    /// # Errors
    /// As for [`read`](Self::read).
    pub fn from_arguments(arguments: &Arguments) -> Result<Self, SetupError> {
        arguments::parse(arguments)
    }
}

impl Listener {
    /// Whether a connection from this address is served; `None` is a socket in the file system.
    /// The address is the client's own: where a PROXY header is due, the one in it.
    pub fn admits(&self, client: Option<IpAddr>) -> bool {
        match (&self.allow, client) {
            (Some(allow), Some(client)) => allow.contains(client),
            _ => true,
        }
    }

    /// Whether who connects from this address has to start with a PROXY header.
    pub fn expects_proxy_header(&self, peer: IpAddr) -> bool {
        self.proxy_from.contains(peer)
    }

    /// What the front needs for TLS, if it does TLS.
    pub fn tls(&self) -> Option<&ListenerTls> {
        match &self.downstream {
            Downstream::Upgrade(_, tls) | Downstream::Implicit(tls) => Some(tls),
            Downstream::Cleartext => None,
        }
    }

    /// All routes, the default one included.
    pub fn routes(&self) -> &[Route] {
        &self.routes.all
    }

    /// The route of sessions in which no name and no certificate is known yet: those in cleartext.
    pub fn default_route(&self) -> Option<&Route> {
        self.routes.all.get(self.routes.default?)
    }

    fn route(&self, server_name: Option<&str>) -> Option<&Route> {
        let own = server_name.and_then(|name| self.routes.by_name.find(name)).copied();
        self.routes.all.get(own.or(self.routes.default)?)
    }
}

impl Backend {
    /// What TLS needs on the way to it, if there is TLS.
    pub fn tls(&self) -> Option<&BackendTls> {
        match &self.tls_start {
            TlsStart::Upgrade(upstream) | TlsStart::Implicit(upstream) => Some(upstream),
            TlsStart::Cleartext => None,
        }
    }

    /// Returns the authority of the backend's URL; `None` for a socket in the file system, and if `server-name` differs
    /// from the URL's host: the URL is then only the way to the service, and servers refuse a name that is not theirs.
    pub(crate) fn authority(&self) -> Option<UrlAuthority> {
        let is_service = |host: &str| self.tls().is_none_or(|it| it.server_name.eq_ignore_ascii_case(host));
        match &self.place {
            BackendAddress::Tcp(host, port) if is_service(host) => {
                UrlAuthority::new(host, *port, self.protocol.port).ok()
            }
            _ => None,
        }
    }

    /// The same, where nobody is to be logged in.
    pub(crate) fn without_login(&self) -> Self {
        let mut other = self.clone();
        if let TlsStart::Upgrade(upstream) | TlsStart::Implicit(upstream) = &mut other.tls_start
            && let BackendTrust::Verified(login) = &mut upstream.trust
        {
            *login = None;
        }
        other
    }

    /// The login that the gateway makes there on behalf of its clients.
    pub fn login(&self) -> Option<&BackendLogin> {
        match &self.tls()?.trust {
            BackendTrust::Verified(login) => login.as_ref(),
            BackendTrust::Unverified => None,
        }
    }
}
