//! The mechanisms in order of preference, and how each begins.

use starttls_proto::{ChannelBinding, Denial, OfferedMechanism};

use super::ChannelBindings;
use super::account::{Account, Secret};
use super::error::{LoginError, MechanismFault};
use super::exchange::{Exchange, Terms};
use super::{non_sasl, sasl};

/// The client's side of one mechanism without a connection, for a user who sends the responses by hand.
pub struct MechanismClient(Box<dyn Exchange>);

impl MechanismClient {
    /// Returns the mechanism that the account names, for a server that offers no other one and no channel binding.
    ///
    /// `challenge` is what the server sent first, if it did: a salt or a time stamp.
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

    /// Returns the initial response; `None` if the mechanism waits for a challenge.
    ///
    /// # Errors
    /// [`MechanismFault`].
    pub fn begin(&mut self) -> Result<Option<Vec<u8>>, MechanismFault> {
        self.0.begin()
    }

    /// Returns the response to a challenge.
    ///
    /// # Errors
    /// [`MechanismFault`].
    pub fn respond(&mut self, challenge: &[u8]) -> Result<Vec<u8>, MechanismFault> {
        self.0.respond(challenge)
    }
}

impl std::fmt::Debug for MechanismClient {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("MechanismClient").finish_non_exhaustive()
    }
}

type Begin = fn(&Terms<'_>, &OfferedMechanism) -> Result<Box<dyn Exchange>, MechanismFault>;

struct Mechanism {
    name: &'static str,
    needs: Needs,
    /// Whether it is used only if the user names it.
    is_weak: bool,
    begin: Begin,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Needs {
    Password,
    Token,
    Certificate,
}

/// The mechanisms, the best first.
#[rustfmt::skip] // One mechanism a line.
const MECHANISMS: &[Mechanism] = &[
    Mechanism { name: "EXTERNAL", needs: Needs::Certificate, is_weak: false, begin: sasl::begin },
    Mechanism { name: "SCRAM-SHA-512-PLUS", needs: Needs::Password, is_weak: false, begin: sasl::begin },
    Mechanism { name: "SCRAM-SHA-256-PLUS", needs: Needs::Password, is_weak: false, begin: sasl::begin },
    Mechanism { name: "SCRAM-SHA-1-PLUS", needs: Needs::Password, is_weak: false, begin: sasl::begin },
    Mechanism { name: "SCRAM-SHA-512", needs: Needs::Password, is_weak: false, begin: sasl::begin },
    Mechanism { name: "SCRAM-SHA-256", needs: Needs::Password, is_weak: false, begin: sasl::begin },
    Mechanism { name: "SCRAM-SHA-1", needs: Needs::Password, is_weak: false, begin: sasl::begin },
    Mechanism { name: "CACHING_SHA2_PASSWORD", needs: Needs::Password, is_weak: false, begin: non_sasl::caching_sha2 },
    Mechanism { name: "PLAIN", needs: Needs::Password, is_weak: false, begin: sasl::begin },
    Mechanism { name: "LOGIN", needs: Needs::Password, is_weak: false, begin: sasl::begin },
    Mechanism { name: "SIMPLE", needs: Needs::Password, is_weak: false, begin: non_sasl::name_and_password },
    Mechanism { name: "USER", needs: Needs::Password, is_weak: false, begin: non_sasl::name_and_password },
    Mechanism { name: "PASSWORD", needs: Needs::Password, is_weak: false, begin: non_sasl::password },
    Mechanism { name: "MYSQL_CLEAR_PASSWORD", needs: Needs::Password, is_weak: false, begin: non_sasl::terminated_password },
    Mechanism { name: "MYSQL_NATIVE_PASSWORD", needs: Needs::Password, is_weak: false, begin: non_sasl::mysql_native },
    // A server that has no cached hash refuses it as a wrong password, so PLAIN comes first.
    Mechanism { name: "SHA256_MEMORY", needs: Needs::Password, is_weak: false, begin: non_sasl::sha256_memory },
    Mechanism { name: "MD5", needs: Needs::Password, is_weak: false, begin: non_sasl::md5 },
    Mechanism { name: "OAUTHBEARER", needs: Needs::Token, is_weak: false, begin: sasl::begin_with_token },
    Mechanism { name: "XOAUTH2", needs: Needs::Token, is_weak: false, begin: sasl::begin_with_token },
    Mechanism { name: "TOKEN", needs: Needs::Token, is_weak: false, begin: non_sasl::password },
    Mechanism { name: "CRAM-MD5", needs: Needs::Password, is_weak: true, begin: non_sasl::cram_md5 },
    Mechanism { name: "APOP", needs: Needs::Password, is_weak: true, begin: non_sasl::apop },
];

impl Account {
    /// Returns the names of all supported mechanisms, the best first.
    pub fn mechanisms() -> impl Iterator<Item = &'static str> {
        MECHANISMS.iter().map(|it| it.name)
    }

    /// Returns whether a mechanism is weak, so that it is used only if [`mechanism`](Self::mechanism) names it.
    pub fn is_weak(mechanism: &str) -> bool {
        MECHANISMS.iter().any(|it| it.is_weak && it.name == mechanism)
    }
}

/// Returns the best mechanism that both sides support: its name and the client's side of it.
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
                    what: format!("unknown mechanism {}", starttls_proto::Escaped(wanted.as_bytes())),
                })?;
            if mechanism.needs != needs {
                let what = match mechanism.needs {
                    Needs::Password => format!("{wanted} requires a password"),
                    Needs::Token => format!("{wanted} requires a token, not a password"),
                    Needs::Certificate => format!("{wanted} requires a client certificate and no password"),
                };
                return Err(LoginError::Account { what });
            }
            (mechanism, offered(wanted).ok_or_else(|| not_offered(Some(wanted)))?)
        }
        None => {
            let tried = |name: &str| terms.refused.iter().any(|it| it.mechanism == name);
            // If the server computed another binding, another endpoint may have terminated TLS: it must not learn the
            // password. SCRAM mechanisms do not send it.
            let exposed = terms.refused.iter().any(|it| it.denial == Denial::ChannelBinding);
            let usable = |it: &&Mechanism| {
                let supports = it.needs == needs && !it.is_weak && (bound || !it.name.ends_with("-PLUS"));
                supports && !tried(it.name) && (!exposed || it.name.starts_with("SCRAM-"))
            };
            // A distinguished name is for a simple bind; SASL mechanisms do not accept it (RFC 4513 section 5.1.3).
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
        (mechanism.begin)(terms, offer).map_err(|fault| LoginError::mechanism(mechanism.name, fault))?;
    Ok((mechanism.name, exchange))
}
