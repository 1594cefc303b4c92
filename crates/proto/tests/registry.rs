//! Properties of every protocol in the registry. The tests name no protocol.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on panics")]

use starttls_proto::{
    CapabilityRewrite, Client, ClientMessage, Declined, DeclinedReason, Dialect, DialectContext, Error,
    ErrorKind, Identity, OfferPlace, Progress, Protocol, Quit, Refusal, ReplyTo, Scan, Server, ServerMessage,
    ServerSession, Side, TlsSupport, Upgrade, each_protocol,
};

/// Returns an identity with the same names and tags in every run.
fn identity() -> DialectContext {
    Identity::new("mail.example.com").with_nonce(0)
}

type ClientEnd = Result<Upgrade, Declined>;
type ServerEnd = Result<Upgrade, Quit>;

each_protocol! {
    client_meets_server_at_every_chunk_size
    s5_a_server_without_tls_refuses_for_a_while_and_the_client_may_ask_again
    every_client_message_round_trips
    every_server_message_round_trips
    a_peer_that_speaks_tls_on_the_upgrade_port_is_recognized
}

each_protocol! {
    if |it| !it.flow.client_hello_is_request =>
    a_client_that_sends_tls_in_cleartext_gets_an_alert
}

each_protocol! {
    if |it| it.flow.request_is_answered =>
    b1_b2_b4_any_byte_behind_the_boundary_kills
    b2_white_space_behind_a_request_is_dropped_and_carries_nothing
    c3_a_go_ahead_before_the_request_was_sent_is_none
    s4_inside_tls_the_upgrade_is_neither_offered_nor_accepted
}

each_protocol! {
    if |it| it.flow.offer != super::OfferPlace::Unannounced =>
    a_stripped_offer_is_still_a_message_and_offers_nothing
}

/// Returns the start of a ClientHello, if it is the request.
fn client_hello(protocol: &Protocol) -> &'static [u8] {
    if protocol.flow.client_hello_is_request { b"\x16\x03" } else { b"" }
}

/// Runs a client and a server until the client finishes, in pieces of `chunk` octets.
fn meet(
    protocol: &Protocol,
    tls: TlsSupport,
    chunk: usize,
) -> Result<(ClientEnd, Option<ServerEnd>), Box<Error>> {
    let (mut to_server, mut to_client) = (Vec::new(), Vec::new());
    let mut client = Some(Client::new(protocol, identity(), &mut to_server));
    let mut server = Some(Server::new(protocol, identity(), tls, &mut to_client));
    let (mut client_end, mut server_end) = (None, None);
    for _turn in 0..20 {
        for piece in std::mem::take(&mut to_server).chunks(chunk) {
            let Some(machine) = server.take() else {
                panic!("{}: bytes for a server that is done", protocol.name)
            };
            match machine.receive(piece, &mut to_client)? {
                Progress::Continue(machine) => server = Some(machine),
                Progress::Upgrade(proof) => server_end = Some(Ok(proof)),
                Progress::End(quit) => server_end = Some(Err(quit)),
            }
        }
        for piece in std::mem::take(&mut to_client).chunks(chunk) {
            let Some(machine) = client.take() else {
                panic!("{}: bytes for a client that is done", protocol.name)
            };
            match machine.receive(piece, &mut to_server)? {
                Progress::Continue(machine) => client = Some(machine),
                Progress::Upgrade(proof) => {
                    client_end = Some(Ok(proof));
                    to_server.extend_from_slice(client_hello(protocol));
                }
                Progress::End(declined) => client_end = Some(Err(declined)),
            }
        }
        if client_end.is_some() && to_server.is_empty() {
            break;
        }
    }
    let client_end = client_end.unwrap_or_else(|| panic!("{}: no end in 20 turns", protocol.name));
    Ok((client_end, server_end))
}

