//! The sentences of findings, so that a page can show them in other languages.
//!
//! A sentence without values needs a row in one of the tables only: it is found by its English text. One with values is made
//! by [`Template::with`]. A sentence that is in no table exists in English only.

mod boundary;
mod certificate;
mod connection;
mod tls;
mod upgrade;

use std::collections::BTreeMap;
use std::fmt::Display;

use serde::{Deserialize, Serialize};
use starttls_report::{Language, Text};

use crate::requirement::{Advice, Requirement};

pub(crate) use boundary::*;
pub(crate) use certificate::*;
pub(crate) use connection::*;
pub(crate) use tls::*;
pub(crate) use upgrade::*;

/// What a finding says: the id of a sentence, and the values in it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(any(test, feature = "schema"), derive(schemars::JsonSchema))]
pub struct FindingMessage {
    /// The id, which does not change between versions.
    pub id: String,
    /// The values by name. `why` is a sentence in English; the others are names, numbers, or escaped text of a peer.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub args: BTreeMap<String, String>,
}

/// A sentence in each language: a row of the tables.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Template {
    id: &'static str,
    text: Text,
}

/// Declares sentences: the name and the id, and the text in English, German, French and Spanish.
macro_rules! sentences {
    ($($name:ident $id:literal $english:literal $german:literal $french:literal $spanish:literal;)*) => {
        $(pub(crate) const $name: $crate::message::Template = $crate::message::Template {
            id: $id,
            text: ::starttls_report::Text::new($english, $german, $french, $spanish),
        };)*
        pub(super) const ROWS: &[$crate::message::Template] = &[$($name),*];
    };
}
use sentences;

const TABLES: &[&[Template]] =
    &[connection::ROWS, upgrade::ROWS, boundary::ROWS, certificate::ROWS, tls::ROWS];

fn rows() -> impl Iterator<Item = &'static Template> {
    TABLES.iter().copied().flatten()
}

impl Template {
    /// Returns the sentence with these values.
    pub(crate) fn with(&self, values: &[(&'static str, &dyn Display)]) -> Statement {
        let text = self.text.filled(Language::English, values);
        let args = values.iter().map(|(name, value)| ((*name).to_owned(), value.to_string())).collect();
        Statement { message: Some(FindingMessage { id: self.id.to_owned(), args }), ..Statement::from(text) }
    }
}

impl FindingMessage {
    /// Returns the message of a sentence without values.
    pub(crate) fn of(sentence: &str) -> Option<Self> {
        let mut whole = rows().filter(|row| !row.text.of(Language::English).contains('{'));
        let row = whole.find(|row| row.text.of(Language::English) == sentence)?;
        Some(Self { id: row.id.to_owned(), args: BTreeMap::new() })
    }

    /// Returns the text in each language, and what a summary says beyond it. `None` if the summary does not begin with the
    /// sentence: a report of another version of this program may have the same id for another one.
    pub(crate) fn text<'a>(&self, summary: &'a str) -> Option<(Text, &'a str)> {
        let row = rows().find(|row| row.id == self.id)?;
        let values: Vec<_> = self.values().into_iter().map(|(name, value)| (name, Value(value))).collect();
        let values: Vec<_> = values.iter().map(|(name, value)| (*name, value as &dyn Display)).collect();
        let rest = summary.strip_prefix(row.text.filled(Language::English, &values).as_str())?;
        Some((row.text, rest))
    }

    /// Returns the names and values.
    pub(crate) fn values(&self) -> Vec<(&str, &str)> {
        self.args.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect()
    }
}

/// A fact in one line, and what is missing for a better result.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Statement {
    pub(crate) text: String,
    /// The sentence that the text was made from.
    pub(crate) message: Option<FindingMessage>,
    pub(crate) requirement: Option<Requirement>,
}

impl Statement {
    /// Returns the sentence that the text was made from, if a table contains it.
    pub(crate) fn message(&self) -> Option<FindingMessage> {
        self.message.clone().or_else(|| FindingMessage::of(&self.text))
    }

    /// Returns the line for users. A statement without text consists of the advice.
    pub(crate) fn worded(self, advice: Advice) -> String {
        match self.requirement.map(advice) {
            None => self.text,
            Some(advice) if self.text.is_empty() => advice.to_owned(),
            Some(advice) => format!("{}; hint: {advice}", self.text),
        }
    }
}

impl<S: Into<String>> From<S> for Statement {
    fn from(text: S) -> Self {
        Self { text: text.into(), ..Self::default() }
    }
}

struct Value<'a>(&'a str);

impl Display for Value<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_and_sentences_are_unique() {
        let all: Vec<_> = rows().collect();
        for (index, row) in all.iter().enumerate() {
            assert!(
                row.id.bytes().all(|it| it.is_ascii_lowercase() || it.is_ascii_digit() || it == b'-'),
                "{}",
                row.id
            );
            for earlier in &all[..index] {
                assert_ne!(row.id, earlier.id);
                for language in Language::ALL {
                    assert_ne!(
                        row.text.of(language),
                        earlier.text.of(language),
                        "{} and {}",
                        row.id,
                        earlier.id
                    );
                }
            }
        }
    }

    #[test]
    fn a_sentence_is_translated_if_the_summary_begins_with_it() {
        let statement = CERTIFICATE_ENDED.with(&[("subject", &"CN=x"), ("date", &"2031-04-05")]);
        assert_eq!(statement.text, "CN=x ended on 2031-04-05");
        let message = statement.message.unwrap();
        let (text, rest) = message.text("CN=x ended on 2031-04-05; hint: renew it").unwrap();
        assert_eq!(text.of(Language::German), "{subject} ist am {date} abgelaufen");
        assert_eq!(rest, "; hint: renew it");
        assert!(message.text("CN=x has ended on 2031-04-05").is_none(), "an older version");
        let unknown = FindingMessage { id: String::from("unknown"), ..message };
        assert!(unknown.text("CN=x ended on 2031-04-05").is_none());
    }

    #[test]
    fn a_sentence_without_values_is_found_by_its_text() {
        let message = FindingMessage::of("the server does not offer the upgrade").unwrap();
        assert_eq!((message.id.as_str(), message.args.len()), ("not-offered", 0));
        assert!(
            FindingMessage::of("a sentence of no table").is_none()
                && FindingMessage::of("{address} answers").is_none()
        );
    }
}
