//! The severity of a finding of the survey, which depends on the role of the server.

use starttls::proto::Protocol;

use crate::check::{Check, id};
use crate::report::Severity::{self, Critical, Error, Info, Warning};

/// The role of a server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Role {
    /// Other servers deliver to it, and fall back to cleartext if TLS fails: weak encryption is better than none.
    Relay,
    /// Clients log in, or the upgrade is enforced.
    Access,
}

impl Role {
    /// Returns the role of an endpoint.
    pub(crate) fn of(protocol: &Protocol, is_enforced: bool) -> Self {
        match protocol.name {
            "smtp" | "lmtp" | "xmpp-server" if !is_enforced => Self::Relay,
            _ => Self::Access,
        }
    }
}

/// The checks with their severity for a relay and for access.
const SEVERITIES: &[(&Check, Severity, Severity)] = &[
    (id::TLS_SSL, Error, Critical),
    (id::TLS_DEPRECATED, Info, Warning),
    (id::TLS_NULL, Error, Critical),
    // An opportunistic sender verifies no certificate.
    (id::TLS_ANON, Info, Error),
    (id::TLS_EXPORT, Error, Critical),
    (id::TLS_WEAK, Warning, Error),
    (id::TLS_BLOCK, Info, Warning),
    (id::TLS_STATIC, Info, Warning),
    (id::TLS_DH_REUSE, Info, Warning),
    (id::TLS_CURVE, Warning, Error),
    (id::TLS_HASH, Info, Warning),
    (id::TLS_MASTER, Info, Warning),
    (id::TLS_FALLBACK, Info, Warning),
];

/// Returns the severity of a problem. Checks that are not in the table have the same severity for both roles.
pub(super) fn severity(check: &Check, role: Role) -> Severity {
    let row = SEVERITIES.iter().find(|(row, ..)| row.id == check.id);
    row.map_or(check.severity, |(_, relay, access)| match role {
        Role::Relay => *relay,
        Role::Access => *access,
    })
}

#[cfg(test)]
mod tests {
    use starttls::proto::protocol;

    use super::*;

    #[test]
    fn the_table_of_checks_contains_the_severity_for_access() {
        for (check, relay, access) in SEVERITIES {
            assert_eq!(check.severity, *access, "{}", check.id);
            assert!(relay <= access, "{}", check.id);
        }
    }

    #[test]
    fn servers_that_others_deliver_to_are_relays_unless_they_enforce_tls() {
        for (name, is_enforced, role) in [
            ("smtp", false, Role::Relay),
            ("smtp", true, Role::Access),
            ("submission", false, Role::Access),
            ("xmpp-server", false, Role::Relay),
            ("imap", false, Role::Access),
        ] {
            assert_eq!(Role::of(protocol(name).unwrap(), is_enforced), role, "{name}");
        }
    }
}