fn client_meets_server_at_every_chunk_size(protocol: &'static Protocol) {
    for chunk in [1, 2, 3, 5, 7, 16, 64, 4096] {
        match meet(protocol, TlsSupport::Available, chunk) {
            Ok((Ok(_), Some(Ok(_)))) => {}
            other => panic!("{} by {chunk}: {other:?}", protocol.name),
        }
    }
}

fn s5_a_server_without_tls_refuses_for_a_while_and_the_client_may_ask_again(protocol: &'static Protocol) {
    let (end, _) = meet(protocol, TlsSupport::Unavailable, 4096)
        .unwrap_or_else(|error| panic!("{}: {error}", protocol.name));
    let Err(declined) = end else { panic!("{}: upgraded without TLS", protocol.name) };
    if !protocol.flow.request_is_answered || protocol.flow.hello_rounds > 1 {
        assert_eq!(declined.reason, DeclinedReason::NotOffered, "{}", protocol.name);
        return;
    }
    assert!(
        matches!(declined.reason, DeclinedReason::Refused(Refusal::Temporary) | DeclinedReason::Bye)
            || protocol.flow.offer == OfferPlace::Unannounced
            // The protocol has one code for both kinds of refusal.
            || protocol.name == "mysqlx",
        "{}: {declined:?}",
        protocol.name
    );
    let mut out = Vec::new();
    if let Ok(client) = declined.retry(&mut out) {
        assert!(!out.is_empty(), "{}: asked again without a word", protocol.name);
        assert_eq!(client.awaits(), "the answer to the upgrade request");
    }
}

/// Returns a client that has just sent its request, and a server that has just received it.
fn at_the_request(protocol: &Protocol) -> (Client, Server, Vec<u8>) {
    let (mut to_server, mut to_client) = (Vec::new(), Vec::new());
    let mut client = Client::new(protocol, identity(), &mut to_server);
    let mut server = Server::new(protocol, identity(), TlsSupport::Available, &mut to_client);
    for _turn in 0..20 {
        if client.awaits() == "the answer to the upgrade request" {
            return (client, server, to_server);
        }
        if !to_server.is_empty() {
            let Ok(Progress::Continue(next)) =
                server.receive(&std::mem::take(&mut to_server), &mut to_client)
            else {
                panic!("{}: the server ended", protocol.name)
            };
            server = next;
        }
        let Ok(Progress::Continue(next)) = client.receive(&std::mem::take(&mut to_client), &mut to_server)
        else {
            panic!("{}: the client ended", protocol.name)
        };
        client = next;
    }
    panic!("{}: no request in 20 turns", protocol.name)
}

fn b1_b2_b4_any_byte_behind_the_boundary_kills(protocol: &'static Protocol) {
    for byte in 0..=255 {
        let (client, server, mut request) = at_the_request(protocol);
        let mut go_ahead = Vec::new();
        let Ok(Progress::Upgrade(_)) = server.receive(&request, &mut go_ahead) else {
            panic!("{}: no go-ahead", protocol.name)
        };
        go_ahead.push(byte);
        let error = client.receive(&go_ahead, &mut Vec::new()).unwrap_err();
        assert_eq!((error.kind, error.by), (ErrorKind::BeyondBoundary, Side::Server), "{}", protocol.name);

        let (_, server, _) = at_the_request(protocol);
        request.push(byte);
        let mut said = Vec::new();
        if protocol.flow.space_before_tls.contains(&byte) {
            continue;
        }
        let error = server.receive(&request, &mut said).unwrap_err();
        assert_eq!((error.kind, error.by), (ErrorKind::BeyondBoundary, Side::Client), "{}", protocol.name);
        let agreed = said.starts_with(&go_ahead[..go_ahead.len() - 1]);
        assert!(!agreed, "{}: agreed before it looked", protocol.name);
    }
}

