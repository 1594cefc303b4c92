//! Scenarios: attacks as data. A file in `scenarios/` says when the man in the middle does what, in the words of
//! the relay, which name no protocol; what has to be said in a protocol's own words is written there too.

mod harmless;
mod list;
mod rule;
mod words;

use serde::Deserialize;
use starttls::proto::{OfferPlace, Protocol, RelayRule};

pub(crate) use harmless::is_harmless;
pub(crate) use list::FILES;
use rule::{RuleSpec, moment};
pub(crate) use words::Filling;

/// One attack on a client.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Scenario {
    /// `cli-strip-offer` and the like.
    pub id: String,
    /// What is done, in one line.
    pub title: String,
    /// Where it is described, or which rule it breaks.
    pub reference: String,
    /// What happens, and why it matters.
    pub what: String,
    /// What a sound client does.
    pub sound: String,
    /// What a client does that is fooled.
    pub fooled: String,
    /// What the developer of a client that is not sound has to change, in one line.
    pub fix: String,
    /// The outcome when the scenario's own proofs are found.
    #[serde(default)]
    pub(crate) degree: Degree,
    /// Whether a client may follow the redirect with TLS from the first byte.
    #[serde(default)]
    pub(crate) redirects_to_tls: bool,
    /// The commands whose data has to be protected.
    pub(crate) transfer: Option<Transfer>,
    /// The protocols where it has a meaning, as far as the words and `needs` do not tell.
    #[serde(default)]
    protocols: Vec<String>,
    /// The protocols where it has none, and why not.
    #[serde(default)]
    except: Vec<Exception>,
    #[serde(default)]
    needs: Vec<Need>,
    /// Why it has none in the others.
    elsewhere: Option<String>,
    /// What else shows that a client was fooled, beside credentials and commands in cleartext.
    #[serde(default)]
    pub(crate) proof: Vec<Proof>,
    /// What happens inside TLS.
    #[serde(default)]
    pub(crate) inside: SessionAction,
    /// The certificate that the client is shown.
    #[serde(default = "sound")]
    pub(crate) certificate: String,
    /// What happens in place of the handshake.
    #[serde(default)]
    pub(crate) handshake: HandshakeAction,
    /// Milliseconds between two segments.
    #[serde(default)]
    pub(crate) pause: u64,
    #[serde(default, rename = "rule")]
    rules: Vec<RuleSpec>,
    /// The scenario whose rules come behind its own.
    like: Option<String>,
}

fn sound() -> String {
    String::from(SOUND_CERTIFICATE)
}

/// The name of the certificate with which nothing is wrong.
pub const SOUND_CERTIFICATE: &str = "sound";

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Exception {
    protocols: Vec<String>,
    why: String,
}

/// What a protocol must have for an attack to have a meaning.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Need {
    /// An offer that clients look for.
    Offer,
    /// An answer to the request.
    Verdict,
    /// A greeting.
    Greeting,
    /// A hello, which is asked for.
    Hello,
}

/// How bad it is when a scenario's own proofs are found.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Degree {
    /// An attacker gains something: credentials, a session, content that is believed.
    #[default]
    Fooled,
    /// A protection is missing that an attack needs to get past, but another one holds.
    Weak,
}

/// Commands that transfer data on a connection of their own.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Transfer {
    /// What these commands start with.
    pub(crate) commands: Vec<String>,
    /// What the command starts with that protects the data of those after it.
    pub(crate) protected_by: String,
}

/// What shows that a client was fooled.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Proof {
    /// It speaks of the mark inside TLS, or shows it and goes on there.
    Mark,
    /// Its output has the mark behind a control character that it was sent.
    Terminal,
    /// Inside TLS, where the server does not answer, it says more than without the injected bytes.
    DesyncedExtra,
    /// Inside TLS, where the server answers, it says less than without them.
    DesyncedShort,
    /// It starts a handshake although nobody has answered its request.
    Handshake,
    /// It says something inside TLS, to a certificate that is not good.
    Certificate,
    /// It sends its key exchange in a handshake that it has to end.
    KeyExchange,
    /// It reports success although TLS was cut off in the middle of an answer.
    Truncated,
    /// It transfers data without having asked to protect it.
    Unprotected,
}

/// What happens inside TLS.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum SessionAction {
    /// Everything passes.
    #[default]
    Pass,
    /// The client hears nothing: what it does then is what injected bytes made it do.
    Mute,
    /// TLS is cut off in the middle of the answer to the client's last message.
    Truncate,
}

/// What happens in place of the handshake.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum HandshakeAction {
    /// A handshake.
    #[default]
    Done,
    /// Bytes that are no TLS.
    Garbage,
    /// A fatal alert.
    Alert,
    /// Nothing, for as long as the client waits.
    Stall,
    /// The server's answer in TLS 1.0.
    Old,
    /// The server's answer in TLS 1.2, with a protocol that the client did not offer.
    Alpn,
}

impl Scenario {
    /// Every scenario, in the order of the list.
    ///
    /// # Errors
    /// A file that is not well-formed; the tests rule that out.
    pub fn all() -> Result<Vec<Self>, String> {
        let read = |(name, text): &(&str, &str)| Self::read(text).map_err(|error| format!("{name}: {error}"));
        let mut all = FILES.iter().map(read).collect::<Result<Vec<_>, _>>()?;
        for at in 0..all.len() {
            let Some(other) = all[at].like.take() else { continue };
            let like = all.iter().find(|it| it.id == other);
            let rules =
                like.map(|it| it.rules.clone()).ok_or_else(|| format!("unknown scenario \"{other}\""))?;
            all[at].rules.extend(rules);
        }
        Ok(all)
    }

