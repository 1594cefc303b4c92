//! The rules of a profile.

use std::fmt;

use starttls_hello::{CipherSuite, NamedGroup, SuiteClass, Version};
use starttls_x509::HashAlgorithm;

/// What a guideline requires of a TLS server.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TlsProfile {
    /// The name, such as `rfc9325`.
    pub name: String,
    /// The title of the guideline.
    pub title: String,
    /// Its version and date.
    pub version: String,
    /// The place where the requirements were read.
    pub source: String,
    /// How the requirements were read.
    pub certainty: Provenance,
    /// The servers that the guideline is about.
    pub applies_to: String,
    /// Requirements of the guideline that an audit does not test.
    pub untested: Vec<String>,
    pub(super) versions: Expectations<Version>,
    /// The suites up to TLS 1.2.
    pub(super) suites: Permissions<SuiteRule>,
    pub(super) suites_tls13: Permissions<SuiteRule>,
    pub(super) groups: Permissions<NamedGroup>,
    pub(super) dh_primes: Permissions<NamedGroup>,
    pub(super) sizes: Sizes,
    pub(super) signature_hashes: Permissions<HashAlgorithm>,
    pub(super) certificate_keys: Permissions<String>,
    pub(super) certificate_signatures: Permissions<String>,
    pub(super) certificate_days: Limit,
    pub(super) features: Expectations<Feature>,
}

/// How the requirements of a profile were read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Provenance {
    /// In the document, or in a file of its author.
    Read,
    /// In a published program that tests the guideline.
    Checker,
    /// The author of the file did not state it.
    #[default]
    Unstated,
}

impl fmt::Display for Provenance {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Read => "read in the document, or in a file of its author",
            Self::Checker => "taken from a published program that tests the guideline, not from the document",
            Self::Unstated => "not stated in the file",
        })
    }
}

/// How a guideline rates something. Greater values are worse.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Level {
    Accepted,
    /// The guideline does not mention it, and that is no fault.
    Unrated,
    Discouraged,
    Forbidden,
}

impl Level {
    /// The levels of something that may be at fault.
    pub(super) const FAULTS: [Self; 2] = [Self::Discouraged, Self::Forbidden];
}

/// Things that a server has to offer or must not offer, each by itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Expectations<T> {
    pub(super) required: Vec<T>,
    pub(super) recommended: Vec<T>,
    pub(super) discouraged: Vec<T>,
    pub(super) forbidden: Vec<T>,
}

/// The rating of everything that a server accepts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Permissions<T> {
    /// At least one of these must be accepted.
    pub(super) required_any: Vec<T>,
    pub(super) recommended_any: Vec<T>,
    pub(super) rated: Vec<(T, Level)>,
    pub(super) other: Level,
}

impl<T> Default for Expectations<T> {
    fn default() -> Self {
        let [required, recommended, discouraged, forbidden] = [const { Vec::new() }; 4];
        Self { required, recommended, discouraged, forbidden }
    }
}

impl<T> Default for Permissions<T> {
    fn default() -> Self {
        let (required_any, recommended_any, rated) = (Vec::new(), Vec::new(), Vec::new());
        Self { required_any, recommended_any, rated, other: Level::Accepted }
    }
}

impl<T: PartialEq> Permissions<T> {
    pub(super) fn level(&self, item: &T) -> Level {
        self.rated.iter().find(|(known, _)| known == item).map_or(self.other, |(_, level)| *level)
    }
}

impl Permissions<SuiteRule> {
    /// Returns the level of a suite: the one of its name, otherwise the worst one of its properties.
    pub(super) fn level_of(&self, suite: CipherSuite) -> Level {
        let named = |rule: &SuiteRule| *rule == SuiteRule::Suite(suite);
        let preferred = self.required_any.iter().chain(&self.recommended_any).any(named);
        let by_name = self.rated.iter().find(|(rule, _)| named(rule)).map(|(_, level)| *level);
        let by_property = self.rated.iter().filter(|(rule, _)| rule.matches(suite)).map(|(_, level)| *level);
        by_name.or(preferred.then_some(Level::Accepted)).or(by_property.max()).unwrap_or(self.other)
    }
}

/// A suite, or a property of suites.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum SuiteRule {
    Suite(CipherSuite),
    Class(SuiteClass),
    /// A key exchange, by its name.
    Exchange(&'static str),
    /// A mode of the cipher, by its name.
    Mode(&'static str),
}

impl SuiteRule {
    fn matches(self, suite: CipherSuite) -> bool {
        let Some(info) = suite.info() else { return false };
        match self {
            Self::Suite(known) => known == suite,
            Self::Class(class) => info.class == class,
            Self::Exchange(name) => info.key_exchange.name() == name,
            Self::Mode(name) => info.mode == name,
        }
    }
}

impl fmt::Display for SuiteRule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Suite(suite) => suite.fmt(f),
            Self::Class(class) => write!(f, "class:{class}"),
            Self::Exchange(name) => write!(f, "exchange:{name}"),
            Self::Mode(name) => write!(f, "mode:{name}"),
        }
    }
}

