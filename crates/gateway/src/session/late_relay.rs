//! The relay of a session that has nothing left to negotiate. It is made when the first octets arrive, so that a session without
//! traffic does not keep it.

use std::sync::Arc;

use starttls::proto::{Outgoing, Phase, Relay, RelayRule, Side};

use super::splice::{Filter, FilterState};
use crate::config::Listener;
use crate::failure::SessionFailure;

pub(super) struct LateRelay {
    listener: Arc<Listener>,
    phase: Phase,
    rules: &'static [RelayRule],
    /// `None` before the first octets.
    relay: Option<Box<Relay>>,
}

impl LateRelay {
    pub(super) fn new(listener: Arc<Listener>, phase: Phase, rules: &'static [RelayRule]) -> Self {
        Self { listener, phase, rules, relay: None }
    }

    /// Sets the rules for all later messages.
    pub(super) fn set_rules(&mut self, rules: &'static [RelayRule]) {
        self.rules = rules;
        if let Some(relay) = &mut self.relay {
            relay.set_rules(rules);
        }
    }

    /// Returns the service that the client has named; see [`Relay::service`].
    pub(super) fn service(&self) -> Option<String> {
        self.relay.as_ref()?.service()
    }

    /// Returns the client that has named itself; see [`Relay::client`].
    pub(super) fn client(&self) -> Option<String> {
        self.relay.as_ref()?.client()
    }

    fn opened(&mut self) -> &mut Relay {
        self.relay.get_or_insert_with(|| {
            let context = self.listener.context(self.phase);
            let mut relay = Box::new(Relay::for_session(self.listener.protocol, context, Vec::new()));
            relay.set_rules(self.rules);
            relay
        })
    }
}

impl Filter for LateRelay {
    fn receive(
        &mut self,
        from: Side,
        input: &[u8],
        out: &mut Outgoing,
    ) -> Result<FilterState, SessionFailure> {
        Filter::receive(self.opened(), from, input, out)
    }

    fn is_over(&self) -> bool {
        self.relay.as_ref().is_some_and(|relay| Filter::is_over(&**relay))
    }

    fn goodbye(&mut self) -> Vec<u8> {
        Filter::goodbye(self.opened())
    }
}
