//! HTML and SVG whose text is escaped by type, and the page around it.

mod page;
mod parts;

use std::fmt::{self, Display, Write};

use crate::language::{TextPart, parts};
use crate::{Language, Markup, Text};

pub(crate) use page::{DARK, LIGHT};
pub use page::{STYLE, page};

/// A part of an HTML page or of an SVG image. Only literals of a program become markup; every other text is escaped as in
/// [`Markup`].
///
/// ```
/// use starttls_report::html::Html;
///
/// let mut part = Html::default();
/// part.element("p", &[("class", &"note")], "<script>");
/// assert_eq!(part.as_str(), "<p class=\"note\">&lt;script&gt;</p>");
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Html(String);

/// The attributes of an element: their names, and values that are escaped.
pub type Attributes<'a> = &'a [(&'static str, &'a dyn Display)];

impl Html {
    /// Adds markup of the program itself.
    pub fn markup(&mut self, markup: &'static str) {
        self.0.push_str(markup);
    }

    /// Adds text.
    pub fn text(&mut self, text: impl Display) {
        // Writing to a String cannot fail, here and below.
        let _ = write!(Escaping(&mut self.0), "{text}");
    }

    /// Adds the start tag of an element.
    pub fn open(&mut self, name: &'static str, attributes: Attributes<'_>) {
        self.start(name, attributes);
        self.0.push('>');
    }

    /// Adds the end tag of an element.
    pub fn close(&mut self, name: &'static str) {
        let _ = write!(self.0, "</{name}>");
    }

    /// Adds an element without content, as SVG has them.
    pub fn empty(&mut self, name: &'static str, attributes: Attributes<'_>) {
        self.start(name, attributes);
        self.0.push_str("/>");
    }

    /// Adds an element that contains this text.
    pub fn element(&mut self, name: &'static str, attributes: Attributes<'_>, text: impl Display) {
        self.open(name, attributes);
        self.text(text);
        self.close(name);
    }

    /// Adds a text of the program, with parts in place of its placeholders.
    pub fn phrase(&mut self, text: &str, values: &[(&str, &Self)]) {
        for part in parts(text) {
            match part {
                TextPart::Plain(text) => self.text(text),
                TextPart::Code(text) => self.element("code", &[("lang", &""), ("translate", &"no")], text),
                TextPart::Placeholder(name) => match values.iter().find(|(known, _)| *known == name) {
                    Some((_, value)) => self.append(value),
                    None => self.text(format_args!("{{{name}}}")),
                },
            }
        }
    }

    /// Adds text of a peer, or a name. Its language is not known, it is not translated, and its direction does not change the
    /// text around it.
    pub fn peer(&mut self, text: impl Display) {
        self.element("bdi", &[("lang", &""), ("translate", &"no")], text);
    }

    /// Adds a sentence of the program with values in place of its placeholders. A value with the name `why` is a sentence in
    /// English, such as the error of a library; the others are names, numbers, or text of a peer.
    pub fn sentence(&mut self, language: Language, text: Text, values: &[(&str, &str)]) {
        let part = |(name, value): &(&'_ str, &str)| {
            let mut part = Self::default();
            match *name {
                "why" => part.english(language, value),
                _ if value.bytes().all(|byte| byte.is_ascii_digit()) => part.text(value),
                _ => part.peer(value),
            }
            part
        };
        let parts: Vec<Self> = values.iter().map(part).collect();
        let named: Vec<_> = values.iter().map(|(name, _)| *name).zip(&parts).collect();
        self.phrase(text.of(language), &named);
    }

    /// Adds text that exists in English only to a page in this language.
    pub fn english(&mut self, page: Language, text: impl Display) {
        match page {
            Language::English => self.text(text),
            _ => self.element("span", &[("lang", &Language::English)], text),
        }
    }

    /// Adds another part.
    pub fn append(&mut self, part: &Self) {
        self.0.push_str(&part.0);
    }

    /// Returns the markup.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Returns the markup.
    pub fn into_string(self) -> String {
        self.0
    }

    fn start(&mut self, name: &'static str, attributes: Attributes<'_>) {
        let _ = write!(self.0, "<{name}");
        for (name, value) in attributes {
            let _ = write!(self.0, " {name}=\"");
            self.text(value);
            self.0.push('"');
        }
    }
}

/// Escapes what is written to it.
struct Escaping<'a>(&'a mut String);

impl Write for Escaping<'_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        write!(self.0, "{}", Markup(text))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_and_values_of_attributes_are_escaped() {
        let hostile = "\"><script>'&\u{202e}\r\n";
        let mut part = Html::default();
        part.open("a", &[("href", &hostile), ("id", &format_args!("e{}-{hostile}", 1))]);
        part.text(format_args!("{hostile} {}", 2));
        part.close("a");
        let escaped = "&quot;&gt;&lt;script&gt;&#39;&amp;\\u{202e}\\r\\n";
        assert_eq!(part.as_str(), format!("<a href=\"{escaped}\" id=\"e1-{escaped}\">{escaped} 2</a>"));
    }
}
