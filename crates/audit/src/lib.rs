//! Audits a server's upgrade to TLS: is it offered, enforced, verified, and free of attacks on the boundary?
//!
//! - [`Audit`] runs the probes against one endpoint;
//! - [`check`] is the table of checks, and [`Selection`] says which of them run;
//! - [`report`] is the result as data, [`filter`] compares it with a baseline and a threshold, and [`render`] writes it.
#![forbid(unsafe_code)]

mod address;
mod certificate;
mod channel;
pub mod check;
mod error;
pub mod filter;
mod finding;
mod hello;
mod message;
mod observe;
mod ocsp;
mod plan;
mod presented;
mod probe;
mod profile;
mod record;
pub mod render;
pub mod report;
mod requirement;
mod selection;
mod session;
mod survey;
pub mod tls_profile;
mod tls_version;
mod words;

use std::pin::Pin;
use std::sync::Arc;

use starttls::ConnectorBuilder;
use starttls::dialer::TcpRoute;
use starttls::proto::{ClientName, Identity, Protocol, UrlAuthority};
use starttls_x509::validity;

pub use address::EndpointAddress;
pub use observe::{AuditEvent, AuditObserver};
pub use plan::Limits;
use plan::Plan;
pub use probe::{Cost, cost};
pub use requirement::{Advice, Requirement};
pub use selection::{InvalidSelection, LIGHT_CONNECTIONS, Selection, SurveyExtent};

/// The configuration of an audit: trusted roots, client certificate, selected checks, limits.
#[derive(Clone, Debug)]
pub struct Audit {
    connectors: plan::Connectors,
    client_name: ClientName,
    authority: Option<UrlAuthority>,
    implicit: bool,
    route: TcpRoute,
    selection: Selection,
    limits: Limits,
    advice: Advice,
    observer: Option<Arc<dyn AuditObserver>>,
    gate: Option<Arc<dyn DialGate>>,
    until_offer: bool,
}

/// Decides when an audit may open its next connection, for example so that many audits share a limit.
pub trait DialGate: std::fmt::Debug + Send + Sync {
    /// Waits until a connection may be opened. The wait counts toward the audit's deadline.
    fn admit(&self) -> Pin<Box<dyn Future<Output = ()> + Send + '_>>;
}

impl Audit {
    /// Returns an audit of all checks, with the roots, the client certificate and the timeout of the connectors that
    /// `builder` makes.
    ///
    /// # Errors
    /// If such a connector cannot be built.
    pub fn new(builder: impl Fn() -> ConnectorBuilder, limits: Limits) -> Result<Self, starttls::Error> {
        let connectors = plan::Connectors::new(&builder, limits.reply_timeout)?;
        let client_name = ClientName::default();
        let selection = Selection::default();
        Ok(Self {
            connectors,
            client_name,
            authority: None,
            implicit: false,
            route: TcpRoute::direct(),
            selection,
            limits,
            advice: Requirement::advice,
            observer: None,
            gate: None,
            until_offer: false,
        })
    }

    /// Returns the same audit with other limits. The time for a handshake stays the same.
    #[must_use]
    pub fn with_limits(&self, limits: Limits) -> Self {
        Self { limits, ..self.clone() }
    }

    /// Returns the limits.
    pub fn limits(&self) -> Limits {
        self.limits
    }

    /// Returns the same audit for endpoints whose URL has this authority (`Host` in HTTP). Without one, the probes send the
    /// server name.
    #[must_use]
    pub fn with_authority(&self, authority: Option<UrlAuthority>) -> Self {
        Self { authority, ..self.clone() }
    }

    /// Returns the same audit for endpoints where TLS starts at the first byte (RFC 8314 section 3), or for those with an
    /// upgrade. With implicit TLS the audit covers the certificate, the versions, ALPN, and what the session shows; the
    /// checks of the upgrade do not apply.
    #[must_use]
    pub fn with_implicit_tls(&self, implicit: bool) -> Self {
        Self { implicit, ..self.clone() }
    }

    /// Returns the same audit with another way to the endpoints, for example through a proxy. If the proxy fails, the audit is
    /// inconclusive.
    #[must_use]
    pub fn with_route(&self, route: TcpRoute) -> Self {
        Self { route, ..self.clone() }
    }

