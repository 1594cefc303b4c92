//! The mechanisms of SASL, through the `rsasl` library.

use std::sync::Arc;

use rsasl::callback::{Context, Request, SessionCallback, SessionData};
use rsasl::config::SASLConfig;
use rsasl::mechanisms::{external, login, oauthbearer, plain, scram, xoauth2};
use rsasl::prelude::{
    ChannelBindingCallback, Mechanism, Mechname, Registry, SASLClient, Session, SessionError, State,
};
use rsasl::property::{AuthId, AuthzId, OAuthBearerToken, OverrideCBType, Password};
use rsasl::validate::NoValidation;
use starttls_proto::{Denial, OfferedMechanism};

use super::account::{Account, Secret};
use super::error::MechanismFault;
use super::exchange::{Exchange, Terms};

/// The hashing rounds that a server may require: about a second of work, and more than any recommendation.
const MAX_ROUNDS: u32 = 1_000_000;

static UNBOUND: [Mechanism; 8] = [
    external::EXTERNAL,
    scram::SCRAM_SHA512,
    scram::SCRAM_SHA256,
    scram::SCRAM_SHA1,
    plain::PLAIN,
    login::LOGIN,
    oauthbearer::OAUTHBEARER,
    xoauth2::XOAUTH2,
];

/// With the `-PLUS` mechanisms in its registry, the library announces support for channel binding to servers that do not
/// offer it (RFC 5802 section 6).
static BOUND: [Mechanism; 6] = [
    scram::SCRAM_SHA512_PLUS,
    scram::SCRAM_SHA256_PLUS,
    scram::SCRAM_SHA1_PLUS,
    scram::SCRAM_SHA512,
    scram::SCRAM_SHA256,
    scram::SCRAM_SHA1,
];

struct Sasl {
    session: Session<NoValidation, Bound>,
    scram: bool,
    stage: Stage,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Stage {
    Running,
    /// The mechanism expects no further message.
    Finished,
    Failed,
}

/// The values that the library requests for a mechanism.
struct Answers {
    user: String,
    authorization_id: Option<String>,
    secret: Secret,
    /// The type of the channel binding, if one is used.
    binding: Option<&'static str>,
}

struct Bound {
    name: &'static str,
    data: Vec<u8>,
}

impl ChannelBindingCallback for Bound {
    fn get_cb_data(&self, name: &str) -> Option<&[u8]> {
        (name == self.name && !self.data.is_empty()).then_some(&self.data)
    }
}

impl SessionCallback for Answers {
    fn callback(
        &self,
        _: &SessionData,
        _: &Context<'_>,
        request: &mut Request<'_>,
    ) -> Result<(), SessionError> {
        if let Some(authorization_id) = &self.authorization_id {
            request.satisfy::<AuthzId>(authorization_id)?;
        }
        if let Some(binding) = self.binding {
            request.satisfy::<OverrideCBType>(binding)?;
        }
        match &self.secret {
            Secret::Password(password) => request.satisfy::<Password>(password.as_bytes())?,
            Secret::Token(token) => request.satisfy::<OAuthBearerToken>(token)?,
            Secret::Certificate => return Ok(()),
        };
        request.satisfy::<AuthId>(&self.user)?;
        Ok(())
    }

    fn enable_channel_binding(&self) -> bool {
        self.binding.is_some()
    }
}

pub(super) fn begin(
    terms: &Terms<'_>,
    offer: &OfferedMechanism,
) -> Result<Box<dyn Exchange>, MechanismFault> {
    let (account, name) = (terms.account, &*offer.name);
    let plus_offered = terms.offered.iter().any(|it| it.name.ends_with("-PLUS"));
    let is_scram = name.starts_with("SCRAM-");
    let data = terms.bindings.data(terms.binding);
    // A client that does not use an offered binding declares that it has none (RFC 5802 section 6).
    let data = data.filter(|_| is_scram && (name.ends_with("-PLUS") || !plus_offered));
    if name.ends_with("-PLUS") && data.is_none() {
        return Err(MechanismFault::NoChannelBinding(terms.binding.name()));
    }
    let sasl = Sasl::new(account, name, terms.binding.name(), data)?;
    Ok(Box::new(sasl))
}

impl Sasl {
    fn new(
        account: &Account,
        name: &str,
        binding: &'static str,
        data: Option<&[u8]>,
    ) -> Result<Self, MechanismFault> {
        let scram = name.starts_with("SCRAM-");
        let answers = Answers {
            user: if scram { prepared(&account.user) } else { account.user.clone() },
            authorization_id: account.authorization_id.clone(),
            secret: match &account.secret {
                Secret::Password(password) if scram => Secret::Password(prepared(password)),
                secret => secret.clone(),
            },
            binding: data.map(|_| binding),
        };
        let registry = Registry::with_mechanisms(if data.is_some() { &BOUND } else { &UNBOUND });
        let config = SASLConfig::builder().with_registry(registry).with_callback(answers);
        let config: Arc<SASLConfig> = config.map_err(|error| MechanismFault::Library(error.to_string()))?;
        let bound = Bound { name: binding, data: data.unwrap_or_default().to_vec() };
        let name = Mechname::parse(name.as_bytes())
            .map_err(|_| MechanismFault::Library(String::from("invalid mechanism name")))?;
        let session = SASLClient::with_cb(config, bound).start_suggested(&[name]);
        let session = session.map_err(|error| MechanismFault::Library(error.to_string()))?;
        Ok(Self { session, scram, stage: Stage::Running })
    }

