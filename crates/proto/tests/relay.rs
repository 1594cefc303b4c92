//! A man in the middle with rules that name no protocol, against every protocol: the effect of the rules, and that a
//! sound client or server is not deceived.

use starttls_proto::{
    CapabilityRewrite, Client, ClientMessage, DeclinedReason, DialectContext, Edit, ErrorKind, EventKind,
    Identity, OfferPlace, Outgoing, Progress, Protocol, Refusal, Relay, RelayEvent, RelayRule, Server,
    ServerMessage, Side, TlsSupport, Trigger, each_protocol,
};

fn identity() -> DialectContext {
    Identity::new("mail.example.com").with_nonce(0)
}

/// How each side ended, and the events that the man in the middle recorded.
#[derive(Debug)]
struct Ends {
    client: String,
    server: String,
    events: Vec<RelayEvent>,
}

/// Runs a client and a server with a relay between them.
fn between(protocol: &Protocol, rules: Vec<RelayRule>) -> Ends {
    let (mut to_relay, mut from_server) = (Vec::new(), Vec::new());
    let mut client = Some(Client::new(protocol, identity(), &mut to_relay));
    let mut server = Some(Server::new(protocol, identity(), TlsSupport::Available, &mut from_server));
    let mut relay = Relay::new(protocol, rules);
    let (mut out, mut events) = (Outgoing::default(), Vec::new());
    let (mut client_end, mut server_end) = (String::from("waiting"), String::from("waiting"));
    for _turn in 0..20 {
        relay.receive(Side::Server, &std::mem::take(&mut from_server), &mut out, &mut events);
        relay.receive(Side::Client, &std::mem::take(&mut to_relay), &mut out, &mut events);
        let heard = std::mem::take(&mut out.to_server);
        if let Some(machine) = server.take_if(|_| !heard.is_empty()) {
            match machine.receive(&heard, &mut from_server) {
                Ok(Progress::Continue(machine)) => server = Some(machine),
                Ok(Progress::Upgrade(_)) => server_end = String::from("upgrade"),
                Ok(Progress::End(quit)) => server_end = format!("{quit:?}"),
                Err(error) => server_end = format!("{:?}", error.kind),
            }
        }
        let heard = std::mem::take(&mut out.to_client);
        if let Some(machine) = client.take_if(|_| !heard.is_empty()) {
            match machine.receive(&heard, &mut to_relay) {
                Ok(Progress::Continue(machine)) => client = Some(machine),
                Ok(Progress::Upgrade(_)) => {
                    client_end = String::from("upgrade");
                    // The ClientHello may be the request.
                    let hello: &[u8] = if protocol.flow.client_hello_is_request { b"\x16\x03" } else { b"" };
                    to_relay.extend_from_slice(hello);
                }
                Ok(Progress::End(declined)) => client_end = format!("{:?}", declined.reason),
                Err(error) => client_end = format!("{:?}", error.kind),
            }
        }
    }
    Ends { client: client_end, server: server_end, events }
}

fn refused(refusal: Refusal) -> String {
    format!("{:?}", DeclinedReason::Refused(refusal))
}

each_protocol! {
    an_observer_sees_the_request_the_answer_and_the_boundary
    c2_a_stripped_offer_is_asked_for_all_the_same
    a_relay_that_stops_keeps_what_comes_beyond_the_boundary
}

each_protocol! {
    if |it| !it.flow.client_hello_is_request =>
    b2_bytes_behind_the_request_kill_the_server
}

each_protocol! {
    if |it| it.flow.request_is_answered =>
    c1_a_stripped_offer_and_a_forged_refusal_leave_no_stream
    b2_bytes_behind_the_go_ahead_kill_the_client
    a_swallowed_request_leaves_the_client_waiting
}

each_protocol! {
    if |it| it.flow.request_is_answered && it.flow.hello_rounds == 1 =>
    replaced_and_prefixed_messages_arrive_as_written
}

each_protocol! {
    if |it| it.flow.request_is_answered
        && it.flow.offer == super::OfferPlace::AfterHello
        && it.flow.hello_rounds == 1 =>
    c3_a_go_ahead_that_comes_first_is_no_answer
}

