//! Why a message was not taken.

use std::time::Duration;
use std::{fmt, io};

use starttls_proto::Escaped;

use super::Reply;

/// Why a message was not taken. The session is good for nothing then: close it.
#[derive(Debug)]
#[non_exhaustive]
pub enum SubmissionError {
    /// The message cannot be sent as it is; nothing was said.
    Message {
        /// What is wrong with it.
        what: String,
    },
    /// An address cannot be sent as it is; nothing was said.
    Address {
        /// The address.
        address: String,
        /// What is wrong with it.
        what: &'static str,
    },
    /// The server cannot do what the message needs.
    Lacks {
        /// The extension, by its keyword.
        extension: &'static str,
        /// Why it is needed.
        why: &'static str,
    },
    /// The message is larger than the server says that it takes (RFC 1870).
    TooLarge {
        /// Its octets.
        octets: usize,
        /// What the server takes.
        limit: usize,
    },
    /// The server refused a command.
    Rejected {
        /// The command, by its verb.
        command: &'static str,
        /// What it said.
        reply: Reply,
    },
    /// The server ended TLS: with TLS 1.3 it checks the client's certificate after the handshake.
    Tls(Box<crate::Error>),
    /// The server broke a rule, or closed the connection.
    Protocol(Box<starttls_proto::Error>),
    /// The time was over.
    Timeout {
        /// What was being waited for, as a noun phrase.
        step: &'static str,
        /// The time that the step was given.
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

impl fmt::Display for SubmissionError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Message { what } => write!(f, "the message cannot be sent as it is: {what}"),
            Self::Address { address, what } => {
                write!(f, "the address \"{}\" cannot be sent: {what}", Escaped(address.as_bytes()))
            }
            Self::Lacks { extension, why } => write!(f, "the server does not offer {extension}, and {why}"),
            Self::TooLarge { octets, limit } => {
                write!(f, "the message has {octets} octets, and the server takes {limit}")
            }
            Self::Rejected { command, reply } => write!(f, "the server refused {command}: \"{reply}\""),
            Self::Tls(error) => write!(f, "{error}"),
            Self::Protocol(error) => write!(f, "{error}"),
            Self::Timeout { step, limit } => write!(f, "timed out after {limit:?} while waiting for {step}"),
            Self::Io { step, .. } => write!(f, "the connection broke while waiting for {step}"),
        }
    }
}

impl std::error::Error for SubmissionError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Io { source, .. } => Some(source),
            Self::Tls(error) => std::error::Error::source(&**error),
            _ => None,
        }
    }
}

impl From<Box<starttls_proto::Error>> for SubmissionError {
    fn from(error: Box<starttls_proto::Error>) -> Self {
        Self::Protocol(error)
    }
}
