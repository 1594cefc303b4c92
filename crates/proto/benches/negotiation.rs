//! What a negotiation costs, and what hostile input costs, for every protocol and both sides.
//!
//! It fails when hostile input costs more than it may; `docs/benchmarks.md` says what the columns mean.
#![forbid(unsafe_code)]
#![expect(clippy::print_stdout, reason = "the result of a benchmark is what it prints")]

mod clock;
mod hostile;
mod machine;
#[path = "../tests/vectors/support.rs"]
#[expect(dead_code, clippy::unwrap_used, reason = "the vectors are read as in the tests, and not run")]
mod vectors;

use std::process::ExitCode;

use clock::least;
use hostile::{Attack, Kind, Price};
use machine::{End, Machine, negotiate, record};
use starttls_proto::{Client, PROTOCOLS, Protocol, Server};
use vectors::Vector;

/// One byte at a time may cost so many times one piece...
const MAX_RATIO: f64 = 4.0;
/// ...or an octet so many times one that is merely put aside: where one piece costs next to nothing, the
/// ratio measures the call and not the reading.
const MAX_CALLS: f64 = 6.0;
/// Twice the input may cost so many times as much.
const MAX_GROWTH: f64 = 2.6;
/// Below so many nanoseconds for an octet, the growth is that of caches and of the allocator.
const COPY: f64 = 0.5;

fn main() -> ExitCode {
    // `cargo test --benches` asks for nothing that would take time.
    if !std::env::args().any(|arg| arg == "--bench") {
        return ExitCode::SUCCESS;
    }
    let vectors = Vector::all();
    let mut failed = false;
    let wanted: Vec<String> = std::env::args().skip(1).filter(|arg| !arg.starts_with('-')).collect();
    let wanted = |protocol: &Protocol| wanted.is_empty() || wanted.iter().any(|name| name == protocol.name);
    for protocol in PROTOCOLS.iter().filter(|protocol| wanted(protocol)) {
        cost::<Client>(protocol);
        cost::<Server>(protocol);
        failed |= hostile::<Client>(protocol, &vectors);
        failed |= hostile::<Server>(protocol, &vectors);
    }
    ExitCode::from(u8::from(failed))
}

/// One line: what is measured, the protocol, the side; nanoseconds with whole segments, and one byte at a time.
fn cost<M: Machine>(protocol: &Protocol) {
    let segments = record::<M>(protocol);
    let mut out = Vec::with_capacity(4096);
    let [whole, single] = [usize::MAX, 1].map(|piece| {
        least(30, || assert_eq!(negotiate::<M>(protocol, &segments, piece, &mut out), Some(End::Upgrade)))
    });
    println!("cost\t{}\t{}\t{whole:.0}\t{single:.0}", protocol.name, M::SIDE.name());
}

/// A line for the worst input of each kind; whether one is too expensive.
fn hostile<M: Machine>(protocol: &'static Protocol, vectors: &[Vector]) -> bool {
    let segments = record::<M>(protocol);
    let attacks = hostile::attacks::<M>(protocol, &segments, vectors);
    let by_single =
        |one: &&(Price, Attack), other: &&(Price, Attack)| one.0.single.total_cmp(&other.0.single);
    let Some((floor, aside)) = attacks.iter().min_by(by_single) else { return false };
    let mut failed = false;
    for kind in Kind::ALL {
        let mut suspects: Vec<_> = attacks.iter().filter(|(_, attack)| attack.kind == kind).collect();
        suspects.sort_by(|one, other| excess(other.0, floor.single).total_cmp(&excess(one.0, floor.single)));
        let measure = |attack| Measured::new::<M>(protocol, &segments, attack, aside);
        let measured = suspects.into_iter().take(4).map(|(_, attack)| (attack, measure(attack)));
        let worst = measured.max_by(|one, other| one.1.excess().total_cmp(&other.1.excess()));
        let Some((attack, mut worst)) = worst else { continue };
        // The machine may have been busy: what is too expensive is so every time.
        for _ in 0..3 {
            if !worst.is_too_much() {
                break;
            }
            worst = measure(attack);
        }
        let verdict = if worst.is_too_much() { "FAILED" } else { "ok" };
        failed |= worst.is_too_much();
        println!(
            "hostile\t{}\t{}\t{}\t{}\t{:.2}\t{:.2}\t{:.2}\t{:.2}\t{verdict}\t{}",
            protocol.name,
            M::SIDE.name(),
            kind.name(),
            attack.size,
            worst.price.whole,
            worst.price.single,
            worst.aside,
            worst.growth,
            attack.describe(),
        );
    }
    failed
}

/// More than 1 is too much.
fn excess(price: Price, aside: f64) -> f64 {
    (price.single / price.whole / MAX_RATIO).min(price.single / aside / MAX_CALLS)
}

struct Measured {
    price: Price,
    /// An octet that is put aside, one byte at a time.
    aside: f64,
    growth: f64,
}

impl Measured {
    /// Several rounds of everything, so that what else the machine does meets all alike.
    fn new<M: Machine>(protocol: &Protocol, segments: &[Vec<u8>], attack: &Attack, aside: &Attack) -> Self {
        let (full, half) = (attack.input(attack.size), attack.input(attack.size / 2));
        let rest = aside.input(aside.size);
        let mut least = [f64::INFINITY; 5];
        for _ in 0..25 {
            let runs = [
                (attack, &full, usize::MAX),
                (attack, &full, 1),
                (attack, &half, usize::MAX),
                (attack, &half, 1),
                (aside, &rest, 1),
            ];
            for (least, (attack, input, piece)) in least.iter_mut().zip(runs) {
                *least = least.min(attack.run::<M>(protocol, segments, input, piece).ns);
            }
        }
        let [whole, single, half_whole, half_single, aside_single] = least;
        let octets = attack.size as f64;
        let price = Price { whole: whole / octets, single: single / octets };
        let growth = single / half_single;
        Self {
            price,
            aside: aside_single / aside.size as f64,
            growth: if price.whole > COPY { growth.max(whole / half_whole) } else { growth },
        }
    }

    fn is_too_much(&self) -> bool {
        self.excess() > 1.0 || self.growth > MAX_GROWTH
    }

    fn excess(&self) -> f64 {
        excess(self.price, self.aside)
    }
}
