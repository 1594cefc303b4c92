//! Checks of the certificate: does it prove the server's name to the clients?

use super::Check;
use crate::report::Severity::{Error, Info, Warning};

pub(super) const CHECKS: &[Check] = &[
    Check {
        id: "cert-chain",
        severity: Error,
        title: "the certificate does not lead to a trusted root",
        why: "Clients that verify certificates refuse the connection. Clients that do not verify cannot \
            distinguish this server from an attacker. The audit trusts the roots of the system's store, \
            and the roots that the user added.",
        fix: "Use a certificate from a CA that your clients trust, for example through ACME, or install \
            your own root on every client and add it to the roots of this audit. If the issuer is an \
            intermediate CA, configure the server to send its certificate (\"fullchain\").",
        spec: "RFC 5280 section 6; RFC 9325 section 6.1",
    },
    Check {
        id: "cert-incomplete",
        severity: Error,
        title: "the server does not send an intermediate certificate",
        why: "The server sends its own certificate without the certificate that links it to the root. \
            Clients that know the intermediate certificate from elsewhere connect and all others fail, so \
            the fault looks like a fault of the client.",
        fix: "Configure the file with the whole chain (\"fullchain\"): the server's certificate first, then \
            each intermediate certificate; the root is optional. If the issuer is your own root, add it to \
            the roots of this audit.",
        spec: "RFC 8446 section 4.4.2; RFC 5246 section 7.4.2",
    },
    Check {
        id: "cert-self-signed",
        severity: Error,
        title: "the certificate is self-signed",
        why: "No CA confirms the name in the certificate, so an attacker can create one that looks the \
            same. Clients either refuse it or are configured to accept every certificate.",
        fix: "Replace the certificate with one from a CA, for example through ACME. If only known clients \
            connect, pin it with DANE or install it on them as a root.",
        spec: "RFC 5280 section 6.1; RFC 7672 section 3.1 (DANE)",
    },
    Check {
        id: "cert-name",
        severity: Error,
        title: "the certificate is not valid for the server's name",
        why: "A client that verifies certificates compares the name it was given with the names in the \
            certificate, and refuses the connection if none matches. For mail this name is the host in the \
            MX record or in the client's settings, for XMPP it is the domain.",
        fix: "Issue a certificate that contains every name that clients use. Otherwise change the clients' \
            settings, the MX record or the SRV record to a name in the certificate; the report lists them.",
        spec: "RFC 9525 section 6; RFC 7817 section 3; RFC 6120 section 13.7.1.2; RFC 4513 section 3.1.3",
    },
    Check {
        id: "cert-dates",
        severity: Error,
        title: "the certificate has expired or is not valid yet",
        why: "Clients that verify certificates refuse the connection. Users who learn to ignore this \
            warning also ignore it during an attack.",
        fix: "Renew the certificate, and reload the service: a renewal without a reload is the usual cause. \
            Check the server's clock if the dates look correct.",
        spec: "RFC 5280 section 4.1.2.5 and 6.1.3",
    },
    Check {
        id: "cert-expiry",
        severity: Warning,
        title: "the certificate expires soon",
        why: "An automatic renewal should have replaced the certificate by now. When it expires, all clients \
            that verify certificates stop connecting at the same time.",
        fix: "Check the log of the renewal job, renew the certificate now, and reload the service. Add a \
            hook to the job that reloads every service with this certificate.",
        spec: "RFC 5280 section 4.1.2.5",
    },
    Check {
        id: "cert-key",
        severity: Error,
        title: "the key of the certificate is too weak",
        why: "An attacker with enough computing power can break RSA keys below 2048 bits and elliptic curves \
            below 256 bits, and then impersonate this server. Current clients and CAs refuse such keys.",
        fix: "Generate a new key (EC P-256, or RSA with at least 2048 bits) and request a new certificate \
            for it.",
        spec: "RFC 9325 section 4.5; CA/Browser Forum baseline requirements 6.1.5",
    },
    Check {
        id: "cert-signature",
        severity: Error,
        title: "a signature in the chain uses a broken algorithm",
        why: "Collisions of MD5 and SHA-1 can be computed, so a certificate with such a signature can be \
            forged. Current TLS libraries refuse the chain. The signature of the root itself does not \
            matter, because no client verifies it.",
        fix: "Request a new certificate that is signed with SHA-256 or better, and replace old intermediate \
            certificates.",
        spec: "RFC 9155; RFC 9325 section 4.5; RFC 8446 section 4.4.2.2",
    },
    Check {
        id: "cert-usage",
        severity: Error,
        title: "the certificate is not issued for servers",
        why: "The key usage or extended key usage excludes TLS servers: the certificate was issued for a \
            client, for code signing, or for a CA. Strict clients refuse it.",
        fix: "Request a certificate with serverAuth in the extended key usage, with digitalSignature in the \
            key usage, and without the CA flag.",
        spec: "RFC 5280 section 4.2.1.3 and 4.2.1.12",
    },
    Check {
        id: "cert-san",
        severity: Warning,
        title: "the certificate has no usable names in subjectAltName",
        why: "Clients read the names from the subjectAltName extension and ignore the common name. Without \
            the extension current clients find no name. A list with internal names or broad wildcards \
            reveals more to attackers than necessary.",
        fix: "Request a certificate with every public name in subjectAltName (also as SRV-ID or XmppAddr if \
            the protocol requires it), and without internal names.",
        spec: "RFC 9525 section 4; RFC 7817 section 4",
    },
    Check {
        id: "cert-ocsp",
        severity: Warning,
        title: "the stapled OCSP response is invalid, or a required one is missing",
        why: "A response shows that the CA has not revoked the certificate. It must be about this \
            certificate, signed by the CA, and current; a response that reports a revoked certificate is \
            critical. Clients refuse a certificate with \"must staple\" without a valid response; without \
            must-staple a missing response is not a fault.",
        fix: "Enable OCSP stapling and allow the server to reach the CA's responder, or request a \
            certificate without must-staple. Short-lived certificates need neither.",
        spec: "RFC 7633 section 4; RFC 6066 section 8; RFC 6960 section 3.2 and 4.2.2",
    },
    Check {
        id: "cert-transparency",
        severity: Info,
        title: "no signed certificate timestamps are sent",
        why: "Public CAs log each certificate, and a timestamp proves that. A log shows certificates that a CA \
            issued by mistake or to an attacker. Browsers refuse certificates of public CAs without \
            timestamps; mail clients do not ask for them, and private CAs have none.",
        fix: "For a public CA, request a certificate with embedded timestamps, as all of them issue by default.",
        spec: "RFC 6962 section 3.3; RFC 9162",
    },
    Check {
        id: "cert-no-sni",
        severity: Info,
        title: "the server presents another certificate without SNI",
        why: "Some clients, including mail servers, connect without a server name (SNI). The certificate \
            that they receive decides whether they can verify the server, and shows which names share the \
            address.",
        fix: "Configure the certificate for the name in the MX record as the default of this listener.",
        spec: "RFC 6066 section 3; RFC 9325 section 3.7",
    },
    Check {
        id: "cert-unknown-sni",
        severity: Info,
        title: "how the server answers an unknown server name",
        why: "For an unknown name in SNI a server may refuse the handshake or present its default \
            certificate; both are allowed. A crash, a timeout, or the certificate of another customer is a \
            fault of the configuration.",
        fix: "Configure a default certificate for unknown names, or refuse them with the alert \
            unrecognized_name.",
        spec: "RFC 6066 section 3; RFC 9325 section 3.7",
    },
    Check {
        id: "cert-types",
        severity: Info,
        title: "the certificates for RSA and for ECDSA differ",
        why: "A server can present one certificate to clients with ECDSA and another to those with RSA only. \
            If their names or dates differ, some clients fail while others connect, which is hard to find.",
        fix: "Request both certificates for the same names, and renew them together.",
        spec: "RFC 8446 section 4.4.2.2; RFC 5246 section 7.4.2",
    },
];
