//! The pcap format: a header for the file, then a header for each packet.

/// The length of the header of a file.
pub(super) const FILE_HEADER_LEN: usize = 24;

/// What the first four octets say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Magic {
    big_endian: bool,
    nanoseconds: bool,
    /// Each packet header has eight octets more (an interface and a protocol that Linux once added).
    modified: bool,
}

impl Magic {
    pub(super) fn read(octets: [u8; 4]) -> Option<Self> {
        let kind = |value| match value {
            0xa1b2_c3d4 => Some((false, false)),
            0xa1b2_3c4d => Some((true, false)),
            0xa1b2_cd34 => Some((false, true)),
            _ => None,
        };
        let read = |big_endian, value| {
            kind(value).map(|(nanoseconds, modified)| Self { big_endian, nanoseconds, modified })
        };
        read(false, u32::from_le_bytes(octets)).or_else(|| read(true, u32::from_be_bytes(octets)))
    }
}

/// The header of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct FileHeader {
    magic: Magic,
    pub(super) link: u16,
}

/// The header of a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct PacketHeader {
    pub(super) time: u64,
    pub(super) captured: usize,
    /// The octets of the packet on the network.
    pub(super) sent: u32,
}

impl FileHeader {
    pub(super) fn read(magic: Magic, header: &[u8]) -> Option<Self> {
        // The upper half of the field describes the frame check sequence.
        let link = u32_at(magic.big_endian, header, 20)? & 0xffff;
        Some(Self { magic, link: u16::try_from(link).ok()? })
    }

    pub(super) fn packet_header_len(&self) -> usize {
        if self.magic.modified { 24 } else { 16 }
    }

    pub(super) fn packet(&self, header: &[u8]) -> Option<PacketHeader> {
        let field = |at| u32_at(self.magic.big_endian, header, at).map(u64::from);
        let fraction = field(4)?;
        let nanos = if self.magic.nanoseconds { fraction } else { fraction * 1000 };
        Some(PacketHeader {
            time: field(0)? * 1_000_000_000 + nanos,
            captured: usize::try_from(field(8)?).ok()?,
            sent: u32_at(self.magic.big_endian, header, 12)?,
        })
    }
}

pub(super) fn u32_at(big_endian: bool, bytes: &[u8], at: usize) -> Option<u32> {
    let octets = *bytes.get(at..)?.first_chunk()?;
    Some(if big_endian { u32::from_be_bytes(octets) } else { u32::from_le_bytes(octets) })
}

pub(super) fn u16_at(big_endian: bool, bytes: &[u8], at: usize) -> Option<u16> {
    let octets = *bytes.get(at..)?.first_chunk()?;
    Some(if big_endian { u16::from_be_bytes(octets) } else { u16::from_le_bytes(octets) })
}
