//! The comparison with a profile, as a finding.

use super::judge::Judge;
use crate::check::id;
use crate::finding::FindingBuilder;
use crate::report::{CheckOutcome, Severity};
use crate::requirement::Requirement;
use crate::tls_profile::{Row, SessionFacts, TlsProfile, Verdict, evaluate, overall};

/// Compares the server with a profile: one line of the details for each requirement.
pub(super) fn compare(judge: &Judge<'_>, profile: &TlsProfile) -> FindingBuilder {
    let check = id::TLS_PROFILE;
    let certificates: Vec<_> = judge.handshake.certificate.into_iter().collect();
    let session = SessionFacts {
        certificates: &certificates,
        ocsp_stapled: judge.handshake.ocsp_stapled,
        ..SessionFacts::default()
    };
    let rows = evaluate(profile, &judge.facts, session);
    let summary = summary(profile, &rows);
    let finding = match overall(&rows) {
        Verdict::Fail => FindingBuilder::fail(check, summary),
        Verdict::Warn => {
            FindingBuilder::new(check, CheckOutcome::Warning, summary).severity(Severity::Warning)
        }
        Verdict::Inconclusive => {
            FindingBuilder::new(check, CheckOutcome::Inconclusive, summary).needs(Requirement::FullTlsSurvey)
        }
        Verdict::Pass | Verdict::NotTested => FindingBuilder::pass(check, summary),
    };
    finding.details(rows.iter().map(line).collect())
}

fn summary(profile: &TlsProfile, rows: &[Row]) -> String {
    let tested = rows.iter().filter(|row| row.verdict != Verdict::NotTested).count();
    let count = |verdict| rows.iter().filter(|row| row.verdict == verdict).count();
    let name = &profile.name;
    let (failed, open, warned) = (count(Verdict::Fail), count(Verdict::Inconclusive), count(Verdict::Warn));
    match (failed, open, warned) {
        (0, 0, 0) => format!("the server meets the {tested} requirements of the profile {name}"),
        (0, 0, _) => {
            format!("the server does not follow {warned} of {tested} requirements of the profile {name}")
        }
        (0, ..) => {
            let were = if open == 1 { "was" } else { "were" };
            format!("{open} of {tested} requirements of the profile {name} {were} inconclusive")
        }
        _ => format!("the server does not meet {failed} of {tested} requirements of the profile {name}"),
    }
}

fn line(row: &Row) -> String {
    let verdict = match row.verdict {
        Verdict::Pass => "pass",
        Verdict::Warn => "warn",
        Verdict::Fail => "fail",
        Verdict::Inconclusive => "inconclusive",
        Verdict::NotTested => return format!("not tested: {}", row.requirement),
    };
    format!("{verdict}: {}: {}", row.requirement, row.detail)
}
