//! Cleartext from a client that is not required to upgrade: only listed commands pass, in a form that every server
//! reads in the same way (rules S4 and G3).
#![expect(clippy::unwrap_used, reason = "a test that cannot go on panics")]

mod commands;
mod data;
mod directory;
mod views;

use starttls_proto::{
    CapabilityRewrite, ClientMessage, Edit, EventKind, Identity, Outgoing, Relay, RelayEvent, RelayRule,
    ServerMessage, Side, Trigger, protocol,
};

fn rules() -> Vec<RelayRule> {
    let rule = |(trigger, edit)| RelayRule { trigger, edit };
    [
        (Trigger::Client(ClientMessage::OnBehalf), Edit::AnswerInTurn(ServerMessage::Other)),
        (Trigger::Client(ClientMessage::Request), Edit::Grant),
        (Trigger::NeedsTls, Edit::AnswerInTurn(ServerMessage::TlsRequired)),
        (Trigger::Any(Side::Client), Edit::Rewrite(CapabilityRewrite::DropOnBehalf)),
        (Trigger::Any(Side::Server), Edit::Rewrite(CapabilityRewrite::DropOnBehalf)),
        (Trigger::Any(Side::Server), Edit::Rewrite(CapabilityRewrite::DropCredentials)),
        (Trigger::Any(Side::Server), Edit::Rewrite(CapabilityRewrite::AddUpgrade)),
    ]
    .map(rule)
    .into()
}

struct Session {
    relay: Relay,
    events: Vec<RelayEvent>,
}

impl Session {
    fn new(scheme: &str) -> Self {
        let identity = Identity::new("mail.example.com").with_nonce(0);
        Self { relay: Relay::for_session(protocol(scheme).unwrap(), identity, rules()), events: Vec::new() }
    }

    /// Returns the bytes for the client, and the bytes for the server.
    fn says(&mut self, from: Side, said: &[u8], chunk: usize) -> (String, Vec<u8>) {
        let (to_client, to_server) = self.says_raw(from, said, chunk);
        (String::from_utf8(to_client).unwrap(), to_server)
    }

    fn says_raw(&mut self, from: Side, said: &[u8], chunk: usize) -> (Vec<u8>, Vec<u8>) {
        let mut out = Outgoing::default();
        for piece in said.chunks(chunk) {
            self.relay.receive(from, piece, &mut out, &mut self.events);
        }
        (out.to_client, out.to_server)
    }

    fn is_lost(&self) -> bool {
        self.events.iter().any(|event| matches!(event.kind, EventKind::Lost { .. }))
    }
}
