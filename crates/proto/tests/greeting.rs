//! The first message of a server, cut at every byte.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on panics")]

use starttls_proto::{
    AfterUpgrade, DialectContext, ErrorKind, Greeting, GreetingStep, Identity, OfferPlace, Phase, Progress,
    Protocol, ReceivedGreeting, Server, ServerMessage, TlsSupport, each_protocol,
};

fn identity() -> DialectContext {
    Identity::new("mail.example.com").with_nonce(0)
}

/// Returns the result of these bytes in two pieces.
fn heard(listening: impl Fn() -> Greeting, said: &[u8], cut: usize) -> GreetingStep {
    match listening().receive(&said[..cut]).unwrap() {
        GreetingStep::Continue(more) => more.receive(&said[cut..]).unwrap(),
        GreetingStep::Greeted(greeted) => GreetingStep::Greeted(ReceivedGreeting {
            unread: [&greeted.unread, &said[cut..]].concat(),
            ..greeted
        }),
        bye @ GreetingStep::Bye(_) => bye,
    }
}

fn said(protocol: &Protocol, phase: Phase, message: ServerMessage) -> Vec<u8> {
    let mut out = Vec::new();
    protocol.new_dialect(identity().in_phase(phase)).write_server(message, &mut out);
    out
}

each_protocol! {
    every_greeting_is_heard_and_what_is_behind_it_is_kept
}

// A server of NBD has no message that it could send in place of its greeting, and one of VNC sends its reason after it.
each_protocol! {
    if |it| it.flow.greeting && !["nbd", "vnc"].contains(&it.name) =>
    a_goodbye_and_a_preauthentication_are_not_greetings
}

each_protocol! {
    if |it| it.flow.request_is_answered && it.flow.hello_rounds == 1 =>
    an_unannounced_upgrade_is_not_listed_and_is_granted
}

fn every_greeting_is_heard_and_what_is_behind_it_is_kept(protocol: &'static Protocol) {
    let list = ServerMessage::Offer { starttls: false };
    let opening = if protocol.flow.offer == OfferPlace::InGreeting { list } else { ServerMessage::Greeting };
    let mut cases: Vec<(Vec<u8>, &dyn Fn() -> Greeting)> = Vec::new();
    let first = || Greeting::new(protocol, identity());
    let behind = || Greeting::after_upgrade(protocol, identity()).unwrap();
    if protocol.flow.greeting {
        cases.push((said(protocol, Phase::Cleartext, opening), &first));
    }
    match protocol.flow.after {
        AfterUpgrade::ServerSpeaks => cases.push((said(protocol, Phase::InsideTls, list), &behind)),
        AfterUpgrade::AnswerPending => {
            cases.push((said(protocol, Phase::InsideTls, ServerMessage::Other), &behind))
        }
        _ => assert!(Greeting::after_upgrade(protocol, identity()).is_none(), "{}", protocol.name),
    }
    for (greeting, listening) in cases {
        let whole = [greeting.as_slice(), b"more"].concat();
        for cut in 1..whole.len() {
            let GreetingStep::Greeted(greeted) = heard(listening, &whole, cut) else {
                panic!("{}: {}", protocol.name, greeting.escape_ascii());
            };
            assert_eq!(greeted.message, greeting, "{} at {cut}", protocol.name);
            assert_eq!(greeted.unread, b"more", "{} at {cut}", protocol.name);
        }
    }
}

fn a_goodbye_and_a_preauthentication_are_not_greetings(protocol: &'static Protocol) {
    let bye = said(protocol, Phase::Cleartext, ServerMessage::Bye);
    assert!(!bye.is_empty(), "{}", protocol.name);
    let listening = Greeting::new(protocol, identity()).receive(&bye).unwrap();
    assert!(matches!(listening, GreetingStep::Bye(words) if words == bye), "{}", protocol.name);
    let known = said(protocol, Phase::Cleartext, ServerMessage::PreAuthenticated);
    if !known.is_empty() {
        let error = Greeting::new(protocol, identity()).receive(&known).unwrap_err();
        assert_eq!(error.kind, ErrorKind::PreAuthenticated, "{}", protocol.name);
    }
}

fn an_unannounced_upgrade_is_not_listed_and_is_granted(protocol: &'static Protocol) {
    let speak = |tls, words: &[u8]| {
        let mut out = Vec::new();
        let server = Server::new(protocol, identity(), tls, &mut out);
        let granted = matches!(server.receive(words, &mut out).unwrap(), Progress::Upgrade(_));
        (out, granted)
    };
    let words = |message| {
        let mut out = Vec::new();
        protocol.new_dialect(identity()).write_client(message, &mut out);
        out
    };
    let hello = words(starttls_proto::ClientMessage::Hello);
    let unlisted = speak(TlsSupport::Unannounced, &hello);
    assert_eq!(unlisted, speak(TlsSupport::Unavailable, &hello), "{}", protocol.name);
    let asked = [hello, words(starttls_proto::ClientMessage::Request)].concat();
    assert!(speak(TlsSupport::Unannounced, &asked).1, "{}", protocol.name);
    assert!(!speak(TlsSupport::Unavailable, &asked).1, "{}", protocol.name);
}
