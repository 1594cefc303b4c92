//! Audits a server's upgrade to TLS: is it offered, enforced, verified, and free of the attacks on the seam.
//!
//! - [`Audit`] runs the probes against one endpoint;
//! - [`check`] is the table of what is looked for;
//! - [`report`] is what comes out, as data; [`filter`] says what of it counts, and [`render`] shows it.
#![forbid(unsafe_code)]

mod algorithms;
mod certificate;
mod channel;
pub mod check;
mod error;
pub mod filter;
mod finding;
mod hello;
mod plan;
mod presented;
mod probe;
mod profile;
mod record;
pub mod render;
pub mod report;
mod session;

use std::net::SocketAddr;

use starttls::proto::{ClientName, Identity, Protocol, UrlAuthority};
use starttls::{ConnectorBuilder, validity};

pub use plan::Limits;
use plan::Plan;

/// How to audit: whom to trust, and how much is polite.
#[derive(Clone, Debug)]
pub struct Audit {
    connectors: plan::Connectors,
    client_name: ClientName,
    authority: Option<UrlAuthority>,
    implicit: bool,
    limits: Limits,
}

impl Audit {
    /// An audit with the roots, the client certificate and the timeout of the connectors that `builder` makes.
    ///
    /// # Errors
    /// When such a connector cannot be built.
    pub fn new(builder: impl Fn() -> ConnectorBuilder, limits: Limits) -> Result<Self, starttls::Error> {
        let connectors = plan::Connectors::new(&builder, limits.reply_timeout)?;
        let client_name = ClientName::default();
        Ok(Self { connectors, client_name, authority: None, implicit: false, limits })
    }

    /// The same audit with other limits; the time for a handshake stays.
    #[must_use]
    pub fn with_limits(&self, limits: Limits) -> Self {
        Self { limits, ..self.clone() }
    }

    /// The same audit for endpoints whose URL has this authority (`Host` in HTTP). Without one, the probes send the server
    /// name.
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

    /// Sets the name that the probes give for the client (EHLO). The default is the literal `[127.0.0.1]`.
    #[must_use]
    pub fn client_name(self, client_name: ClientName) -> Self {
        Self { client_name, ..self }
    }

    /// Audits one endpoint. The report contains what cannot be reached and which checks were inconclusive, too.
    ///
    /// `target` names it in the report; `server_name` is sent in SNI and verified.
    pub async fn endpoint(
        &self,
        protocol: &'static Protocol,
        target: &str,
        server_name: &str,
        address: SocketAddr,
    ) -> report::EndpointReport {
        let identity = Identity {
            client_name: self.client_name.clone(),
            authority: self.authority.clone(),
            ..Identity::new(server_name)
        };
        let (server_name, connectors) = (server_name.to_owned(), self.connectors.clone());
        let mut plan = Plan::new(protocol, target, address, server_name, identity, connectors, self.limits);
        plan.implicit = self.implicit;
        probe::run(plan).await
    }
}

/// Adds what was found out about an endpoint in other ways than by its audit, as a warning of this check. The verdict
/// follows with [`filter::settle`].
pub fn add_warning(endpoint: &mut report::EndpointReport, id: &'static str, summary: &str) {
    let mut seen = finding::ProbeResult::default();
    seen.push(finding::FindingBuilder::new(id, report::CheckOutcome::Warning, summary));
    seen.into_report(&mut endpoint.transcripts, &mut endpoint.findings);
}

/// The report on an endpoint that could not be dialled at all.
pub fn unreachable(
    protocol: &'static Protocol,
    target: &str,
    server_name: &str,
    port: u16,
    why: &str,
) -> report::EndpointReport {
    let mut seen = finding::ProbeResult::default();
    seen.push(finding::FindingBuilder::fail("srv-reachable", why));
    let (mut transcripts, mut findings) = (Vec::new(), Vec::new());
    seen.into_report(&mut transcripts, &mut findings);
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
        findings,
        transcripts,
    }
}
