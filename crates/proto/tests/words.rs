//! The two messages that test which commands a server accepts in cleartext, a login and a harmless command, in every
//! protocol in the registry. The tests name no protocol.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on panics")]

use starttls_proto::{
    ClientMessage, Dialect, DialectContext, EventKind, Identity, Outgoing, PROTOCOLS, Progress, Protocol,
    Quit, Relay, ReplyTo, Scan, Server, ServerMessage, ServerSession, SessionCommand, Side, TlsSupport,
    each_protocol,
};

const ASKED: [ClientMessage; 2] = [ClientMessage::Credentials, ClientMessage::Other];

fn identity(nonce: u64) -> DialectContext {
    Identity::new("mail.example.com").with_nonce(nonce)
}

fn written(dialect: &mut dyn Dialect, msg: ClientMessage) -> Vec<u8> {
    let mut message = Vec::new();
    dialect.write_client(msg, &mut message);
    message
}

/// Returns the meanings of the server's messages for this client, without those that answer nothing.
fn read(client: &mut dyn Dialect, reply_to: ReplyTo, mut answer: &[u8]) -> Vec<ServerMessage> {
    let mut meanings = Vec::new();
    while !answer.is_empty() {
        let cut = client.frame(Side::Server, reply_to, answer, &mut Scan::default());
        let (message, rest) = answer.split_at(cut.unwrap().unwrap());
        meanings.push(client.read_server(reply_to, message).unwrap());
        answer = rest;
    }
    meanings.retain(|meaning| *meaning != ServerMessage::Interim);
    meanings
}

/// Returns whether a message of this protocol carries credentials. In the others, clients authenticate with certificates only, or
/// by the answer to a challenge.
fn has_credentials(protocol: &Protocol) -> bool {
    !written(&mut *protocol.new_dialect(identity(0)), ClientMessage::Credentials).is_empty()
}

each_protocol! {
    every_protocol_with_a_login_has_one_that_never_succeeds
    s1_a_server_refuses_both_and_says_why
    inside_tls_the_application_hears_both
    an_observer_sees_a_command_in_cleartext
}

each_protocol! {
    if super::has_credentials =>
    an_observer_sees_credentials_in_cleartext
    no_two_sessions_try_the_same_password
}

fn every_protocol_with_a_login_has_one_that_never_succeeds(protocol: &'static Protocol) {
    let has_login = protocol.new_dialect(identity(0)).into_login().is_some();
    // The requests of HTTP carry their credentials.
    let expected = has_login || protocol.name == "http";
    assert_eq!(has_credentials(protocol), expected, "{}", protocol.name);
}

fn s1_a_server_refuses_both_and_says_why(protocol: &'static Protocol) {
    for asked in ASKED {
        let mut client = protocol.new_dialect(identity(0));
        let mut said = Vec::new();
        let mut server = Server::new(protocol, identity(0), TlsSupport::Available, &mut said);
        read(&mut *client, ReplyTo::Connect, &std::mem::take(&mut said));
        let hello = written(&mut *client, ClientMessage::Hello);
        if !hello.is_empty() {
            let Ok(Progress::Continue(next)) = server.receive(&hello, &mut said) else {
                panic!("{}: no answer to hello", protocol.name)
            };
            server = next;
            let offer = read(&mut *client, ReplyTo::Hello, &std::mem::take(&mut said));
            assert_eq!(offer, [ServerMessage::Offer { starttls: true }], "{}", protocol.name);
        }
        let message = written(&mut *client, asked);
        if message.is_empty() {
            continue;
        }
        let end = server.receive(&message, &mut said).unwrap();
        let answer = read(&mut *client, ReplyTo::Other, &said);
        let closes = matches!(end, Progress::End(Quit::TlsRequired(_)));
        assert_eq!(closes, protocol.flow.closes_when_tls_required, "{}: {asked:?}: {end:?}", protocol.name);
        assert_eq!(answer.first(), Some(&ServerMessage::TlsRequired), "{}: {asked:?}", protocol.name);
        let goodbye = answer.iter().skip(1).all(|it| *it == ServerMessage::Bye && closes);
        assert!(goodbye, "{}: {asked:?}: {answer:?}", protocol.name);
    }
}

