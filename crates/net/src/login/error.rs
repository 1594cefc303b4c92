//! Why a login fails.

use std::time::Duration;
use std::{fmt, io};

use starttls_proto::{Denial, Escaped, InvalidValue};

use crate::Step;
use crate::causes::write_with_causes;

/// Why a login failed. The session cannot be used any more: the caller closes the connection.
///
/// `Display` writes one line without the cause, which `source` returns. `Debug` writes one line with all causes.
#[non_exhaustive]
pub enum LoginError {
    /// This library does not support a login in this protocol.
    NoLogin {
        /// The protocol's title.
        protocol: &'static str,
    },
    /// The account is invalid. Nothing was sent.
    Account {
        /// What is invalid.
        what: String,
    },
    /// The server does not offer a mechanism that this account can use, or not the requested one.
    NotOffered {
        /// The requested mechanism.
        wanted: Option<String>,
        /// The mechanisms that the server offers inside TLS.
        offered: Vec<String>,
    },
    /// The server refused the login.
    Refused {
        /// The mechanism; empty if none had begun.
        mechanism: String,
        /// Why the server refused.
        denial: Denial,
        /// The server's answer, as received; a description, if the protocol is binary.
        answer: Vec<u8>,
        /// The mechanisms that the server refused earlier in the same session.
        before: Vec<RefusedMechanism>,
        /// The text that the server sent inside the mechanism (RFC 7628 section 3.2.2), as received.
        details: Vec<u8>,
    },
    /// The server granted the login without the proof that it knows the password: it may be another server.
    Unproven {
        /// The mechanism.
        mechanism: String,
    },
    /// The mechanism failed on the client's side.
    Mechanism {
        /// The mechanism.
        mechanism: String,
        /// Why it failed.
        fault: MechanismFault,
    },
    /// The server ended TLS. With TLS 1.3 it checks the client's certificate after the handshake.
    Tls(Box<crate::Error>),
    /// The server broke a rule, or closed the connection.
    Protocol(Box<starttls_proto::Error>),
    /// The deadline passed.
    Timeout {
        /// What the client was waiting for.
        step: Step,
        /// The time limit of the whole login.
        limit: Duration,
    },
    /// The connection broke.
    Io {
        /// What the client was waiting for.
        step: Step,
        /// The error of the operating system.
        source: io::Error,
    },
}

/// A mechanism that the server refused, for another reason than the password.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct RefusedMechanism {
    /// The mechanism.
    pub mechanism: String,
    /// Why the server refused it.
    pub denial: Denial,
    /// The server's answer, as received; a description, if the protocol is binary.
    pub answer: Vec<u8>,
}

/// Why a mechanism fails on the client's side.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum MechanismFault {
    /// The user name or the password contains CR, LF or NUL, which would end the command that carries it.
    LineEnd,
    /// The password is empty. A server may accept a login without a password and authenticate no user (RFC 4513
    /// section 5.1.2).
    EmptyPassword,
    /// The mechanism needs a challenge, and the server sent none.
    NoChallenge,
    /// The server sent another challenge after the last one.
    UnexpectedChallenge,
    /// The challenge does not have the form of SCRAM (RFC 5802 section 5.1).
    InvalidChallenge,
    /// The server requires more hashing rounds than this limit.
    TooManyRounds(u32),
    /// The TLS connection has no channel binding of this type.
    NoChannelBinding(&'static str),
    /// Another fault, in the words of the SASL library, escaped.
    Library(String),
}

impl fmt::Display for MechanismFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::LineEnd => {
                f.write_str("the user name or the password contains a line end, which would end the command")
            }
            Self::EmptyPassword => f.write_str("the password is empty"),
            Self::NoChallenge => f.write_str("expected a challenge from the server, found none"),
            Self::UnexpectedChallenge => f.write_str("the server sent a challenge after the last one"),
            Self::InvalidChallenge => f.write_str("the server's challenge does not have the form of SCRAM"),
            Self::TooManyRounds(limit) => {
                write!(f, "the server requires more than {limit} rounds of hashing")
            }
            Self::NoChannelBinding(name) => write!(f, "this TLS connection has no channel binding {name}"),
            Self::Library(text) => f.write_str(text),
        }
    }
}

impl std::error::Error for MechanismFault {}

impl LoginError {
    /// Returns the name of the kind of error, for logs and metrics: "refused". A name does not change.
    pub fn name(&self) -> &'static str {
        match self {
            Self::NoLogin { .. } => "no-login",
            Self::Account { .. } => "account",
            Self::NotOffered { .. } => "not-offered",
            Self::Refused { .. } => "refused",
            Self::Unproven { .. } => "unproven",
            Self::Mechanism { .. } => "mechanism",
            Self::Tls(_) => "tls",
            Self::Protocol(_) => "protocol",
            Self::Timeout { .. } => "timeout",
            Self::Io { .. } => "io",
        }
    }

    /// Returns the step that the error ended, if it is known: that of a timeout or of a broken connection.
    pub fn step(&self) -> Option<Step> {
        match self {
            Self::Timeout { step, .. } | Self::Io { step, .. } => Some(*step),
            _ => None,
        }
    }

    pub(super) fn mechanism(name: &str, fault: MechanismFault) -> Self {
        Self::Mechanism { mechanism: name.to_owned(), fault }
    }
}

impl fmt::Debug for LoginError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_with_causes(self, f)
    }
}

impl fmt::Display for LoginError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoLogin { protocol } => write!(f, "a login with {protocol} is not supported"),
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
                    "the server offers no mechanism that this account can use; it offers {}",
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
                "the server granted the login without the proof that {mechanism} requires: it does not know the password"
            ),
            Self::Mechanism { mechanism, fault } => write!(f, "{mechanism} failed: {fault}"),
            Self::Tls(error) => write!(f, "{error}"),
            Self::Protocol(error) => write!(f, "{error}"),
            Self::Timeout { step, limit } => {
                write!(f, "timed out after {} s, waiting for {step}", limit.as_secs_f32())
            }
            Self::Io { step, .. } => write!(f, "the connection broke, waiting for {step}"),
        }
    }
}

fn describe(denial: Denial) -> &'static str {
    match denial {
        Denial::Credentials => "the server refused the login",
        Denial::Mechanism => "the server refused the mechanism",
        Denial::ChannelBinding => "the server refused the channel binding",
        Denial::Temporary => "the server temporarily cannot check the login",
        Denial::Bye => "the server closed the session instead of answering",
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
