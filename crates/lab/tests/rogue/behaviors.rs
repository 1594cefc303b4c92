//! Rogues that serve, offer or keep what they should not.

use std::net::{SocketAddr, TcpStream};
use std::thread::sleep;
use std::time::{Duration, Instant};

use starttls::proto::{ClientMessage, Phase, Protocol, Refusal, ReplyTo, ServerMessage};
use starttls_lab::rogue::{Rogue, Weakness};

use crate::peer::{PATIENCE, Peer, QUIET, SOON, Wait, dialect, mysql_login, open_connector, probe, upgraded};
use crate::{authority, for_all, sound};

fn rogue(protocol: &'static Protocol, weakness: Weakness) -> Rogue {
    Rogue::start(protocol, weakness, authority()).unwrap()
}

fn for_all_with(weakness: Weakness, test: impl Fn(&'static Protocol, SocketAddr) + Sync) {
    for_all(|protocol| {
        if weakness.applies_to(protocol) {
            test(protocol, rogue(protocol, weakness).address());
        }
    });
}

/// Returns the answer in cleartext as text.
fn said<S: Wait>(peer: &mut Peer<S>, question: &[u8]) -> String {
    peer.inbox.clear();
    peer.send(question);
    peer.io.wait(2 * QUIET);
    peer.fill();
    String::from_utf8_lossy(&peer.inbox).into_owned()
}

fn postgres_startup() -> Vec<u8> {
    b"\0\0\0\x14\0\x03\0\0user\0nobody\0".iter().copied().chain([0]).collect::<Vec<_>>()
}

/// Returns wrong credentials, and the start of the answer of a server that checks them.
fn credentials(protocol: &Protocol) -> (Vec<u8>, &'static str) {
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
        "postgres" => return (postgres_startup(), "R"),
        "mysql" => return (mysql_login(1), ",\0\0\u{2}\u{fffd}caching_sha2"),
        "irc" => (b"AUTHENTICATE PLAIN\r\n", "AUTHENTICATE +"),
        "nut" => (b"USERNAME a\n", "OK"),
        "xmpp" => (
            b"<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='PLAIN'>AGEAYg==</auth>",
            "<failure xmlns='urn:ietf:params:xml:ns:xmpp-sasl'><not-auth",
        ),
        "http" => (b"GET / HTTP/1.1\r\nHost: localhost\r\nAuthorization: Basic YTpi\r\n\r\n", "HTTP/1.1 200"),
        other => panic!("{other}"),
    };
    (question.to_vec(), answer)
}

/// Returns a command that needs no credentials, and the start of the answer of a server that does not require TLS.
fn service(protocol: &Protocol) -> (Vec<u8>, &'static str) {
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
        "nut" => (b"LIST UPS\n", "BEGIN LIST UPS"),
        "nbd" => {
            (b"\0\0\0\x01IHAVEOPT\0\0\0\x03\0\0\0\0", "\0\u{3}\u{fffd}\u{4}Ue\u{fffd}\0\0\0\u{3}\0\0\0\u{2}")
        }
        "http" => (b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n", "HTTP/1.1 200"),
        _ => return credentials(protocol),
    };
    (question.to_vec(), answer)
}

#[test]
fn credentials_before_tls() {
    for_all_with(Weakness::CredentialsBefore, |protocol, address| {
        let (question, answer) = credentials(protocol);
        let (mut peer, hello) = Peer::open(address, protocol);
        let text = said(&mut peer, &question);
        assert!(text.starts_with(answer), "{}: {text:?}", protocol.name);
        if matches!(protocol.name, "smtp" | "imap" | "pop3" | "sieve" | "xmpp") {
            let hello = String::from_utf8_lossy(&hello).to_ascii_uppercase();
            assert!(hello.contains("PLAIN") && hello.contains("ST"), "{}: {hello:?}", protocol.name);
        }
        let text = said(&mut Peer::open(sound(protocol), protocol).0, &question);
        assert!(!text.starts_with(answer), "sound {}: {text:?}", protocol.name);
        // The rogue serves no other command.
        let (question, answer) = service(protocol);
        if service(protocol) != credentials(protocol) {
            let text = said(&mut Peer::open(address, protocol).0, &question);
            assert!(!text.starts_with(answer), "{}: {text:?}", protocol.name);
        }
        assert!(upgraded(address, protocol).is_ok(), "{}", protocol.name);
    });
}

#[test]
fn everything_is_served_in_cleartext() {
    for weakness in [Weakness::NotEnforced, Weakness::NotOffered] {
        for_all_with(weakness, |protocol, address| {
            let (question, answer) = service(protocol);
            let text = said(&mut Peer::open(address, protocol).0, &question);
            assert!(text.starts_with(answer), "{weakness:?} {}: {text:?}", protocol.name);
            let text = said(&mut Peer::open(sound(protocol), protocol).0, &question);
            assert!(!text.starts_with(answer), "sound {}: {text:?}", protocol.name);
            let upgrades = weakness == Weakness::NotEnforced;
            assert_eq!(upgraded(address, protocol).is_ok(), upgrades, "{weakness:?} {}", protocol.name);
        });
    }
}

