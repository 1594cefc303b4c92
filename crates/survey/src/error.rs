//! The errors of a survey.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

/// Why a survey cannot start or continue.
#[derive(Debug)]
#[non_exhaustive]
pub enum SurveyError {
    /// A file or folder cannot be read or written.
    File {
        /// Its path.
        path: PathBuf,
        /// The error of the system.
        source: io::Error,
    },
    /// A file has other contents than expected.
    Contents {
        /// Its path.
        path: PathBuf,
        /// What was expected, and what was found.
        why: String,
    },
    /// Another process works on the run.
    Locked(PathBuf),
    /// The folder contains a run with other settings; the names of those that differ.
    OtherSettings(PathBuf, Vec<&'static str>),
    /// The surveyor cannot be identified by the servers.
    Anonymous(String),
    /// The network does not let connections to the port out.
    NoWayOut(String),
    /// The queue failed.
    Queue(String),
    /// The server of the queue cannot be reached.
    NoQueue(String),
    /// The server of the queue cannot do what a queue needs.
    UnfitQueue(String),
    /// The queue has no run with this name, and why.
    NoRun(String, String),
    /// The run on the queue belongs to another folder.
    OtherRun(String),
}

impl SurveyError {
    /// Returns a function that adds the path to an error of the system.
    pub fn file(path: &Path) -> impl FnOnce(io::Error) -> Self + '_ {
        move |source| Self::File { path: path.to_owned(), source }
    }

    /// Returns an error about the contents of a file.
    pub fn contents(path: &Path, why: impl fmt::Display) -> Self {
        Self::Contents { path: path.to_owned(), why: why.to_string() }
    }
}

impl fmt::Display for SurveyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File { path, source } => write!(f, "{}: {source}", path.display()),
            Self::Contents { path, why } => write!(f, "{}: {why}", path.display()),
            Self::Locked(path) => write!(f, "another process works on the run in {}", path.display()),
            Self::OtherSettings(path, names) => write!(
                f,
                "the folder {} contains a run with other settings: {}",
                path.display(),
                names.join(", ")
            ),
            Self::NoRun(name, why) => write!(f, "the queue has no run \"{name}\": {why}"),
            Self::Anonymous(why)
            | Self::NoWayOut(why)
            | Self::Queue(why)
            | Self::NoQueue(why)
            | Self::UnfitQueue(why)
            | Self::OtherRun(why) => f.write_str(why),
        }
    }
}

impl std::error::Error for SurveyError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::File { source, .. } => Some(source),
            _ => None,
        }
    }
}