/// XMPP is the only protocol in which a server drops bytes. It drops only XML white space.
fn b2_white_space_behind_a_request_is_dropped_and_carries_nothing(protocol: &'static Protocol) {
    let space = protocol.flow.space_before_tls;
    let expected: &[u8] = if protocol.name.starts_with("xmpp") { b" \t\r\n" } else { b"" };
    assert_eq!(space, expected, "{}", protocol.name);
    for dropped in space.iter().map(|octet| vec![*octet]).chain([space.repeat(1000)]) {
        let (_, server, request) = at_the_request(protocol);
        let whole = [&request[..], &dropped].concat();
        let Ok(Progress::Upgrade(upgrade)) = server.receive(&whole, &mut Vec::new()) else {
            panic!("{}: no go-ahead", protocol.name)
        };
        assert_eq!(upgrade.into_early_tls(), b"", "{}", protocol.name);
        for byte in (0..=255).filter(|byte| !space.contains(byte)) {
            for injected in [[&dropped[..], &[byte]].concat(), [&[byte], &dropped[..]].concat()] {
                let (_, server, _) = at_the_request(protocol);
                let whole = [&request[..], &injected].concat();
                let error = server.receive(&whole, &mut Vec::new()).unwrap_err();
                assert_eq!(error.kind, ErrorKind::BeyondBoundary, "{}", protocol.name);
            }
        }
    }
}

fn c3_a_go_ahead_before_the_request_was_sent_is_none(protocol: &'static Protocol) {
    let (client, server, mut unsent) = at_the_request(protocol);
    let mut go_ahead = Vec::new();
    let Ok(Progress::Upgrade(_)) = server.receive(&unsent, &mut go_ahead) else {
        panic!("{}: no go-ahead", protocol.name)
    };
    let error = client.receive(&go_ahead, &mut unsent).unwrap_err();
    assert_eq!(error.kind, ErrorKind::EarlyAnswer, "{}", protocol.name);
}

/// Returns the dialects of a client and of a server, up to where the client sends this message. Only the request has its
/// place after a hello of several messages.
fn up_to(protocol: &Protocol, next: ClientMessage) -> [Box<dyn Dialect>; 2] {
    let [mut client, mut server] = [(); 2].map(|()| protocol.new_dialect(identity()));
    if next == ClientMessage::Request && protocol.flow.hello_rounds > 1 {
        for _ in 0..protocol.flow.hello_rounds {
            let (mut question, mut answer) = (Vec::new(), Vec::new());
            client.write_client(ClientMessage::Hello, &mut question);
            server.read_client(&question).unwrap();
            server.write_server(ServerMessage::Offer { starttls: true }, &mut answer);
            client.read_server(ReplyTo::Hello, &answer).unwrap();
        }
    }
    [client, server]
}

/// Checks that a message is incomplete at every cut before its last byte, for its receiver.
fn incomplete_until_the_last(
    (protocol, dialect): (&Protocol, &dyn Dialect),
    from: Side,
    reply_to: ReplyTo,
    message: &[u8],
) {
    let mut scan = Scan::default();
    for end in 1..message.len() {
        let cut = dialect.frame(from, reply_to, &message[..end], &mut scan);
        assert_eq!(cut, Ok(None), "{}: {reply_to:?} cut at {end} of {message:?}", protocol.name);
    }
    let end = dialect.frame(from, reply_to, message, &mut scan);
    assert_eq!(end, Ok(Some(message.len())), "{}: {message:?}", protocol.name);
    let behind = [message, b"\x16\x03\x01"].concat();
    let end = dialect.frame(from, reply_to, &behind, &mut Scan::default());
    assert_eq!(end, Ok(Some(message.len())), "{}: {message:?} and more", protocol.name);
}