fn an_observer_sees_the_request_the_answer_and_the_boundary(protocol: &'static Protocol) {
    let ends = between(protocol, Vec::new());
    assert_eq!((ends.client.as_str(), ends.server.as_str()), ("upgrade", "upgrade"), "{}", protocol.name);
    let saw = |what| ends.events.iter().any(|event| event.kind == what);
    assert!(saw(EventKind::Client(ClientMessage::Request)), "{}: {:?}", protocol.name, ends.events);
    assert_eq!(
        saw(EventKind::Server(ServerMessage::Accept)),
        protocol.flow.request_is_answered,
        "{}",
        protocol.name
    );
    let announced = protocol.flow.offer != OfferPlace::Unannounced;
    assert_eq!(
        saw(EventKind::Server(ServerMessage::Offer { starttls: true })),
        announced,
        "{}",
        protocol.name
    );
    let boundaries = ends.events.iter().filter(|event| event.kind == EventKind::Boundary).count();
    assert_eq!(boundaries, 2, "{}: {:?}", protocol.name, ends.events);
}

fn c2_a_stripped_offer_is_asked_for_all_the_same(protocol: &'static Protocol) {
    let strip = RelayRule {
        trigger: Trigger::Any(Side::Server),
        edit: Edit::Rewrite(CapabilityRewrite::DropUpgrade),
    };
    let ends = between(protocol, vec![strip]);
    // A client that sends the request without an offer is upgraded. In a protocol without an answer to the
    // request, or where the request continues the hello, the client gives up.
    let expected = if protocol.flow.request_is_answered && protocol.flow.hello_rounds == 1 {
        String::from("upgrade")
    } else {
        format!("{:?}", DeclinedReason::NotOffered)
    };
    assert_eq!(ends.client, expected, "{}: {:?}", protocol.name, ends.events);
}

fn c1_a_stripped_offer_and_a_forged_refusal_leave_no_stream(protocol: &'static Protocol) {
    for refusal in [Refusal::Temporary, Refusal::Permanent] {
        let rules = vec![
            RelayRule {
                trigger: Trigger::Any(Side::Server),
                edit: Edit::Rewrite(CapabilityRewrite::DropUpgrade),
            },
            RelayRule {
                trigger: Trigger::Client(ClientMessage::Request),
                edit: Edit::Answer(ServerMessage::Refuse(refusal)),
            },
        ];
        let ends = between(protocol, rules);
        let no = [
            refused(Refusal::Temporary),
            refused(Refusal::Permanent),
            format!("{:?}", DeclinedReason::Bye),
            format!("{:?}", DeclinedReason::NotOffered),
        ];
        assert!(no.contains(&ends.client), "{}: {}: {:?}", protocol.name, ends.client, ends.events);
        assert_eq!(ends.server, "waiting", "{}: the request got through", protocol.name);
    }
}

fn b2_bytes_behind_the_go_ahead_kill_the_client(protocol: &'static Protocol) {
    let inject =
        RelayRule { trigger: Trigger::Server(ServerMessage::Accept), edit: Edit::After(b"x".to_vec()) };
    let ends = between(protocol, vec![inject]);
    assert_eq!(ends.client, format!("{:?}", ErrorKind::BeyondBoundary), "{}", protocol.name);
}

fn b2_bytes_behind_the_request_kill_the_server(protocol: &'static Protocol) {
    let inject =
        RelayRule { trigger: Trigger::Client(ClientMessage::Request), edit: Edit::After(b"x".to_vec()) };
    let ends = between(protocol, vec![inject]);
    assert_eq!(
        ends.server,
        format!("{:?}", ErrorKind::BeyondBoundary),
        "{}: {:?}",
        protocol.name,
        ends.events
    );
}

fn c3_a_go_ahead_that_comes_first_is_no_answer(protocol: &'static Protocol) {
    // The go-ahead in the protocol's own syntax, as an attacker could guess it.
    let mut forger = protocol.new_dialect(identity());
    let (mut request, mut go_ahead) = (Vec::new(), Vec::new());
    forger.write_client(ClientMessage::Request, &mut request);
    forger.read_client(&request).expect("the request of a client");
    forger.write_server(ServerMessage::Accept, &mut go_ahead);
    let offered = Trigger::Server(ServerMessage::Offer { starttls: true });
    let ends = between(protocol, vec![RelayRule { trigger: offered, edit: Edit::After(go_ahead) }]);
    assert_eq!(ends.client, format!("{:?}", ErrorKind::EarlyAnswer), "{}: {:?}", protocol.name, ends.events);
}

