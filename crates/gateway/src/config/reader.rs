//! A TOML document, read key by key: whatever is wrong is known by its line, and no key goes unread.

use std::ops::Range;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use crate::setup_error::{SetupError, nearest, shown};

/// The text of a file, for the lines in errors.
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

/// A table whose keys are taken one after the other; what is left at the end is unknown.
#[derive(Debug)]
pub(super) struct Table<'a> {
    source: &'a Source<'a>,
    /// As people call it.
    title: &'static str,
    span: Range<usize>,
    entries: DeTable<'a>,
    asked: Vec<&'static str>,
}

impl<'a> Table<'a> {
    fn new(source: &'a Source<'a>, title: &'static str, span: Range<usize>, entries: DeTable<'a>) -> Self {
        Self { source, title, span, entries, asked: Vec::new() }
    }

    /// Takes a value, if it is there.
    pub(super) fn take(&mut self, key: &'static str) -> Option<Value<'a>> {
        self.asked.push(key);
        let (_, value) = self.entries.remove_entry(key)?;
        Some(Value { source: self.source, key, span: value.span(), value: value.into_inner() })
    }

    pub(super) fn need(&mut self, key: &'static str) -> Result<Value<'a>, SetupError> {
        let missing = format!("{} has no \"{key}\"", self.title);
        self.take(key).ok_or_else(|| self.missing(SetupError::new(missing).at(|| self.place())))
    }

    /// Reads a text in its own way, if it is there.
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

    /// The values of a list, or the one value that stands there instead.
    pub(super) fn list(&mut self, key: &'static str) -> Option<Vec<Value<'a>>> {
        self.take(key).map(Value::list)
    }

    /// Where the table starts.
    pub(super) fn place(&self) -> String {
        self.source.place(&self.span)
    }

    /// Everything that is known was taken: what is left is a mistake.
    pub(super) fn end(self) -> Result<(), SetupError> {
        match self.entries.keys().min_by_key(|key| key.span().start) {
            Some(key) => Err(self.unknown(key)),
            None => Ok(()),
        }
    }

    /// What there is to say of something that is missing: it may be there, misspelled.
    pub(super) fn missing(&self, error: SetupError) -> SetupError {
        let asked = || self.asked.iter().copied();
        let near = self.entries.keys().find(|key| nearest(key.get_ref(), asked()).is_some());
        near.map_or(error, |key| self.unknown(key))
    }

    fn unknown(&self, key: &Spanned<impl AsRef<str>>) -> SetupError {
        let name = key.get_ref().as_ref();
        let hint = match nearest(name, self.asked.iter().copied()) {
            Some(near) => format!("did you mean \"{near}\"?"),
            None => format!("there are {}", self.asked.join(", ")),
        };
        let what = format!("there is no key {} in {}", shown(name), self.title);
        SetupError::new(what).with_hint(hint).at(|| self.source.place(&key.span()))
    }
}

/// A value, and where it stands.
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
            _ => Err(self.wrong("a text in quotes")),
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

    /// A number from 1 on.
    pub(super) fn count(self) -> Result<usize, SetupError> {
        let number = match &self.value {
            DeValue::Integer(number) => usize::from_str_radix(number.as_str(), number.radix()).ok(),
            _ => None,
        };
        number.filter(|number| *number > 0).ok_or_else(|| self.wrong("a whole number from 1 on"))
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

    /// Where the value stands.
    pub(super) fn place(&self) -> String {
        self.source.place(&self.span)
    }

    fn wrong(&self, wanted: &str) -> SetupError {
        SetupError::new(format!("\"{}\" has to be {wanted}", self.key)).at(|| self.place())
    }
}
