//! Real clients of real servers that are dialed while the clients complete their handshakes.

use crate::real_backend::{Backend, Talk, TlsMode};

fn served(server: &str, tls_mode: TlsMode, talks: &[Talk]) {
    let backend = Backend::start(server, tls_mode);
    talks.iter().for_each(|talk| backend.hears_with(*talk, "early-dial = true"));
}

#[test]
fn servers_that_greet_are_dialed_early() {
    served("dovecot", TlsMode::Upgraded, crate::imap::TALKS);
    served("postfix", TlsMode::Cleartext, crate::smtp::TALKS);
}

#[test]
fn servers_whose_clients_speak_first_are_dialed_early() {
    served("openldap", TlsMode::Upgraded, crate::ldap::TALKS);
    served("postgresql", TlsMode::Cleartext, crate::postgres::TALKS);
}
