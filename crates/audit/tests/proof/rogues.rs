//! Each weakness of the lab's rogues, in each protocol in which it exists and is visible.

use std::sync::Arc;

use starttls::TlsVersion;
use starttls::proto::{PROTOCOLS, Protocol};
use starttls_audit::Limits;
use starttls_audit::report::{CheckOutcome, EndpointReport, EndpointVerdict};
use starttls_lab::ca::Authority;
use starttls_lab::rogue::{Rogue, Weakness};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use crate::{Problem, Tally};

pub(crate) async fn tally(tls: TlsVersion, slots: &Arc<Semaphore>) -> Tally {
    let only = std::env::var("ROGUE").unwrap_or_default();
    let authority = Arc::new(Authority::new().unwrap());
    let mut audits = JoinSet::new();
    let chosen = |it: &Weakness| !it.is_slow() && format!("{it:?}").starts_with(&only);
    for weakness in Weakness::ALL.iter().copied().filter(chosen) {
        let telling = |it: &&'static Protocol| {
            crate::is_wanted(it) && weakness.applies_to(it) && weakness.hidden(it).is_none()
        };
        for protocol in PROTOCOLS.iter().copied().filter(telling) {
            let (authority, slots) = (Arc::clone(&authority), Arc::clone(slots));
            audits.spawn(async move {
                let _slot = slots.acquire().await.unwrap();
                judge(protocol, weakness, &authority, tls).await
            });
        }
    }
    Tally::of(audits).await
}

async fn judge(
    protocol: &'static Protocol,
    weakness: Weakness,
    authority: &Authority,
    tls: TlsVersion,
) -> Result<(), Problem> {
    let rogue = Rogue::start_with(protocol, weakness, authority, (tls, tls)).unwrap();
    let limits = Limits { implicit_port: rogue.implicit_port(), ..Limits::default() };
    let server = (rogue.server_name(), rogue.address());
    let who = format!("{}: {weakness:?}", protocol.name);
    let Some(endpoint) = crate::audit(protocol, server, &authority.root_pem(), limits).await else {
        return Err(Problem::Missed(format!("{who} takes too long")));
    };
    let found = wrong(&endpoint);
    let told = |id: &str| endpoint.findings.iter().any(|it| it.id == id && it.outcome != CheckOutcome::Pass);
    // A server that limits connections, or that refuses the audit inside TLS, allows no verdict on the upgrade.
    let hit = match weakness {
        Weakness::Throttled => told(weakness.id()),
        // In TLS 1.2 the server requests the certificate during the handshake, which then fails.
        _ if weakness.wants_certificate() && tls == TlsVersion::Tls12 => {
            endpoint.outcome == EndpointVerdict::TlsFailed
        }
        _ if weakness.hides_the_session() => is_unseen(&endpoint),
        _ => found.iter().any(|id| weakness.is_shown_by(id)),
    };
    if !hit {
        return Err(Problem::Missed(format!("{who} is missed: {}", shown(&endpoint))));
    }
    let old = (tls == TlsVersion::Tls12).then_some("tls-old");
    let expected = |id: &&str| weakness.is_shown_by(id) || weakness.also().contains(id) || old == Some(id);
    match found.iter().find(|id| !expected(id)) {
        Some(alarm) => Err(Problem::FalseAlarm(format!("{who} raises {alarm}: {}", shown(&endpoint)))),
        None => Ok(()),
    }
}

/// Returns whether the audit reports that it saw nothing inside TLS, and has no other result.
fn is_unseen(endpoint: &EndpointReport) -> bool {
    let untold = |id: &str| {
        let found = endpoint.findings.iter().find(|it| it.id == id);
        found.is_some_and(|it| matches!(it.outcome, CheckOutcome::Inconclusive | CheckOutcome::NotApplicable))
    };
    let compared =
        ["srv-inject-eager", "srv-inject-lazy", "srv-inject-split", "srv-inject-partial", "srv-fixation"];
    endpoint.outcome == EndpointVerdict::Inconclusive
        && untold("srv-upgrade")
        && compared.iter().all(|id| untold(id))
}

/// Returns the ids of the checks that failed or warned.
fn wrong(endpoint: &EndpointReport) -> Vec<&str> {
    let bad = endpoint
        .findings
        .iter()
        .filter(|it| matches!(it.outcome, CheckOutcome::Fail | CheckOutcome::Warning));
    bad.map(|it| it.id.as_str()).collect()
}

fn shown(endpoint: &EndpointReport) -> String {
    let untold = endpoint.findings.iter().filter(|it| it.outcome == CheckOutcome::Inconclusive);
    let untold: Vec<_> = untold.map(|it| format!("{} ({})", it.id, it.summary)).collect();
    let (outcome, summary) = (endpoint.outcome, &endpoint.summary);
    format!("{outcome:?}, {summary}; found {:?}; untold {untold:?}", wrong(endpoint))
}
