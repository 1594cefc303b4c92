//! The pages. Each is complete without a script.

mod bulk;
mod compare;
mod history;
mod home;
mod report;

use starttls_report::html::Html;
use starttls_report::{Language, Text, diagram};

use crate::assets;
use crate::view::View;
use crate::words;

pub(crate) use bulk::bulk;
pub(crate) use compare::compare;
pub(crate) use history::history;
pub(crate) use home::{about, home};
pub(crate) use report::{Transcripts, report};

/// Returns a page: the navigation, and this content of the element `main`.
pub(crate) fn page(view: &View, title: &str, main: &Html) -> String {
    let mut out = Html::default();
    start(&mut out, view, title, &Html::default());
    out.append(main);
    end(&mut out, view);
    out.into_string()
}

/// Writes a page up to its content.
fn start(out: &mut Html, view: &View, title: &str, head: &Html) {
    let language = view.language;
    out.markup("<!DOCTYPE html>\n");
    out.open("html", &[("lang", &language)]);
    out.markup(
        "\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <meta name=\"color-scheme\" content=\"light dark\">\n",
    );
    out.element("title", &[], title);
    out.empty("link", &[("rel", &"stylesheet"), ("href", &assets::style().path)]);
    out.append(head);
    out.markup("\n</head>\n<body>\n");
    out.element("a", &[("class", &"skip"), ("href", &"#main")], words::SKIP.of(language));
    out.markup("\n<header>\n");
    out.open("nav", &[("class", &"site"), ("aria-label", &words::SITE.of(language))]);
    let home = view.link("/");
    out.element("a", &[("class", &"name"), ("href", &home)], words::SERVICE.of(language));
    out.element("a", &[("href", &home)], words::NEW_AUDIT.of(language));
    out.markup("</nav>\n</header>\n<main id=\"main\">\n");
}

/// Writes a page after its content: the links to the page about the service, and to this page in the other languages.
fn end(out: &mut Html, view: &View) {
    out.markup("</main>\n<footer>\n<p>");
    out.element("a", &[("href", &view.link("/about"))], words::ABOUT.of(view.language));
    out.markup("</p>\n");
    out.open("nav", &[("aria-label", &words::LANGUAGES.of(view.language))]);
    out.markup("<ul class=\"links\">\n");
    for language in Language::ALL {
        out.markup("<li>");
        let address = view.in_language(language);
        let attributes: [(&str, &dyn std::fmt::Display); 3] =
            [("href", &address), ("lang", &language), ("hreflang", &language)];
        match language == view.language {
            true => out.element("span", &[("lang", &language), ("aria-current", &"true")], language.name()),
            false => out.element("a", &attributes, language.name()),
        }
        out.markup("</li>\n");
    }
    out.markup("</ul></nav>\n</footer>\n</body>\n</html>\n");
}

/// Returns a page with an error.
pub(crate) fn error(view: &View, title: Text, text: &Html) -> String {
    let title = title.of(view.language);
    let mut out = Html::default();
    out.element("h1", &[], title);
    out.open("p", &[("role", &"alert"), ("class", &"error")]);
    out.append(text);
    out.markup("</p>");
    out.append(&link(&view.link("/"), words::START_NEW.of(view.language)));
    page(view, title, &out)
}

/// Returns a paragraph with a link.
pub(crate) fn link(path: &str, text: &str) -> Html {
    let mut out = Html::default();
    out.markup("<p>");
    out.element("a", &[("href", &path)], text);
    out.markup("</p>\n");
    out
}

/// Returns the page of a run in progress. The script shows its events; without a script, the browser goes to the page that
/// grows.
pub(crate) fn running(view: &View, id: &str, target: &str) -> String {
    let language = view.language;
    let live = view.link(&format!("/r/{id}/live"));
    let (mut out, mut head) = (Html::default(), Html::default());
    head.markup("<noscript>");
    head.empty("meta", &[("http-equiv", &"refresh"), ("content", &format_args!("0; url={live}"))]);
    head.markup("</noscript>");
    head.open("script", &[("type", &"module"), ("src", &assets::script().path)]);
    head.markup("</script>");
    let title = words::RUNNING.filled(language, &[("target", &target)]);
    start(&mut out, view, &title, &head);
    heading(&mut out, words::RUNNING.of(language), target);
    out.element("p", &[("id", &"status"), ("role", &"status")], words::WAITING.of(language));
    out.markup("\n");
    stop(&mut out, view, id);
    // The script has no words of its own.
    out.open(
        "section",
        &[
            ("class", &"card"),
            ("id", &"log"),
            ("aria-label", &words::CONVERSATIONS.of(language)),
            ("data-one", &words::SO_FAR.one.of(language)),
            ("data-many", &words::SO_FAR.many.of(language)),
            ("data-singular-zero", &language.is_singular(0)),
            ("data-connection", &words::CONNECTION.of(language)),
            ("data-finished", &words::REPORT_FOLLOWS.of(language)),
            ("data-lost", &words::LOST.of(language)),
            ("data-refused", &words::CANNOT_FOLLOW.of(language)),
            ("data-client", &diagram::CLIENT_CLEARTEXT.of(language)),
            ("data-server", &diagram::SERVER_CLEARTEXT.of(language)),
            ("data-client-inside", &diagram::CLIENT_INSIDE.of(language)),
            ("data-server-inside", &diagram::SERVER_INSIDE.of(language)),
        ],
    );
    out.markup("</section>\n<noscript>");
    out.append(&link(&live, words::WITHOUT_SCRIPT.of(language)));
    out.markup("</noscript>\n");
    end(&mut out, view);
    out.into_string()
}

/// Writes the heading of a page about a target.
fn heading(out: &mut Html, text: &str, target: &str) {
    let mut name = Html::default();
    name.peer(target);
    out.markup("<h1>");
    out.phrase(text, &[("target", &name)]);
    out.markup("</h1>\n");
}

fn stop(out: &mut Html, view: &View, id: &str) {
    out.markup("<div class=\"actions\">");
    let action = view.link(&format!("/r/{id}/stop"));
    out.open("form", &[("method", &"post"), ("action", &action)]);
    out.element("button", &[("class", &"plain")], words::STOP.of(view.language));
    out.markup("</form></div>\n");
}

/// Returns the start and the end of the page that grows. Items of a list and its end tag belong between them.
pub(crate) fn growing(view: &View, id: &str, target: &str) -> (String, String) {
    let (mut out, mut tail) = (Html::default(), Html::default());
    let title = words::RUNNING.filled(view.language, &[("target", &target)]);
    start(&mut out, view, &title, &Html::default());
    heading(&mut out, words::RUNNING.of(view.language), target);
    out.element("p", &[], words::GROWS.of(view.language));
    out.markup("\n");
    stop(&mut out, view, id);
    out.markup("<ol class=\"messages\">\n");
    end(&mut tail, view);
    (out.into_string(), tail.into_string())
}

/// Writes the language of the page into a form, if the request named it.
fn keep_language(out: &mut Html, view: &View) {
    if let Some(language) = view.chosen() {
        out.empty("input", &[("type", &"hidden"), ("name", &"lang"), ("value", &language)]);
    }
}

/// Returns a text for a segment of a path.
pub(crate) fn segment(text: &str) -> String {
    percent_encoding::utf8_percent_encode(text, percent_encoding::NON_ALPHANUMERIC).to_string()
}
