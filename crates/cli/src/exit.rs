//! Exit codes: a contract with scripts, the same for every command. Every mapping from an error or a verdict to an exit
//! code is in this file.

#[cfg(feature = "gateway")]
use starttls::proto::Side;
use starttls::proto::{DeclinedReason, Denial, ErrorKind, HelloRefusal};
use starttls::{UpgradeRefusal, login, submission};
use starttls_audit::report::EndpointVerdict;
#[cfg(feature = "gateway")]
use starttls_gateway::SessionFailure;

/// The command did its work, and what it looked at is sound.
pub(crate) const DONE: u8 = 0;
/// Findings at or above the chosen severity.
pub(crate) const FINDINGS: u8 = 1;
/// Wrong usage or configuration; nothing was dialed.
pub(crate) const USAGE: u8 = 2;
/// Unreachable: the name does not resolve, the connection is refused, a timeout.
pub(crate) const UNREACHABLE: u8 = 3;
/// Declined: the upgrade was refused, or is not possible.
pub(crate) const DECLINED: u8 = 4;
/// TLS failed: handshake or verification.
pub(crate) const TLS: u8 = 5;
/// The peer broke the rules of the negotiation.
pub(crate) const VIOLATION: u8 = 6;
/// Inconclusive: throttled, or too little evidence.
pub(crate) const INCONCLUSIVE: u8 = 7;
/// Authentication failed.
pub(crate) const REFUSED: u8 = 8;
/// A bug in this program.
pub(crate) const BUG: u8 = 70;

/// The state "unknown" of a monitoring plugin, where 2 is "critical".
pub(crate) const PLUGIN_UNKNOWN: u8 = 3;

/// The table for `--help` and the manual page.
pub(crate) const HELP: &str = "\
Exit codes:
  0   done
  1   findings at or above the chosen severity
  2   wrong usage or configuration; nothing was dialed
  3   unreachable: the name does not resolve, the connection is refused, or a
      timeout outside the handshake
  4   declined: the server does not offer the upgrade, or refuses it
  5   TLS failed: the handshake (refused, broken off, timed out) or the
      verification of the certificate
  6   the peer broke the rules: bytes after the boundary, an answer before its
      question, PREAUTH, a malformed message; or the port serves another
      protocol, such as TLS from the first byte
  7   inconclusive: throttled, or too little evidence
  8   authentication failed
  70  a bug in this program
  129, 130, 143  ended by SIGHUP, SIGINT (Ctrl-C) or SIGTERM; a command that
      reports, such as check, writes what it has found so far. A command that
      serves is ended by a signal in normal use and exits with one of the codes
      above";

/// Returns the code for the end by this signal, as shells report it.
pub(crate) fn of_signal(number: u8) -> u8 {
    128 + number
}

/// Returns whether the server reports that it does not serve this name (RFC 6120 section 4.9.3.6). Another attempt
/// would get the same answer.
pub(crate) fn is_unknown_host(refused: &UpgradeRefusal) -> bool {
    let condition = b"<host-unknown";
    refused.answer.windows(condition.len()).any(|it| it == condition)
}

/// Returns the code for an error of the library.
pub(crate) fn of_library(error: &starttls::Error) -> u8 {
    use starttls::Error;
    match error {
        Error::Config { .. } => USAGE,
        // The server was reached, so a handshake that broke or timed out is a failure of TLS.
        error if error.is_in_handshake() => TLS,
        Error::Resolve { .. }
        | Error::Connect { .. }
        | Error::Socket { .. }
        | Error::Proxy(_)
        | Error::Timeout { .. }
        | Error::Io { .. } => UNREACHABLE,
        Error::Declined(refused) if is_unknown_host(refused) => DECLINED,
        Error::Declined(refused) if refused.reason == DeclinedReason::Bye => INCONCLUSIVE,
        // The server may offer TLS to a client with another name.
        Error::Declined(UpgradeRefusal { no_list: Some(HelloRefusal::RefusedName(_)), .. }) => INCONCLUSIVE,
        Error::Declined(_) | Error::Quit(_) => DECLINED,
        Error::Protocol(error) if error.kind == ErrorKind::Closed && !error.received.is_empty() => {
            INCONCLUSIVE
        }
        Error::Protocol(error) if error.kind == ErrorKind::Closed => UNREACHABLE,
        Error::Protocol(_) => VIOLATION,
        _ => BUG,
    }
}

