//! Why a probe's connection ended early.

use starttls_hello::Alert;

use crate::message::{self, Statement};
use crate::report::Reach;
use crate::requirement::Requirement;

/// What a client waits for while it has sent only the usual beginning of a session.
pub(crate) const GREETING: &str = "the greeting";
pub(crate) const HELLO: &str = "the answer to the hello";
pub(crate) const GO_AHEAD: &str = "the answer to the upgrade request";

/// Why a probe's connection ended early, or why its result proves nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum ProbeError {
    /// The connection could not be established.
    Unreachable(NoConnection),
    /// The proxy on the way to the server failed.
    Proxy(String),
    /// The server sent nothing in time; what was expected.
    Silent(&'static str),
    /// Only a part of a message arrived in time: what was expected, and the part.
    Unfinished(&'static str, String),
    /// The server sent other messages, but not the answer: what was expected, and the last message.
    Others(&'static str, String),
    /// The server sent more than the probe reads from one connection.
    Endless(&'static str),
    /// The server does not read what the client sends.
    Unread,
    /// The server answered the next command and not this one.
    PassedOver(&'static str),
    /// The server closed the connection; what was expected.
    Closed(&'static str),
    /// The server ended the TLS session with this alert.
    Alert(Alert),
    /// The server ended the TLS session because the client has no certificate (RFC 8446 section 4.4.2.4).
    CertificateRequired,
    /// The server turned the client away, for example with 421 or BYE.
    Bye(String),
    /// The server sent an invalid message; what was expected.
    Malformed(&'static str),
    /// The handshake failed after the go-ahead.
    Handshake(HandshakeFault),
    /// The server refused the request for TLS, which it accepted on an earlier connection.
    Refused,
    /// The session inside TLS does not answer, so that its silence proves nothing.
    Unserved(Box<ProbeError>),
    /// The comparison of two connections has no clear result.
    Unclear(String),
    /// The limit of connections was reached.
    Budget,
    /// The audit's deadline has passed.
    Deadline,
}

/// Why there is no connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct NoConnection {
    pub(crate) why: String,
    pub(crate) reach: Reach,
}

impl NoConnection {
    /// Returns the failure for an error of the system.
    pub(crate) fn new(error: &std::io::Error) -> Self {
        use std::io::ErrorKind;
        let reach = match error.kind() {
            ErrorKind::ConnectionRefused => Reach::Refused,
            ErrorKind::ConnectionReset | ErrorKind::ConnectionAborted => Reach::Reset,
            ErrorKind::TimedOut => Reach::Timeout,
            _ => Reach::Unroutable,
        };
        Self { why: error.to_string(), reach }
    }

    /// Returns the failure of a connection that was not established in time.
    pub(crate) fn timed_out() -> Self {
        Self { why: String::from("timed out"), reach: Reach::Timeout }
    }
}

impl std::fmt::Display for NoConnection {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.why)
    }
}

/// Why a handshake failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct HandshakeFault {
    pub(crate) why: String,
    /// Whether the server ended the handshake with an alert. A connection that breaks without one may have broken for
    /// another reason.
    pub(crate) is_alert: bool,
}

impl HandshakeFault {
    pub(crate) fn new(error: &starttls::Error) -> Self {
        Self { why: error.to_string(), is_alert: error.alert().is_some() }
    }

    /// Returns the fault of a handshake of which only the description is known.
    pub(crate) fn broken(why: String) -> Self {
        Self { why, is_alert: false }
    }
}

impl std::fmt::Display for HandshakeFault {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.why)
    }
}

impl ProbeError {
    /// Returns whether the cause may be a server that limits connections: the client has sent only the usual beginning
    /// of a session.
    pub(crate) fn turns_away(&self) -> bool {
        match self {
            Self::Unreachable(_) | Self::Bye(_) | Self::Silent(GREETING) => true,
            Self::Closed(what) => [GREETING, HELLO, GO_AHEAD].contains(what),
            _ => false,
        }
    }

    /// Returns how far a first connection got that ended with this error.
    pub(crate) fn reach(&self) -> Reach {
        match self {
            Self::Unreachable(failure) => failure.reach,
            Self::Bye(_) => Reach::Throttled,
            Self::Silent(GREETING | HELLO) | Self::Unfinished(..) => Reach::Silent,
            Self::Closed(GREETING) => Reach::Closed,
            _ => Reach::Answered,
        }
    }

    /// Returns why there is no connection.
    pub(crate) fn cause(&self) -> String {
        match self {
            Self::Unreachable(failure) => failure.why.clone(),
            error => error.to_string(),
        }
    }

    /// Returns the error of a session inside TLS that should have answered.
    pub(crate) fn unserved(self) -> Self {
        match self {
            Self::Deadline | Self::Budget => self,
            error => Self::Unserved(Box::new(error)),
        }
    }

    /// Returns whether the connection is still open, and the answer is missing.
    pub(crate) fn is_silence(&self) -> bool {
        matches!(self, Self::Silent(_) | Self::Others(..) | Self::Unfinished(..))
    }

    /// Returns what is missing for a result.
    fn requirement(&self) -> Option<Requirement> {
        match self {
            Self::CertificateRequired => Some(Requirement::ClientCertificate),
            Self::Budget => Some(Requirement::MoreConnections),
            Self::Deadline => Some(Requirement::MoreTime),
            Self::Unserved(error) => error.requirement(),
            _ => None,
        }
    }

    /// Returns whether the server ended the connection, with or without a message.
    pub(crate) fn ends(&self) -> bool {
        matches!(self, Self::Closed(_) | Self::Bye(_) | Self::Alert(_) | Self::CertificateRequired)
    }
}

impl From<&ProbeError> for Statement {
    fn from(error: &ProbeError) -> Self {
        let statement = match error {
            ProbeError::Unreachable(failure) => message::UNREACHABLE.with(&[("why", failure)]),
            ProbeError::Proxy(why) | ProbeError::Unclear(why) => Self::from(why),
            ProbeError::Silent(what) => message::SILENT.with(&[("why", what)]),
            ProbeError::Unfinished(what, part) => message::UNFINISHED.with(&[("why", what), ("text", part)]),
            ProbeError::Others(what, last) => message::OTHER_MESSAGES.with(&[("why", what), ("text", last)]),
            ProbeError::Endless(what) => message::ENDLESS.with(&[("why", what)]),
            ProbeError::Unread => message::UNREAD.with(&[]),
            ProbeError::PassedOver(what) => message::PASSED_OVER.with(&[("why", what)]),
            ProbeError::Closed(what) => message::CLOSED.with(&[("why", what)]),
            ProbeError::Alert(alert) => message::ALERT_INSIDE.with(&[("alert", alert)]),
            ProbeError::CertificateRequired => message::CLIENT_CERTIFICATE_REQUIRED.with(&[]),
            ProbeError::Bye(text) => message::TURNED_AWAY.with(&[("text", text)]),
            ProbeError::Malformed(expected) => message::MALFORMED.with(&[("why", expected)]),
            ProbeError::Handshake(why) => message::HANDSHAKE_FAILED.with(&[("why", why)]),
            ProbeError::Refused => message::REFUSED_LATER.with(&[]),
            ProbeError::Unserved(error) => message::NOT_SERVED_INSIDE.with(&[("why", error)]),
            ProbeError::Budget => message::CONNECTION_LIMIT.with(&[]),
            ProbeError::Deadline => message::DEADLINE.with(&[]),
        };
        Self { requirement: error.requirement(), ..statement }
    }
}

impl std::fmt::Display for ProbeError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&Statement::from(self).text)
    }
}
