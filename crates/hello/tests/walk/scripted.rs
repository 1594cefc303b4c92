//! Servers with the faults that no current server has: each fact is found, and nothing else is claimed.

use std::collections::{BTreeMap, BTreeSet};

use starttls_hello::{
    Answer, Authentication, Certainty, CipherSuite, ConnectionOutcome, Doubt, Exchange, FlightEnd, Known,
    MalformedTls, NamedGroup, Preference, Question, Ssl2Kind, SuiteClass, Support, Topic, Version, Walk,
    WalkEnd, WalkSize, WalkStep, Witness, extension_kind,
};

use crate::server::{Server, Style};
use crate::{asked, survey, walk};

const OFFERED: Option<Support> = Some(Support::Offered);
const NOT_OFFERED: Option<Support> = Some(Support::NotOffered);

fn suites(names: &[&str]) -> Vec<CipherSuite> {
    let known = |name: &&str| CipherSuite::by_name(name).unwrap_or_else(|| panic!("{name}"));
    names.iter().map(known).collect()
}

/// A server of the usual kind with these suites in every version that knows them.
fn old_server(names: &[&str]) -> Server {
    let versions = [Version::Ssl3, Version::Tls10, Version::Tls11, Version::Tls12];
    let known = |version| {
        let mut suites = suites(names);
        suites.retain(|suite| suite.info().is_some_and(|info| info.min <= version));
        suites
    };
    let classic =
        versions.map(|version| (version, known(version))).into_iter().filter(|(_, list)| !list.is_empty());
    Server { classic: classic.collect(), ..Server::usual() }
}

#[test]
fn ssl2_lists_its_kinds() {
    let export = Ssl2Kind([2, 0, 0x80]);
    for kinds in [vec![], vec![Ssl2Kind([1, 0, 0x80]), export]] {
        let mut server = Server { ssl2: Some(kinds.clone()), ..Server::usual() };
        let walk = survey(&mut server);
        let facts = walk.facts();
        assert_eq!(facts.version(Version::Ssl2).value(), OFFERED);
        assert_eq!(facts.ssl2_kinds(), kinds);
        let offered = if kinds.is_empty() { NOT_OFFERED } else { OFFERED };
        assert_eq!(facts.class(Version::Ssl2, SuiteClass::Export).value(), offered);
        assert_eq!(facts.class(Version::Ssl2, SuiteClass::Block64).value(), NOT_OFFERED);
    }
}

#[test]
fn a_server_of_ssl2_alone_confirms_its_refusals_by_it() {
    let kinds = Some(vec![Ssl2Kind([1, 0, 0x80])]);
    let mut server = Server { classic: BTreeMap::new(), modern: None, ssl2: kinds, ..Server::usual() };
    let walk = survey(&mut server);
    for version in Version::ALL.iter().filter(|version| **version > Version::Ssl2) {
        assert_eq!(walk.facts().version(*version).value(), NOT_OFFERED, "{version} {:#?}", asked(&walk));
    }
}

#[test]
fn export_suites_with_a_short_prime_are_found_at_any_size() {
    for size in WalkSize::ALL {
        let names = ["ECDHE-RSA-AES128-GCM-SHA256", "EXP-EDH-RSA-DES-CBC-SHA"];
        let mut server = Server { dh_octets: 64, ..old_server(&names) };
        let (walk, _) = walk(&mut server, Walk::new(*size));
        let facts = walk.facts();
        // A brief walk over a server with many old versions has no hello left for every list of the best one.
        let export = |version| facts.class(version, SuiteClass::Export).value();
        assert!(
            [Version::Tls11, Version::Tls12].into_iter().any(|version| export(version) == OFFERED),
            "{size}"
        );
        assert!(*size == WalkSize::Brief || export(Version::Tls12) == OFFERED, "{size}");
        let found = facts.dh_parameters();
        assert!(found.iter().all(|it| it.bits == 512 && it.prime.len() == 64) && !found.is_empty());
        assert_eq!(found[0].suite, suites(&names[1..])[0]);
    }
}

