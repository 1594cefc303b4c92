//! An attacker acts at each point of the protocol flow. The tests apply to every protocol.

use starttls::proto::{
    CapabilityRewrite, ClientMessage, Dialect, Edit, EventKind, Identity, OfferPlace, Protocol, Refusal,
    RelayRule, ReplyTo, ServerMessage,
};

use super::Peer;
use crate::middle::{Middle, on_client, on_server, replace};

const OFFER: ServerMessage = ServerMessage::Offer { starttls: true };

pub(crate) fn all(peer: &Peer) {
    b2_bytes_behind_the_go_ahead_are_refused(peer);
    c2_a_stripped_offer_and_a_refusal_are_refused(peer);
    c1_a_temporary_refusal_leaves_nothing_in_cleartext(peer);
    c2_a_session_that_is_authenticated_already_is_refused(peer);
    c3_an_answer_before_its_question_is_refused(peer);
    b6_a_connection_closed_instead_of_an_answer_is_reported(peer);
    b5_garbage_instead_of_tls_is_refused(peer);
}

fn b2_bytes_behind_the_go_ahead_are_refused(peer: &Peer) {
    // Without an answer to the request, the greeting is the last cleartext message of the server.
    let last = if peer.protocol.flow.request_is_answered { ServerMessage::Accept } else { OFFER };
    // A complete message that the client could wait for, and the start of one.
    let injections = [said(peer.protocol, OFFER), b"\x00".to_vec(), b"2".to_vec()];
    for injected in injections.into_iter().filter(|it| !it.is_empty()) {
        let rules = vec![on_server(last, Edit::After(injected))];
        let middle = Middle { rules, ..Middle::new(peer) };
        let parts = ["beyond the boundary", "(rule B2)"];
        peer.refuses("injected", peer.connect(middle.start()), 6, &parts);
    }
}

fn c2_a_stripped_offer_and_a_refusal_are_refused(peer: &Peer) {
    // The offer may span several messages.
    let mut rules = [OFFER, ServerMessage::Interim]
        .map(|it| on_server(it, Edit::Rewrite(CapabilityRewrite::DropUpgrade)))
        .to_vec();
    if peer.protocol.flow.request_is_answered {
        rules.push(answer(Refusal::Permanent));
    }
    let middle = Middle { rules, ..Middle::new(peer) };
    let report = peer.refuses("stripped", peer.connect(middle.start()), 4, &["the server"]);
    let negotiation = &report["negotiation"];
    // The client requests TLS without an offer, if the protocol has an answer to the request and no hello that ends with the offer.
    let flow = &peer.protocol.flow;
    assert_eq!(negotiation["requested"], flow.request_is_answered && flow.hello_rounds == 1, "{report}");
    assert_ne!(negotiation["offered"], true, "{report}");
    assert_eq!(negotiation["accepted"], false, "{report}");
}

fn c1_a_temporary_refusal_leaves_nothing_in_cleartext(peer: &Peer) {
    if !peer.protocol.flow.request_is_answered {
        return; // The protocol has no message that refuses the request.
    }
    let refusal = Refusal::Temporary;
    let middle = Middle { rules: vec![answer(refusal)], ..Middle::new(peer) };
    // In some protocols, the only refusal closes the connection.
    let (code, words) = match reads_as_bye(peer.protocol, refusal) {
        false => (4, "the server refuses TLS"),
        true => (7, "the server is closing the connection"),
    };
    let report = peer.refuses("refused for now", peer.connect(middle.start()), code, &[words]);
    let last = report["negotiation"]["messages"].as_array().unwrap().last().unwrap();
    assert_eq!(last["from"], "server", "nothing is said after the refusal: {report}");
}

fn c2_a_session_that_is_authenticated_already_is_refused(peer: &Peer) {
    let instead = said(peer.protocol, ServerMessage::PreAuthenticated);
    if instead.is_empty() {
        return; // The protocol has no such greeting.
    }
    let greetings = [ServerMessage::Greeting, OFFER];
    let rules = greetings.map(|greeting| on_server(greeting, replace(instead.clone()))).to_vec();
    let middle = Middle { rules, ..Middle::new(peer) };
    peer.refuses("authenticated", peer.connect(middle.start()), 6, &["authenticated the session before TLS"]);
}

fn c3_an_answer_before_its_question_is_refused(peer: &Peer) {
    let flow = &peer.protocol.flow;
    let before = match flow.offer {
        // After the last message before the request.
        OfferPlace::AfterHello | OfferPlace::InGreeting => OFFER,
        OfferPlace::Unannounced if flow.greeting => ServerMessage::Greeting,
        // The request is the first message. An earlier message cannot be distinguished from its answer.
        OfferPlace::Unannounced => return,
    };
    if !flow.request_is_answered || flow.hello_rounds > 1 {
        return; // There is no answer to the request, or an early one would answer the next part of the hello.
    }
    let rules = vec![on_server(before, Edit::After(said(peer.protocol, ServerMessage::Accept)))];
    let middle = Middle { rules, ..Middle::new(peer) };
    peer.refuses("early", peer.connect(middle.start()), 6, &["answered before it was asked", "(rule C3)"]);
}

fn b6_a_connection_closed_instead_of_an_answer_is_reported(peer: &Peer) {
    let (moment, awaited) = match peer.protocol.flow.request_is_answered {
        true => (EventKind::Client(ClientMessage::Request), "the answer to the upgrade request"),
        false => (EventKind::Server(OFFER), "the greeting"),
    };
    let middle = Middle { close_at: Some(moment), ..Middle::new(peer) };
    // The diagnosis finds that CUPS also accepts TLS from the first byte on this port.
    let code = if peer.protocol.name == "http" { 6 } else { 3 };
    peer.refuses("closed", peer.connect(middle.start()), code, &["closed the connection", awaited]);
}

fn b5_garbage_instead_of_tls_is_refused(peer: &Peer) {
    let middle = Middle { instead_of_tls: Some(b"\x1b[31m500 what?\r\n"), ..Middle::new(peer) };
    let expected = ["plaintext where TLS belongs", "\\x1b[31m500 what?"];
    peer.refuses("garbage", peer.connect(middle.start()), 5, &expected);
}

/// Drops the request and refuses it in place of the server.
fn answer(refusal: Refusal) -> RelayRule {
    on_client(ClientMessage::Request, Edit::Answer(ServerMessage::Refuse(refusal)))
}

fn reads_as_bye(protocol: &Protocol, refusal: Refusal) -> bool {
    let mut client = protocol.new_dialect(Identity::new("client"));
    let answer = answered(protocol, &mut *client, ServerMessage::Refuse(refusal));
    client.read_server(ReplyTo::Request, &answer) == Ok(ServerMessage::Bye)
}

/// Returns a message of an attacker that has not seen the client's request.
fn said(protocol: &Protocol, message: ServerMessage) -> Vec<u8> {
    answered(protocol, &mut *protocol.new_dialect(Identity::new("somebody else")), message)
}

/// Returns a message that answers this client's request.
fn answered(protocol: &Protocol, client: &mut dyn Dialect, message: ServerMessage) -> Vec<u8> {
    let (mut request, mut answer) = (Vec::new(), Vec::new());
    client.write_client(ClientMessage::Request, &mut request);
    let mut server = protocol.new_dialect(Identity::new("mitm.example.test"));
    server.read_client(&request).unwrap();
    server.write_server(message, &mut answer);
    answer
}
