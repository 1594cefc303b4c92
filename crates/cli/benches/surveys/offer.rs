//! What a tool reports about a server, as sets.

use std::collections::BTreeSet;

use starttls_hello::{CipherSuite, NamedGroup, Version};

/// What a server offers. A set that a tool does not report is `None`.
#[derive(Clone, Debug, Default)]
pub(crate) struct Offer {
    pub(crate) versions: Option<BTreeSet<Version>>,
    pub(crate) suites: Option<BTreeSet<(Version, CipherSuite)>>,
    pub(crate) groups: Option<BTreeSet<NamedGroup>>,
    /// The sizes of finite-field Diffie-Hellman primes up to TLS 1.2, in bits.
    pub(crate) primes: Option<BTreeSet<u32>>,
    /// SHA-256 of the server's own certificates, in hexadecimal.
    pub(crate) certificates: Option<BTreeSet<String>>,
}

/// An item that either the survey or a tool found, and the other did not.
#[derive(Debug)]
pub(crate) struct Difference {
    pub(crate) kind: Kind,
    pub(crate) finder: Finder,
    pub(crate) item: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Finder {
    Survey,
    Tool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Kind {
    Versions,
    Suites,
    Groups,
    Primes,
    Certificates,
}

impl Kind {
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Versions => "versions",
            Self::Suites => "suites",
            Self::Groups => "groups",
            Self::Primes => "Diffie-Hellman",
            Self::Certificates => "certificates",
        }
    }
}

impl Offer {
    /// Returns an offer with nothing in its sets.
    pub(crate) fn empty() -> Self {
        Self {
            versions: Some(BTreeSet::new()),
            suites: Some(BTreeSet::new()),
            groups: Some(BTreeSet::new()),
            primes: Some(BTreeSet::new()),
            certificates: Some(BTreeSet::new()),
        }
    }

    /// Returns the sizes of the sets.
    pub(crate) fn counts(&self) -> [String; 5] {
        let count = |size: Option<usize>| size.map_or_else(|| String::from("-"), |size| size.to_string());
        [
            count(self.versions.as_ref().map(BTreeSet::len)),
            count(self.suites.as_ref().map(BTreeSet::len)),
            count(self.groups.as_ref().map(BTreeSet::len)),
            count(self.primes.as_ref().map(BTreeSet::len)),
            count(self.certificates.as_ref().map(BTreeSet::len)),
        ]
    }

    /// Returns what either this survey or a tool found, as far as both report it.
    pub(crate) fn differences(&self, tool: &Self) -> Vec<Difference> {
        let mut found = Vec::new();
        compare(&mut found, Kind::Versions, &self.versions, &tool.versions, Version::to_string);
        let suite = |(version, suite): &(Version, CipherSuite)| format!("{suite} ({version})");
        compare(&mut found, Kind::Suites, &self.suites, &tool.suites, suite);
        compare(&mut found, Kind::Groups, &self.groups, &tool.groups, NamedGroup::to_string);
        compare(&mut found, Kind::Primes, &self.primes, &tool.primes, |bits| format!("{bits} bits"));
        compare(&mut found, Kind::Certificates, &self.certificates, &tool.certificates, |sha256| {
            sha256.chars().take(16).collect()
        });
        found
    }
}

fn compare<T: Ord>(
    found: &mut Vec<Difference>,
    kind: Kind,
    survey: &Option<BTreeSet<T>>,
    tool: &Option<BTreeSet<T>>,
    name: impl Fn(&T) -> String,
) {
    let (Some(survey), Some(tool)) = (survey, tool) else { return };
    for (finder, one, other) in [(Finder::Survey, survey, tool), (Finder::Tool, tool, survey)] {
        found.extend(one.difference(other).map(|item| Difference { kind, finder, item: name(item) }));
    }
}
