//! Runs every vector against every role, cut at every byte.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on panics")]

mod support;

use starttls_proto::{Protocol, Side, each_protocol};
use support::{Cut, Turn, Vector, client, meanings, observe, result_of_events, server};

/// Checks that our side's output has the meaning that the transcript has there. The transcript's peer stays
/// unchanged.
fn same_meaning(vector: &Vector, side: Side, sent: &[Vec<u8>]) {
    let ours = vector.turns.iter().filter(|turn| turn.from == side).count();
    let mut sent = sent.iter();
    let turns: Vec<Turn> = vector
        .turns
        .iter()
        .filter_map(|turn| match turn.from == side {
            true => sent.next().map(|bytes| Turn { bytes: bytes.clone(), ..turn.clone() }),
            false => Some(turn.clone()),
        })
        .collect();
    let said = |turns: &[Turn]| {
        let events = observe(vector, turns, Cut::Whole);
        meanings(&events).into_iter().filter(|(from, _)| *from == side).collect::<Vec<_>>()
    };
    let (said, written) = (said(&turns), said(&vector.turns));
    assert_eq!(said, written, "{}: {side:?} in {ours} turns: {turns:#?}", vector.path.display());
}

#[test]
fn every_vector_means_the_same_to_every_role_at_every_cut() {
    let vectors = Vector::all();
    for vector in &vectors {
        let path = vector.path.display();
        for (role, run) in [("client", client as fn(&Vector, Cut) -> _), ("server", server)] {
            let Some(expected) = vector.expected(role) else { continue };
            let whole = run(vector, Cut::Whole);
            for cut in vector.cuts() {
                let outcome = run(vector, cut);
                assert_eq!(outcome.result, expected, "{path}: {role} at {cut:?}: {outcome:?}");
                if ["upgrade", "quit", "declined-temporary", "declined-permanent"].contains(&expected) {
                    assert_eq!(outcome.sent, whole.sent, "{path}: {role} at {cut:?}");
                }
            }
            if expected == "upgrade" {
                let side = if role == "client" { Side::Client } else { Side::Server };
                same_meaning(vector, side, &whole.sent);
            }
        }
        let whole = observe(vector, &vector.turns, Cut::Whole);
        for cut in vector.cuts() {
            let events = observe(vector, &vector.turns, cut);
            let seen = result_of_events(&events);
            match vector.expected("relay") {
                Some(
                    expected @ ("upgrade" | "beyond-boundary" | "declined-temporary" | "declined-permanent"),
                ) => {
                    // In a later segment, an observer cannot distinguish bytes after the boundary from TLS.
                    let later =
                        expected == "beyond-boundary" && seen == "upgrade" && !matches!(cut, Cut::Whole);
                    assert!(seen == expected || later, "{path}: relay at {cut:?}: {seen}: {events:#?}");
                    if expected != "beyond-boundary" {
                        assert_eq!(events, whole, "{path}: relay at {cut:?}");
                    }
                }
                _ => assert!(!events.is_empty(), "{path}: the relay saw nothing"),
            }
        }
    }
    assert!(!vectors.is_empty());
}

each_protocol! {
    vectors_show_each_kind_of_ending
}

fn vectors_show_each_kind_of_ending(protocol: &'static Protocol) {
    let vectors = Vector::all();
    let results: Vec<&str> =
        vectors.iter().filter(|it| *it.protocol == *protocol).flat_map(|it| it.header("result")).collect();
    for needed in ["upgrade", "beyond-boundary"] {
        assert!(results.contains(&needed), "{}: no vector ends with {needed}: {results:?}", protocol.name);
    }
}
