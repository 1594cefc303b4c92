//! Servers that turn connections away, and surveys that are cut short: no fact is wrong.

use starttls::proto::protocol;
use starttls_audit::SurveyExtent;
use starttls_audit::report::CheckOutcome;
use starttls_hello::WalkSize;
use starttls_lab::ca::Authority;
use starttls_lab::rogue::{Rogue, TlsWeakness};
use tokio::task::JoinSet;

use crate::limited::limited;
use crate::{Asked, audited, finding};

/// Surveys a server of anonymous suites after so many hellos were admitted, or with so many hellos.
async fn outcomes(admitted: u32, hellos: usize, then: &'static [u8]) -> [CheckOutcome; 3] {
    let smtp = protocol("submission").unwrap();
    let authority = Authority::new().unwrap();
    let rogue = Rogue::start_with_tls(smtp, TlsWeakness::AnonymousSuite.model(), &authority).unwrap();
    // The first connection is that of the audit.
    let address = limited(rogue.address(), admitted + 1, then).await;
    let root = authority.root_pem();
    let extent = SurveyExtent { size: WalkSize::Brief, hellos };
    let (server_name, implicit) = (rogue.server_name(), false);
    let asked = Asked { protocol: smtp, address, server_name, root: &root, implicit, extent };
    let report = audited(&asked).await;
    ["tls-anon", "tls-ssl", "tls-weak"].map(|id| {
        let all = report.findings.iter().any(|it| it.id == id);
        // A server that turned connections away has one finding instead of several.
        if all { finding(&report, id).outcome } else { finding(&report, "srv-throttled").outcome }
    })
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_connection_that_was_turned_away_is_no_evidence() {
    let mut audits = JoinSet::new();
    for then in [&b"421 4.7.0 Too many connections\r\n"[..], b""] {
        for admitted in 0..7 {
            audits.spawn(async move { (admitted, outcomes(admitted, 8, then).await) });
        }
    }
    while let Some(done) = audits.join_next().await {
        let (admitted, [anonymous, ssl, weak]) = done.unwrap();
        assert_ne!(anonymous, CheckOutcome::Pass, "{admitted} connections");
        // Without a hello that succeeds afterwards, a refusal proves nothing.
        if admitted < 3 {
            assert_eq!((ssl, weak), (CheckOutcome::Inconclusive, CheckOutcome::Inconclusive), "{admitted}");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_survey_that_is_cut_short_reports_true_facts_only() {
    for hellos in 1..=8 {
        let [anonymous, ssl, weak] = outcomes(100, hellos, b"").await;
        assert_ne!(anonymous, CheckOutcome::Pass, "{hellos} hellos");
        for outcome in [ssl, weak] {
            assert!(!matches!(outcome, CheckOutcome::Fail | CheckOutcome::Warning), "{hellos} hellos");
        }
        if hellos == 8 {
            assert_eq!([anonymous, ssl, weak], [CheckOutcome::Fail, CheckOutcome::Pass, CheckOutcome::Pass]);
        }
    }
}
