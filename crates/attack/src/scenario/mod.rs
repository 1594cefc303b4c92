//! Scenarios: attacks as data. A file in `scenarios/` says when the man in the middle does what, in the words of
//! the relay, which name no protocol; what has to be said in a protocol's own words is written there too.

mod list;
mod words;

use serde::Deserialize;
use starttls::proto::{
    Amend, ClientMessage, Edit, Moment, Offer, Protocol, Refusal, ReplyTo, Rule, ServerMessage, Side,
};

pub(crate) use list::FILES;
pub(crate) use words::Filling;
use words::Words;

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
    pub(crate) inside: Inside,
    /// The certificate that the client is shown.
    #[serde(default = "sound")]
    pub(crate) certificate: String,
    /// What happens in place of the handshake.
    #[serde(default)]
    pub(crate) handshake: Handshake,
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

/// What shows that a client was fooled.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Proof {
    /// It speaks of the mark inside TLS, or shows it and goes on there.
    Mark,
    /// Its output has the mark behind a control character that it was sent.
    Terminal,
    /// Inside TLS, where nobody answers it, it says more than without the injected bytes.
    Unheard,
    /// Inside TLS, where it is answered as always, it says less than without them.
    Adrift,
    /// It starts a handshake although nobody has answered its request.
    Handshake,
    /// It says something inside TLS, to a certificate that is not good.
    Certificate,
    /// It sends its key exchange in a version of TLS that is none any more.
    KeyExchange,
}

/// What happens inside TLS.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Inside {
    /// Everything passes.
    #[default]
    Pass,
    /// The client hears nothing: what it does then is what injected bytes made it do.
    Mute,
}

