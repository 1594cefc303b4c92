//! The walk against simulated servers: a fact is true or inconclusive, never wrong, and no walk is longer than allowed.

mod random;
mod scripted;
mod server;

use server::Server;
use starttls_hello::{
    Answer, Certainty, CipherSuite, ConnectionOutcome, Exchange, KeyExchange, Known, NamedGroup, ServerFacts,
    Strength, SuiteClass, Support, Version, Walk, WalkEnd, WalkSize, WalkStep,
};

const CLASSIC: [Version; 4] = [Version::Ssl3, Version::Tls10, Version::Tls11, Version::Tls12];

/// Walks to the end, and looks at the facts there. Shorter budgets show what is known on the way.
fn walk(server: &mut Server, mut walk: Walk) -> (Walk, WalkEnd) {
    loop {
        match walk.next() {
            WalkStep::Done(stop) => {
                check(server, &walk.facts());
                return (walk, stop);
            }
            WalkStep::Ask(question) => {
                let outcome = server.connect(&question, walk.connections());
                walk.record(question, outcome);
            }
        }
    }
}

/// The topics, versions and numbers of suites that were asked for, in their order.
fn asked(walk: &Walk) -> Vec<String> {
    let line = |it: &Exchange| {
        let Exchange { question, outcome } = it;
        let answer = match outcome {
            ConnectionOutcome::TurnedAway => String::from("turned away"),
            ConnectionOutcome::Answered(Answer::Hello(flight)) => {
                format!("{} {}", flight.hello.version_code(), flight.suite())
            }
            ConnectionOutcome::Answered(other) => format!("{other:?}"),
        };
        let (suites, groups) = (question.suites.len(), question.groups.len());
        format!("{} {}: {suites} suites, {groups} groups: {answer:.90}", question.topic, question.version)
    };
    walk.exchanges().iter().map(line).collect()
}

fn survey(server: &mut Server) -> Walk {
    walk(server, Walk::new(WalkSize::Survey)).0
}

/// Compares everything that the facts claim with what the server is.
fn check(server: &Server, facts: &ServerFacts<'_>) {
    for &version in Version::ALL {
        claim(server, facts.version(version), has(server, version), &version);
    }
    for version in CLASSIC {
        for &class in SuiteClass::ALL.iter().filter(|class| **class <= SuiteClass::Aead) {
            let truth = server.usable(version).any(|suite| suite.class() == class);
            claim(server, facts.class(version, class), truth, &(version, class));
        }
        for suite in facts.suites(version) {
            assert!(server.usable(version).any(|it| it == suite), "{version} has no {suite}");
        }
        for suite in server.usable(version) {
            claim(server, facts.suite(version, suite), true, &(version, suite));
        }
        if facts.is_complete(version) && server.broken.is_empty() {
            assert_eq!(facts.suites(version).len(), server.usable(version).count(), "{version}");
        }
    }
    if let Some((suites, groups)) = &server.modern {
        for &suite in suites {
            claim(server, facts.suite(Version::Tls13, suite), true, &suite);
        }
        for &group in groups {
            claim(server, facts.group(group), true, &group);
        }
        let pq =
            |group: &NamedGroup| (0x0200..0x0300).contains(&group.0) || (0x11eb..=0x11ee).contains(&group.0);
        claim(server, facts.post_quantum(), groups.iter().any(pq), &"post-quantum");
    }
    let has_curves = server.classic.keys().any(|version| {
        let ecdhe = |suite: CipherSuite| suite.info().is_some_and(|it| it.key_exchange == KeyExchange::Ecdhe);
        server.usable(*version).any(ecdhe)
    });
    for (group, info) in NamedGroup::all().filter(|(_, info)| info.tls12) {
        let truth = has_curves && server.curves.contains(&group);
        if !truth || info.class > Strength::Exotic {
            claim(server, facts.classic_group(group), truth, &group);
        }
    }
    if let Some(kinds) = &server.ssl2 {
        assert!(facts.ssl2_kinds().is_empty() || facts.ssl2_kinds() == kinds);
    }
    let newer = |version| server.modern.is_some() || server.classic.keys().any(|other| *other > version);
    if CLASSIC.iter().any(|version| newer(*version)) {
        claim(server, facts.fallback_scsv(), server.scsv, &"fallback");
    }
    claim(server, facts.downgrade_mark(), server.mark, &"downgrade mark");
    claim(server, facts.compression(), server.compression, &"compression");
    claim(server, facts.dh_reuse(), server.reuse, &"reuse");
    claim(server, facts.legacy_signature(), server.sha1, &"sha-1");
}

