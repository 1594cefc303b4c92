//! Builds captures: turns become TCP segments, segments become packets, packets become a file.

use starttls_hello::{CipherSuite, ClientHello, Extension, NamedGroup, ServerHello, Version, extension_kind};
use starttls_inspect::{CaptureReader, ConnectionReport, InspectLimits, Inspector};
use starttls_proto::Side;

/// A TCP segment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Tcp {
    pub(crate) from: Side,
    pub(crate) seq: u32,
    pub(crate) ack: u32,
    pub(crate) flags: u8,
    pub(crate) payload: Vec<u8>,
}

pub(crate) const FIN: u8 = 1;
pub(crate) const SYN: u8 = 2;
pub(crate) const PSH: u8 = 8;
pub(crate) const ACK: u8 = 16;

/// Returns the segments of a connection that both sides close at the end. `segment`: the most octets of a segment.
pub(crate) fn connection(turns: &[(Side, Vec<u8>)], isn: [u32; 2], segment: usize) -> Vec<Tcp> {
    let mut next = isn;
    let mut all = Vec::new();
    let mut send = |from: Side, flags: u8, payload: &[u8]| {
        let (own, peer) = if from == Side::Client { (0, 1) } else { (1, 0) };
        let ack = if flags & ACK == 0 { 0 } else { next[peer] };
        all.push(Tcp { from, seq: next[own], ack, flags, payload: payload.to_vec() });
        let controls = u32::from(flags & (SYN | FIN) != 0);
        next[own] = next[own].wrapping_add(payload.len() as u32 + controls);
    };
    send(Side::Client, SYN, b"");
    send(Side::Server, SYN | ACK, b"");
    send(Side::Client, ACK, b"");
    for (side, bytes) in turns {
        let mut parts = bytes.chunks(segment).peekable();
        while let Some(part) = parts.next() {
            send(*side, if parts.peek().is_some() { ACK } else { PSH | ACK }, part);
        }
        send(side.peer(), ACK, b"");
    }
    send(Side::Client, FIN | ACK, b"");
    send(Side::Server, FIN | ACK, b"");
    send(Side::Client, ACK, b"");
    all
}

/// Returns the IPv4 packet of a segment.
pub(crate) fn ipv4(segment: &Tcp, port: u16, ttl: u8) -> Vec<u8> {
    let ends = [([192, 0, 2, 1], 50_000_u16), ([192, 0, 2, 2], port)];
    let (from, to) = if segment.from == Side::Client { (ends[0], ends[1]) } else { (ends[1], ends[0]) };
    let total = 40 + segment.payload.len() as u16;
    let mut packet = vec![0x45, 0];
    packet.extend(total.to_be_bytes());
    packet.extend([0, 0, 0, 0, ttl, 6, 0, 0]);
    packet.extend(from.0);
    packet.extend(to.0);
    packet.extend(tcp(segment, from.1, to.1));
    packet
}

pub(crate) fn ipv6(segment: &Tcp, port: u16) -> Vec<u8> {
    let address = |last: u8| {
        let mut octets = [0; 16];
        octets[..4].copy_from_slice(&[0x20, 1, 0xd, 0xb8]);
        octets[15] = last;
        octets
    };
    let ends = [(address(1), 50_000_u16), (address(2), port)];
    let (from, to) = if segment.from == Side::Client { (ends[0], ends[1]) } else { (ends[1], ends[0]) };
    let mut packet = vec![0x60, 0, 0, 0];
    packet.extend((20 + segment.payload.len() as u16).to_be_bytes());
    packet.extend([6, 64]);
    packet.extend(from.0);
    packet.extend(to.0);
    packet.extend(tcp(segment, from.1, to.1));
    packet
}

fn tcp(segment: &Tcp, from: u16, to: u16) -> Vec<u8> {
    let mut header = Vec::new();
    header.extend(from.to_be_bytes());
    header.extend(to.to_be_bytes());
    header.extend(segment.seq.to_be_bytes());
    header.extend(segment.ack.to_be_bytes());
    header.extend([0x50, segment.flags, 0xff, 0xff, 0, 0, 0, 0]);
    header.extend(&segment.payload);
    header
}

/// Returns an Ethernet frame.
pub(crate) fn ethernet(kind: u16, packet: &[u8]) -> Vec<u8> {
    let mut frame = vec![2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2];
    frame.extend(kind.to_be_bytes());
    frame.extend(packet);
    frame
}

/// Returns a pcap file with one packet every millisecond.
pub(crate) fn pcap(link: u32, packets: &[Vec<u8>]) -> Vec<u8> {
    let mut file = Vec::new();
    for field in [0xa1b2_c3d4_u32, 0x0004_0002, 0, 0, 262_144, link] {
        file.extend(field.to_le_bytes());
    }
    for (index, packet) in packets.iter().enumerate() {
        let len = packet.len() as u32;
        for field in [1_700_000_000, index as u32 * 1000, len, len] {
            file.extend(field.to_le_bytes());
        }
        file.extend(packet);
    }
    file
}

/// Returns the Ethernet frames of a connection to this port.
pub(crate) fn frames(segments: &[Tcp], port: u16) -> Vec<Vec<u8>> {
    segments.iter().map(|segment| ethernet(0x0800, &ipv4(segment, port, 64))).collect()
}

/// Inspects a capture file.
pub(crate) fn inspect(file: &[u8]) -> Vec<ConnectionReport> {
    let mut inspector = Inspector::new(InspectLimits::default());
    let mut reader = CaptureReader::new(file);
    while let Some(packet) = reader.next_packet().unwrap() {
        inspector.packet(&packet);
    }
    inspector.finish();
    inspector.take_finished()
}

/// Returns the report of the only connection of a capture.
pub(crate) fn inspect_one(file: &[u8]) -> ConnectionReport {
    let mut reports = inspect(file);
    assert_eq!(reports.len(), 1, "{reports:#?}");
    reports.remove(0)
}

/// Returns a TLS 1.3 handshake with its first application data, as turns.
pub(crate) fn handshake() -> Vec<(Side, Vec<u8>)> {
    let client = ClientHello {
        version: 0x0303,
        random: [7; 32],
        session_id: vec![9; 32],
        suites: vec![CipherSuite(0x1301), CipherSuite(0xc02f)],
        compression: vec![0],
        extensions: Some(vec![
            Extension::supported_groups(&[NamedGroup::X25519]),
            Extension { kind: extension_kind::SUPPORTED_VERSIONS, data: vec![4, 3, 4, 3, 3] },
        ]),
    };
    let server = ServerHello {
        legacy_version: Version::Tls12.code(),
        random: [8; 32],
        session_id: vec![9; 32],
        suite: CipherSuite(0x1301),
        compression: 0,
        extensions: vec![Extension { kind: extension_kind::SUPPORTED_VERSIONS, data: vec![3, 4] }],
    };
    let change = [20, 3, 3, 0, 1, 1];
    let data = [23, 3, 3, 0, 5, 1, 2, 3, 4, 5];
    vec![
        (Side::Client, client.to_bytes()),
        (Side::Server, [&server.to_bytes()[..], &change, &data].concat()),
        (Side::Client, [&change[..], &data].concat()),
        (Side::Server, data.to_vec()),
    ]
}
