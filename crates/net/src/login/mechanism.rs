//! The mechanisms: which of them is best, and how each begins.

use starttls_proto::{ChannelBinding, Denial, OfferedMechanism};

use super::account::{Account, Secret};
use super::binding::ChannelBindings;
use super::error::{LoginError, RefusedMechanism};
use super::{non_sasl, sasl};

/// One side of an exchange: what a mechanism says.
pub(super) trait Exchange: Send + Sync {
    /// What it says first; `None` if it waits for a challenge.
    fn begin(&mut self) -> Result<Option<Vec<u8>>, String>;

    /// What it answers.
    fn respond(&mut self, challenge: &[u8]) -> Result<Vec<u8>, String>;

    /// The server granted the login and said this last: whether it is whom it has to be.
    fn is_proven(&mut self, data: Option<&[u8]>) -> bool {
        let _ = data;
        true
    }

    /// Returns the reason if this challenge is an error that the mechanism itself defines, such as `e=` of SCRAM.
    fn refusal(&self, challenge: &[u8]) -> Option<Denial> {
        let _ = challenge;
        None
    }

    /// What the server told that is of interest for people.
    fn details(&self) -> Vec<u8> {
        Vec::new()
    }
}

/// A mechanism by itself: what its client says, for whoever carries that to a server by hand.
pub struct MechanismClient(Box<dyn Exchange>);

impl MechanismClient {
    /// The mechanism that the account names, for a server that offers nothing else and no channel binding.
    ///
    /// `challenge` is what the server said before, where it speaks first: the salt, or the time stamp.
    ///
    /// # Errors
    /// [`LoginError::Account`] and [`LoginError::Mechanism`].
    pub fn new(account: &Account, challenge: Option<&[u8]>) -> Result<Self, LoginError> {
        let wanted = account.mechanism.clone().unwrap_or_default();
        let offered = [OfferedMechanism { name: wanted, challenge: challenge.map(<[u8]>::to_vec) }];
        let bindings = ChannelBindings::default();
        let terms = Terms {
            account,
            offered: &offered,
            bindings: &bindings,
            binding: ChannelBinding::Exporter,
            refused: &[],
        };
        choose(&terms).map(|(_, exchange)| Self(exchange))
    }

    /// What the client says first; `None` if it waits for a challenge.
    ///
    /// # Errors
    /// In words, if it cannot.
    pub fn begin(&mut self) -> Result<Option<Vec<u8>>, String> {
        self.0.begin()
    }

    /// What the client answers.
    ///
    /// # Errors
    /// In words, if it cannot.
    pub fn respond(&mut self, challenge: &[u8]) -> Result<Vec<u8>, String> {
        self.0.respond(challenge)
    }
}

impl std::fmt::Debug for MechanismClient {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("MechanismClient").finish_non_exhaustive()
    }
}

/// What a mechanism works with.
pub(super) struct Terms<'a> {
    pub(super) account: &'a Account,
    pub(super) offered: &'a [OfferedMechanism],
    pub(super) bindings: &'a ChannelBindings,
    pub(super) binding: ChannelBinding,
    /// What the server refused already.
    pub(super) refused: &'a [RefusedMechanism],
}