fn every_client_message_round_trips(protocol: &'static Protocol) {
    for meaning in [
        ClientMessage::Hello,
        ClientMessage::Request,
        ClientMessage::Probe,
        ClientMessage::Quit,
        ClientMessage::Credentials,
        ClientMessage::Other,
    ] {
        let (mut message, [mut client, mut server]) = (Vec::new(), up_to(protocol, meaning));
        client.write_client(meaning, &mut message);
        if message.is_empty() {
            let is_request = meaning == ClientMessage::Request;
            assert!(!is_request || protocol.flow.client_hello_is_request, "{}: no request", protocol.name);
            continue;
        }
        incomplete_until_the_last((protocol, &*server), Side::Client, ReplyTo::Other, &message);
        let read = server.read_client(&message);
        assert_eq!(read, Ok(meaning), "{}: {}", protocol.name, message.escape_ascii());
    }
}

fn every_server_message_round_trips(protocol: &'static Protocol) {
    let offered_in =
        if protocol.flow.offer == OfferPlace::InGreeting { ReplyTo::Connect } else { ReplyTo::Hello };
    for (reply_to, meaning) in [
        (ReplyTo::Connect, ServerMessage::Greeting),
        (offered_in, ServerMessage::Offer { starttls: true }),
        (offered_in, ServerMessage::Offer { starttls: false }),
        (ReplyTo::Request, ServerMessage::Accept),
        (ReplyTo::Request, ServerMessage::Refuse(Refusal::Temporary)),
        (ReplyTo::Request, ServerMessage::Refuse(Refusal::Permanent)),
        (ReplyTo::Connect, ServerMessage::PreAuthenticated),
    ] {
        let asked = match reply_to {
            ReplyTo::Request => ClientMessage::Request,
            _ => ClientMessage::Hello,
        };
        let [mut client, mut server] = up_to(protocol, asked);
        let (mut question, mut answer) = (Vec::new(), Vec::new());
        if reply_to != ReplyTo::Connect {
            client.write_client(asked, &mut question);
            if question.is_empty() {
                continue;
            }
            server.read_client(&question).unwrap();
        }
        server.write_server(meaning, &mut answer);
        if answer.is_empty() || (reply_to == ReplyTo::Connect && !protocol.flow.greeting) {
            continue;
        }
        // An answer may consist of several messages. Only the last of them answers.
        let mut rest = answer.as_slice();
        let read = loop {
            let cut = client.frame(Side::Server, reply_to, rest, &mut Scan::default());
            let Ok(Some(end)) = cut else { panic!("{}: {meaning:?}: {cut:?}", protocol.name) };
            incomplete_until_the_last((protocol, &*client), Side::Server, reply_to, &rest[..end]);
            let read = client.read_server(reply_to, &rest[..end]);
            rest = &rest[end..];
            if read != Ok(ServerMessage::Interim) {
                break read;
            }
        };
        // A protocol may have the same refusal for temporary and permanent reasons.
        let refused =
            |it: &Result<ServerMessage, _>| matches!(it, Ok(ServerMessage::Refuse(_) | ServerMessage::Bye));
        let alike = refused(&read) && matches!(meaning, ServerMessage::Refuse(_));
        assert!(
            read == Ok(meaning) || alike,
            "{}: {meaning:?}, read {read:?}: {}",
            protocol.name,
            answer.escape_ascii()
        );
        assert!(rest.is_empty() || alike, "{}: {meaning:?} and more", protocol.name);
    }
}

