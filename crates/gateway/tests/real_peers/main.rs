//! The gateway between established clients and servers. The client upgrades and verifies the gateway. The gateway
//! connects in cleartext to a server without TLS, and with an upgrade and verification to a server with TLS.
//!
//! If a program is not installed, its test fails and names the Debian package.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking, in its helpers too")]

mod cyrus;
mod early_dial;
mod http;
mod imap;
mod irc;
mod ldap;
mod lmtp;
mod mysql;
mod nats;
mod nbd;
mod nntp;
mod nut;
mod optional;
mod pop3;
mod postgres;
mod rdp;
mod real_backend;
mod sieve;
mod smtp;
mod vnc;
mod xmpp;

#[path = "../../../testkit/tests/real_clients/client.rs"]
mod client;

use starttls::proto::PROTOCOLS;
use starttls_testkit::real::SERVERS;

/// Makes tests for each server from the list of its clients. Those in brackets have no sessions in cleartext.
macro_rules! servers {
    ($($name:ident: $($talks:expr),+;)+ [$($tls_name:ident: $($tls_talks:expr),+;)+]) => {
        $(mod $tls_name {
            use super::*;

            #[test]
            fn upgraded_and_verified() {
                let backend = Backend::start(stringify!($tls_name), TlsMode::Upgraded);
                [$($tls_talks),+].concat().into_iter().for_each(|talk| backend.hears(talk));
                backend.is_audited();
            }
        })+

        $(mod $name {
            use super::*;

            #[test]
            fn in_cleartext() {
                talk(TlsMode::Cleartext);
            }

            #[test]
            fn upgraded_and_verified() {
                talk(TlsMode::Upgraded);
            }

            fn talk(tls_mode: TlsMode) {
                let backend = Backend::start(stringify!($name), tls_mode);
                [$($talks),+].concat().into_iter().for_each(|talk| backend.hears(talk));
                backend.is_audited();
            }
        })+

        pub(crate) const TALKS: &[(&str, &[&[Talk]])] =
            &[$((stringify!($name), &[$($talks),+]),)+ $((stringify!($tls_name), &[$($tls_talks),+])),+];
    };
}

/// The backend of the tests that the macro makes.
mod to {
    use crate::real_backend::{Backend, Talk, TlsMode};

    servers! {
        cups: crate::http::TALKS;
        dovecot: crate::lmtp::TALKS, crate::imap::TALKS, crate::pop3::TALKS, crate::sieve::TALKS;
        inn: crate::nntp::TALKS;
        inspircd: crate::irc::TALKS;
        mariadb: crate::mysql::TALKS;
        nats: crate::nats::TALKS;
        nbdkit: crate::nbd::TALKS;
        nut: crate::nut::TALKS;
        openldap: crate::ldap::TALKS;
        postfix: crate::smtp::TALKS;
        postgresql: crate::postgres::TALKS;
        prosody: crate::xmpp::TALKS;
        qemu: crate::nbd::TALKS;
        tigervnc: crate::vnc::TALKS;
        [xrdp: crate::rdp::TALKS;]
    }
}

#[test]
fn every_protocol_of_every_server_has_a_client() {
    for (server, talks) in to::TALKS {
        let server = SERVERS.iter().find(|it| it.name == *server).unwrap();
        for protocol in server.protocols {
            let talks = talks.iter().copied().flatten().filter(|talk| talk.protocol == *protocol);
            assert!(talks.count() > 0, "nobody speaks {protocol} to {}", server.name);
        }
    }
    // FTP has tests of its own, because the gateway relays its data connections separately.
    let served = PROTOCOLS.iter().map(|it| it.name).filter(|it| *it != "ftp");
    for server in served.filter_map(|protocol| SERVERS.iter().find(|it| it.protocols.contains(&protocol))) {
        assert!(to::TALKS.iter().any(|(name, _)| *name == server.name), "nobody speaks to {}", server.name);
    }
}
