//! Scenarios: attacks as data. A file in `scenarios/` contains triggers and actions in the relay's terms, which name no
//! protocol, and the texts that a protocol needs.

mod harmless;
mod list;
mod rule;
mod text;

use serde::Deserialize;
use starttls::proto::{OfferPlace, Protocol, RelayRule};

use crate::domain::DomainAttack;
use crate::error::ScenarioError;
pub(crate) use harmless::is_harmless;
pub(crate) use list::FILES;
use rule::{RuleSpec, trigger};
pub(crate) use text::Filling;

/// An attack on a client.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Scenario {
    /// The id, such as `cli-strip-offer`.
    pub id: String,
    /// What the attacker does, in one line.
    pub title: String,
    /// The publication, the RFC section and the rules of `docs/rules.md` that it is about.
    pub reference: String,
    /// What happens, and why it matters.
    pub what: String,
    /// What a sound client does.
    pub sound: String,
    /// What a fooled client does.
    pub fooled: String,
    /// What to change in a client that is not sound, in one line.
    pub fix: String,
    /// The outcome when the scenario's own proofs are found.
    #[serde(default)]
    pub(crate) degree: Degree,
    /// Whether a client may follow the redirect with TLS from the first byte.
    #[serde(default)]
    pub(crate) redirects_to_tls: bool,
    /// The commands whose data the client must protect.
    pub(crate) transfer: Option<Transfer>,
    /// The protocols it applies to, beyond the limits of its texts and `needs`.
    #[serde(default)]
    protocols: Vec<String>,
    /// The protocols it does not apply to, with the reasons.
    #[serde(default)]
    except: Vec<Exception>,
    #[serde(default)]
    needs: Vec<Need>,
    /// Why it does not apply to the other protocols.
    elsewhere: Option<String>,
    /// The proofs that a client was fooled, besides credentials and commands in cleartext.
    #[serde(default)]
    pub(crate) proof: Vec<Proof>,
    /// What the man in the middle does inside TLS.
    #[serde(default)]
    pub(crate) inside: SessionAction,
    /// The certificate that the man in the middle presents.
    #[serde(default = "sound")]
    pub(crate) certificate: String,
    /// What the man in the middle does at the handshake.
    #[serde(default)]
    pub(crate) handshake: HandshakeAction,
    /// Milliseconds between two segments.
    #[serde(default)]
    pub(crate) pause: u64,
    /// The policy of the domain that the client delivers to, and what the attacker does to it.
    pub(crate) domain: Option<DomainAttack>,
    #[serde(default, rename = "rule")]
    rules: Vec<RuleSpec>,
    /// The scenario whose rules are appended.
    like: Option<String>,
}

fn sound() -> String {
    String::from(SOUND_CERTIFICATE)
}

/// The name of the valid certificate.
pub const SOUND_CERTIFICATE: &str = "sound";

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Exception {
    protocols: Vec<String>,
    why: String,
}

/// A feature that a protocol must have for the scenario to apply.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Need {
    /// An offer that clients check.
    Offer,
    /// An answer to the request.
    Answer,
    /// A greeting.
    Greeting,
    /// A hello that clients send before TLS.
    Hello,
}

/// The outcome when the scenario's own proofs are found.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Degree {
    /// The attacker gains something: credentials, a session, or content that the client trusts.
    #[default]
    Fooled,
    /// A protection is missing, but another one stops the attack.
    Weak,
}

/// Commands that transfer data on a connection of their own.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Transfer {
    /// The starts of these commands.
    pub(crate) commands: Vec<String>,
    /// The start of the command that protects the data of later transfers.
    pub(crate) protected_by: String,
}

/// A proof that a client was fooled.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Proof {
    /// The client sends the mark inside TLS, or prints it and continues there.
    Mark,
    /// The output contains the mark after a control sequence of the server.
    Terminal,
    /// Without answers inside TLS, the client sends more messages than without the injected bytes: it counted those as answers.
    DesyncedExtra,
    /// With answers inside TLS, the client sends fewer messages than without the injected bytes.
    DesyncedShort,
    /// The client starts a handshake although its request has no answer.
    Handshake,
    /// The client sends a message inside TLS although the certificate is invalid.
    Certificate,
    /// The client sends its key exchange in a handshake that it must end.
    KeyExchange,
    /// The client reports success although TLS was cut off in the middle of an answer.
    Truncated,
    /// The client transfers data without protecting it.
    Unprotected,
}

/// What the man in the middle does inside TLS.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum SessionAction {
    /// It relays everything.
    #[default]
    Pass,
    /// It does not answer. Further messages of the client are then caused by injected bytes.
    Mute,
    /// It cuts TLS off in the middle of the answer to the client's last message.
    Truncate,
}

