//! Each weakness of a TLS server that no current library has, each in another protocol.

use std::sync::Arc;

use starttls::Connector;
use starttls::proto::{PROTOCOLS, Protocol};
use starttls_audit::report::{CheckOutcome, EndpointReport};
use starttls_audit::{Audit, Limits, Selection, SurveyExtent};
use starttls_hello::WalkSize;
use starttls_lab::ca::Authority;
use starttls_lab::rogue::{Rogue, TlsWeakness};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use crate::{DEADLINE, Problem, Tally};

pub(crate) async fn tally(slots: &Arc<Semaphore>) -> Tally {
    let only = std::env::var("ROGUE").unwrap_or_default();
    let authority = Arc::new(Authority::new().unwrap());
    let mut audits = JoinSet::new();
    for (turn, weakness) in TlsWeakness::ALL.iter().copied().enumerate() {
        let mut protocols = PROTOCOLS.iter().copied().cycle().skip(turn).take(PROTOCOLS.len());
        let Some(protocol) = protocols.find(|it| weakness.applies_to(it)) else { continue };
        if format!("{weakness:?}").starts_with(&only) {
            let (authority, slots) = (Arc::clone(&authority), Arc::clone(slots));
            audits.spawn(async move {
                let _slot = slots.acquire().await.unwrap();
                judge(protocol, weakness, &authority).await
            });
        }
    }
    Tally::of(audits).await
}

/// Surveys the rogue. Some weaknesses are notes, such as suites in CBC mode.
async fn judge(
    protocol: &'static Protocol,
    weakness: TlsWeakness,
    authority: &Authority,
) -> Result<(), Problem> {
    let rogue = Rogue::start_with_tls(protocol, weakness.model(), authority).unwrap();
    let root = authority.root_pem();
    let extent = SurveyExtent::new(WalkSize::Survey);
    let selection = Selection::new(&[String::from("tls")], &[]).unwrap().with_survey(extent);
    let limits = Limits { connections: 60, ..Limits::default() };
    let builder = || Connector::builder().no_system_roots().roots_pem(root.as_bytes());
    let audit = Audit::new(builder, limits).unwrap().with_selection(selection);
    let audited = audit.endpoint(protocol, protocol.name, rogue.server_name(), rogue.address());
    let who = format!("{}: {weakness:?}", protocol.name);
    let Ok(report) = tokio::time::timeout(DEADLINE, audited).await else {
        return Err(Problem::Missed(format!("{who} takes too long")));
    };
    let wrong = with(&report, &[CheckOutcome::Fail, CheckOutcome::Warning]);
    let notes = with(&report, &[CheckOutcome::Info]);
    if !wrong.contains(&weakness.id()) && !notes.contains(&weakness.id()) {
        return Err(Problem::Missed(format!("{who} is missed: {}, found {wrong:?}", report.summary)));
    }
    match wrong.iter().find(|id| **id != weakness.id() && !weakness.also().contains(id)) {
        Some(alarm) => Err(Problem::FalseAlarm(format!("{who} raises {alarm}: {}", report.summary))),
        None => Ok(()),
    }
}

/// Returns the ids of the findings with one of these outcomes.
fn with<'r>(report: &'r EndpointReport, outcomes: &[CheckOutcome]) -> Vec<&'r str> {
    let found = report.findings.iter().filter(|it| outcomes.contains(&it.outcome));
    found.map(|it| it.id.as_str()).collect()
}
