//! Why a connection did not get as far as a probe wanted.

/// What the client waits for before it has sent anything but the usual beginning of a session.
pub(crate) const GREETING: &str = "the greeting";
pub(crate) const HELLO: &str = "the answer to the hello";
pub(crate) const GO_AHEAD: &str = "the answer to the upgrade request";

/// Why a connection did not get as far as the probe wanted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum ProbeError {
    /// No connection at all.
    Unreachable(String),
    /// The server sent nothing in time; what was waited for.
    Silent(&'static str),
    /// A part of a message came in time, and its rest did not: what was waited for, and the part.
    Unfinished(&'static str, String),
    /// The server sent messages in time that answer nothing, the last of them this one, and no answer.
    Others(&'static str, String),
    /// The server sent more than a connection may bring.
    Endless(&'static str),
    /// The server does not read what it is sent.
    Unread,
    /// The server answered what came behind, and not this.
    PassedOver(&'static str),
    /// The server closed the connection; before what.
    Closed(&'static str),
    /// The server ended the TLS session with this alert.
    Alert(String),
    /// The same, since the client has no certificate (RFC 8446 section 4.4.2.4).
    CertificateRequired,
    /// The server turned us away: 421, BYE and their relatives.
    Bye(String),
    /// The server's bytes are no message of the protocol: what was expected.
    Malformed(&'static str),
    /// The upgrade was agreed, and the handshake failed: how.
    Unshaken(String),
    /// The server refused the request, which it had accepted before.
    Refused,
    /// A session inside TLS that answers nothing proves nothing: why it does not.
    Unserved(Box<ProbeError>),
    /// Something else than a comparison needs was seen.
    Unclear(String),
    /// No more connections may be opened.
    Budget,
    /// The audit's time is over.
    Deadline,
}

impl ProbeError {
    /// Whether a server that limits connections or refuses newcomers may have done it: only to a client that has
    /// sent nothing but the usual beginning of a session.
    pub(crate) fn turns_away(&self) -> bool {
        match self {
            Self::Unreachable(_) | Self::Bye(_) | Self::Silent(GREETING) => true,
            Self::Closed(what) => [GREETING, HELLO, GO_AHEAD].contains(what),
            _ => false,
        }
    }

    /// The same, for a session inside TLS that should have answered.
    pub(crate) fn unserved(self) -> Self {
        match self {
            Self::Deadline | Self::Budget => self,
            stop => Self::Unserved(Box::new(stop)),
        }
    }

    /// Whether the connection still stands, without an answer.
    pub(crate) fn is_silence(&self) -> bool {
        matches!(self, Self::Silent(_) | Self::Others(..) | Self::Unfinished(..))
    }

    /// Whether the server ended the connection, with or without a word.
    pub(crate) fn ends(&self) -> bool {
        matches!(self, Self::Closed(_) | Self::Bye(_) | Self::Alert(_) | Self::CertificateRequired)
    }
}

impl std::fmt::Display for ProbeError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Unreachable(why) => write!(f, "no connection: {why}"),
            Self::Silent(what) => write!(f, "the server was silent where {what} belongs"),
            Self::Unfinished(what, part) => {
                write!(f, "the server sent \"{part}\" and not the rest of {what}")
            }
            Self::Others(what, last) => {
                write!(f, "the server sent other messages and not {what}; the last was \"{last}\"")
            }
            Self::Endless(what) => {
                write!(f, "the server keeps sending without end where {what} belongs")
            }
            Self::Unread => f.write_str("the server does not read what it is sent"),
            Self::PassedOver(what) => write!(f, "the server passed over where {what} belongs"),
            Self::Closed(what) => write!(f, "the server closed the connection where {what} belongs"),
            Self::Alert(alert) => write!(f, "the server ended the TLS session with the alert {alert}"),
            Self::CertificateRequired => f.write_str(
                "the server requires a client certificate and ended the TLS session; \
                 hint: present one with --cert PEM and --key PEM",
            ),
            Self::Bye(text) => write!(f, "the server turned us away: \"{text}\""),
            Self::Malformed(expected) => write!(f, "the server's answer is malformed: expected {expected}"),
            Self::Unshaken(why) => write!(f, "the handshake fails: {why}"),
            Self::Refused => f.write_str("the server refused the upgrade, which it had accepted before"),
            Self::Unserved(stop) => write!(f, "inside TLS nothing is served: {stop}"),
            Self::Unclear(why) => f.write_str(why),
            Self::Budget => f.write_str("the limit of connections (--max-connections) was reached"),
            Self::Deadline => f.write_str("not finished: the audit's deadline (--deadline) was reached"),
        }
    }
}
