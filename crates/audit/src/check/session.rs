//! How good is the TLS, and what stays visible without it?

use super::Check;
use crate::report::Severity::{Error, Info, Warning};

pub(super) const TLS: &[Check] = &[
    Check {
        id: "tls-handshake",
        severity: Error,
        title: "the handshake fails on a port with TLS from the first byte",
        why: "Clients that use implicit TLS, as RFC 8314 asks of mail clients, cannot connect. Some of them fall \
            back to another port, or to cleartext.",
        fix: "Read the server's log for the moment of the connection. Usual reasons: the certificate or key file is \
            missing, unreadable for the service's user, or they do not belong together; the protocol versions or \
            cipher list leave nothing in common with current clients.",
        spec: "RFC 8314 section 3; RFC 8446 section 4.1",
    },
    Check {
        id: "tls-large-hello",
        severity: Error,
        title: "a ClientHello larger than one segment is not accepted",
        why: "Clients with post-quantum key exchange send a ClientHello of about 1700 octets, which TCP delivers in two \
            segments. A server, or a device on the way, that parses the first segment only ends every such handshake. \
            Current browsers, mail clients and TLS libraries cannot connect.",
        fix: "Update the server, or the firewall, load balancer or intrusion detection system on the way that parses \
            ClientHellos. Audit it from both sides of that device to find out which one it is.",
        spec: "RFC 8446 section 4.1.2 and 5.1; RFC 9293 section 3.8",
    },
    Check {
        id: "tls-version",
        severity: Warning,
        title: "a handshake fails with a version that the server should speak",
        why: "The report lists the versions that a handshake succeeded with, 1.3 and 1.2. A server \
            that fails with one that it announces locks clients out, and they may fall back to \
            cleartext.",
        fix: "Allow TLS 1.2 and 1.3, and look in the log for the handshake that failed: a cipher \
            list or a minimum version that contradicts another setting is the usual reason.",
        spec: "RFC 9325 section 3.1.1; RFC 8446 section 4.2.1",
    },
    Check {
        id: "tls-old",
        severity: Info,
        title: "the server does not speak TLS 1.3",
        why: "TLS 1.2 can be used safely, but only 1.3 encrypts the server's certificate, always has \
            forward secrecy, and gets post-quantum key exchange. A server without it often runs a \
            library that is no longer maintained.",
        fix: "Update the TLS library and remove settings that limit the highest version to TLS 1.2.",
        spec: "RFC 9325 section 3.1.1; RFC 8996 for what is older still",
    },
    Check {
        id: "tls-suite",
        severity: Warning,
        title: "the cipher suite has no forward secrecy or no authenticated encryption",
        why: "Without an ephemeral key exchange whoever gets hold of the server's key can read \
            everything recorded before. Suites in CBC mode have a history of padding attacks. This audit \
            offers neither: a server that has no others shows by a handshake that fails.",
        fix: "Limit the TLS 1.2 suites to ECDHE with AES-GCM or ChaCha20-Poly1305, in the order of \
            the server's preference. TLS 1.3 has no other kind.",
        spec: "RFC 9325 section 4.1 and 4.2",
    },
    Check {
        id: "tls-group",
        severity: Info,
        title: "the key exchange does not withstand quantum computers",
        why: "What is recorded today can be read when a large quantum computer exists. A hybrid \
            group such as X25519MLKEM768 protects against that at next to no cost, and clients without \
            it lose nothing.",
        fix: "Update the TLS library to one that has X25519MLKEM768, and put it first in the list of \
            groups (\"curves\") if there is such a setting.",
        spec: "RFC 8446 section 4.2.7; FIPS 203",
    },
    Check {
        id: "tls-resumption",
        severity: Info,
        title: "sessions cannot be resumed",
        why: "With session tickets the next connection is cheaper, which matters to mail programs \
            that open many. It is no fault to go without. Tickets must be bound to the service and their \
            keys changed often.",
        fix: "Enable session tickets with keys that rotate at least daily, or leave it: the cost is \
            a full handshake each time.",
        spec: "RFC 8446 section 2.2 and 4.6.1; RFC 9325 section 3.4",
    },
    Check {
        id: "tls-alpn",
        severity: Info,
        title: "the server does not take part in ALPN",
        why: "With ALPN both sides agree on the protocol inside the handshake, which stops attacks \
            that redirect a connection to another service. Many servers do not know it yet.",
        fix: "Update the server to a version that selects its protocol's ALPN id (such as imap, \
            pop3, managesieve, ftp, xmpp-client), where there is one.",
        spec: "RFC 7301 section 3; RFC 9325 section 3.8",
    },
    Check {
        id: "tls-renegotiation",
        severity: Warning,
        title: "TLS 1.2 without secure renegotiation",
        why: "Without the renegotiation_info extension a man in the middle can put a session in \
            front of the client's, which is command injection one layer down. Some clients refuse such \
            servers.",
        fix: "Update the TLS library, and remove settings that allow unsafe legacy renegotiation.",
        spec: "RFC 5746 section 3; RFC 9325 section 3.5",
    },
];

pub(super) const VISIBLE: &[Check] = &[
    Check {
        id: "leak-banner",
        severity: Info,
        title: "the cleartext tells the software and its version",
        why: "Anybody on the path, and any scanner, can look up which weaknesses that version has. \
            Hiding it repairs nothing; it only makes the search less cheap.",
        fix: "Shorten the greeting: settings are named like \"banner\", \"greeting\", \"server \
            ident\" or \"version\". Updates matter more than this.",
        spec: "RFC 5321 section 7.5 leaves it to the site; CWE-200",
    },
    Check {
        id: "leak-internal",
        severity: Warning,
        title: "the cleartext tells internal names or addresses",
        why: "A private address or a name from the inner network shows outsiders how the network is \
            built. It is of no use to clients, and often a sign that a proxy or NAT is not configured \
            for its public name.",
        fix: "Set the public name in the server's host name setting (\"hostname\", \"server name\", \
            FTP's masquerade or passive address).",
        spec: "RFC 5321 section 4.1.1.1; CWE-200",
    },
    Check {
        id: "time-steps",
        severity: Info,
        title: "how long each step takes",
        why: "From the dial to the first encrypted answer a client waits for every step in turn. A \
            slow greeting (reverse DNS, greet delay) or handshake makes clients give up, and some then \
            try cleartext.",
        fix: "For a slow greeting look at reverse DNS, ident and greet delays; for a slow handshake \
            at large RSA keys and the load of the machine.",
        spec: "RFC 5321 section 4.5.3.2",
    },
];
