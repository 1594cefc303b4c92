//! Rogues that serve, offer or keep what they should not.

use std::io::Read;
use std::net::{SocketAddr, TcpStream};
use std::thread::sleep;
use std::time::{Duration, Instant};

use starttls::proto::{
    ClientMessage, Identity, Phase, Protocol, Refusal, ReplyTo, ServerMessage, each_protocol,
};
use starttls_lab::rogue::{Rogue, Weakness};

use crate::peer::{PATIENCE, Peer, QUIET, SOON, Wait, dialect, mysql_login, open_connector, probe, upgraded};
use crate::{authority, sound};

fn rogue(protocol: &'static Protocol, weakness: Weakness) -> Rogue {
    Rogue::start(protocol, weakness, authority()).unwrap()
}

each_protocol! {
    parallel
    a_failed_handshake_leads_back_to_cleartext
    the_client_hello_is_waited_for_without_an_end
    a_late_client_hello_is_refused
    the_second_connection_is_turned_away
}

each_protocol! {
    parallel if |it| starttls_lab::rogue::Weakness::CredentialsBefore.applies_to(it) =>
    credentials_before_tls
}

each_protocol! {
    parallel if |it| starttls_lab::rogue::Weakness::NotEnforced.applies_to(it) =>
    everything_is_served_in_cleartext
    a_probe_is_answered_by_rogues_and_refused_by_the_sound_server
}

each_protocol! {
    parallel if |it| starttls_lab::rogue::Weakness::Fixation.applies_to(it) =>
    state_from_before_tls_is_in_force_inside
}

each_protocol! {
    parallel if |it| starttls_lab::rogue::Weakness::OfferInside.applies_to(it) =>
    the_upgrade_is_offered_and_accepted_inside
}

each_protocol! {
    parallel if |it| starttls_lab::rogue::Weakness::CapsKept.applies_to(it) =>
    capabilities_are_kept_inside
}

each_protocol! {
    parallel if |it| starttls_lab::rogue::Weakness::Preauth.applies_to(it) =>
    sessions_start_authenticated
}

each_protocol! {
    parallel if |it| starttls_lab::rogue::Weakness::RefusedForNow.applies_to(it) =>
    a_request_is_refused_for_now
}

each_protocol! {
    parallel if |it| starttls_lab::rogue::Weakness::Mangled.applies_to(it) =>
    a_mangled_offer_is_not_accepted
}

each_protocol! {
    parallel if |it| starttls_lab::rogue::Weakness::Referral.applies_to(it) =>
    a_referral_leads_to_another_server
}

each_protocol! {
    parallel if |it| starttls_lab::rogue::Weakness::Alert.applies_to(it) =>
    an_alert_reaches_the_user
}

/// Sends a question and waits for an answer that starts like this. Returns what has arrived, as text.
fn said<S: Wait>(peer: &mut Peer<S>, question: &[u8], start: &str, patience: Duration) -> String {
    peer.inbox.clear();
    peer.send(question);
    let deadline = Instant::now() + patience;
    loop {
        let text = String::from_utf8_lossy(&peer.inbox).into_owned();
        let left = deadline.saturating_duration_since(Instant::now());
        if text.starts_with(start) || left.is_zero() {
            return text;
        }
        peer.io.wait(left);
        if !peer.fill() {
            return text;
        }
    }
}

fn postgres_startup() -> Vec<u8> {
    b"\0\0\0\x14\0\x03\0\0user\0nobody\0".iter().copied().chain([0]).collect::<Vec<_>>()
}

