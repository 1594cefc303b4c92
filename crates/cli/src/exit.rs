//! Exit codes: a contract with scripts, the same for every command.

use starttls::UpgradeRefusal;
use starttls::proto::{DeclinedReason, ErrorKind, HelloRefusal};

/// Done; what was looked at is sound.
pub(crate) const DONE: u8 = 0;
/// Findings at or above the chosen severity.
pub(crate) const FINDINGS: u8 = 1;
/// Wrong usage or configuration; nothing was dialled.
pub(crate) const USAGE: u8 = 2;
/// Unreachable: name, refused connection, timeout.
pub(crate) const UNREACHABLE: u8 = 3;
/// Declined: the upgrade was refused, or cannot be done.
pub(crate) const DECLINED: u8 = 4;
/// TLS failed: handshake or verification.
pub(crate) const TLS: u8 = 5;
/// The peer broke the rules of the negotiation.
pub(crate) const VIOLATION: u8 = 6;
/// Inconclusive: throttled, or too little evidence.
pub(crate) const INCONCLUSIVE: u8 = 7;
/// Authentication failed.
pub(crate) const REFUSED: u8 = 8;
/// Our bug.
pub(crate) const BUG: u8 = 70;

/// The table for `--help` and the manual page.
pub(crate) const HELP: &str = "\
Exit codes:
  0   done
  1   findings at or above the chosen severity
  2   wrong usage or configuration; nothing was dialled
  3   unreachable: name, refused connection, timeout outside the handshake
  4   declined: the upgrade was not offered, or refused
  5   TLS failed: handshake (refused, broken off, timed out) or verification
  6   the peer broke the rules: bytes beyond the boundary, an answer before its
      question, PREAUTH, malformed; or it speaks something else, such as TLS
      from the first byte
  7   inconclusive: throttled, or too little evidence
  8   authentication failed
  70  a bug in this program
  129, 130, 143  ended by SIGHUP, SIGINT (Ctrl-C) or SIGTERM; check and attack
      report what they found so far. The signal is the usual end of lab,
      gateway and attack --serve, which keep their own code";

/// Whether the server says that it is not the one that was asked for (RFC 6120 section 4.9.3.6): later is no better.
pub(crate) fn is_somebody_else(refused: &UpgradeRefusal) -> bool {
    let condition = b"<host-unknown";
    refused.answer.windows(condition.len()).any(|it| it == condition)
}

/// The code for an error of the library's.
pub(crate) fn code(error: &starttls::Error) -> u8 {
    use starttls::Error;
    match error {
        Error::Config { .. } => USAGE,
        // A handshake that broke or timed out is not an unreachable server.
        error if error.is_in_handshake() => TLS,
        Error::Resolve { .. } | Error::Connect { .. } | Error::Timeout { .. } | Error::Io { .. } => {
            UNREACHABLE
        }
        Error::Declined(refused) if is_somebody_else(refused) => DECLINED,
        Error::Declined(refused) if refused.reason == DeclinedReason::Bye => INCONCLUSIVE,
        // Under another name the server may offer TLS.
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