    /// Returns the same audit of these checks only. It opens the connections that they need.
    #[must_use]
    pub fn with_selection(&self, selection: Selection) -> Self {
        Self { selection, ..self.clone() }
    }

    /// Returns the same audit whose summaries name what a check lacks in these words, for example by the option of a
    /// command.
    #[must_use]
    pub fn with_advice(&self, advice: Advice) -> Self {
        Self { advice, ..self.clone() }
    }

    /// Returns the same audit, which reports its connections and their messages to this observer while it runs.
    #[must_use]
    pub fn observed_by(&self, observer: Arc<dyn AuditObserver>) -> Self {
        Self { observer: Some(observer), ..self.clone() }
    }

    /// Returns the same audit, which asks this gate before each connection.
    #[must_use]
    pub fn with_gate(&self, gate: Arc<dyn DialGate>) -> Self {
        Self { gate: Some(gate), ..self.clone() }
    }

    /// Returns the same audit, which ends when it has seen whether the server offers the upgrade, or which continues. An audit
    /// that ends there is inconclusive if the server offers the upgrade.
    #[must_use]
    pub fn until_offer(&self, until_offer: bool) -> Self {
        Self { until_offer, ..self.clone() }
    }

    /// Sets the name that the probes give for the client (EHLO). The default is the literal `[127.0.0.1]`.
    #[must_use]
    pub fn client_name(self, client_name: ClientName) -> Self {
        Self { client_name, ..self }
    }

    /// Audits one endpoint. Connections that fail and inconclusive checks are in the report.
    ///
    /// `target` names the endpoint in the report; `server_name` is sent in SNI and verified.
    ///
    /// # Panics
    /// If the protocol is not in the registry.
    pub async fn endpoint(
        &self,
        protocol: &'static Protocol,
        target: &str,
        server_name: &str,
        address: impl Into<EndpointAddress>,
    ) -> report::EndpointReport {
        let identity = Identity {
            client_name: self.client_name.clone(),
            authority: self.authority.clone(),
            // Many servers of RDP refuse TLS without CredSSP, and their TLS is the same.
            bound_login: true,
            ..Identity::new(server_name)
        };
        let (server_name, connectors) = (server_name.to_owned(), self.connectors.clone());
        let mut plan =
            Plan::new(protocol, target, address.into(), server_name, identity, connectors, self.limits);
        plan.implicit = self.implicit;
        plan.route = self.route.clone();
        plan.selection = self.selection.clone();
        plan.advice = self.advice;
        plan.observer = self.observer.clone();
        plan.gate = self.gate.clone();
        plan.until_offer = self.until_offer;
        // On the heap, so that a caller can have many audits in one future.
        Box::pin(probe::run(plan)).await
    }
}

/// Adds a warning of this check to a report, for a fact that the audit does not look at itself. Call [`filter::settle`]
/// afterwards to update the verdict.
pub fn add_warning(endpoint: &mut report::EndpointReport, check: &'static check::Check, summary: &str) {
    let warning = finding::FindingBuilder::new(check, report::CheckOutcome::Warning, summary);
    finding::ProbeResult::of(warning).into_report(
        Requirement::advice,
        &mut endpoint.transcripts,
        &mut endpoint.findings,
    );
}

/// Returns the report on an endpoint that could not be dialed.
pub fn unreachable(
    protocol: &'static Protocol,
    target: &str,
    server_name: &str,
    port: u16,
    why: &str,
) -> report::EndpointReport {
    let (mut transcripts, mut findings) = (Vec::new(), Vec::new());
    let failed = finding::FindingBuilder::fail(check::id::SRV_REACHABLE, why);
    finding::ProbeResult::of(failed).into_report(Requirement::advice, &mut transcripts, &mut findings);
    report::EndpointReport {
        target: target.to_owned(),
        address: None,
        protocol: protocol.name.to_owned(),
        server_name: server_name.to_owned(),
        port,
        target_line: None,
        started_at: validity::rfc3339(validity::now()),
        source: None,
        outcome: report::EndpointVerdict::Unreachable,
        summary: why.to_owned(),
        tls: None,
        certificate: None,
        capabilities: None,
        steps: Vec::new(),
        connections: 0,
        elapsed_ms: 0.0,
        not_selected: 0,
        findings,
        transcripts,
        reach: report::Reach::Unroutable,
    }
}