/// Returns wrong credentials, and the start of the answer of a server that checks them. Returns `None` for a protocol without a
/// login.
fn credentials(protocol: &Protocol) -> Option<(Vec<u8>, String)> {
    let (question, answer): (&[u8], _) = match protocol.name {
        "smtp" | "submission" => (b"AUTH PLAIN AGEAYg==\r\n", "535 "),
        "imap" => (b"a LOGIN b {1}\r\n", "+ "),
        "pop3" => (b"AUTH PLAIN AGEAYg==\r\n", "-ERR [AUTH]"),
        "sieve" => (b"AUTHENTICATE \"PLAIN\" \"AGEAYg==\"\r\n", "NO \"Wrong"),
        "nntp" => (b"AUTHINFO USER a\r\n", "381 "),
        "ldap" => (
            b"\x30\x10\x02\x01\x05\x60\x0b\x02\x01\x03\x04\x03o=a\x80\x01b",
            "0\u{c}\u{2}\u{1}\u{5}a\u{7}\n\u{1}1",
        ),
        "ftp" => (b"USER a\r\n", "331 "),
        "postgres" => return Some((postgres_startup(), String::from("R"))),
        "mysql" => return Some((mysql_login(1), String::from(",\0\0\u{2}\u{fffd}caching_sha2"))),
        "nats" => (b"CONNECT {\"user\":\"a\",\"pass\":\"b\"}\r\n", "-ERR 'Authorization"),
        "mysqlx" => (b"\x10\0\0\0\x04\x0a\x0dSHA256_MEMORY", "\x17\0\0\0\u{3}\n\u{14}starttls-lab"),
        "irc" => (b"AUTHENTICATE PLAIN\r\n", "AUTHENTICATE +"),
        "nut" => (b"USERNAME a\n", "OK"),
        "xmpp" => (
            b"<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='PLAIN'>AGEAYg==</auth>",
            "<failure xmlns='urn:ietf:params:xml:ns:xmpp-sasl'><not-auth",
        ),
        "http" => (b"GET / HTTP/1.1\r\nHost: localhost\r\nAuthorization: Basic YTpi\r\n\r\n", "HTTP/1.1 200"),
        _ => return None,
    };
    Some((question.to_vec(), answer.to_owned()))
}

