//! Is the server the one it says it is?

use super::Check;
use crate::report::Severity::{Error, Info, Warning};

pub(super) const CHECKS: &[Check] = &[
    Check {
        id: "cert-chain",
        severity: Error,
        title: "the certificate does not lead to a trusted root",
        why: "A client that verifies refuses the connection; one that does not verify cannot tell \
            this server from a man in the middle. Which roots are trusted was decided by --ca-file and \
            the system's store.",
        fix: "Get a certificate from an authority that your clients trust (ACME does it free of \
            charge), or hand your own root to every client and to this audit with --ca-file. If the issuer \
            is an intermediate, have the server send it (\"fullchain\").",
        spec: "RFC 5280 section 6; RFC 9325 section 6.1",
    },
    Check {
        id: "cert-incomplete",
        severity: Error,
        title: "an intermediate certificate is missing",
        why: "The server sends its own certificate without the one that links it to the root. \
            Clients that have seen the link elsewhere connect, all others fail, so the fault looks like \
            one of the client's.",
        fix: "Configure the file with the whole chain (\"fullchain\"): the server's certificate \
            first, then each intermediate; the root may be left out. If the issuer is a root of your own, hand it \
            to this audit with --ca-file.",
        spec: "RFC 8446 section 4.4.2; RFC 5246 section 7.4.2",
    },
    Check {
        id: "cert-self-signed",
        severity: Error,
        title: "the certificate is signed by itself",
        why: "Nobody vouches for it: a man in the middle can make one that looks the same. Clients \
            either refuse it or have been told to accept anything.",
        fix: "Replace the certificate that came with the installation by one from an authority (ACME \
            does it free of charge). Where only known clients connect, pin it by DANE or hand it to them \
            as a root.",
        spec: "RFC 5280 section 6.1; RFC 7672 section 3.1 (DANE)",
    },
    Check {
        id: "cert-name",
        severity: Error,
        title: "the certificate is for another name",
        why: "A verifying client compares the name that it was given with those in the certificate, \
            and refuses when none matches. For mail the name is the host in the MX record or in the \
            client's settings, for XMPP the domain.",
        fix: "Issue the certificate for every name that clients use, or change their settings, the \
            MX or the SRV record to a name that it has. The report lists the names.",
        spec: "RFC 9525 section 6; RFC 7817 section 3; RFC 6120 section 13.7.1.2; RFC 4513 section 3.1.3",
    },
    Check {
        id: "cert-dates",
        severity: Error,
        title: "the certificate is not valid now",
        why: "It has expired, or is not valid yet. Verifying clients refuse it; and people who get \
            used to the warning accept the next one too, which may be an attack.",
        fix: "Renew it, and make the service load the new file: a renewal without a reload is the \
            usual reason. Check the server's clock if the dates look right.",
        spec: "RFC 5280 section 4.1.2.5 and 6.1.3",
    },
    Check {
        id: "cert-expiry",
        severity: Warning,
        title: "the certificate expires soon",
        why: "Automatic renewal should have replaced it by now. When it expires, verifying clients \
            stop connecting, usually at night and all at once.",
        fix: "Look into the log of the renewal job, renew now, and reload the service. Give the job \
            a hook that reloads every service with this certificate.",
        spec: "RFC 5280 section 4.1.2.5",
    },
    Check {
        id: "cert-key",
        severity: Error,
        title: "the key is too weak",
        why: "RSA below 2048 bits, and curves below 256, are within reach of a determined attacker, \
            who can then pose as this server. Clients and authorities have begun to refuse them.",
        fix: "Make a new key (EC P-256, or RSA with 2048 bits or more) and have a new certificate \
            issued for it.",
        spec: "RFC 9325 section 4.5; CA/Browser Forum baseline requirements 6.1.5",
    },
    Check {
        id: "cert-signature",
        severity: Error,
        title: "a signature in the chain uses a broken algorithm",
        why: "MD5 and SHA-1 collide: a certificate with such a signature can be forged. Current TLS \
            libraries refuse the chain, a root's own signature excepted, which nobody checks.",
        fix: "Have the certificate issued anew, signed with SHA-256 or better, and replace old \
            intermediates.",
        spec: "RFC 9155; RFC 9325 section 4.5; RFC 8446 section 4.4.2.2",
    },
    Check {
        id: "cert-usage",
        severity: Error,
        title: "the certificate is not meant for servers",
        why: "Its key usage or extended key usage rules this use out: it was issued for a client, \
            for signing code, or is an authority itself. Strict clients refuse it.",
        fix: "Have a certificate issued with the extended key usage serverAuth, digitalSignature in \
            the key usage, and without the CA flag.",
        spec: "RFC 5280 section 4.2.1.3 and 4.2.1.12",
    },
    Check {
        id: "cert-san",
        severity: Warning,
        title: "the names are not where clients look for them",
        why: "Names belong into the subjectAltName extension; the common name is no longer read. \
            Without it current clients find no name at all. A list with internal names, or with \
            wildcards that cover too much, tells attackers more than needed.",
        fix: "Have the certificate issued with every name in subjectAltName (SRV-ID or XmppAddr too \
            where the protocol wants them), and without names that nobody outside needs.",
        spec: "RFC 9525 section 4; RFC 7817 section 4",
    },
    Check {
        id: "cert-ocsp",
        severity: Warning,
        title: "revocation is not proved as the certificate demands",
        why: "The certificate says \"must staple\" and the server sends no OCSP response, or sends \
            one that is stale. Clients that heed it refuse the connection. Without must-staple a missing \
            response is no fault.",
        fix: "Enable OCSP stapling and let the server reach the authority's responder, or have the \
            certificate issued without must-staple; short-lived certificates need neither.",
        spec: "RFC 7633 section 4; RFC 6066 section 8; RFC 6960 section 4.2.2.1",
    },
    Check {
        id: "cert-no-sni",
        severity: Info,
        title: "without SNI another certificate is served",
        why: "Some clients, mail servers among them, connect without telling a name. What they get \
            decides whether they can verify the server, and shows which names share the address.",
        fix: "Make the certificate with the name in the MX record the default of this listener.",
        spec: "RFC 6066 section 3; RFC 9325 section 3.7",
    },
    Check {
        id: "cert-unknown-sni",
        severity: Info,
        title: "an unknown name gets an answer worth knowing",
        why: "A server may refuse a name that it does not know or serve its default certificate; \
            both are allowed. A crash, a hang, or a certificate of somebody else's is not what its \
            administrator wants.",
        fix: "Set a default certificate for unknown names, or refuse them with the alert \
            unrecognized_name.",
        spec: "RFC 6066 section 3; RFC 9325 section 3.7",
    },
];
