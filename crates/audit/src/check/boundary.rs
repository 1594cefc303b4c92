//! Checks of the boundary: does anything cross from cleartext into TLS?

use super::Check;
use crate::report::Severity::{Critical, Error, Warning};

const DISCARD: &str = "RFC 3207 section 4.2; RFC 9325 section 3.2; RFC 4642 section 2.2.2; CVE-2011-0411";

pub(super) const CHECKS: &[Check] = &[
    Check {
        id: "srv-inject-eager",
        severity: Critical,
        title: "the server runs commands inside TLS that it received in cleartext",
        why: "The server kept the bytes that arrived after the request in cleartext and ran them as if they \
            had arrived inside TLS. An attacker on the path can insert commands before a client's encrypted \
            session, for example to store the client's mail or password in another account, without \
            breaking TLS.",
        fix: "Update the server, and each proxy that terminates TLS for it. At the start of the handshake \
            it must discard or reject everything that it has read. Until then, offer the implicit TLS port \
            only.",
        spec: DISCARD,
    },
    Check {
        id: "srv-inject-lazy",
        severity: Critical,
        title: "the server runs cleartext commands with the first command inside TLS",
        why: "The server kept the bytes that arrived in cleartext and ran them when the client's first \
            encrypted command arrived. The attack is the same as in srv-inject-eager, but a test that only \
            waits for an answer does not detect it.",
        fix: "Update the server, and each proxy that terminates TLS for it. The input buffer must be empty \
            when the handshake starts. Until then, offer the implicit TLS port only.",
        spec: DISCARD,
    },
    Check {
        id: "srv-inject-split",
        severity: Critical,
        title: "the server runs a command that arrives between request and handshake",
        why: "The server discards what arrives in the same packet as the request, but not what arrives after \
            it and before the handshake. The attack still works; only its timing differs.",
        fix: "Update the server. It must stop reading cleartext before it sends the go-ahead, so that \
            cleartext between the go-ahead and the handshake reaches the TLS library, which rejects it, and \
            not the command parser.",
        spec: DISCARD,
    },
    Check {
        id: "srv-inject-partial",
        severity: Critical,
        title: "the server joins an unfinished cleartext line to a line inside TLS",
        why: "The server discarded complete commands but kept an unfinished line and prepended it to the \
            client's first encrypted command. An attacker on the path can turn that command, which may \
            contain the password, into an argument of another command.",
        fix: "Update the server. The input buffer, including unfinished lines, must be empty when the \
            handshake starts.",
        spec: DISCARD,
    },
    Check {
        id: "srv-inject-variants",
        severity: Error,
        title: "the server accepts an unusual request and keeps cleartext after it",
        why: "The server accepts the request with a bare line feed, with trailing text, or inside data such \
            as literals, quoted strings and bodies, where it is not a request. The code for these forms \
            lacks the protection of the usual form. If a proxy and a server read the same bytes \
            differently, an attacker can use the difference.",
        fix: "Update the server. Disable settings for bare line feeds or lenient parsing on this listener.",
        spec: "RFC 5321 section 2.3.8; RFC 3207 section 4; RFC 9051 section 2.2 and 6.2.1",
    },
    Check {
        id: "srv-reply-plain",
        severity: Error,
        title: "the server answers in cleartext after the go-ahead",
        why: "The server agreed to start TLS and then answered a command in cleartext. Only a handshake may \
            follow the go-ahead. A server that also parses commands there has two parsers on one \
            connection, and a client may take the cleartext answer for one from inside TLS.",
        fix: "Update the server. After the go-ahead it must read the handshake only, and close the \
            connection when it receives anything else.",
        spec: "RFC 3207 section 4; RFC 2595 section 3.1; RFC 4511 section 4.14.1",
    },
    Check {
        id: "srv-fixation",
        severity: Error,
        title: "the server keeps session state from before TLS",
        why: "The server remembers a name, a sender or a login step from the cleartext part. An attacker on \
            the path can set this state before the client starts TLS, and the client then continues a \
            session that the attacker began.",
        fix: "Update the server. After the handshake it must reset the session to the state after the \
            greeting. A proxy must open a new session to the backend or reset the existing one.",
        spec: "RFC 3207 section 4.2; RFC 9051 section 6.2.1; RFC 6120 section 5.4.3.3; RFC 4642 \
            section 2.2.2",
    },
    Check {
        id: "srv-hs-fallback",
        severity: Critical,
        title: "the server continues in cleartext after a failed handshake",
        why: "An attacker on the path can disturb the handshake, and with this server that disables TLS: \
            client and server continue in cleartext although both agreed to use TLS. Neither side receives \
            a warning.",
        fix: "Update the server. It must close the connection after a failed handshake.",
        spec: "RFC 3207 section 4.1; RFC 9325 section 3.2; RFC 6120 section 5.4.3.2",
    },
    Check {
        id: "srv-stall",
        severity: Warning,
        title: "the server waits without a limit for a handshake",
        why: "After the go-ahead the server waits for the handshake without a time limit, or as long as \
            single bytes arrive. An attacker without a password can occupy all workers with a few hundred \
            such connections.",
        fix: "Set a timeout for the whole handshake (30 seconds, at most 5 minutes) that single bytes do \
            not restart, and limit the connections per client address.",
        spec: "RFC 5321 section 4.5.3.2; CWE-400",
    },
    Check {
        id: "srv-alpn",
        severity: Warning,
        title: "the server accepts a handshake for another protocol",
        why: "The client offered only another application protocol in ALPN, and the server continued. In \
            cross-protocol attacks (ALPACA) the attacker redirects a browser's TLS connection to such a \
            server. The browser takes its answers for those of the web site if the certificate is valid for \
            both names.",
        fix: "Update the server, or enable its strict ALPN setting: if the client offers no protocol that \
            the server supports, the server must end the handshake with the alert no_application_protocol. \
            Do not use one certificate for the web site and for this service.",
        spec: "RFC 7301 section 3.2; RFC 9325 section 3.8; CVE-2021-3618",
    },
    Check {
        id: "srv-xproto",
        severity: Error,
        title: "answers can be shifted between the upgrade port and the TLS port",
        why: "The service has one port with implicit TLS and one with an upgrade, and the certificates of \
            both are valid for the same name. An attacker on the path can connect a client of one port to \
            the other, and the first answer inside TLS then belongs to a request that the client never sent \
            (Opossum attack). If only a greeting is surplus, as in mail, the finding is informational.",
        fix: "Disable the upgrade (in HTTP: RFC 2817) if the implicit TLS port serves all clients. \
            Otherwise use certificates with different names on the two ports. ALPN helps only if the ports \
            accept different protocol ids.",
        spec: "RFC 2817 section 3; RFC 9325 section 3.8; CVE-2025-49812",
    },
];
