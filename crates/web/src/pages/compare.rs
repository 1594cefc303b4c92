//! What changed between two runs.

use starttls_audit::render::html::sentence;
use starttls_audit::report::Finding;
use starttls_report::html::Html;
use starttls_report::{Language, Text};

use super::{heading, page};
use crate::changes::changes;
use crate::store::StoredRun;
use crate::view::View;
use crate::words;

/// Returns the page.
pub(crate) fn compare(view: &View, before: &StoredRun, after: &StoredRun) -> String {
    let language = view.language;
    let mut out = Html::default();
    heading(&mut out, words::WHAT_CHANGED.of(language), &after.target);
    out.markup("<dl class=\"facts\">\n");
    out.time_fact(words::BEFORE.of(language), &before.report.started_at);
    out.time_fact(words::AFTER.of(language), &after.report.started_at);
    out.markup("</dl>\n<ul class=\"links\">");
    for (run, text) in [(before, words::EARLIER), (after, words::LATER)] {
        out.markup("<li>");
        out.element("a", &[("href", &view.link(&format!("/r/{}", run.id)))], text.of(language));
        out.markup("</li>");
    }
    out.markup("</ul>\n");
    if before.target != after.target {
        out.element("p", &[("class", &"error")], words::OTHER_TARGETS.of(language));
    }
    let [old, new] = [&before.report.generator, &after.report.generator];
    if old != new {
        let text = words::PROGRAM_CHANGED.filled(language, &[("old", old), ("new", new)]);
        out.element("p", &[("class", &"hint")], text);
    }
    for endpoint in changes(&before.report, &after.report, language) {
        out.markup("<section class=\"card\">\n");
        out.element("h2", &[("lang", &""), ("translate", &"no")], endpoint.target);
        if endpoint.new.is_empty() && endpoint.gone.is_empty() && endpoint.facts.is_empty() {
            out.element("p", &[], words::NOTHING_CHANGED.of(language));
        }
        list(&mut out, language, ("new", "+", words::NEW_PROBLEM), &endpoint.new);
        list(&mut out, language, ("gone", "−", words::GONE), &endpoint.gone);
        list(&mut out, language, ("same", "=", words::STILL_THERE), &endpoint.same);
        if !endpoint.facts.is_empty() {
            out.markup("<dl class=\"facts\">\n");
            for (name, old, new) in &endpoint.facts {
                let shown = |text: &str| match text {
                    "" => words::NO_VALUE.of(language).to_owned(),
                    text => text.to_owned(),
                };
                out.fact(name, &format!("{} → {}", shown(old), shown(new)));
            }
            out.markup("</dl>\n");
        }
        out.markup("</section>\n");
    }
    page(view, &words::WHAT_CHANGED.filled(language, &[("target", &after.target)]), &out)
}

fn list(
    out: &mut Html,
    language: Language,
    (class, sign, word): (&'static str, &'static str, Text),
    findings: &[&Finding],
) {
    if findings.is_empty() {
        return;
    }
    out.open("ul", &[("class", &format_args!("changes {class}"))]);
    for finding in findings {
        out.markup("<li>");
        out.element("span", &[("class", &"sign"), ("aria-hidden", &"true")], sign);
        out.text(format_args!("{} ", word.of(language)));
        out.append(&sentence(finding, language));
        out.markup(" ");
        out.element("code", &[("class", &"id"), ("lang", &""), ("translate", &"no")], &finding.id);
        out.markup("</li>\n");
    }
    out.markup("</ul>\n");
}
