//! The relay.

use starttls_proto::{
    CapabilityRewrite, ClientMessage, Edit, Outgoing, Relay, RelayEvent, RelayRule, ServerMessage, Side,
    Trigger,
};

use crate::choose;

/// Runs a relay between two arbitrary sides. Each piece follows an octet with the side in its top bit and the length
/// in the others.
///
/// An observer changes no octet and reports ranges of the input. An editor does not panic.
pub fn relay(input: &[u8]) {
    let Some((protocol, _, encoded)) = choose(input) else { return };
    let rules = [
        (
            Trigger::Server(ServerMessage::Offer { starttls: true }),
            Edit::Rewrite(CapabilityRewrite::DropUpgrade),
        ),
        (Trigger::Client(ClientMessage::Request), Edit::Answer(ServerMessage::Accept)),
        (Trigger::Client(ClientMessage::Other), Edit::Before(b"NOOP\r\n".to_vec())),
        (Trigger::Server(ServerMessage::Interim), Edit::Drop),
    ];
    let rules = rules.map(|(trigger, edit)| RelayRule { trigger, edit });
    observe(&mut Relay::new(protocol, Vec::new()), encoded);
    let (mut relay, mut out, mut events) =
        (Relay::new(protocol, rules.into()), Outgoing::default(), Vec::new());
    for (from, piece) in pieces(encoded) {
        relay.receive(from, piece, &mut out, &mut events);
    }
}

fn observe(relay: &mut Relay, encoded: &[u8]) {
    let (mut sent, mut out, mut events) = (Outgoing::default(), Outgoing::default(), Vec::new());
    for (from, piece) in pieces(encoded) {
        relay.receive(from, piece, &mut out, &mut events);
        match from {
            Side::Client => sent.to_server.extend_from_slice(piece),
            Side::Server => sent.to_client.extend_from_slice(piece),
        }
        assert_eq!(out, sent, "an observer passes everything on at once and unchanged");
    }
    in_order(&events, Side::Client, sent.to_server.len());
    in_order(&events, Side::Server, sent.to_client.len());
}

/// Checks that the ranges of the events lie within the input, in order.
fn in_order(events: &[RelayEvent], from: Side, sent: usize) {
    let mut end = 0;
    for event in events.iter().filter(|event| event.from == from) {
        assert!(end <= event.at.start && event.at.start <= event.at.end, "{event:?} behind {end}");
        end = event.at.end;
    }
    assert!(end <= sent as u64, "an event at {end} of {sent}");
}

pub(crate) fn pieces(mut encoded: &[u8]) -> impl Iterator<Item = (Side, &[u8])> {
    std::iter::from_fn(move || {
        let (&head, rest) = encoded.split_first()?;
        let (piece, behind) = rest.split_at(rest.len().min(usize::from(head & 0x7f)));
        encoded = behind;
        Some((if head & 0x80 == 0 { Side::Client } else { Side::Server }, piece))
    })
}
