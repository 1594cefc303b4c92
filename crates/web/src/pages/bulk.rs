//! The targets of a bulk.

use starttls_audit::render::html::verdict_text;
use starttls_report::Text;
use starttls_report::html::Html;

use super::{link, page};
use crate::bulk::{BulkItem, BulkState};
use crate::verdict::class;
use crate::view::View;
use crate::words;

/// Returns the page.
pub(crate) fn bulk(view: &View, id: &str, items: &[BulkItem]) -> String {
    let language = view.language;
    let done = items.iter().filter(|item| item.state.is_final()).count();
    let title = words::BULK_DONE.filled(language, &[("done", &done), ("total", &items.len())]);
    let mut out = Html::default();
    out.element("h1", &[], &title);
    if done < items.len() {
        out.append(&link(&view.link(&format!("/b/{id}")), words::LOAD_AGAIN.of(language)));
    }
    out.markup("<section class=\"card\">\n<ul class=\"changes\">\n");
    for item in items {
        out.markup("<li>");
        if let Some(verdict) = item.verdict {
            out.badge(class(verdict), verdict_text(verdict).of(language));
        }
        match &item.run {
            Some(run) => {
                out.open("a", &[("href", &view.link(&format!("/r/{run}")))]);
                out.peer(&item.target);
                out.close("a");
            }
            None => out.peer(&item.target),
        }
        if let Some(state) = state(item.state) {
            out.text(format_args!(" {}", state.of(language)));
        }
        if let Some(error) = &item.error {
            out.markup(" ");
            out.english(language, error);
        }
        out.markup("</li>\n");
    }
    out.markup("</ul>\n</section>\n<ul class=\"links\">\n");
    for (extension, name) in [("", "JSON"), (".jsonl", "JSON Lines"), (".csv", "CSV")] {
        out.markup("<li>");
        out.element("a", &[("href", &format_args!("/api/v1/bulk/{id}{extension}"))], name);
        out.markup("</li>\n");
    }
    out.markup("</ul>\n");
    page(view, &title, &out)
}

/// Returns the words for a state. The verdict says enough of a target that is finished.
fn state(state: BulkState) -> Option<Text> {
    match state {
        BulkState::Finished => None,
        BulkState::Waiting => Some(words::IS_WAITING),
        BulkState::Running => Some(words::IS_RUNNING),
        BulkState::Stopped => Some(words::IS_STOPPED),
        BulkState::Postponed => Some(words::IS_POSTPONED),
        BulkState::BrokenOff => Some(words::IS_BROKEN_OFF),
        BulkState::Invalid => Some(words::IS_INVALID),
        BulkState::Failed => Some(words::IS_NOT_STARTED),
    }
}
