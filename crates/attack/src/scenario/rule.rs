//! One rule of a scenario: a moment, and what the man in the middle does then.

use serde::Deserialize;
use starttls::proto::{
    CapabilityRewrite, ClientMessage, Edit, Protocol, Refusal, RelayRule, ReplyTo, ServerMessage, Side,
    Trigger,
};

use super::words::{Filling, ScenarioText};

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RuleSpec {
    /// The moment: `client request`, `server accept`, `reply greeting`.
    pub(super) at: String,
    /// One of the relay's own messages in the server's place: `refuse temporary`.
    answer: Option<String>,
    #[serde(default)]
    strip_offer: bool,
    #[serde(default)]
    pub(super) drop: bool,
    #[serde(default)]
    cut: bool,
    /// Words that answer the client's message in the server's place.
    reply: Option<ScenarioText>,
    replace: Option<ScenarioText>,
    before: Option<ScenarioText>,
    after: Option<ScenarioText>,
    /// Words that answer the question so many ahead.
    foretell: Option<ScenarioText>,
    #[serde(default)]
    ahead: u32,
    /// What stands in the message, and what takes its place.
    old: Option<ScenarioText>,
    new: Option<ScenarioText>,
}

impl RuleSpec {
    pub(super) fn words(&self) -> impl Iterator<Item = &ScenarioText> {
        [&self.reply, &self.replace, &self.before, &self.after, &self.foretell, &self.old, &self.new]
            .into_iter()
            .flatten()
    }

    /// Whether it says something in a protocol's own words.
    pub(super) fn is_wordy(&self) -> bool {
        self.words().next().is_some()
    }

    pub(super) fn can_be_said_in(&self, protocol: &Protocol) -> bool {
        self.words().all(|words| words.of(protocol.name).is_some())
    }

    pub(super) fn mentions(&self, what: &str) -> bool {
        self.words().any(|words| format!("{words:?}").contains(what))
    }

    pub(super) fn made(&self, protocol: &Protocol, with: Filling<'_>) -> Result<RelayRule, String> {
        let say = |words: &ScenarioText| {
            words.of(protocol.name).ok_or_else(|| format!("no words for {}", protocol.name))?.bytes(with)
        };
        let edit = match self {
            Self { answer: Some(name), .. } => Edit::Answer(server_message(name)?),
            Self { strip_offer: true, .. } => Edit::Rewrite(CapabilityRewrite::DropUpgrade),
            Self { drop: true, .. } => Edit::Drop,
            Self { cut: true, .. } => Edit::Cut,
            Self { reply: Some(words), .. } => Edit::Reply(say(words)?),
            Self { replace: Some(words), .. } => Edit::Replace(say(words)?),
            Self { before: Some(words), .. } => Edit::Before(say(words)?),
            Self { after: Some(words), .. } => Edit::After(say(words)?),
            Self { foretell: Some(words), ahead, .. } => Edit::PredictReply(*ahead, say(words)?),
            Self { old: Some(old), new: Some(new), .. } => Edit::Swap(say(old)?, say(new)?),
            _ => return Err(format!("a rule at \"{}\" that does nothing", self.at)),
        };
        Ok(RelayRule { trigger: moment(&self.at)?, edit })
    }
}

pub(super) fn moment(text: &str) -> Result<Trigger, String> {
    Ok(match text {
        "client any" => Trigger::Any(Side::Client),
        "client hello" => Trigger::Client(ClientMessage::Hello),
        "client request" => Trigger::Client(ClientMessage::Request),
        "client probe" => Trigger::Client(ClientMessage::Probe),
        "client credentials" => Trigger::Client(ClientMessage::Credentials),
        "client other" => Trigger::Client(ClientMessage::Other),
        "server any" => Trigger::Any(Side::Server),
        "server offer" => Trigger::Server(ServerMessage::Offer { starttls: true }),
        "server accept" => Trigger::Server(ServerMessage::Accept),
        "reply greeting" => Trigger::Reply(ReplyTo::Connect),
        "reply hello" => Trigger::Reply(ReplyTo::Hello),
        "reply request" => Trigger::Reply(ReplyTo::Request),
        _ => return Err(format!("unknown moment \"{text}\"")),
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
        _ => return Err(format!("unknown message \"{text}\"")),
    })
}
