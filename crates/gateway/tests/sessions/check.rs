//! An audit of the gateway has no findings.

use std::time::Duration;

use starttls::Connector;
use starttls::proto::Protocol;
use starttls_audit::report::{CheckOutcome, Finding};
use starttls_audit::{Audit, Limits, Requirement};
use starttls_gateway::config::UpgradePolicy;

use crate::environment::Environment;

/// Limit for the audit of one listener on a busy machine.
const DEADLINE: Duration = Duration::from_secs(120);

each_protocol_with_own_greeting! { a_required_upgrade_has_no_findings }

async fn a_required_upgrade_has_no_findings(protocol: &'static Protocol) {
    let found = audit(&Environment::new(), protocol, None).await;
    assert!(found.is_empty(), "\n{}", found.join("\n"));
}

/// A public server accepts mail from clients that do not upgrade (RFC 3207 section 4).
#[tokio::test(flavor = "multi_thread")]
async fn an_optional_upgrade_of_smtp_has_no_findings() {
    let env = Environment::new();
    let found = audit(&env, &starttls::proto::smtp::SMTP, Some(UpgradePolicy::Optional)).await;
    assert!(found.is_empty(), "\n{}", found.join("\n"));
}

async fn audit(env: &Environment, protocol: &'static Protocol, offer: Option<UpgradePolicy>) -> Vec<String> {
    let backend = format!("{}://{}", protocol.name, env.cleartext.address(protocol.name).unwrap());
    let running = env.gateway(&format!("{}+starttls://{{}}", protocol.name), &[backend], offer);
    let roots = env.root_pem.clone();
    let audit =
        Audit::new(|| Connector::builder().no_system_roots().roots_pem(roots.clone()), Limits::default())
            .unwrap();
    let target = format!("{}://localhost", protocol.name);
    let audit = audit.endpoint(protocol, &target, "localhost", running.address);
    let report = tokio::time::timeout(DEADLINE, audit).await.unwrap();
    assert!(report.tls.is_some() && report.findings.len() > 10, "{}: {}", protocol.name, report.summary);
    // `srv-stall` needs the slow checks, some checks a larger TLS survey or a profile; all other checks have to run.
    let sound = |it: &Finding| match it.outcome {
        CheckOutcome::Pass | CheckOutcome::Info | CheckOutcome::NotApplicable => true,
        CheckOutcome::NotRun => matches!(
            it.requirement,
            Some(Requirement::SlowChecks | Requirement::TlsSurvey | Requirement::TlsProfile)
        ),
        _ => false,
    };
    let bad = report.findings.iter().filter(|it| !sound(it));
    bad.map(|it| format!("{}: {} {:?}: {} {:?}", protocol.name, it.id, it.outcome, it.summary, it.evidence))
        .collect()
}
