//! The types of a configuration.

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use starttls::proto::{ClientName, DialectContext, Identity, Phase, Protocol, UrlAuthority};
use starttls::rustls::pki_types::{CertificateDer, UnixTime};
use starttls::{Acceptor, Connector};

use super::address::{BackendAddress, ListenAddress};
use super::client_auth::{ClientPolicy, NotAdmitted};
use super::data::DataConnections;
use super::login::BackendLogin;
use super::networks::Networks;
use crate::certificates::Certificates;
use crate::health::Health;
use crate::log_level::LogLevel;
use crate::lookup::Lookup;
use crate::names::ByName;
use crate::tickets::TicketKeys;
use crate::watch::Watched;

/// The configuration of a gateway.
#[derive(Debug)]
pub struct Config {
    /// The listeners, at least one.
    pub listeners: Vec<Listener>,
    /// The maximum number of open connections of all listeners together.
    pub connections: usize,
    /// How long sessions may continue after the gateway was told to stop.
    pub drain: Duration,
    /// Where sessions are logged.
    pub log: Log,
    /// The level of the log.
    pub log_level: LogLevel,
    /// The address that serves `/metrics` and `/health`.
    pub metrics: Option<SocketAddr>,
    /// Settings that work and that the user should change nevertheless.
    pub warnings: Vec<String>,
    pub(super) tickets: Option<Arc<TicketKeys>>,
}

/// Where the log goes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Log {
    /// Standard error, where a service manager collects it.
    #[default]
    Stderr,
    /// Standard output.
    Stdout,
    /// Appended to a file.
    File(PathBuf),
    /// Nothing is logged.
    Nowhere,
}

/// A listener: one address with one protocol.
#[derive(Debug)]
pub struct Listener {
    /// The name in logs, in metrics and in the derivation of ticket keys.
    pub name: String,
    /// The protocol that clients speak.
    pub protocol: &'static Protocol,
    /// The host name in the gateway's own greetings, if no certificate provides one.
    pub server_name: String,
    /// Where TLS starts on connections of clients.
    pub downstream: Downstream,
    /// The address that the gateway listens on.
    pub address: ListenAddress,
    /// The networks whose clients may connect; `None` allows all. See [`admits`](Self::admits).
    pub allow: Option<Networks>,
    /// The networks whose connections have to start with a PROXY header.
    pub proxy_from: Networks,
    /// Whether the log contains what the network sees of each session.
    pub observe: bool,
    /// Whether a thread looks for events for 50 µs before it sleeps while a session negotiates. This shortens sessions when there
    /// are few, and costs processor time.
    pub busy_poll: bool,
    /// Whether a backend is dialed while the client completes its handshake; see [`early_route`](Self::early_route).
    pub(crate) early_dial: bool,
    /// The limits of the listener.
    pub limits: ListenerLimits,
    /// The settings of data connections, which only FTP has.
    pub data: DataConnections,
    pub(super) routes: Routes,
}

/// Where TLS starts on connections of clients.
#[derive(Debug)]
pub enum Downstream {
    /// In cleartext, upgraded in place.
    Upgrade(UpgradePolicy, ListenerTls),
    /// At the first byte.
    Implicit(ListenerTls),
    /// Not at all. Only for clients on this machine or in the networks of [`Listener::allow`].
    Cleartext,
}

/// What the gateway serves to clients that have not upgraded.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum UpgradePolicy {
    /// Refusals only (rule G1).
    #[default]
    Required,
    /// Commands that need no login, as a public MX must (RFC 3207 section 4).
    Optional,
    /// Refusals only. The upgrade is not announced, for clients that request it without an announcement.
    Hidden,
}

/// What a listener needs for TLS.
#[derive(Debug)]
pub struct ListenerTls {
    /// Does the handshake with clients.
    pub acceptor: Acceptor,
    /// The certificates. They can be reloaded while they are in use.
    pub certificates: Arc<Certificates>,
}

/// The limits of one listener.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ListenerLimits {
    /// Open connections.
    pub connections: usize,
    /// Open connections of one address (IPv6: one /64).
    pub per_address: usize,
    /// New connections per second of one address (IPv6: one /64).
    pub handshakes: usize,
    /// Connections to backends that were dialed early and whose client has not completed its handshake.
    pub early_dials: usize,
    /// The time limit for the cleartext phase and the handshake together.
    pub negotiation: Duration,
    /// The time limit for connecting to a backend, its handshake and greeting included.
    pub dial: Duration,
    /// How long a session may be without traffic.
    pub idle: Duration,
}

