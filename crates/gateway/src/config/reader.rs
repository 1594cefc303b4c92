//! Reads a TOML document key by key. Errors name the line, and unknown keys are errors.

use std::ops::Range;
use std::time::Duration;

use starttls_report::nearest;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use crate::setup_error::{SetupError, shown};

/// The text of a file, which errors need for line numbers.
#[derive(Debug)]
pub(super) struct Source<'a> {
    pub(super) name: &'a str,
    pub(super) text: &'a str,
}

impl<'a> Source<'a> {
    pub(super) fn table(&'a self) -> Result<Table<'a>, SetupError> {
        let table = DeTable::parse(self.text).map_err(|error| {
            let span = error.span().unwrap_or_default();
            SetupError::new(error.message().replace('\n', ", ")).at(|| self.place(&span))
        })?;
        Ok(Table::new(self, "the top level", table.span(), table.into_inner()))
    }

    fn place(&self, span: &Range<usize>) -> String {
        let before = self.text.as_bytes().get(..span.start).unwrap_or_default();
        let line = before.iter().filter(|byte| **byte == b'\n').count() + 1;
        format!("{}:{line}", self.name)
    }
}

/// A table. Its keys are taken one by one; a key that is left at the end is unknown.
#[derive(Debug)]
pub(super) struct Table<'a> {
    source: &'a Source<'a>,
    /// The name of the table in errors.
    title: &'static str,
    span: Range<usize>,
    entries: DeTable<'a>,
    known: Vec<&'static str>,
}

impl<'a> Table<'a> {
    fn new(source: &'a Source<'a>, title: &'static str, span: Range<usize>, entries: DeTable<'a>) -> Self {
        Self { source, title, span, entries, known: Vec::new() }
    }

    /// Takes the value of a key.
    pub(super) fn take(&mut self, key: &'static str) -> Option<Value<'a>> {
        self.known.push(key);
        let (_, value) = self.entries.remove_entry(key)?;
        Some(Value { source: self.source, key, span: value.span(), value: value.into_inner() })
    }

    pub(super) fn need(&mut self, key: &'static str) -> Result<Value<'a>, SetupError> {
        let missing = format!("\"{key}\" is missing in {}", self.title);
        self.take(key).ok_or_else(|| self.missing(SetupError::new(missing).at(|| self.place())))
    }

    /// Takes and parses the text of a key.
    pub(super) fn read<T>(
        &mut self,
        key: &'static str,
        parse: impl FnOnce(&str) -> Result<T, SetupError>,
    ) -> Result<Option<T>, SetupError> {
        self.take(key).map(|value| value.read(parse)).transpose()
    }

    pub(super) fn flag(&mut self, key: &'static str) -> Result<bool, SetupError> {
        self.take(key).map_or(Ok(false), Value::flag)
    }

    /// Takes the values of a list. A single value counts as a list of one.
    pub(super) fn list(&mut self, key: &'static str) -> Option<Vec<Value<'a>>> {
        self.take(key).map(Value::list)
    }

    /// Returns the file and the line where the table starts.
    pub(super) fn place(&self) -> String {
        self.source.place(&self.span)
    }

    /// Returns an error if a key was not taken, and so is unknown.
    pub(super) fn end(self) -> Result<(), SetupError> {
        match self.entries.keys().min_by_key(|key| key.span().start) {
            Some(key) => Err(self.unknown(key)),
            None => Ok(()),
        }
    }

    /// Returns the error for a missing key: a misspelled key if the table has one, otherwise `error`.
    pub(super) fn missing(&self, error: SetupError) -> SetupError {
        let known = || self.known.iter().copied();
        let near = self.entries.keys().find(|key| nearest(key.get_ref(), known()).is_some());
        near.map_or(error, |key| self.unknown(key))
    }

    fn unknown(&self, key: &Spanned<impl AsRef<str>>) -> SetupError {
        let name = key.get_ref().as_ref();
        let hint = match nearest(name, self.known.iter().copied()) {
            Some(near) => format!("did you mean \"{near}\"?"),
            None => format!("known keys: {}", self.known.join(", ")),
        };
        let what = format!("unknown key {} in {}", shown(name), self.title);
        SetupError::new(what).with_hint(hint).at(|| self.source.place(&key.span()))
    }
}

/// A value with its place in the file.
#[derive(Debug)]
pub(super) struct Value<'a> {
    source: &'a Source<'a>,
    key: &'static str,
    span: Range<usize>,
    value: DeValue<'a>,
}

impl<'a> Value<'a> {
    pub(super) fn read<T>(self, parse: impl FnOnce(&str) -> Result<T, SetupError>) -> Result<T, SetupError> {
        match &self.value {
            DeValue::String(text) => parse(text).map_err(|error| error.at(|| self.source.place(&self.span))),
            _ => Err(self.wrong("a string in quotes")),
        }
    }

    pub(super) fn text(self) -> Result<String, SetupError> {
        self.read(|text| Ok(text.to_owned()))
    }

    pub(super) fn flag(self) -> Result<bool, SetupError> {
        match self.value {
            DeValue::Boolean(flag) => Ok(flag),
            _ => Err(self.wrong("true or false, without quotes")),
        }
    }

    /// Parses a positive integer.
    pub(super) fn count(self) -> Result<usize, SetupError> {
        let number = match &self.value {
            DeValue::Integer(number) => usize::from_str_radix(number.as_str(), number.radix()).ok(),
            _ => None,
        };
        number.filter(|number| *number > 0).ok_or_else(|| self.wrong("a positive integer"))
    }

    pub(super) fn list(self) -> Vec<Self> {
        let (source, key) = (self.source, self.key);
        match self.value {
            DeValue::Array(values) => {
                let each = values.into_iter().map(|value| (value.span(), value));
                each.map(|(span, value): (_, Spanned<_>)| Self {
                    source,
                    key,
                    span,
                    value: value.into_inner(),
                })
                .collect()
            }
            value => vec![Self { value, ..self }],
        }
    }

    pub(super) fn is_table(&self) -> bool {
        matches!(self.value, DeValue::Table(_))
    }

    pub(super) fn table(self, title: &'static str) -> Result<Table<'a>, SetupError> {
        match self.value {
            DeValue::Table(entries) => Ok(Table::new(self.source, title, self.span, entries)),
            _ => Err(self.wrong("a table")),
        }
    }

    /// Returns the file and the line of the value.
    pub(super) fn place(&self) -> String {
        self.source.place(&self.span)
    }

    fn wrong(&self, wanted: &str) -> SetupError {
        SetupError::new(format!("\"{}\" must be {wanted}", self.key)).at(|| self.place())
    }
}

/// The longest duration in a configuration: one week.
const WEEK: Duration = Duration::from_secs(7 * 24 * 60 * 60);

/// Parses a duration of at most a week.
pub(super) fn duration(text: &str) -> Result<Duration, SetupError> {
    starttls_report::duration(text, WEEK).map_err(SetupError::from)
}

/// Parses one of a few words.
pub(super) fn choice<T: Copy>(text: &str, choices: &[(&str, T)]) -> Result<T, SetupError> {
    let found = choices.iter().find(|(word, _)| word.eq_ignore_ascii_case(text));
    found.map(|(_, value)| *value).ok_or_else(|| {
        let words: Vec<_> = choices.iter().map(|(word, _)| format!("\"{word}\"")).collect();
        SetupError::new(format!("invalid value {}: expected {}", shown(text), words.join(" or ")))
    })
}
