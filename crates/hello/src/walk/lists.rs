//! The lists of suites that hellos offer, the worst suite first.

use crate::question::{Question, Topic};
use crate::table::{CipherSuite, KeyExchange, SuiteClass, SuiteFamily, SuiteInfo};
use crate::version::Version;

/// The suites of a modern client: ECDHE with AES-GCM or ChaCha20.
pub(super) const GOOD: [CipherSuite; 6] = [
    CipherSuite(0xc02b),
    CipherSuite(0xc02c),
    CipherSuite(0xc02f),
    CipherSuite(0xc030),
    CipherSuite(0xcca9),
    CipherSuite(0xcca8),
];

/// Returns the suites that a list asks for at a version.
///
/// A list never mixes finite-field Diffie-Hellman with other suites: servers offer it without having parameters,
/// and then every suite after it stays hidden.
pub(super) fn list(topic: Topic, version: Version) -> Vec<CipherSuite> {
    match topic {
        Topic::Good => GOOD.to_vec(),
        Topic::Bad => walked(version, |info| !is_dhe(info) && info.class <= SuiteClass::Block64),
        Topic::Dhe | Topic::OldDhe => walked(version, is_dhe),
        Topic::Mid => walked(version, |info| {
            !is_dhe(info)
                && info.class > SuiteClass::Block64
                && !GOOD.iter().any(|suite| u32::from(suite.0) == info.code)
        }),
        Topic::Old => walked(version, |info| !is_dhe(info)),
        _ => Vec::new(),
    }
}

/// Returns every suite that the walk asks for at a version.
pub(super) fn universe(version: Version) -> Vec<CipherSuite> {
    match version {
        Version::Tls13 => modern_suites(),
        _ => walked(version, |_| true),
    }
}

impl Question {
    /// Returns a question with the suites that a common client offers at this version, the best first.
    pub fn usual(version: Version) -> Self {
        let mut suites = universe(version);
        if version < Version::Tls13 {
            suites.retain(|suite| suite.class() >= SuiteClass::Block64 || suite.class() == SuiteClass::Rc4);
            suites.sort_by_key(|suite| {
                let strength = suite.info().map(|info| (info.class, info.key_bits));
                (!GOOD.contains(suite), std::cmp::Reverse(strength))
            });
            suites.truncate(120);
        }
        Self::new(Topic::Custom, version, suites)
    }
}

/// Returns the TLS 1.3 suites, the usual ones first. GOST suites need keys of their own, and AEGIS is a draft.
pub(super) fn modern_suites() -> Vec<CipherSuite> {
    const APART: [&str; 3] = ["AEGIS", "KUZNYECHIK", "MAGMA"];
    let mut suites: Vec<_> = CipherSuite::all()
        .filter(|(_, info)| info.family == SuiteFamily::Tls13 && !APART.contains(&info.cipher))
        .map(|(suite, _)| suite)
        .collect();
    suites.sort_by_key(|suite| (suite.0 >> 8 != 0x13, suite.0));
    suites
}

fn walked(version: Version, pass: impl Fn(&SuiteInfo) -> bool) -> Vec<CipherSuite> {
    // TLS 1.1 and older know the suites that were defined for them.
    let known = |info: &SuiteInfo| version >= Version::Tls12 || info.min < Version::Tls12;
    let mut suites: Vec<_> = CipherSuite::all()
        .filter(|(suite, info)| suite.0 != 0 && info.family == SuiteFamily::Pki && known(info) && pass(info))
        .collect();
    suites.sort_by_key(|(suite, info)| (info.class, info.key_bits, suite.0));
    suites.into_iter().map(|(suite, _)| suite).collect()
}

pub(super) fn is_dhe(info: &SuiteInfo) -> bool {
    info.key_exchange == KeyExchange::Dhe
}

/// The part of a class that is asked for as one: finite-field Diffie-Hellman is apart.
pub(super) fn part(suite: CipherSuite) -> (SuiteClass, bool) {
    (suite.class(), suite.info().is_some_and(is_dhe))
}
