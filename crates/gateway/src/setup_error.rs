//! Errors of a configuration and of the files that it names.

use std::fmt;
use std::path::Path;

use starttls_report::InvalidDuration;
use starttls_x509::BundleError;

/// A mistake in a configuration or in a file that it names: what is wrong, where, and how to fix it.
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
                Some("make the file readable for the user that the gateway runs as")
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

    /// Adds where the mistake is, unless a more precise place is known already.
    pub(crate) fn at(self, place: impl FnOnce() -> String) -> Self {
        Self { place: Some(self.place.unwrap_or_else(place)), ..self }
    }

    /// Returns the file and the line.
    pub fn place(&self) -> Option<&str> {
        self.place.as_deref()
    }

    /// Returns how to fix the mistake, if that is known.
    pub fn hint(&self) -> Option<&str> {
        self.hint.as_deref()
    }
}

impl From<BundleError> for SetupError {
    fn from(error: BundleError) -> Self {
        Self { hint: error.hint(), ..Self::new(error.to_string()) }
    }
}

impl fmt::Display for SetupError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(place) = &self.place {
            write!(f, "{place}: ")?;
        }
        f.write_str(&self.what)?;
        // One line with all causes, for terminals and logs.
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

/// Returns text from a configuration in quotes, with control characters escaped.
pub(crate) fn shown(text: &str) -> String {
    format!("\"{}\"", text.escape_debug())
}

impl From<InvalidDuration> for SetupError {
    fn from(invalid: InvalidDuration) -> Self {
        Self::new(invalid.to_string())
    }
}
