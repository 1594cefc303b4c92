//! Parses and checks a listener.

use std::path::PathBuf;
use std::sync::Arc;

use starttls::proto::{AfterUpgrade, Protocol, ServiceName};
use starttls::rustls::server::ProducesTickets;
use starttls::{Acceptor, ClientAuth};

use super::address::{BackendAddress, ListenAddress, Mode, Url};
use super::client_auth::ClientPolicy;
use super::networks::Networks;
use super::reader::{Table, Value, choice, duration};
use super::types::{
    Backend, Downstream, Listener, ListenerLimits, ListenerTls, Route, Routes, UpgradePolicy,
};
use super::{backend, data, early_dial};
use crate::certificates::{CertificateSource, Certificates, UnknownNames};
use crate::setup_error::{SetupError, shown};
use crate::tickets::TicketKeys;

/// The settings of a listener, before they are checked together.
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
    pub(super) observe: bool,
    pub(super) busy_poll: bool,
    pub(super) early_dial: bool,
    pub(super) data: data::Draft,
    pub(super) limits: ListenerLimits,
    pub(super) routes: Vec<Route>,
    pub(super) tickets: Option<Arc<TicketKeys>>,
}

/// Parses a `[[listener]]`.
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
        observe: table.flag("observe")?,
        busy_poll: table.flag("busy-poll")?,
        early_dial: table.flag("early-dial")?,
        data: data::Draft::parse(&mut table)?,
        limits,
        tickets,
        ..Draft::default()
    };
    match (table.read("cert", path)?, table.read("key", path)?) {
        (None, None) => {}
        (Some(chain), Some(key)) => draft.sources.push(CertificateSource::Pair { chain, key }),
        (Some(_), None) => {
            return Err(table.missing(SetupError::new("\"cert\" requires \"key\"").at(|| place)));
        }
        (None, Some(_)) => {
            return Err(table.missing(SetupError::new("\"key\" requires \"cert\"").at(|| place)));
        }
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
                    SetupError::new(format!("invalid host name {}", shown(name))).with_hint(
                        "write \"mail.example.com\", or \"*.example.com\" for every name with one more label",
                    )
                })
            })
        })
        .collect::<Result<_, _>>()?;
    if names.is_empty() {
        return Err(SetupError::new("\"names\" is empty")
            .with_hint("for the default route, set \"forward\" in the listener")
            .at(|| table.place()));
    }
    let client_auth = policy(&mut table)?.or_else(|| inherited.cloned());
    let backends = backends(table.need("forward")?.list(), url, limits)?;
    if backends.is_empty() {
        return Err(SetupError::new("the route has no backend").at(|| table.place()));
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
            SetupError::new("\"client-auth\" requires \"client-ca\"")
                .with_hint("set client-ca = \"/path/roots.pem\" to the CAs that issue client certificates")
                .at(|| table.place()),
        )),
        (None, Some(roots)) => Err(table.missing(
            SetupError::new("\"client-ca\" requires \"client-auth\"")
                .with_hint("set client-auth = \"required\" or \"optional\"")
                .at(|| roots.place()),
        )),
    }
}

/// Parses limits. Keys that are missing keep the values of `others`.
pub(super) fn parse_limits(
    mut table: Table<'_>,
    others: ListenerLimits,
) -> Result<ListenerLimits, SetupError> {
    let mut count = |key, other| table.take(key).map_or(Ok(other), Value::count);
    let connections = count("connections", others.connections)?;
    let per_address = count("connections-per-address", others.per_address)?;
    let handshakes = count("handshakes-per-second", others.handshakes)?;
    let early_dials = count("early-dials", others.early_dials)?;
    let mut time = |key, other| Ok::<_, SetupError>(table.read(key, duration)?.unwrap_or(other));
    let negotiation = time("negotiation", others.negotiation)?;
    let dial = time("dial", others.dial)?;
    let idle = time("idle", others.idle)?;
    table.end()?;
    Ok(ListenerLimits { connections, per_address, handshakes, early_dials, negotiation, dial, idle })
}

fn networks(values: Vec<Value<'_>>) -> Result<Networks, SetupError> {
    let mut networks = Networks::default();
    for value in values {
        value.read(|text| networks.add(text))?;
    }
    Ok(networks)
}

