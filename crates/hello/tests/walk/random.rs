//! Random servers.

use std::collections::BTreeMap;

use proptest::prelude::*;
use proptest::sample::{Index, select, subsequence};
use starttls_hello::{
    CipherSuite, NamedGroup, Ssl2Kind, SuiteClass, SuiteFamily, Version, Walk, WalkEnd, WalkSize,
};

use crate::server::{Server, Style};
use crate::{CLASSIC, walk};

/// The suites that a server may have at a version.
fn suites(version: Version) -> Vec<CipherSuite> {
    CipherSuite::all()
        .filter(|(suite, info)| suite.0 != 0 && info.family == SuiteFamily::Pki && info.min <= version)
        .map(|(suite, _)| suite)
        .collect()
}

fn some<T: Clone + std::fmt::Debug + 'static>(all: Vec<T>, most: usize) -> impl Strategy<Value = Vec<T>> {
    let most = most.min(all.len());
    subsequence(all, 1..=most).prop_shuffle()
}

fn modern() -> impl Strategy<Value = (Vec<CipherSuite>, Vec<NamedGroup>)> {
    let suites = [0x1301, 0x1302, 0x1303, 0x1304, 0x1305, 0xc0b4, 0x00c6].map(CipherSuite).to_vec();
    let groups = [0x001d, 0x0017, 0x0018, 0x001e, 0x0100, 0x0101, 0x11ec, 0x11eb, 0x001f, 0x0201, 0x0029];
    (some(suites, 5), some(groups.map(NamedGroup).to_vec(), 5))
}

fn classic() -> impl Strategy<Value = BTreeMap<Version, Vec<CipherSuite>>> {
    let versions = subsequence(CLASSIC.to_vec(), 0..=4);
    versions.prop_flat_map(|versions| {
        let lists: Vec<_> = versions.iter().map(|version| some(suites(*version), 12)).collect();
        (Just(versions), lists).prop_map(|(versions, lists)| versions.into_iter().zip(lists).collect())
    })
}

fn servers() -> impl Strategy<Value = Server> {
    let kinds: Vec<_> = Ssl2Kind::all().map(|(kind, _)| kind).collect();
    let curves = [0x001d, 0x0017, 0x0018, 0x0015, 0x0013, 0x0016].map(NamedGroup).to_vec();
    let styles = select(vec![Style::Alert, Style::Alert, Style::OneAlert, Style::Close, Style::Silence]);
    let parts: Vec<_> = SuiteClass::ALL
        .iter()
        .filter(|class| **class <= SuiteClass::Aead)
        .flat_map(|it| [(*it, false), (*it, true)])
        .collect();
    let broken = prop_oneof![3 => Just(Vec::new()), 1 => subsequence(parts, 1..4)];
    let turned_away =
        prop_oneof![2 => Just(Vec::new()), 1 => prop::collection::vec(prop::bool::weighted(0.3), 60)];
    let offers = (
        classic(),
        prop::option::of(modern()),
        prop::option::weighted(0.2, subsequence(kinds, 0..=5)),
        some(curves, 4),
    );
    let flags = any::<[bool; 8]>();
    (offers, styles, broken, turned_away, flags).prop_map(
        |((classic, modern, ssl2, curves), style, broken, turned_away, flags)| {
            let [server_order, scsv, mark, compression, sha1, reuse, strict, intolerant] = flags;
            Server {
                classic,
                modern,
                ssl2,
                curves,
                server_order,
                style,
                broken: broken.into_iter().collect(),
                turned_away,
                scsv,
                mark,
                compression,
                sha1,
                reuse,
                strict,
                intolerant,
                ..Server::usual()
            }
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    #[test]
    fn facts_are_true_or_inconclusive(server in servers(), size in select(WalkSize::ALL)) {
        let mut server = server;
        let (walk, _) = walk(&mut server, Walk::new(size));
        prop_assert!(walk.connections() <= size.connections());
    }

    #[test]
    fn every_budget_holds(server in servers(), size in select(WalkSize::ALL), budget in any::<Index>()) {
        let mut server = server;
        let budget = budget.index(size.connections() + 1);
        let (walk, _) = walk(&mut server, Walk::with_budget(size, budget));
        prop_assert!(walk.connections() <= budget);
    }

    /// A server that answers, refuses by alerts and has no broken class leaves no question about its versions.
    #[test]
    fn a_server_that_answers_is_known(server in servers(), size in select(&[WalkSize::Survey, WalkSize::Full][..])) {
        let mut server =
            Server { broken: Default::default(), turned_away: Vec::new(), style: Style::Alert, ..server };
        let (walk, stop) = walk(&mut server, Walk::new(size));
        let facts = walk.facts();
        let has_any = !server.classic.is_empty() || server.modern.is_some() || server.ssl2.is_some();
        for &version in Version::ALL {
            let known = facts.version(version);
            prop_assert_eq!(known.value().is_some(), has_any, "{}: {:?}", version, known);
        }
        prop_assert!(stop == WalkEnd::Complete || walk.connections() == size.connections(), "{}", stop);
    }

}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

    /// With enough connections, every suite and group is found by name.
    #[test]
    fn a_full_walk_finds_every_name(server in servers()) {
        let mut server =
            Server { broken: Default::default(), turned_away: Vec::new(), style: Style::Alert, ..server };
        let (walk, stop) = walk(&mut server, Walk::with_budget(WalkSize::Full, 250));
        prop_assert_eq!(stop, WalkEnd::Complete);
        let facts = walk.facts();
        for version in CLASSIC {
            let mut found = facts.suites(version);
            found.sort();
            let mut expected: Vec<_> = server.usable(version).collect();
            expected.sort();
            prop_assert_eq!(found, expected, "{}", version);
        }
        if let Some((suites, groups)) = &server.modern {
            prop_assert_eq!(facts.suites(Version::Tls13).len(), suites.len());
            for group in groups {
                prop_assert!(facts.group(*group).value().is_some(), "{}", group);
            }
        }
    }
}
