//! The options that provide what a check lacks.

use starttls_audit::Requirement;

/// Returns the option for a requirement; see [`starttls_audit::Advice`].
pub(crate) fn option_for(requirement: Requirement) -> &'static str {
    match requirement {
        Requirement::SlowChecks => "needs --slow",
        Requirement::TlsSurvey => "needs --tls survey",
        Requirement::TlsProfile => "needs --profile",
        Requirement::FullTlsSurvey => "run --tls full",
        Requirement::MoreHellos => "allow more with --tls-hellos",
        Requirement::MoreConnections => "allow more with --max-connections",
        Requirement::MoreTime => "allow more time with --deadline",
        Requirement::SlowerPace => "try again with --pace 1s",
        Requirement::ImplicitPort => "specify it with --implicit-port",
        Requirement::ServerName => "give the name with --server-name, or dial the address with --connect",
        Requirement::ClientName => "choose the name with --client-name",
        Requirement::ClientCertificate => "present one with --cert PEM and --key PEM",
        Requirement::TrustedAuthority => "if it is an authority, trust it with --ca-file",
        // The library may know more requirements than this program.
        other => other.advice(),
    }
}
