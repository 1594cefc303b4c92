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
            suites; a larger one asks for more.",
        fix: "Compare the inventory with the configuration, and disable what no client needs.",
        spec: "RFC 8446 section 4.1; RFC 9325 section 3 and 4",
    },
    Check {
        id: "tls-profile",
        severity: Error,
        title: "the server does not meet the chosen TLS profile",
        why: "A profile contains the requirements of a guideline, such as RFC 9325, or of your own file. The \
            check compares the server with it and reports one row for each requirement. A requirement \
            that the survey did not ask for is inconclusive, never met.",
        fix: "Change the server's configuration for each row that failed, or choose the profile that fits \
            the clients of the server.",
        spec: "starttls explain profile NAME shows the requirements and their source",
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
    Check {
        id: "tls-none",
        severity: Error,
        title: "the server offers nothing better than TLS 1.1",
        why: "Current clients require TLS 1.2 or 1.3. They cannot connect, and some of them fall back to \
            cleartext. The versions that the server offers are forbidden.",
        fix: "Update the TLS library, and enable TLS 1.2 and TLS 1.3.",
        spec: "RFC 8996 section 4 and 5; RFC 9325 section 3.1.1",
    },
    Check {
        id: "tls-block",
        severity: Warning,
        title: "the server offers suites with 64-bit blocks",
        why: "With 3DES or IDEA, an attacker who records about 32 GB of one connection can recover parts of \
            it (SWEET32). Long sessions that repeat a secret are at risk. On a server that other mail servers \
            deliver to this is a remark only.",
        fix: "Remove 3DES and IDEA from the list of cipher suites.",
        spec: "RFC 9325 section 4.1; CVE-2016-2183",
    },
    Check {
        id: "tls-static",
        severity: Warning,
        title: "the server offers suites without forward secrecy",
        why: "With a static key exchange, an attacker who obtains the server's key can decrypt earlier \
            recordings. RSA key transport is also the precondition of padding attacks such as ROBOT. On a \
            server that other mail servers deliver to this is a remark only.",
        fix: "Limit the list of cipher suites to those with ECDHE.",
        spec: "RFC 9325 section 4.1; RFC 10015",
    },
    Check {
        id: "tls-cbc",
        severity: Info,
        title: "the server offers suites in CBC mode",
        why: "CBC with a MAC before the encryption was the target of many padding attacks. Implementations \
            have countermeasures, and encrypt-then-MAC removes the cause. A server that offers nothing else \
            has no authenticated encryption.",
        fix: "Put suites with AES-GCM or ChaCha20-Poly1305 first, and remove CBC suites that no client needs.",
        spec: "RFC 9325 section 4.2; RFC 7366",
    },
    Check {
        id: "tls-dhe",
        severity: Info,
        title: "the server offers finite-field Diffie-Hellman",
        why: "This key exchange is slow, its parameters are often too small, and TLS 1.2 cannot negotiate \
            them. ECDHE replaces it.",
        fix: "Remove DHE suites from the list of cipher suites.",
        spec: "RFC 10015; RFC 9325 section 4.2",
    },
    Check {
        id: "tls-dh-size",
        severity: Error,
        title: "the prime of a Diffie-Hellman exchange is too short",
        why: "Primes up to 768 bits have been broken, and those of 1024 bits are within reach of large \
            attackers, in particular if many servers share them (Logjam). The severity depends on the \
            size: up to 768 bits critical, up to 1024 error, below 2048 warning. Anonymous suites give no \
            protection from an active attacker anyway, so for these it is a remark.",
        fix: "Use parameters of at least 2048 bits, such as the groups of RFC 7919, or remove DHE suites.",
        spec: "RFC 9325 section 4.4; CVE-2015-4000",
    },
    Check {
        id: "tls-dh-reuse",
        severity: Warning,
        title: "the server uses a Diffie-Hellman value twice",
        why: "A value that is used for several connections has no full forward secrecy. It is also the \
            precondition of a timing attack on the shared secret (Raccoon).",
        fix: "Update the TLS library, or set the option that creates a new value for each connection \
            (SSL_OP_SINGLE_DH_USE).",
        spec: "RFC 9325 section 7.4; CVE-2020-1968",
    },
    Check {
        id: "tls-curve",
        severity: Error,
        title: "the server accepts a weak or unusual curve",
        why: "Curves below 224 bits are too short, curves over binary fields are deprecated, and explicit \
            parameters allow an attacker to choose a curve without security. The server agreed to one of \
            these.",
        fix: "Limit the groups (\"curves\") to X25519, P-256 and P-384, with X25519MLKEM768 first.",
        spec: "RFC 8422 section 5.1.1; RFC 9325 section 4.2.1",
    },
    Check {
        id: "tls-hash",
        severity: Warning,
        title: "the server signs the handshake with SHA-1 or MD5",
        why: "Signatures with these hashes can be forged with enough computation. An attacker who does so \
            takes the server's place (SLOTH). Current clients do not offer them.",
        fix: "Remove SHA-1 and MD5 from the signature algorithms, or update the TLS library.",
        spec: "RFC 9155 section 2 and 3",
    },
    Check {
        id: "tls-order",
        severity: Info,
        title: "the client decides between weak and strong suites",
        why: "A server that follows the client's order of preference uses a weak suite if a client lists it \
            first. With secure suites only, the client's order is the better one, because the client knows \
            what its processor does fast.",
        fix: "Remove the weak suites, or enable the server's order of preference.",
        spec: "RFC 9325 section 4.2.1",
    },
    Check {
        id: "tls-compression",
        severity: Warning,
        title: "the server accepts TLS compression",
        why: "The length of compressed records reveals secrets to an attacker who can add text of their own \
            to the session (CRIME). Mail protocols are exposed less than HTTP, but gain nothing from it.",
        fix: "Disable compression in the TLS library (SSL_OP_NO_COMPRESSION), or update it.",
        spec: "RFC 9325 section 3.3; CVE-2012-4929",
    },
    Check {
        id: "tls-master",
        severity: Warning,
        title: "TLS 1.2 works without extended master secret",
        why: "Without this extension two sessions can have the same keys, which lets an attacker join the \
            sessions of a client and a server (triple handshake). Channel binding and client certificates \
            then prove nothing.",
        fix: "Update the TLS library.",
        spec: "RFC 7627 section 4; RFC 9325 section 3.5",
    },
    Check {
        id: "tls-fallback",
        severity: Warning,
        title: "the server has no protection from downgrades",
        why: "An attacker on the path can make a client try an older version. The server should refuse it by \
            TLS_FALLBACK_SCSV, and mark the older version in its random if it knows TLS 1.3.",
        fix: "Update the TLS library. A server with TLS 1.2 and 1.3 only needs no TLS_FALLBACK_SCSV.",
        spec: "RFC 7507 section 3; RFC 8446 section 4.1.3",
    },
    Check {
        id: "tls-heartbeat",
        severity: Info,
        title: "the server negotiates heartbeat",
        why: "The extension was made for datagrams and has no use on TCP. OpenSSL before April 2014 sends \
            memory to anyone who uses it (Heartbleed). The audit does not test that, because a test reads \
            the server's memory.",
        fix: "Update the TLS library: current ones have no heartbeat.",
        spec: "RFC 6520; CVE-2014-0160",
    },
    Check {
        id: "tls-client-auth",
        severity: Info,
        title: "the server asks for client certificates",
        why: "The request contains the names of authorities, which may be internal. Some clients fail on a \
            request for a certificate that they do not have.",
        fix: "If no client has a certificate, disable the request.",
        spec: "RFC 5246 section 7.4.4",
    },
    Check {
        id: "tls-broken",
        severity: Warning,
        title: "the server chooses a suite that it cannot use",
        why: "The server answers with a suite and then ends the handshake. A client that lists this suite \
            first cannot connect, although another suite would work.",
        fix: "Find the suite in the evidence. Configure what it needs, such as parameters or a certificate of \
            its type, or remove it from the list of cipher suites.",
        spec: "RFC 5246 section 7.4.3",
    },
    Check {
        id: "tls-intolerant",
        severity: Warning,
        title: "the server fails on a valid ClientHello",
        why: "A server must ignore values that it does not know, choose the newest version that both sides \
            have, and answer a hello of any length and without a key share. One that fails on such a hello \
            excludes new clients, and is the reason for insecure fallbacks.",
        fix: "Update the TLS library, or the firewall or load balancer on the path that parses hellos.",
        spec: "RFC 8701 section 3; RFC 8446 section 4.2.8; RFC 7685; RFC 5246 appendix E.1",
    },
    Check {
        id: "tls-random",
        severity: Info,
        title: "the server's random contains its clock or repeats",
        why: "Older versions put the time into the first four octets, which helps to recognize a server. A \
            random that is the same in two connections removes the protection from replayed messages.",
        fix: "Update the TLS library.",
        spec: "RFC 8446 section 4.1.3; RFC 5246 section 7.4.1.2",
    },
];
