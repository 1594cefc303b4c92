//! Every weakness of the lab's rogues is found, in every protocol where it has a meaning, and nothing else is.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on panics")]

use std::time::Duration;

use starttls::Connector;
use starttls::proto::{PROTOCOLS, Protocol};
use starttls_audit::report::{Endpoint, Outcome};
use starttls_audit::{Audit, Limits};
use starttls_lab::ca::Authority;
use starttls_lab::rogue::{Rogue, Weakness};

/// What is wrong with an endpoint, by the ids of the checks that say so.
fn wrong(endpoint: &Endpoint) -> Vec<&str> {
    let bad = endpoint.findings.iter().filter(|it| matches!(it.outcome, Outcome::Fail | Outcome::Warning));
    bad.map(|it| it.id.as_str()).collect()
}

async fn audited(protocol: &'static Protocol, weakness: Weakness, authority: &Authority) -> Endpoint {
    let rogue = Rogue::start(protocol, weakness, authority).unwrap();
    let root = authority.root_pem();
    let limits = Limits { patience: Duration::from_secs(5), ..Limits::default() };
    let builder = || Connector::builder().no_system_roots().roots_pem(root.as_bytes());
    let audit = Audit::new(builder, limits).unwrap();
    audit.endpoint(protocol, protocol.name, rogue.server_name(), rogue.address()).await
}

/// The report's view of one pair, or what is wrong with it.
async fn judge(protocol: &'static Protocol, weakness: Weakness, authority: &Authority) -> Result<(), String> {
    let endpoint = audited(protocol, weakness, authority).await;
    let found = wrong(&endpoint);
    let shown = || {
        let untold = endpoint.findings.iter().filter(|it| it.outcome == Outcome::Inconclusive);
        let untold: Vec<_> = untold.map(|it| format!("{} ({})", it.id, it.summary)).collect();
        format!("{:?}, {}; found {found:?}; untold {untold:?}", endpoint.outcome, endpoint.summary)
    };
    let told = |id: &str| endpoint.findings.iter().any(|it| it.id == id && it.outcome != Outcome::Pass);
    // To be throttled is no verdict on the upgrade.
    let hit = found.iter().any(|id| weakness.is_shown_by(id))
        || (weakness == Weakness::Throttled && told(weakness.id()));
    if !hit {
        return Err(format!("{}: {weakness:?} is missed: {}", protocol.name, shown()));
    }
    let expected = |id: &&str| weakness.is_shown_by(id) || weakness.also().contains(id);
    match found.iter().find(|id| !expected(id)) {
        Some(alarm) => Err(format!("{}: {weakness:?} raises {alarm}: {}", protocol.name, shown())),
        None => Ok(()),
    }
}

#[test]
fn every_weakness_is_found_and_nothing_else() {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let only = std::env::var("ROGUE").unwrap_or_default();
    let problems = runtime.block_on(async {
        let authority = std::sync::Arc::new(Authority::new().unwrap());
        let slots = std::sync::Arc::new(tokio::sync::Semaphore::new(8));
        let mut tasks = Vec::new();
        for weakness in Weakness::ALL.iter().copied() {
            if !format!("{weakness:?}").starts_with(&only) {
                continue;
            }
            let telling = |it: &&'static Protocol| weakness.applies_to(it) && weakness.hidden(it).is_none();
            for protocol in PROTOCOLS.iter().copied().filter(telling) {
                let (authority, slots) = (authority.clone(), slots.clone());
                tasks.push(tokio::spawn(async move {
                    let _slot = slots.acquire().await.unwrap();
                    let deadline = Duration::from_secs(60);
                    let late = || Err(format!("{}: {weakness:?} takes more than a minute", protocol.name));
                    let judged = tokio::time::timeout(deadline, judge(protocol, weakness, &authority)).await;
                    judged.unwrap_or_else(|_| late())
                }));
            }
        }
        let mut problems = Vec::new();
        for task in tasks {
            problems.extend(task.await.unwrap().err());
        }
        problems
    });
    assert!(problems.is_empty(), "{} problems:\n{}", problems.len(), problems.join("\n"));
}