fn has(server: &Server, version: Version) -> bool {
    match version {
        Version::Ssl2 => server.ssl2.is_some(),
        Version::Tls13 => server.modern.is_some(),
        _ => server.usable(version).next().is_some(),
    }
}

/// A fact is true or not known. What is only assumed may be hidden by a broken suite.
fn claim(server: &Server, known: Known<Support>, truth: bool, what: &dyn std::fmt::Debug) {
    let Known::Is(offer, witness) = known else { return };
    if witness.certainty == Certainty::Assumed && !server.broken.is_empty() {
        return;
    }
    assert_eq!(offer == Support::Offered, truth, "{what:?} is {offer} by {witness:?}\n{server:?}");
}

#[test]
fn a_usual_server_is_known_in_full() {
    for size in WalkSize::ALL {
        let mut server = Server::usual();
        let (walk, stop) = walk(&mut server, Walk::new(*size));
        assert_eq!(stop, WalkEnd::Complete, "{:#?}", asked(&walk));
        let facts = walk.facts();
        for &version in Version::ALL {
            assert!(facts.version(version).value().is_some(), "{version}: {:?}", facts.version(version));
        }
        for class in SuiteClass::ALL.iter().filter(|class| **class <= SuiteClass::Ccm8) {
            assert_eq!(facts.class(Version::Tls12, *class).value(), Some(Support::NotOffered), "{class}");
        }
        assert_eq!(facts.class(Version::Tls12, SuiteClass::Aead).value(), Some(Support::Offered));
        assert_eq!(facts.post_quantum().value(), Some(Support::NotOffered));
    }
}

#[test]
fn throttling_is_never_a_refusal() {
    for turned_away in 0..12 {
        for count in 1..=3 {
            let mut server = Server::usual();
            server.turned_away = vec![false; turned_away];
            server.turned_away.resize(turned_away + count, true);
            let (walk, stop) = walk(&mut server, Walk::new(WalkSize::Brief));
            let answered =
                walk.exchanges().iter().filter(|it| it.outcome != ConnectionOutcome::TurnedAway).count();
            assert!(walk.connections() <= 8 && answered <= 8 - count.min(8usize.saturating_sub(turned_away)));
            if count == 3 && turned_away <= 4 {
                assert_eq!(stop, WalkEnd::TurnedAway, "{turned_away}");
                assert_eq!(walk.turned_away_in_a_row(), 3);
            }
        }
    }
}

#[test]
fn a_server_that_stops_answering_proves_nothing_more() {
    for size in WalkSize::ALL {
        for last in [0, 1, 2, 3, 5, 8, 13, 20] {
            let mut server = Server::usual();
            let mut walk = Walk::new(*size);
            let stop = loop {
                match walk.next() {
                    WalkStep::Done(stop) => break stop,
                    WalkStep::Ask(question) => {
                        let outcome = match walk.connections() < last {
                            true => server.connect(&question, 0),
                            false => ConnectionOutcome::Answered(Answer::Closed),
                        };
                        walk.record(question, outcome);
                    }
                }
            };
            assert!(walk.connections() <= size.connections(), "{stop}");
            let facts = walk.facts();
            check(&server, &facts);
            if last == 0 {
                assert!(Version::ALL.iter().all(|version| facts.version(*version).value().is_none()));
            }
        }
    }
}
