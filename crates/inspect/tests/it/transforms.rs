//! What the network and the capture do to packets without loss changes no fact.

use starttls_inspect::{ConnectionReport, Facts};
use starttls_proto::Side;

use crate::packets::{Tcp, connection, ethernet, frames, inspect_one, ipv4, ipv6, pcap};
use crate::vector::Vector;
use crate::vectors::turns;

/// Returns what a report says, without the positions in the capture.
pub(crate) fn facts(report: &ConnectionReport) -> (Facts, Vec<&'static str>) {
    let mut facts = report.facts.clone();
    facts.clues.clear();
    facts.credentials.iter_mut().for_each(|login| login.packet = 0);
    if let Some(boundary) = &mut facts.boundary {
        boundary.packet = 0;
    }
    (facts, report.findings.iter().map(|finding| finding.id).collect())
}

/// Applies a transform to every vector and compares the facts.
fn same(name: &str, transform: impl Fn(&Vector, &[Tcp]) -> Vec<u8>) {
    for vector in Vector::all().into_iter().filter(|vector| !vector.turns.is_empty()) {
        let segments = connection(&turns(&vector), [1000, 2000], 1448);
        let plain = inspect_one(&pcap(1, &frames(&segments, vector.protocol.port)));
        let other = inspect_one(&transform(&vector, &segments));
        assert_eq!(facts(&other), facts(&plain), "{name}: {}", vector.path.display());
    }
}

#[test]
fn segments_can_be_cut_anywhere() {
    for segment in [1, 7, 100] {
        same(&format!("segments of {segment}"), |vector, _| {
            let segments = connection(&turns(vector), [1000, 2000], segment);
            pcap(1, &frames(&segments, vector.protocol.port))
        });
    }
}

#[test]
fn sequence_numbers_wrap() {
    same("wrap", |vector, _| {
        let segments = connection(&turns(vector), [u32::MAX - 20, u32::MAX - 3], 1448);
        pcap(1, &frames(&segments, vector.protocol.port))
    });
}

#[test]
fn packets_may_arrive_twice_and_in_another_order() {
    same("duplicates", |vector, segments| {
        let frames = frames(segments, vector.protocol.port);
        pcap(1, &frames.iter().flat_map(|frame| [frame.clone(), frame.clone()]).collect::<Vec<_>>())
    });
    same("neighbors swapped", |vector, segments| {
        let mut frames = frames(segments, vector.protocol.port);
        frames[3..].chunks_exact_mut(2).for_each(|pair| pair.swap(0, 1));
        pcap(1, &frames)
    });
    // A merged capture: all packets of the server after all packets of the client.
    same("one direction after the other", |vector, segments| {
        let mut sorted = segments.to_vec();
        sorted.sort_by_key(|segment| segment.from == starttls_proto::Side::Server);
        pcap(1, &frames(&sorted, vector.protocol.port))
    });
    same("copies from two hops", |vector, segments| {
        let port = vector.protocol.port;
        let both = |segment: &Tcp| [64, 62].map(|ttl| ethernet(0x0800, &ipv4(segment, port, ttl)));
        pcap(1, &segments.iter().flat_map(both).collect::<Vec<_>>())
    });
}

