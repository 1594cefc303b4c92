//! The pages. Each is complete without a script.

mod compare;
mod history;
mod home;
mod report;

use starttls_report::html::Html;

use crate::assets;

pub(crate) use compare::compare;
pub(crate) use history::history;
pub(crate) use home::{about, home};
pub(crate) use report::{Transcripts, report};

/// Returns a page: the navigation, and this content of the element `main`.
pub(crate) fn page(title: &str, main: &Html) -> String {
    let mut out = Html::default();
    start(&mut out, title, &Html::default());
    out.append(main);
    out.markup(END);
    out.into_string()
}

const END: &str =
    "</main>\n<footer><p><a href=\"/about\">About this service</a></p></footer>\n</body>\n</html>\n";

/// Writes a page up to its content.
fn start(out: &mut Html, title: &str, head: &Html) {
    out.markup(
        "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <meta name=\"color-scheme\" content=\"light dark\">\n",
    );
    out.element("title", &[], title);
    out.empty("link", &[("rel", &"stylesheet"), ("href", &assets::style().path)]);
    out.append(head);
    out.markup(
        "\n</head>\n<body>\n<a class=\"skip\" href=\"#main\">Skip to the content</a>\n<header>\n\
         <nav class=\"site\" aria-label=\"Site\"><a class=\"name\" href=\"/\">STARTTLS audit</a>\
         <a href=\"/\">New audit</a></nav>\n</header>\n<main id=\"main\">\n",
    );
}

/// Returns a page with an error.
pub(crate) fn error(title: &str, text: &str) -> String {
    let mut out = Html::default();
    out.element("h1", &[], title);
    out.element("p", &[("role", &"alert"), ("class", &"error")], text);
    out.append(&link("/", "Start a new audit"));
    page(title, &out)
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
pub(crate) fn running(id: &str, target: &str) -> String {
    let (mut out, mut head) = (Html::default(), Html::default());
    head.markup("<noscript>");
    head.empty("meta", &[("http-equiv", &"refresh"), ("content", &format_args!("0; url=/r/{id}/live"))]);
    head.markup("</noscript>");
    head.open("script", &[("type", &"module"), ("src", &assets::script().path)]);
    head.markup("</script>");
    let title = format!("Audit of {target} is running");
    start(&mut out, &title, &head);
    out.element("h1", &[], &title);
    out.markup("<p id=\"status\" role=\"status\">Waiting for the first connection.</p>\n");
    stop(&mut out, id);
    out.markup("<section class=\"card\" id=\"log\" aria-label=\"Conversations\"></section>\n<noscript>");
    out.append(&link(&format!("/r/{id}/live"), "Watch without a script"));
    out.markup("</noscript>\n");
    out.markup(END);
    out.into_string()
}

fn stop(out: &mut Html, id: &str) {
    out.markup("<div class=\"actions\">");
    out.open("form", &[("method", &"post"), ("action", &format_args!("/r/{id}/stop"))]);
    out.markup("<button class=\"plain\">Stop this audit</button></form></div>\n");
}

/// Returns the start and the end of the page that grows. Items of a list and its end tag belong between them.
pub(crate) fn growing(id: &str, target: &str) -> (String, &'static str) {
    let mut out = Html::default();
    let title = format!("Audit of {target} is running");
    start(&mut out, &title, &Html::default());
    out.element("h1", &[], &title);
    out.markup("<p>This page grows until the audit is finished.</p>\n");
    stop(&mut out, id);
    out.markup("<ol class=\"messages\">\n");
    (out.into_string(), END)
}

/// Returns a text for a segment of a path.
pub(crate) fn segment(text: &str) -> String {
    percent_encoding::utf8_percent_encode(text, percent_encoding::NON_ALPHANUMERIC).to_string()
}