#[test]
fn state_from_before_tls_is_in_force_inside() {
    for_all_with(Weakness::Fixation, |protocol, address| {
        let (before, inside, kept): (&[u8], &[u8], _) = match protocol.name {
            "pop3" => (b"USER a\r\n", b"PASS b\r\n", "-ERR [AUTH]"),
            "nntp" => (b"AUTHINFO USER a\r\n", b"AUTHINFO PASS b\r\n", "481 "),
            "ftp" => (b"USER a\r\n", b"PASS b\r\n", "530 "),
            "irc" => (b"NICK a\r\nPING x\r\n", b"USER a 0 * :a\r\nPING y\r\n", ":localhost 001 a "),
            "nut" => (b"USERNAME a\n", b"USERNAME a\n", "ERR ALREADY-SET"),
            _ => (b"MAIL FROM:<a@example.test>\r\n", b"RCPT TO:<b@example.test>\r\n", "250 "),
        };
        let run = |address| {
            let (mut peer, _) = Peer::open(address, protocol);
            said(&mut peer, before);
            peer.inbox.clear();
            peer.say(ClientMessage::Request);
            assert!(peer.accepted(), "{}", protocol.name);
            said(&mut peer.secure(&open_connector(), dialect(protocol, Phase::InsideTls)).unwrap(), inside)
        };
        let text = run(address);
        assert!(text.starts_with(kept), "{}: {text:?}", protocol.name);
        let text = run(sound(protocol));
        assert!(!text.starts_with(kept), "sound {}: {text:?}", protocol.name);
    });
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

#[test]
fn the_upgrade_is_offered_and_accepted_inside() {
    for_all_with(Weakness::OfferInside, |protocol, address| {
        let (offered, accepted) = inside(address, protocol);
        assert!(offered != Some(false) && accepted, "{}: {offered:?} {accepted}", protocol.name);
        let (offered, accepted) = inside(sound(protocol), protocol);
        assert!(offered != Some(true) && !accepted, "sound {}", protocol.name);
    });
}

#[test]
fn capabilities_are_kept_inside() {
    for_all_with(Weakness::CapsKept, |protocol, address| {
        assert_eq!(inside(address, protocol), (Some(true), false), "{}", protocol.name);
    });
}

#[test]
fn a_failed_handshake_leads_back_to_cleartext() {
    // No data, an alert (RFC 8446 section 6), an invalid record.
    let failures: [&[u8]; 3] = [b"", b"\x15\x03\x03\0\x02\x02\x28", b"\x16\x03\x01\0\x04\x63\0\0\0"];
    let served = |address: SocketAddr, protocol: &'static Protocol, failure: &[u8]| {
        let (mut peer, _) = Peer::open(address, protocol);
        peer.say(ClientMessage::Request);
        assert!(peer.accepted());
        if !failure.is_empty() {
            peer.send(failure);
            sleep(QUIET);
        }
        let mut dialect = dialect(protocol, Phase::InsideTls);
        let (question, reply_to) = probe(protocol, &mut *dialect);
        peer.send(&question);
        peer.io.wait(2 * QUIET);
        while peer.inbox.len() < 8 && peer.fill() {}
        if peer.inbox.first() == Some(&0x15) {
            peer.inbox.drain(..7.min(peer.inbox.len()));
        }
        peer.dialect = dialect;
        peer.answer(reply_to, 2 * QUIET).is_some()
    };
    for_all_with(Weakness::Fallback, |protocol, address| {
        for failure in failures {
            assert!(served(address, protocol, failure), "{} {failure:?}", protocol.name);
            assert!(!served(sound(protocol), protocol, failure), "sound {} {failure:?}", protocol.name);
        }
        assert!(upgraded(address, protocol).is_ok(), "{}", protocol.name);
    });
}

#[test]
fn the_client_hello_is_waited_for_without_an_end() {
    // Longer than the limit of the other rogues.
    let long = Duration::from_millis(5500);
    let open_after = |address, protocol: &'static Protocol| {
        let (mut peer, _) = Peer::open(address, protocol);
        peer.say(ClientMessage::Request);
        assert!(peer.accepted());
        sleep(long);
        peer.secure(&open_connector(), dialect(protocol, Phase::InsideTls)).is_ok()
    };
    std::thread::scope(|threads| {
        let patient = threads.spawn(|| {
            for_all_with(Weakness::Stall, |protocol, address| assert!(open_after(address, protocol)))
        });
        for_all_with(Weakness::Eager, |protocol, address| assert!(!open_after(address, protocol)));
        patient.join().unwrap();
    });
}

