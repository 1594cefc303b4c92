//! One listener, from what was said of it.

use std::path::PathBuf;
use std::sync::Arc;

use starttls::proto::{AfterUpgrade, Protocol, ServiceName};
use starttls::rustls::server::ProducesTickets;
use starttls::{Acceptor, ClientAuth};

use super::address::{Mode, Url};
use super::client_auth::{self, ClientPolicy};
use super::reader::{Table, Value};
use super::values::{choice, duration};
use super::{
    Backend, BackendAddress, Downstream, ListenAddress, Listener, ListenerLimits, ListenerTls, Networks,
    Route, Routes, UpgradePolicy, backend, data,
};
use crate::certificates::{CertificateSource, Certificates, UnknownNames};
use crate::setup_error::{SetupError, shown};
use crate::tickets::TicketKeys;

/// What was said of a listener, before it is known to make sense.
#[derive(Debug, Default)]
pub(super) struct Draft {
    pub(super) name: Option<String>,
    pub(super) server_name: Option<String>,
    pub(super) starttls: Option<UpgradePolicy>,
    pub(super) sources: Vec<CertificateSource>,
    pub(super) default_certificate: Option<String>,
    pub(super) unknown_names: UnknownNames,
    pub(super) allow: Option<Networks>,
    pub(super) proxy_from: Networks,
    pub(super) data: data::Draft,
    pub(super) limits: ListenerLimits,
    pub(super) routes: Vec<Route>,
    pub(super) tickets: Option<Arc<TicketKeys>>,
}

/// One `[[listener]]`.
pub(super) fn parse(
    mut table: Table<'_>,
    limits: ListenerLimits,
    tickets: Option<Arc<TicketKeys>>,
) -> Result<Listener, SetupError> {
    let place = table.place();
    let listen = table.need("listen")?.text()?;
    let url = Url::parse(&listen).map_err(|error| error.at(|| place.clone()))?;
    let limits =
        table.take("limits").map_or(Ok(limits), |value| parse_limits(value.table("limits")?, limits))?;
    let path = |text: &str| Ok(PathBuf::from(text));
    let offers = &[
        ("required", UpgradePolicy::Required),
        ("optional", UpgradePolicy::Optional),
        ("hidden", UpgradePolicy::Hidden),
    ];
    let unknown = &[("default", UnknownNames::Default), ("refuse", UnknownNames::Refuse)];
    let mut draft = Draft {
        name: table.read("name", label)?,
        server_name: table.read("server-name", |text| Ok(text.to_owned()))?,
        starttls: table.read("starttls", |text| choice(text, offers))?,
        default_certificate: table.read("default-certificate", |text| Ok(text.to_owned()))?,
        unknown_names: table.read("unknown-names", |text| choice(text, unknown))?.unwrap_or_default(),
        allow: table.list("allow").map(networks).transpose()?,
        proxy_from: table.list("proxy-from").map_or(Ok(Networks::default()), networks)?,
        data: data::Draft::parse(&mut table)?,
        limits,
        tickets,
        ..Draft::default()
    };
    match (table.read("cert", path)?, table.read("key", path)?) {
        (None, None) => {}
        (Some(chain), Some(key)) => draft.sources.push(CertificateSource::Pair { chain, key }),
        (Some(_), None) => return Err(table.missing(SetupError::new("\"cert\" has no \"key\"").at(|| place))),
        (None, Some(_)) => return Err(table.missing(SetupError::new("\"key\" has no \"cert\"").at(|| place))),
    }
    for directory in table.list("certificates").unwrap_or_default() {
        draft.sources.push(CertificateSource::Directory(directory.read(path)?));
    }
    let listener_policy = policy(&mut table)?;
    let forward = table.list("forward").unwrap_or_default();
    if !forward.is_empty() {
        draft.routes.push(Route {
            names: Vec::new(),
            backends: backends(forward, &url, limits)?,
            client_auth: listener_policy.clone(),
        });
    }
    for route in table.list("route").unwrap_or_default() {
        draft.routes.push(parse_route(
            route.table("[[listener.route]]")?,
            &url,
            limits,
            listener_policy.as_ref(),
        )?);
    }
    table.end()?;
    draft.build(&url).map_err(|error| error.at(|| place))
}

