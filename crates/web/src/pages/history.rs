//! The runs of a target.

use starttls_report::html::Html;

use super::{page, segment};
use crate::store::{RunEnd, RunSummary};
use crate::verdict::word;

/// Returns the page, with the newest run first.
pub(crate) fn history(target: &str, runs: &[RunSummary]) -> String {
    let mut out = Html::default();
    out.element("h1", &[], format_args!("Reports on {target}"));
    out.markup("<section class=\"card\">\n<ul class=\"changes\">\n");
    for (index, run) in runs.iter().enumerate() {
        out.markup("<li>");
        let (word, class) = word(run.verdict);
        out.badge(class, word);
        out.open("a", &[("href", &format_args!("/r/{}", run.id))]);
        out.element("time", &[("datetime", &run.started_at)], &run.started_at);
        out.close("a");
        out.text(format_args!(" {} ", run.generator));
        match run.end {
            RunEnd::Finished => {}
            RunEnd::Stopped => out.markup("(stopped) "),
            RunEnd::Postponed => out.markup("(postponed) "),
            RunEnd::BrokenOff => out.markup("(broken off) "),
        }
        if let Some(before) = runs.get(index + 1) {
            let path = format_args!("/compare?a={}&b={}", before.id, run.id);
            out.element("a", &[("href", &path)], format_args!("changes since {}", before.started_at));
        }
        out.markup("</li>\n");
    }
    out.markup("</ul>\n");
    if runs.is_empty() {
        out.markup("<p>This target has no report.</p>\n");
    }
    out.markup("</section>\n<section class=\"card\">\n<h2>Badge</h2>\n<p>");
    let path = format!("/t/{}/badge.svg", segment(target));
    out.empty("img", &[("src", &path), ("alt", &"The verdict of the newest report"), ("height", &20)]);
    out.markup("</p>\n<p>The badge shows the newest report and never starts an audit: ");
    out.element("code", &[], &path);
    out.markup("</p>\n</section>\n<section class=\"card\">\n<form method=\"post\" action=\"/check\">");
    out.empty("input", &[("type", &"hidden"), ("name", &"target"), ("value", &target)]);
    out.markup(
        "<input type=\"hidden\" name=\"fresh\" value=\"1\"><button>Audit now</button></form>\n</section>\n",
    );
    page(&format!("Reports on {target}"), &out)
}
