//! The errors of the crate.

use std::error::Error;
use std::{fmt, io};

use tokio::task::JoinError;

/// Why a campaign or a server for attacks cannot run.
#[derive(Debug)]
#[non_exhaustive]
pub enum AttackError {
    /// A scenario is invalid.
    Scenario(ScenarioError),
    /// The environment has no certificate of this name.
    UnknownCertificate(String),
    /// The environment cannot start the upstream server.
    Upstream(Box<dyn Error + Send + Sync>),
    /// TLS toward the client cannot be configured.
    Tls(starttls::Error),
    /// The man in the middle cannot listen on loopback.
    Listen(io::Error),
    /// The man in the middle cannot accept connections.
    Accept(io::Error),
    /// The client cannot be started.
    StartClient(io::Error),
    /// The end of the client cannot be awaited.
    AwaitClient(io::Error),
    /// A task of the man in the middle panicked.
    Task(JoinError),
    /// The client opened more connections than one run records.
    TooManyConnections,
}

impl fmt::Display for AttackError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Scenario(error) => error.fmt(f),
            Self::UnknownCertificate(name) => write!(f, "unknown certificate \"{name}\""),
            Self::Upstream(error) => write!(f, "cannot start the upstream server: {error}"),
            Self::Tls(error) => error.fmt(f),
            Self::Listen(error) => write!(f, "cannot listen on loopback: {error}"),
            Self::Accept(error) => write!(f, "cannot accept connections: {error}"),
            Self::StartClient(error) => write!(f, "cannot start the client: {error}"),
            Self::AwaitClient(error) => write!(f, "cannot wait for the client: {error}"),
            Self::Task(error) => error.fmt(f),
            Self::TooManyConnections => f.write_str("the client opened too many connections"),
        }
    }
}

impl Error for AttackError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::Scenario(error) => Some(error),
            Self::Upstream(error) => Some(&**error),
            Self::Tls(error) => Some(error),
            Self::Listen(error) | Self::Accept(error) => Some(error),
            Self::StartClient(error) | Self::AwaitClient(error) => Some(error),
            Self::Task(error) => Some(error),
            Self::UnknownCertificate(_) | Self::TooManyConnections => None,
        }
    }
}

impl From<ScenarioError> for AttackError {
    fn from(error: ScenarioError) -> Self {
        Self::Scenario(error)
    }
}

impl From<JoinError> for AttackError {
    fn from(error: JoinError) -> Self {
        Self::Task(error)
    }
}

/// What is invalid in a scenario.
#[derive(Debug)]
#[non_exhaustive]
pub enum ScenarioError {
    /// The text is not TOML, or not a scenario.
    Syntax(toml::de::Error),
    /// A rule has an unknown trigger.
    UnknownTrigger(String),
    /// A rule answers with an unknown message.
    UnknownMessage(String),
    /// The scenario copies the rules of an unknown scenario.
    UnknownScenario(String),
    /// A rule has no action at this trigger.
    NoAction(String),
    /// A rule has no text for this protocol.
    NoText(&'static str),
    /// A text in hexadecimal contains something else.
    InvalidOctet(String),
    /// The file of this name is invalid.
    InFile(&'static str, Box<ScenarioError>),
}

impl fmt::Display for ScenarioError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Syntax(error) => error.fmt(f),
            Self::UnknownTrigger(text) => write!(f, "unknown trigger \"{text}\""),
            Self::UnknownMessage(text) => write!(f, "unknown message \"{text}\""),
            Self::UnknownScenario(id) => write!(f, "unknown scenario \"{id}\""),
            Self::NoAction(at) => write!(f, "the rule at \"{at}\" has no action"),
            Self::NoText(protocol) => write!(f, "a rule has no text for {protocol}"),
            Self::InvalidOctet(text) => {
                write!(f, "invalid octet {text:?}: expected two hexadecimal digits")
            }
            Self::InFile(name, error) => write!(f, "{name}: {error}"),
        }
    }
}

impl Error for ScenarioError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::Syntax(error) => Some(error),
            Self::InFile(_, error) => Some(&**error),
            _ => None,
        }
    }
}