#[test]
fn link_layers_and_tunnels_do_not_matter() {
    let wrap = |name: &str, link: u32, frame: &dyn Fn(usize, Vec<u8>) -> Vec<u8>| {
        same(name, |vector, segments| {
            let packets = segments.iter().map(|segment| ipv4(segment, vector.protocol.port, 64));
            pcap(link, &packets.enumerate().map(|(at, packet)| frame(at, packet)).collect::<Vec<_>>())
        });
    };
    wrap("raw IP", 101, &|_, packet| packet);
    wrap("loopback", 0, &|_, packet| [&[2, 0, 0, 0][..], &packet].concat());
    wrap("OpenBSD loopback", 108, &|_, packet| [&[0, 0, 0, 2][..], &packet].concat());
    wrap("Linux cooked", 113, &|_, packet| [&[0; 14][..], &[8, 0], &packet].concat());
    wrap("Linux cooked 2", 276, &|_, packet| [&[8, 0][..], &[0; 18], &packet].concat());
    wrap("PPP", 9, &|_, packet| [&[0xff, 3, 0, 0x21][..], &packet].concat());
    wrap("VLAN tags that differ by direction", 1, &|at, packet| {
        let tag = [0, (at % 2) as u8 + 1, 8, 0];
        ethernet(0x8100, &[&tag[..], &packet].concat())
    });
    wrap("PPPoE", 1, &|_, packet| ethernet(0x8864, &[&[0x11, 0, 0, 1, 0, 0, 0, 0x21][..], &packet].concat()));
    wrap("MPLS", 1, &|_, packet| ethernet(0x8847, &[&[0, 1, 0, 64, 0, 1, 1, 64][..], &packet].concat()));
    let outer = |protocol: u8, payload: &[u8]| {
        let total = (20 + payload.len() as u16).to_be_bytes();
        let head = [0x45, 0, total[0], total[1], 0, 1, 0, 0, 64, protocol, 0, 0, 10, 0, 0, 1, 10, 0, 0, 2];
        ethernet(0x0800, &[&head[..], payload].concat())
    };
    wrap("GRE", 1, &|_, packet| outer(47, &[&[0, 0, 8, 0][..], &packet].concat()));
    wrap("IP in IP", 1, &|_, packet| outer(4, &packet));
    wrap("VXLAN", 1, &|_, packet| {
        let udp = [0x30, 0x39, 0x12, 0xb5, 0, 0, 0, 0, 8, 0, 0, 0, 0, 0, 1, 0];
        outer(17, &[&udp[..], &ethernet(0x0800, &packet)].concat())
    });
    wrap("GENEVE", 1, &|_, packet| {
        let udp = [0x30, 0x39, 0x17, 0xc1, 0, 0, 0, 0, 0, 0, 8, 0, 0, 0, 1, 0];
        outer(17, &[&udp[..], &packet].concat())
    });
}

/// Returns the fragments of a packet: one, if it is too short.
fn packet_of_fragments(packet: &[u8]) -> Vec<Vec<u8>> {
    let (header, body) = packet.split_at(20);
    let at = body.len() / 2 / 8 * 8;
    if at == 0 || body.len() < 16 {
        return vec![ethernet(0x0800, packet)];
    }
    let part = |offset: usize, more: bool, body: &[u8]| {
        let mut header = header.to_vec();
        header[2..4].copy_from_slice(&(20 + body.len() as u16).to_be_bytes());
        header[4..6].copy_from_slice(&(packet.len() as u16).to_be_bytes());
        header[6..8].copy_from_slice(&((offset / 8) as u16 | if more { 0x2000 } else { 0 }).to_be_bytes());
        ethernet(0x0800, &[&header, body].concat())
    };
    vec![part(at, false, &body[at..]), part(0, true, &body[..at])]
}

#[test]
fn fragments_are_put_together() {
    same("fragments, the last one first", |vector, segments| {
        let mut packets = Vec::new();
        for (id, segment) in segments.iter().enumerate() {
            let mut packet = ipv4(segment, vector.protocol.port, 64);
            packet[4..6].copy_from_slice(&(id as u16).to_be_bytes());
            let mut fragments = packet_of_fragments(&packet);
            for fragment in fragments.iter_mut().filter(|it| it[20] & 0x3f != 0 || it[21] != 0) {
                fragment[18..20].copy_from_slice(&(id as u16).to_be_bytes());
            }
            packets.extend(fragments);
        }
        pcap(1, &packets)
    });
}

#[test]
fn ipv6_is_read() {
    same("IPv6", |vector, segments| {
        let packets = segments.iter().map(|it| ethernet(0x86dd, &ipv6(it, vector.protocol.port)));
        pcap(1, &packets.collect::<Vec<_>>())
    });
}