fn a_stripped_offer_is_still_a_message_and_offers_nothing(protocol: &'static Protocol) {
    let [mut dialect, mut server] = [(); 2].map(|()| protocol.new_dialect(identity()));
    let reply_to =
        if protocol.flow.offer == OfferPlace::InGreeting { ReplyTo::Connect } else { ReplyTo::Hello };
    let (mut hello, mut offer) = (Vec::new(), Vec::new());
    if reply_to == ReplyTo::Hello {
        dialect.write_client(ClientMessage::Hello, &mut hello);
        server.read_client(&hello).unwrap();
    }
    server.write_server(ServerMessage::Offer { starttls: true }, &mut offer);
    let (mut rest, mut read) = (offer.as_slice(), Vec::new());
    while let Ok(Some(end)) = dialect.frame(Side::Server, reply_to, rest, &mut Scan::default()) {
        let stripped = dialect.rewrite(Side::Server, reply_to, &rest[..end], CapabilityRewrite::DropUpgrade);
        assert_eq!(
            stripped,
            dialect.rewrite(Side::Server, reply_to, &stripped, CapabilityRewrite::DropUpgrade),
            "{}",
            protocol.name
        );
        if !stripped.is_empty() {
            let again = dialect.frame(Side::Server, reply_to, &stripped, &mut Scan::default());
            assert_eq!(again, Ok(Some(stripped.len())), "{}: {}", protocol.name, stripped.escape_ascii());
            read.push(dialect.read_server(reply_to, &stripped).unwrap());
        }
        rest = &rest[end..];
    }
    assert!(!read.contains(&ServerMessage::Offer { starttls: true }), "{}: {read:?}", protocol.name);
    assert!(
        read.iter()
            .any(|it| matches!(it, ServerMessage::Offer { starttls: false } | ServerMessage::Greeting)),
        "{}: {read:?}",
        protocol.name
    );
}

fn s4_inside_tls_the_upgrade_is_neither_offered_nor_accepted(protocol: &'static Protocol) {
    for asked in [ClientMessage::Hello, ClientMessage::Request] {
        let mut client = protocol.new_dialect(identity().inside_tls());
        let (mut question, mut answer) = (Vec::new(), Vec::new());
        client.write_client(asked, &mut question);
        if question.is_empty() {
            continue;
        }
        let mut inside = ServerSession::new(protocol, identity(), &mut Vec::new());
        assert!(inside.receive(&question).is_empty());
        let _command = inside.next(&mut answer);
        let reply_to = if asked == ClientMessage::Hello { ReplyTo::Hello } else { ReplyTo::Request };
        let mut rest = answer.as_slice();
        while let Ok(Some(end)) = client.frame(Side::Server, reply_to, rest, &mut Scan::default()) {
            let read = client.read_server(reply_to, &rest[..end]).unwrap();
            assert!(
                !matches!(read, ServerMessage::Accept | ServerMessage::Offer { starttls: true }),
                "{}: {read:?} to {asked:?}",
                protocol.name
            );
            rest = &rest[end..];
        }
        assert!(rest.is_empty() && !answer.is_empty(), "{}: no answer to {asked:?}", protocol.name);
    }
}

fn a_peer_that_speaks_tls_on_the_upgrade_port_is_recognized(protocol: &'static Protocol) {
    for chunk in [1, 7] {
        let mut client = Client::new(protocol, identity(), &mut Vec::new());
        let mut seen = None;
        for piece in b"\x15\x03\x01\x00\x02\x02\x46".chunks(chunk) {
            match client.receive(piece, &mut Vec::new()) {
                Ok(Progress::Continue(next)) => client = next,
                other => {
                    seen = Some(other.unwrap_err().kind);
                    break;
                }
            }
        }
        assert_eq!(seen, Some(ErrorKind::TlsNotCleartext), "{} by {chunk}", protocol.name);
    }
}

fn a_client_that_sends_tls_in_cleartext_gets_an_alert(protocol: &'static Protocol) {
    let client_hello = b"\x16\x03\x01\x00\xc4\x01\x00\x00\xc0\x03\x03";
    for chunk in [1, client_hello.len()] {
        let (mut ended, mut answer) = (None, Vec::new());
        let mut server = Server::new(protocol, identity(), TlsSupport::Available, &mut Vec::new());
        for piece in client_hello.chunks(chunk) {
            match server.receive(piece, &mut answer) {
                Ok(Progress::Continue(next)) => server = next,
                other => {
                    ended = Some(other.unwrap_err().kind);
                    break;
                }
            }
        }
        assert_eq!(ended, Some(ErrorKind::TlsNotCleartext), "{} by {chunk}", protocol.name);
        assert_eq!(answer, [0x15, 3, 1, 0, 2, 2, 10], "{} by {chunk}", protocol.name);
    }
}