fn a_swallowed_request_leaves_the_client_waiting(protocol: &'static Protocol) {
    let ends = between(
        protocol,
        vec![RelayRule { trigger: Trigger::Client(ClientMessage::Request), edit: Edit::Drop }],
    );
    assert_eq!((ends.client.as_str(), ends.server.as_str()), ("waiting", "waiting"), "{}", protocol.name);
}

fn replaced_and_prefixed_messages_arrive_as_written(protocol: &'static Protocol) {
    let request = Trigger::Client(ClientMessage::Request);
    let replace = RelayRule { trigger: request, edit: Edit::Replace(b"one".to_vec()) };
    let before = RelayRule { trigger: request, edit: Edit::Before(b"two".to_vec()) };
    let mut relay = Relay::new(protocol, vec![replace, before]);
    let mut asked = Vec::new();
    protocol.new_dialect(identity()).write_client(ClientMessage::Request, &mut asked);
    let (mut out, mut events) = (Outgoing::default(), Vec::new());
    relay.receive(Side::Client, &asked, &mut out, &mut events);
    assert_eq!(out.to_server, b"twoone", "{}", protocol.name);
}

fn a_relay_that_stops_keeps_what_comes_beyond_the_boundary(protocol: &'static Protocol) {
    let (mut said, mut heard) = (Vec::new(), Vec::new());
    let client = Client::new(protocol, identity(), &mut said);
    let server = Server::new(protocol, identity(), TlsSupport::Available, &mut heard);
    let mut relay = Relay::new(protocol, Vec::new()).until_boundary();
    let (mut client, mut server) = (Some(client), Some(server));
    let (mut out, mut events) = (Outgoing::default(), Vec::new());
    for _turn in 0..20 {
        relay.receive(Side::Server, &std::mem::take(&mut heard), &mut out, &mut events);
        relay.receive(Side::Client, &std::mem::take(&mut said), &mut out, &mut events);
        let to_server = std::mem::take(&mut out.to_server);
        let served = server.take().map(|machine| machine.receive(&to_server, &mut heard));
        if let Some(Ok(Progress::Continue(machine))) = served {
            server = Some(machine);
        }
        if let (Some(machine), to_client) = (client.take(), std::mem::take(&mut out.to_client)) {
            match machine.receive(&to_client, &mut said) {
                Ok(Progress::Continue(machine)) => client = Some(machine),
                Ok(Progress::Upgrade(_)) => said.extend_from_slice(b"\x16\x03hello"),
                other => panic!("{}: {other:?}", protocol.name),
            }
        }
    }
    assert_eq!(out, Outgoing::default(), "{}", protocol.name);
    assert_eq!(relay.into_beyond(Side::Client), b"\x16\x03hello", "{}", protocol.name);
}

#[test]
fn an_answer_is_tied_to_its_question_and_to_those_to_come() {
    let asked = |name, question: &[u8], edits: Vec<Edit>| {
        let protocol = starttls_proto::protocol(name).expect("it is known");
        let rules =
            edits.into_iter().map(|edit| RelayRule { trigger: Trigger::Any(Side::Client), edit }).collect();
        let (mut relay, mut out) = (Relay::new(protocol, rules), Outgoing::default());
        relay.receive(Side::Client, question, &mut out, &mut Vec::new());
        out
    };
    let answers =
        || vec![Edit::Reply(b"NO\r\n".to_vec()), Edit::Cut, Edit::PredictReply(3, b"OK\r\n".to_vec())];
    let out = asked("imap", b"XY098 CAPABILITY\r\n", answers());
    assert_eq!(out.to_client, b"XY098 NO\r\nXY101 OK\r\n");
    assert_eq!((out.cuts, out.to_server), (vec![10], Vec::new()));
    assert_eq!(asked("imap", b"tag STARTTLS\r\n", answers()).to_client, b"tag NO\r\ntag OK\r\n");
    assert_eq!(asked("pop3", b"CAPA\r\n", answers()).to_client, b"NO\r\nOK\r\n");
    // An abandon with id 127.
    let out =
        asked("ldap", b"\x30\x06\x02\x01\x7f\x50\x01\x01", vec![Edit::PredictReply(1, b"\x78\x00".to_vec())]);
    assert_eq!(out.to_client, b"\x30\x06\x02\x02\x00\x80\x78\x00");
    let swap = || Edit::Swap(b"AP".to_vec(), b"-".to_vec());
    assert_eq!(asked("pop3", b"CAPA\r\n", vec![swap()]).to_server, b"C-A\r\n");
}
