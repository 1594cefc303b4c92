//! Backends: the servers that a listener forwards to.

use std::path::PathBuf;
use std::time::Duration;

use starttls::Connector;
use starttls::proto::smtp::{SMTP, SUBMISSION};
use starttls::proto::{ClientName, PROTOCOLS, Protocol};
use starttls_x509::Bundle;

use super::address::{BackendAddress, Mode, Url};
use super::login::{self, BackendLogin};
use super::reader::{Value, choice};
use super::types::{Backend, BackendTls, BackendTrust, ProxyVersion, TlsStart};
use crate::files;
use crate::health::Health;
use crate::lookup::Lookup;
use crate::setup_error::SetupError;

/// The settings of a backend, before they are checked together.
#[derive(Debug, Default)]
pub(super) struct Draft {
    pub(super) server_name: Option<String>,
    pub(super) ca_file: Option<PathBuf>,
    pub(super) no_system_roots: bool,
    pub(super) certificate: Option<PathBuf>,
    pub(super) key: Option<PathBuf>,
    pub(super) insecure: bool,
    pub(super) allow_cleartext: bool,
    pub(super) send_proxy: Option<ProxyVersion>,
    pub(super) login: Option<BackendLogin>,
    pub(super) client_name: Option<ClientName>,
}

/// Parses a backend: a URL or a table.
pub(super) fn parse(value: Value<'_>, front: &Protocol, dial: Duration) -> Result<Backend, SetupError> {
    if !value.is_table() {
        return value.read(|url| Draft::default().build(url, front, dial));
    }
    let mut table = value.table("forward")?;
    let path = |text: &str| Ok(PathBuf::from(text));
    let versions = &[("v1", ProxyVersion::V1), ("v2", ProxyVersion::V2)];
    let url = table.need("url")?;
    let place = table.place();
    let draft = Draft {
        server_name: table.read("server-name", |text| Ok(text.to_owned()))?,
        ca_file: table.read("ca-file", path)?,
        no_system_roots: table.flag("no-system-roots")?,
        certificate: table.read("cert", path)?,
        key: table.read("key", path)?,
        insecure: table.flag("insecure")?,
        allow_cleartext: table.flag("allow-cleartext")?,
        send_proxy: table.read("send-proxy", |text| choice(text, versions))?,
        login: table.take("login").map(login::parse).transpose()?,
        client_name: table.read("client-name", client_name)?,
    };
    table.end()?;
    url.read(|url| draft.build(url, front, dial)).map_err(|error| error.at(|| place))
}

impl Draft {
    pub(super) fn build(self, url: &str, front: &Protocol, dial: Duration) -> Result<Backend, SetupError> {
        let url = Url::parse(url)?;
        let place = url.target()?;
        if !convertible(front, url.protocol) {
            let (front, back) = (front.title, url.protocol.title);
            return Err(SetupError::new(format!("cannot forward {front} to a backend that speaks {back}"))
                .with_hint(
                    "use the same protocol on both sides; only SMTP and mail submission can be combined",
                ));
        }
        let (protocol, send_proxy) = (url.protocol, self.send_proxy);
        // Servers look this name up and compare the result with the address that the gateway connects from.
        let client_name = || starttls::host_name().unwrap_or_default();
        let client_name = self.client_name.clone().unwrap_or_else(client_name);
        let tls_start = match url.mode {
            Mode::Cleartext => self.cleartext(protocol, &place)?,
            Mode::Upgrade => TlsStart::Upgrade(self.upstream(protocol, &place, dial)?),
            Mode::Implicit => TlsStart::Implicit(self.upstream(protocol, &place, dial)?),
        };
        let (health, lookup) = (Health::default(), Lookup::default());
        let url = format!("{}://{place}", url.mode.scheme(protocol)).into();
        Ok(Backend { protocol, place, tls_start, send_proxy, client_name, health, lookup, url })
    }

    fn cleartext(self, protocol: &Protocol, place: &BackendAddress) -> Result<TlsStart, SetupError> {
        let upgraded = Mode::Upgrade.scheme(protocol);
        if self.login.is_some() {
            return Err(unverified_login().with_hint(format!(
                "without TLS the gateway cannot verify the backend: write {upgraded}://{place}"
            )));
        }
        let tls_only = [
            ("server-name", self.server_name.is_some()),
            ("ca-file", self.ca_file.is_some()),
            ("no-system-roots", self.no_system_roots),
            ("cert", self.certificate.is_some()),
            ("key", self.key.is_some()),
            ("insecure", self.insecure),
            ("client-name", self.client_name.is_some()),
        ];
        if let Some((key, _)) = tls_only.into_iter().find(|(_, given)| *given) {
            return Err(SetupError::new(format!("\"{key}\" requires TLS, but this backend is cleartext"))
                .with_hint(format!("write {upgraded}://{place}")));
        }
        if !self.allow_cleartext && !stays_here(place) {
            return Err(SetupError::new(format!(
                "the gateway would send cleartext to another machine, {place}"
            ))
            .with_hint(format!("write {upgraded}://{place}, or set allow-cleartext to permit it")));
        }
        Ok(TlsStart::Cleartext)
    }

