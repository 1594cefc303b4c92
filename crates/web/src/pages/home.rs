//! The form, and what the service does.

use starttls_report::html::Html;

use super::{keep_language, page};
use crate::preset::Preset;
use crate::target::InvalidTarget;
use crate::view::View;
use crate::words;

/// Returns the page with the form. `error` belongs to the text in the field.
pub(crate) fn home(view: &View, text: &str, error: Option<&InvalidTarget>) -> String {
    let language = view.language;
    let mut out = Html::default();
    out.element("h1", &[], words::QUESTION.of(language));
    out.element("p", &[], words::INTRODUCTION.of(language));
    out.markup("\n<section class=\"card\">\n<form method=\"post\" action=\"/check\">\n");
    keep_language(&mut out, view);
    out.element("label", &[("for", &"target")], words::TARGET.of(language));
    if let Some(error) = error {
        out.open("p", &[("id", &"error"), ("class", &"error"), ("role", &"alert")]);
        out.append(&error.sentence(language));
        out.markup("</p>");
    }
    let (described, invalid) = match error {
        Some(_) => ("error hint", "true"),
        None => ("hint", "false"),
    };
    out.empty(
        "input",
        &[
            ("type", &"text"),
            ("id", &"target"),
            ("name", &"target"),
            ("value", &text),
            ("required", &""),
            ("maxlength", &300),
            ("inputmode", &"url"),
            ("autocomplete", &"off"),
            ("autocapitalize", &"none"),
            ("spellcheck", &"false"),
            ("aria-describedby", &described),
            ("aria-invalid", &invalid),
        ],
    );
    out.markup("\n<p class=\"hint\" id=\"hint\">");
    out.phrase(words::EXAMPLES.of(language), &[]);
    out.markup("</p>\n");
    out.element("label", &[("for", &"preset")], words::EXTENT.of(language));
    out.markup("\n<select id=\"preset\" name=\"preset\">\n");
    for (preset, text) in
        [(Preset::Standard, words::STANDARD), (Preset::Quick, words::QUICK), (Preset::Tls, words::TLS)]
    {
        out.element("option", &[("value", &preset.name())], text.of(language));
    }
    out.markup("</select>\n<div class=\"actions\">");
    out.element("button", &[], words::AUDIT.of(language));
    out.markup("</div>\n</form>\n</section>\n");
    let title = words::SERVICE.of(language).to_owned();
    match error {
        Some(_) => page(view, &words::ERROR_TITLE.filled(language, &[("title", &title)]), &out),
        None => page(view, &title, &out),
    }
}

/// Returns the page about the service.
pub(crate) fn about(view: &View, generator: &str, is_public: bool) -> String {
    let language = view.language;
    let mut api = Html::default();
    api.element("a", &[("href", &"/api/v1/openapi.json")], words::API.of(language));
    let mut out = Html::default();
    out.element("h1", &[], words::ABOUT.of(language));
    for (title, texts) in [
        (words::SENDS_TITLE, &[words::SENDS][..]),
        (words::SERVERS_TITLE, if is_public { &[words::SERVERS, words::LIMITS] } else { &[words::SERVERS] }),
        (words::KEEPS_TITLE, &[words::KEEPS]),
    ] {
        out.markup("<section class=\"card\">\n");
        out.element("h2", &[], title.of(language));
        for text in texts {
            out.markup("\n<p>");
            out.phrase(text.of(language), &[("api", &api)]);
            out.markup("</p>");
        }
        out.markup("\n</section>\n");
    }
    out.element("p", &[("lang", &""), ("translate", &"no")], generator);
    page(view, words::ABOUT.of(language), &out)
}