#[test]
fn a_dh_value_is_reused_or_not() {
    for reuse in [false, true] {
        let mut server = Server { reuse, ..old_server(&["AES128-SHA", "DHE-RSA-AES128-SHA"]) };
        let walk = survey(&mut server);
        assert_eq!(walk.facts().dh_reuse().value(), if reuse { OFFERED } else { NOT_OFFERED });
    }
}

#[test]
fn explicit_and_weak_curves_are_found() {
    let mut explicit = Server { explicit: true, ..Server::usual() };
    assert_eq!(survey(&mut explicit).facts().weak_curve().value(), OFFERED);
    let curves = [0x001d, 0x0013].map(NamedGroup).to_vec();
    let mut weak = Server { curves, ..Server::usual() };
    let walk = survey(&mut weak);
    assert_eq!(walk.facts().weak_curve().value(), OFFERED, "{:#?}", asked(&walk));
    assert!(walk.facts().groups().contains(&NamedGroup(0x0013)));
    assert_eq!(survey(&mut Server::usual()).facts().weak_curve().value(), NOT_OFFERED);
}

#[test]
fn compression_and_the_downgrade_mark_are_read() {
    let mut server = Server { compression: true, mark: false, ..Server::usual() };
    let walk = survey(&mut server);
    assert_eq!(walk.facts().compression().value(), OFFERED);
    assert_eq!(walk.facts().downgrade_mark().value(), NOT_OFFERED);
    let walk = survey(&mut Server::usual());
    assert_eq!(walk.facts().compression().value(), NOT_OFFERED);
    assert_eq!(walk.facts().downgrade_mark().value(), OFFERED);
    assert_eq!(walk.facts().extension(extension_kind::EXTENDED_MASTER_SECRET).value(), OFFERED);
    assert_eq!(walk.facts().extension(extension_kind::RENEGOTIATION_INFO).value(), NOT_OFFERED);
}

#[test]
fn fallback_and_old_signatures_are_asked_for() {
    for honest in [false, true] {
        let mut server = Server { scsv: honest, sha1: !honest, ..old_server(&["ECDHE-RSA-AES128-SHA"]) };
        let walk = survey(&mut server);
        let facts = walk.facts();
        assert_eq!(facts.fallback_scsv().value(), if honest { OFFERED } else { NOT_OFFERED });
        assert_eq!(facts.legacy_signature().value(), if honest { NOT_OFFERED } else { OFFERED });
    }
}

/// What the key exchange would show stays open when the flight ends before it.
#[test]
fn a_flight_without_its_key_exchange_shows_no_curve_and_no_signature() {
    for (end, why) in [
        (FlightEnd::Closed, Doubt::Closed),
        (FlightEnd::Silent, Doubt::Silent),
        (FlightEnd::Malformed(MalformedTls::Truncated), Doubt::NotTls),
        (FlightEnd::Done, Doubt::Inconsistent),
    ] {
        let mut server = Server { sha1: true, ..Server::usual() };
        let mut walk = Walk::new(WalkSize::Survey);
        while let WalkStep::Ask(question) = walk.next() {
            let mut outcome = server.connect(&question, 0);
            let cut = matches!(question.topic, Topic::WeakCurves | Topic::LegacyHash);
            // This server has no weak curve and would refuse: it answers as if its usual curve was offered.
            if question.topic == Topic::WeakCurves {
                outcome =
                    server.connect(&Question::new(Topic::Custom, Version::Tls12, question.suites.clone()), 0);
            }
            if let (true, ConnectionOutcome::Answered(Answer::Hello(flight))) = (cut, &mut outcome) {
                (flight.key_exchange, flight.end) = (None, end);
            }
            walk.record(question, outcome);
        }
        let facts = walk.facts();
        assert_eq!(facts.legacy_signature(), Known::Inconclusive(why), "{:#?}", asked(&walk));
        assert_eq!(facts.weak_curve(), Known::Inconclusive(why), "{:#?}", asked(&walk));
    }
}