/// What happens in place of the handshake.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Handshake {
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
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct RuleSpec {
    /// The moment: `client request`, `server accept`, `reply greeting`.
    at: String,
    /// One of the relay's own messages in the server's place: `refuse temporary`.
    answer: Option<String>,
    #[serde(default)]
    strip_offer: bool,
    #[serde(default)]
    drop: bool,
    #[serde(default)]
    cut: bool,
    /// Words that answer the client's message in the server's place.
    reply: Option<Words>,
    replace: Option<Words>,
    before: Option<Words>,
    after: Option<Words>,
    /// Words that answer the question so many ahead.
    foretell: Option<Words>,
    #[serde(default)]
    ahead: u32,
    /// What stands in the message, and what takes its place.
    old: Option<Words>,
    new: Option<Words>,
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
            let rules = like.map(|it| it.rules.clone()).ok_or_else(|| format!("there is no {other}"))?;
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
    pub(crate) fn control(inside: Inside) -> Self {
        let id = if inside == Inside::Mute { "control-mute" } else { "control" };
        Self {
            id: id.to_owned(),
            title: String::from("No attack"),
            reference: String::new(),
            what: String::new(),
            sound: String::new(),
            fooled: String::new(),
            protocols: Vec::new(),
            except: Vec::new(),
            needs: Vec::new(),
            elsewhere: None,
            proof: Vec::new(),
            inside,
            certificate: sound(),
            handshake: Handshake::Done,
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
            Need::Offer => protocol.flow.offer == Offer::Unannounced,
            Need::Verdict => !protocol.flow.verdict,
            Need::Greeting => !protocol.flow.greeting,
            Need::Hello => protocol.flow.offer != Offer::AfterHello,
        };
        if let Some(need) = self.needs.iter().find(lacks) {
            let what = match need {
                Need::Offer => "no offer is waited for",
                Need::Verdict => "nobody answers the request",
                Need::Greeting => "the server does not speak first",
                Need::Hello => "the client does not ask what there is",
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
        let inside = [Proof::Mark, Proof::Unheard, Proof::Adrift, Proof::Certificate];
        self.handshake != Handshake::Done || self.proof.iter().any(|proof| inside.contains(proof))
    }

    /// Whether the client may wait until its time is over.
    pub(crate) fn makes_wait(&self) -> bool {
        self.handshake == Handshake::Stall || self.rules.iter().any(|rule| rule.drop)
    }

    /// Whether it says where to go.
    pub(crate) fn refers(&self) -> bool {
        self.rules.iter().any(|rule| rule.mentions("{port}"))
    }

    /// The rules for one run.
    ///
    /// # Errors
    /// Words that cannot be said.
    pub(crate) fn rules(&self, protocol: &Protocol, with: Filling<'_>) -> Result<Vec<Rule>, String> {
        let sayable = self.rules.iter().filter(|rule| !rule.is_wordy() || rule.can_be_said_in(protocol));
        sayable.map(|rule| rule.made(protocol, with)).collect()
    }
}

impl RuleSpec {
    fn words(&self) -> impl Iterator<Item = &Words> {
        [&self.reply, &self.replace, &self.before, &self.after, &self.foretell, &self.old, &self.new]
            .into_iter()
            .flatten()
    }

    /// Whether it says something in a protocol's own words.
    fn is_wordy(&self) -> bool {
        self.words().next().is_some()
    }

    fn can_be_said_in(&self, protocol: &Protocol) -> bool {
        self.words().all(|words| words.of(protocol.name).is_some())
    }

    fn mentions(&self, what: &str) -> bool {
        self.words().any(|words| format!("{words:?}").contains(what))
    }

    fn made(&self, protocol: &Protocol, with: Filling<'_>) -> Result<Rule, String> {
        let say = |words: &Words| {
            words.of(protocol.name).ok_or_else(|| format!("no words for {}", protocol.name))?.bytes(with)
        };
        let edit = match self {
            Self { answer: Some(name), .. } => Edit::Answer(server_message(name)?),
            Self { strip_offer: true, .. } => Edit::Amend(Amend::DropUpgrade),
            Self { drop: true, .. } => Edit::Drop,
            Self { cut: true, .. } => Edit::Cut,
            Self { reply: Some(words), .. } => Edit::Reply(say(words)?),
            Self { replace: Some(words), .. } => Edit::Replace(say(words)?),
            Self { before: Some(words), .. } => Edit::Before(say(words)?),
            Self { after: Some(words), .. } => Edit::After(say(words)?),
            Self { foretell: Some(words), ahead, .. } => Edit::Foretell(*ahead, say(words)?),
            Self { old: Some(old), new: Some(new), .. } => Edit::Swap(say(old)?, say(new)?),
            _ => return Err(format!("a rule at \"{}\" that does nothing", self.at)),
        };
        Ok(Rule { at: moment(&self.at)?, edit })
    }
}

fn moment(text: &str) -> Result<Moment, String> {
    Ok(match text {
        "client any" => Moment::Any(Side::Client),
        "client hello" => Moment::Client(ClientMessage::Hello),
        "client request" => Moment::Client(ClientMessage::Request),
        "client probe" => Moment::Client(ClientMessage::Probe),
        "client credentials" => Moment::Client(ClientMessage::Credentials),
        "client other" => Moment::Client(ClientMessage::Other),
        "server any" => Moment::Any(Side::Server),
        "server offer" => Moment::Server(ServerMessage::Offer { starttls: true }),
        "server accept" => Moment::Server(ServerMessage::Accept),
        "reply greeting" => Moment::Reply(ReplyTo::Connect),
        "reply hello" => Moment::Reply(ReplyTo::Hello),
        "reply request" => Moment::Reply(ReplyTo::Request),
        _ => return Err(format!("there is no moment \"{text}\"")),
    })
}

fn server_message(text: &str) -> Result<ServerMessage, String> {
    Ok(match text {
        "offer" => ServerMessage::Offer { starttls: true },
        "no offer" => ServerMessage::Offer { starttls: false },
        "refuse temporary" => ServerMessage::Refuse(Refusal::Temporary),
        "refuse permanent" => ServerMessage::Refuse(Refusal::Permanent),
        "tls required" => ServerMessage::TlsRequired,
        "bye" => ServerMessage::Bye,
        "accept" => ServerMessage::Accept,
        "preauthenticated" => ServerMessage::PreAuthenticated,
        _ => return Err(format!("there is no message \"{text}\"")),
    })
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
                let acts = scenario.handshake != Handshake::Done || scenario.certificate != SOUND_CERTIFICATE;
                assert!(!silent || acts, "{} does nothing in {}", scenario.id, protocol.name);
            }
            let named = scenario.rules.iter().flat_map(RuleSpec::words).flat_map(Words::protocols);
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
            let texts =
                [&scenario.title, &scenario.reference, &scenario.what, &scenario.sound, &scenario.fooled];
            assert!(texts.iter().all(|text| !text.trim().is_empty()), "{name}");
            assert!(text.lines().all(|line| line.len() < 400), "{name}");
        }
    }

    #[test]
    fn nonsense_is_refused() {
        let start = "id = \"x\"\ntitle = \"\"\nreference = \"\"\nwhat = \"\"\nsound = \"\"\nfooled = \"\"\n";
        assert!(Scenario::read(start).is_ok());
        for more in ["colour = 1", "[[rule]]\nat = \"noon\"\ndrop = true", "proof = [\"hearsay\"]"] {
            assert!(Scenario::read(&format!("{start}{more}")).is_err(), "{more}");
        }
        let idle = Scenario::read(&format!("{start}[[rule]]\nat = \"client any\"")).unwrap();
        let canary = crate::canary::Canary::new("", "");
        assert!(idle.rules(PROTOCOLS[0], Filling { canary: &canary, port: 1 }).is_err());
    }
}
