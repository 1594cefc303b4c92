//! The report of a finished run.

use std::collections::HashSet;

use starttls_audit::filter::is_wrong;
use starttls_audit::render::html::{self, verdict_text};
use starttls_audit::report::{AuditReport, CheckOutcome, EndpointVerdict, Finding};
use starttls_report::html::Html;

use super::{keep_language, link, page, segment};
use crate::store::{RunEnd, RunSummary, StoredRun};
use crate::verdict::overall;
use crate::view::View;
use crate::words;

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
pub(crate) fn report(
    view: &View,
    run: &StoredRun,
    history: &[RunSummary],
    now: u64,
    transcripts: Transcripts,
) -> String {
    let language = view.language;
    let mut out = Html::default();
    let newer = history.first().filter(|newest| newest.started > run.started);
    let before = history.iter().find(|older| older.started < run.started && older.end == RunEnd::Finished);
    out.append(&html::head(&run.report, language));
    let end = match run.end {
        RunEnd::Finished => None,
        RunEnd::Stopped => Some(words::STOPPED),
        RunEnd::Postponed => Some(words::POSTPONED),
        RunEnd::BrokenOff => Some(words::BROKEN_OFF),
    };
    if let Some(end) = end {
        out.element("p", &[("class", &"error")], end.of(language));
    }
    if let Some(newer) = newer {
        let mut link = Html::default();
        link.element("a", &[("href", &view.link(&format!("/r/{}", newer.id)))], &newer.started_at);
        out.markup("<p class=\"error\">");
        out.phrase(words::NOT_NEWEST.of(language), &[("newer", &link)]);
        out.markup("</p>\n");
    } else if now.saturating_sub(run.started) > OLD {
        out.element("p", &[("class", &"error")], words::OLD.of(language));
    }
    actions(&mut out, view, run, before);
    match transcripts {
        Transcripts::All => out.append(&html::results(&run.report, language)),
        Transcripts::Relevant => {
            out.append(&html::results(&brief(&run.report), language));
            let all = view.link(&format!("/r/{}/transcripts", run.id));
            out.append(&link(&all, words::ALL_TRANSCRIPTS.of(language)));
        }
    }
    let verdict = verdict_text(overall(&run.report)).of(language);
    let values: [(&str, &dyn std::fmt::Display); 2] = [("verdict", &verdict), ("target", &run.target)];
    page(view, &words::VERDICT_TITLE.filled(language, &values), &out)
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

fn actions(out: &mut Html, view: &View, run: &StoredRun, before: Option<&RunSummary>) {
    let (id, language) = (&run.id, view.language);
    out.markup(
        "<div class=\"actions\"><form method=\"post\" action=\"/check\"><input type=\"hidden\" name=\"fresh\" value=\"1\">",
    );
    keep_language(out, view);
    out.empty("input", &[("type", &"hidden"), ("name", &"target"), ("value", &run.target)]);
    out.element("button", &[("class", &"plain")], words::RUN_AGAIN.of(language));
    out.markup("</form></div>\n<ul class=\"links\">\n");
    let history = view.link(&format!("/t/{}", segment(&run.target)));
    item(out, &history, words::HISTORY.of(language));
    if let Some(before) = before {
        let path = view.link(&format!("/compare?a={}&b={id}", before.id));
        item(out, &path, words::CHANGED_SINCE_LAST.of(language));
    }
    for (extension, name) in [
        ("html", "HTML"),
        ("json", "JSON"),
        ("txt", words::TEXT.of(language)),
        ("csv", "CSV"),
        ("sarif", "SARIF"),
        ("xml", "JUnit"),
    ] {
        let path = format!("/r/{id}.{extension}");
        // The other formats are in English.
        let path = if extension == "html" { view.link(&path) } else { path };
        item(out, &path, name);
    }
    if run.report.endpoints.iter().any(|it| it.outcome != EndpointVerdict::Unreachable) {
        item(out, &view.link(&format!("/r/{id}/conversation.svg")), words::PICTURE.of(language));
    }
    out.markup("</ul>\n");
}

fn item(out: &mut Html, path: &str, text: &str) {
    out.markup("<li>");
    out.element("a", &[("href", &path)], text);
    out.markup("</li>\n");
}
