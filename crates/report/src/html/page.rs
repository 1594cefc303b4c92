//! A page in one file.

use sha2::{Digest, Sha256};
use starttls_proto::base64;

use super::Html;
use crate::Language;

/// The colors on a light background, and those on a dark one.
pub(crate) const LIGHT: &str = include_str!("light.css");
pub(crate) const DARK: &str = include_str!("dark.css");

/// The style of all pages.
pub const STYLE: &str = concat!(
    include_str!("light.css"),
    "@media (prefers-color-scheme: dark) {\n",
    include_str!("dark.css"),
    "}\n",
    include_str!("style.css"),
    include_str!("../diagram/diagram.css"),
);

/// Returns a page in this language that can be opened from a file: its style is inside. Its Content-Security-Policy forbids scripts, network
/// access, forms and every other style, in case an escape is missing.
pub fn page(language: Language, title: &str, body: &Html) -> String {
    let digest = base64::encode(&Sha256::digest(STYLE));
    let policy =
        format!("default-src 'none'; style-src 'sha256-{digest}'; base-uri 'none'; form-action 'none'");
    let mut out = Html::default();
    out.markup("<!DOCTYPE html>\n");
    out.open("html", &[("lang", &language)]);
    out.markup("\n<head>\n<meta charset=\"utf-8\">\n");
    out.open("meta", &[("http-equiv", &"Content-Security-Policy"), ("content", &policy)]);
    out.markup(
        "\n<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <meta name=\"color-scheme\" content=\"light dark\">\n",
    );
    out.element("title", &[], title);
    out.markup("\n<style>");
    out.markup(STYLE);
    out.markup("</style>\n</head>\n<body>\n");
    out.append(body);
    out.markup("</body>\n</html>\n");
    out.into_string()
}
