//! Simulated TLS: a survey finds what the model of a server contains, and modern clients complete their handshake.

use std::io::{ErrorKind, Read, Write};
use std::net::SocketAddr;

use starttls::proto::{ClientMessage, Protocol, each_protocol, smtp};
use starttls_hello::{
    ConnectionOutcome, Flight, FlightProgress, GOODBYE, HelloContext, KeyExchange, Known, Question,
    ServerFacts, StreamEnd, SuiteClass, Support, Version, Walk, WalkEnd, WalkSize, WalkStep, extension_kind,
};
use starttls_lab::rogue::{Rogue, TlsModel, TlsWeakness};

use crate::authority;
use crate::peer::{PATIENCE, Peer, Wait, upgraded};

/// Sends one hello after an upgrade of its own, and reads the answer.
fn ask(
    protocol: &'static Protocol,
    address: SocketAddr,
    question: &Question,
    number: usize,
) -> ConnectionOutcome {
    let (mut peer, _) = Peer::open(address, protocol);
    peer.say(ClientMessage::Request);
    assert!(peer.accepted() && peer.inbox.is_empty(), "{}", protocol.name);
    let random = [u8::try_from(number % 256).unwrap(); 32];
    let context = HelloContext { server_name: Some("localhost"), alpn: None, random, session_id: random };
    peer.io.write_all(&question.to_bytes(&context)).unwrap();
    peer.io.wait(PATIENCE);
    let mut flight = Flight::new();
    let mut buffer = [0; 4096];
    let end = loop {
        match peer.io.read(&mut buffer) {
            Ok(0) => break StreamEnd::Closed,
            Ok(read) => match flight.receive(&buffer[..read]) {
                FlightProgress::More => {}
                FlightProgress::Done => break StreamEnd::Closed,
            },
            Err(error) if error.kind() == ErrorKind::ConnectionReset => break StreamEnd::Closed,
            Err(error) => panic!("{}: {error}", protocol.name),
        }
    };
    let _ = peer.io.write_all(&GOODBYE);
    ConnectionOutcome::Answered(flight.finish(end))
}

fn survey(address: SocketAddr) -> Walk {
    let mut walk = Walk::new(WalkSize::Survey);
    loop {
        match walk.next() {
            WalkStep::Done(end) => {
                assert!(matches!(end, WalkEnd::Complete | WalkEnd::Budget), "{end}");
                return walk;
            }
            WalkStep::Ask(question) => {
                let outcome = ask(&smtp::SMTP, address, &question, walk.connections());
                walk.record(question, outcome);
            }
        }
    }
}

#[test]
fn a_survey_finds_what_the_model_contains() {
    let sound = [("sound", TlsModel::SOUND), ("closes", TlsModel { closes: true, ..TlsModel::SOUND })];
    // The tests of the audit survey the servers that do not answer a usual hello.
    let answers = |it: &&TlsWeakness| it.has_session() && **it != TlsWeakness::LongHelloIgnored;
    let weak =
        TlsWeakness::ALL.iter().filter(answers).map(|weakness| (format!("{weakness:?}"), weakness.model()));
    let all: Vec<_> =
        sound.map(|(name, model)| (String::from(name), model)).into_iter().chain(weak).collect();
    std::thread::scope(|threads| {
        for (name, model) in &all {
            threads.spawn(move || {
                let rogue = Rogue::start_with_tls(&smtp::SMTP, *model, authority()).unwrap();
                let walk = survey(rogue.address());
                compare(name, model, &walk.facts());
            });
        }
    });
}

/// Compares each fact with the model. A server that closes leaves some facts open.
fn compare(name: &str, model: &TlsModel, facts: &ServerFacts<'_>) {
    let expect = |what: &str, known: Known<Support>, offered: bool| {
        let expected = if offered { Support::Offered } else { Support::NotOffered };
        assert!(
            known.value() == Some(expected) || model.closes && known.is_inconclusive(),
            "{name}: {what} is {known:?}, not {expected}"
        );
    };
    for version in Version::ALL.iter().copied() {
        let offered = if version == Version::Ssl2 {
            model.ssl2.is_some()
        } else {
            model.suites(version).next().is_some()
        };
        expect(version.name(), facts.version(version), offered);
    }
    let best = model.versions.iter().copied().filter(|version| *version < Version::Tls13).max().unwrap();
    for class in SuiteClass::ALL.iter().copied().filter(|class| *class <= SuiteClass::Aead) {
        let offered = model.suites(best).any(|suite| suite.class() == class);
        expect(class.name(), facts.class(best, class), offered);
    }
    assert_eq!(facts.ssl2_kinds(), model.ssl2.unwrap_or_default(), "{name}");
    expect("compression", facts.compression(), model.compression);
    expect("the client certificate", facts.client_certificate(), model.client_certificate);
    expect("the downgrade mark", facts.downgrade_mark(), model.downgrade_mark);
    expect("a broken signature", facts.legacy_signature(), model.signs_with_sha1);
    let is_weak = model.groups.iter().any(|group| group.0 == 0x0013) || model.explicit_curve;
    expect("a weak curve", facts.weak_curve(), is_weak);
    for (kind, offered) in [
        (extension_kind::EXTENDED_MASTER_SECRET, model.extended_master_secret),
        (extension_kind::HEARTBEAT, model.heartbeat),
        (extension_kind::RENEGOTIATION_INFO, true),
    ] {
        expect(&format!("extension {kind}"), facts.extension(kind), offered);
    }
    if model.versions.iter().any(|version| *version < Version::Tls12) {
        expect("the fallback signal", facts.fallback_scsv(), model.fallback_scsv);
    }
    let is_dhe = |suite: &starttls_hello::CipherSuite| {
        suite.info().is_some_and(|info| info.key_exchange == KeyExchange::Dhe)
    };
    match model.suites(best).any(|suite| is_dhe(&suite)) {
        true => {
            expect("a reused value", facts.dh_reuse(), model.reuses_dh_value);
            assert!(facts.dh_parameters().iter().all(|it| it.bits == model.dh_prime.bits()), "{name}");
            assert!(!facts.dh_parameters().is_empty(), "{name}");
        }
        false => assert!(facts.dh_parameters().is_empty(), "{name}"),
    }
    assert_eq!(facts.closes_instead_of_answering(), model.closes, "{name}");
}

/// The handshake of a current TLS library is completed by one, if the model has anything in common with it.
#[test]
fn modern_clients_complete_their_handshake() {
    std::thread::scope(|threads| {
        for weakness in TlsWeakness::ALL.iter().filter(|it| it.has_session()) {
            threads.spawn(move || {
                let rogue = Rogue::start_with_tls(&smtp::SMTP, weakness.model(), authority()).unwrap();
                let done = upgraded(rogue.address(), &smtp::SMTP);
                assert!(done.is_ok(), "{weakness:?}: {}", done.err().unwrap());
            });
        }
    });
}

each_protocol! {
    parallel
    simulated_tls_follows_the_upgrade
}

fn simulated_tls_follows_the_upgrade(protocol: &'static Protocol) {
    let rogue = Rogue::start_with_tls(protocol, TlsWeakness::Compression.model(), authority()).unwrap();
    let mut walk = Walk::new(WalkSize::Brief);
    while let WalkStep::Ask(question) = walk.next() {
        let outcome = ask(protocol, rogue.address(), &question, walk.connections());
        walk.record(question, outcome);
    }
    assert_eq!(walk.facts().compression().value(), Some(Support::Offered), "{}", protocol.name);
    assert!(upgraded(rogue.address(), protocol).is_ok(), "{}", protocol.name);
}
