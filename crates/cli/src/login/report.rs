//! The report of a login, as data. The schema is in `docs/schema/login.json`.

use serde::Serialize;
use starttls::login::LoggedIn;
use starttls::proto::Escaped;

use crate::session::conversation::{Message, Negotiation};
use crate::session::report::{self, Failure, Presented, Subject, Timings, Tls};

/// The report of one login.
#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(crate) struct Report {
    #[serde(flatten)]
    pub(crate) subject: Subject,
    /// How it ended.
    pub(crate) outcome: Outcome,
    /// The exit code of the program.
    pub(crate) exit_code: u8,
    /// The conversation in cleartext.
    pub(crate) negotiation: Option<Negotiation>,
    /// The TLS session, if there is one.
    pub(crate) tls: Option<Tls>,
    /// The peer's certificate, if it presented one.
    pub(crate) certificate: Option<Presented>,
    /// How long each step took.
    pub(crate) timings: Timings,
    /// The login, if the connection got that far.
    pub(crate) login: Option<Login>,
    /// The error, if there was one.
    pub(crate) error: Option<Failure>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Outcome {
    /// Logged in.
    LoggedIn,
    /// The server refused the login, or offers no mechanism for it.
    Refused,
    /// The server could not check the login, or the login was interrupted.
    Inconclusive,
    /// The upgrade failed, so there was no login.
    NotEncrypted,
}

/// The login inside TLS.
#[derive(Debug, Default, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(crate) struct Login {
    /// The name that was used, if any.
    pub(crate) user: Option<String>,
    /// The mechanism; null where the server let us in without, or where none was begun.
    pub(crate) mechanism: Option<String>,
    /// The channel binding of the login, if it has one.
    pub(crate) channel_binding: Option<&'static str>,
    /// The mechanisms that the server offered inside TLS, escaped.
    pub(crate) offered: Vec<String>,
    /// The mechanisms that the server offered in cleartext, escaped. They are not used.
    pub(crate) offered_in_cleartext: Vec<String>,
    /// The mechanisms that the server refused before, for a reason that is not the password; in words, escaped.
    pub(crate) refused: Vec<String>,
    /// As whom, where the server says so.
    pub(crate) authenticated_as: Option<String>,
    /// Whether the server checked name and password; some keep them until they matter.
    pub(crate) checked: bool,
    /// The messages inside TLS in order, without their secrets.
    pub(crate) messages: Vec<Message>,
}

impl Login {
    pub(crate) fn done(self, done: &LoggedIn) -> Self {
        Self {
            mechanism: Some(done.mechanism.to_owned()).filter(|it| !it.is_empty()),
            refused: done.refused.iter().map(ToString::to_string).collect(),
            channel_binding: done.binding.map(starttls::proto::ChannelBinding::name),
            offered: escaped(&done.offered),
            authenticated_as: done.user.as_ref().map(|user| Escaped(user.as_bytes()).to_string()),
            checked: done.checked,
            ..self
        }
    }
}

pub(crate) fn escaped(names: &[String]) -> Vec<String> {
    names.iter().map(|name| Escaped(name.as_bytes()).to_string()).collect()
}

impl Report {
    /// Returns a report with the data of the connection, without the login.
    pub(crate) fn new(connection: report::Report, outcome: Outcome) -> Self {
        Self {
            subject: connection.subject,
            outcome,
            exit_code: connection.exit_code,
            negotiation: connection.negotiation,
            tls: connection.tls,
            certificate: connection.certificate,
            timings: connection.timings,
            login: None,
            error: connection.error,
        }
    }
}
