//! How sessions end: the `verdict` of a session in the log and in the metrics.

use serde::{Serialize, Serializer};
use starttls::Error;
use starttls::proto::{ErrorKind, Side};

use crate::config::{Downstream, Listener, UpgradePolicy};
use crate::failure::SessionFailure;
use crate::log_level::LogLevel;
use crate::record::SessionRecord;

/// How a session ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum SessionOutcome {
    /// The session was completed, inside TLS if the listener uses TLS.
    Done,
    /// The session was completed in cleartext on a listener with an optional upgrade.
    Cleartext,
    /// The client left before the upgrade, or did not request it.
    NotUpgraded,
    /// The client's address, the name that it requested or its certificate is not admitted.
    NotAdmitted,
    /// A limit on connections was reached.
    Refused,
    /// The client broke a rule of the protocol: bytes after the boundary, or a malformed message.
    Violation,
    /// The handshake with the client failed.
    HandshakeFailed,
    /// The client was too slow, or there was no traffic for too long.
    TimedOut,
    /// The connection to the client broke.
    ClientBroke,
    /// No backend was reachable, or none was ready to serve.
    BackendDown,
    /// The connection to the backend broke during the session.
    BackendBroke,
    /// The backend rejected the gateway's login.
    LoginFailed,
    /// The gateway stopped during the session, or the system refused what the session needed.
    Stopped,
}

impl SessionOutcome {
    /// All outcomes, in the order of their declaration.
    pub const ALL: [Self; 13] = [
        Self::Done,
        Self::Cleartext,
        Self::NotUpgraded,
        Self::NotAdmitted,
        Self::Refused,
        Self::Violation,
        Self::HandshakeFailed,
        Self::TimedOut,
        Self::ClientBroke,
        Self::BackendDown,
        Self::BackendBroke,
        Self::LoginFailed,
        Self::Stopped,
    ];

    /// Returns the name in the log and the metrics.
    pub fn name(self) -> &'static str {
        match self {
            Self::Done => "done",
            Self::Cleartext => "cleartext",
            Self::NotUpgraded => "not-upgraded",
            Self::NotAdmitted => "not-admitted",
            Self::Refused => "refused",
            Self::Violation => "violation",
            Self::HandshakeFailed => "handshake-failed",
            Self::TimedOut => "timed-out",
            Self::ClientBroke => "client-broke",
            Self::BackendDown => "backend-down",
            Self::BackendBroke => "backend-broke",
            Self::LoginFailed => "login-failed",
            Self::Stopped => "stopped",
        }
    }
}

impl SessionOutcome {
    /// Returns the level of the session's line in the log: whether the administrator has to act, should know, or need not.
    pub fn level(self) -> LogLevel {
        match self {
            Self::BackendDown | Self::BackendBroke | Self::LoginFailed => LogLevel::Error,
            Self::Violation | Self::Refused | Self::Stopped => LogLevel::Warn,
            Self::Done
            | Self::Cleartext
            | Self::NotUpgraded
            | Self::NotAdmitted
            | Self::HandshakeFailed
            | Self::TimedOut
            | Self::ClientBroke => LogLevel::Info,
        }
    }
}

impl Serialize for SessionOutcome {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(self.name())
    }
}

impl SessionOutcome {
    /// Returns how a session of this listener ended.
    pub fn of(listener: &Listener, record: &SessionRecord) -> Self {
        let Some(failure) = &record.failure else {
            return match (&listener.downstream, &record.downstream) {
                (Downstream::Upgrade(UpgradePolicy::Optional, _), None) => Self::Cleartext,
                (Downstream::Upgrade(..) | Downstream::Implicit(_), None) => Self::NotUpgraded,
                _ => Self::Done,
            };
        };
        Self::of_failure(failure, record.backend.is_some())
    }

    /// Returns how a session ended that failed, with or without a backend.
    pub(crate) fn of_failure(failure: &SessionFailure, had_backend: bool) -> Self {
        let backend = if had_backend { Self::BackendBroke } else { Self::BackendDown };
        match failure {
            SessionFailure::Tls { side: Side::Client, source } => Self::of_handshake(source),
            SessionFailure::Tls { side: Side::Server, .. } => Self::BackendDown,
            SessionFailure::Refused { .. }
            | SessionFailure::Unreachable { .. }
            | SessionFailure::Slow { .. } => Self::BackendDown,
            SessionFailure::NotAdmitted(_) | SessionFailure::NotAllowed(_) => Self::NotAdmitted,
            SessionFailure::LimitReached(_) => Self::Refused,
            SessionFailure::Protocol { side: Side::Client, .. } | SessionFailure::Proxy(_) => Self::Violation,
            SessionFailure::Io { side: Side::Client, .. } => Self::ClientBroke,
            SessionFailure::Protocol { side: Side::Server, .. }
            | SessionFailure::Io { side: Side::Server, .. } => backend,
            SessionFailure::Idle(_) | SessionFailure::Late(_) => Self::TimedOut,
            SessionFailure::Login { .. } => Self::LoginFailed,
            SessionFailure::Stopped | SessionFailure::System(_) => Self::Stopped,
        }
    }

    fn of_handshake(error: &Error) -> Self {
        match error {
            Error::Quit(_) => Self::NotUpgraded,
            Error::Protocol(error) if error.kind == ErrorKind::Closed => Self::NotUpgraded,
            Error::Protocol(_) | Error::PlaintextNotTls { .. } => Self::Violation,
            Error::Timeout { .. } => Self::TimedOut,
            Error::Io { .. } => Self::ClientBroke,
            _ => Self::HandshakeFailed,
        }
    }
}
