//! The findings of an endpoint.

use starttls_report::html::Html;

use super::super::common;
use super::transcript;
use crate::check::check;
use crate::filter::{is_wrong, severity_word};
use crate::report::{CheckOutcome, EndpointReport, Finding};

/// Writes findings with their evidence, their fix and the reason why they matter.
pub(super) fn articles(
    out: &mut Html,
    title: &'static str,
    class: &'static str,
    number: usize,
    endpoint: &EndpointReport,
    findings: &[(usize, &Finding)],
) {
    if findings.is_empty() {
        return;
    }
    out.element("h3", &[], title);
    out.markup("\n");
    for &(index, finding) in findings {
        let severity = severity_word(finding.severity);
        out.open(
            "article",
            &[
                ("class", &format_args!("finding {class} {severity}")),
                ("id", &format_args!("e{number}-f{index}")),
                ("data-check", &finding.id),
                ("data-outcome", &common::outcome_key(finding.outcome)),
                ("data-severity", &severity),
            ],
        );
        out.markup("\n<h4>");
        let word = if is_wrong(finding) { severity } else { "inconclusive" };
        out.badge(word, word);
        out.text(format_args!("{} ", finding.summary));
        out.element("code", &[("class", &"id")], &finding.id);
        out.markup("</h4>\n");
        details(out, finding);
        for &at in &finding.evidence {
            transcript::excerpt(out, number, endpoint, at);
        }
        if let Some(fix) = &finding.fix {
            out.markup("<p class=\"fix\"><strong>Fix:</strong> ");
            out.text(fix);
            out.markup("</p>\n");
        }
        if let Some(row) = check(&finding.id) {
            out.markup("<details class=\"why\"><summary>Why it matters</summary>");
            out.element("p", &[], row.why);
            out.element("p", &[("class", &"spec")], row.spec);
            out.markup("</details>\n");
        }
        out.markup("</article>\n");
    }
}

/// Writes findings as a folded list.
pub(super) fn list(
    out: &mut Html,
    title: &'static str,
    number: usize,
    endpoint: &EndpointReport,
    findings: &[(usize, &Finding)],
) {
    if findings.is_empty() {
        return;
    }
    out.markup("<details class=\"fold\">");
    out.element("summary", &[], format_args!("{title} ({})", findings.len()));
    out.markup("\n<ul>\n");
    for &(index, finding) in findings {
        let text = match finding.outcome {
            CheckOutcome::NotRun => common::not_run(finding),
            _ => finding.summary.clone(),
        };
        out.open(
            "li",
            &[
                ("id", &format_args!("e{number}-f{index}")),
                ("data-check", &finding.id),
                ("data-outcome", &common::outcome_key(finding.outcome)),
            ],
        );
        out.text(format_args!("{text} "));
        out.element("code", &[("class", &"id")], &finding.id);
        details(out, finding);
        if let Some(&at) = finding.evidence.iter().find(|at| common::excerpt(endpoint, **at).is_some()) {
            out.markup(" ");
            transcript::link(out, number, at);
        }
        out.markup("</li>\n");
    }
    out.markup("</ul>\n</details>\n");
}

fn details(out: &mut Html, finding: &Finding) {
    if finding.details.is_empty() {
        return;
    }
    out.markup("<ul class=\"details\">\n");
    for detail in &finding.details {
        out.element("li", &[], detail);
        out.markup("\n");
    }
    out.markup("</ul>\n");
}
