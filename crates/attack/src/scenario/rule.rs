//! A rule of a scenario: a trigger and an action.

use serde::Deserialize;
use starttls::proto::{
    CapabilityRewrite, ClientMessage, Edit, Protocol, Refusal, RelayRule, ReplyTo, ServerMessage, Side,
    Trigger,
};

use super::text::{Filling, ScenarioText};
use crate::error::ScenarioError;

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RuleSpec {
    /// The trigger: `client request`, `server accept`, `reply greeting`.
    pub(super) at: String,
    /// Answers with a message of the relay in place of the server: `refuse temporary`.
    answer: Option<String>,
    #[serde(default)]
    strip_offer: bool,
    #[serde(default)]
    pub(super) drop: bool,
    #[serde(default)]
    cut: bool,
    /// Answers with this text in place of the server.
    reply: Option<ScenarioText>,
    replace: Option<ScenarioText>,
    before: Option<ScenarioText>,
    after: Option<ScenarioText>,
    /// Answers a future command of the client: the one after `ahead` others.
    predict_reply: Option<ScenarioText>,
    #[serde(default)]
    ahead: u32,
    /// The part of the message to replace, and its replacement.
    old: Option<ScenarioText>,
    new: Option<ScenarioText>,
}

impl RuleSpec {
    pub(super) fn texts(&self) -> impl Iterator<Item = &ScenarioText> {
        [&self.reply, &self.replace, &self.before, &self.after, &self.predict_reply, &self.old, &self.new]
            .into_iter()
            .flatten()
    }

    /// Returns whether the rule contains text of a protocol.
    pub(super) fn has_text(&self) -> bool {
        self.texts().next().is_some()
    }

    /// Returns whether the rule has a text of its own for a protocol.
    pub(super) fn names(&self, protocol: &Protocol) -> bool {
        self.texts().any(|texts| texts.names(protocol.name))
    }

    /// Returns whether the rule has its texts for a protocol, or for the others.
    pub(super) fn has_text_for(&self, name: &str) -> bool {
        self.texts().all(|texts| texts.of(name).is_some())
    }

    /// Returns whether a text contains this placeholder.
    pub(super) fn mentions(&self, what: &str) -> bool {
        self.texts().any(|words| format!("{words:?}").contains(what))
    }

    /// Returns the rule for the relay, with the texts that have this name.
    pub(super) fn build(
        &self,
        protocol: &Protocol,
        name: &str,
        with: Filling<'_>,
    ) -> Result<RelayRule, ScenarioError> {
        let text = |texts: &ScenarioText| {
            texts.of(name).ok_or(ScenarioError::NoText(protocol.name))?.bytes(protocol, with)
        };
        let edit = match self {
            Self { answer: Some(name), .. } => Edit::Answer(server_message(name)?),
            Self { strip_offer: true, .. } => Edit::Rewrite(CapabilityRewrite::DropUpgrade),
            Self { drop: true, .. } => Edit::Drop,
            Self { cut: true, .. } => Edit::Cut,
            Self { reply: Some(words), .. } => Edit::Reply(text(words)?),
            Self { replace: Some(words), .. } => Edit::Replace(text(words)?),
            Self { before: Some(words), .. } => Edit::Before(text(words)?),
            Self { after: Some(words), .. } => Edit::After(text(words)?),
            Self { predict_reply: Some(words), ahead, .. } => Edit::PredictReply(*ahead, text(words)?),
            Self { old: Some(old), new: Some(new), .. } => Edit::Swap(text(old)?, text(new)?),
            _ => return Err(ScenarioError::NoAction(self.at.clone())),
        };
        Ok(RelayRule { trigger: trigger(&self.at)?, edit })
    }
}

pub(super) fn trigger(text: &str) -> Result<Trigger, ScenarioError> {
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
        _ => return Err(ScenarioError::UnknownTrigger(text.to_owned())),
    })
}

fn server_message(text: &str) -> Result<ServerMessage, ScenarioError> {
    Ok(match text {
        "offer" => ServerMessage::Offer { starttls: true },
        "no offer" => ServerMessage::Offer { starttls: false },
        "refuse temporary" => ServerMessage::Refuse(Refusal::Temporary),
        "refuse permanent" => ServerMessage::Refuse(Refusal::Permanent),
        "tls required" => ServerMessage::TlsRequired,
        "bye" => ServerMessage::Bye,
        "accept" => ServerMessage::Accept,
        "preauthenticated" => ServerMessage::PreAuthenticated,
        _ => return Err(ScenarioError::UnknownMessage(text.to_owned())),
    })
}
