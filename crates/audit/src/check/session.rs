//! Checks of the TLS session, and of what is visible before it.

use super::Check;
use crate::report::Severity::{Error, Info, Warning};

pub(super) const TLS: &[Check] = &[
    Check {
        id: "tls-handshake",
        severity: Error,
        title: "the handshake fails on a port with implicit TLS",
        why: "Clients that use implicit TLS, as RFC 8314 recommends for mail, cannot connect. Some of them \
            fall back to another port or to cleartext.",
        fix: "Read the server's log for the time of the connection. Usual causes: the certificate or key \
            file is missing or not readable for the service's user, the key does not match the certificate, \
            or the configured protocol versions and cipher suites exclude all current clients.",
        spec: "RFC 8314 section 3; RFC 8446 section 4.1",
    },
    Check {
        id: "tls-large-hello",
        severity: Error,
        title: "a ClientHello larger than one TCP segment is not accepted",
        why: "Clients with post-quantum key exchange send a ClientHello of about 1700 bytes, which TCP \
            delivers in two segments. A server, or a device on the path, that parses only the first segment \
            ends every such handshake. Current browsers, mail clients and TLS libraries cannot connect.",
        fix: "Update the server, or the firewall, load balancer or intrusion detection system on the path \
            that parses ClientHellos. Run the audit from both sides of each device to find the cause.",
        spec: "RFC 8446 section 4.1.2 and 5.1; RFC 9293 section 3.8",
    },
    Check {
        id: "tls-version",
        severity: Warning,
        title: "a handshake fails with a version that the server should support",
        why: "The report lists the versions, TLS 1.3 and TLS 1.2, with which a handshake succeeded. A server \
            that fails with a version that it announces excludes clients, and these may fall back to \
            cleartext.",
        fix: "Enable TLS 1.2 and 1.3, and find the failed handshake in the server's log. The usual cause is \
            a list of cipher suites or a minimum version that contradicts another setting.",
        spec: "RFC 9325 section 3.1.1; RFC 8446 section 4.2.1",
    },
    Check {
        id: "tls-old",
        severity: Info,
        title: "the server does not support TLS 1.3",
        why: "TLS 1.2 can be configured securely, but only TLS 1.3 encrypts the server's certificate, always \
            provides forward secrecy, and supports post-quantum key exchange. A server without TLS 1.3 \
            often uses a library that is no longer maintained.",
        fix: "Update the TLS library, and remove settings that limit the maximum version to TLS 1.2.",
        spec: "RFC 9325 section 3.1.1; RFC 8996 for older versions",
    },
    Check {
        id: "tls-suite",
        severity: Warning,
        title: "the cipher suite lacks forward secrecy or authenticated encryption",
        why: "Without an ephemeral key exchange, an attacker who obtains the server's key can decrypt \
            earlier recordings. Suites in CBC mode were the target of many padding attacks. The TLS library of \
            the audit offers neither kind: with a server that supports no others the handshake fails, and the \
            TLS survey finds its suites.",
        fix: "Limit the TLS 1.2 suites to ECDHE with AES-GCM or ChaCha20-Poly1305, and let the server's \
            order of preference decide. All suites of TLS 1.3 meet this rule.",
        spec: "RFC 9325 section 4.1 and 4.2",
    },
    Check {
        id: "tls-group",
        severity: Info,
        title: "the key exchange does not resist quantum computers",
        why: "An attacker can record sessions today and decrypt them when a large quantum computer exists. A \
            hybrid group such as X25519MLKEM768 prevents that at low cost, and clients without it can still \
            connect.",
        fix: "Update the TLS library to a version with X25519MLKEM768, and put this group first in the list \
            of groups (\"curves\") if the server has such a setting.",
        spec: "RFC 8446 section 4.2.7; FIPS 203",
    },
    Check {
        id: "tls-resumption",
        severity: Info,
        title: "the server does not support session resumption",
        why: "Session tickets make later connections cheaper, which helps mail programs that open many. A \
            server without them is not at fault. Tickets must be bound to the service, and their keys must \
            change often.",
        fix: "Enable session tickets with keys that rotate at least daily, or accept a full handshake for \
            each connection.",
        spec: "RFC 8446 section 2.2 and 4.6.1; RFC 9325 section 3.4",
    },
    Check {
        id: "tls-alpn",
        severity: Info,
        title: "the server does not use ALPN",
        why: "With ALPN both sides agree on the application protocol inside the handshake, which prevents \
            attacks that redirect a connection to another service. Many servers do not support it yet.",
        fix: "Update the server to a version that selects the ALPN id of its protocol, if one is registered \
            (for example imap, pop3, managesieve, ftp, xmpp-client).",
        spec: "RFC 7301 section 3; RFC 9325 section 3.8",
    },
    Check {
        id: "tls-renegotiation",
        severity: Warning,
        title: "the server supports TLS 1.2 without secure renegotiation",
        why: "Without the renegotiation_info extension an attacker on the path can prepend a session of \
            their own to the client's session. This is command injection at the TLS layer. Some clients \
            refuse such servers.",
        fix: "Update the TLS library, and remove settings that allow unsafe legacy renegotiation.",
        spec: "RFC 5746 section 3; RFC 9325 section 3.5",
    },
    Check {
        id: "tls-early-data",
        severity: Warning,
        title: "the server permits early data (0-RTT)",
        why: "Early data is sent before the handshake ends. An attacker who records it can send it again, so \
            that a command runs twice, and it has no forward secrecy. A protocol may use it only if a \
            profile defines how: HTTP has one, protocols with an upgrade have none.",
        fix: "Disable early data (0-RTT) for this service in the TLS library or in the proxy that terminates \
            TLS.",
        spec: "RFC 8446 section 2.3, 8 and appendix E.5; RFC 9325 section 3.8; RFC 8470",
    },
];

pub(super) const VISIBLE: &[Check] = &[
    Check {
        id: "leak-banner",
        severity: Info,
        title: "the cleartext reveals the software and its version",
        why: "Anyone on the path, and any scanner, can look up the known vulnerabilities of that version. \
            Hiding the version does not fix them; it only slows the search down.",
        fix: "Shorten the greeting: the settings have names such as \"banner\", \"greeting\", \"server \
            ident\" or \"version\". Updates are more important than this setting.",
        spec: "RFC 5321 section 7.5 leaves it to the site; CWE-200",
    },
    Check {
        id: "leak-internal",
        severity: Warning,
        title: "the cleartext reveals internal names or addresses",
        why: "A private address or an internal name shows outsiders how the network is structured. Clients \
            cannot use it, and it is often a sign that a proxy or NAT lacks the public name in its \
            configuration.",
        fix: "Configure the public name in the server's host name setting (\"hostname\", \"server name\", or \
            the masquerade or passive address of FTP).",
        spec: "RFC 5321 section 4.1.1.1; CWE-200",
    },
    Check {
        id: "time-steps",
        severity: Info,
        title: "the duration of each step",
        why: "Up to the first encrypted answer a client waits for every step in turn. If the greeting \
            (reverse DNS, greet delay) or the handshake is slow, some clients give up, and some of these \
            try cleartext.",
        fix: "For a slow greeting check reverse DNS, ident and greet delays. For a slow handshake check the \
            size of RSA keys and the load of the machine.",
        spec: "RFC 5321 section 4.5.3.2",
    },
];
