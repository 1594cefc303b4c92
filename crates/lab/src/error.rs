use std::fmt;
use std::io;
use std::path::Path;

/// Why the lab cannot start a server or create a certificate.
#[derive(Debug)]
pub enum Error {
    /// An operation of the operating system failed.
    Io {
        /// The operation or its object.
        what: String,
        /// The error of the operating system.
        source: io::Error,
    },
    /// A certificate cannot be created.
    Certificate(rcgen::Error),
    /// An embedded server cannot be configured.
    Server(starttls::Error),
}

impl Error {
    pub(crate) fn io(what: impl Into<String>) -> impl FnOnce(io::Error) -> Self {
        let what = what.into();
        move |source| Self::Io { what, source }
    }

    pub(crate) fn at(path: &Path) -> impl FnOnce(io::Error) -> Self {
        Self::io(path.display().to_string())
    }
}

impl From<rcgen::Error> for Error {
    fn from(error: rcgen::Error) -> Self {
        Self::Certificate(error)
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Io { what, source } => write!(f, "{what}: {source}"),
            Self::Certificate(error) => write!(f, "cannot create the certificate: {error}"),
            Self::Server(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Io { source, .. } => Some(source),
            Self::Certificate(error) => Some(error),
            Self::Server(error) => Some(error),
        }
    }
}
