//! Allocations and peak memory of one whole negotiation, for every protocol and both sides.
//!
//! `allocation-counter` has no dependencies, counts per thread and per closure, and gives the number and
//! the peak in one run; the `unsafe` that a global allocator takes stays with it.
#![forbid(unsafe_code)]
#![expect(clippy::print_stdout, reason = "the result of a benchmark is what it prints")]

mod machine;

use machine::{End, Machine, negotiate, record};
use starttls_proto::{Client, PROTOCOLS, Protocol, Server};

fn main() {
    // `cargo test --benches` asks for nothing that would take time.
    if !std::env::args().any(|arg| arg == "--bench") {
        return;
    }
    for protocol in PROTOCOLS {
        measure::<Client>(protocol);
        measure::<Server>(protocol);
    }
}

/// One line: what is measured, the protocol, the side; allocations and peak bytes with whole segments; the
/// same one byte at a time.
fn measure<M: Machine>(protocol: &Protocol) {
    let segments = record::<M>(protocol);
    // What is to be sent is the caller's; its buffer is there already.
    let mut out = Vec::with_capacity(4096);
    let [whole, single] = [usize::MAX, 1].map(|piece| {
        let mut end = None;
        let info = allocation_counter::measure(|| end = negotiate::<M>(protocol, &segments, piece, &mut out));
        assert_eq!(end, Some(End::Upgrade), "{}", protocol.name);
        format!("{}\t{}", info.count_total, info.bytes_max)
    });
    println!("allocations\t{}\t{}\t{whole}\t{single}", protocol.name, M::SIDE.name());
}
