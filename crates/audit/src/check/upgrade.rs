//! Is there an upgrade, can it be done, and is it required?

use super::Check;
use crate::report::Severity::{Critical, Error, Info, Warning};

pub(super) const CHECKS: &[Check] = &[
    Check {
        id: "srv-reachable",
        severity: Error,
        title: "the server cannot be reached",
        why: "No connection could be made, so nothing can be said about the upgrade. Clients that \
            look for the service here see the same, and some of them try another port or go without \
            TLS.",
        fix: "Check that the name is spelled right and has an address in DNS; that the service runs and \
            listens on that address and port, for IPv4 and IPv6 alike; and that firewalls and security \
            groups let it through. Remove DNS records that point to addresses without it.",
        spec: "RFC 9293 section 3.10.7; RFC 8305 for several addresses",
    },
    Check {
        id: "srv-mx-name",
        severity: Warning,
        title: "the MX record names an alias",
        why: "A mail exchanger must be named by a host name with addresses of its own. Some senders do not follow an \
            alias there, and a sender that verifies certificates may expect either name.",
        fix: "Put the name that the alias stands for into the MX record.",
        spec: "RFC 5321 section 5.1; RFC 2181 section 10.3",
    },
    Check {
        id: "srv-throttled",
        severity: Warning,
        title: "the server turned the audit away for now",
        why: "The server limits connections or refuses newcomers for a while, so what it did says \
            nothing about its upgrade. A sound server may do this; the audit draws no conclusion from \
            it.",
        fix: "Run the audit again later with --pace and fewer --concurrency, or from an address that \
            the server's rate limits and greylisting exempt.",
        spec: "RFC 5321 section 3.8 and 4.2.1 (421); RFC 6647",
    },
    Check {
        id: "srv-plain-tls",
        severity: Error,
        title: "the port speaks TLS from the first byte, or another protocol",
        why: "This port does not speak the protocol in cleartext that clients of an upgrade expect, \
            or the implicit TLS port does. Clients hang until their timeout or report an unreadable \
            answer, and their users are tempted to switch TLS off.",
        fix: "Give each port its mode: the listener's setting for implicit TLS (often called \
            \"ssl\", \"smtps\" or \"wrapper mode\") belongs to ports such as 465, 993, 995 and 636 only; \
            ports such as 25, 587, 143, 110 and 389 take STARTTLS. Or change the client's setting to the \
            mode that the port has.",
        spec: "RFC 8314 section 3",
    },
    Check {
        id: "srv-preauth",
        severity: Critical,
        title: "the session counts as logged in before TLS",
        why: "A greeting such as IMAP's PREAUTH puts the session into a state in which TLS can no \
            longer be asked for. A man in the middle can send the same greeting to keep clients in \
            cleartext, and here clients cannot tell it from the real one.",
        fix: "Do not greet with PREAUTH on a listener that the network reaches: keep \
            pre-authenticated sessions to local pipes and sockets, and have network listeners greet as \
            not authenticated.",
        spec: "RFC 9051 section 7.1.4 and 11.1",
    },
    Check {
        id: "srv-referral",
        severity: Warning,
        title: "the server refers clients elsewhere before TLS",
        why: "Nothing protects a referral that comes in cleartext: anybody on the path can write one \
            and send clients, with their passwords, to another server. Clients that follow it cannot \
            tell.",
        fix: "Send referrals and redirects inside TLS only, after authentication where the protocol \
            has it. Let DNS or a proxy do what a referral in the greeting was meant for.",
        spec: "RFC 2221 section 6; RFC 4511 section 4.1.10; RFC 6120 section 4.9.3.19",
    },
    Check {
        id: "srv-alert",
        severity: Warning,
        title: "text for users is sent before TLS",
        why: "Clients show alerts to people, and before TLS anybody on the path can write them: \
            \"your password has expired, go to ...\". A server that sends real ones in cleartext teaches \
            clients and users to believe them.",
        fix: "Send alerts, notices and messages of the day after the handshake, or after the login. \
            Keep the greeting to the words that the protocol needs.",
        spec: "RFC 9051 section 7.1 (ALERT); RFC 5804 section 1.3",
    },
    Check {
        id: "srv-mangled",
        severity: Critical,
        title: "something on the way destroys the offer",
        why: "The offer arrives as XXXXXXXA or the like: a firewall, a proxy or a virus scanner \
            overwrites it so that connections stay in cleartext for it to read. Every client behind it \
            sends mail and passwords in clear.",
        fix: "Turn off the inspection or \"fixup\" of this protocol in firewalls, load balancers and \
            scanners between here and the server, or have the device allow TLS. Then audit from both \
            sides of it.",
        spec: "RFC 3207 section 6",
    },
    Check {
        id: "srv-offered",
        severity: Error,
        title: "the upgrade is not offered",
        why: "Without the offer most clients go on in cleartext, and nobody notices. Those that \
            insist on TLS cannot use the server at all.",
        fix: "Configure a certificate with its key, and enable STARTTLS (StartTLS, STLS, AUTH TLS, \
            \"tls\" or \"ssl\" in the protocol's words) on this listener. If the service has an implicit \
            TLS port instead, close this one.",
        spec: "RFC 3207 section 4; RFC 8314 section 3; RFC 2595 section 3 and 4; RFC 4513 section 3",
    },
    Check {
        id: "srv-upgrade",
        severity: Error,
        title: "the upgrade is offered but cannot be done",
        why: "The server announces TLS and then refuses the request, has no certificate, or fails \
            every handshake. Opportunistic clients fall back to cleartext, strict ones cannot connect, \
            and monitoring that only looks for the offer sees nothing.",
        fix: "Read the server's log for the moment of the request. Usual reasons: the certificate or \
            key file is missing, unreadable for the service's user, or they do not belong together; the \
            protocol versions or cipher list leave nothing in common with current clients.",
        spec: "RFC 3207 section 4 (454); RFC 8314 section 4",
    },
    Check {
        id: "srv-not-enforced",
        severity: Error,
        title: "the service works without TLS",
        why: "Whoever strips the offer from the conversation keeps the client in cleartext, and the \
            server plays along. Requiring TLS on the server protects clients that would not insist on \
            it. On port 25 this is not a fault: a public mail exchanger must accept mail in cleartext.",
        fix: "Require TLS on this listener before any command of substance: settings are named like \
            \"require TLS\", \"encrypt\", \"force\" or \"security tls=\". For port 25 publish MTA-STS or \
            DANE instead, which tell senders to insist.",
        spec: "RFC 8314 section 4.1; RFC 3207 section 4 (port 25); RFC 8461; RFC 7672",
    },
    Check {
        id: "srv-auth-before",
        severity: Critical,
        title: "passwords are asked for or taken before TLS",
        why: "A server that offers or accepts a login in cleartext gets passwords in cleartext, from \
            every client whose user ticked the wrong box and from every client whose offer of TLS was \
            stripped. Anybody on the path can read and keep them.",
        fix: "Allow authentication over TLS only: settings are named like \"auth only over TLS\", \
            \"disable plaintext auth\" or \"require TLS for login\". Mechanisms must not be listed \
            before TLS either.",
        spec: "RFC 8314 section 4.1; RFC 4954 section 4; RFC 9051 section 11.1 (LOGINDISABLED); RFC \
            4513 section 5.1.3",
    },
    Check {
        id: "srv-offer-inside",
        severity: Warning,
        title: "the upgrade is offered again inside TLS",
        why: "The server has not noticed that TLS is up, or lists its capabilities without regard to \
            it. Clients that trust the list ask again, and a server that accepts a second upgrade runs \
            code nobody tests.",
        fix: "Update the server, or the proxy that ends TLS in front of it. A proxy must tell the \
            server behind it that the client is encrypted, or remove the offer itself.",
        spec: "RFC 3207 section 4.2; RFC 2595 section 3.1; RFC 5804 section 2.2; RFC 4642 section 2.2.2",
    },
    Check {
        id: "srv-caps-kept",
        severity: Info,
        title: "capabilities inside TLS are those of the cleartext",
        why: "What a server can do should be told anew inside TLS, and logins should appear there \
            only. A list that stays the same may show that authentication is offered in cleartext as \
            well, or that state crosses the seam.",
        fix: "Compare the two lists in the report. Mechanisms that send passwords belong into the \
            second list only.",
        spec: "RFC 3207 section 4.2; RFC 9051 section 6.2.1; RFC 2449 section 5",
    },
];
