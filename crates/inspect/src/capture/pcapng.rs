//! The pcapng format (draft-ietf-opsawg-pcapng): sections of blocks, with several interfaces in one file.

use std::ops::Range;

use super::pcap::{u16_at, u32_at};

/// The type of a section header block, which is the same in both byte orders.
pub(super) const SECTION_HEADER: [u8; 4] = [0x0a, 0x0d, 0x0d, 0x0a];

/// The most interfaces of a section.
const MAX_INTERFACES: usize = 4096;

/// The interfaces of the current section.
#[derive(Debug, Default)]
pub(super) struct Section {
    big_endian: bool,
    interfaces: Vec<Interface>,
}

#[derive(Clone, Copy, Debug)]
struct Interface {
    link: u16,
    snap_len: u32,
    /// Units of a time stamp in a second.
    resolution: u64,
    /// Seconds to add to a time stamp.
    offset: i64,
}

/// A block.
#[derive(Debug)]
pub(super) enum Block {
    Packet { time: u64, link: u16, sent: u32, data: Range<usize> },
    Other,
}

impl Section {
    /// Returns the length of a block from its first twelve octets. A section header changes the byte order.
    pub(super) fn block_len(&mut self, head: &[u8; 12]) -> Option<usize> {
        if head.starts_with(&SECTION_HEADER) {
            self.big_endian = match head.last_chunk()? {
                [0x1a, 0x2b, 0x3c, 0x4d] => true,
                [0x4d, 0x3c, 0x2b, 0x1a] => false,
                _ => return None,
            };
            self.interfaces.clear();
        }
        let len = usize::try_from(u32_at(self.big_endian, head, 4)?).ok()?;
        (len >= 12 && len.is_multiple_of(4)).then_some(len)
    }

    /// Reads a block. Returns `None` if it breaks the format.
    pub(super) fn block(&mut self, block: &[u8]) -> Option<Block> {
        let kind = u32_at(self.big_endian, block, 0)?;
        let end = block.len() - 4;
        match kind {
            1 => self.interface(block.get(..end)?).map(|()| Block::Other),
            // The enhanced packet block.
            6 => {
                let interface = u32_at(self.big_endian, block, 8)?;
                self.packet(block.get(..end)?, usize::try_from(interface).ok()?, 12)
            }
            // The obsolete packet block, with a shorter interface id.
            2 => {
                let interface = u16_at(self.big_endian, block, 8)?;
                self.packet(block.get(..end)?, usize::from(interface), 12)
            }
            // The simple packet block has no time, and belongs to the first interface.
            3 => {
                let interface = self.interfaces.first()?;
                let sent = u32_at(self.big_endian, block, 8)?;
                let limit = if interface.snap_len == 0 { u32::MAX } else { interface.snap_len };
                let captured = usize::try_from(sent.min(limit)).ok()?.min(end.checked_sub(12)?);
                Some(Block::Packet { time: 0, link: interface.link, sent, data: 12..12 + captured })
            }
            _ => Some(Block::Other),
        }
    }

    fn packet(&self, block: &[u8], interface: usize, at: usize) -> Option<Block> {
        let interface = self.interfaces.get(interface)?;
        let field = |offset| u32_at(self.big_endian, block, at + offset);
        let stamp = u64::from(field(0)?) << 32 | u64::from(field(4)?);
        let captured = usize::try_from(field(8)?).ok()?;
        let data = at + 16..(at + 16).checked_add(captured)?;
        (data.end <= block.len()).then_some(Block::Packet {
            time: interface.nanoseconds(stamp),
            link: interface.link,
            sent: field(12)?,
            data,
        })
    }

    fn interface(&mut self, block: &[u8]) -> Option<()> {
        let big_endian = self.big_endian;
        let mut interface = Interface {
            link: u16_at(big_endian, block, 8)?,
            snap_len: u32_at(big_endian, block, 12)?,
            resolution: 1_000_000,
            offset: 0,
        };
        let mut at = 16;
        while let (Some(code), Some(len)) = (u16_at(big_endian, block, at), u16_at(big_endian, block, at + 2))
        {
            let value = block.get(at + 4..at + 4 + usize::from(len))?;
            match (code, value) {
                (0, _) => break,
                // `if_tsresol`: the exponent, of 2 with the highest bit, otherwise of 10.
                (9, [exponent]) if exponent & 0x80 != 0 => {
                    interface.resolution = 1_u64.checked_shl(u32::from(exponent & 0x7f))?;
                }
                (9, [exponent]) => interface.resolution = 10_u64.checked_pow(u32::from(*exponent))?,
                // `if_tsoffset`.
                (14, value) if value.len() == 8 => {
                    let octets = *value.first_chunk()?;
                    interface.offset =
                        if big_endian { i64::from_be_bytes(octets) } else { i64::from_le_bytes(octets) };
                }
                _ => {}
            }
            at += 4 + usize::from(len).next_multiple_of(4);
        }
        (self.interfaces.len() < MAX_INTERFACES).then(|| self.interfaces.push(interface))
    }
}

impl Interface {
    fn nanoseconds(&self, stamp: u64) -> u64 {
        let nanos = u128::from(stamp) * 1_000_000_000 / u128::from(self.resolution.max(1));
        let nanos = i128::try_from(nanos).unwrap_or(i128::MAX) + i128::from(self.offset) * 1_000_000_000;
        u64::try_from(nanos).unwrap_or(0)
    }
}