fn parse_route(
    mut table: Table<'_>,
    url: &Url<'_>,
    limits: ListenerLimits,
    inherited: Option<&ClientPolicy>,
) -> Result<Route, SetupError> {
    let named = table.need("names")?.list().into_iter();
    let names: Vec<String> = named
        .map(|value| {
            value.read(|name| {
                crate::names::normal(name).ok_or_else(|| {
                    SetupError::new(format!("{} is no host name", shown(name))).with_hint(
                        "write \"mail.example.com\", or \"*.example.com\" for all names one label below",
                    )
                })
            })
        })
        .collect::<Result<_, _>>()?;
    if names.is_empty() {
        return Err(SetupError::new("the route has no names")
            .with_hint("where everybody else goes is the listener's own \"forward\"")
            .at(|| table.place()));
    }
    let client_auth = policy(&mut table)?.or_else(|| inherited.cloned());
    let backends = backends(table.need("forward")?.list(), url, limits)?;
    if backends.is_empty() {
        return Err(SetupError::new("the route forwards to no backend").at(|| table.place()));
    }
    table.end()?;
    Ok(Route { names, backends, client_auth })
}

fn backends(
    values: Vec<Value<'_>>,
    url: &Url<'_>,
    limits: ListenerLimits,
) -> Result<Vec<Backend>, SetupError> {
    values.into_iter().map(|value| backend::parse(value, url.protocol, limits.dial)).collect()
}

fn policy(table: &mut Table<'_>) -> Result<Option<ClientPolicy>, SetupError> {
    let modes = &[("optional", ClientAuth::Optional), ("required", ClientAuth::Required)];
    let auth = table.read("client-auth", |text| choice(text, modes))?;
    let roots = table.take("client-ca");
    match (auth, roots) {
        (None, None) => Ok(None),
        (Some(auth), Some(roots)) => roots.read(|path| ClientPolicy::read(auth, path.as_ref())).map(Some),
        (Some(_), None) => Err(table.missing(
            SetupError::new("\"client-auth\" has no \"client-ca\"")
                .with_hint("client-ca = \"/path/roots.pem\" says whose client certificates are good")
                .at(|| table.place()),
        )),
        (None, Some(roots)) => Err(table.missing(
            SetupError::new("\"client-ca\" has no \"client-auth\"")
                .with_hint("client-auth = \"required\", or \"optional\"")
                .at(|| roots.place()),
        )),
    }
}

/// ListenerLimits that say only what differs from others.
pub(super) fn parse_limits(
    mut table: Table<'_>,
    others: ListenerLimits,
) -> Result<ListenerLimits, SetupError> {
    let mut count = |key, other| table.take(key).map_or(Ok(other), Value::count);
    let connections = count("connections", others.connections)?;
    let per_address = count("connections-per-address", others.per_address)?;
    let handshakes = count("handshakes-per-second", others.handshakes)?;
    let mut time = |key, other| Ok::<_, SetupError>(table.read(key, duration)?.unwrap_or(other));
    let negotiation = time("negotiation", others.negotiation)?;
    let dial = time("dial", others.dial)?;
    let idle = time("idle", others.idle)?;
    table.end()?;
    Ok(ListenerLimits { connections, per_address, handshakes, negotiation, dial, idle })
}

fn networks(values: Vec<Value<'_>>) -> Result<Networks, SetupError> {
    let mut networks = Networks::default();
    for value in values {
        value.read(|text| networks.add(text))?;
    }
    Ok(networks)
}

/// A name for logs and metrics.
fn label(text: &str) -> Result<String, SetupError> {
    let plain = |byte: u8| byte.is_ascii_graphic() && byte != b'"' && byte != b'\\';
    if text.is_empty() || text.len() > 100 || !text.bytes().all(plain) {
        return Err(SetupError::new(format!("{} is no name for a listener", shown(text)))
            .with_hint("up to 100 letters, digits and signs, without spaces and quotes"));
    }
    Ok(text.to_owned())
}

impl Draft {
    pub(super) fn build(self, url: &Url<'_>) -> Result<Listener, SetupError> {
        let address = url.address()?;
        self.guard(url, &address)?;
        let name = self.name(url)?;
        let downstream = self.downstream(url)?;
        let data = self.data.build(url.protocol, !matches!(downstream, Downstream::Cleartext))?;
        let routes = Routes::new(self.routes)?;
        if matches!(downstream, Downstream::Cleartext) && routes.default.is_none() {
            return Err(SetupError::new("a listener without TLS learns no names to route by")
                .with_hint("add forward = \"…\" to it, which is for everybody"));
        }
        one_for_all(url.protocol, &downstream, &routes)?;
        let (allow, proxy_from, limits) = (self.allow, self.proxy_from, self.limits);
        let (protocol, server_name) = (url.protocol, self.server_name.unwrap_or_else(|| "localhost".into()));
        Ok(Listener {
            name,
            protocol,
            server_name,
            downstream,
            address,
            allow,
            proxy_from,
            limits,
            data,
            routes,
        })
    }

