//! Captures, TCP segments and conversations.

use starttls_inspect::{
    CaptureReader, CapturedPacket, Conversation, ConversationEnd, InspectLimits, Inspector, Moment,
    ReportLine, SCHEMA_VERSION, judge,
};
use starttls_proto::{PROTOCOLS, Side};

/// A limit that the inputs can reach.
const LIMITS: InspectLimits = InspectLimits { memory: 256 * 1024, connections: 16, by_vlan: false };

/// Reads input as a capture file. Every report can be written, and no connection is reported twice.
pub fn capture(input: &[u8]) {
    let (mut inspector, mut reader) = (Inspector::new(LIMITS), CaptureReader::new(input));
    while let Ok(Some(packet)) = reader.next_packet() {
        inspector.packet(&packet);
    }
    report(inspector);
}

/// Reads input as one captured packet: an octet for the link type, then its octets. It is added three times, so that
/// fragments meet each other.
pub fn peel(input: &[u8]) {
    const LINKS: [u16; 16] = [0, 1, 9, 12, 14, 50, 101, 108, 113, 228, 229, 239, 258, 276, 147, 65_535];
    let Some((&link, data)) = input.split_first() else { return };
    let mut inspector = Inspector::new(LIMITS);
    for time in 0..3 {
        let link = LINKS[usize::from(link) % LINKS.len()];
        inspector.packet(&CapturedPacket { time, link, sent: data.len() as u32, data });
        assert!(inspector.memory() <= LIMITS.memory, "a packet needs too much memory");
    }
    report(inspector);
}

/// Reads input as TCP segments between two hosts: an octet each for the flags, the sequence number, the acknowledgment
/// and the length, then the payload.
pub fn flow(input: &[u8]) {
    let mut inspector = Inspector::new(LIMITS);
    let (mut rest, mut time) = (input, 0);
    while let Some((&[control, seq, ack, len], after)) = rest.split_first_chunk::<4>() {
        let (payload, after) = after.split_at(usize::from(len).min(after.len()));
        rest = after;
        let from_server = control & 0x80 != 0;
        let (from, to): (u16, u16) = if from_server { (25, 40_000) } else { (40_000, 25) };
        let mut packet = vec![0x45, 0];
        packet.extend((40 + payload.len() as u16).to_be_bytes());
        packet.extend([
            0,
            0,
            0,
            0,
            64,
            6,
            0,
            0,
            10,
            0,
            0,
            u8::from(from_server),
            10,
            0,
            0,
            u8::from(!from_server),
        ]);
        packet.extend(from.to_be_bytes());
        packet.extend(to.to_be_bytes());
        packet.extend(u32::from(seq).wrapping_sub(8).to_be_bytes());
        packet.extend(u32::from(ack).wrapping_sub(8).to_be_bytes());
        packet.extend([0x50, control & 0x17, 0, 0, 0, 0, 0, 0]);
        packet.extend(payload);
        // A bit of the flags lets time pass, so that gaps are given up.
        time += if control & 0x40 != 0 { 4_000_000_000 } else { 1000 };
        inspector.packet(&CapturedPacket { time, link: 101, sent: packet.len() as u32, data: &packet });
    }
    report(inspector);
}

fn report(mut inspector: Inspector) {
    inspector.finish();
    let reports = inspector.take_finished();
    for connection in &reports {
        let line = ReportLine::Connection { schema_version: SCHEMA_VERSION, connection };
        assert!(line.to_json().is_ok_and(|json| !json.contains('\n')), "a report is one line");
    }
    assert!(inspector.summary().connections >= reports.len() as u64, "a connection was reported twice");
    let _ = (inspector.servers().servers(), inspector.servers().clients());
}

/// Reads input as a conversation: the number of a protocol, then pieces after an octet with the side in the top bit and
/// the length in the others. A length of 0 is a gap. The findings have a bound, whole and octet by octet.
pub fn conversation(input: &[u8]) {
    let Some((&index, pieces)) = input.split_first() else { return };
    let port = PROTOCOLS[usize::from(index) % PROTOCOLS.len()].port;
    for is_whole in [true, false] {
        let (mut conversation, mut rest) = (Conversation::new(port), pieces);
        while let Some((&head, after)) = rest.split_first() {
            let side = if head & 0x80 == 0 { Side::Client } else { Side::Server };
            let (piece, after) = after.split_at(usize::from(head & 0x7f).min(after.len()));
            rest = after;
            if head & 0x7f == 0 {
                conversation.gap(side, 1);
            }
            let step = if is_whole { piece.len().max(1) } else { 1 };
            piece.chunks(step).for_each(|part| conversation.receive(side, part, Moment::default()));
        }
        assert!(conversation.weight() < 1 << 20, "a conversation needs too much memory");
        let facts = conversation.finish(ConversationEnd::Closed);
        assert!(judge(&facts).len() < 64, "too many findings");
    }
}
