//! A connection that breaks on one leg must not end cleanly on the other leg: the peer would take a truncated message
//! for a complete one.

use std::io;
use std::time::{Duration, Instant};

use tokio::io::AsyncWriteExt;

use crate::environment::{Environment, within};
use crate::legs::{Between, Break, LEGS, Legs};

/// One way to break a session.
#[derive(Clone, Copy, Debug)]
struct Case {
    opaque: bool,
    client_breaks: bool,
    /// Whether the other side has ended its direction before.
    half_closed: bool,
    how: Break,
}

impl Case {
    /// Returns what the other side receives up to its end, or `Err` if that end is not clean.
    async fn end(self, between: &Between<'_>) -> io::Result<String> {
        let (client, backend) = between.session(self.opaque).await;
        let (mut breaking, mut other, part) = match self.client_breaks {
            true => (client, backend, "NOOP\r\n"),
            false => (backend, client, "250 a part of it\r\n"),
        };
        if self.half_closed {
            within(other.io().shutdown()).await.unwrap();
            assert_eq!(breaking.rest().await.unwrap(), "");
        }
        breaking.say(part).await;
        other.hear(part).await;
        breaking.break_off(self.how);
        other.rest().await
    }
}

/// How long the gateway waits for a client after the backend has ended its direction. The session then ends in good order.
const LINGER: Duration = Duration::from_secs(5);

/// Tests both ways to break a connection, on each leg, in both phases, before and after the other side has ended its
/// direction.
#[tokio::test(flavor = "multi_thread")]
async fn g7_a_broken_end_stays_broken() {
    let env = Environment::new();
    let mut wrong = Vec::new();
    for legs in LEGS {
        let between = Between::start(&env, legs, "").await;
        for number in 0..16 {
            let [opaque, client_breaks, half_closed, resets] = [1, 2, 4, 8].map(|bit| number & bit != 0);
            let how = if resets { Break::Reset } else { Break::Truncation };
            let broken_leg_has_tls = if client_breaks { legs.front } else { legs.back };
            if how == Break::Truncation && !broken_leg_has_tls {
                continue;
            }
            let case = Case { opaque, client_breaks, half_closed, how };
            // A case that took longer than the gateway waits for the client shows nothing, and is repeated.
            for attempt in 1..=3 {
                let began = Instant::now();
                let Ok(rest) = case.end(&between).await else { break };
                if began.elapsed() < LINGER || attempt == 3 {
                    wrong.push(format!(
                        "{legs:?}, {case:?}: the other side saw an end in good order after {rest:?}"
                    ));
                    break;
                }
            }
        }
    }
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
}

/// The same with a clean end of each direction.
#[tokio::test(flavor = "multi_thread")]
async fn an_end_in_good_order_stays_one() {
    let env = Environment::new();
    for legs in LEGS {
        let between = Between::start(&env, legs, "").await;
        for opaque in [false, true] {
            for client_first in [true, false] {
                let (client, backend) = between.session(opaque).await;
                let (mut first, mut second) =
                    if client_first { (client, backend) } else { (backend, client) };
                // As long as the gateway parses messages, further text would have to be a valid command or reply.
                let part = if opaque { "250 ok\r\n" } else { "" };
                for _ in 0..2 {
                    first.say(part).await;
                    within(first.io().shutdown()).await.unwrap();
                    assert_eq!(second.rest().await.unwrap(), part, "{legs:?} {opaque} {client_first}");
                    std::mem::swap(&mut first, &mut second);
                }
            }
        }
        assert_eq!(between.running.ended(4).await, ["ok"; 4], "{legs:?}");
    }
}

/// A session that the gateway ends, because of the idle limit or a stop, does not end cleanly.
#[tokio::test(flavor = "multi_thread")]
async fn what_the_gateway_cuts_off_is_seen_to_be_cut_off() {
    let env = Environment::new();
    let [one, two, three] = LEGS.map(|legs| cut_off(&env, legs));
    tokio::join!(one, two, three);
}

async fn cut_off(env: &Environment, legs: Legs) {
    for (stop, parked) in [(false, true), (true, false), (true, true)] {
        let limits = if stop { "" } else { "limits = { idle = \"6s\" }\n" };
        let mut between = Between::start(env, legs, limits).await;
        let (mut client, mut backend) = between.session(true).await;
        let running = &mut between.running;
        if parked {
            running.parked(1).await;
        }
        if stop {
            drop(running.gateway.take());
        }
        for (name, peer) in [("client", &mut client), ("backend", &mut backend)] {
            let rest = peer.rest().await;
            let case = format!("{legs:?}, stop: {stop}, parked: {parked}");
            assert!(rest.is_err(), "{case}: the {name} saw an end in good order: {rest:?}");
        }
        let expected = if stop { "the gateway stopped" } else { "no traffic for 6 s" };
        assert_eq!(running.ended(1).await, [expected], "{legs:?}, stop: {stop}, parked: {parked}");
    }
}