    /// What the listener's openness forbids (rule G5).
    fn guard(&self, url: &Url<'_>, address: &ListenAddress) -> Result<(), SetupError> {
        let hint = "name the networks that may connect: allow";
        if self.routes.is_empty() {
            return Err(SetupError::new("the listener forwards to nowhere")
                .with_hint("forward = \"smtp://127.0.0.1:2525\""));
        }
        let backends = || self.routes.iter().flat_map(|route| &route.backends);
        if url.mode == Mode::Cleartext {
            if let Some(plain) = backends().find(|backend| backend.tls().is_none()) {
                let upgraded = Mode::Upgrade.scheme(url.protocol);
                return Err(SetupError::new(format!("there is no TLS on either side of the way to {plain}"))
                    .with_hint(format!(
                        "listen on {upgraded}://{address}, or forward to {}://{}",
                        Mode::Upgrade.scheme(plain.protocol),
                        plain.place
                    )));
            }
            if !address.is_local() && self.allow.is_none() {
                return Err(SetupError::new(format!("{address} would take cleartext from other machines"))
                    .with_hint(format!("listen on 127.0.0.1, or {hint}")));
            }
        }
        if let Some(wide) = self.proxy_from.strangers() {
            return Err(SetupError::new(format!("\"proxy-from\" believes all of {wide}"))
                .with_hint("whoever is in there says who the client is: name the proxies, no more"));
        }
        if let Some(itself) = backends().find(|backend| address.is_at(&backend.place)) {
            return Err(SetupError::new(format!("the listener forwards to itself, {}", itself.place))
                .with_hint("forward to where the server listens"));
        }
        let by_socket = backends().find(|it| {
            it.protocol.flow.has_peer_credential_auth && matches!(it.place, BackendAddress::Unix(_))
        });
        if by_socket.is_none() && backends().all(|backend| backend.login().is_none()) {
            return Ok(());
        }
        let hint = match by_socket.map(|backend| Mode::Cleartext.scheme(backend.protocol)) {
            Some(scheme) => {
                format!(
                    "it may take all for the gateway's own user there: forward to {scheme}://127.0.0.1, or {hint}"
                )
            }
            None => format!("listen on 127.0.0.1 or a unix socket, or {hint}"),
        };
        // What comes through another proxy comes from anywhere.
        let local = address.is_local() && self.proxy_from == Networks::default();
        match &self.allow {
            None if !local => {
                Err(SetupError::new("whoever reaches this listener would be logged in to the backend")
                    .with_hint(hint))
            }
            Some(allow) if let Some(wide) = allow.strangers() => {
                Err(SetupError::new(format!("\"allow\" lets all of {wide} be logged in to the backend"))
                    .with_hint(hint))
            }
            _ => Ok(()),
        }
    }

    fn downstream(&self, url: &Url<'_>) -> Result<Downstream, SetupError> {
        let tls_only = [
            ("cert", !self.sources.is_empty()),
            ("default-certificate", self.default_certificate.is_some()),
            ("unknown-names", self.unknown_names != UnknownNames::Default),
            ("client-auth", self.routes.iter().any(|route| route.client_auth.is_some())),
            ("route", self.routes.iter().any(|route| !route.names.is_empty())),
        ];
        let upgraded = Mode::Upgrade.scheme(url.protocol);
        match (url.mode, self.starttls) {
            (Mode::Upgrade, Some(UpgradePolicy::Optional)) if !url.protocol.flow.tls_may_be_optional => {
                Err(SetupError::new(format!("TLS cannot be optional for {}", url.protocol.title)).with_hint(
                    "use starttls = \"required\": no message may pass without TLS, because any of them may hold a password",
                ))
            }
            (Mode::Upgrade, offer) => Ok(Downstream::Upgrade(offer.unwrap_or_default(), self.tls(url)?)),
            (Mode::Implicit, None) => Ok(Downstream::Implicit(self.tls(url)?)),
            (mode, Some(_)) => Err(SetupError::new(format!(
                "\"starttls\" is for an upgrade, and {}:// has none",
                mode.scheme(url.protocol)
            ))
            .with_hint(format!("listen on {upgraded}://"))),
            (Mode::Cleartext, None) => match tls_only.into_iter().find(|(_, given)| *given) {
                Some((key, _)) => Err(SetupError::new(format!(
                    "\"{key}\" is for a listener with TLS, and {}:// is cleartext",
                    url.protocol.name
                ))
                .with_hint(format!("listen on {upgraded}://"))),
                None => Ok(Downstream::Cleartext),
            },
        }
    }