    fn step(&mut self, input: Option<&[u8]>) -> Result<Vec<u8>, MechanismFault> {
        // The library must not be called again after it has finished or failed.
        match std::mem::replace(&mut self.stage, Stage::Failed) {
            Stage::Running => {}
            _ => return Err(MechanismFault::UnexpectedChallenge),
        }
        // The library reads attributes without checking their length.
        if self.scram && input.is_some_and(|input| !input.split(|&byte| byte == b',').all(is_attribute)) {
            return Err(MechanismFault::InvalidChallenge);
        }
        let mut response = Vec::new();
        let state = self
            .session
            .step(input, &mut response)
            .map_err(|error| MechanismFault::Library(describe(&error)))?;
        self.stage = if matches!(state, State::Finished(_)) { Stage::Finished } else { Stage::Running };
        Ok(response)
    }
}

impl Exchange for Sasl {
    fn begin(&mut self) -> Result<Option<Vec<u8>>, MechanismFault> {
        if self.session.are_we_first() { self.step(None).map(Some) } else { Ok(None) }
    }

    fn respond(&mut self, challenge: &[u8]) -> Result<Vec<u8>, MechanismFault> {
        if self.scram && rounds(challenge).is_some_and(|rounds| rounds > MAX_ROUNDS) {
            return Err(MechanismFault::TooManyRounds(MAX_ROUNDS));
        }
        self.step(Some(challenge))
    }

    fn refusal(&self, challenge: &[u8]) -> Option<Denial> {
        // RFC 5802 section 7: server-error-value.
        let value = challenge.strip_prefix(b"e=").filter(|_| self.scram)?;
        let value = value.split(|&byte| byte == b',').next().unwrap_or_default();
        Some(match value {
            b"channel-bindings-dont-match"
            | b"server-does-support-channel-binding"
            | b"channel-binding-not-supported"
            | b"unsupported-channel-binding-type" => Denial::ChannelBinding,
            b"invalid-proof" | b"unknown-user" => Denial::Credentials,
            _ => Denial::Mechanism,
        })
    }

    fn is_proven(&mut self, data: Option<&[u8]>) -> bool {
        self.stage == Stage::Finished || self.step(data).is_ok()
    }
}

fn describe(error: &SessionError) -> String {
    use std::error::Error;
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(current) = cause {
        text = format!("{text}: {current}");
        cause = current.source();
    }
    // The text may contain what the server sent.
    starttls_proto::Escaped(text.as_bytes()).to_string()
}

/// Returns whether this is an attribute and its value (RFC 5802 section 5: `attr-val`).
fn is_attribute(text: &[u8]) -> bool {
    matches!(text, [name, b'=', ..] if name.is_ascii_alphabetic())
}

/// Returns the iteration count `i=` of SCRAM (RFC 5802 section 5.1). An invalid number counts as too many.
fn rounds(challenge: &[u8]) -> Option<u32> {
    let attribute = challenge.split(|&byte| byte == b',').find_map(|it| it.strip_prefix(b"i="))?;
    Some(std::str::from_utf8(attribute).ok().and_then(|it| it.parse().ok()).unwrap_or(u32::MAX))
}

/// Prepares a name or a password with SASLprep (RFC 5802 section 5.1, RFC 4013). Text that SASLprep forbids stays as it is,
/// as in other implementations.
fn prepared(text: &str) -> String {
    stringprep::saslprep(text).map_or_else(|_| text.to_owned(), std::borrow::Cow::into_owned)
}

/// OAUTHBEARER (RFC 7628) and XOAUTH2. The initial response contains the token, and a challenge contains the server's error.
struct Token {
    sasl: Sasl,
    /// The response to the error, after which the server refuses the login.
    dummy: &'static [u8],
    details: Vec<u8>,
}

pub(super) fn begin_with_token(
    terms: &Terms<'_>,
    offer: &OfferedMechanism,
) -> Result<Box<dyn Exchange>, MechanismFault> {
    let mut account = terms.account.clone();
    // RFC 7628 section 3.1: the user name is the authorization identity.
    account.authorization_id.get_or_insert_with(|| account.user.clone());
    let sasl = Sasl::new(&account, &offer.name, terms.binding.name(), None)?;
    // RFC 7628 section 3.2.3.
    let dummy: &[u8] = if offer.name == "OAUTHBEARER" { b"\x01" } else { b"" };
    Ok(Box::new(Token { sasl, dummy, details: Vec::new() }))
}

impl Exchange for Token {
    fn begin(&mut self) -> Result<Option<Vec<u8>>, MechanismFault> {
        self.sasl.begin()
    }

    fn respond(&mut self, challenge: &[u8]) -> Result<Vec<u8>, MechanismFault> {
        self.details = challenge.to_vec();
        Ok(self.dummy.to_vec())
    }

    fn details(&self) -> Vec<u8> {
        self.details.clone()
    }
}
