//! The JSON plan of a configuration. The schema is in `docs/schema/plan.json`.

use std::time::Duration;

use serde::Serialize;
use starttls::{CertificateVerdict, ClientAuth, TlsFacts};
use starttls_gateway::certificates::CertificateSummary;
use starttls_gateway::config::{self, BackendTrust, Downstream, UpgradePolicy};
use starttls_gateway::{Config, SessionFailure};
use starttls_x509::validity;

use crate::error::with_causes;
use crate::exit;
use crate::session::report::{Presented, Tls};

/// Every listener, and whether its backends are there.
#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(crate) struct Report {
    /// Increases when a field changes its meaning or is removed.
    pub(crate) schema_version: u32,
    /// The exit code of the program: that of the worst backend.
    pub(crate) exit_code: u8,
    /// What works, and should not stay as it is.
    pub(crate) warnings: Vec<String>,
    /// In the order of the configuration.
    pub(crate) listeners: Vec<Listener>,
}

/// A place where the gateway would listen.
#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(crate) struct Listener {
    /// Its name in log and metrics.
    pub(crate) name: String,
    /// Where it listens.
    pub(crate) address: String,
    /// The scheme of the protocol.
    pub(crate) protocol: &'static str,
    /// Where TLS starts.
    pub(crate) mode: Mode,
    /// What it presents; nothing without TLS.
    pub(crate) certificates: Vec<ServerCertificate>,
    /// The ways on from there. The one without names is for all others.
    pub(crate) routes: Vec<Route>,
}

/// Where TLS starts on a listener.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Mode {
    /// The connection starts in cleartext and must be upgraded.
    UpgradeRequired,
    /// The connection starts in cleartext; clients that do not upgrade are served too.
    UpgradeOptional,
    /// As required, and not announced.
    UpgradeHidden,
    /// At the first byte.
    ImplicitTls,
    /// Nowhere.
    Cleartext,
}

/// A certificate that clients are presented with.
#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(crate) struct ServerCertificate {
    pub(crate) file: String,
    /// The host names that it is for.
    pub(crate) names: Vec<String>,
    /// The kind of its key.
    pub(crate) key: &'static str,
    /// The last second of its validity, RFC 3339.
    pub(crate) not_after: String,
    /// The same in seconds since 1970.
    pub(crate) not_after_unix: i64,
    /// Days from now until it ends; negative when it has ended.
    pub(crate) days_left: i64,
    /// Whether an OCSP response is sent along.
    pub(crate) ocsp_stapled: bool,
}

/// Where the sessions for some names go.
#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(crate) struct Route {
    /// None where it is for all others.
    pub(crate) names: Vec<String>,
    /// Whether clients are asked for a certificate.
    pub(crate) client_certificate: ClientCertificates,
    /// In order of preference.
    pub(crate) backends: Vec<Backend>,
}

/// Whether clients are asked for a certificate.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub(crate) enum ClientCertificates {
    /// They are not.
    No,
    /// They may come without.
    Optional,
    /// They may not.
    Required,
}

/// A server that sessions are handed to, and what came of reaching it.
#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(crate) struct Backend {
    pub(crate) url: String,
    /// What the gateway would hand a session to.
    pub(crate) outcome: Outcome,
    /// How long it took, in milliseconds.
    pub(crate) time_ms: f64,
    /// Its TLS session, if there is one.
    pub(crate) tls: Option<Tls>,
    /// Its certificate, if it was seen.
    pub(crate) certificate: Option<Presented>,
    /// As whom the gateway logs in there, if it does.
    pub(crate) login: Option<String>,
    /// Why it cannot be handed a session.
    pub(crate) error: Option<String>,
}

/// What came of reaching a backend.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Outcome {
    /// It is there, inside TLS, and has to prove its name.
    Verified,
    /// It is there, inside TLS, and anybody can be it.
    Unverified,
    /// It is there, in cleartext.
    Cleartext,
    /// No session can be handed to it.
    Failed,
}

