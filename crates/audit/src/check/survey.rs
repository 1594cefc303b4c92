//! Checks of what a server offers in TLS, which a handshake with a secure client does not show.

use super::Check;
use crate::report::Severity::{Critical, Error, Info, Warning};

pub(super) const CHECKS: &[Check] = &[
    Check {
        id: "tls-inventory",
        severity: Info,
        title: "the versions, suites and groups that the server offers",
        why: "The audit sends ClientHellos that its TLS library cannot send, one per connection, and reads \
            the server's answer without completing a handshake. A brief survey names the classes of \
            suites; --tls survey and --tls full ask for more.",
        fix: "Compare the inventory with the configuration, and disable what no client needs.",
        spec: "RFC 8446 section 4.1; RFC 9325 section 3 and 4",
    },
    Check {
        id: "tls-ssl",
        severity: Critical,
        title: "the server offers SSL 2.0 or SSL 3.0",
        why: "SSL 3.0 lets an attacker decrypt passwords and cookies (POODLE). SSL 2.0 exposes the sessions \
            of every server with the same key, whatever version they use (DROWN). No current client \
            needs either.",
        fix: "Limit the server to TLS 1.2 and TLS 1.3. If SSL 2.0 was offered, also replace the key on \
            every server that uses it.",
        spec: "RFC 6176 section 3; RFC 7568 section 3; RFC 9325 section 3.1.1",
    },
    Check {
        id: "tls-deprecated",
        severity: Warning,
        title: "the server offers TLS 1.0 or TLS 1.1",
        why: "These versions sign the key exchange with SHA-1 and MD5, and have no authenticated \
            encryption. An attacker can downgrade a client that still accepts them. On a server that other \
            mail servers deliver to this is a remark only, because senders without TLS 1.2 would fall back \
            to cleartext.",
        fix: "Set the minimum version to TLS 1.2.",
        spec: "RFC 8996 section 4 and 5; RFC 9325 section 3.1.1",
    },
    Check {
        id: "tls-null",
        severity: Critical,
        title: "the server offers suites without encryption",
        why: "With a NULL suite everything is readable on the network, including passwords, although the \
            connection reports TLS. An attacker who can influence the handshake of a careless client \
            chooses such a suite.",
        fix: "Remove eNULL (OpenSSL) or NULL (GnuTLS) from the list of cipher suites.",
        spec: "RFC 9325 section 4.1; RFC 5246 appendix A.5",
    },
    Check {
        id: "tls-anon",
        severity: Error,
        title: "the server offers suites without authentication",
        why: "With an anonymous suite the server presents no certificate, so an attacker on the path can \
            take its place. A client that accepts one is not protected. On a server that other mail servers \
            deliver to this is a remark only: opportunistic senders verify no certificate.",
        fix: "Remove aNULL (OpenSSL) or the ANON key exchanges (GnuTLS) from the list of cipher suites.",
        spec: "RFC 9325 section 4.1; RFC 5246 appendix F.1.1.1",
    },
    Check {
        id: "tls-export",
        severity: Critical,
        title: "the server offers export suites",
        why: "Export suites have keys of 40 or 56 bits and key exchanges of 512 bits, which anyone can \
            break. An attacker can downgrade clients with known faults to them (FREAK, Logjam).",
        fix: "Remove EXPORT and EXP suites from the list of cipher suites, and update the TLS library: \
            current ones have none.",
        spec: "RFC 9325 section 4.1; CVE-2015-0204; CVE-2015-4000",
    },
    Check {
        id: "tls-weak",
        severity: Error,
        title: "the server offers suites with RC4, RC2 or single DES",
        why: "RC4 leaks parts of what it encrypts, such as passwords that are sent many times. RC2 and DES \
            have keys that can be searched. On a server that other mail servers deliver to this is less \
            severe than the cleartext that a sender would fall back to.",
        fix: "Remove RC4, RC2 and DES from the list of cipher suites.",
        spec: "RFC 7465 section 2; RFC 9325 section 4.1",
    },
];