/// What the man in the middle does at the handshake.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum HandshakeAction {
    /// It completes the handshake.
    #[default]
    Done,
    /// It sends bytes that are not TLS.
    Garbage,
    /// It sends a fatal alert.
    Alert,
    /// It sends nothing.
    Stall,
    /// It sends the server's first flight in TLS 1.0.
    Old,
    /// It sends the server's first flight in TLS 1.2 with an ALPN protocol that the client did not offer.
    Alpn,
}

impl Scenario {
    /// Returns every scenario, in the order of the list.
    ///
    /// # Errors
    /// Returns an error if an embedded file is invalid, which the tests rule out.
    pub fn all() -> Result<Vec<Self>, ScenarioError> {
        let read = |(name, text): &(&'static str, &'static str)| {
            Self::read(text).map_err(|error| ScenarioError::InFile(name, Box::new(error)))
        };
        let mut all = FILES.iter().map(read).collect::<Result<Vec<_>, _>>()?;
        for at in 0..all.len() {
            let Some(other) = all[at].like.take() else { continue };
            let like = all.iter().find(|it| it.id == other);
            let rules = like.map(|it| it.rules.clone()).ok_or(ScenarioError::UnknownScenario(other))?;
            all[at].rules.extend(rules);
        }
        Ok(all)
    }

    /// Parses a scenario.
    ///
    /// # Errors
    /// Returns an error if the text is not TOML or not a scenario.
    pub fn read(text: &str) -> Result<Self, ScenarioError> {
        let scenario: Self = toml::from_str(text).map_err(ScenarioError::Syntax)?;
        scenario.rules.iter().try_for_each(|rule| trigger(&rule.at).map(drop))?;
        Ok(scenario)
    }

    /// Returns the scenario without an attack, with which attacks are compared.
    pub(crate) fn control(inside: SessionAction) -> Self {
        let id = if inside == SessionAction::Mute { "control-mute" } else { "control" };
        Self {
            id: id.to_owned(),
            title: String::from("No attack"),
            reference: String::new(),
            what: String::new(),
            sound: String::new(),
            fooled: String::new(),
            fix: String::new(),
            degree: Degree::Fooled,
            redirects_to_tls: false,
            transfer: None,
            protocols: Vec::new(),
            except: Vec::new(),
            needs: Vec::new(),
            elsewhere: None,
            proof: Vec::new(),
            inside,
            certificate: sound(),
            handshake: HandshakeAction::Done,
            pause: 0,
            domain: None,
            rules: Vec::new(),
            like: None,
        }
    }

    /// Returns why the scenario does not apply to this protocol, or `None` if it applies.
    pub fn inapplicable(&self, protocol: &Protocol) -> Option<String> {
        let named = |names: &[String]| names.iter().any(|name| name == protocol.name);
        if let Some(exception) = self.except.iter().find(|it| named(&it.protocols)) {
            return Some(exception.why.clone());
        }
        let lacks = |need: &&Need| match need {
            Need::Offer => protocol.flow.offer == OfferPlace::Unannounced,
            Need::Answer => !protocol.flow.request_is_answered,
            Need::Greeting => !protocol.flow.greeting,
            Need::Hello => protocol.flow.offer != OfferPlace::AfterHello,
        };
        if let Some(need) = self.needs.iter().find(lacks) {
            let what = match need {
                Need::Offer => "the client does not wait for an offer",
                Need::Answer => "the request has no answer",
                Need::Greeting => "the server does not speak first",
                Need::Hello => "the client does not ask for capabilities",
            };
            return Some(String::from(what));
        }
        let mut with_text = self.rules.iter().filter(|rule| rule.has_text()).peekable();
        let name = self.name_of_texts(protocol);
        let without_text = with_text.peek().is_some() && !with_text.any(|rule| rule.has_text_for(name));
        let elsewhere = without_text || (!self.protocols.is_empty() && !named(&self.protocols));
        elsewhere.then(|| self.elsewhere.clone().unwrap_or_default())
    }

    /// Returns whether it attacks senders that look up a domain, and not clients that connect to a server.
    pub fn needs_domain(&self) -> bool {
        self.domain.is_some()
    }

    /// Returns whether the man in the middle must terminate TLS toward the client.
    pub fn needs_tls(&self) -> bool {
        let inside = [
            Proof::Mark,
            Proof::DesyncedExtra,
            Proof::DesyncedShort,
            Proof::Certificate,
            Proof::Truncated,
            Proof::Unprotected,
        ];
        self.handshake != HandshakeAction::Done || self.proof.iter().any(|proof| inside.contains(proof))
    }

    /// Returns whether the output of the client can be a proof.
    pub(crate) fn watches_output(&self) -> bool {
        [Proof::Mark, Proof::Terminal].iter().any(|proof| self.proof.contains(proof))
    }

