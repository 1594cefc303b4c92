//! The runs of a target.

use starttls_audit::render::html::verdict_text;
use starttls_report::html::Html;

use super::{heading, keep_language, page, segment};
use crate::store::{RunEnd, RunSummary};
use crate::verdict::class;
use crate::view::View;
use crate::words;

/// Returns the page, with the newest run first.
pub(crate) fn history(view: &View, target: &str, runs: &[RunSummary]) -> String {
    let language = view.language;
    let mut out = Html::default();
    heading(&mut out, words::REPORTS_ON.of(language), target);
    out.markup("<section class=\"card\">\n<ul class=\"changes\">\n");
    for (index, run) in runs.iter().enumerate() {
        out.markup("<li>");
        out.badge(class(run.verdict), verdict_text(run.verdict).of(language));
        out.open("a", &[("href", &view.link(&format!("/r/{}", run.id)))]);
        out.element("time", &[("datetime", &run.started_at)], &run.started_at);
        out.close("a");
        out.markup(" ");
        out.peer(&run.generator);
        out.markup(" ");
        let end = match run.end {
            RunEnd::Finished => None,
            RunEnd::Stopped => Some(words::IS_STOPPED),
            RunEnd::Postponed => Some(words::IS_POSTPONED),
            RunEnd::BrokenOff => Some(words::IS_BROKEN_OFF),
        };
        if let Some(end) = end {
            out.text(format_args!("{} ", end.of(language)));
        }
        if let Some(before) = runs.get(index + 1) {
            let path = view.link(&format!("/compare?a={}&b={}", before.id, run.id));
            let text = words::CHANGES_SINCE.filled(language, &[("time", &before.started_at)]);
            out.element("a", &[("href", &path)], text);
        }
        out.markup("</li>\n");
    }
    out.markup("</ul>\n");
    if runs.is_empty() {
        out.element("p", &[], words::NO_REPORT.of(language));
    }
    out.markup("</section>\n<section class=\"card\">\n");
    out.element("h2", &[], words::BADGE.of(language));
    out.markup("\n<p>");
    // Another site shows the badge, so that it has a language only if its address names one.
    let path = view.link(&format!("/t/{}/badge.svg", segment(target)));
    out.empty("img", &[("src", &path), ("alt", &words::BADGE_ALTERNATIVE.of(language)), ("height", &20)]);
    out.markup("</p>\n<p>");
    let mut code = Html::default();
    code.element("code", &[("translate", &"no")], &path);
    out.phrase(words::BADGE_PATH.of(language), &[("path", &code)]);
    out.markup("</p>\n</section>\n<section class=\"card\">\n<form method=\"post\" action=\"/check\">");
    keep_language(&mut out, view);
    out.empty("input", &[("type", &"hidden"), ("name", &"target"), ("value", &target)]);
    out.markup("<input type=\"hidden\" name=\"fresh\" value=\"1\">");
    out.element("button", &[], words::AUDIT_NOW.of(language));
    out.markup("</form>\n</section>\n");
    page(view, &words::REPORTS_ON.filled(language, &[("target", &target)]), &out)
}
