//! The entrance of a gateway: a client in cleartext, before and after its request for TLS.

use starttls_proto::{
    CapabilityRewrite, ClientMessage, Edit, Identity, Outgoing, Relay, RelayEvent, RelayRule, ServerMessage,
    Side, Trigger,
};

use crate::choose;
use crate::relay::pieces;

/// Uses the input format of [`relay`](crate::relay()). No byte of the client passes where TLS is required (rule G1)
/// or cannot be optional (rule S4). A granted request with a byte after it does not upgrade (rule B1).
pub fn front(input: &[u8]) {
    let Some((protocol, _, encoded)) = choose(input) else { return };
    let everything = [
        ClientMessage::Hello,
        ClientMessage::Probe,
        ClientMessage::OnBehalf,
        ClientMessage::Credentials,
        ClientMessage::Other,
        ClientMessage::Partial,
        ClientMessage::Quit,
        ClientMessage::Silent,
    ];
    let grant = (Trigger::Client(ClientMessage::Request), Edit::Grant);
    let refuse = Edit::AnswerInTurn(ServerMessage::TlsRequired);
    let required = everything.map(|it| (Trigger::Client(it), refuse.clone()));
    let optional = [
        (Trigger::NeedsTls, refuse),
        (Trigger::Client(ClientMessage::OnBehalf), Edit::AnswerInTurn(ServerMessage::Other)),
        (Trigger::Any(Side::Server), Edit::Rewrite(CapabilityRewrite::DropCredentials)),
        (Trigger::Any(Side::Server), Edit::Rewrite(CapabilityRewrite::AddUpgrade)),
    ];
    for (rules, is_required) in [(required.to_vec(), true), (optional.to_vec(), false)] {
        let rules = rules
            .into_iter()
            .chain([grant.clone()])
            .map(|(trigger, edit)| RelayRule { trigger, edit })
            .collect();
        let mut relay = Relay::for_session(protocol, Identity::new("mail.example.com"), rules);
        for (from, piece) in pieces(encoded) {
            let (mut out, mut events) = (Outgoing::default(), Vec::<RelayEvent>::new());
            relay.receive(from, piece, &mut out, &mut events);
            // A relay that can no longer parse ends the session.
            if relay.is_opaque() {
                break;
            }
            let closed = is_required || !protocol.flow.tls_may_be_optional;
            assert!(!closed || out.to_server.is_empty(), "a cleartext octet passed");
        }
        if relay.is_granted() {
            let mut words = Vec::new();
            let upgrade = relay.upgrade(&mut words);
            // RDP has no goodbye in cleartext: a client could take any message for the advice to do without TLS.
            let mut goodbye = Vec::new();
            protocol
                .new_dialect(Identity::new("mail.example.com"))
                .write_server(ServerMessage::Bye, &mut goodbye);
            let is_silent = goodbye.is_empty() || !protocol.flow.request_is_answered;
            assert!(upgrade.is_ok() || !words.is_empty() || is_silent, "an end without a word");
        }
    }
}
