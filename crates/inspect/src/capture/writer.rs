//! Writes packets as a pcapng file (draft-ietf-opsawg-pcapng).

use super::CapturedPacket;

/// Writes packets in the pcapng format, with their original octets and time stamps.
#[derive(Debug, Default)]
pub struct CaptureWriter {
    /// The link types of the interfaces so far.
    links: Vec<u16>,
}

impl CaptureWriter {
    /// Returns the start of a file.
    pub fn header() -> Vec<u8> {
        // The byte order, version 1.0, and a section of unknown length.
        let body = [&0x1a2b_3c4d_u32.to_le_bytes()[..], &[1, 0, 0, 0], &[0xff; 8]].concat();
        block(0x0a0d_0d0a, &body)
    }

    /// Returns the blocks of a packet, with a comment if it is not empty.
    pub fn packet(&mut self, packet: &CapturedPacket<'_>, comment: &str) -> Vec<u8> {
        let mut blocks = Vec::new();
        let known = self.links.iter().position(|link| *link == packet.link);
        let interface = known.unwrap_or_else(|| {
            // `if_tsresol`: the time stamps are nanoseconds.
            let options = [option(9, &[9]), option(0, b"")].concat();
            let body = [&packet.link.to_le_bytes()[..], &[0, 0], &[0; 4], &options].concat();
            blocks = block(1, &body);
            self.links.push(packet.link);
            self.links.len() - 1
        });
        let fields = [
            interface as u32,
            (packet.time >> 32) as u32,
            packet.time as u32,
            packet.data.len() as u32,
            packet.sent,
        ];
        let mut body: Vec<u8> = fields.into_iter().flat_map(u32::to_le_bytes).collect();
        body.extend(packet.data);
        body.resize(body.len().next_multiple_of(4), 0);
        if !comment.is_empty() {
            body.extend([option(1, comment.as_bytes()), option(0, b"")].concat());
        }
        blocks.extend(block(6, &body));
        blocks
    }
}

fn block(kind: u32, body: &[u8]) -> Vec<u8> {
    let len = (12 + body.len() as u32).to_le_bytes();
    [&kind.to_le_bytes()[..], &len, body, &len].concat()
}

fn option(code: u16, value: &[u8]) -> Vec<u8> {
    let value = value.get(..value.len().min(1024)).unwrap_or_default();
    let mut option = [&code.to_le_bytes()[..], &(value.len() as u16).to_le_bytes(), value].concat();
    option.resize(option.len().next_multiple_of(4), 0);
    option
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::capture::CaptureReader;

    #[test]
    fn what_is_written_is_read_again() {
        let packets = [(1_700_000_000_123_456_789, 1, &b"abc"[..], 60), (5, 101, b"defg", 4), (6, 1, b"", 0)];
        let packets = packets.map(|(time, link, data, sent)| CapturedPacket { time, link, data, sent });
        let mut writer = CaptureWriter::default();
        let mut file = CaptureWriter::header();
        for (at, packet) in packets.iter().enumerate() {
            file.extend(writer.packet(packet, ["obs-credentials", ""][at % 2]));
        }
        let mut reader = CaptureReader::new(&file[..]);
        for packet in packets {
            assert_eq!(reader.next_packet().unwrap(), Some(packet));
        }
        assert_eq!(reader.next_packet().unwrap(), None);
        assert!(!reader.is_truncated());
    }
}
