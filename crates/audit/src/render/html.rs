//! HTML: one page without network access and scripts, for light and dark screens and for paper.
//!
//! [`Html`] escapes every text by its type, and ids and links consist of numbers only.

mod endpoint;
mod findings;
mod transcript;

use std::cmp::Reverse;

use starttls_report::diagram::Diagram;
use starttls_report::html::{self, Html};
use starttls_report::{Language, Text};

use super::common;
use crate::filter;
use crate::filter::severity_word;
use crate::report::{AuditReport, EndpointReport, EndpointVerdict, Finding, Severity, Unaudited};
use crate::words;

/// The most problems of an endpoint in the summary, so that the summary of several servers fits on a page of paper.
const MAX_IN_SUMMARY: usize = 4;

/// Renders the report as an HTML page in a language: the endpoints with problems first, and those without last.
pub fn render(report: &AuditReport, language: Language) -> String {
    let mut out = Html::default();
    out.element("a", &[("class", &"skip"), ("href", &"#results")], words::SKIP.of(language));
    out.markup("\n<header>\n");
    out.append(&head(report, language));
    out.markup("</header>\n<main id=\"results\">\n");
    out.append(&results(report, language));
    out.markup("</main>\n<footer>\n");
    for lookup in &report.lookups {
        out.markup("<p>");
        out.text(format_args!("{} ", words::LOOKED_UP.of(language)));
        out.element("code", DATA, lookup);
        out.markup("</p>\n");
    }
    out.markup("<p>");
    out.english(language, common::provenance(report));
    out.markup("</p>\n</footer>\n");
    html::page(language, &title(report, language), &out)
}

/// The attributes of an element with text that is not part of any language, or of a language that is not known.
const DATA: html::Attributes<'_> = &[("lang", &""), ("translate", &"no")];

/// Returns the title of a page with this report: the target and the verdict.
pub fn title(report: &AuditReport, language: Language) -> String {
    match report.endpoints.as_slice() {
        [endpoint] => format!("{}: {}", endpoint.target, verdict_text(endpoint.outcome).of(language)),
        _ => common::counts(report, language),
    }
}

/// Returns what a finding says in one line.
pub fn sentence(finding: &Finding, language: Language) -> Html {
    let mut out = Html::default();
    findings::sentence(&mut out, language, finding);
    out
}

/// Returns the words for a verdict.
pub fn verdict_text(verdict: EndpointVerdict) -> Text {
    words::verdict(verdict)
}

/// Returns what was audited, when and by which program.
pub fn head(report: &AuditReport, language: Language) -> Html {
    let mut out = Html::default();
    out.element("h1", &[], words::TITLE.of(language));
    out.open("p", &[("class", &"overview")]);
    out.text(common::counts(report, language));
    if let [first, more @ ..] = report.unaudited.as_slice() {
        out.markup(": ");
        out.peer(&first.asked);
        out.markup(": ");
        out.english(language, &first.reason);
        out.markup(if more.is_empty() { "" } else { "; …" });
    }
    out.markup("</p>\n<dl class=\"facts\">\n");
    let targets: Vec<_> = report.endpoints.iter().map(|endpoint| endpoint.target.as_str()).collect();
    match targets.as_slice() {
        [] => {}
        [target] => out.data_fact(words::TARGET.of(language), target),
        [first, .., last] => {
            let both = words::FROM_TO.filled(language, &[("first", first), ("last", last)]);
            out.fact(words::TARGETS.of(language), &both);
        }
    }
    out.time_fact(words::TIME.of(language), &report.started_at);
    out.data_fact(words::PROGRAM.of(language), &report.generator);
    out.data_fact(words::OPTIONS.of(language), &report.options.join(" "));
    out.markup("</dl>\n");
    out
}

/// Returns the summary, and a section for each endpoint.
pub fn results(report: &AuditReport, language: Language) -> Html {
    let mut out = Html::default();
    summary(&mut out, report, language);
    for (number, endpoint) in worst_first(report) {
        endpoint::section(&mut out, language, number, endpoint);
    }
    out
}

/// Returns the picture of a transcript, with marks on the evidence of problems. `None` without this transcript.
pub fn diagram(endpoint: &EndpointReport, transcript: usize, language: Language) -> Option<Diagram> {
    Some(transcript::diagram(language, 0, endpoint, transcript, endpoint.transcripts.get(transcript)?))
}

/// Returns the index of the transcript that explains the endpoint best: evidence of the worst problem, or the first connection.
pub fn featured(endpoint: &EndpointReport) -> Option<usize> {
    transcript::choice(endpoint).map(|(index, _)| index)
}

/// Writes the list of endpoints with their worst problems.
fn summary(out: &mut Html, report: &AuditReport, language: Language) {
    out.markup("<section class=\"summary\">\n");
    out.element("h2", &[], words::SUMMARY.of(language));
    out.markup("\n<ul>\n");
    for it in &report.unaudited {
        unaudited(out, language, it);
    }
    for (number, endpoint) in worst_first(report) {
        let target = format_args!("#e{number}");
        out.markup("<li>");
        verdict(out, language, endpoint.outcome);
        out.element("a", &[("href", &target), ("lang", &""), ("translate", &"no")], &endpoint.target);
        if let Some(address) = &endpoint.address {
            out.markup(" ");
            out.element("small", DATA, address);
        }
        problems(out, language, number, endpoint);
        out.markup("</li>\n");
    }
    out.markup("</ul>\n</section>\n");
}

fn problems(out: &mut Html, language: Language, number: usize, endpoint: &EndpointReport) {
    let wrong = common::wrong(endpoint);
    if wrong.is_empty() {
        out.markup("<p>");
        conclusion(out, language, endpoint);
        out.markup("</p>");
        return;
    }
    out.markup("\n<ul>\n");
    for (index, finding) in wrong.iter().take(MAX_IN_SUMMARY) {
        out.markup("<li>");
        out.badge(severity_word(finding.severity), words::severity(finding.severity).of(language));
        out.open("a", &[("href", &format_args!("#e{number}-f{index}"))]);
        findings::sentence(out, language, finding);
        out.markup("</a></li>\n");
    }
    match wrong.len().saturating_sub(MAX_IN_SUMMARY) {
        0 => {}
        more => out.element("li", &[], words::MORE.filled(language, &[("count", &more)])),
    }
    out.markup("</ul>\n");
}

fn unaudited(out: &mut Html, language: Language, it: &Unaudited) {
    let Unaudited { asked, outcome, reason, .. } = it;
    out.markup("<li>");
    verdict(out, language, *outcome);
    out.element("strong", DATA, asked);
    out.markup("<p>");
    out.english(language, reason);
    out.markup("</p></li>\n");
}

/// Writes the verdict in one line. That of an endpoint that could not be audited says why.
fn conclusion(out: &mut Html, language: Language, endpoint: &EndpointReport) {
    if filter::summary(endpoint, Language::English) == endpoint.summary {
        return out.text(filter::summary(endpoint, language));
    }
    match endpoint.findings.iter().find(|finding| finding.summary == endpoint.summary) {
        Some(finding) => findings::sentence(out, language, finding),
        None => out.english(language, &endpoint.summary),
    }
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

fn verdict(out: &mut Html, language: Language, verdict: EndpointVerdict) {
    let (class, sign) = match verdict {
        EndpointVerdict::Sound => ("good", "✓"),
        EndpointVerdict::Inconclusive => ("inconclusive", "?"),
        _ => ("bad", "✕"),
    };
    out.badge(class, format_args!("{sign} {}", verdict_text(verdict).of(language)));
}
