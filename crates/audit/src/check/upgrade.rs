//! Checks of the offer: does the server offer the upgrade, complete it, and require it?

use super::Check;
use crate::report::Severity::{Critical, Error, Info, Warning};

pub(super) const CHECKS: &[Check] = &[
    Check {
        id: "srv-reachable",
        severity: Error,
        title: "the server cannot be reached",
        why: "The audit could not connect, so it has no result for the upgrade. Clients that use this \
            address fail in the same way, and some of them try another port or continue without TLS.",
        fix: "Check that the name is spelled correctly and has an address in DNS, that the service runs \
            and listens on this address and port for IPv4 and IPv6, and that firewalls allow the \
            connection. Remove DNS records that point to addresses without the service.",
        spec: "RFC 9293 section 3.10.7; RFC 8305 for several addresses",
    },
    Check {
        id: "srv-mx-name",
        severity: Warning,
        title: "the MX record names an alias",
        why: "An MX record must contain a host name with address records of its own. Some senders do not \
            follow an alias (CNAME) there, and a sender that verifies certificates may expect either name.",
        fix: "Replace the alias in the MX record with the name that the alias points to.",
        spec: "RFC 5321 section 5.1; RFC 2181 section 10.3",
    },
    Check {
        id: "srv-throttled",
        severity: Warning,
        title: "the server rejected connections of the audit for now",
        why: "The server limits connections or rejects unknown clients for some time, so its answers show \
            nothing about the upgrade. A sound server may do this, and the audit draws no conclusion from it.",
        fix: "Run the audit again later, with a pause between connections and with fewer connections at \
            the same time, or from an address that is exempt from the server's rate limits and greylisting.",
        spec: "RFC 5321 section 3.8 and 4.2.1 (421); RFC 6647",
    },
    Check {
        id: "srv-plain-tls",
        severity: Error,
        title: "the port expects TLS from the first byte, or another protocol",
        why: "The server does not speak the cleartext protocol on this port, or it speaks cleartext on the \
            port for implicit TLS. Clients wait until their timeout or report an unreadable answer, and \
            users may then disable TLS.",
        fix: "Configure one mode for each port: implicit TLS (often called \"ssl\", \"smtps\" or \"wrapper \
            mode\") on ports such as 465, 993, 995 and 636, and STARTTLS on ports such as 25, 587, 143, 110 \
            and 389. Otherwise change the client's setting to the mode of this port.",
        spec: "RFC 8314 section 3",
    },
    Check {
        id: "srv-preauth",
        severity: Critical,
        title: "the greeting reports a session that is logged in before TLS",
        why: "A greeting such as IMAP's PREAUTH starts the session in a state in which the client can no \
            longer request TLS. An attacker on the path can send the same greeting to keep clients in \
            cleartext, and clients of this server cannot tell the two apart.",
        fix: "Do not greet with PREAUTH on a listener that is reachable over the network. Use \
            pre-authenticated sessions on local pipes and sockets only.",
        spec: "RFC 9051 section 7.1.4 and 11.1",
    },
    Check {
        id: "srv-referral",
        severity: Warning,
        title: "the server refers clients to another server before TLS",
        why: "A referral in cleartext is not protected: an attacker on the path can insert one and send \
            clients, with their passwords, to another server. Clients cannot tell a genuine referral from \
            a forged one.",
        fix: "Send referrals and redirects inside TLS only, and after authentication if the protocol \
            supports that. To move clients before TLS, use DNS or a proxy instead.",
        spec: "RFC 2221 section 6; RFC 4511 section 4.1.10; RFC 6120 section 4.9.3.19",
    },
    Check {
        id: "srv-alert",
        severity: Warning,
        title: "the server sends text for users before TLS",
        why: "Clients show such alerts to users, and before TLS an attacker on the path can insert any \
            text: \"your password has expired, go to ...\". A server that sends genuine alerts in cleartext \
            teaches users to trust forged ones.",
        fix: "Send alerts, notices and messages of the day after the handshake or after the login. Limit \
            the greeting to what the protocol requires.",
        spec: "RFC 9051 section 7.1 (ALERT); RFC 5804 section 1.3",
    },
    Check {
        id: "srv-mangled",
        severity: Critical,
        title: "a device on the path overwrites the offer",
        why: "The offer arrives as XXXXXXXA or a similar text: a firewall, a proxy or a virus scanner \
            overwrites it to keep connections in cleartext and inspect them. Every client behind this \
            device sends mail and passwords in cleartext.",
        fix: "Disable the inspection (\"fixup\") of this protocol in firewalls, load balancers and scanners \
            between the client and the server, or configure the device to allow TLS. Then run the audit \
            from both sides of the device.",
        spec: "RFC 3207 section 6",
    },
    Check {
        id: "srv-offered",
        severity: Error,
        title: "the server does not offer the upgrade",
        why: "Most clients continue in cleartext without a warning when the offer is missing. Clients that \
            require TLS cannot use the server.",
        fix: "Configure a certificate with its key, and enable STARTTLS on this listener (also called \
            StartTLS, STLS, AUTH TLS, \"tls\" or \"ssl\"). If the service uses an implicit TLS port instead, \
            close this port.",
        spec: "RFC 3207 section 4; RFC 8314 section 3; RFC 2595 section 3 and 4; RFC 4513 section 3",
    },
    Check {
        id: "srv-upgrade",
        severity: Error,
        title: "the server offers the upgrade but does not complete it",
        why: "The server announces TLS and then refuses the request, has no certificate, or fails every \
            handshake. Opportunistic clients fall back to cleartext, clients that require TLS cannot \
            connect, and monitoring that only looks for the offer does not detect it.",
        fix: "Read the server's log for the time of the request. Usual causes: the certificate or key file \
            is missing or not readable for the service's user, the key does not match the certificate, or \
            the configured protocol versions and cipher suites exclude all current clients.",
        spec: "RFC 3207 section 4 (454); RFC 8314 section 4",
    },
    Check {
        id: "srv-not-enforced",
        severity: Error,
        title: "the server accepts commands without TLS",
        why: "An attacker who strips the offer keeps the client in cleartext, and the server serves it. If \
            the server requires TLS, clients that do not require it are protected as well. On port 25 this \
            is not a fault, because a public mail exchanger must accept mail in cleartext.",
        fix: "Require TLS on this listener before any command that transfers data: the settings have names \
            such as \"require TLS\", \"encrypt\", \"force\" or \"security tls=\". For port 25 publish MTA-STS \
            or DANE records instead, which tell senders to require TLS.",
        spec: "RFC 8314 section 4.1; RFC 3207 section 4 (port 25); RFC 8461; RFC 7672",
    },
    Check {
        id: "srv-auth-before",
        severity: Critical,
        title: "the server offers or accepts a login before TLS",
        why: "A server that offers or accepts a login in cleartext receives passwords in cleartext: from \
            each client that is configured without TLS, and from each client whose offer of TLS an attacker \
            stripped. Anyone on the path can read and store these passwords.",
        fix: "Allow authentication inside TLS only: the settings have names such as \"auth only over TLS\", \
            \"disable plaintext auth\" or \"require TLS for login\". Do not list login mechanisms before TLS.",
        spec: "RFC 8314 section 4.1; RFC 4954 section 4; RFC 9051 section 11.1 (LOGINDISABLED); RFC \
            4513 section 5.1.3",
    },
    Check {
        id: "srv-offer-inside",
        severity: Warning,
        title: "the server offers the upgrade again inside TLS",
        why: "The server did not register that TLS is active, or its list of capabilities ignores that. \
            Clients that rely on the list request the upgrade again, and a server that accepts a second \
            upgrade runs code that is rarely tested.",
        fix: "Update the server, or the proxy that terminates TLS for it. Configure the proxy to tell the \
            backend that the client uses TLS, or to remove the offer.",
        spec: "RFC 3207 section 4.2; RFC 2595 section 3.1; RFC 5804 section 2.2; RFC 4642 section 2.2.2",
    },
    Check {
        id: "srv-caps-kept",
        severity: Info,
        title: "the capabilities inside TLS equal those in cleartext",
        why: "A server should announce its capabilities again inside TLS, and login mechanisms should \
            appear only there. If both lists are equal, the server may offer logins in cleartext as well, \
            or keep state across the boundary.",
        fix: "Compare the two lists in the report. Announce mechanisms that send passwords inside TLS only.",
        spec: "RFC 3207 section 4.2; RFC 9051 section 6.2.1; RFC 2449 section 5",
    },
];