/// Returns a command that needs no credentials, and the start of the answer of a server that does not require TLS.
fn service(protocol: &Protocol) -> (Vec<u8>, String) {
    let (question, answer): (&[u8], _) = match protocol.name {
        "smtp" | "submission" | "lmtp" => (b"MAIL FROM:<a@example.test>\r\n", "250 "),
        "imap" => (b"a LIST \"\" *\r\n", "a BAD Log in first"),
        "pop3" => (b"STAT\r\n", "-ERR Log in first"),
        "sieve" => (b"LISTSCRIPTS\r\n", "NO \"Authenticate first"),
        "nntp" => (b"GROUP lab.mail\r\n", "480 "),
        "ldap" => {
            (b"\x30\x0c\x02\x01\x05\x60\x07\x02\x01\x03\x04\0\x80\0", "0\u{c}\u{2}\u{1}\u{5}a\u{7}\n\u{1}\0")
        }
        "irc" => (b"NICK a\r\nUSER a 0 * :a\r\n", ":localhost 001 a "),
        "nats" => (b"PING\r\n", "PONG\r\n"),
        "nut" => (b"LIST UPS\n", "BEGIN LIST UPS"),
        "nbd" => {
            (b"\0\0\0\x01IHAVEOPT\0\0\0\x03\0\0\0\0", "\0\u{3}\u{fffd}\u{4}Ue\u{fffd}\0\0\0\u{3}\0\0\0\u{2}")
        }
        // A request for Standard RDP Security, and its confirm.
        "rdp" => (b"\x03\0\0\x0b\x06\xe0\0\0\0\0\0", "\u{3}\0\0\u{b}\u{6}\u{fffd}"),
        "http" => (b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n", "HTTP/1.1 200"),
        // The security type None, and a SecurityResult.
        "vnc" => (b"\x01", "\0\0\0\0"),
        _ => return credentials(protocol).unwrap_or_else(|| written(protocol)),
    };
    (question.to_vec(), answer.to_owned())
}

/// Returns a command and its answer, as the dialect writes both.
fn written(protocol: &Protocol) -> (Vec<u8>, String) {
    let [mut client, mut server] =
        [(); 2].map(|()| protocol.new_dialect(Identity::new("localhost").with_nonce(0)));
    let (mut question, mut answer) = (Vec::new(), Vec::new());
    client.write_client(ClientMessage::Other, &mut question);
    server.read_client(&question).unwrap();
    server.write_server(ServerMessage::Other, &mut answer);
    assert!(!answer.is_empty(), "{}", protocol.name);
    (question, String::from_utf8_lossy(&answer).into_owned())
}

fn credentials_before_tls(protocol: &'static Protocol) {
    let rogue = rogue(protocol, Weakness::CredentialsBefore);
    let address = rogue.address();
    let (question, answer) = credentials(protocol).unwrap();
    let (mut peer, hello) = Peer::open(address, protocol);
    let text = said(&mut peer, &question, &answer, PATIENCE);
    assert!(text.starts_with(&answer), "{}: {text:?}", protocol.name);
    if matches!(protocol.name, "smtp" | "imap" | "pop3" | "sieve" | "xmpp") {
        let hello = String::from_utf8_lossy(&hello).to_ascii_uppercase();
        assert!(hello.contains("PLAIN") && hello.contains("ST"), "{}: {hello:?}", protocol.name);
    }
    let text = said(&mut Peer::open(sound(protocol), protocol).0, &question, &answer, 2 * QUIET);
    assert!(!text.starts_with(&answer), "sound {}: {text:?}", protocol.name);
    // The rogue serves no other command.
    let (question, answer) = service(protocol);
    if Some(&(question.clone(), answer.clone())) != credentials(protocol).as_ref() {
        let text = said(&mut Peer::open(address, protocol).0, &question, &answer, 2 * QUIET);
        assert!(!text.starts_with(&answer), "{}: {text:?}", protocol.name);
    }
    assert!(upgraded(address, protocol).is_ok(), "{}", protocol.name);
}

fn everything_is_served_in_cleartext(protocol: &'static Protocol) {
    for weakness in [Weakness::NotEnforced, Weakness::NotOffered] {
        let rogue = rogue(protocol, weakness);
        let address = rogue.address();
        let (question, answer) = service(protocol);
        let text = said(&mut Peer::open(address, protocol).0, &question, &answer, PATIENCE);
        assert!(text.starts_with(&answer), "{weakness:?} {}: {text:?}", protocol.name);
        let text = said(&mut Peer::open(sound(protocol), protocol).0, &question, &answer, 2 * QUIET);
        assert!(!text.starts_with(&answer), "sound {}: {text:?}", protocol.name);
        let upgrades = weakness == Weakness::NotEnforced;
        assert_eq!(upgraded(address, protocol).is_ok(), upgrades, "{weakness:?} {}", protocol.name);
    }
}

fn state_from_before_tls_is_in_force_inside(protocol: &'static Protocol) {
    let rogue = rogue(protocol, Weakness::Fixation);
    let address = rogue.address();
    let (before, inside, kept): (&[u8], &[u8], _) = match protocol.name {
        "pop3" => (b"USER a\r\n", b"PASS b\r\n", "-ERR [AUTH]"),
        "nntp" => (b"AUTHINFO USER a\r\n", b"AUTHINFO PASS b\r\n", "481 "),
        "ftp" => (b"USER a\r\n", b"PASS b\r\n", "530 "),
        "irc" => (b"NICK a\r\nPING x\r\n", b"USER a 0 * :a\r\nPING y\r\n", ":localhost 001 a "),
        "nut" => (b"USERNAME a\n", b"USERNAME a\n", "ERR ALREADY-SET"),
        _ => (b"MAIL FROM:<a@example.test>\r\n", b"RCPT TO:<b@example.test>\r\n", "250 "),
    };
    let run = |address, patience| {
        let (mut peer, _) = Peer::open(address, protocol);
        peer.send(before);
        // The server answers once or twice.
        peer.io.wait(PATIENCE);
        while peer.fill() {
            peer.io.wait(SOON);
        }
        peer.inbox.clear();
        peer.say(ClientMessage::Request);
        assert!(peer.accepted(), "{}", protocol.name);
        let mut peer = peer.secure(&open_connector(), dialect(protocol, Phase::InsideTls)).unwrap();
        said(&mut peer, inside, kept, patience)
    };
    let text = run(address, PATIENCE);
    assert!(text.starts_with(kept), "{}: {text:?}", protocol.name);
    let text = run(sound(protocol), 2 * QUIET);
    assert!(!text.starts_with(kept), "sound {}: {text:?}", protocol.name);
}

/// Returns whether the upgrade is offered inside TLS, and whether it is accepted.
fn inside(address: SocketAddr, protocol: &'static Protocol) -> (Option<bool>, bool) {
    let mut peer = upgraded(address, protocol).unwrap();
    let hello = peer.words(ClientMessage::Hello);
    let offered = (!hello.is_empty()).then(|| {
        peer.send(&hello);
        let answer = peer.answer(ReplyTo::Hello, PATIENCE).map(|it| it.1);
        answer == Some(ServerMessage::Offer { starttls: true })
    });
    peer.say(ClientMessage::Request);
    let accepted = peer.answer(ReplyTo::Request, PATIENCE).map(|it| it.1) == Some(ServerMessage::Accept);
    (offered, accepted)
}

fn the_upgrade_is_offered_and_accepted_inside(protocol: &'static Protocol) {
    let rogue = rogue(protocol, Weakness::OfferInside);
    let address = rogue.address();
    let (offered, accepted) = inside(address, protocol);
    assert!(offered != Some(false) && accepted, "{}: {offered:?} {accepted}", protocol.name);
    let (offered, accepted) = inside(sound(protocol), protocol);
    assert!(offered != Some(true) && !accepted, "sound {}", protocol.name);
}

fn capabilities_are_kept_inside(protocol: &'static Protocol) {
    let rogue = rogue(protocol, Weakness::CapsKept);
    let address = rogue.address();
    assert_eq!(inside(address, protocol), (Some(true), false), "{}", protocol.name);
}

fn a_failed_handshake_leads_back_to_cleartext(protocol: &'static Protocol) {
    // No data, an alert (RFC 8446 section 6), an invalid record.
    let failures: [&[u8]; 3] = [b"", b"\x15\x03\x03\0\x02\x02\x28", b"\x16\x03\x01\0\x04\x63\0\0\0"];
    let served = |address: SocketAddr, failure: &[u8], pause: Duration| {
        let (mut peer, _) = Peer::open(address, protocol);
        peer.say(ClientMessage::Request);
        assert!(peer.accepted());
        if !failure.is_empty() {
            peer.send(failure);
            sleep(pause);
        }
        let mut dialect = dialect(protocol, Phase::InsideTls);
        let (question, reply_to) = probe(protocol, &mut *dialect);
        peer.send(&question);
        peer.io.wait(2 * pause);
        while peer.inbox.len() < 8 && peer.fill() {}
        if peer.inbox.first() == Some(&0x15) {
            peer.inbox.drain(..7.min(peer.inbox.len()));
        }
        peer.dialect = dialect;
        peer.answer(reply_to, 2 * pause).is_some()
    };
    let rogue = rogue(protocol, Weakness::Fallback);
    let address = rogue.address();
    for failure in failures {
        // Where the ClientHello is the request, cleartext in its place is not a failed handshake.
        if failure.is_empty() && protocol.flow.client_hello_is_request {
            continue;
        }
        // A busy server reads the question together with the failure, and drops both.
        let is_served = [1, 4, 16, 64].into_iter().any(|times| served(address, failure, times * QUIET));
        assert!(is_served, "{} {failure:?}", protocol.name);
        assert!(!served(sound(protocol), failure, QUIET), "sound {} {failure:?}", protocol.name);
    }
    assert!(upgraded(address, protocol).is_ok(), "{}", protocol.name);
}

/// Returns whether the server completes a handshake that starts after the limit of the other rogues.
fn accepts_late_hello(protocol: &'static Protocol, weakness: Weakness) -> bool {
    let rogue = rogue(protocol, weakness);
    let (mut peer, _) = Peer::open(rogue.address(), protocol);
    peer.say(ClientMessage::Request);
    assert!(peer.accepted());
    // The limit is five seconds, and its end may be late on a busy machine.
    sleep(Duration::from_secs(10));
    peer.secure(&open_connector(), dialect(protocol, Phase::InsideTls)).is_ok()
}

fn the_client_hello_is_waited_for_without_an_end(protocol: &'static Protocol) {
    assert!(accepts_late_hello(protocol, Weakness::Stall), "{}", protocol.name);
}

fn a_late_client_hello_is_refused(protocol: &'static Protocol) {
    assert!(!accepts_late_hello(protocol, Weakness::Eager), "{}", protocol.name);
}

fn sessions_start_authenticated(protocol: &'static Protocol) {
    let rogue = rogue(protocol, Weakness::Preauth);
    let address = rogue.address();
    let greeting = |address| Peer::dial(address, protocol).answer(ReplyTo::Connect, PATIENCE).unwrap().1;
    assert_eq!(greeting(address), ServerMessage::PreAuthenticated, "{}", protocol.name);
    assert_eq!(greeting(sound(protocol)), ServerMessage::Greeting, "{}", protocol.name);
    assert!(upgraded(address, protocol).is_err());
}

/// Returns the answer to the request for TLS, and the bytes before it.
fn answer_to_request(address: SocketAddr, protocol: &'static Protocol) -> (Option<ServerMessage>, Vec<u8>) {
    let (mut peer, said) = Peer::open(address, protocol);
    peer.say(ClientMessage::Request);
    (peer.answer(ReplyTo::Request, PATIENCE).map(|it| it.1), said)
}

fn a_request_is_refused_for_now(protocol: &'static Protocol) {
    let rogue = rogue(protocol, Weakness::RefusedForNow);
    let (answer, _) = answer_to_request(rogue.address(), protocol);
    // PostgreSQL refuses with an error. Most binary protocols do not distinguish temporary and permanent refusals.
    let refusal = match protocol.name {
        "postgres" => ServerMessage::Bye,
        "ftp" | "http" | "imap" | "irc" | "ldap" | "lmtp" | "nntp" | "pop3" | "sieve" | "smtp"
        | "submission" | "xmpp" | "xmpp-server" => ServerMessage::Refuse(Refusal::Temporary),
        _ => ServerMessage::Refuse(Refusal::Permanent),
    };
    assert_eq!(answer, Some(refusal), "{}", protocol.name);
}

fn a_mangled_offer_is_not_accepted(protocol: &'static Protocol) {
    let rogue = rogue(protocol, Weakness::Mangled);
    let (answer, said) = answer_to_request(rogue.address(), protocol);
    assert!(matches!(answer, Some(ServerMessage::Refuse(_))), "{}", protocol.name);
    let said = String::from_utf8_lossy(&said).into_owned();
    assert!(said.contains("XXA") && !said.contains("STARTTLS"), "{}: {said:?}", protocol.name);
}

fn the_second_connection_is_turned_away(protocol: &'static Protocol) {
    let rogue = rogue(protocol, Weakness::Throttled);
    let address = rogue.address();
    assert!(upgraded(address, protocol).is_ok(), "{}", protocol.name);
    let mut second = Peer::dial(address, protocol);
    let answer = second.answer(ReplyTo::Connect, PATIENCE).map(|it| it.1);
    let expected = match protocol.name {
        // The server has no message in place of its greeting, and only closes.
        "nbd" => None,
        // The reason follows the version.
        "vnc" => Some(ServerMessage::Greeting),
        _ => protocol.flow.greeting.then_some(ServerMessage::Bye),
    };
    assert_eq!(answer, expected, "{}", protocol.name);
}

fn a_referral_leads_to_another_server(protocol: &'static Protocol) {
    only_the_rogue_sends("other.example.test", protocol, Weakness::Referral);
}

fn an_alert_reaches_the_user(protocol: &'static Protocol) {
    only_the_rogue_sends("555 0100", protocol, Weakness::Alert);
}

/// Checks that the rogue sends this text before TLS, and the sound server does not.
fn only_the_rogue_sends(text: &str, protocol: &'static Protocol, weakness: Weakness) {
    let sends = |address, patience| {
        let mut peer = Peer::dial(address, protocol);
        let mut all = Vec::new();
        let steps = [
            (ReplyTo::Connect, None),
            (ReplyTo::Hello, Some(ClientMessage::Hello)),
            (ReplyTo::Request, Some(ClientMessage::Request)),
        ];
        for (reply_to, question) in steps {
            let question = question.map(|it| peer.words(it)).unwrap_or_default();
            if question.is_empty() && !(reply_to == ReplyTo::Connect && protocol.flow.greeting) {
                continue;
            }
            peer.send(&question);
            all.extend(peer.answer(reply_to, patience).map(|it| it.0).unwrap_or_default());
            all.extend(std::mem::take(&mut peer.inbox));
            if String::from_utf8_lossy(&all).contains(text) {
                return true;
            }
        }
        false
    };
    let rogue = rogue(protocol, weakness);
    assert!(sends(rogue.address(), PATIENCE), "{weakness:?} {}", protocol.name);
    assert!(!sends(sound(protocol), 2 * QUIET), "sound {weakness:?} {}", protocol.name);
}

#[test]
fn every_weakness_has_an_id_and_a_protocol() {
    for weakness in Weakness::ALL {
        let protocols = starttls::proto::PROTOCOLS;
        assert!(protocols.iter().any(|protocol| weakness.applies_to(protocol)), "{weakness:?}");
        assert!(!weakness.id().is_empty(), "{weakness:?}");
        assert!(!weakness.also().contains(&weakness.id()), "{weakness:?}");
    }
}

#[test]
fn a_rogue_ends_when_it_is_dropped() {
    let protocol = &starttls::proto::smtp::SMTP;
    let rogue = rogue(protocol, Weakness::Eager);
    let (mut peer, _) = Peer::open(rogue.address(), protocol);
    let address = rogue.address();
    drop(rogue);
    let deadline = Instant::now() + PATIENCE;
    while TcpStream::connect(address).is_ok() {
        assert!(Instant::now() < deadline, "it still listens");
        sleep(Duration::from_millis(10));
    }
    // A thread may just be running a step of the session, which ends with it.
    peer.io.wait(PATIENCE);
    assert_eq!(peer.io.read(&mut [0]).unwrap(), 0, "the session continues");
    peer.say(ClientMessage::Hello);
    assert_eq!(peer.answer(ReplyTo::Hello, PATIENCE), None);
}

/// Rogues answer, and sound servers refuse, the probes of the dialects: a failing login, and a command that requires
/// one.
fn a_probe_is_answered_by_rogues_and_refused_by_the_sound_server(protocol: &'static Protocol) {
    let words = [
        (Weakness::CredentialsBefore, ClientMessage::Credentials),
        (Weakness::NotEnforced, ClientMessage::Credentials),
        (Weakness::NotEnforced, ClientMessage::Other),
    ];
    for (weakness, message) in words.into_iter().filter(|it| it.0.applies_to(protocol)) {
        let rogue = rogue(protocol, weakness);
        let address = rogue.address();
        let answer = |address, patience| {
            let (mut peer, _) = Peer::open(address, protocol);
            let words = peer.words(message);
            if words.is_empty() {
                return (words, None);
            }
            peer.send(&words);
            (words, peer.answer(ReplyTo::Other, patience))
        };
        // IRC servers do not answer PASS (RFC 2812 section 3.1.1).
        let (words, from_rogue) = answer(address, if protocol.name == "irc" { SOON } else { PATIENCE });
        if words.is_empty() {
            continue;
        }
        let (_, from_sound) = answer(sound(protocol), SOON);
        let text = |it: &Option<(Vec<u8>, ServerMessage)>| {
            format!("{:?}", it.as_ref().map(|it| (it.0.escape_ascii().to_string(), it.1)))
        };
        let told = format!(
            "{weakness:?} {message:?} {}: rogue {} sound {}",
            protocol.name,
            text(&from_rogue),
            text(&from_sound)
        );
        assert!(from_rogue.is_some() || protocol.name == "irc", "{told}");
        assert_ne!(from_rogue, from_sound, "{told}");
    }
}