#[test]
fn a_suite_is_offered_once_in_a_hello() {
    let walk = survey(&mut old_server(&["ECDHE-RSA-AES128-SHA", "ECDHE-ECDSA-AES128-SHA", "AES128-SHA"]));
    for Exchange { question, .. } in walk.exchanges() {
        let distinct: BTreeSet<_> = question.suites.iter().collect();
        assert_eq!(distinct.len(), question.suites.len(), "{} {:#?}", question.topic, asked(&walk));
    }
}

#[test]
fn a_second_key_is_found() {
    let both = ["ECDHE-RSA-AES128-GCM-SHA256", "ECDHE-ECDSA-AES128-GCM-SHA256"];
    let classic = |names| BTreeMap::from([(Version::Tls12, suites(names))]);
    let walk_of = |names| survey(&mut Server { classic: classic(names), ..Server::usual() });
    let walk = walk_of(&both);
    assert_eq!(walk.facts().key_type(Authentication::Rsa).value(), OFFERED);
    assert_eq!(walk.facts().key_type(Authentication::Ecdsa).value(), OFFERED);
    assert_eq!(walk.facts().chains().len(), 2);
    let walk = walk_of(&both[..1]);
    assert_eq!(walk.facts().key_type(Authentication::Ecdsa).value(), NOT_OFFERED, "{:#?}", asked(&walk));
}

#[test]
fn the_order_of_preference_is_found() {
    for (server_order, preference) in [(true, Preference::Server), (false, Preference::Client)] {
        let walk = survey(&mut Server { server_order, ..Server::usual() });
        assert_eq!(walk.facts().preference().value(), Some(preference));
    }
}

/// Some servers have suites with finite-field Diffie-Hellman and no parameters for them: they choose one and close.
#[test]
fn a_broken_part_hides_nothing_behind_it() {
    for style in [Style::Alert, Style::Close] {
        let names = ["DHE-RSA-AES256-SHA", "ECDHE-RSA-AES128-GCM-SHA256", "DES-CBC3-SHA", "AES128-SHA"];
        let broken = [(SuiteClass::Dhe, true)].into();
        let mut server = Server { style, broken, ..old_server(&names) };
        let walk = survey(&mut server);
        let facts = walk.facts();
        for (class, offer) in [
            (SuiteClass::Block64, OFFERED),
            (SuiteClass::Static, OFFERED),
            (SuiteClass::Dhe, NOT_OFFERED),
            (SuiteClass::Rc4, NOT_OFFERED),
        ] {
            assert_eq!(facts.class(Version::Tls12, class).value(), offer, "{class} {:#?}", asked(&walk));
        }
    }
}

/// A class that is chosen and fails is asked for alone, and so are the others of its list.
#[test]
fn what_a_broken_class_hides_is_found_class_by_class() {
    let names = ["RC4-SHA", "DES-CBC3-SHA", "ECDHE-RSA-AES128-GCM-SHA256"];
    for style in [Style::Alert, Style::Close] {
        let mut server = Server { style, broken: [(SuiteClass::Rc4, false)].into(), ..old_server(&names) };
        let walk = survey(&mut server);
        assert!(walk.exchanges().iter().any(|it| it.question.topic == Topic::Split), "{:#?}", asked(&walk));
        assert_eq!(
            walk.facts().class(Version::Tls12, SuiteClass::Block64).value(),
            OFFERED,
            "{:#?}",
            asked(&walk)
        );
    }
}

#[test]
fn a_server_that_only_closes_is_named_so() {
    let mut server = Server { style: Style::Close, ..Server::usual() };
    let (walk, stop) = walk(&mut server, Walk::new(WalkSize::Survey));
    let facts = walk.facts();
    assert!(facts.closes_instead_of_answering());
    assert_eq!(stop, WalkEnd::Budget, "{:#?}", asked(&walk));
    for version in [Version::Ssl2, Version::Ssl3, Version::Tls10, Version::Tls11] {
        assert_eq!(facts.version(version).value(), NOT_OFFERED, "{version}");
    }
    // The worst classes are asked for alone while hellos are left.
    let rc4 = facts.suite(Version::Tls12, suites(&["RC4-SHA"])[0]);
    assert!(
        matches!(rc4, Known::Is(Support::NotOffered, Witness { certainty: Certainty::Implied, .. })),
        "{rc4:?} {:#?}",
        asked(&walk)
    );
    assert!(!survey(&mut Server::usual()).facts().closes_instead_of_answering());
}

