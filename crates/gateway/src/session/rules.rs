//! The relay rules of a session. They apply to every protocol.

use std::sync::LazyLock;

use starttls::proto::{
    CapabilityRewrite, ClientMessage, Edit, EventKind, Outgoing, Refusal, Relay, RelayEvent, RelayRule,
    ServerMessage, Side, Trigger,
};

use super::splice::{Filter, FilterState};
use crate::failure::SessionFailure;

fn rules(of: impl IntoIterator<Item = (Trigger, Edit)>) -> Vec<RelayRule> {
    of.into_iter().map(|(trigger, edit)| RelayRule { trigger, edit }).collect()
}

/// Removes what is valid between two peers only: claims to act on behalf of another client, and mechanisms that are bound
/// to a TLS session (rule G3).
fn always() -> [(Trigger, Edit); 4] {
    [
        (Trigger::Client(ClientMessage::OnBehalf), Edit::AnswerInTurn(ServerMessage::Other)),
        (Trigger::Any(Side::Client), Edit::Rewrite(CapabilityRewrite::DropOnBehalf)),
        (Trigger::Any(Side::Server), Edit::Rewrite(CapabilityRewrite::DropOnBehalf)),
        (Trigger::Any(Side::Server), Edit::Rewrite(CapabilityRewrite::DropChannelBinding)),
    ]
}

/// What the rules for an established session depend on.
#[derive(Clone, Copy)]
pub(super) struct Established {
    /// How requests for another upgrade are refused.
    pub(super) refusal: Refusal,
    /// Whether the gateway has logged in. Then the offer of a login is removed.
    pub(super) logged_in: bool,
    /// Whether the backend knows the client's certificate. Otherwise the mechanism EXTERNAL is removed, with which the backend
    /// would take the gateway for the client (rule S8).
    pub(super) identified: bool,
}

/// The rules of [`Established::rules`] in all cases, which all sessions share.
static ESTABLISHED: LazyLock<Vec<Vec<RelayRule>>> = LazyLock::new(|| {
    let of = |case| Established {
        refusal: if case & 1 == 0 { Refusal::Temporary } else { Refusal::Permanent },
        logged_in: case & 2 != 0,
        identified: case & 4 != 0,
    };
    (0..8).map(|case| established(of(case))).collect()
});

impl Established {
    /// Returns the rules for a session without another upgrade: inside TLS, or on a listener without TLS. The relay stops
    /// parsing after the first command that is neither a capability query nor a no-op (rule G2).
    pub(super) fn rules(self) -> &'static [RelayRule] {
        let refusal = usize::from(self.refusal == Refusal::Permanent);
        &ESTABLISHED[refusal | usize::from(self.logged_in) << 1 | usize::from(self.identified) << 2]
    }
}

fn established(Established { refusal, logged_in, identified }: Established) -> Vec<RelayRule> {
    let substance =
        [ClientMessage::Credentials, ClientMessage::Other, ClientMessage::Partial, ClientMessage::Quit];
    let own = [
        (Trigger::Client(ClientMessage::Request), Edit::AnswerInTurn(ServerMessage::Refuse(refusal))),
        (Trigger::Any(Side::Server), Edit::Rewrite(CapabilityRewrite::DropUpgrade)),
    ];
    let drop = |how| (Trigger::Any(Side::Server), Edit::Rewrite(how));
    let login = logged_in.then(|| drop(CapabilityRewrite::DropCredentials));
    let external = (!identified).then(|| drop(CapabilityRewrite::DropExternal));
    let release = substance.map(|it| (Trigger::Client(it), Edit::Release));
    rules(always().into_iter().chain(own).chain(release).chain(login).chain(external))
}

/// Changes to the server's capabilities in cleartext, where the client may upgrade.
pub(super) const BEFORE_UPGRADE: [CapabilityRewrite; 2] =
    [CapabilityRewrite::DropCredentials, CapabilityRewrite::AddUpgrade];

/// Rules for cleartext with an optional upgrade. Only commands from the list of the protocol pass (rule S4).
pub(super) fn optional() -> Vec<RelayRule> {
    let own = [
        (Trigger::Client(ClientMessage::Request), Edit::Grant),
        (Trigger::NeedsTls, Edit::AnswerInTurn(ServerMessage::TlsRequired)),
    ];
    let lists = BEFORE_UPGRADE.map(|how| (Trigger::Any(Side::Server), Edit::Rewrite(how)));
    rules(always().into_iter().chain(own).chain(lists))
}

/// Rules for cleartext in which only the backend's greeting passes, and nothing from the client (rule G1).
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
    fn receive(
        &mut self,
        from: Side,
        input: &[u8],
        out: &mut Outgoing,
    ) -> Result<FilterState, SessionFailure> {
        let mut events: Vec<RelayEvent> = Vec::new();
        Self::receive(self, from, input, out, &mut events);
        // A relay passes everything after an error; a gateway must not (rule G2).
        if let Some((side, expected)) = events.iter().find_map(|event| match event.kind {
            EventKind::Lost { expected } => Some((event.from, expected)),
            _ => None,
        }) {
            let received = input.get(..200).unwrap_or(input).to_vec();
            return Err(SessionFailure::Protocol { side, expected, received });
        }
        Ok(match () {
            () if self.is_opaque() => FilterState::Opaque,
            () if self.is_granted() => FilterState::Stop,
            () if self.is_finished() => FilterState::Over,
            () => FilterState::Reading,
        })
    }

    fn is_over(&self) -> bool {
        Self::is_over(self)
    }

    fn goodbye(&mut self) -> Vec<u8> {
        Self::goodbye(self)
    }
}
