//! What a session's messages are changed to, as rules for a relay. They name no protocol.

use starttls::proto::{
    CapabilityRewrite, ClientMessage, Edit, EventKind, Outgoing, Refusal, Relay, RelayEvent, RelayRule,
    ServerMessage, Side, Trigger,
};

use crate::failure::SessionFailure;
use crate::splice::{Filter, State};

fn rules(of: impl IntoIterator<Item = (Trigger, Edit)>) -> Vec<RelayRule> {
    of.into_iter().map(|(trigger, edit)| RelayRule { trigger, edit }).collect()
}

/// What no backend hears, and no client: who speaks on whose behalf, and mechanisms that TLS on another leg
/// is part of (rule G3).
fn always() -> [(Trigger, Edit); 4] {
    [
        (Trigger::Client(ClientMessage::OnBehalf), Edit::AnswerInTurn(ServerMessage::Other)),
        (Trigger::Any(Side::Client), Edit::Rewrite(CapabilityRewrite::DropOnBehalf)),
        (Trigger::Any(Side::Server), Edit::Rewrite(CapabilityRewrite::DropOnBehalf)),
        (Trigger::Any(Side::Server), Edit::Rewrite(CapabilityRewrite::DropChannelBinding)),
    ]
}

/// A session that upgrades no more: inside TLS, or in cleartext where that is all there is. The first command
/// that is neither a question about capabilities nor a no-op ends the reading (rule G2).
pub(super) fn settled(refusal: Refusal) -> Vec<RelayRule> {
    let substance =
        [ClientMessage::Credentials, ClientMessage::Other, ClientMessage::Partial, ClientMessage::Quit];
    let own = [
        (Trigger::Client(ClientMessage::Request), Edit::AnswerInTurn(ServerMessage::Refuse(refusal))),
        (Trigger::Any(Side::Server), Edit::Rewrite(CapabilityRewrite::DropUpgrade)),
    ];
    rules(always().into_iter().chain(own).chain(substance.map(|it| (Trigger::Client(it), Edit::Release))))
}

/// What is left out besides for clients that need not log in, since the gateway has done it for them.
pub(super) fn logged_in() -> RelayRule {
    RelayRule { trigger: Trigger::Any(Side::Server), edit: Edit::Rewrite(CapabilityRewrite::DropCredentials) }
}

/// What is left out besides where the backend cannot know whose certificate it was: it would take the gateway for
/// the client (rule S8).
pub(super) fn unidentified() -> RelayRule {
    RelayRule { trigger: Trigger::Any(Side::Server), edit: Edit::Rewrite(CapabilityRewrite::DropExternal) }
}

/// Changes to what a server lists in cleartext, where the client may upgrade.
pub(super) const BEFORE_UPGRADE: [CapabilityRewrite; 2] =
    [CapabilityRewrite::DropCredentials, CapabilityRewrite::AddUpgrade];

/// Cleartext from a client that may upgrade at any time and need not. Only what its protocol lists passes (rule S4).
pub(super) fn optional() -> Vec<RelayRule> {
    let own = [
        (Trigger::Client(ClientMessage::Request), Edit::Grant),
        (Trigger::NeedsTls, Edit::AnswerInTurn(ServerMessage::TlsRequired)),
    ];
    let lists = BEFORE_UPGRADE.map(|how| (Trigger::Any(Side::Server), Edit::Rewrite(how)));
    rules(always().into_iter().chain(own).chain(lists))
}

/// Cleartext in which the backend's greeting is all that passes, and nothing of the client's (rule G1).
pub(super) fn greeting_only() -> Vec<RelayRule> {
    let others = [
        ClientMessage::Hello,
        ClientMessage::Probe,
        ClientMessage::OnBehalf,
        ClientMessage::Credentials,
        ClientMessage::Other,
        ClientMessage::Partial,
        ClientMessage::Quit,
    ];
    let refused = others.map(|it| (Trigger::Client(it), Edit::AnswerInTurn(ServerMessage::TlsRequired)));
    let own = [
        (Trigger::Client(ClientMessage::Request), Edit::Grant),
        (Trigger::Client(ClientMessage::Silent), Edit::Drop),
    ];
    rules(own.into_iter().chain(refused))
}

impl Filter for Relay {
    fn receive(&mut self, from: Side, input: &[u8], out: &mut Outgoing) -> Result<State, SessionFailure> {
        let mut events: Vec<RelayEvent> = Vec::new();
        Self::receive(self, from, input, out, &mut events);
        // A relay that has lost its way lets everything pass; a gateway does not (rule G2).
        if let Some((side, expected)) = events.iter().find_map(|event| match event.kind {
            EventKind::Lost { expected } => Some((event.from, expected)),
            _ => None,
        }) {
            let received = input.get(..200).unwrap_or(input).to_vec();
            return Err(SessionFailure::Protocol { side, expected, received });
        }
        Ok(match () {
            () if self.is_opaque() => State::Opaque,
            () if self.is_granted() => State::Stop,
            () if self.is_finished() => State::Over,
            () => State::Reading,
        })
    }

    fn is_over(&self) -> bool {
        Self::is_over(self)
    }

    fn goodbye(&mut self) -> Vec<u8> {
        Self::goodbye(self)
    }
}
