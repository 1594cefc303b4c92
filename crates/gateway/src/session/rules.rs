//! What a session's messages are changed to, as rules for a relay. They name no protocol.

use starttls::proto::{
    Amend, ClientMessage, Edit, Event, Moment, Outgoing, Refusal, Relay, Rule, ServerMessage, Side, What,
};

use crate::failure::SessionFailure;
use crate::splice::{Filter, State};

fn rules(of: impl IntoIterator<Item = (Moment, Edit)>) -> Vec<Rule> {
    of.into_iter().map(|(at, edit)| Rule { at, edit }).collect()
}

/// What no backend hears, and no client: who speaks on whose behalf, and mechanisms that TLS on another leg
/// is part of (rule G3).
fn always() -> [(Moment, Edit); 4] {
    [
        (Moment::Client(ClientMessage::OnBehalf), Edit::AnswerInTurn(ServerMessage::Other)),
        (Moment::Any(Side::Client), Edit::Amend(Amend::DropOnBehalf)),
        (Moment::Any(Side::Server), Edit::Amend(Amend::DropOnBehalf)),
        (Moment::Any(Side::Server), Edit::Amend(Amend::DropChannelBinding)),
    ]
}

/// A session that upgrades no more: inside TLS, or in cleartext where that is all there is. The first command
/// that is neither a question about capabilities nor a no-op ends the reading (rule G2).
pub(super) fn settled(refusal: Refusal) -> Vec<Rule> {
    let substance =
        [ClientMessage::Credentials, ClientMessage::Other, ClientMessage::Partial, ClientMessage::Quit];
    let own = [
        (Moment::Client(ClientMessage::Request), Edit::AnswerInTurn(ServerMessage::Refuse(refusal))),
        (Moment::Any(Side::Server), Edit::Amend(Amend::DropUpgrade)),
    ];
    rules(always().into_iter().chain(own).chain(substance.map(|it| (Moment::Client(it), Edit::Release))))
}

/// What is left out besides for clients that need not log in, since the gateway has done it for them.
pub(super) fn logged_in() -> Rule {
    Rule { at: Moment::Any(Side::Server), edit: Edit::Amend(Amend::DropCredentials) }
}

/// What is left out besides where the backend cannot know whose certificate it was: it would take the gateway for
/// the client (rule S8).
pub(super) fn unidentified() -> Rule {
    Rule { at: Moment::Any(Side::Server), edit: Edit::Amend(Amend::DropExternal) }
}

/// Changes to what a server lists in cleartext, where the client may upgrade.
pub(super) const BEFORE_UPGRADE: [Amend; 2] = [Amend::DropCredentials, Amend::AddUpgrade];

/// Cleartext from a client that may upgrade at any time and need not. Only what its protocol lists passes (rule S4).
pub(super) fn optional() -> Vec<Rule> {
    let own = [
        (Moment::Client(ClientMessage::Request), Edit::Grant),
        (Moment::NeedsTls, Edit::AnswerInTurn(ServerMessage::TlsRequired)),
    ];
    let lists = BEFORE_UPGRADE.map(|how| (Moment::Any(Side::Server), Edit::Amend(how)));
    rules(always().into_iter().chain(own).chain(lists))
}

/// Cleartext in which the backend's greeting is all that passes, and nothing of the client's (rule G1).
pub(super) fn greeting_only() -> Vec<Rule> {
    let others = [
        ClientMessage::Hello,
        ClientMessage::Probe,
        ClientMessage::OnBehalf,
        ClientMessage::Credentials,
        ClientMessage::Other,
        ClientMessage::Partial,
        ClientMessage::Quit,
    ];
    let refused = others.map(|it| (Moment::Client(it), Edit::AnswerInTurn(ServerMessage::TlsRequired)));
    let own = [
        (Moment::Client(ClientMessage::Request), Edit::Grant),
        (Moment::Client(ClientMessage::Silent), Edit::Drop),
    ];
    rules(own.into_iter().chain(refused))
}

impl Filter for Relay {
    fn receive(&mut self, from: Side, input: &[u8], out: &mut Outgoing) -> Result<State, SessionFailure> {
        let mut events: Vec<Event> = Vec::new();
        Self::receive(self, from, input, out, &mut events);
        // A relay that has lost its way lets everything pass; a gateway does not (rule G2).
        if let Some((side, expected)) = events.iter().find_map(|event| match event.what {
            What::Lost { expected } => Some((event.from, expected)),
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
