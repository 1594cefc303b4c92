//! The report of a finished run.

use std::collections::HashSet;

use starttls_audit::filter::is_wrong;
use starttls_audit::render::html;
use starttls_audit::report::{AuditReport, CheckOutcome, EndpointVerdict, Finding};
use starttls_report::html::Html;

use super::{link, page, segment};
use crate::store::{RunEnd, RunSummary, StoredRun};
use crate::verdict::{overall, word};

/// The age from which the page warns that the report is old, in seconds.
const OLD: u64 = 30 * 86_400;

/// Which transcripts a page has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Transcripts {
    /// Those that a picture or a problem refers to. An audit has twenty and more, most of which begin alike.
    Relevant,
    All,
}

/// Returns the page. `history` is that of the target, the newest run first.
pub(crate) fn report(run: &StoredRun, history: &[RunSummary], now: u64, transcripts: Transcripts) -> String {
    let mut out = Html::default();
    let newer = history.first().filter(|newest| newest.started > run.started);
    let before = history.iter().find(|older| older.started < run.started && older.end == RunEnd::Finished);
    out.append(&html::head(&run.report));
    match run.end {
        RunEnd::Finished => {}
        RunEnd::Stopped => {
            out.markup("<p class=\"error\">The audit was stopped before it was finished.</p>\n");
        }
        RunEnd::Postponed => {
            out.markup(
                "<p class=\"error\">No server was audited: each was audited several times just now.</p>\n",
            );
        }
        RunEnd::BrokenOff => out.markup("<p class=\"error\">The audit was broken off.</p>\n"),
    }
    if let Some(newer) = newer {
        out.markup("<p class=\"error\">This report is not the newest one: ");
        out.element("a", &[("href", &format_args!("/r/{}", newer.id))], &newer.started_at);
        out.markup(" is newer.</p>\n");
    } else if now.saturating_sub(run.started) > OLD {
        out.markup("<p class=\"error\">This report is more than 30 days old.</p>\n");
    }
    actions(&mut out, run, before);
    match transcripts {
        Transcripts::All => out.append(&html::results(&run.report)),
        Transcripts::Relevant => {
            out.append(&html::results(&brief(&run.report)));
            out.append(&link(&format!("/r/{}/transcripts", run.id), "All transcripts"));
        }
    }
    let (word, _) = word(overall(&run.report));
    page(&format!("{word}: {}", run.target), &out)
}

/// Returns a report without the entries of the transcripts that no picture and no problem refers to.
fn brief(report: &AuditReport) -> AuditReport {
    let mut brief = report.clone();
    for endpoint in &mut brief.endpoints {
        let is_shown = |it: &&Finding| is_wrong(it) || it.outcome == CheckOutcome::Inconclusive;
        let evidence = endpoint.findings.iter().filter(is_shown).flat_map(|it| &it.evidence);
        let shown: HashSet<usize> =
            evidence.map(|at| at.transcript).chain(html::featured(endpoint)).collect();
        for (index, transcript) in endpoint.transcripts.iter_mut().enumerate() {
            if !shown.contains(&index) {
                transcript.entries.clear();
            }
        }
    }
    brief
}

fn actions(out: &mut Html, run: &StoredRun, before: Option<&RunSummary>) {
    let id = &run.id;
    out.markup(
        "<div class=\"actions\"><form method=\"post\" action=\"/check\"><input type=\"hidden\" name=\"fresh\" value=\"1\">",
    );
    out.empty("input", &[("type", &"hidden"), ("name", &"target"), ("value", &run.target)]);
    out.markup("<button class=\"plain\">Run again</button></form></div>\n<ul class=\"links\">\n");
    let history = format!("/t/{}", segment(&run.target));
    item(out, &history, "History of this target");
    if let Some(before) = before {
        item(out, &format!("/compare?a={}&b={id}", before.id), "What changed since the last report");
    }
    for (extension, name) in [
        ("html", "HTML"),
        ("json", "JSON"),
        ("txt", "Text"),
        ("csv", "CSV"),
        ("sarif", "SARIF"),
        ("xml", "JUnit"),
    ] {
        item(out, &format!("/r/{id}.{extension}"), name);
    }
    if run.report.endpoints.iter().any(|it| it.outcome != EndpointVerdict::Unreachable) {
        item(out, &format!("/r/{id}/conversation.svg"), "Picture of the conversation");
    }
    out.markup("</ul>\n");
}

fn item(out: &mut Html, path: &str, text: &str) {
    out.markup("<li>");
    out.element("a", &[("href", &path)], text);
    out.markup("</li>\n");
}
