//! The reasons for differences, each with what it may explain. `docs/benchmarks.md` shows them.

use std::collections::BTreeMap;

use crate::offer::{Difference, Finder, Kind};

/// A reason for which a tool and the survey may differ.
struct Reason {
    tool: &'static str,
    finder: Finder,
    kind: Kind,
    /// Whether this reason covers an item on a server.
    covers: fn(server: &str, item: &str) -> bool,
    why: &'static str,
}

const REASONS: &[Reason] = &[
    Reason {
        tool: "sslscan",
        finder: Finder::Survey,
        kind: Kind::Suites,
        covers: |_, item| item.ends_with("(SSL 3.0)"),
        why: "It tests for SSL 3.0 but does not list its suites: its OpenSSL is built without SSL 3.0.",
    },
    Reason {
        tool: "sslscan",
        finder: Finder::Survey,
        kind: Kind::Groups,
        covers: |_, item| item.starts_with("brainpool") && item.ends_with("tls13"),
        why: CODES_OF_RFC_8734,
    },
    Reason {
        tool: "sslyze",
        finder: Finder::Survey,
        kind: Kind::Suites,
        covers: |_, item| item.starts_with("TLS_DH_anon_WITH_CAMELLIA") && item.contains("SHA256"),
        why: "Its list of suites lacks them.",
    },
    Reason {
        tool: "sslyze",
        finder: Finder::Survey,
        kind: Kind::Groups,
        covers: |_, item| item.starts_with("ffdhe"),
        why: "It asks for elliptic curves only.",
    },
    Reason {
        tool: "sslyze",
        finder: Finder::Survey,
        kind: Kind::Groups,
        covers: |_, item| item.starts_with("brainpool"),
        why: "It asks at the newest version only, and its OpenSSL has no Brainpool curves in TLS 1.3.",
    },
    Reason {
        tool: "testssl.sh",
        finder: Finder::Survey,
        kind: Kind::Groups,
        covers: |_, item| item.starts_with("brainpool") && item.ends_with("tls13"),
        why: CODES_OF_RFC_8734,
    },
    Reason {
        tool: "nmap",
        finder: Finder::Survey,
        kind: Kind::Certificates,
        covers: |server, _| matches!(server, "openssl s_server" | "gnutls-serv"),
        why: "It reads the certificate of one handshake, and the server has two.",
    },
];

const CODES_OF_RFC_8734: &str = "It does not ask for the Brainpool curves of TLS 1.3 (RFC 8734).";

/// The differences that were found, by their reason.
#[derive(Default)]
pub(crate) struct Explained(BTreeMap<Row, Found>);

#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct Row {
    tool: &'static str,
    finder: Finder,
    kind: Kind,
    why: Option<&'static str>,
}

#[derive(Default)]
struct Found {
    servers: Vec<&'static str>,
    items: Vec<String>,
}

impl Explained {
    /// Adds the differences between a tool and the survey on a server.
    pub(crate) fn add(&mut self, server: &'static str, tool: &'static str, differences: Vec<Difference>) {
        for Difference { kind, finder, item } in differences {
            let reason = REASONS.iter().find(|it| {
                (it.tool, it.finder, it.kind) == (tool, finder, kind) && (it.covers)(server, &item)
            });
            let row = Row { tool, finder, kind, why: reason.map(|reason| reason.why) };
            let found = self.0.entry(row).or_default();
            if !found.servers.contains(&server) {
                found.servers.push(server);
            }
            if !found.items.contains(&item) {
                found.items.push(item);
            }
        }
    }

    /// Returns whether every difference has a reason.
    pub(crate) fn is_complete(&self) -> bool {
        self.0.keys().all(|row| row.why.is_some())
    }

    /// Returns the cells of a table.
    pub(crate) fn lines(&self) -> impl Iterator<Item = String> {
        const SHOWN: usize = 5;
        self.0.iter().map(|(Row { tool, finder, kind, why }, Found { servers, items })| {
            let shown = items.get(..SHOWN).unwrap_or(items).join(", ");
            let more = match items.len().saturating_sub(SHOWN) {
                0 => String::new(),
                more => format!(" and {more} more"),
            };
            let finder = match finder {
                Finder::Survey => "the survey",
                Finder::Tool => tool,
            };
            let (servers, why) = (servers.join(", "), why.unwrap_or("NO REASON"));
            format!("{tool}\t{servers}\t{finder}\t{}: {shown}{more}\t{why}", kind.name())
        })
    }
}
