//! The table of findings. Reports, `starttls explain` and the documentation use it.

use super::Weight;

/// One kind of finding.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ObservationRule {
    /// The id.
    pub id: &'static str,
    /// Its usual severity.
    pub severity: Weight,
    /// The title, as a clause.
    pub title: &'static str,
    /// Why it matters.
    pub why: &'static str,
    /// What to do.
    pub fix: &'static str,
    /// Where the rule stands.
    pub spec: &'static str,
}

/// Returns the rule with this id.
pub fn rule(id: &str) -> Option<&'static ObservationRule> {
    RULES.iter().find(|rule| rule.id == id)
}

/// All rules, the most severe ones first.
pub const RULES: &[ObservationRule] = &[
    ObservationRule {
        id: "obs-credentials",
        severity: Weight::High,
        title: "a client logged in without TLS",
        why: "Every network between the client and the server can read the login. With a readable mechanism that is \
              the password or the token itself; with a challenge and a response it is enough to guess the password \
              offline.",
        fix: "Configure the client to require TLS, and the server to refuse logins in cleartext. Change the passwords \
              that were sent.",
        spec: "RFC 8314 section 3; RFC 4954 section 4",
    },
    ObservationRule {
        id: "obs-stripped",
        severity: Weight::High,
        title: "the offer of the upgrade was removed between the server and the client",
        why: "A device on the path can delete the offer, and most clients then continue in cleartext. The certainty \
              is \"proven\" if the packets show two versions of the same octets, or if the server quotes a request that \
              the client did not send. It is \"likely\" if the same server offered the upgrade to other clients before \
              and after. Innocent causes are offers that depend on the client's network, several hosts with different \
              configurations behind one address, and a configuration that was changed twice.",
        fix: "Capture at both ends and compare what the server sent with what the client received. Configure clients to \
              require TLS: then stripping breaks the connection and exposes nothing.",
        spec: "RFC 3207 section 6; RFC 7435 section 4",
    },
    ObservationRule {
        id: "obs-injected",
        severity: Weight::High,
        title: "cleartext followed the boundary where TLS had to start",
        why: "Octets after the request, or after the go-ahead, were not authenticated. A peer that buffers them treats \
              them as if they had arrived inside TLS, so an attacker on the path can inject commands or answers.",
        fix: "Update the software of the side that sent the octets, and make sure that its peer discards or refuses \
              cleartext after the boundary.",
        spec: "RFC 3207 section 4.2; RFC 9051 section 11.1",
    },
    ObservationRule {
        id: "obs-broken",
        severity: Weight::High,
        title: "the server accepted the upgrade, and both sides continued in cleartext",
        why: "One side believes that the connection is protected.",
        fix: "Test the client and the server separately: the one that sends cleartext after the go-ahead is at fault.",
        spec: "RFC 3207 section 4",
    },
    ObservationRule {
        id: "obs-conflict",
        severity: Weight::High,
        title: "two copies of the same octets have different contents",
        why: "TCP never sends different octets with the same sequence numbers. One of the copies was forged by a device \
              or an attacker on the path.",
        fix: "Capture closer to each end to find where the second copy enters the network.",
        spec: "RFC 9293 section 3.4",
    },
    ObservationRule {
        id: "obs-fell-back",
        severity: Weight::High,
        title: "the client continued in cleartext after the upgrade had failed",
        why: "An attacker who makes the upgrade fail gets everything that follows.",
        fix: "Configure the client to require TLS and to close the connection if the upgrade fails.",
        spec: "RFC 8314 section 5.1; RFC 3207 section 4.1",
    },
    ObservationRule {
        id: "obs-request-lost",
        severity: Weight::Medium,
        title: "the server did not answer the request for TLS",
        why: "A firewall that drops or resets connections with this request prevents TLS.",
        fix: "Disable the inspection of this protocol in the firewall, or let clients use implicit TLS.",
        spec: "RFC 3207 section 4",
    },
    ObservationRule {
        id: "obs-not-used",
        severity: Weight::Medium,
        title: "the server offered the upgrade, and the client sent private data without it",
        why: "The connection could have been encrypted. Between mail servers that is allowed; for a user's client it is \
              a fault of its configuration.",
        fix: "Set the client to \"STARTTLS, required\", or to implicit TLS.",
        spec: "RFC 8314 section 3",
    },
    ObservationRule {
        id: "obs-masked",
        severity: Weight::Medium,
        title: "a firewall has overwritten capabilities or the greeting",
        why: "Firewalls that inspect mail overwrite capabilities that they do not know with X, and commands with \
              asterisks. An overwritten keyword of eight letters can be STARTTLS, but also CHUNKING or 8BITMIME.",
        fix: "Disable the inspection (\"fixup\", \"inspect esmtp\") of this protocol in the firewall.",
        spec: "RFC 3207 section 6",
    },
    ObservationRule {
        id: "obs-wrong-mode",
        severity: Weight::Medium,
        title: "one side started with TLS and the other one with cleartext",
        why: "The client uses implicit TLS on a port that expects the upgrade, or the reverse. The connection fails.",
        fix: "Set the client to the mode of the port: implicit TLS on 465, 993, 995; the upgrade on 25, 587, 143, 110.",
        spec: "RFC 8314 section 3",
    },
    ObservationRule {
        id: "obs-left-tls",
        severity: Weight::Medium,
        title: "cleartext followed the TLS session on the same connection",
        why: "What follows is neither encrypted nor authenticated.",
        fix: "Do not use CCC in FTP, and do not let a proxy end TLS within a connection.",
        spec: "RFC 4217 section 12.3",
    },
    ObservationRule {
        id: "obs-refused",
        severity: Weight::Medium,
        title: "the server refused the upgrade",
        why: "The client asked for TLS and did not get it.",
        fix: "Check the server's certificate and TLS configuration: a server that cannot load its key refuses TLS.",
        spec: "RFC 3207 section 4",
    },
    ObservationRule {
        id: "obs-tls-failed",
        severity: Weight::Medium,
        title: "the TLS handshake failed",
        why: "The client and the server did not agree on a version, a suite or a certificate.",
        fix: "The alert names the cause. Compare what both sides support with `starttls hello`.",
        spec: "RFC 8446 section 6",
    },
    ObservationRule {
        id: "obs-old-tls",
        severity: Weight::Medium,
        title: "the session uses TLS 1.1 or older",
        why: "RFC 8996 forbids these versions: they depend on SHA-1 and MD5, and have no modern suites.",
        fix: "Update the side that does not support TLS 1.2.",
        spec: "RFC 8996",
    },
    ObservationRule {
        id: "obs-weak-suite",
        severity: Weight::Medium,
        title: "the session uses a broken cipher suite",
        why: "The suite does not encrypt, does not authenticate, or can be broken.",
        fix: "Remove NULL, anonymous, export, RC4 and DES suites from the configuration of the server.",
        spec: "RFC 9325 section 4.1",
    },
    ObservationRule {
        id: "obs-certificate",
        severity: Weight::Medium,
        title: "the server's certificate was invalid at the time of the capture",
        why: "A client that verifies certificates fails, and a client that does not verify them can be deceived. Only \
              what is visible without the client's roots is reported: the validity, a self-issued certificate, and a \
              name other than the requested one. TLS 1.3 encrypts certificates.",
        fix: "Renew the certificate, and request it for the name that clients use.",
        spec: "RFC 9525; RFC 5280 section 6.1",
    },
    ObservationRule {
        id: "obs-not-offered",
        severity: Weight::Low,
        title: "the server did not offer the upgrade, and private data crossed in cleartext",
        why: "The connection could not be encrypted. If the server offers TLS elsewhere, a device on the path may have \
              removed the offer.",
        fix: "Enable STARTTLS on the server, and audit it with `starttls check` from a network close to it.",
        spec: "RFC 8314 section 4.1",
    },
    ObservationRule {
        id: "obs-login-attempted",
        severity: Weight::Info,
        title: "a client began a login without TLS and sent no secret",
        why: "The server refused the login, or the client stopped before it sent a secret. A server that accepts it \
              would have received the secret in cleartext.",
        fix: "Configure the client to require TLS before it logs in.",
        spec: "RFC 8314 section 3",
    },
    ObservationRule {
        id: "obs-names",
        severity: Weight::Info,
        title: "names crossed in cleartext",
        why: "The name of the client's host, of a user or of a domain is visible to the network.",
        fix: "Use implicit TLS if these names must stay private.",
        spec: "RFC 8314 section 3",
    },
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_documentation_lists_every_rule() {
        let page = include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/inspect.md"));
        let documented: Vec<&str> = page.lines().filter(|line| line.starts_with("| obs-")).collect();
        let expected: Vec<String> = RULES
            .iter()
            .map(|rule| format!("| {} | {} | {} |", rule.id, rule.severity.name(), rule.title))
            .collect();
        assert_eq!(documented, expected);
    }
}