    fn upstream(
        self,
        protocol: &Protocol,
        place: &BackendAddress,
        dial: Duration,
    ) -> Result<BackendTls, SetupError> {
        let server_name = match (self.server_name, place) {
            (Some(name), _) => name,
            (None, BackendAddress::Tcp(host, _)) => host.clone(),
            (None, BackendAddress::Unix(_)) => {
                return Err(SetupError::new("a Unix socket has no host name to verify")
                    .with_hint("set the name in its certificate: server-name = \"mail.example.com\""));
            }
        };
        if server_name.parse::<std::net::IpAddr>().is_err() && crate::names::normal(&server_name).is_none() {
            return Err(SetupError::new(format!(
                "invalid server name {}",
                crate::setup_error::shown(&server_name)
            )));
        }
        let mut builder = Connector::builder().timeout(dial);
        if let Some(path) = &self.ca_file {
            let roots = files::checked("the root certificates", path, Bundle::certificates)?;
            builder = builder.roots_pem(roots);
        }
        if self.no_system_roots {
            builder = builder.no_system_roots();
        }
        builder = match (&self.certificate, &self.key) {
            (None, None) => builder,
            (Some(chain), Some(key)) => builder.client_certificate_pem(
                files::checked("the client certificate", chain, Bundle::certificates)?,
                files::checked("the client certificate's key", key, Bundle::private_key)?,
            ),
            (Some(_), None) => {
                return Err(SetupError::new("\"cert\" requires \"key\"")
                    .with_hint("add key = \"/path\" to the backend"));
            }
            (None, Some(_)) => {
                return Err(SetupError::new("\"key\" requires \"cert\"")
                    .with_hint("add cert = \"/path\" to the backend"));
            }
        };
        let trust = match (self.insecure, self.login) {
            (false, Some(_)) if !protocol.flow.login_is_optional => {
                let known = PROTOCOLS.iter().filter(|it| it.flow.login_is_optional).map(|it| it.name);
                let known: Vec<&str> = known.collect();
                return Err(SetupError::new(format!(
                    "the gateway cannot log in on behalf of clients in {}",
                    protocol.title
                ))
                .with_hint(format!("\"login\" works for {}", known.join(", "))));
            }
            (false, Some(login)) if login.secret().is_none() && self.certificate.is_none() => {
                return Err(SetupError::new("the mechanism EXTERNAL requires a client certificate")
                    .with_hint("add cert = \"/path\" and key = \"/path\" to the backend"));
            }
            (false, login) => BackendTrust::Verified(login),
            (true, None) => BackendTrust::Unverified,
            (true, Some(_)) => {
                return Err(unverified_login()
                    .with_hint("remove \"insecure\"; to trust a private CA, set \"ca-file\""));
            }
        };
        if self.insecure {
            builder = builder.insecure();
        }
        let certificate = self.certificate.is_some();
        Ok(BackendTls { connector: builder.build()?, server_name, certificate, trust })
    }
}

fn client_name(text: &str) -> Result<ClientName, SetupError> {
    text.parse::<ClientName>().map_err(|invalid| {
        SetupError::new(invalid.to_string())
            .with_hint("write the gateway's own host name, such as \"gateway.example.com\"")
    })
}

fn unverified_login() -> SetupError {
    SetupError::new("\"login\" requires a backend whose certificate is verified")
}

/// Returns whether messages of one protocol can be forwarded as messages of the other.
fn convertible(front: &Protocol, back: &Protocol) -> bool {
    let mail = [&SMTP, &SUBMISSION];
    front == back || (mail.contains(&front) && mail.contains(&back))
}

fn stays_here(place: &BackendAddress) -> bool {
    match place {
        BackendAddress::Unix(_) => true,
        BackendAddress::Tcp(host, _) => {
            host == "localhost"
                || host.parse().is_ok_and(|ip: std::net::IpAddr| ip.to_canonical().is_loopback())
        }
    }
}