fn inside_tls_the_application_hears_both(protocol: &'static Protocol) {
    for asked in ASKED {
        let mut client = protocol.new_dialect(identity(0).inside_tls());
        let mut inside = ServerSession::new(protocol, identity(0), &mut Vec::new());
        let hello = written(&mut *client, ClientMessage::Hello);
        let message = written(&mut *client, asked);
        if message.is_empty() {
            continue;
        }
        let (mut heard, mut said) = (Vec::new(), Vec::new());
        assert!(inside.receive(&hello).is_empty() && inside.receive(&message).is_empty());
        while let Some(command) = inside.next(&mut said).unwrap() {
            heard.push(command);
        }
        let answered = Some(SessionCommand::Answered(hello)).filter(|_| !said.is_empty());
        let expected: Vec<_> = answered.into_iter().chain([SessionCommand::Message(message)]).collect();
        assert_eq!(heard, expected, "{}: {asked:?}", protocol.name);
    }
}

/// Returns the events that an observer reports for a session that continues in cleartext.
fn observed(protocol: &Protocol, asked: ClientMessage) -> Vec<EventKind> {
    let mut client = protocol.new_dialect(identity(7));
    let (mut said, mut out, mut events) = (Vec::new(), Outgoing::default(), Vec::new());
    let server = Server::new(protocol, identity(0), TlsSupport::Available, &mut said);
    let mut relay = Relay::new(protocol, Vec::new());
    relay.receive(Side::Server, &std::mem::take(&mut said), &mut out, &mut events);
    let hello = written(&mut *client, ClientMessage::Hello);
    relay.receive(Side::Client, &hello, &mut out, &mut events);
    if !hello.is_empty() {
        let _server = server.receive(&hello, &mut said).unwrap();
        relay.receive(Side::Server, &said, &mut out, &mut events);
    }
    events.clear();
    relay.receive(Side::Client, &written(&mut *client, asked), &mut out, &mut events);
    events.into_iter().map(|event| event.kind).collect()
}

fn an_observer_sees_credentials_in_cleartext(protocol: &'static Protocol) {
    let saw = observed(protocol, ClientMessage::Credentials);
    assert_eq!(saw, [EventKind::Client(ClientMessage::Credentials)], "{}", protocol.name);
}

fn an_observer_sees_a_command_in_cleartext(protocol: &'static Protocol) {
    let saw = observed(protocol, ClientMessage::Other);
    let mut client = protocol.new_dialect(identity(7));
    written(&mut *client, ClientMessage::Hello);
    let silent = written(&mut *client, ClientMessage::Other).is_empty();
    let harmless = [EventKind::Client(ClientMessage::Other)];
    assert_eq!(saw, harmless[..usize::from(!silent)], "{}", protocol.name);
}

/// Returns a message, followed by the decoded form of all Base64 in it.
fn in_clear(message: &[u8]) -> String {
    let value = |byte: &u8| match byte {
        b'A'..=b'Z' => Some(byte - b'A'),
        b'a'..=b'z' => Some(byte - b'a' + 26),
        b'0'..=b'9' => Some(byte - b'0' + 52),
        b'+' => Some(62),
        b'/' => Some(63),
        _ => None,
    };
    let mut text = message.to_vec();
    for word in message.split(|byte| value(byte).is_none()) {
        let digits: Vec<u8> = word.iter().filter_map(value).collect();
        for four in digits.chunks(4) {
            let bits = (0..4).fold(0_u32, |bits, at| bits << 6 | u32::from(*four.get(at).unwrap_or(&0)));
            text.extend(&bits.to_be_bytes()[1..four.len().max(1)]);
        }
    }
    String::from_utf8_lossy(&text).into_owned()
}

/// Returns whether the message contains a password with the nonce; otherwise it contains the user name alone.
fn has_password(protocol: &Protocol, nonce: u64) -> bool {
    let mut client = protocol.new_dialect(identity(nonce));
    let text = in_clear(&written(&mut *client, ClientMessage::Credentials));
    let digits = format!("{nonce:016x}");
    assert!(text.contains("starttls-probe"), "{}: {text:?}", protocol.name);
    assert_eq!(text.contains("starttls-probe-"), text.contains(&format!("starttls-probe-{digits}")));
    text.contains(&digits)
}

fn no_two_sessions_try_the_same_password(protocol: &'static Protocol) {
    let with_password = |nonce: &u64| has_password(protocol, *nonce);
    let nonces = [0, 1, 0xabc, 1 << 63, u64::MAX];
    let count = nonces.iter().filter(|nonce| with_password(nonce)).count();
    assert!(count == 0 || count == nonces.len(), "{}: {count}", protocol.name);
}

#[test]
fn most_logins_carry_a_password() {
    let with_credentials = PROTOCOLS.iter().filter(|it| has_credentials(it));
    let with_password = with_credentials.filter(|it| has_password(it, 1)).count();
    assert!(with_password > PROTOCOLS.len() / 2, "{with_password} messages carry a password");
}