#[test]
fn a_server_that_objects_to_the_form_is_asked_with_a_share() {
    for size in WalkSize::ALL {
        let (walk, _) = walk(&mut Server { strict: true, ..Server::usual() }, Walk::new(*size));
        assert_eq!(walk.facts().version(Version::Tls13).value(), OFFERED, "{:#?}", asked(&walk));
        if *size != WalkSize::Brief {
            assert_eq!(walk.facts().suites(Version::Tls13).len(), 3, "{:#?}", asked(&walk));
        }
    }
}

/// The plan of each size, as it is for a usual server: a change of the plan shows here.
#[test]
fn the_number_of_hellos_is_known() {
    let counts =
        WalkSize::ALL.iter().map(|size| walk(&mut Server::usual(), Walk::new(*size)).0.connections());
    assert_eq!(counts.collect::<Vec<_>>(), [8, 16, 20]);
}

/// A brief walk asks for weak suites until the server refuses: a server that prefers anonymous suites may also accept RC4.
#[test]
fn weak_suites_behind_anonymous_ones_are_found_by_a_brief_walk() {
    let names = ["ECDHE-RSA-AES128-GCM-SHA256", "AECDH-AES128-SHA", "ECDHE-RSA-RC4-SHA"];
    let mut server = old_server(&names);
    server.classic.retain(|version, _| *version == Version::Tls12);
    let (walk, _) = walk(&mut server, Walk::new(WalkSize::Brief));
    for class in [SuiteClass::Anonymous, SuiteClass::Rc4] {
        assert_eq!(walk.facts().class(Version::Tls12, class).value(), OFFERED, "{:#?}", asked(&walk));
    }
    assert_eq!(walk.facts().class(Version::Tls12, SuiteClass::Export).value(), NOT_OFFERED);
}

/// A server with TLS 1.3 alone refuses every older hello. Its refusals are confirmed, also if it closes instead of sending
/// an alert.
#[test]
fn a_brief_walk_concludes_about_a_server_with_tls13_alone() {
    for style in [Style::Alert, Style::Close] {
        let mut server = Server { classic: BTreeMap::new(), style, ..Server::usual() };
        let (walk, _) = walk(&mut server, Walk::new(WalkSize::Brief));
        for version in [Version::Ssl2, Version::Tls10, Version::Tls11] {
            let known = walk.facts().version(version);
            assert_eq!(known.value(), NOT_OFFERED, "{style:?} {version} {known:?} {:#?}", asked(&walk));
        }
        let weak = walk.facts().class(Version::Tls12, SuiteClass::Anonymous);
        assert_eq!(weak.value(), NOT_OFFERED, "{style:?} {:#?}", asked(&walk));
    }
}

/// A server that drops long hellos is found by a small one. The walk ends soon, because each wait takes seconds.
#[test]
fn a_server_that_answers_only_small_hellos_is_known_as_such() {
    for size in WalkSize::ALL {
        let mut server = Server { longest: 255, ..Server::usual() };
        let (walk, end) = walk(&mut server, Walk::new(*size));
        assert_eq!(end, WalkEnd::Unanswered, "{size}");
        assert!(walk.connections() <= 4, "{size} {:#?}", asked(&walk));
        let good = walk.exchanges().iter().find(|it| it.question.topic == Topic::Good).unwrap();
        assert_eq!(good.outcome, ConnectionOutcome::Answered(Answer::Silent), "{size}");
        assert_eq!(walk.facts().version(Version::Tls12).value(), OFFERED, "{:#?}", asked(&walk));
        assert!(walk.facts().version(Version::Tls13).value().is_none());
        assert!(walk.facts().version(Version::Tls10).value().is_none());
    }
    // A silent server is not asked for long either.
    let mut server = Server { longest: 0, ..Server::usual() };
    let (walk, end) = walk(&mut server, Walk::new(WalkSize::Full));
    assert_eq!((end, walk.connections()), (WalkEnd::Unanswered, 3));
}

