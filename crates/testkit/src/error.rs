use std::fmt;
use std::io;
use std::path::Path;

/// Why a program or a server cannot run.
#[derive(Debug)]
pub enum Error {
    /// A program is not installed.
    Missing {
        /// The name of the program.
        program: String,
        /// The package that contains it, of Debian unless it says otherwise.
        package: &'static str,
    },
    /// An operation of the operating system failed.
    Io {
        /// The operation or its object.
        what: String,
        /// The error of the operating system.
        source: io::Error,
    },
    /// The lab cannot create a certificate or a file.
    Lab(starttls_lab::Error),
    /// A program failed, or a daemon was not ready in time.
    Failed {
        /// The program.
        program: String,
        /// How it ended.
        how: String,
        /// The last lines of its log, escaped.
        log: Vec<String>,
    },
}

impl Error {
    pub(crate) fn io(what: impl Into<String>) -> impl FnOnce(io::Error) -> Self {
        let what = what.into();
        move |source| Self::Io { what, source }
    }

    pub(crate) fn at(path: &Path) -> impl FnOnce(io::Error) -> Self {
        Self::io(path.display().to_string())
    }

    pub(crate) fn failed(program: &str, how: impl Into<String>, log: &[u8]) -> Self {
        let log = String::from_utf8_lossy(log);
        let mut lines: Vec<_> =
            log.lines().rev().take(20).map(|line| line.escape_debug().to_string()).collect();
        lines.reverse();
        Self::Failed { program: program.into(), how: how.into(), log: lines }
    }
}

impl From<starttls_lab::Error> for Error {
    fn from(error: starttls_lab::Error) -> Self {
        Self::Lab(error)
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Missing { program, package } => {
                write!(f, "{program} is not installed: install the package {package}")
            }
            Self::Io { what, source } => write!(f, "{what}: {source}"),
            Self::Lab(error) => error.fmt(f),
            Self::Failed { program, how, log } => {
                write!(f, "{program} {how}")?;
                log.iter().try_for_each(|line| write!(f, "\n  {line}"))
            }
        }
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Io { source, .. } => Some(source),
            Self::Lab(error) => Some(error),
            Self::Missing { .. } | Self::Failed { .. } => None,
        }
    }
}
