//! Losses only move answers to "unknown": this is what makes a finding believable.

use starttls_inspect::{ConnectionReport, Exposure, Offered, RequestAnswer, Requested, TlsUse};
use starttls_proto::Side;

use crate::packets::{Tcp, connection, ethernet, frames, inspect, inspect_one, ipv4, pcap};
use crate::vector::Vector;
use crate::vectors::turns;

/// A generator with a fixed start, so that a failure can be repeated.
struct Random(u64);

impl Random {
    fn below(&mut self, limit: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 % limit.max(1) as u64) as usize
    }
}

/// Removes parts of a capture. Returns what was done, and the file.
fn damage(random: &mut Random, segments: &[Tcp], port: u16) -> (String, Vec<u8>) {
    let mut left = segments.to_vec();
    let kind = random.below(7);
    let what = match kind {
        0 => {
            let at = random.below(left.len());
            left.remove(at);
            format!("without segment {at}")
        }
        1 => {
            let side = if random.below(2) == 0 { Side::Client } else { Side::Server };
            left.retain(|segment| segment.from != side);
            format!("without the {}", side.name())
        }
        2 => {
            let count = random.below(left.len());
            left.drain(..count);
            format!("without the first {count}")
        }
        3 => {
            let count = random.below(left.len());
            left.truncate(count);
            format!("only the first {count}")
        }
        4 => {
            let one_in = 2 + random.below(8);
            left.retain(|_| random.below(one_in) != 0);
            format!("without one in {one_in}")
        }
        5 => {
            let len = 54 + random.below(80);
            let cut = |segment: &Tcp| {
                let mut frame = ethernet(0x0800, &ipv4(segment, port, 64));
                frame.truncate(len);
                frame
            };
            return (
                format!("{len} octets of each packet"),
                pcap(1, &left.iter().map(cut).collect::<Vec<_>>()),
            );
        }
        _ => {
            let file = pcap(1, &frames(&left, port));
            let end = 24 + random.below(file.len() - 24);
            return (format!("only {end} octets of the file"), file[..end].to_vec());
        }
    };
    (what, pcap(1, &frames(&left, port)))
}

/// Checks that one report claims nothing that the other one does not.
fn weaker(damaged: &ConnectionReport, whole: &ConnectionReport, what: &str) {
    let (one, other) = (&damaged.facts, &whole.facts);
    let context = || format!("{what}\ndamaged: {damaged:#?}\nwhole: {whole:#?}");
    assert!(one.offered == Offered::Unknown || one.offered == other.offered, "{}", context());
    assert!(one.requested == Requested::Unknown || one.requested == other.requested, "{}", context());
    assert!(one.answer == RequestAnswer::Unknown || one.answer == other.answer, "{}", context());
    assert!(one.tls == TlsUse::Unknown || one.tls == other.tls, "{}", context());
    // Cleartext that follows the boundary is not read. Without the request there is no boundary, and the same cleartext is read.
    let beyond = other.tls == TlsUse::Broken && one.boundary.is_none();
    assert!(beyond || one.readable <= other.readable, "{}", context());
    for name in one.names.iter().filter(|_| !beyond) {
        assert!(other.names.contains(name), "{}", context());
    }
    for login in one.credentials.iter().filter(|_| !beyond) {
        let known = other
            .credentials
            .iter()
            .any(|it| it.exposure >= login.exposure || it.mechanism == login.mechanism);
        assert!(known, "{}", context());
    }
    for finding in &damaged.findings {
        // A login that was cut off exposes less than the whole one.
        let less = finding.id == "obs-login-attempted" || finding.id == "obs-names";
        let exposed = other.credentials.iter().any(|login| login.exposure >= Exposure::Attempted);
        let read = beyond && (less || finding.id == "obs-credentials");
        let known = whole.findings.iter().any(|it| it.id == finding.id) || (less && exposed) || read;
        assert!(known, "{}: {}", finding.id, context());
    }
    if let (Some(one), Some(other)) = (&one.handshake, &other.handshake) {
        assert!(one.version.is_none() || one.version == other.version, "{}", context());
        assert!(one.established.is_none() || one.established == other.established, "{}", context());
        assert!(one.ja4.is_none() || one.ja4 == other.ja4, "{}", context());
    }
}

/// Returns the exchange with a SOCKS 5 proxy before a conversation.
fn behind_a_proxy(port: u16) -> [(Side, Vec<u8>); 4] {
    let request = [&b"\x05\x01\0\x03\x0cmail.example"[..], &port.to_be_bytes()].concat();
    [
        (Side::Client, b"\x05\x01\0".to_vec()),
        (Side::Server, b"\x05\0".to_vec()),
        (Side::Client, request),
        (Side::Server, b"\x05\0\0\x01\0\0\0\0\0\0".to_vec()),
    ]
}

#[test]
fn losses_only_move_answers_to_unknown() {
    let vectors: Vec<_> = Vector::all().into_iter().filter(|vector| !vector.turns.is_empty()).collect();
    let (mut random, mut cases) = (Random(0x9e37_79b9_7f4a_7c15), 0);
    while cases < 10_000 {
        for vector in &vectors {
            let port = vector.protocol.port;
            let segment = [1448, 40, 9][random.below(3)];
            let mut turns = turns(vector);
            if random.below(4) == 0 {
                turns.splice(0..0, behind_a_proxy(port));
            }
            let segments = connection(&turns, [1000, 2000], segment);
            let whole = inspect_one(&pcap(1, &frames(&segments, port)));
            for _ in 0..4 {
                cases += 1;
                let (what, file) = damage(&mut random, &segments, port);
                for damaged in inspect(&file) {
                    weaker(&damaged, &whole, &format!("{}: {what}", vector.path.display()));
                }
            }
        }
    }
}
