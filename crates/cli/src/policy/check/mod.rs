//! `starttls policy check`: what a domain publishes, and whether its servers keep it.

mod observe;
pub(crate) mod report;
pub(crate) mod row;
mod rows;
pub(crate) mod table;
mod text;
mod zone;

use std::time::Duration;

use starttls::{ConnectorBuilder, validity};
use starttls_dns::{DnsName, Stub};
use starttls_policy::dane::ExchangerState;
use starttls_policy::drive::PolicyFetcher;

use super::resolver;
use crate::args::{Format, PolicyCheck};
use crate::error::Failed;
use crate::exit;
use crate::output::Sink;
use observe::Observer;
use report::Report;

/// The ports of the servers of a domain. Tests use others.
pub(crate) struct Ports {
    pub(crate) mx: u16,
    pub(crate) sts: u16,
}

pub(super) async fn run(args: &PolicyCheck) -> Result<u8, Failed> {
    let mut sink = Sink::replacing(&args.output)?;
    let stub = resolver::stub(&args.resolver, args.timeout)?;
    let ports = Ports { mx: args.port, sts: args.trust.sts_port };
    let report = examine(&stub, resolver::roots(&args.trust)?, args.timeout, &ports, &args.domain).await?;
    match args.format {
        Format::Json => sink.json(&report)?,
        Format::Text => text::show(&report, &mut sink)?,
    }
    sink.finish()?;
    Ok(report.exit_code)
}

/// Looks up what a domain publishes, connects to its servers and compares.
pub(crate) async fn examine(
    stub: &Stub,
    connector: ConnectorBuilder,
    timeout: Duration,
    ports: &Ports,
    domain: &DnsName,
) -> Result<Report, Failed> {
    let observer = Observer {
        stub,
        connector: connector.clone().insecure().timeout(timeout).build()?,
        fetcher: PolicyFetcher::new(connector.timeout(timeout).build()?, ports.sts),
        port: ports.mx,
    };
    let observed = observer.observe(domain).await;
    if observed.facts.exchangers == ExchangerState::NoDomain {
        return Err(Failed::new(exit::UNREACHABLE, format!("the domain {domain} does not exist")));
    }
    let rows = rows::rows(&observed, validity::now());
    Ok(Report::new(domain, &observed, rows))
}

/// Returns the text of `explain`, if this is the id of a check.
pub(crate) fn explain(id: &str) -> Option<String> {
    let table::PolicyRule { id, severity, title, fix, spec } = table::policy_rule(id)?;
    Some(format!("{id}: {title} ({severity})\n\nFix\n{fix}\n\nSpecification\n{spec}\n"))
}

/// Returns why the AD bit of the resolver is not available, if it is not.
async fn dnssec(stub: &Stub) -> Result<(), String> {
    stub.self_test().await.map_err(|error| error.to_string())
}
