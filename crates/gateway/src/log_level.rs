//! The levels of the log's lines.

use std::str::FromStr;

use serde::{Serialize, Serializer};

/// The level of a line in the log. A log with a level contains the lines of this level and of all before it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum LogLevel {
    /// What an administrator has to repair: a backend that does not serve, a reload that failed.
    Error,
    /// What an administrator should look at: clients that break the rules, limits that were reached.
    Warn,
    /// Every session.
    #[default]
    Info,
    /// The parts of every session: each negotiation, each handshake, each login, the relay.
    Debug,
    /// The steps of these parts.
    Trace,
}

impl LogLevel {
    /// All levels, the most important first.
    pub const ALL: [Self; 5] = [Self::Error, Self::Warn, Self::Info, Self::Debug, Self::Trace];

    /// Returns the name in the configuration and in the log.
    pub fn name(self) -> &'static str {
        match self {
            Self::Error => "error",
            Self::Warn => "warn",
            Self::Info => "info",
            Self::Debug => "debug",
            Self::Trace => "trace",
        }
    }
}

impl FromStr for LogLevel {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        Self::ALL.into_iter().find(|level| level.name() == text).ok_or(())
    }
}

impl Serialize for LogLevel {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(self.name())
    }
}
