//! Cleartext from a client that need not upgrade: only what its protocol lists gets through, in a form that every server
//! reads alike (rules S4 and G3).
#![expect(clippy::unwrap_used, reason = "a test that cannot go on panics")]

mod commands;
mod data;
mod directory;
mod views;

use starttls_proto::{
    Amend, ClientMessage, Edit, Event, Identity, Moment, Outgoing, Relay, Rule, ServerMessage, Side, What,
    protocol,
};

fn rules() -> Vec<Rule> {
    let rule = |(at, edit)| Rule { at, edit };
    [
        (Moment::Client(ClientMessage::OnBehalf), Edit::AnswerInTurn(ServerMessage::Other)),
        (Moment::Client(ClientMessage::Request), Edit::Grant),
        (Moment::NeedsTls, Edit::AnswerInTurn(ServerMessage::TlsRequired)),
        (Moment::Any(Side::Client), Edit::Amend(Amend::DropOnBehalf)),
        (Moment::Any(Side::Server), Edit::Amend(Amend::DropOnBehalf)),
        (Moment::Any(Side::Server), Edit::Amend(Amend::DropCredentials)),
        (Moment::Any(Side::Server), Edit::Amend(Amend::AddUpgrade)),
    ]
    .map(rule)
    .into()
}

struct Session {
    relay: Relay,
    events: Vec<Event>,
}

impl Session {
    fn new(scheme: &str) -> Self {
        let identity = Identity { nonce: 0, ..Identity::new("mail.example.com") };
        Self { relay: Relay::within(protocol(scheme).unwrap(), identity, rules()), events: Vec::new() }
    }

    /// What the client hears, and what the server does.
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
        self.events.iter().any(|event| matches!(event.what, What::Lost { .. }))
    }
}