type Begin = fn(&Terms<'_>, &OfferedMechanism) -> Result<Box<dyn Exchange>, String>;

struct Mechanism {
    name: &'static str,
    needs: Needs,
    /// Whether it is used only if it is asked for by name, since it is weak.
    named: bool,
    begin: Begin,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Needs {
    Password,
    Token,
    Certificate,
}

/// The best first.
#[rustfmt::skip] // One mechanism a line.
const MECHANISMS: &[Mechanism] = &[
    Mechanism { name: "EXTERNAL", needs: Needs::Certificate, named: false, begin: sasl::begin },
    Mechanism { name: "SCRAM-SHA-512-PLUS", needs: Needs::Password, named: false, begin: sasl::begin },
    Mechanism { name: "SCRAM-SHA-256-PLUS", needs: Needs::Password, named: false, begin: sasl::begin },
    Mechanism { name: "SCRAM-SHA-1-PLUS", needs: Needs::Password, named: false, begin: sasl::begin },
    Mechanism { name: "SCRAM-SHA-512", needs: Needs::Password, named: false, begin: sasl::begin },
    Mechanism { name: "SCRAM-SHA-256", needs: Needs::Password, named: false, begin: sasl::begin },
    Mechanism { name: "SCRAM-SHA-1", needs: Needs::Password, named: false, begin: sasl::begin },
    Mechanism { name: "CACHING_SHA2_PASSWORD", needs: Needs::Password, named: false, begin: non_sasl::caching_sha2 },
    Mechanism { name: "PLAIN", needs: Needs::Password, named: false, begin: sasl::begin },
    Mechanism { name: "LOGIN", needs: Needs::Password, named: false, begin: sasl::begin },
    Mechanism { name: "SIMPLE", needs: Needs::Password, named: false, begin: non_sasl::name_and_password },
    Mechanism { name: "USER", needs: Needs::Password, named: false, begin: non_sasl::name_and_password },
    Mechanism { name: "PASSWORD", needs: Needs::Password, named: false, begin: non_sasl::password },
    Mechanism { name: "MYSQL_CLEAR_PASSWORD", needs: Needs::Password, named: false, begin: non_sasl::terminated_password },
    Mechanism { name: "MYSQL_NATIVE_PASSWORD", needs: Needs::Password, named: false, begin: non_sasl::mysql_native },
    Mechanism { name: "MD5", needs: Needs::Password, named: false, begin: non_sasl::md5 },
    Mechanism { name: "OAUTHBEARER", needs: Needs::Token, named: false, begin: sasl::begin_with_token },
    Mechanism { name: "XOAUTH2", needs: Needs::Token, named: false, begin: sasl::begin_with_token },
    Mechanism { name: "CRAM-MD5", needs: Needs::Password, named: true, begin: non_sasl::cram_md5 },
    Mechanism { name: "APOP", needs: Needs::Password, named: true, begin: non_sasl::apop },
];

/// The names of all that are known.
pub(super) fn known() -> impl Iterator<Item = &'static str> {
    MECHANISMS.iter().map(|it| it.name)
}

/// The names of those that are used only if they are asked for.
pub(super) fn is_weak(name: &str) -> bool {
    MECHANISMS.iter().any(|it| it.named && it.name == name)
}

/// The mechanism to use, by its name, and its side of the exchange.
pub(super) fn choose(terms: &Terms<'_>) -> Result<(&'static str, Box<dyn Exchange>), LoginError> {
    let account = terms.account;
    let needs = match account.secret {
        Secret::Password(_) => Needs::Password,
        Secret::Token(_) => Needs::Token,
        Secret::Certificate => Needs::Certificate,
    };
    let offered = |name: &str| terms.offered.iter().find(|it| it.name == name);
    let bound = terms.bindings.data(terms.binding).is_some();
    let not_offered = |wanted: Option<&String>| LoginError::NotOffered {
        wanted: wanted.cloned(),
        offered: terms.offered.iter().map(|it| it.name.clone()).collect(),
    };
    let (mechanism, offer) = match &account.mechanism {
        Some(wanted) => {
            let mechanism =
                MECHANISMS.iter().find(|it| it.name == wanted).ok_or_else(|| LoginError::Account {
                    what: format!(
                        "there is no mechanism {} here",
                        starttls_proto::Escaped(wanted.as_bytes())
                    ),
                })?;
            if mechanism.needs != needs {
                let what = match mechanism.needs {
                    Needs::Password => format!("{wanted} takes a password"),
                    Needs::Token => format!("{wanted} takes a token, not a password"),
                    Needs::Certificate => format!("{wanted} takes a client certificate and no password"),
                };
                return Err(LoginError::Account { what });
            }
            (mechanism, offered(wanted).ok_or_else(|| not_offered(Some(wanted)))?)
        }
        None => {
            let tried = |name: &str| terms.refused.iter().any(|it| it.mechanism == name);
            // Where the server computed another binding, another endpoint may have ended TLS: it must not learn the
            // password. Mechanisms of SCRAM do not send it.
            let exposed = terms.refused.iter().any(|it| it.denial == Denial::ChannelBinding);
            let usable = |it: &&Mechanism| {
                let supports = it.needs == needs && !it.named && (bound || !it.name.ends_with("-PLUS"));
                supports && !tried(it.name) && (!exposed || it.name.starts_with("SCRAM-"))
            };
            // A name that is a path in a directory is no name to SASL (RFC 4513 section 5.1.3).
            let path = account
                .user
                .contains('=')
                .then(|| MECHANISMS.iter().find(|it| it.name == "SIMPLE"))
                .flatten();
            let best = path
                .into_iter()
                .filter(|it| !tried(it.name) && !exposed)
                .chain(MECHANISMS.iter().filter(usable));
            let found = best.filter_map(|it| offered(it.name).map(|offer| (it, offer))).next();
            found.ok_or_else(|| not_offered(None))?
        }
    };
    let exchange =
        (mechanism.begin)(terms, offer).map_err(|reason| LoginError::mechanism(mechanism.name, reason))?;
    Ok((mechanism.name, exchange))
}