impl Default for ListenerLimits {
    fn default() -> Self {
        Self {
            connections: 10_000,
            per_address: 200,
            // An address may reopen all its connections at once after an outage.
            handshakes: 200,
            early_dials: 100,
            negotiation: Duration::from_secs(30),
            dial: Duration::from_secs(10),
            // RFC 9051 section 5.4: at least 30 minutes.
            idle: Duration::from_secs(31 * 60),
        }
    }
}

/// The routes of a listener, by the host name that the client requests.
#[derive(Debug, Default)]
pub(super) struct Routes {
    pub(super) all: Vec<Route>,
    pub(super) by_name: ByName<usize>,
    /// The route for names without their own route, and for clients that request no name.
    pub(super) default: Option<usize>,
}

/// The backends for some host names.
#[derive(Debug)]
pub struct Route {
    /// The host names; empty for the default route.
    pub names: Vec<String>,
    /// The backends in order of preference, at least one.
    pub backends: Vec<Backend>,
    /// Which client certificates are accepted; `None` if the route asks for none.
    pub client_auth: Option<ClientPolicy>,
}

/// A server that the gateway forwards sessions to.
#[derive(Clone, Debug)]
pub struct Backend {
    /// The protocol: that of the listener, or a close relative.
    pub protocol: &'static Protocol,
    /// The address of the server.
    pub place: BackendAddress,
    /// Where TLS starts on connections to the server.
    pub tls_start: TlsStart,
    /// The version of the PROXY header that the gateway sends; `None` sends none.
    pub send_proxy: Option<ProxyVersion>,
    /// The gateway's own name: the argument of EHLO, or the `from` of a stream between XMPP servers.
    pub client_name: ClientName,
    /// Whether the last connection succeeded.
    pub health: Health,
    pub(crate) lookup: Lookup,
    /// The URL, which the records of all its sessions contain.
    pub(crate) url: Arc<str>,
}

/// Where TLS starts on connections to a backend.
#[derive(Clone, Debug)]
pub enum TlsStart {
    /// Not at all.
    Cleartext,
    /// In cleartext, upgraded in place.
    Upgrade(BackendTls),
    /// At the first byte.
    Implicit(BackendTls),
}

/// What the gateway needs for TLS with a backend.
#[derive(Clone, Debug)]
pub struct BackendTls {
    /// Does the handshake.
    pub connector: Connector,
    /// The name that is sent (SNI) and verified.
    pub server_name: String,
    /// Whether the gateway presents a client certificate.
    pub certificate: bool,
    /// Whether the connector verifies the backend.
    pub trust: BackendTrust,
}

/// Whether a backend is verified. A login exists for verified backends only (rule G5).
#[derive(Clone, Debug)]
pub enum BackendTrust {
    /// The backend's certificate is verified. The gateway may log in on behalf of its clients.
    Verified(Option<BackendLogin>),
    /// The backend's certificate is not verified, so an attacker can impersonate the backend.
    Unverified,
}

/// A version of the PROXY header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ProxyVersion {
    /// A line of text with addresses.
    V1,
    /// Binary: addresses and facts of the client's TLS session.
    V2,
}

impl Config {
    /// Returns everything that is reloaded when its files change; see [`watch`](crate::watch::watch).
    pub fn watched(&self) -> Vec<Arc<dyn Watched>> {
        let certificates = self.listeners.iter().filter_map(Listener::tls);
        let certificates = certificates.map(|tls| tls.certificates.clone() as Arc<dyn Watched>);
        certificates.chain(self.tickets.clone().map(|keys| keys as _)).collect()
    }
}

impl Listener {
    /// Returns whether a client with this address is served; `None` is a client on a Unix socket. Behind a proxy, the
    /// address is the one in the PROXY header.
    pub fn admits(&self, client: Option<IpAddr>) -> bool {
        match (&self.allow, client) {
            (Some(allow), Some(client)) => allow.contains(client),
            _ => true,
        }
    }

    /// Returns whether a connection from this address has to start with a PROXY header.
    pub fn expects_proxy_header(&self, peer: IpAddr) -> bool {
        self.proxy_from.contains(peer)
    }

