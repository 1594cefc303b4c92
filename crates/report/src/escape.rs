//! Text of a report, escaped for its format.

use std::fmt::{self, Write};

/// Text in one line of printable characters. Control characters, and characters that reorder or hide text, are escaped.
#[derive(Clone, Copy, Debug)]
pub struct Plain<'a>(pub &'a str);

impl fmt::Display for Plain<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.chars().try_for_each(|c| match c {
            '\n' => f.write_str("\\n"),
            '\r' => f.write_str("\\r"),
            '\t' => f.write_str("\\t"),
            c if is_control(c) => write!(f, "\\u{{{:x}}}", u32::from(c)),
            c => f.write_char(c),
        })
    }
}

/// Text as in [`Plain`], as content or as the value of an attribute in HTML and XML.
#[derive(Clone, Copy, Debug)]
pub struct Markup<'a>(pub &'a str);

impl fmt::Display for Markup<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(Entities(f), "{}", Plain(self.0))
    }
}

struct Entities<'a, 'b>(&'a mut fmt::Formatter<'b>);

impl Write for Entities<'_, '_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        text.chars().try_for_each(|c| match c {
            '&' => self.0.write_str("&amp;"),
            '<' => self.0.write_str("&lt;"),
            '>' => self.0.write_str("&gt;"),
            '"' => self.0.write_str("&quot;"),
            '\'' => self.0.write_str("&#39;"),
            c => self.0.write_char(c),
        })
    }
}

/// Returns JSON in which the only characters that control a terminal are line feeds between values.
pub fn json(json: &str) -> String {
    let mut out = String::with_capacity(json.len());
    for c in json.chars() {
        if c != '\n' && is_control(c) {
            out.extend(c.encode_utf16(&mut [0; 2]).iter().map(|unit| format!("\\u{unit:04x}")));
        } else {
            out.push(c);
        }
    }
    out
}

/// Returns whether a character controls a terminal, is invisible, or reorders the text around it. XML forbids some of these.
fn is_control(c: char) -> bool {
    c.is_control()
        || matches!(
            c,
            '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}'
                | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{ffff}' | '\u{e0000}'..='\u{e007f}'
        )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn control_characters_are_escaped() {
        let text = "<a href='x'>\x1b[31m\u{9b}\u{202e}\r\n]]> & \"\u{fffe}Zoë";
        assert_eq!(
            Plain(text).to_string(),
            "<a href='x'>\\u{1b}[31m\\u{9b}\\u{202e}\\r\\n]]> & \"\\u{fffe}Zoë"
        );
        assert_eq!(
            Markup(text).to_string(),
            "&lt;a href=&#39;x&#39;&gt;\\u{1b}[31m\\u{9b}\\u{202e}\\r\\n]]&gt; &amp; &quot;\\u{fffe}Zoë"
        );
    }

    #[test]
    fn escaped_json_has_the_same_value() {
        let text = "\u{9b}1m \u{202e} \u{e0041} Zoë\n";
        let written = json(&serde_json::to_string_pretty(&[text]).unwrap());
        assert!(written.is_ascii() || !written.chars().any(|c| c != '\n' && is_control(c)), "{written}");
        assert_eq!(serde_json::from_str::<Vec<String>>(&written).unwrap(), [text]);
    }
}