/// A number that a guideline requires or recommends.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Limit {
    pub(super) required: Option<u32>,
    pub(super) recommended: Option<u32>,
}

/// The least sizes in bits.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Sizes {
    pub(super) rsa: Limit,
    pub(super) ec: Limit,
    pub(super) dh: Limit,
}

macro_rules! features {
    ($($feature:ident = $name:literal,)*) => {
        /// A feature of TLS that a server supports or not.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub(super) enum Feature { $($feature,)* }

        impl Feature {
            pub(super) const ALL: &'static [Self] = &[$(Self::$feature,)*];

            pub(super) const fn name(self) -> &'static str {
                match self { $(Self::$feature => $name,)* }
            }
        }
    };
}

features! {
    SecureRenegotiation = "secure-renegotiation",
    ExtendedMasterSecret = "extended-master-secret",
    EncryptThenMac = "encrypt-then-mac",
    Compression = "compression",
    Heartbeat = "heartbeat",
    OcspStapling = "ocsp-stapling",
    EarlyData = "early-data",
    FallbackScsv = "fallback-scsv",
    ServerPreference = "server-preference",
}

impl TlsProfile {
    /// Returns the requirements, one sentence each.
    pub(super) fn requirements(&self) -> Vec<String> {
        let mut lines = Vec::new();
        let names = |list: Vec<&str>| list.join(", ");
        let versions = &self.versions;
        let features = &self.features;
        for (title, lists) in [
            (
                "versions",
                [&versions.required, &versions.recommended, &versions.discouraged, &versions.forbidden]
                    .map(|list| names(list.iter().map(|it| it.name()).collect())),
            ),
            (
                "features",
                [&features.required, &features.recommended, &features.discouraged, &features.forbidden]
                    .map(|list| names(list.iter().map(|it| it.name()).collect())),
            ),
        ] {
            let words = ["required", "recommended", "discouraged", "forbidden"];
            let stated = words.into_iter().zip(lists).filter(|(_, list)| !list.is_empty());
            lines.extend(stated.map(|(word, list)| format!("{title} {word}: {list}")));
        }
        lines.extend(described("suites up to TLS 1.2", &self.suites));
        lines.extend(described("suites of TLS 1.3", &self.suites_tls13));
        lines.extend(described("groups", &self.groups));
        lines.extend(described("Diffie-Hellman primes", &self.dh_primes));
        for (title, limit) in [
            ("RSA keys", self.sizes.rsa),
            ("EC keys", self.sizes.ec),
            ("Diffie-Hellman primes", self.sizes.dh),
        ] {
            lines.extend(limit.required.map(|bits| format!("{title} required: {bits} bits or more")));
            lines.extend(limit.recommended.map(|bits| format!("{title} recommended: {bits} bits or more")));
        }
        lines.extend(described("hashes of handshake signatures in TLS 1.2", &self.signature_hashes));
        lines.extend(described("keys of certificates", &self.certificate_keys));
        lines.extend(described("signatures of certificates", &self.certificate_signatures));
        let Limit { required, recommended } = self.certificate_days;
        lines.extend(required.map(|days| format!("validity of certificates required: {days} days or less")));
        let advice = |days| format!("validity of certificates recommended: {days} days or less");
        lines.extend(recommended.map(advice));
        lines
    }
}

fn described<T: fmt::Display>(title: &str, rules: &Permissions<T>) -> Vec<String> {
    let mut lines = Vec::new();
    let mut line = |word: &str, list: Vec<String>| {
        if !list.is_empty() {
            lines.push(format!("{title} {word}: {}", list.join(", ")));
        }
    };
    let text = |list: &[T]| list.iter().map(ToString::to_string).collect();
    line("of which one is required", text(&rules.required_any));
    line("of which one is recommended", text(&rules.recommended_any));
    for (word, wanted) in [
        ("accepted", Level::Accepted),
        ("not rated", Level::Unrated),
        ("discouraged", Level::Discouraged),
        ("forbidden", Level::Forbidden),
    ] {
        let of_level = rules.rated.iter().filter(|(_, level)| *level == wanted);
        line(word, of_level.map(|(item, _)| item.to_string()).collect());
    }
    match rules.other {
        Level::Forbidden => line("forbidden", vec![String::from("all others")]),
        Level::Discouraged => line("discouraged", vec![String::from("all others")]),
        Level::Accepted | Level::Unrated => {}
    }
    lines
}
