//! URL schemes: `smtp`, `smtp+starttls`, `smtps`.

use crate::{PROTOCOLS, Protocol};

/// The point at which TLS starts, according to the scheme of a URL.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Start {
    /// Not specified: `smtp`.
    Unspecified,
    /// After an upgrade of the cleartext connection: `smtp+starttls`.
    Upgrade,
    /// At the first byte: `smtps`.
    FirstByte,
}

/// Returns the protocol with this name or alias, ignoring case.
pub fn protocol(name: &str) -> Option<&'static Protocol> {
    let called =
        |it: &&Protocol| [it.name].iter().chain(it.aliases).any(|own| own.eq_ignore_ascii_case(name));
    PROTOCOLS.iter().copied().find(called)
}

/// Returns the protocol and the start of TLS for a scheme, ignoring case.
pub fn scheme(name: &str) -> Option<(&'static Protocol, Start)> {
    let upgrade = name.rsplit_once('+').filter(|(_, how)| how.eq_ignore_ascii_case("starttls"));
    if let Some((name, _)) = upgrade {
        return protocol(name).map(|protocol| (protocol, Start::Upgrade));
    }
    let implicit = |it: &&Protocol| it.implicit_tls.is_some_and(|tls| tls.name.eq_ignore_ascii_case(name));
    let implicit = || PROTOCOLS.iter().copied().find(implicit).map(|it| (it, Start::FirstByte));
    protocol(name).map(|protocol| (protocol, Start::Unspecified)).or_else(implicit)
}

/// Returns the protocol that customarily uses this port, and the start of TLS there.
pub fn by_port(port: u16) -> Option<(&'static Protocol, Start)> {
    let upgrade = PROTOCOLS.iter().find(|it| it.port == port).map(|it| (*it, Start::Upgrade));
    let implicit = || PROTOCOLS.iter().find(|it| it.implicit_tls.is_some_and(|tls| tls.port == port));
    upgrade.or_else(|| implicit().map(|it| (*it, Start::FirstByte)))
}

/// Returns the primary names of all schemes, without those that end in `+starttls`.
pub fn schemes() -> impl Iterator<Item = &'static str> {
    PROTOCOLS.iter().flat_map(|it| [Some(it.name), it.implicit_tls.map(|tls| tls.name)]).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_scheme_names_the_protocol_and_where_tls_starts() {
        let said = |name: &str| scheme(name).map(|(protocol, start)| (protocol.name, start));
        assert_eq!(said("SMTP"), Some(("smtp", Start::Unspecified)));
        assert_eq!(said("imap+StartTLS"), Some(("imap", Start::Upgrade)));
        assert_eq!(said("IMAPS"), Some(("imap", Start::FirstByte)));
        assert_eq!(said("postgress"), Some(("postgres", Start::FirstByte)));
        assert_eq!(said("managesieve+starttls"), Some(("sieve", Start::Upgrade)));
        for none in ["", "+starttls", "imaps+starttls", "imap+tls", "gopher"] {
            assert_eq!(said(none), None, "{none}");
        }
    }

    #[test]
    fn no_scheme_means_two_things() {
        let aliases = PROTOCOLS.iter().flat_map(|it| it.aliases.iter().copied());
        let mut all: Vec<_> = schemes().chain(aliases).collect();
        all.sort_unstable();
        let count = all.len();
        all.dedup();
        assert_eq!(all.len(), count);
        assert!(all.iter().all(|name| scheme(name).is_some()));
    }

    #[test]
    fn ports_are_the_upgrades_first() {
        let at = |port| by_port(port).map(|(protocol, start)| (protocol.name, start));
        assert_eq!(at(587), Some(("submission", Start::Upgrade)));
        assert_eq!(at(465), Some(("submission", Start::FirstByte)));
        // PostgreSQL accepts both on one port.
        assert_eq!(at(5432), Some(("postgres", Start::Upgrade)));
        assert_eq!(at(1), None);
    }
}
