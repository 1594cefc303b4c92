//! The facts of a survey and of complete handshakes, as a profile asks for them.

use starttls_hello::{
    Certainty, CipherSuite, Known, NamedGroup, Preference, ServerFacts, Support, Version, Walk,
    extension_kind,
};

use super::SessionFacts;
use crate::tls_profile::rules::{Feature, Level, TlsProfile};

/// Whether a server offers something, with what was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum State {
    Yes(String),
    No(String),
    /// Something else that the server offers makes it irrelevant.
    NotApplicable(String),
    Unknown(String),
    /// The audit does not look for it.
    Untested(String),
}

/// The facts about one server.
#[derive(Clone, Copy)]
pub(super) struct Asked<'a> {
    pub(super) facts: &'a ServerFacts<'a>,
    pub(super) session: SessionFacts<'a>,
}

/// The versions from SSL 3.0 to TLS 1.2.
pub(super) const CLASSIC: [Version; 4] = [Version::Ssl3, Version::Tls10, Version::Tls11, Version::Tls12];

impl State {
    fn of(known: Known<Support>) -> Self {
        match known {
            Known::Is(Support::Offered, _) => Self::Yes(String::from("offered")),
            Known::Is(Support::NotOffered, witness) => Self::No(String::from(match witness.certainty {
                Certainty::Explicit => "not offered",
                Certainty::Implied | Certainty::Assumed => "not offered, as far as the refusals show",
            })),
            Known::Unasked => Self::Unknown(String::from("not asked")),
            Known::Inconclusive(why) => Self::Unknown(why.to_string()),
        }
    }

    fn of_flag(flag: Option<bool>) -> Self {
        match flag {
            Some(true) => Self::Yes(String::from("offered")),
            Some(false) => Self::No(String::from("not offered")),
            None => Self::Unknown(String::from("no session was established")),
        }
    }
}

impl Asked<'_> {
    pub(super) fn version(&self, version: Version) -> State {
        State::of(self.facts.version(version))
    }

    pub(super) fn offers(&self, version: Version) -> bool {
        self.facts.version(version).value() == Some(Support::Offered)
    }

    /// Returns whether it is known that the server offers no version from SSL 3.0 to TLS 1.2.
    pub(super) fn is_modern_only(&self) -> bool {
        CLASSIC.iter().all(|version| self.facts.version(*version).value() == Some(Support::NotOffered))
    }

    /// Returns whether a suite is offered; `None` if that is not certain. A refusal of several classes at once may be due
    /// to a suite that the server chose and could not use.
    pub(super) fn suite(&self, version: Version, suite: CipherSuite) -> Option<bool> {
        match self.facts.suite(version, suite) {
            Known::Is(Support::Offered, _) => Some(true),
            Known::Is(Support::NotOffered, witness) if witness.certainty > Certainty::Assumed => Some(false),
            _ => None,
        }
    }

    /// Returns whether a group is offered in TLS 1.3.
    pub(super) fn modern_group(&self, group: NamedGroup) -> Option<bool> {
        self.facts.group(group).value().map(|support| support == Support::Offered)
    }

    /// Returns the suites that the server accepts from SSL 3.0 to TLS 1.2.
    pub(super) fn classic_suites(&self) -> impl Iterator<Item = CipherSuite> {
        CLASSIC.into_iter().flat_map(|version| self.facts.suites(version))
    }

    /// Returns whether suites that pass the test are offered from SSL 3.0 to TLS 1.2; `None` if that is not certain.
    pub(super) fn any_classic(&self, pass: impl Fn(CipherSuite) -> bool) -> Option<bool> {
        if self.classic_suites().any(&pass) {
            return Some(true);
        }
        let known = CLASSIC.into_iter().all(|version| match self.facts.version(version).value() {
            Some(Support::NotOffered) => true,
            Some(Support::Offered) => {
                let mut suites = Walk::suites(version).into_iter().filter(|suite| pass(*suite));
                suites.all(|suite| self.suite(version, suite) == Some(false))
            }
            None => false,
        });
        known.then_some(false)
    }

    pub(super) fn feature(&self, feature: Feature, profile: &TlsProfile) -> State {
        let facts = self.facts;
        let classic = |known| match State::of(known) {
            State::Unknown(_) if self.is_modern_only() => {
                State::NotApplicable(String::from("TLS 1.3 is the only version"))
            }
            state => state,
        };
        match feature {
            Feature::SecureRenegotiation => classic(facts.extension(extension_kind::RENEGOTIATION_INFO)),
            Feature::ExtendedMasterSecret => classic(facts.extension(extension_kind::EXTENDED_MASTER_SECRET)),
            Feature::EncryptThenMac => match classic(facts.extension(extension_kind::ENCRYPT_THEN_MAC)) {
                State::Unknown(_) if self.any_classic(is_cbc) == Some(false) => {
                    State::NotApplicable(String::from("no suite in CBC mode is offered"))
                }
                state => state,
            },
            Feature::Compression => classic(facts.compression()),
            Feature::Heartbeat => classic(facts.extension(extension_kind::HEARTBEAT)),
            Feature::OcspStapling => State::of_flag(self.session.ocsp_stapled),
            Feature::EarlyData => match self.version(Version::Tls13) {
                State::No(_) => State::NotApplicable(String::from("TLS 1.3 is not offered")),
                _ if self.session.early_data.is_none() => {
                    State::Untested(String::from("the audit does not read the limit in tickets"))
                }
                _ => State::of_flag(self.session.early_data),
            },
            Feature::FallbackScsv => self.fallback(),
            Feature::ServerPreference => self.preference(profile),
        }
    }

    /// The signal protects versions below TLS 1.2 only (RFC 9325 section 3.1.4).
    fn fallback(&self) -> State {
        let old = [Version::Ssl3, Version::Tls10, Version::Tls11];
        let none = old.iter().all(|it| self.facts.version(*it).value() == Some(Support::NotOffered));
        match self.facts.fallback_scsv() {
            _ if none => State::NotApplicable(String::from("no version below TLS 1.2 is offered")),
            known => State::of(known),
        }
    }

    /// The order matters only where the client can choose a suite that is discouraged.
    fn preference(&self, profile: &TlsProfile) -> State {
        let rates = profile.suites.rated.iter().any(|(_, level)| *level == Level::Discouraged);
        let is_worse = |suite| profile.suites.level_of(suite) >= Level::Discouraged;
        match self.facts.preference() {
            _ if rates && self.any_classic(is_worse) == Some(false) => {
                State::NotApplicable(String::from("no suite is discouraged"))
            }
            Known::Is(Preference::Server, _) => State::Yes(String::from("the server's order decides")),
            Known::Is(Preference::Client, _) => State::No(String::from("the client's order decides")),
            Known::Unasked if self.is_modern_only() => {
                State::NotApplicable(String::from("TLS 1.3 is the only version"))
            }
            Known::Unasked => State::Unknown(String::from("not asked")),
            Known::Inconclusive(why) => State::Unknown(why.to_string()),
        }
    }
}

fn is_cbc(suite: CipherSuite) -> bool {
    suite.info().is_some_and(|info| info.mode == "CBC")
}
