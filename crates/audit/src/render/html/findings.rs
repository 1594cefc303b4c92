//! The findings of an endpoint.

use starttls_report::html::Html;
use starttls_report::{Language, Text};

use super::super::common;
use super::transcript;
use crate::check::check;
use crate::filter::{is_wrong, severity_word};
use crate::report::{CheckOutcome, EndpointReport, Finding};
use crate::words;

/// Writes the findings of one endpoint.
pub(super) struct Articles<'a> {
    pub(super) language: Language,
    /// The number of the endpoint, which its anchors contain.
    pub(super) number: usize,
    pub(super) endpoint: &'a EndpointReport,
}

impl Articles<'_> {
    /// Writes findings with their evidence, their fix and the reason why they matter.
    pub(super) fn write(
        &self,
        out: &mut Html,
        title: Text,
        class: &'static str,
        findings: &[(usize, &Finding)],
    ) {
        if findings.is_empty() {
            return;
        }
        out.element("h3", &[], title.of(self.language));
        out.markup("\n");
        for &(index, finding) in findings {
            self.article(out, class, index, finding);
        }
    }

    fn article(&self, out: &mut Html, class: &'static str, index: usize, finding: &Finding) {
        let (language, number) = (self.language, self.number);
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
        match is_wrong(finding) {
            true => out.badge(severity, words::severity(finding.severity).of(language)),
            false => out.badge("inconclusive", words::INCONCLUSIVE_BADGE.of(language)),
        }
        sentence(out, language, finding);
        out.markup(" ");
        id(out, finding);
        out.markup("</h4>\n");
        details(out, language, finding);
        for &at in &finding.evidence {
            transcript::excerpt(out, language, number, self.endpoint, at);
        }
        fix(out, language, finding);
        if let Some(row) = check(&finding.id) {
            out.markup("<details class=\"why\">");
            out.element("summary", &[], words::WHY.of(language));
            out.element("p", &[], row.text(language).why);
            out.open("p", &[("class", &"spec")]);
            out.english(language, row.spec);
            out.markup("</p></details>\n");
        }
        out.markup("</article>\n");
    }

    /// Writes findings as a folded list.
    pub(super) fn list(&self, out: &mut Html, title: Text, findings: &[(usize, &Finding)]) {
        if findings.is_empty() {
            return;
        }
        let (language, number) = (self.language, self.number);
        out.markup("<details class=\"fold\">");
        out.element("summary", &[], format_args!("{} ({})", title.of(language), findings.len()));
        out.markup("\n<ul>\n");
        for &(index, finding) in findings {
            out.open(
                "li",
                &[
                    ("id", &format_args!("e{number}-f{index}")),
                    ("data-check", &finding.id),
                    ("data-outcome", &common::outcome_key(finding.outcome)),
                ],
            );
            sentence(out, language, finding);
            out.markup(" ");
            id(out, finding);
            details(out, language, finding);
            let endpoint = self.endpoint;
            if let Some(&at) = finding.evidence.iter().find(|at| common::excerpt(endpoint, **at).is_some()) {
                out.markup(" ");
                out.append(&transcript::link(language, number, at));
            }
            out.markup("</li>\n");
        }
        out.markup("</ul>\n</details>\n");
    }
}

/// Writes the fact in one line. A sentence that no table contains is in English.
pub(super) fn sentence(out: &mut Html, language: Language, finding: &Finding) {
    let Finding { summary, message, requirement, .. } = finding;
    let known = message.as_ref().and_then(|message| Some((message.text(summary)?, message.values())));
    match (known, requirement) {
        (Some(((text, rest), values)), None) => {
            out.sentence(language, text, &values);
            out.english(language, rest);
        }
        (Some(((text, rest), values)), Some(_)) if language == Language::English => {
            out.sentence(language, text, &values);
            out.text(rest);
        }
        (Some(((text, _), values)), Some(requirement)) => {
            out.sentence(language, text, &values);
            out.text(format_args!("; {}", words::requirement(*requirement).of(language)));
        }
        // A check that was not run has no other text than what it needs.
        (None, Some(requirement))
            if finding.outcome == CheckOutcome::NotRun && language != Language::English =>
        {
            out.text(words::requirement(*requirement).of(language));
        }
        (None, _) => out.english(language, summary),
    }
}

fn id(out: &mut Html, finding: &Finding) {
    out.element("code", &[("class", &"id"), ("lang", &""), ("translate", &"no")], &finding.id);
}

/// Writes the fix. One that is not that of the table exists in English only.
fn fix(out: &mut Html, language: Language, finding: &Finding) {
    let Some(fix) = &finding.fix else { return };
    out.markup("<p class=\"fix\">");
    out.element("strong", &[], words::FIX.of(language));
    out.markup(" ");
    match check(&finding.id).filter(|row| row.fix == fix) {
        Some(row) => out.text(row.text(language).fix),
        None => out.english(language, fix),
    }
    out.markup("</p>\n");
}

fn details(out: &mut Html, language: Language, finding: &Finding) {
    if finding.details.is_empty() {
        return;
    }
    out.markup("<ul class=\"details\">\n");
    for detail in &finding.details {
        out.markup("<li>");
        out.english(language, detail);
        out.markup("</li>\n");
    }
    out.markup("</ul>\n");
}