    /// Reads a file.
    ///
    /// # Errors
    /// What is wrong with it, in words.
    pub fn read(text: &str) -> Result<Self, String> {
        let scenario: Self = toml::from_str(text).map_err(|error| error.to_string())?;
        scenario.rules.iter().try_for_each(|rule| moment(&rule.at).map(drop))?;
        Ok(scenario)
    }

    /// The session as it is, which an attack is compared with; inside TLS as in the attack.
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
            rules: Vec::new(),
            like: None,
        }
    }

    /// Why it has no meaning in this protocol, if it has none.
    pub fn inapplicable(&self, protocol: &Protocol) -> Option<String> {
        let named = |names: &[String]| names.iter().any(|name| name == protocol.name);
        if let Some(exception) = self.except.iter().find(|it| named(&it.protocols)) {
            return Some(exception.why.clone());
        }
        let lacks = |need: &&Need| match need {
            Need::Offer => protocol.flow.offer == OfferPlace::Unannounced,
            Need::Verdict => !protocol.flow.request_is_answered,
            Need::Greeting => !protocol.flow.greeting,
            Need::Hello => protocol.flow.offer != OfferPlace::AfterHello,
        };
        if let Some(need) = self.needs.iter().find(lacks) {
            let what = match need {
                Need::Offer => "the client does not wait for an offer",
                Need::Verdict => "the request has no answer",
                Need::Greeting => "the server does not speak first",
                Need::Hello => "the client does not ask for a list",
            };
            return Some(String::from(what));
        }
        let mut wordy = self.rules.iter().filter(|rule| rule.is_wordy()).peekable();
        let wordless = wordy.peek().is_some() && !wordy.any(|rule| rule.can_be_said_in(protocol));
        let elsewhere = wordless || (!self.protocols.is_empty() && !named(&self.protocols));
        elsewhere.then(|| self.elsewhere.clone().unwrap_or_default())
    }

    /// Whether TLS towards the client has to be ours.
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

    /// Whether what the client prints may show that it was fooled.
    pub(crate) fn watches_output(&self) -> bool {
        [Proof::Mark, Proof::Terminal].iter().any(|proof| self.proof.contains(proof))
    }

    /// Whether any message of the client's inside TLS may show that it was fooled.
    pub(crate) fn searches_inside(&self) -> bool {
        [Proof::Mark, Proof::Certificate, Proof::Unprotected].iter().any(|proof| self.proof.contains(proof))
    }

    /// Whether the client may wait until its time is over.
    pub(crate) fn makes_wait(&self) -> bool {
        self.handshake == HandshakeAction::Stall || self.rules.iter().any(|rule| rule.drop)
    }

    /// Whether it says where to go.
    pub(crate) fn refers(&self) -> bool {
        self.rules.iter().any(|rule| rule.mentions("{port}"))
    }

    /// The rules for one run.
    ///
    /// # Errors
    /// Words that cannot be said.
    pub(crate) fn rules(&self, protocol: &Protocol, with: Filling<'_>) -> Result<Vec<RelayRule>, String> {
        let sayable = self.rules.iter().filter(|rule| !rule.is_wordy() || rule.can_be_said_in(protocol));
        sayable.map(|rule| rule.made(protocol, with)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use starttls::proto::PROTOCOLS;

    #[test]
    fn every_scenario_can_be_played_wherever_it_applies() {
        let canary = crate::canary::Canary::new("user", "password");
        let filling = Filling { canary: &canary, port: 40_000 };
        for scenario in Scenario::all().unwrap() {
            let applies: Vec<_> =
                PROTOCOLS.iter().filter(|protocol| scenario.inapplicable(protocol).is_none()).collect();
            let mut reasons = PROTOCOLS.iter().filter_map(|protocol| scenario.inapplicable(protocol));
            assert!(!reasons.any(|why| why.is_empty()), "{} does not say why not elsewhere", scenario.id);
            assert!(!applies.is_empty(), "{} applies nowhere", scenario.id);
            for protocol in applies {
                let rules = scenario.rules(protocol, filling);
                assert!(rules.is_ok(), "{} in {}: {rules:?}", scenario.id, protocol.name);
                let silent = rules.is_ok_and(|rules| rules.is_empty());
                let acts = scenario.handshake != HandshakeAction::Done
                    || scenario.certificate != SOUND_CERTIFICATE
                    || scenario.inside == SessionAction::Truncate
                    || scenario.transfer.is_some();
                assert!(!silent || acts, "{} does nothing in {}", scenario.id, protocol.name);
            }
            let named =
                scenario.rules.iter().flat_map(RuleSpec::words).flat_map(words::ScenarioText::protocols);
            let excepted = scenario.except.iter().flat_map(|it| &it.protocols).map(String::as_str);
            let listed = scenario.protocols.iter().map(String::as_str);
            for name in named.chain(excepted).chain(listed) {
                assert!(starttls::proto::protocol(name).is_some(), "{}: there is no {name}", scenario.id);
            }
        }
    }

    #[test]
    fn ids_are_the_names_of_their_files_and_texts_are_there() {
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
