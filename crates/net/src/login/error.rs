//! Why there is no login.

use std::time::Duration;
use std::{fmt, io};

use starttls_proto::{Denial, Escaped, InvalidValue};

/// Why there is no login. The connection is good for nothing then: close it.
#[derive(Debug)]
#[non_exhaustive]
pub enum LoginError {
    /// Nobody logs in in this protocol, as far as this library knows.
    NoLogin {
        /// The protocol, in prose.
        protocol: &'static str,
    },
    /// The account cannot be used as it is; nothing was sent.
    Account {
        /// What is wrong with it.
        what: String,
    },
    /// The server offers no mechanism that could be used, or not the one that was asked for.
    NotOffered {
        /// The one that was asked for.
        wanted: Option<String>,
        /// What it does offer, inside TLS.
        offered: Vec<String>,
    },
    /// The server refused.
    Refused {
        /// The mechanism; empty where none was begun.
        mechanism: String,
        /// Why.
        denial: Denial,
        /// What it said, as it came; in words, where the protocol is not text.
        answer: Vec<u8>,
        /// The mechanisms that it refused before, in the same session.
        before: Vec<RefusedMechanism>,
        /// What it told the mechanism, where that is text (RFC 7628 section 3.2.2), as it came.
        details: Vec<u8>,
    },
    /// The server let the client in, but did not prove that it knows the password: it may be somebody else.
    Unproven {
        /// The mechanism.
        mechanism: String,
    },
    /// The mechanism cannot go on.
    Mechanism {
        /// The mechanism.
        mechanism: String,
        /// Why not, in words.
        reason: String,
    },
    /// The server ended TLS: with TLS 1.3 it checks the client's certificate after the handshake.
    Tls(Box<crate::Error>),
    /// The server broke a rule, or closed the connection.
    Protocol(Box<starttls_proto::Error>),
    /// The time was over.
    Timeout {
        /// What was being waited for, as a noun phrase.
        step: &'static str,
        /// The time that everything together was given.
        limit: Duration,
    },
    /// The connection broke.
    Io {
        /// What was being waited for, as a noun phrase.
        step: &'static str,
        /// What the operating system said.
        source: io::Error,
    },
}

/// A mechanism that the server refused, for a reason that is not the password.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RefusedMechanism {
    /// The mechanism.
    pub mechanism: String,
    /// Why.
    pub denial: Denial,
    /// What the server said, as it came; in words, where the protocol is not text.
    pub answer: Vec<u8>,
}

impl LoginError {
    pub(super) fn mechanism(name: &str, reason: impl Into<String>) -> Self {
        Self::Mechanism { mechanism: name.to_owned(), reason: reason.into() }
    }
}

impl fmt::Display for LoginError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoLogin { protocol } => write!(f, "how one logs in with {protocol} is not known here"),
            Self::Account { what } => f.write_str(what),
            Self::NotOffered { wanted: Some(wanted), offered } => {
                write!(
                    f,
                    "the server does not offer {}; it offers {}",
                    Escaped(wanted.as_bytes()),
                    list(offered)
                )
            }
            Self::NotOffered { wanted: None, offered } => {
                write!(
                    f,
                    "the server offers no mechanism that can be used with this account; it offers {}",
                    list(offered)
                )
            }
            Self::Refused { mechanism, denial, answer, details, before } => {
                for attempt in before {
                    write!(f, "{attempt}; then ")?;
                }
                match denial {
                    Denial::Mechanism if mechanism.is_empty() => {
                        f.write_str("the server refused the hello")?
                    }
                    denial => f.write_str(describe(*denial))?,
                }
                if !mechanism.is_empty() {
                    write!(f, " ({mechanism})")?;
                }
                write!(f, ": \"{}\"", Escaped(answer.trim_ascii_end()))?;
                match details.as_slice() {
                    [] => Ok(()),
                    details => write!(f, ", with the details \"{}\"", Escaped(details)),
                }
            }
            Self::Unproven { mechanism } => write!(
                f,
                "the server granted the login without the proof that {mechanism} demands of it: whoever it is, it does not know the password"
            ),
            Self::Mechanism { mechanism, reason } => write!(f, "{mechanism} cannot go on: {reason}"),
            Self::Tls(error) => write!(f, "{error}"),
            Self::Protocol(error) => write!(f, "{error}"),
            Self::Timeout { step, limit } => {
                write!(f, "timed out after {limit:?} while waiting for {step}")
            }
            Self::Io { step, .. } => write!(f, "the connection broke while waiting for {step}"),
        }
    }
}

fn describe(denial: Denial) -> &'static str {
    match denial {
        Denial::Credentials => "the server refused the login",
        Denial::Mechanism => "the server refused the mechanism",
        Denial::ChannelBinding => "the server refused the channel binding",
        Denial::Temporary => "the server cannot check the login for now",
        Denial::Bye => "the server closed the session instead of an answer",
    }
}

impl fmt::Display for RefusedMechanism {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { mechanism, denial, answer } = self;
        write!(f, "{} ({mechanism}): \"{}\"", describe(*denial), Escaped(answer.trim_ascii_end()))
    }
}

fn list(names: &[String]) -> String {
    if names.is_empty() {
        return String::from("none");
    }
    let names: Vec<String> = names.iter().map(|name| Escaped(name.as_bytes()).to_string()).collect();
    names.join(", ")
}

impl std::error::Error for LoginError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Io { source, .. } => Some(source),
            Self::Tls(error) => std::error::Error::source(&**error),
            _ => None,
        }
    }
}

impl From<InvalidValue> for LoginError {
    fn from(invalid: InvalidValue) -> Self {
        Self::Account { what: invalid.to_string() }
    }
}

impl From<Box<starttls_proto::Error>> for LoginError {
    fn from(error: Box<starttls_proto::Error>) -> Self {
        Self::Protocol(error)
    }
}