/// The result of connecting to a backend, and its duration.
pub(super) type Probed = (Result<Option<TlsFacts>, SessionFailure>, Duration);

impl Report {
    /// Creates the report. `probed` has an entry for each backend of each route of each listener, in their order.
    pub(super) fn new(config: &Config, probed: Vec<Probed>) -> Self {
        let (mut probed, mut exit_code) = (probed.into_iter(), exit::DONE);
        let mut backend = |backend: &config::Backend| {
            let (outcome, time) = probed.next()?;
            exit_code = exit_code.max(outcome.as_ref().err().map_or(exit::DONE, exit::of_backend));
            Some(Backend::new(backend, outcome, time))
        };
        let mut listeners = Vec::new();
        for listener in &config.listeners {
            let routes = listener.routes().iter().map(|route| Route {
                names: route.names.clone(),
                client_certificate: match route.client_auth.as_ref().map(|policy| policy.auth) {
                    None => ClientCertificates::No,
                    Some(ClientAuth::Optional) => ClientCertificates::Optional,
                    Some(ClientAuth::Required) => ClientCertificates::Required,
                },
                backends: route.backends.iter().filter_map(&mut backend).collect(),
            });
            let routes = routes.collect();
            listeners.push(Listener::new(listener, routes));
        }
        Self { schema_version: 1, exit_code, warnings: config.warnings.clone(), listeners }
    }
}

impl Listener {
    fn new(listener: &config::Listener, routes: Vec<Route>) -> Self {
        let certificates = listener.tls().map(|tls| tls.certificates.summaries()).unwrap_or_default();
        Self {
            name: listener.name.clone(),
            address: listener.address.to_string(),
            protocol: listener.protocol.name,
            mode: match listener.downstream {
                Downstream::Upgrade(UpgradePolicy::Required, _) => Mode::UpgradeRequired,
                Downstream::Upgrade(UpgradePolicy::Optional, _) => Mode::UpgradeOptional,
                Downstream::Upgrade(UpgradePolicy::Hidden, _) => Mode::UpgradeHidden,
                Downstream::Implicit(_) => Mode::ImplicitTls,
                Downstream::Cleartext => Mode::Cleartext,
            },
            certificates: certificates.into_iter().map(ServerCertificate::new).collect(),
            routes,
        }
    }
}

impl ServerCertificate {
    fn new(summary: CertificateSummary) -> Self {
        let CertificateSummary { path, names, key, not_after: not_after_unix, days_left, ocsp } = summary;
        let (file, not_after) = (path.display().to_string(), validity::rfc3339(not_after_unix));
        Self { file, names, key, not_after, not_after_unix, days_left, ocsp_stapled: ocsp }
    }
}

impl Backend {
    fn new(
        backend: &config::Backend,
        outcome: Result<Option<TlsFacts>, SessionFailure>,
        time: Duration,
    ) -> Self {
        let error = outcome.as_ref().err().map(|failure| with_causes(failure));
        let facts = outcome.as_ref().ok().and_then(Option::as_ref);
        Self {
            url: backend.to_string(),
            outcome: match (&outcome, backend.tls().map(|upstream| &upstream.trust)) {
                (Err(_), _) => Outcome::Failed,
                (Ok(_), None) => Outcome::Cleartext,
                (Ok(_), Some(BackendTrust::Verified(_))) => Outcome::Verified,
                // The gateway accepts any certificate here, even if this certificate is valid.
                (Ok(_), Some(BackendTrust::Unverified)) => Outcome::Unverified,
            },
            time_ms: (time.as_secs_f64() * 1e5).round() / 100.0,
            tls: facts.map(|facts| Tls::new(facts, 0)),
            certificate: facts.map(|facts| {
                Presented::new(
                    facts.verdict == CertificateVerdict::Verified,
                    facts.verdict.to_string(),
                    &facts.chain,
                )
            }),
            login: backend.login().map(|login| login.user().to_owned()),
            error,
        }
    }
}
