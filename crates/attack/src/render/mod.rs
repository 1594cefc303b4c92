//! The report, for people and for machines. What a peer said is escaped when it gets here; what the client's command
//! and the scenarios say is made harmless here.

pub mod json;
pub mod junit;
pub mod sarif;
pub mod text;

use std::fmt::{self, Write};

use crate::report::{Evidence, Line, Tested};

/// The entry that a piece of evidence points at.
fn line(tested: &Tested, evidence: &Evidence) -> Option<String> {
    let Line { at_ms, from, layer, text } =
        tested.transcripts.get(evidence.transcript?)?.entries.get(evidence.entry?)?;
    Some(format!("connection {}, {at_ms:.1} ms, {from}, {layer}: {text}", evidence.transcript? + 1))
}

/// Text in XML: what is markup there becomes an entity, what no XML may hold is spelled out.
struct Markup<'a>(&'a str);

impl fmt::Display for Markup<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.chars().try_for_each(|c| match c {
            '&' => f.write_str("&amp;"),
            '<' => f.write_str("&lt;"),
            '>' => f.write_str("&gt;"),
            '"' => f.write_str("&quot;"),
            '\'' => f.write_str("&#39;"),
            c if c.is_control() || matches!(c, '\u{fffe}' | '\u{ffff}') => {
                write!(f, "\\u{{{:x}}}", u32::from(c))
            }
            c => f.write_char(c),
        })
    }
}