/// A server with TLS 1.0 that refuses newer versions instead of choosing its own: the refusals prove nothing about TLS 1.0.
#[test]
fn a_version_behind_an_intolerance_is_found() {
    for style in [Style::Alert, Style::OneAlert, Style::Close] {
        for size in WalkSize::ALL {
            let mut server = old_server(&["AES128-SHA", "DES-CBC3-SHA"]);
            server.classic.retain(|version, _| *version == Version::Tls10);
            server = Server { style, intolerant: true, modern: None, ..server };
            let (walk, _) = walk(&mut server, Walk::new(*size));
            let known = walk.facts().version(Version::Tls10);
            assert_eq!(known.value(), OFFERED, "{style:?} {size} {:#?}", asked(&walk));
            let weak = walk.facts().class(Version::Tls10, SuiteClass::Block64);
            assert_ne!(weak.value(), NOT_OFFERED, "{style:?} {size} {:#?}", asked(&walk));
        }
    }
}

/// Lists without finite-field Diffie-Hellman do not find it.
#[test]
fn a_version_with_dhe_alone_behind_an_intolerance_is_found() {
    for size in [WalkSize::Survey, WalkSize::Full] {
        let mut server = old_server(&["EDH-DSS-DES-CBC3-SHA"]);
        server.classic.retain(|version, _| *version == Version::Tls10);
        server = Server { intolerant: true, modern: None, ..server };
        let (walk, _) = walk(&mut server, Walk::new(size));
        let facts = walk.facts();
        for version in Version::ALL {
            let expected = if *version == Version::Tls10 { OFFERED } else { NOT_OFFERED };
            assert_eq!(facts.version(*version).value(), expected, "{size} {version} {:#?}", asked(&walk));
        }
    }
}

/// A server that is silent instead of refusing: the length of the hello is not the cause, and the walk goes on.
#[test]
fn a_server_that_is_silent_about_tls13_is_asked_for_the_rest() {
    let mut server = Server { modern: None, style: Style::Silence, ..Server::usual() };
    let (walk, _) = walk(&mut server, Walk::new(WalkSize::Brief));
    let good = walk.exchanges().iter().find(|it| it.question.topic == Topic::Good).unwrap();
    assert!(matches!(good.outcome, ConnectionOutcome::Answered(Answer::Hello(_))), "{:#?}", asked(&walk));
    assert!(walk.exchanges().iter().any(|it| it.question.topic == Topic::Bad), "{:#?}", asked(&walk));
    assert!(walk.facts().version(Version::Tls10).value().is_none());
}

/// The budget ends after each hello in turn: every fact is true, and the rest is not known.
#[test]
fn facts_are_true_wherever_the_budget_ends() {
    let names =
        ["ECDHE-RSA-AES128-GCM-SHA256", "DHE-RSA-AES128-SHA", "AES128-SHA", "AECDH-AES128-SHA", "RC4-SHA"];
    let everything = Server { ssl2: Some(vec![Ssl2Kind([1, 0, 0x80])]), scsv: false, ..old_server(&names) };
    for model in [Server::usual(), everything] {
        for size in [WalkSize::Brief, WalkSize::Survey] {
            for budget in 0..=size.connections() {
                let mut server = model.clone();
                let (walk, end) = walk(&mut server, Walk::with_budget(size, budget));
                assert!(walk.connections() <= budget, "{size} {budget} {end}");
                if budget == 0 {
                    assert!(Version::ALL.iter().all(|it| walk.facts().version(*it) == Known::Unasked));
                }
            }
        }
    }
}