/// Returns the code for a login that failed.
pub(crate) fn of_login(error: &login::LoginError) -> u8 {
    use login::LoginError as Error;
    match error {
        Error::NoLogin { .. } | Error::Account { .. } => USAGE,
        Error::NotOffered { .. } | Error::Unproven { .. } | Error::Mechanism { .. } => REFUSED,
        Error::Refused { denial, mechanism, .. } => match denial {
            // The server refused the hello, so the login was never tried.
            Denial::Mechanism if mechanism.is_empty() => INCONCLUSIVE,
            Denial::Credentials | Denial::Mechanism | Denial::ChannelBinding => REFUSED,
            Denial::Temporary | Denial::Bye => INCONCLUSIVE,
        },
        Error::Tls(error) => of_library(error),
        Error::Protocol(error) => of_protocol(error),
        Error::Timeout { .. } | Error::Io { .. } => UNREACHABLE,
        _ => BUG,
    }
}

/// Returns the code for a delivery that failed.
pub(crate) fn of_delivery(error: &submission::SubmissionError) -> u8 {
    use submission::SubmissionError as Error;
    match error {
        Error::Message { .. } | Error::Address { .. } => USAGE,
        Error::Rejected { reply, .. } if reply.is_temporary() => INCONCLUSIVE,
        Error::Rejected { .. } | Error::Lacks { .. } | Error::TooLarge { .. } => FINDINGS,
        Error::Tls(error) => of_library(error),
        Error::Protocol(error) => of_protocol(error),
        Error::Timeout { .. } | Error::Io { .. } => UNREACHABLE,
        _ => BUG,
    }
}

/// Returns the code for a protocol error inside TLS.
fn of_protocol(error: &starttls::proto::Error) -> u8 {
    if error.kind == ErrorKind::Closed { UNREACHABLE } else { VIOLATION }
}

/// Returns the code for a backend of the gateway that a session cannot be handed to.
#[cfg(feature = "gateway")]
pub(crate) fn of_backend(failure: &SessionFailure) -> u8 {
    match failure {
        SessionFailure::Tls { side: Side::Server, source } => of_library(source),
        SessionFailure::Protocol { .. } => VIOLATION,
        SessionFailure::Refused { .. } => INCONCLUSIVE,
        SessionFailure::Login { .. } => REFUSED,
        _ => UNREACHABLE,
    }
}

/// Returns the code for the verdict on one endpoint.
pub(crate) fn of_verdict(verdict: EndpointVerdict) -> u8 {
    match verdict {
        EndpointVerdict::Sound => DONE,
        EndpointVerdict::Findings => FINDINGS,
        EndpointVerdict::Unreachable => UNREACHABLE,
        EndpointVerdict::Declined => DECLINED,
        EndpointVerdict::TlsFailed => TLS,
        EndpointVerdict::Violation | EndpointVerdict::WrongPort => VIOLATION,
        EndpointVerdict::Inconclusive => INCONCLUSIVE,
    }
}

/// Returns the code of two results together, in the order that `check --help` documents: what was found outranks what
/// could not be examined, and that outranks a line that is not a target.
pub(crate) fn worse(one: u8, other: u8) -> u8 {
    const BY_WEIGHT: &[u8] = &[BUG, VIOLATION, TLS, DECLINED, FINDINGS, UNREACHABLE, INCONCLUSIVE, USAGE];
    *BY_WEIGHT.iter().find(|code| [one, other].contains(code)).unwrap_or(&DONE)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_report_has_the_code_of_its_most_specific_verdict() {
        let all = [
            (EndpointVerdict::Violation, 6),
            (EndpointVerdict::WrongPort, 6),
            (EndpointVerdict::TlsFailed, 5),
            (EndpointVerdict::Declined, 4),
            (EndpointVerdict::Findings, 1),
            (EndpointVerdict::Unreachable, 3),
            (EndpointVerdict::Inconclusive, 7),
            (EndpointVerdict::Sound, 0),
        ];
        for (at, (verdict, code)) in all.into_iter().enumerate() {
            assert_eq!(of_verdict(verdict), code);
            for (later, _) in &all[at..] {
                assert_eq!(
                    [worse(code, of_verdict(*later)), worse(of_verdict(*later), code)],
                    [code; 2],
                    "{later:?}"
                );
            }
        }
    }
}