    fn tls(&self, url: &Url<'_>) -> Result<ListenerTls, SetupError> {
        if self.sources.is_empty() {
            return Err(SetupError::new("the listener has no certificate")
                .with_hint("cert and key name one; certificates, or --certs, a folder of them"));
        }
        let certificates = Arc::new(Certificates::load(
            &self.sources,
            self.default_certificate.as_deref(),
            self.unknown_names,
        )?);
        // Where the client says whom it wants, nobody is whoever it wants: the routes decide.
        let asked = url.protocol.flow.after == AfterUpgrade::StreamRestart;
        // A certificate may have a name that no host has.
        let usable = |name: String| ServiceName::from_peer(&name).to_string();
        let usual = || if asked { Some(String::new()) } else { certificates.default_name().map(usable) };
        let greeting = self.server_name.clone().or_else(usual);
        let greeting = greeting.unwrap_or_else(|| String::from("localhost"));
        let mut builder = Acceptor::builder(url.protocol, &greeting)
            .resolver(certificates.clone())
            .timeout(self.limits.negotiation);
        builder = builder.tickets(self.tickets(url)?);
        if self.starttls == Some(UpgradePolicy::Hidden) {
            builder = builder.unannounced();
        }
        if let Some((auth, roots)) = client_auth::combined(&self.routes) {
            builder = builder.client_auth(auth, roots);
        }
        Ok(ListenerTls { acceptor: builder.build()?, certificates })
    }
}

impl Draft {
    /// A session is resumed on a listener of this name and protocol whose terms for clients are these;
    /// that it is for the same host as before is seen to by rustls (rule S9).
    fn tickets(&self, url: &Url<'_>) -> Result<Arc<dyn ProducesTickets>, SetupError> {
        let name = self.name(url)?;
        let mut terms = vec![name.as_bytes(), url.protocol.name.as_bytes()];
        for route in &self.routes {
            terms.push(b"route");
            terms.extend(route.names.iter().map(String::as_bytes));
            terms.extend(route.client_auth.iter().flat_map(ClientPolicy::fingerprint));
        }
        let keys = self.tickets.clone().map_or_else(TicketKeys::random, Ok)?;
        Ok(keys.for_terms(&terms))
    }

    fn name(&self, url: &Url<'_>) -> Result<String, SetupError> {
        let usual = || Ok(format!("{}://{}", url.mode.scheme(url.protocol), url.address()?));
        self.name.clone().map_or_else(usual, Ok)
    }
}

/// Who has said nothing of itself yet is served by the default route, where a backend speaks first or the client may
/// stay in cleartext: there has to be one, and it cannot ask for a certificate.
fn one_for_all(protocol: &Protocol, downstream: &Downstream, routes: &Routes) -> Result<(), SetupError> {
    let relayed = protocol.flow.after == AfterUpgrade::SequenceContinues;
    let optional = matches!(downstream, Downstream::Upgrade(UpgradePolicy::Optional, _));
    if !relayed && !optional {
        return Ok(());
    }
    let default = routes.default.and_then(|index| routes.all.get(index));
    let Some(default) = default else {
        return Err(SetupError::new(
            "clients are served before they have named anybody, and there is no route for them",
        )
        .with_hint("add forward = \"…\" to the listener, which is for everybody"));
    };
    if relayed && routes.all.len() > 1 {
        return Err(SetupError::new(format!(
            "in {} the backend speaks before the client can name it",
            protocol.title
        ))
        .with_hint("one \"forward\" for all; a listener of its own for each backend"));
    }
    match &default.client_auth {
        Some(policy) if optional && policy.auth == ClientAuth::Required => Err(SetupError::new(
            "who stays in cleartext presents no certificate, and \"client-auth\" requires one",
        )
        .with_hint("leave out starttls = \"optional\", or ask for certificates on named routes only")),
        _ => Ok(()),
    }
}

impl Routes {
    fn new(all: Vec<Route>) -> Result<Self, SetupError> {
        let mut routes =
            Self { default: all.iter().position(|route| route.names.is_empty()), ..Self::default() };
        for (index, route) in all.iter().enumerate() {
            for name in &route.names {
                if routes.by_name.contains(name) {
                    return Err(SetupError::new(format!("two routes are for {}", shown(name))));
                }
                routes.by_name.entry(name, || index);
            }
        }
        Ok(Self { all, ..routes })
    }
}
