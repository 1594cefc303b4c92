//! Does anything cross from cleartext into TLS?

use super::Check;
use crate::report::Severity::{Critical, Error, Warning};

const DISCARD: &str = "RFC 3207 section 4.2; RFC 9325 section 3.2; RFC 4642 section 2.2.2; CVE-2011-0411";

pub(super) const CHECKS: &[Check] = &[
    Check {
        id: "srv-inject-eager",
        severity: Critical,
        title: "commands sent before the handshake are run inside TLS",
        why: "The server kept bytes that arrived in cleartext behind the request and ran them as if \
            they had come through TLS. A man in the middle can put commands in front of a client's \
            encrypted session, for instance to have its mail or password stored in another account, \
            without breaking TLS.",
        fix: "Update the server, and any proxy that ends TLS for it: it must drop or refuse \
            everything that it has read when it starts the handshake. Until then use the implicit TLS \
            port only.",
        spec: DISCARD,
    },
    Check {
        id: "srv-inject-lazy",
        severity: Critical,
        title: "commands sent before the handshake run with the next one inside",
        why: "The server kept bytes that arrived in cleartext and ran them once the client's first \
            encrypted command came in. It is the same attack as srv-inject-eager, and one that a test \
            which only waits does not see.",
        fix: "Update the server, and any proxy that ends TLS for it: the input buffer must be empty \
            when the handshake starts. Until then use the implicit TLS port only.",
        spec: DISCARD,
    },
    Check {
        id: "srv-inject-split",
        severity: Critical,
        title: "a command sent right behind the request is run inside TLS",
        why: "The server drops what came in the same packet as the request but not what came just \
            after it, before the handshake. The attack works all the same; it is a matter of timing \
            only.",
        fix: "Update the server: reading in cleartext must stop before the go-ahead is sent, and \
            what comes between must reach the TLS library as a failed handshake, not the command \
            parser.",
        spec: DISCARD,
    },
    Check {
        id: "srv-inject-partial",
        severity: Critical,
        title: "half a line from cleartext is joined to the first line inside TLS",
        why: "The server dropped complete commands but kept an unfinished line, and glued the \
            client's first encrypted command to it. A man in the middle can turn that command, with the \
            password in it, into part of another one that was written for the purpose.",
        fix: "Update the server: the input buffer must be empty when the handshake starts, \
            unfinished lines included.",
        spec: DISCARD,
    },
    Check {
        id: "srv-inject-variants",
        severity: Error,
        title: "an unusual form of the request is taken, and opens the seam",
        why: "The request is recognised with a bare line feed, trailing text, or inside data such as \
            literals, quoted strings and bodies, where it is no request; and the paths for such forms \
            miss the protection that the usual one has. Two programs that read the same bytes \
            differently, such as a proxy and a server, can be played against each other.",
        fix: "Update the server. If a setting allows bare line feeds or lenient parsing, switch it \
            off on this listener.",
        spec: "RFC 5321 section 2.3.8; RFC 3207 section 4; RFC 9051 section 2.2 and 6.2.1",
    },
    Check {
        id: "srv-reply-plain",
        severity: Error,
        title: "the server goes on in cleartext after the go-ahead",
        why: "After it agreed to TLS the server still answered a command in cleartext. Nothing but a \
            handshake may follow the go-ahead; a server that reads commands there has two parsers on one \
            connection, and clients may take the stray answer for one from inside TLS.",
        fix: "Update the server: after the go-ahead it must read nothing but the handshake, and \
            close when something else comes.",
        spec: "RFC 3207 section 4; RFC 2595 section 3.1; RFC 4511 section 4.14.1",
    },
    Check {
        id: "srv-fixation",
        severity: Error,
        title: "what was said before TLS still holds inside",
        why: "The server remembers a name, a sender or a login step from the cleartext part. A man \
            in the middle can say these things before letting the client start TLS, and the client finds \
            itself in a session that somebody else began.",
        fix: "Update the server: the handshake must put the session back to the state right after \
            the greeting. Behind a proxy, the proxy must open a fresh session or reset it.",
        spec: "RFC 3207 section 4.2; RFC 9051 section 6.2.1; RFC 6120 section 5.4.3.3; RFC 4642 \
            section 2.2.2",
    },
    Check {
        id: "srv-hs-fallback",
        severity: Critical,
        title: "after a failed handshake the server goes on in cleartext",
        why: "Anybody on the path can disturb the handshake, and here that turns TLS off: client and \
            server go on in cleartext although both asked for TLS. No message warns either of them.",
        fix: "Update the server: a failed handshake must close the connection.",
        spec: "RFC 3207 section 4.1; RFC 9325 section 3.2; RFC 6120 section 5.4.3.2",
    },
    Check {
        id: "srv-stall",
        severity: Warning,
        title: "a handshake that never comes keeps the connection forever",
        why: "After the go-ahead the server waits for the handshake without a limit, or for as long \
            as a byte comes now and then. A few hundred such connections can use up its workers, and no \
            password is needed for that.",
        fix: "Set a handshake timeout (30 seconds are plenty, 5 minutes the most) and a limit of \
            connections per client address. The time must count for the handshake as a whole, not for \
            each byte.",
        spec: "RFC 5321 section 4.5.3.2; CWE-400",
    },
    Check {
        id: "srv-alpn",
        severity: Warning,
        title: "a handshake for another protocol is accepted",
        why: "The client asked for another application protocol by ALPN and the server went on \
            regardless. Attacks across protocols (ALPACA) redirect a browser's TLS connection to such a \
            server, and its answers count as the web site's when the certificate covers both names.",
        fix: "Update the server or enable its strict ALPN setting: if the client offers protocols \
            and none is the server's, it must end the handshake with the alert no_application_protocol. \
            Do not share one certificate between the web site and this service.",
        spec: "RFC 7301 section 3.2; RFC 9325 section 3.8; CVE-2021-3618",
    },
    Check {
        id: "srv-xproto",
        severity: Error,
        title: "answers can be shifted between the upgrade port and the TLS port",
        why: "The service has a port with implicit TLS and one with an upgrade, both good for the same \
            name. A man in the middle can connect a client of one to the other, and the first answer \
            inside TLS then belongs to a question that the client never asked (opossum attack). Where \
            only a greeting comes too many, as in mail, it is for your information.",
        fix: "Switch off the upgrade (for HTTP the TLS upgrade of RFC 2817) where the implicit TLS \
            port serves the clients. Otherwise use certificates for different names on the two ports; ALPN \
            helps only if the ports take different ids.",
        spec: "RFC 2817 section 3; RFC 9325 section 3.8; CVE-2025-49812",
    },
];
