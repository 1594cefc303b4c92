//! Why a delivery fails.

use std::time::Duration;
use std::{fmt, io};

use starttls_proto::Escaped;

use super::Reply;
use crate::Step;
use crate::causes::write_with_causes;

/// Why a delivery failed. The session cannot be used any more: the caller closes the connection.
///
/// `Display` writes one line without the cause, which `source` returns. `Debug` writes one line with all causes.
#[non_exhaustive]
pub enum SubmissionError {
    /// The message is invalid. Nothing was sent.
    Message {
        /// What is invalid.
        what: String,
    },
    /// An address is invalid. Nothing was sent.
    Address {
        /// The address.
        address: String,
        /// What is invalid.
        what: &'static str,
    },
    /// The server does not support an extension that the delivery needs.
    Lacks {
        /// The keyword of the extension.
        extension: &'static str,
        /// Why the delivery needs it.
        why: &'static str,
    },
    /// The message is larger than the server's limit (RFC 1870).
    TooLarge {
        /// The size of the message in octets.
        octets: usize,
        /// The server's limit in octets.
        limit: usize,
    },
    /// The server refused a command.
    Rejected {
        /// The verb of the command.
        command: &'static str,
        /// The server's reply.
        reply: Reply,
    },
    /// The server ended TLS. With TLS 1.3 it checks the client's certificate after the handshake.
    Tls(Box<crate::Error>),
    /// The server broke a rule, or closed the connection.
    Protocol(Box<starttls_proto::Error>),
    /// The deadline of a step passed.
    Timeout {
        /// What the client was waiting for.
        step: Step,
        /// The time limit of the step.
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

impl fmt::Debug for SubmissionError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_with_causes(self, f)
    }
}

impl fmt::Display for SubmissionError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Message { what } => write!(f, "invalid message: {what}"),
            Self::Address { address, what } => {
                write!(f, "invalid address \"{}\": {what}", Escaped(address.as_bytes()))
            }
            Self::Lacks { extension, why } => write!(f, "the server does not offer {extension}, and {why}"),
            Self::TooLarge { octets, limit } => {
                write!(f, "the message has {octets} octets, and the server accepts at most {limit}")
            }
            Self::Rejected { command, reply } => write!(f, "the server refused {command}: \"{reply}\""),
            Self::Tls(error) => write!(f, "{error}"),
            Self::Protocol(error) => write!(f, "{error}"),
            Self::Timeout { step, limit } => {
                write!(f, "timed out after {} s, waiting for {step}", limit.as_secs_f32())
            }
            Self::Io { step, .. } => write!(f, "the connection broke, waiting for {step}"),
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
