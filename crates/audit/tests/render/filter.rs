//! Filters: thresholds, selected checks, a baseline.

use starttls_audit::check::{CHECKS, check};
use starttls_audit::filter::{mark_known, settle};
use starttls_audit::report::{AuditReport, CheckOutcome, EndpointReport, EndpointVerdict, Severity};
use starttls_audit::{InvalidSelection, Selection};

use crate::sample;

fn names(names: &[&str]) -> Vec<String> {
    names.iter().map(|&name| name.to_owned()).collect()
}

fn settled(mut report: AuditReport, fail_on: Severity) -> AuditReport {
    report.endpoints.iter_mut().for_each(|endpoint| settle(endpoint, fail_on));
    report
}

/// Returns the verdict on the last endpoint.
fn verdict(report: &AuditReport) -> EndpointVerdict {
    report.endpoints.last().unwrap().outcome
}

#[test]
fn the_threshold_decides_between_sound_and_findings() {
    let mut endpoint = sample::wrong();
    endpoint.findings.retain(|finding| finding.id != "srv-inject-eager");
    for (fail_on, expected) in [
        (Severity::Info, EndpointVerdict::Findings),
        (Severity::Warning, EndpointVerdict::Findings),
        (Severity::Error, EndpointVerdict::Findings),
        (Severity::Critical, EndpointVerdict::Inconclusive),
    ] {
        assert_eq!(verdict(&settled(sample::report(vec![endpoint.clone()]), fail_on)), expected);
    }
    settle(&mut endpoint, Severity::Critical);
    assert_eq!(endpoint.outcome, EndpointVerdict::Inconclusive);
    assert_eq!(endpoint.summary, "2 findings, the worst error; 2 checks passed, 1 inconclusive");
    endpoint.findings.retain(|finding| finding.outcome != CheckOutcome::Inconclusive);
    settle(&mut endpoint, Severity::Critical);
    assert_eq!(endpoint.outcome, EndpointVerdict::Sound, "no inconclusive check remains");
    let mut sound = sample::sound();
    settle(&mut sound, Severity::Info);
    assert_eq!(
        (sound.outcome, sound.summary.as_str()),
        (EndpointVerdict::Sound, "5 checks passed, no problems found")
    );
}

#[test]
fn an_endpoint_without_checks_is_not_sound() {
    let mut report = sample::report(vec![sample::sound(), sample::wrong()]);
    Selection::new(&names(&["srv-stall"]), &[]).unwrap().apply(&mut report);
    let report = settled(report, Severity::Warning);
    for endpoint in &report.endpoints {
        assert_eq!(endpoint.outcome, EndpointVerdict::Inconclusive);
        assert!(endpoint.summary.contains("none of the selected checks"), "{}", endpoint.summary);
    }
    // A known problem counts as checked.
    let mut report = sample::report(vec![sample::wrong()]);
    Selection::new(&names(&["srv-inject-eager"]), &[]).unwrap().apply(&mut report);
    assert_eq!(mark_known(&mut report, &sample::report(vec![sample::wrong()])), 1);
    assert_eq!(verdict(&settled(report, Severity::Warning)), EndpointVerdict::Sound);
}

#[test]
fn the_samples_have_their_final_verdicts() {
    let report = sample::all();
    assert_eq!(settled(report.clone(), Severity::Warning), report);
}

#[test]
fn an_endpoint_that_could_not_be_audited_keeps_its_verdict() {
    for outcome in [
        EndpointVerdict::Unreachable,
        EndpointVerdict::Declined,
        EndpointVerdict::TlsFailed,
        EndpointVerdict::Violation,
        EndpointVerdict::WrongPort,
        EndpointVerdict::Inconclusive,
    ] {
        let endpoint = EndpointReport { outcome, ..sample::throttled() };
        assert_eq!(verdict(&settled(sample::report(vec![endpoint]), Severity::Warning)), outcome);
    }
}

#[test]
fn only_and_skip_take_ids_and_families() {
    let wanted = |only: &[&str], skip: &[&str]| {
        let selection = Selection::new(&names(only), &names(skip)).unwrap();
        CHECKS.iter().filter(|row| selection.wants(row)).map(|row| row.id).collect::<Vec<_>>()
    };
    assert_eq!(wanted(&[], &[]).len(), CHECKS.len());
    assert_eq!(wanted(&["srv-alpn"], &[]), ["srv-alpn"]);
    assert_eq!(wanted(&["leak"], &["leak-banner"]), ["leak-internal"]);
    assert_eq!(
        Selection::new(&names(&["srv-inject"]), &[]),
        Err(InvalidSelection::Unknown("srv-inject".to_owned()))
    );
    let mut report = sample::all();
    Selection::new(&names(&["cert"]), &[]).unwrap().apply(&mut report);
    let left: Vec<_> = report.endpoints.iter().flat_map(|endpoint| &endpoint.findings).collect();
    assert!(!left.is_empty() && left.iter().all(|finding| check(&finding.id).unwrap().family() == "cert"));
}

#[test]
fn a_baseline_marks_known_problems_only() {
    let known = |now: EndpointReport, then: EndpointReport| {
        let mut report = sample::report(vec![now]);
        let known = mark_known(&mut report, &sample::report(vec![then]));
        (known, verdict(&settled(report, Severity::Warning)))
    };
    assert_eq!(
        known(sample::wrong(), sample::wrong()),
        (3, EndpointVerdict::Inconclusive),
        "the inconclusive check remains"
    );
    assert_eq!(known(sample::wrong(), sample::sound()), (0, EndpointVerdict::Findings), "another target");
    let mut then = sample::wrong();
    then.findings.retain(|finding| finding.id != "cert-expiry");
    assert_eq!(known(sample::wrong(), then), (2, EndpointVerdict::Findings), "one is new");
    let mut then = sample::wrong();
    then.findings.iter_mut().for_each(|finding| finding.severity = Severity::Warning);
    let earlier = then.clone();
    assert_eq!(
        known(sample::wrong(), then),
        (1, EndpointVerdict::Findings),
        "two have a higher severity now"
    );
    let mut report = sample::report(vec![sample::wrong()]);
    mark_known(&mut report, &sample::report(vec![earlier]));
    let report = settled(report, Severity::Warning);
    let [endpoint] = report.endpoints.as_slice() else { panic!() };
    assert_eq!(
        endpoint.summary,
        "2 new findings, the worst critical; 1 known; 2 checks passed, 1 inconclusive"
    );
    assert_eq!(
        endpoint.findings.iter().filter(|finding| finding.known).count(),
        1,
        "known problems stay in the report"
    );
    let then = EndpointReport { address: Some("[2001:db8::2]:587".to_owned()), ..sample::wrong() };
    assert_eq!(
        known(sample::wrong(), then),
        (3, EndpointVerdict::Inconclusive),
        "the target has a new address"
    );
}

#[test]
fn a_partial_audit_names_the_checks_that_it_left_out() {
    let mut endpoint = EndpointReport { not_selected: 28, ..sample::wrong() };
    settle(&mut endpoint, Severity::Critical);
    assert!(endpoint.summary.ends_with("; 28 checks were not selected"), "{}", endpoint.summary);
}
