//! Allocations and peak memory of a whole negotiation, for every protocol and both sides.
//!
//! `allocation-counter` has no dependencies, counts per thread and per closure, and measures the number and the peak
//! in one run. Its crate contains the `unsafe` code that a global allocator needs.
#![forbid(unsafe_code)]
#![expect(clippy::print_stdout, reason = "the result of a benchmark is what it prints")]

mod machine;

use machine::{End, Machine, negotiate, record};
use starttls_proto::{Client, PROTOCOLS, Protocol, Server};

fn main() {
    // `cargo test --benches` must not spend time on measurements.
    if !std::env::args().any(|arg| arg == "--bench") {
        return;
    }
    for protocol in PROTOCOLS {
        measure::<Client>(protocol);
        measure::<Server>(protocol);
    }
}

/// Prints a line: the measurement, the protocol and the side; allocations and peak bytes with whole segments; the
/// same with single bytes.
fn measure<M: Machine>(protocol: &Protocol) {
    let segments = record::<M>(protocol);
    // The caller owns the output buffer, so it is allocated before the measurement.
    let mut out = Vec::with_capacity(4096);
    let [whole, single] = [usize::MAX, 1].map(|piece| {
        let mut end = None;
        let info = allocation_counter::measure(|| end = negotiate::<M>(protocol, &segments, piece, &mut out));
        assert_eq!(end, Some(End::Upgrade), "{}", protocol.name);
        format!("{}\t{}", info.count_total, info.bytes_max)
    });
    println!("allocations\t{}\t{}\t{whole}\t{single}", protocol.name, M::SIDE.name());
}