/// Parses the name of a listener.
fn label(text: &str) -> Result<String, SetupError> {
    let plain = |byte: u8| byte.is_ascii_graphic() && byte != b'"' && byte != b'\\';
    if text.is_empty() || text.len() > 100 || !text.bytes().all(plain) {
        return Err(SetupError::new(format!("invalid listener name {}", shown(text)))
            .with_hint("use 1 to 100 printable ASCII characters, without spaces, quotes and backslashes"));
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
            return Err(SetupError::new(
                "a listener without TLS needs a default route, because its clients send no host name",
            )
            .with_hint("add forward = \"…\" to the listener"));
        }
        check_default_route(url.protocol, &downstream, &routes)?;
        if self.early_dial {
            early_dial::check(url.protocol, &downstream, &routes.all)?;
        }
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
            observe: self.observe,
            busy_poll: self.busy_poll,
            early_dial: self.early_dial,
            limits,
            data,
            routes,
        })
    }

    /// Rejects listeners that would give strangers access (rule G5).
    fn guard(&self, url: &Url<'_>, address: &ListenAddress) -> Result<(), SetupError> {
        let hint = "set \"allow\" to the networks that may connect";
        if self.routes.is_empty() {
            return Err(SetupError::new("the listener has no backend")
                .with_hint("set forward, for example forward = \"smtp://127.0.0.1:2525\""));
        }
        let backends = || self.routes.iter().flat_map(|route| &route.backends);
        if url.mode == Mode::Cleartext {
            if let Some(plain) = backends().find(|backend| backend.tls().is_none()) {
                let upgraded = Mode::Upgrade.scheme(url.protocol);
                return Err(SetupError::new(format!(
                    "neither the listener nor the backend {plain} uses TLS"
                ))
                .with_hint(format!(
                    "listen on {upgraded}://{address}, or forward to {}://{}",
                    Mode::Upgrade.scheme(plain.protocol),
                    plain.place
                )));
            }
            if !address.is_local() && self.allow.is_none() {
                return Err(SetupError::new(format!("{address} would accept cleartext from other machines"))
                    .with_hint(format!("listen on 127.0.0.1, or {hint}")));
            }
        }
        if let Some(wide) = self.proxy_from.too_wide() {
            return Err(SetupError::new(format!("\"proxy-from\" is too wide: {wide}")).with_hint(
                "every host in these networks can claim any client address: list only the proxies",
            ));
        }
        if let Some(itself) = backends().find(|backend| address.is_at(&backend.place)) {
            return Err(SetupError::new(format!("the listener forwards to itself, {}", itself.place))
                .with_hint("set forward to the address of the server"));
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
                    "on a Unix socket the server may take every client for the gateway's own user: forward to {scheme}://127.0.0.1, or {hint}"
                )
            }
            None => format!("listen on 127.0.0.1 or a unix socket, or {hint}"),
        };
        // Clients that connect through another proxy may be on any machine.
        let local = address.is_local() && self.proxy_from == Networks::default();
        match &self.allow {
            None if !local => Err(SetupError::new(
                "every client that reaches this listener would be logged in to the backend",
            )
            .with_hint(hint)),
            Some(allow) if let Some(wide) = allow.too_wide() => {
                Err(SetupError::new(format!("\"allow\" is too wide for a login to the backend: {wide}"))
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
            ("early-dial", self.early_dial),
        ];
        let upgraded = Mode::Upgrade.scheme(url.protocol);
        match (url.mode, self.starttls) {
            (Mode::Upgrade, Some(UpgradePolicy::Optional)) if !url.protocol.flow.tls_may_be_optional => {
                Err(SetupError::new(format!("TLS cannot be optional for {}", url.protocol.title)).with_hint(
                    "set starttls = \"required\": any message may contain a password, so none may pass without TLS",
                ))
            }
            (Mode::Upgrade, offer) => Ok(Downstream::Upgrade(offer.unwrap_or_default(), self.tls(url)?)),
            (Mode::Implicit, None) => Ok(Downstream::Implicit(self.tls(url)?)),
            (mode, Some(_)) => Err(SetupError::new(format!(
                "\"starttls\" requires an upgrade, but {}:// has none",
                mode.scheme(url.protocol)
            ))
            .with_hint(format!("listen on {upgraded}://"))),
            (Mode::Cleartext, None) if url.protocol.flow.hello_rounds > 1 => Err(SetupError::new(format!(
                "a listener for {} requires TLS: a client without it begins its session in another way",
                url.protocol.title
            ))
            .with_hint(format!("listen on {upgraded}://"))),
            (Mode::Cleartext, None) => match tls_only.into_iter().find(|(_, given)| *given) {
                Some((key, _)) => Err(SetupError::new(format!(
                    "\"{key}\" requires TLS, but {}:// is cleartext",
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
                .with_hint("set cert and key, or certificates to a folder of them"));
        }
        let certificates = Arc::new(Certificates::load(
            &self.sources,
            self.default_certificate.as_deref(),
            self.unknown_names,
        )?);
        // In XMPP the client names the service in its stream; an empty name accepts every one, and the routes decide.
        let asked = url.protocol.flow.after == AfterUpgrade::StreamRestart;
        // The name in a certificate may not be a valid host name.
        let usable = |name: String| ServiceName::from_peer(&name).to_string();
        let usual = || if asked { Some(String::new()) } else { certificates.default_name().map(usable) };
        let greeting = self.server_name.clone().or_else(usual);
        let greeting = greeting.unwrap_or_else(|| String::from("localhost"));
        let mut builder = Acceptor::builder(url.protocol, &greeting)
            .cert_resolver(certificates.clone())
            .timeout(self.limits.negotiation);
        builder = builder.tickets(self.tickets(url)?);
        if self.starttls == Some(UpgradePolicy::Hidden) {
            builder = builder.unannounced();
        }
        if let Some((auth, roots)) = combined_policy(&self.routes) {
            builder = builder.client_auth(auth, roots);
        }
        Ok(ListenerTls { acceptor: builder.build()?, certificates })
    }
}

impl Draft {
    /// Returns the source of session tickets. A session can be resumed only on a listener with the same name, protocol and
    /// requirements for clients (rule S9). rustls checks that the host name is the same.
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

/// Checks the default route of listeners that serve a client before it has named a host: those whose backend speaks first,
/// and those with an optional upgrade. The default route must exist and cannot require a certificate.
fn check_default_route(
    protocol: &Protocol,
    downstream: &Downstream,
    routes: &Routes,
) -> Result<(), SetupError> {
    let relayed = protocol.flow.login_needs_greeting;
    let optional = matches!(downstream, Downstream::Upgrade(UpgradePolicy::Optional, _));
    if !relayed && !optional {
        return Ok(());
    }
    let default = routes.default.and_then(|index| routes.all.get(index));
    let Some(default) = default else {
        return Err(SetupError::new(
            "the listener needs a default route, because clients are served before they name a host",
        )
        .with_hint("add forward = \"…\" to the listener"));
    };
    if relayed && routes.all.len() > 1 {
        return Err(SetupError::new(format!(
            "{} cannot be routed by name, because the backend speaks first",
            protocol.title
        ))
        .with_hint("use one \"forward\", and a separate listener for each backend"));
    }
    match &default.client_auth {
        Some(policy) if optional && policy.auth == ClientAuth::Required => Err(SetupError::new(
            "\"client-auth\" requires a certificate, which clients in cleartext cannot present",
        )
        .with_hint("remove starttls = \"optional\", or set client-auth on named routes only")),
        _ => Ok(()),
    }
}

/// Returns what the handshake has to request, so that the policy of every route can be applied after it.
fn combined_policy(routes: &[Route]) -> Option<(ClientAuth, Vec<u8>)> {
    let policies: Vec<_> = routes.iter().filter_map(|route| route.client_auth.as_ref()).collect();
    let all = policies.len() == routes.len() && policies.iter().all(|it| it.auth == ClientAuth::Required);
    let roots: Vec<_> = policies.iter().map(|policy| &*policy.roots_pem).collect();
    let auth = if all { ClientAuth::Required } else { ClientAuth::Optional };
    (!roots.is_empty()).then(|| (auth, roots.join(&b'\n')))
}

impl Routes {
    fn new(all: Vec<Route>) -> Result<Self, SetupError> {
        let mut routes =
            Self { default: all.iter().position(|route| route.names.is_empty()), ..Self::default() };
        for (index, route) in all.iter().enumerate() {
            for name in &route.names {
                if routes.by_name.contains(name) {
                    return Err(SetupError::new(format!("two routes have the name {}", shown(name))));
                }
                routes.by_name.entry(name, || index);
            }
        }
        Ok(Self { all, ..routes })
    }
}
