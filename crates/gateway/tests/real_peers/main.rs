//! Other people's clients, the gateway, other people's servers: the front upgraded and verified, the backend's tls_mode
//! in cleartext to a server with its TLS off, and upgraded and verified to a server with its TLS on.
//!
//! A program that is not installed fails its test and names the Debian package.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking, in its helpers too")]

mod cyrus;
mod http;
mod imap;
mod irc;
mod ldap;
mod lmtp;
mod mysql;
mod nntp;
mod nut;
mod optional;
mod pop3;
mod postgres;
mod real_backend;
mod sieve;
mod smtp;
mod xmpp;

#[path = "../../../lab/tests/real_clients/client.rs"]
mod client;

use starttls::proto::PROTOCOLS;
use starttls_lab::real::SERVERS;

/// Every server with what clients have to say to it.
macro_rules! servers {
    ($($name:ident: $($talks:expr),+;)+) => {
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

        pub(crate) const TALKS: &[(&str, &[&[Talk]])] = &[$((stringify!($name), &[$($talks),+])),+];
    };
}

/// Whom they talk to.
mod to {
    use crate::real_backend::{Backend, Talk, TlsMode};

    servers! {
        cups: crate::http::TALKS;
        dovecot: crate::lmtp::TALKS, crate::imap::TALKS, crate::pop3::TALKS, crate::sieve::TALKS;
        inn: crate::nntp::TALKS;
        inspircd: crate::irc::TALKS;
        mariadb: crate::mysql::TALKS;
        nut: crate::nut::TALKS;
        openldap: crate::ldap::TALKS;
        postfix: crate::smtp::TALKS;
        postgresql: crate::postgres::TALKS;
        prosody: crate::xmpp::TALKS;
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
    // Its data connections have a way of their own through the gateway.
    let others = PROTOCOLS.iter().map(|it| it.name).filter(|it| *it != "ftp");
    for protocol in others {
        let server = SERVERS.iter().find(|it| it.protocols.contains(&protocol)).unwrap();
        assert!(to::TALKS.iter().any(|(name, _)| *name == server.name), "nobody speaks to {}", server.name);
    }
}
