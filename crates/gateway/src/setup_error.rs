//! What is wrong with a configuration, where, and the cure.

use std::fmt;
use std::path::Path;

/// One mistake in a configuration.
#[derive(Debug)]
pub struct SetupError {
    place: Option<String>,
    what: String,
    hint: Option<String>,
    source: Option<Box<dyn std::error::Error + Send + Sync>>,
}

impl SetupError {
    pub(crate) fn new(what: impl Into<String>) -> Self {
        Self { place: None, what: what.into(), hint: None, source: None }
    }

    pub(crate) fn unreadable(what: &str, path: &Path, source: std::io::Error) -> Self {
        let hint = match source.kind() {
            std::io::ErrorKind::PermissionDenied => {
                Some("the user that the gateway runs as must be able to read it")
            }
            std::io::ErrorKind::InvalidInput => {
                Some("write its contents to a regular file: the gateway reads it again when it changes")
            }
            _ => None,
        };
        let error = Self::new(format!("cannot read {what} {}", path.display())).because(source);
        Self { hint: hint.map(str::to_owned), ..error }
    }

    pub(crate) fn with_hint(self, hint: impl Into<String>) -> Self {
        Self { hint: Some(hint.into()), ..self }
    }

    pub(crate) fn because(self, source: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        Self { source: Some(source.into()), ..self }
    }

    /// Says where the mistake is, unless that is known more closely already.
    pub(crate) fn at(self, place: impl FnOnce() -> String) -> Self {
        Self { place: Some(self.place.unwrap_or_else(place)), ..self }
    }

    /// The file and the line.
    pub fn place(&self) -> Option<&str> {
        self.place.as_deref()
    }

    /// The cure, where it is known.
    pub fn hint(&self) -> Option<&str> {
        self.hint.as_deref()
    }
}

impl fmt::Display for SetupError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(place) = &self.place {
            write!(f, "{place}: ")?;
        }
        f.write_str(&self.what)?;
        // One line with all causes: this is read in a terminal or a log.
        let mut cause = std::error::Error::source(self);
        while let Some(current) = cause {
            write!(f, ": {current}")?;
            cause = current.source();
        }
        Ok(())
    }
}

impl std::error::Error for SetupError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.source.as_deref().map(|it| it as _)
    }
}

impl From<starttls::Error> for SetupError {
    fn from(error: starttls::Error) -> Self {
        let hint = error.hint();
        let mut what = error.to_string();
        let mut cause = std::error::Error::source(&error);
        while let Some(current) = cause {
            what = format!("{what}: {current}");
            cause = current.source();
        }
        Self { hint: hint.map(str::to_owned), ..Self::new(what) }
    }
}

/// What was probably meant.
pub(crate) fn nearest<'a>(word: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let likeness = |name: &&str| (strsim::jaro_winkler(word, name) * 1000.0) as u32;
    known.into_iter().max_by_key(likeness).filter(|name| likeness(name) > 800)
}

/// Text from a configuration as it is shown: without control characters.
pub(crate) fn shown(text: &str) -> String {
    format!("\"{}\"", text.escape_debug())
}
