//! Where a listener's sessions go.

use std::path::PathBuf;
use std::time::Duration;

use starttls::Connector;
use starttls::proto::{ClientName, PROTOCOLS, Protocol};

use super::address::{Mode, Url};
use super::reader::Value;
use super::values::{choice, file};
use crate::health::Health;
use crate::lookup::Lookup;
use crate::setup_error::SetupError;

use super::{Backend, BackendAddress, BackendLogin, BackendTls, BackendTrust, ProxyVersion, TlsStart, login};

/// What was said of a backend, before it is known to make sense.
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

/// One backend, as a URL or as a table.
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
            return Err(SetupError::new(format!("{front} cannot be forwarded as {back}"))
                .with_hint("both legs speak one protocol; only SMTP and mail submission go together"));
        }
        let (protocol, send_proxy) = (url.protocol, self.send_proxy);
        // Servers look this name up and expect the address that the gateway connects from.
        let client_name = || starttls::host_name().unwrap_or_default();
        let client_name = self.client_name.clone().unwrap_or_else(client_name);
        let tls_start = match url.mode {
            Mode::Cleartext => self.cleartext(protocol, &place)?,
            Mode::Upgrade => TlsStart::Upgrade(self.upstream(protocol, &place, dial)?),
            Mode::Implicit => TlsStart::Implicit(self.upstream(protocol, &place, dial)?),
        };
        let (health, lookup) = (Health::default(), Lookup::default());
        Ok(Backend { protocol, place, tls_start, send_proxy, client_name, health, lookup })
    }

    fn cleartext(self, protocol: &Protocol, place: &BackendAddress) -> Result<TlsStart, SetupError> {
        let upgraded = Mode::Upgrade.scheme(protocol);
        if self.login.is_some() {
            return Err(unverified_login().with_hint(format!(
                "cleartext proves nothing about the backend: write {upgraded}://{place}"
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
            return Err(SetupError::new(format!(
                "\"{key}\" is for a backend with TLS, and this one has none"
            ))
            .with_hint(format!("write {upgraded}://{place}")));
        }
        if !self.allow_cleartext && !stays_here(place) {
            return Err(SetupError::new(format!(
                "what is sent to {place} would leave this machine in cleartext"
            ))
            .with_hint(format!("write {upgraded}://{place}, or permit it: allow-cleartext")));
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
                return Err(SetupError::new("a socket in the file system has no name to verify")
                    .with_hint("say what its certificate is for: server-name = \"mail.example.com\""));
            }
        };
        if server_name.parse::<std::net::IpAddr>().is_err() && crate::names::normal(&server_name).is_none() {
            return Err(SetupError::new(format!(
                "{} is no name to verify",
                crate::setup_error::shown(&server_name)
            )));
        }
        let mut builder = Connector::builder().timeout(dial);
        if let Some(path) = &self.ca_file {
            builder = builder.roots_pem(file("the root certificates", path)?);
        }
        if self.no_system_roots {
            builder = builder.no_system_roots();
        }
        builder = match (&self.certificate, &self.key) {
            (None, None) => builder,
            (Some(chain), Some(key)) => builder.client_certificate_pem(
                file("the client certificate", chain)?,
                file("the client certificate's key", key)?,
            ),
            (Some(_), None) => return Err(SetupError::new("the client certificate has no \"key\"")),
            (None, Some(_)) => return Err(SetupError::new("the key has no client certificate, \"cert\"")),
        };
        let trust = match (self.insecure, self.login) {
            (false, Some(_)) if !protocol.flow.login_is_optional => {
                let known = PROTOCOLS.iter().filter(|it| it.flow.login_is_optional).map(|it| it.name);
                let known: Vec<&str> = known.collect();
                return Err(SetupError::new(format!("in {} clients log in for themselves", protocol.title))
                    .with_hint(format!("a login is for {}", known.join(", "))));
            }
            (false, Some(login)) if login.secret().is_none() && self.certificate.is_none() => {
                return Err(SetupError::new("EXTERNAL logs in by a client certificate, and there is none")
                    .with_hint("add cert = \"/path\" and key = \"/path\" to the backend"));
            }
            (false, login) => BackendTrust::Verified(login),
            (true, None) => BackendTrust::Unverified,
            (true, Some(_)) => {
                return Err(unverified_login()
                    .with_hint("remove \"insecure\"; \"ca-file\" trusts an authority of your own"));
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
    SetupError::new("a login is given to a verified backend only")
}

/// Whether what one side says can be given to the other as it is.
fn convertible(front: &Protocol, back: &Protocol) -> bool {
    let mail = ["smtp", "submission"];
    front == back || (mail.contains(&front.name) && mail.contains(&back.name))
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