#[test]
fn sessions_start_authenticated() {
    for_all_with(Weakness::Preauth, |protocol, address| {
        let greeting = |address| Peer::dial(address, protocol).answer(ReplyTo::Connect, PATIENCE).unwrap().1;
        assert_eq!(greeting(address), ServerMessage::PreAuthenticated, "{}", protocol.name);
        assert_eq!(greeting(sound(protocol)), ServerMessage::Greeting, "{}", protocol.name);
        assert!(upgraded(address, protocol).is_err());
    });
}

#[test]
fn requests_are_refused() {
    let answer = |address, protocol: &'static Protocol| {
        let (mut peer, said) = Peer::open(address, protocol);
        peer.say(ClientMessage::Request);
        (peer.answer(ReplyTo::Request, PATIENCE).map(|it| it.1), said)
    };
    for_all_with(Weakness::RefusedForNow, |protocol, address| {
        let (answer, _) = answer(address, protocol);
        // PostgreSQL refuses with an error; NUT and NBD do not distinguish temporary and permanent refusals.
        let refusal = match protocol.name {
            "postgres" => ServerMessage::Bye,
            "nut" | "nbd" => ServerMessage::Refuse(Refusal::Permanent),
            _ => ServerMessage::Refuse(Refusal::Temporary),
        };
        assert_eq!(answer, Some(refusal), "{}", protocol.name);
    });
    for_all_with(Weakness::Mangled, |protocol, address| {
        let (answer, said) = answer(address, protocol);
        assert!(matches!(answer, Some(ServerMessage::Refuse(_))), "{}", protocol.name);
        let said = String::from_utf8_lossy(&said).into_owned();
        assert!(said.contains("XXA") && !said.contains("STARTTLS"), "{}: {said:?}", protocol.name);
    });
}

#[test]
fn the_second_connection_is_turned_away() {
    for_all_with(Weakness::Throttled, |protocol, address| {
        assert!(upgraded(address, protocol).is_ok(), "{}", protocol.name);
        let mut second = Peer::dial(address, protocol);
        let answer = second.answer(ReplyTo::Connect, PATIENCE).map(|it| it.1);
        // A server of NBD has no message in place of its greeting, and only closes.
        let has_message = protocol.flow.greeting && protocol.name != "nbd";
        assert_eq!(answer, has_message.then_some(ServerMessage::Bye), "{}", protocol.name);
    });
}

#[test]
fn elsewhere_and_to_the_user() {
    for (weakness, text) in [(Weakness::Referral, "other.example.test"), (Weakness::Alert, "555 0100")] {
        for_all_with(weakness, |protocol, address| {
            let run = |address| {
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
                    all.extend(peer.answer(reply_to, 2 * QUIET).map(|it| it.0).unwrap_or_default());
                    all.extend(std::mem::take(&mut peer.inbox));
                }
                String::from_utf8_lossy(&all).contains(text)
            };
            assert!(run(address), "{weakness:?} {}", protocol.name);
            assert!(!run(sound(protocol)), "sound {weakness:?} {}", protocol.name);
        });
    }
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
    peer.say(ClientMessage::Hello);
    assert_eq!(peer.answer(ReplyTo::Hello, PATIENCE), None);
}

/// Rogues answer, and sound servers refuse, the probes of the dialects: a failing login, and a command that requires
/// one.
#[test]
fn the_dialects_words_are_answered_by_rogues_and_refused_by_the_sound() {
    let words = [
        (Weakness::CredentialsBefore, ClientMessage::Credentials),
        (Weakness::NotEnforced, ClientMessage::Credentials),
        (Weakness::NotEnforced, ClientMessage::Other),
    ];
    for (weakness, message) in words {
        for_all_with(weakness, |protocol, address| {
            let answer = |address| {
                let (mut peer, _) = Peer::open(address, protocol);
                let words = peer.words(message);
                peer.send(&words);
                (words, peer.answer(ReplyTo::Other, SOON))
            };
            let (words, from_rogue) = answer(address);
            if words.is_empty() {
                return;
            }
            let (_, from_sound) = answer(sound(protocol));
            let text = |it: &Option<(Vec<u8>, ServerMessage)>| {
                format!("{:?}", it.as_ref().map(|it| (it.0.escape_ascii().to_string(), it.1)))
            };
            let told = format!(
                "{weakness:?} {message:?} {}: rogue {} sound {}",
                protocol.name,
                text(&from_rogue),
                text(&from_sound)
            );
            // IRC servers do not answer PASS (RFC 2812 section 3.1.1).
            assert!(from_rogue.is_some() || protocol.name == "irc", "{told}");
            assert_ne!(from_rogue, from_sound, "{told}");
        });
    }
}
