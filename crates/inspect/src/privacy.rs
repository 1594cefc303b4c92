//! Reports without users, and without addresses and names.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use sha2::{Digest, Sha256};

use crate::facts::{CertificateView, Facts};

/// How reports show the users of logins.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ShownUsers {
    /// As they are.
    #[default]
    Yes,
    /// As a hash, by which the logins of one user can be counted. Everyone who guesses a name can verify it.
    Hash,
    /// Not at all.
    No,
}

/// The most addresses that get a number of their own.
const MAX_ADDRESSES: usize = 1_000_000;

/// What reports contain of addresses and names.
#[derive(Debug, Default)]
pub(crate) struct Privacy {
    pub(crate) users: ShownUsers,
    /// The replacements of addresses so far, if addresses and names are replaced.
    pub(crate) addresses: Option<HashMap<IpAddr, IpAddr>>,
}

impl Privacy {
    /// Returns what stands for this address in reports: itself, or the next address of a private network.
    pub(crate) fn address(&mut self, address: SocketAddr) -> SocketAddr {
        let Some(known) = &mut self.addresses else { return address };
        let number = known.len() as u32 + 1;
        let new = match address.ip() {
            IpAddr::V4(_) => IpAddr::from(Ipv4Addr::from(0x0a00_0000 | number)),
            IpAddr::V6(_) => IpAddr::from(Ipv6Addr::from(0xfd00_u128 << 112 | u128::from(number))),
        };
        let is_full = known.len() >= MAX_ADDRESSES;
        let ip = match known.get(&address.ip()) {
            Some(ip) => *ip,
            None if is_full => IpAddr::from(Ipv4Addr::UNSPECIFIED),
            None => *known.entry(address.ip()).or_insert(new),
        };
        SocketAddr::new(ip, address.port())
    }

    /// Removes what the report must not contain.
    pub(crate) fn apply(&mut self, facts: &mut Facts) {
        let shown = |name: &mut String| match self.users {
            ShownUsers::Yes => {}
            ShownUsers::Hash => *name = hash(name),
            ShownUsers::No => name.clear(),
        };
        for login in &mut facts.credentials {
            login.user.iter_mut().for_each(shown);
            login.user = login.user.take().filter(|user| !user.is_empty());
        }
        // An XMPP stream may name the user's address.
        facts.names.iter_mut().filter(|name| name.contains('@')).for_each(shown);
        facts.names.retain(|name| !name.is_empty());
        if self.addresses.is_some() {
            self.anonymize(facts);
        }
    }

    fn anonymize(&mut self, facts: &mut Facts) {
        facts.names.clear();
        facts.credentials.iter_mut().for_each(|login| login.user = None);
        // The text of a message may contain a name.
        facts.clues.iter_mut().for_each(|clue| clue.text.clear());
        for hop in &mut facts.proxies {
            for end in [&mut hop.source, &mut hop.destination].into_iter().flatten() {
                let address = end.parse().map(|address| self.address(address).to_string());
                *end = address.unwrap_or_else(|_| hash(end));
            }
        }
        let Some(handshake) = &mut facts.handshake else { return };
        handshake.sni = None;
        let names_sni = |fault: &String| fault.starts_with("the certificate is not for");
        for fault in handshake.certificate_faults.iter_mut().filter(|fault| names_sni(fault)) {
            *fault = String::from("the certificate is not for the requested name");
        }
        if let Some(CertificateView::Visible { sha256, subject, issuer, names, .. }) =
            &mut handshake.certificate
        {
            (*subject, *issuer) = (None, None);
            names.clear();
            // The fingerprint identifies the server in public logs.
            *sha256 = hash(sha256);
        }
    }
}

fn hash(text: &str) -> String {
    Sha256::digest(text).iter().take(8).map(|octet| format!("{octet:02x}")).collect()
}
