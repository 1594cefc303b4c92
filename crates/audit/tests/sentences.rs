//! How many sentences of findings exist in other languages than English: all problems of the lab's rogues, and most of the rest.
//! The durations of the steps are not counted: the page has them in every language elsewhere.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on panics")]
#![expect(clippy::print_stdout, reason = "the test counts")]

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use starttls::Connector;
use starttls::proto::smtp::SMTP;
use starttls_audit::filter::is_wrong;
use starttls_audit::render::html;
use starttls_audit::report::{AuditReport, EndpointReport, Finding};
use starttls_audit::{Audit, Limits, Selection, SurveyExtent};
use starttls_hello::WalkSize;
use starttls_lab::ca::Authority;
use starttls_lab::rogue::{Rogue, Weakness};
use starttls_report::Language;
use tokio::task::JoinSet;

/// The least part of all findings that exist in every language, in percent.
const TRANSLATED: usize = 95;

async fn audited(authority: Arc<Authority>, weakness: Weakness) -> EndpointReport {
    let rogue = Rogue::start(&SMTP, weakness, &authority).unwrap();
    let limits = Limits { reply_timeout: Duration::from_secs(8), ..Limits::default() };
    let root = authority.root_pem();
    let audit =
        Audit::new(|| Connector::builder().no_system_roots().roots_pem(root.as_str()), limits).unwrap();
    let audit = audit.with_selection(Selection::default().with_survey(SurveyExtent::new(WalkSize::Survey)));
    let report = audit.endpoint(&SMTP, "smtp://localhost", rogue.server_name(), rogue.address()).await;
    tokio::task::spawn_blocking(move || drop(rogue)).await.unwrap();
    report
}

#[test]
fn most_sentences_exist_in_every_language() {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let reports: Vec<EndpointReport> = runtime.block_on(async {
        let authority = Arc::new(Authority::new().unwrap());
        let mut audits = JoinSet::new();
        for weakness in Weakness::ALL.iter().filter(|it| it.applies_to(&SMTP) && !it.is_slow()) {
            audits.spawn(audited(Arc::clone(&authority), *weakness));
        }
        tokio::time::timeout(Duration::from_secs(900), audits.join_all()).await.unwrap()
    });
    let findings: Vec<_> = reports.iter().flat_map(|report| &report.findings).collect();
    // A check that was not run says what it needs.
    let is_english =
        |it: &&&Finding| it.message.is_none() && it.requirement.is_none() && it.id != "time-steps";
    let english: Vec<_> = findings.iter().filter(is_english).collect();
    let kinds: BTreeSet<_> = english.iter().map(|it| format!("{}: {}", it.id, it.summary)).collect();
    for kind in &kinds {
        println!("{kind}");
    }
    let (all, part) = (findings.len(), findings.len() - english.len());
    println!("{part} of {all} findings on {} servers exist in every language", reports.len());
    let problems: Vec<_> = english.iter().filter(|it| is_wrong(it)).map(|it| &it.summary).collect();
    assert!(problems.is_empty(), "{problems:?} are in English only");
    assert!(100 * part >= TRANSLATED * all, "{part} of {all}");
    // Every summary that has a message begins with its sentence, so that the page shows it.
    let report =
        AuditReport { endpoints: reports, ..AuditReport::new(String::from("starttls 0.0.0"), Vec::new()) };
    let german = html::render(&report, Language::German);
    assert!(german.contains("der Server verwirft die eingeschleusten Bytes"));
    assert!(!german.contains("the server discards the injected bytes"));
}
