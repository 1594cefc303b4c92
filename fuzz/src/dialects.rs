//! The dialects alone: framing and parsing.

use starttls_proto::{
    CapabilityRewrite, Dialect, Escaped, Malformed, ObservedDialect, Protocol, ReplyTo, Scan, ServerMessage,
    Side,
};

use crate::{choose, identity};

/// Frames and parses arbitrary octets as messages of each side.
///
/// A message is never empty and never longer than the input, and its length does not change if the octets arrive one
/// by one. Parsing, describing and removing the offer never panic, and a list without its offer is still a message.
pub fn dialects(input: &[u8]) {
    let Some((protocol, _, octets)) = choose(input) else { return };
    read(protocol, Side::Client, ReplyTo::Other, octets);
    for reply_to in [ReplyTo::Connect, ReplyTo::Hello, ReplyTo::Request, ReplyTo::Other] {
        read(protocol, Side::Server, reply_to, octets);
    }
}

fn read(protocol: &Protocol, from: Side, reply_to: ReplyTo, mut octets: &[u8]) {
    let mut dialect = protocol.new_dialect(identity());
    let _fit = dialect.observed().opening(from, octets);
    while let Some(length) = cut(protocol, &*dialect, from, reply_to, octets) {
        let (message, rest) = octets.split_at(length);
        octets = rest;
        let _text = dialect.describe(from, message);
        if from == Side::Client {
            let _meaning = dialect.read_client(message);
            observe_client(dialect.observed(), message);
            continue;
        }
        let stripped = dialect.rewrite(Side::Server, reply_to, message, CapabilityRewrite::DropUpgrade);
        let whole = dialect.frame(from, reply_to, &stripped, &mut Scan::default());
        if dialect.read_server(reply_to, message) == Ok(ServerMessage::Offer { starttls: true }) {
            assert_eq!(whole, Ok(Some(stripped.len())), "{}: \"{}\"", protocol.name, Escaped(&stripped));
        }
        let observed = dialect.observed();
        let _facts = (observed.is_challenge(message), observed.login_result(message));
        let _facts = (observed.hello_answer(message), observed.awaited_input(message));
    }
}

/// Reads a message as an observer, also if it means something else.
fn observe_client(observed: &dyn ObservedDialect, message: &[u8]) {
    if let Some(part) = observed.login_part(message) {
        assert!(part.mechanism.len() <= 32, "a mechanism of {} octets", part.mechanism.len());
        let _response = observed.login_response(&part.mechanism, 1 + part.steps, message);
        let _user = observed.later_user(&part.mechanism, message);
    }
    let _facts = (observed.hello_name(message), observed.chunk(message), observed.carries_content(message));
    let _facts = (observed.is_incomplete_hello(message), observed.has_ambiguous_content());
}

/// Returns the length of the next message. Checks that whole input and single octets give the same result.
fn cut(
    protocol: &Protocol,
    dialect: &dyn Dialect,
    from: Side,
    reply_to: ReplyTo,
    octets: &[u8],
) -> Option<usize> {
    let at_once = dialect.frame(from, reply_to, octets, &mut Scan::default());
    if let Ok(Some(length)) = at_once {
        assert!((1..=octets.len()).contains(&length), "cut {length} of {}", octets.len());
    }
    let mut scan = Scan::default();
    let step = |end| dialect.frame(from, reply_to, &octets[..end], &mut scan);
    let piecemeal = (1..=octets.len()).map(step).find(|cut| *cut != Ok(None)).unwrap_or(Ok(None));
    let verdict = |cut: Result<_, Malformed>| cut.map_err(drop);
    assert_eq!(
        verdict(at_once),
        verdict(piecemeal),
        "{}: {from:?} {reply_to:?}: the cut depends on the pieces",
        protocol.name
    );
    at_once.ok().flatten()
}
