//! Reads a TOML document key by key. Errors name the file, the line, the key, and what was expected.

use std::fmt;
use std::ops::Range;

use starttls::proto::Escaped;
use starttls_report::nearest;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

/// The longest part of a value that an error repeats.
const EXCERPT: usize = 60;

/// The reason why a file is not a profile.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProfileError {
    message: String,
    hint: Option<String>,
}

impl ProfileError {
    fn new(place: &str, message: impl fmt::Display) -> Self {
        Self { message: format!("{place}: {message}"), hint: None }
    }

    /// Returns what the user can do.
    pub fn hint(&self) -> Option<&str> {
        self.hint.as_deref()
    }
}

impl fmt::Display for ProfileError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for ProfileError {}

/// The text of a file, which errors need for line numbers.
pub(super) struct Source<'a> {
    pub(super) file: &'a str,
    pub(super) text: &'a str,
}

impl<'a> Source<'a> {
    pub(super) fn table(&'a self) -> Result<Table<'a>, ProfileError> {
        let table = DeTable::parse(self.text).map_err(|error| {
            let place = self.place(&error.span().unwrap_or_default());
            ProfileError::new(&place, error.message().replace('\n', ", "))
        })?;
        let span = table.span();
        Ok(Table {
            source: self,
            title: String::from("the top level"),
            span,
            entries: table.into_inner(),
            known: Vec::new(),
        })
    }

    fn place(&self, span: &Range<usize>) -> String {
        let before = self.text.as_bytes().get(..span.start).unwrap_or_default();
        let line = before.iter().filter(|byte| **byte == b'\n').count() + 1;
        format!("{}:{line}", self.file)
    }
}

/// A table. Its keys are taken one by one; a key that is left at the end is unknown.
pub(super) struct Table<'a> {
    source: &'a Source<'a>,
    title: String,
    span: Range<usize>,
    entries: DeTable<'a>,
    known: Vec<&'static str>,
}

impl<'a> Table<'a> {
    /// Takes the value of a key.
    pub(super) fn take(&mut self, key: &'static str) -> Option<Value<'a>> {
        self.known.push(key);
        let (_, value) = self.entries.remove_entry(key)?;
        Some(Value { source: self.source, key, span: value.span(), value: value.into_inner() })
    }

    /// Takes the text of a key, if the table has the key.
    pub(super) fn text(&mut self, key: &'static str) -> Result<Option<String>, ProfileError> {
        self.take(key).map(Value::text).transpose()
    }

    /// Takes a table inside this one, if it exists.
    pub(super) fn table(&mut self, key: &'static str) -> Result<Option<Self>, ProfileError> {
        self.take(key).map(Value::table).transpose()
    }

    /// Takes a list, and parses each of its strings. A list that is missing is empty.
    pub(super) fn list<T>(
        &mut self,
        key: &'static str,
        parse: impl Fn(&str) -> Result<T, Unknown>,
    ) -> Result<Vec<T>, ProfileError> {
        self.take(key).map_or(Ok(Vec::new()), |value| value.list(parse))
    }

    /// Returns an error if a key was not taken, and so is unknown.
    pub(super) fn end(self) -> Result<(), ProfileError> {
        let Some(key) = self.entries.keys().min_by_key(|key| key.span().start) else { return Ok(()) };
        let (name, known) = (key.get_ref().as_ref(), &self.known);
        let hint = match nearest(name, known.iter().copied()) {
            Some(near) => format!("did you mean \"{near}\"?"),
            None => format!("known keys: {}", known.join(", ")),
        };
        let message = format!("unknown key {} in {}", shown(name), self.title);
        let error = ProfileError::new(&self.source.place(&key.span()), message);
        Err(ProfileError { hint: Some(hint), ..error })
    }

    /// Returns the error for a key that is missing in this table.
    pub(super) fn missing(self, key: &'static str) -> ProfileError {
        let place = self.source.place(&self.span);
        // A misspelled key explains why the right one is missing.
        let message = format!("\"{key}\" is missing in {}", self.title);
        self.end().err().unwrap_or_else(|| ProfileError::new(&place, message))
    }
}

/// A value that is not one of the known ones.
pub(super) struct Unknown {
    /// What was expected, as a noun.
    pub(super) expected: &'static str,
    /// The known value that the user may have meant.
    pub(super) near: Option<String>,
}

impl Unknown {
    pub(super) fn new<'k>(expected: &'static str, found: &str, known: impl Iterator<Item = &'k str>) -> Self {
        Self { expected, near: nearest(found, known).map(str::to_owned) }
    }
}

/// A value with its place in the file.
pub(super) struct Value<'a> {
    source: &'a Source<'a>,
    key: &'static str,
    span: Range<usize>,
    value: DeValue<'a>,
}

impl<'a> Value<'a> {
    pub(super) fn text(self) -> Result<String, ProfileError> {
        match &self.value {
            DeValue::String(text) => Ok(text.to_string()),
            _ => Err(self.wrong("a string in quotes")),
        }
    }

    /// Parses one string.
    pub(super) fn one<T>(self, parse: impl Fn(&str) -> Result<T, Unknown>) -> Result<T, ProfileError> {
        match &self.value {
            DeValue::String(text) => parse(text).map_err(|unknown| self.unknown(text, unknown)),
            _ => Err(self.wrong("a string in quotes")),
        }
    }

    /// Parses a positive integer.
    pub(super) fn number(self) -> Result<u32, ProfileError> {
        let number = match &self.value {
            DeValue::Integer(number) => u32::from_str_radix(number.as_str(), number.radix()).ok(),
            _ => None,
        };
        number.filter(|number| *number > 0).ok_or_else(|| self.wrong("a positive integer"))
    }

    fn list<T>(self, parse: impl Fn(&str) -> Result<T, Unknown>) -> Result<Vec<T>, ProfileError> {
        let (source, key) = (self.source, self.key);
        let DeValue::Array(values) = self.value else { return Err(self.wrong("a list of strings")) };
        let one = |value: Spanned<DeValue<'a>>| {
            Value { source, key, span: value.span(), value: value.into_inner() }.one(&parse)
        };
        values.into_iter().map(one).collect()
    }

    fn table(self) -> Result<Table<'a>, ProfileError> {
        match self.value {
            DeValue::Table(entries) => Ok(Table {
                source: self.source,
                title: format!("[{}]", self.key),
                span: self.span,
                entries,
                known: Vec::new(),
            }),
            _ => Err(self.wrong("a table")),
        }
    }

    fn wrong(&self, expected: &str) -> ProfileError {
        let found = self.source.text.get(self.span.clone()).unwrap_or_default();
        let message =
            format!("invalid value of \"{}\": expected {expected}, found {}", self.key, shown(found));
        ProfileError::new(&self.source.place(&self.span), message)
    }

    fn unknown(&self, found: &str, unknown: Unknown) -> ProfileError {
        let Unknown { expected, near } = unknown;
        let message =
            format!("invalid value of \"{}\": expected {expected}, found {}", self.key, shown(found));
        let hint = near.map(|near| format!("did you mean \"{near}\"?"));
        ProfileError { hint, ..ProfileError::new(&self.source.place(&self.span), message) }
    }
}

/// Returns the text in quotes, escaped and with a bound.
fn shown(text: &str) -> String {
    let end = text.char_indices().nth(EXCERPT).map(|(at, _)| at);
    let (start, rest) = text.split_at(end.unwrap_or(text.len()));
    let more = if rest.is_empty() { "" } else { "…" };
    format!("\"{}{more}\"", Escaped(start.as_bytes()))
}
