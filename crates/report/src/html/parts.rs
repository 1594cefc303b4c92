//! Parts that several pages have.

use std::fmt::Display;

use super::Html;

impl Html {
    /// Adds a word with the color of `class`: `good`, `bad`, `inconclusive`, or a severity.
    pub fn badge(&mut self, class: &'static str, text: impl Display) {
        self.element("span", &[("class", &format_args!("badge {class}"))], text);
        self.markup(" ");
    }

    /// Adds a name and its value to a `dl` with the class `facts`, unless the value is empty.
    pub fn fact(&mut self, name: &'static str, text: &str) {
        self.row("fact", name, text);
    }

    /// Adds a name and its value as [`fact`](Self::fact) does. Paper does not show them.
    pub fn minor_fact(&mut self, name: &'static str, text: &str) {
        self.row("fact screen", name, text);
    }

    /// Adds a name and its value as [`fact`](Self::fact) does. The value is not part of a language: a name, an address, a digest.
    pub fn data_fact(&mut self, name: &'static str, text: &str) {
        self.data_row("fact", name, text);
    }

    /// Adds a name and its value as [`data_fact`](Self::data_fact) does. Paper does not show them.
    pub fn minor_data_fact(&mut self, name: &'static str, text: &str) {
        self.data_row("fact screen", name, text);
    }

    /// Adds a name and its value to a `dl` with the class `facts`.
    pub fn fact_of(&mut self, name: &'static str, value: &Self) {
        self.markup("<div class=\"fact\">");
        self.element("dt", &[], name);
        self.markup("<dd>");
        self.append(value);
        self.markup("</dd></div>\n");
    }

    /// Adds a time of RFC 3339 in UTC to a `dl` with the class `facts`, with the name of the zone, unless it is empty.
    pub fn time_fact(&mut self, name: &'static str, time: &str) {
        if time.is_empty() {
            return;
        }
        self.markup("<div class=\"fact\">");
        self.element("dt", &[], name);
        self.markup("<dd>");
        self.element("time", &[("datetime", &time)], in_utc(time));
        self.markup("</dd></div>\n");
    }

    fn row(&mut self, class: &'static str, name: &'static str, text: &str) {
        if text.is_empty() {
            return;
        }
        self.open("div", &[("class", &class)]);
        self.element("dt", &[], name);
        self.element("dd", &[], text);
        self.markup("</div>\n");
    }

    fn data_row(&mut self, class: &'static str, name: &'static str, text: &str) {
        if text.is_empty() {
            return;
        }
        self.open("div", &[("class", &class)]);
        self.element("dt", &[], name);
        self.element("dd", &[("lang", &""), ("translate", &"no")], text);
        self.markup("</div>\n");
    }
}

/// Returns a time of RFC 3339 in UTC as people write it: "2031-04-05 12:00:00 UTC".
fn in_utc(time: &str) -> String {
    match time.strip_suffix('Z') {
        Some(time) => format!("{} UTC", time.replacen('T', " ", 1)),
        None => time.to_owned(),
    }
}