#[test]
fn every_file_format_is_read() {
    same("big endian, nanoseconds", |vector, segments| {
        let mut file = Vec::new();
        for field in [0xa1b2_3c4d_u32, 0x0002_0004, 0, 0, 262_144, 1] {
            file.extend(field.to_be_bytes());
        }
        for (at, frame) in frames(segments, vector.protocol.port).iter().enumerate() {
            for field in [1_700_000_000, at as u32 * 1000, frame.len() as u32, frame.len() as u32] {
                file.extend(field.to_be_bytes());
            }
            file.extend(frame);
        }
        file
    });
    same("pcapng with two interfaces", |vector, segments| {
        let block = |kind: u32, body: &[u8]| {
            let mut body = body.to_vec();
            body.resize(body.len().next_multiple_of(4), 0);
            let len = (body.len() as u32 + 12).to_le_bytes();
            [&kind.to_le_bytes()[..], &len, &body, &len].concat()
        };
        let mut file =
            block(0x0a0d_0d0a, &[0x4d, 0x3c, 0x2b, 0x1a, 1, 0, 0, 0, 255, 255, 255, 255, 255, 255, 255, 255]);
        file.extend(block(1, &[1, 0, 0, 0, 0, 0, 4, 0]));
        // Raw IP, with time stamps in nanoseconds.
        file.extend(block(1, &[101, 0, 0, 0, 0, 0, 4, 0, 9, 0, 1, 0, 9, 0, 0, 0, 0, 0, 0, 0]));
        file.extend(block(0x0bad, b"unknown block"));
        for (at, segment) in segments.iter().enumerate() {
            let packet = ipv4(segment, vector.protocol.port, 64);
            let packet = if at % 2 == 0 { ethernet(0x0800, &packet) } else { packet };
            let time = if at % 2 == 0 { at as u64 * 1000 } else { at as u64 * 1_000_000 };
            let mut body = ((at % 2) as u32).to_le_bytes().to_vec();
            body.extend(((time >> 32) as u32).to_le_bytes());
            body.extend((time as u32).to_le_bytes());
            body.extend((packet.len() as u32).to_le_bytes());
            body.extend((packet.len() as u32).to_le_bytes());
            body.extend(packet);
            file.extend(block(6, &body));
        }
        file
    });
}

#[test]
fn proxies_before_the_conversation_do_not_matter() {
    type Prefix = &'static [(Side, &'static [u8])];
    use Side::{Client, Server};
    let socks5: Prefix = &[
        (Client, b"\x05\x01\0"),
        (Server, b"\x05\0"),
        (Client, b"\x05\x01\0\x03\x0cmail.example"),
        (Server, b"\x05\0\0\x01\0\0\0\0\0\0"),
    ];
    let socks4: Prefix = &[(Client, b"\x04\x01"), (Server, b"\0\x5a\0\0\0\0\0\0")];
    let connect: Prefix = &[(Client, b"CONNECT mail.example:"), (Server, b"HTTP/1.1 200 Connected\r\n\r\n")];
    let header: Prefix = &[(Client, b"PROXY TCP4 198.51.100.7 203.0.113.1 40000 ")];
    for (name, prefix) in
        [("socks5", socks5), ("socks4", socks4), ("http-connect", connect), ("proxy-v1", header)]
    {
        for vector in Vector::all().into_iter().filter(|vector| !vector.turns.is_empty()) {
            let port = vector.protocol.port;
            let mut all: Vec<(Side, Vec<u8>)> =
                prefix.iter().map(|(side, bytes)| (*side, bytes.to_vec())).collect();
            let octets = port.to_be_bytes();
            match name {
                "socks5" => all[2].1.extend(octets),
                "socks4" => all[0].1.extend([&octets[..], &[203, 0, 113, 1, 0]].concat()),
                "http-connect" => all[0].1.extend(format!("{port} HTTP/1.1\r\n\r\n").as_bytes()),
                _ => all[0].1.extend(format!("{port}\r\n").as_bytes()),
            }
            let before = [Client, Server].map(|side| {
                all.iter().filter(|(from, _)| *from == side).map(|(_, bytes)| bytes.len() as u64).sum::<u64>()
            });
            all.extend(turns(&vector));
            let plain = connection(&turns(&vector), [1000, 2000], 1448);
            let plain = inspect_one(&pcap(1, &frames(&plain, port)));
            for segment in [1448, 1] {
                // The port of the proxy says nothing.
                let behind = connection(&all, [1000, 2000], segment);
                let behind = inspect_one(&pcap(1, &frames(&behind, 1080)));
                let path = vector.path.display();
                assert_eq!(behind.tunnel, [name], "{path}");
                let (mut behind, mut plain) = (facts(&behind), facts(&plain));
                for point in behind.0.boundary.iter_mut() {
                    (point.client, point.server) = (point.client - before[0], point.server - before[1]);
                }
                let cleartext = &mut behind.0.cleartext;
                cleartext.client -= before[0];
                cleartext.server -= before[1];
                behind.0.proxies.clear();
                plain.0.proxies.clear();
                assert_eq!(behind, plain, "{name} {segment}: {path}");
            }
        }
    }
}
