//! The lab's sound servers, which have no problem except for the old version of TLS in one run.

use std::sync::Arc;

use starttls::TlsVersion;
use starttls_audit::report::{CheckOutcome, Finding};
use starttls_audit::{Limits, Requirement};
use starttls_lab::{Lab, LabEndpoint, Options};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use crate::{Problem, Tally};

pub(crate) async fn tally(tls: TlsVersion, slots: &Arc<Semaphore>) -> Tally {
    let lab = Lab::start(Options { tls: Some((tls, tls)), ..Options::default() }).unwrap();
    let mut audits = JoinSet::new();
    for endpoint in lab.endpoints().iter().filter(|it| !it.implicit && crate::is_wanted(it.protocol)) {
        let (endpoint, slots, root) = (endpoint.clone(), Arc::clone(slots), lab.ca_pem().to_owned());
        audits.spawn(async move {
            let _slot = slots.acquire().await.unwrap();
            judge(&endpoint, &root, tls).await.map_err(Problem::FalseAlarm)
        });
    }
    let tally = Tally::of(audits).await;
    tokio::task::spawn_blocking(move || drop(lab)).await.unwrap();
    tally
}

async fn judge(endpoint: &LabEndpoint, root: &str, tls: TlsVersion) -> Result<(), String> {
    let (limits, server) = (Limits::default(), (endpoint.server_name, endpoint.address));
    let Some(report) = crate::audit(endpoint.protocol, server, root, limits).await else {
        return Err(format!("{}: takes too long", endpoint.scheme));
    };
    if report.connections > limits.connections {
        return Err(format!("{}: takes {} connections", endpoint.scheme, report.connections));
    }
    // `srv-stall` needs the slow checks, some checks a larger TLS survey or a profile; all other checks have to run.
    let fine = |it: &Finding| match it.outcome {
        CheckOutcome::Pass | CheckOutcome::Info | CheckOutcome::NotApplicable => true,
        CheckOutcome::NotRun => matches!(
            it.requirement,
            Some(Requirement::SlowChecks | Requirement::TlsSurvey | Requirement::TlsProfile)
        ),
        _ => false,
    };
    let old = |id: &str| tls == TlsVersion::Tls12 && id == "tls-old";
    let odd = report.findings.iter().filter(|it| !fine(it) && !old(&it.id));
    let odd: Vec<_> = odd.map(|it| format!("{} is {:?}: {}", it.id, it.outcome, it.summary)).collect();
    match odd.is_empty() && report.tls.is_some() {
        true => Ok(()),
        false => Err(format!("{}: {}; {}", endpoint.scheme, report.summary, odd.join("; "))),
    }
}
