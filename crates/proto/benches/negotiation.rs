//! The cost of a negotiation and of hostile input, for every protocol and both sides.
//!
//! The benchmark fails if hostile input exceeds the limits below. `docs/benchmarks.md` describes the columns.
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

/// The highest permitted cost of single bytes, as a multiple of the cost of one piece.
const MAX_RATIO: f64 = 4.0;
/// Alternative limit: the highest permitted cost of an octet, as a multiple of the cost of an octet that is only
/// stored. If one piece costs almost nothing, the ratio above measures the call and not the parsing.
const MAX_CALLS: f64 = 6.0;
/// The highest permitted cost of doubled input in single bytes, as a multiple of the cost of the input.
const MAX_GROWTH: f64 = 2.6;

fn main() -> ExitCode {
    // `cargo test --benches` must not spend time on measurements.
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

/// Prints a line: the measurement, the protocol and the side; nanoseconds with whole segments, and with single bytes.
fn cost<M: Machine>(protocol: &Protocol) {
    let segments = record::<M>(protocol);
    let mut out = Vec::with_capacity(4096);
    let [whole, single] = [usize::MAX, 1].map(|piece| {
        least(30, || assert_eq!(negotiate::<M>(protocol, &segments, piece, &mut out), Some(End::Upgrade)))
    });
    println!("cost\t{}\t{}\t{whole:.0}\t{single:.0}", protocol.name, M::SIDE.name());
}

/// Prints a line for the worst input of each kind. Returns whether an input is too expensive.
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
        // Another program may have slowed down a measurement. Input that is too expensive stays so in every
        // repetition.
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

/// Returns the price relative to the limits. A value above 1 exceeds them.
fn excess(price: Price, aside: f64) -> f64 {
    (price.single / price.whole / MAX_RATIO).min(price.single / aside / MAX_CALLS)
}

struct Measured {
    price: Price,
    /// The price of an octet that is only stored, in single bytes.
    aside: f64,
    growth: f64,
}

impl Measured {
    /// Measures all runs in several rounds, so that other load on the machine affects all of them alike.
    fn new<M: Machine>(protocol: &Protocol, segments: &[Vec<u8>], attack: &Attack, aside: &Attack) -> Self {
        let (full, half) = (attack.input(attack.size), attack.input(attack.size / 2));
        let rest = aside.input(aside.size);
        let mut least = [f64::INFINITY; 4];
        for _ in 0..25 {
            let runs =
                [(attack, &full, usize::MAX), (attack, &full, 1), (attack, &half, 1), (aside, &rest, 1)];
            for (least, (attack, input, piece)) in least.iter_mut().zip(runs) {
                *least = least.min(attack.run::<M>(protocol, segments, input, piece).ns);
            }
        }
        let [whole, single, half, aside_single] = least;
        let octets = attack.size as f64;
        let price = Price { whole: whole / octets, single: single / octets };
        Self { price, aside: aside_single / aside.size as f64, growth: single / half }
    }

    fn is_too_much(&self) -> bool {
        self.excess() > 1.0 || self.growth > MAX_GROWTH
    }

    fn excess(&self) -> f64 {
        excess(self.price, self.aside)
    }
}
