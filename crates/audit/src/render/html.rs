//! HTML: one page without network access and scripts, for light and dark screens and for paper.
//!
//! [`Html`] escapes every text by its type, and ids and links consist of numbers only.

mod endpoint;
mod findings;
mod transcript;

use std::cmp::Reverse;

use starttls_report::diagram::Diagram;
use starttls_report::html::{self, Html};

use super::common;
use crate::filter::severity_word;
use crate::report::{AuditReport, EndpointReport, EndpointVerdict, Severity, Unaudited};

/// The most problems of an endpoint in the summary, so that the summary of several servers fits on a page of paper.
const MAX_IN_SUMMARY: usize = 4;

/// Renders the report as an HTML page: the endpoints with problems first, and those without last.
pub fn render(report: &AuditReport) -> String {
    let mut out = Html::default();
    out.markup("<a class=\"skip\" href=\"#results\">Skip to the results</a>\n<header>\n");
    out.append(&head(report));
    out.markup("</header>\n<main id=\"results\">\n");
    out.append(&results(report));
    out.markup("</main>\n<footer>\n");
    for lookup in &report.lookups {
        out.markup("<p>Looked up: ");
        out.element("code", &[], lookup);
        out.markup("</p>\n");
    }
    out.element("p", &[], common::provenance(report));
    out.markup("\n</footer>\n");
    html::page(&title(report), &out)
}

/// Returns the title of a page with this report: the target and the verdict.
pub fn title(report: &AuditReport) -> String {
    match report.endpoints.as_slice() {
        [endpoint] => format!("{}: {}", endpoint.target, common::verdict_word(endpoint.outcome)),
        _ => common::overview(report),
    }
}

/// Returns what was audited, when and by which program.
pub fn head(report: &AuditReport) -> Html {
    let mut out = Html::default();
    out.element("h1", &[], "STARTTLS audit");
    out.element("p", &[("class", &"overview")], common::overview(report));
    out.markup("\n<dl class=\"facts\">\n");
    let targets: Vec<_> = report.endpoints.iter().map(|endpoint| endpoint.target.as_str()).collect();
    match targets.as_slice() {
        [] => {}
        [target] => out.fact("Target", target),
        [first, .., last] => out.fact("Targets", &format!("{first} to {last}")),
    }
    out.time_fact("Time", &report.started_at);
    out.fact("Program", &report.generator);
    out.fact("Options", &report.options.join(" "));
    out.markup("</dl>\n");
    out
}

/// Returns the summary, and a section for each endpoint.
pub fn results(report: &AuditReport) -> Html {
    let mut out = Html::default();
    summary(&mut out, report);
    for (number, endpoint) in worst_first(report) {
        endpoint::section(&mut out, number, endpoint);
    }
    out
}

/// Returns the picture of a transcript, with marks on the evidence of problems. `None` without this transcript.
pub fn diagram(endpoint: &EndpointReport, transcript: usize) -> Option<Diagram> {
    Some(transcript::diagram(0, endpoint, transcript, endpoint.transcripts.get(transcript)?))
}

/// Returns the index of the transcript that explains the endpoint best: evidence of the worst problem, or the first connection.
pub fn featured(endpoint: &EndpointReport) -> Option<usize> {
    transcript::choice(endpoint).map(|(index, _)| index)
}

/// Writes the list of endpoints with their worst problems.
fn summary(out: &mut Html, report: &AuditReport) {
    out.markup("<section class=\"summary\">\n<h2>Summary</h2>\n<ul>\n");
    for it in &report.unaudited {
        unaudited(out, it);
    }
    for (number, endpoint) in worst_first(report) {
        let target = format_args!("#e{number}");
        out.markup("<li>");
        verdict(out, endpoint.outcome);
        out.element("a", &[("href", &target)], &endpoint.target);
        if let Some(address) = &endpoint.address {
            out.markup(" ");
            out.element("small", &[], address);
        }
        problems(out, number, endpoint);
        out.markup("</li>\n");
    }
    out.markup("</ul>\n</section>\n");
}

fn problems(out: &mut Html, number: usize, endpoint: &EndpointReport) {
    let wrong = common::wrong(endpoint);
    if wrong.is_empty() {
        out.element("p", &[], &endpoint.summary);
        return;
    }
    out.markup("\n<ul>\n");
    for (index, finding) in wrong.iter().take(MAX_IN_SUMMARY) {
        out.markup("<li>");
        out.badge(severity_word(finding.severity), severity_word(finding.severity));
        out.element("a", &[("href", &format_args!("#e{number}-f{index}"))], &finding.summary);
        out.markup("</li>\n");
    }
    match wrong.len().saturating_sub(MAX_IN_SUMMARY) {
        0 => {}
        more => out.element("li", &[], format_args!("and {more} more")),
    }
    out.markup("</ul>\n");
}

fn unaudited(out: &mut Html, Unaudited { asked, outcome, reason, .. }: &Unaudited) {
    out.markup("<li>");
    verdict(out, *outcome);
    out.element("strong", &[], asked);
    out.element("p", &[], reason);
    out.markup("</li>\n");
}

/// Returns the endpoints with their numbers: those with problems first, by severity, and sound ones last.
fn worst_first(report: &AuditReport) -> Vec<(usize, &EndpointReport)> {
    let rank = |endpoint: &EndpointReport| {
        let class = match endpoint.outcome {
            EndpointVerdict::Sound => 2,
            EndpointVerdict::Inconclusive => 1,
            _ => 0,
        };
        let worst = common::wrong(endpoint).first().map_or(Severity::Info, |(_, finding)| finding.severity);
        (class, Reverse(worst))
    };
    let mut endpoints: Vec<_> = report.endpoints.iter().enumerate().collect();
    endpoints.sort_by_key(|(_, endpoint)| rank(endpoint));
    endpoints
}

fn verdict(out: &mut Html, verdict: EndpointVerdict) {
    let (class, sign) = match verdict {
        EndpointVerdict::Sound => ("good", "✓"),
        EndpointVerdict::Inconclusive => ("inconclusive", "?"),
        _ => ("bad", "✕"),
    };
    out.badge(class, format_args!("{sign} {}", common::verdict_word(verdict)));
}