    /// Returns what the listener needs for TLS; `None` if it does not use TLS.
    pub fn tls(&self) -> Option<&ListenerTls> {
        match &self.downstream {
            Downstream::Upgrade(_, tls) | Downstream::Implicit(tls) => Some(tls),
            Downstream::Cleartext => None,
        }
    }

    /// Returns what a dialect needs to know of a session with a client.
    pub(crate) fn context(&self, phase: Phase) -> DialectContext {
        let own = self.tls().map(|tls| tls.acceptor.identity());
        own.unwrap_or_else(|| Identity::new(&self.server_name)).in_phase(phase)
    }

    /// Returns all routes, the default route included.
    pub fn routes(&self) -> &[Route] {
        &self.routes.all
    }

    /// Returns the route of sessions in cleartext, whose client has named no host and presented no certificate.
    pub fn default_route(&self) -> Option<&Route> {
        self.routes.all.get(self.routes.default?)
    }

    /// Returns the route whose backend may be dialed before the end of the handshake with a client that sends this name in SNI;
    /// `None` if the listener dials after the handshake. The client is not admitted by that: [`admit`](Self::admit) decides
    /// when the handshake is complete.
    pub(crate) fn early_route(&self, server_name: Option<&str>) -> Option<&Route> {
        self.route(server_name).filter(|_| self.early_dial)
    }

    fn route(&self, server_name: Option<&str>) -> Option<&Route> {
        let own = server_name.and_then(|name| self.routes.by_name.find(name)).copied();
        self.routes.all.get(own.or(self.routes.default)?)
    }

    /// Returns the route of a client whose handshake is complete. The name in its SNI selects the route. The route's
    /// policy is applied here, to resumed sessions too (rule S8): inside TLS, no other function returns a route.
    ///
    /// # Errors
    /// [`NotAdmitted`]: the caller has to close the connection.
    pub fn admit(
        &self,
        server_name: Option<&str>,
        chain: &[CertificateDer<'_>],
    ) -> Result<&Route, NotAdmitted> {
        self.admit_at(server_name, chain, UnixTime::now())
    }

    /// Does the same as [`admit`](Self::admit) at the given time.
    ///
    /// # Errors
    /// [`NotAdmitted`]: the caller has to close the connection.
    pub fn admit_at(
        &self,
        server_name: Option<&str>,
        chain: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<&Route, NotAdmitted> {
        let route = self.route(server_name);
        let route = route.ok_or_else(|| NotAdmitted::NoRoute(server_name.map(str::to_owned)))?;
        match &route.client_auth {
            Some(policy) => policy.admits(chain, now).map(|()| route),
            None => Ok(route),
        }
    }
}

impl Backend {
    /// Returns what the gateway needs for TLS with the backend; `None` in cleartext.
    pub fn tls(&self) -> Option<&BackendTls> {
        match &self.tls_start {
            TlsStart::Upgrade(tls) | TlsStart::Implicit(tls) => Some(tls),
            TlsStart::Cleartext => None,
        }
    }

    /// Returns the authority of the backend's URL. `None` for a Unix socket, and if `server-name` differs from the URL's
    /// host: the URL is then only the way to the service, and servers refuse a name that is not theirs.
    pub(crate) fn authority(&self) -> Option<UrlAuthority> {
        let is_service = |host: &str| self.tls().is_none_or(|it| it.server_name.eq_ignore_ascii_case(host));
        match &self.place {
            BackendAddress::Tcp(host, port) if is_service(host) => {
                UrlAuthority::new(host, *port, self.protocol.port).ok()
            }
            _ => None,
        }
    }

    /// Returns this backend without its login.
    pub(crate) fn without_login(&self) -> Self {
        let mut other = self.clone();
        if let TlsStart::Upgrade(tls) | TlsStart::Implicit(tls) = &mut other.tls_start
            && let BackendTrust::Verified(login) = &mut tls.trust
        {
            *login = None;
        }
        other
    }

    /// Returns the login that the gateway performs on behalf of its clients.
    pub fn login(&self) -> Option<&BackendLogin> {
        match &self.tls()?.trust {
            BackendTrust::Verified(login) => login.as_ref(),
            BackendTrust::Unverified => None,
        }
    }
}

impl fmt::Display for Backend {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.url)
    }
}
