//! `starttls policy check`: what a domain publishes, and whether its servers keep it.

mod observe;
pub(crate) mod report;
mod rows;
mod text;
mod zone;

use starttls::validity;
use starttls_dns::Stub;
use starttls_policy::dane::ExchangerState;
use starttls_policy::drive::PolicyFetcher;

use super::resolver;
use crate::args::{Format, PolicyCheck};
use crate::error::Failed;
use crate::exit;
use crate::output::Sink;
use observe::Observer;
use report::Report;

pub(super) async fn run(args: &PolicyCheck) -> Result<u8, Failed> {
    let mut sink = Sink::replacing(&args.output)?;
    let stub = resolver::stub(&args.resolver, args.timeout)?;
    let connector = resolver::roots(&args.trust)?;
    let observer = Observer {
        stub: &stub,
        connector: connector.clone().insecure().timeout(args.timeout).build()?,
        fetcher: PolicyFetcher::new(connector.timeout(args.timeout).build()?, args.trust.sts_port),
        port: args.port,
    };
    let observed = observer.observe(&args.domain).await;
    if observed.facts.exchangers == ExchangerState::NoDomain {
        return Err(Failed::new(exit::UNREACHABLE, format!("the domain {} does not exist", args.domain)));
    }
    let rows = rows::rows(&observed, validity::now());
    let report = Report::new(&args.domain, &observed, rows);
    match args.format {
        Format::Json => sink.json(&report)?,
        Format::Text => text::show(&report, &mut sink)?,
    }
    sink.finish()?;
    Ok(report.exit_code)
}

/// Returns why the AD bit of the resolver is not available, if it is not.
async fn dnssec(stub: &Stub) -> Result<(), String> {
    stub.self_test().await.map_err(|error| error.to_string())
}
