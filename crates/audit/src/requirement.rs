//! What a check lacks for a result.

use serde::{Deserialize, Serialize};

/// What a check lacks for a result. The program that runs the audit knows how its user provides it; see
/// [`Audit::with_advice`](crate::Audit::with_advice).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(any(test, feature = "schema"), derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Requirement {
    /// The slow checks: [`Limits::slow`](crate::Limits::slow).
    SlowChecks,
    /// A TLS survey that is larger than a brief one.
    TlsSurvey,
    /// A full TLS survey.
    FullTlsSurvey,
    /// A TLS profile to compare the server with.
    TlsProfile,
    /// A higher limit of ClientHellos.
    MoreHellos,
    /// A higher limit of connections: [`Limits::connections`](crate::Limits::connections).
    MoreConnections,
    /// More time: [`Limits::deadline`](crate::Limits::deadline).
    MoreTime,
    /// Longer pauses between the connections: [`Limits::pace`](crate::Limits::pace).
    SlowerPace,
    /// The port with implicit TLS: [`Limits::implicit_port`](crate::Limits::implicit_port).
    ImplicitPort,
    /// The server's name, where the audit only has an address.
    ServerName,
    /// A client name that the server accepts.
    ClientName,
    /// A client certificate.
    ClientCertificate,
    /// Trust in the authority that issued the certificate, if it is the right one.
    TrustedAuthority,
}

/// How a user provides a requirement: "needs …" for the reason why a check was not run ([`Requirement::SlowChecks`],
/// [`Requirement::TlsSurvey`] and [`Requirement::TlsProfile`]), otherwise an instruction.
pub type Advice = fn(Requirement) -> &'static str;

impl Requirement {
    /// Returns the [`Advice`] of an audit whose program gives none.
    pub fn advice(self) -> &'static str {
        match self {
            Self::SlowChecks => "needs the slow checks",
            Self::TlsSurvey => "needs a TLS survey",
            Self::TlsProfile => "needs a TLS profile",
            Self::FullTlsSurvey => "run a full TLS survey",
            Self::MoreHellos => "allow more hellos",
            Self::MoreConnections => "allow more connections",
            Self::MoreTime => "allow more time",
            Self::SlowerPace => "try again with longer pauses between the connections",
            Self::ImplicitPort => "specify the port",
            Self::ServerName => "specify the name of the server",
            Self::ClientName => "choose another client name",
            Self::ClientCertificate => "present a client certificate",
            Self::TrustedAuthority => "if the issuer is an authority, trust it",
        }
    }
}