    /// Returns whether any message inside TLS can be a proof.
    pub(crate) fn searches_inside(&self) -> bool {
        [Proof::Mark, Proof::Certificate, Proof::Unprotected].iter().any(|proof| self.proof.contains(proof))
    }

    /// Returns whether the client may wait until its timeout.
    pub(crate) fn makes_wait(&self) -> bool {
        self.handshake == HandshakeAction::Stall || self.rules.iter().any(|rule| rule.drop)
    }

    /// Returns whether the scenario redirects the client.
    pub(crate) fn refers(&self) -> bool {
        self.rules.iter().any(|rule| rule.mentions("{port}"))
    }

    /// Returns the rules for one run.
    ///
    /// # Errors
    /// Returns an error if a rule has no action or no text for this protocol.
    pub(crate) fn rules(
        &self,
        protocol: &Protocol,
        with: Filling<'_>,
    ) -> Result<Vec<RelayRule>, ScenarioError> {
        let name = self.name_of_texts(protocol);
        let applicable = self.rules.iter().filter(|rule| !rule.has_text() || rule.has_text_for(name));
        applicable.map(|rule| rule.build(protocol, name, with)).collect()
    }

    /// Returns the name of the texts for a protocol: its own name if a rule has one for it.
    fn name_of_texts(&self, protocol: &Protocol) -> &'static str {
        if self.rules.iter().any(|rule| rule.names(protocol)) { protocol.name } else { text::OTHERS }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use starttls::proto::PROTOCOLS;

    #[test]
    fn every_scenario_can_be_played_in_its_protocols() {
        let canary = crate::canary::Canary::new("user", "password");
        let filling = Filling { canary: &canary, port: 40_000 };
        for scenario in Scenario::all().unwrap() {
            let applies: Vec<_> =
                PROTOCOLS.iter().filter(|protocol| scenario.inapplicable(protocol).is_none()).collect();
            let mut reasons = PROTOCOLS.iter().filter_map(|protocol| scenario.inapplicable(protocol));
            assert!(
                !reasons.any(|why| why.is_empty()),
                "{} has no reason for a protocol that it does not apply to",
                scenario.id
            );
            assert!(!applies.is_empty(), "{} applies nowhere", scenario.id);
            for protocol in applies {
                let rules = scenario.rules(protocol, filling);
                assert!(rules.is_ok(), "{} in {}: {rules:?}", scenario.id, protocol.name);
                let silent = rules.is_ok_and(|rules| rules.is_empty());
                let acts = scenario.handshake != HandshakeAction::Done
                    || scenario.certificate != SOUND_CERTIFICATE
                    || scenario.inside == SessionAction::Truncate
                    || scenario.transfer.is_some()
                    || scenario.needs_domain();
                assert!(!silent || acts, "{} does nothing in {}", scenario.id, protocol.name);
            }
            let named =
                scenario.rules.iter().flat_map(RuleSpec::texts).flat_map(text::ScenarioText::protocols);
            let excepted = scenario.except.iter().flat_map(|it| &it.protocols).map(String::as_str);
            let listed = scenario.protocols.iter().map(String::as_str);
            for name in named.chain(excepted).chain(listed) {
                assert!(
                    starttls::proto::protocol(name).is_some(),
                    "{}: unknown protocol {name}",
                    scenario.id
                );
            }
        }
    }

    #[test]
    fn ids_are_file_names_and_no_text_is_empty() {
        for ((name, text), scenario) in FILES.iter().zip(Scenario::all().unwrap()) {
            assert_eq!(*name, scenario.id);
            let texts = [
                &scenario.title,
                &scenario.reference,
                &scenario.what,
                &scenario.sound,
                &scenario.fooled,
                &scenario.fix,
            ];
            assert!(texts.iter().all(|text| !text.trim().is_empty()), "{name}");
            assert!(text.lines().all(|line| line.len() < 400), "{name}");
        }
    }

    #[test]
    fn nonsense_is_refused() {
        let start = "id = \"x\"\ntitle = \"\"\nreference = \"\"\nwhat = \"\"\nsound = \"\"\nfooled = \"\"\nfix = \"\"\n";
        assert!(Scenario::read(start).is_ok());
        for more in ["colour = 1", "[[rule]]\nat = \"noon\"\ndrop = true", "proof = [\"hearsay\"]"] {
            assert!(Scenario::read(&format!("{start}{more}")).is_err(), "{more}");
        }
        let idle = Scenario::read(&format!("{start}[[rule]]\nat = \"client any\"")).unwrap();
        let canary = crate::canary::Canary::new("", "");
        assert!(idle.rules(PROTOCOLS[0], Filling { canary: &canary, port: 1 }).is_err());
    }
}
