//! Capture files: pcap and pcapng, compressed with gzip or not, from a file or a pipe.
//!
//! The reader is our own because it must read a growing file past its end, copy no packet and allocate nothing for one.

mod pcap;
mod pcapng;
mod writer;

use std::fmt;
use std::io::{self, Read};
use std::ops::Range;

use flate2::read::MultiGzDecoder;

use pcap::FileHeader;
use pcapng::{Block, Section};
pub use writer::CaptureWriter;

/// The longest packet or block in octets. Capture tools write packets of at most 256 KiB.
const MAX_BLOCK: usize = 16 * 1024 * 1024;

/// A packet of a capture, as captured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CapturedPacket<'a> {
    /// Nanoseconds since 1970-01-01T00:00:00Z.
    pub time: u64,
    /// The link type, as registered for pcap.
    pub link: u16,
    /// The octets that were captured. They may be fewer than were sent.
    pub data: &'a [u8],
    /// How many octets were sent.
    pub sent: u32,
}

/// A reader of a capture file.
pub struct CaptureReader<R> {
    source: Source<R>,
    buffer: Vec<u8>,
    /// The unread octets in the buffer.
    unread: Range<usize>,
    format: Format,
}

/// What the first octets say about the file.
enum Format {
    Unknown,
    Pcap(FileHeader),
    PcapNg(Section),
}

/// Why a capture could not be read further.
#[derive(Debug)]
pub enum CaptureError {
    /// The file could not be read.
    Io(io::Error),
    /// The file is not a capture. Contains its first octets.
    NotACapture(Vec<u8>),
    /// The capture is corrupt from here on: what was expected.
    Corrupt(&'static str),
}

impl fmt::Display for CaptureError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Io(error) => write!(f, "cannot read the capture: {error}"),
            Self::NotACapture(first) if first.is_empty() => {
                f.write_str("expected a capture (pcap, pcapng, or either with gzip), found an empty file")
            }
            Self::NotACapture(first) => write!(
                f,
                "expected a capture (pcap, pcapng, or either with gzip), found \"{}\"",
                starttls_proto::Escaped(first)
            ),
            Self::Corrupt(expected) => write!(f, "the capture is corrupt: expected {expected}"),
        }
    }
}

impl std::error::Error for CaptureError {}

impl<R: Read> CaptureReader<R> {
    /// Returns a reader of this file. Nothing is read yet.
    pub fn new(source: R) -> Self {
        Self {
            source: Source::Undecided(Some(source)),
            buffer: Vec::new(),
            unread: 0..0,
            format: Format::Unknown,
        }
    }

    /// Returns whether the input ended in the middle of a packet.
    pub fn is_truncated(&self) -> bool {
        !self.unread.is_empty()
    }

    /// Returns the next packet, or `None` at the end of the input. If the file has grown since, the next call
    /// continues.
    ///
    /// # Errors
    /// [`CaptureError`] if the input cannot be read or is not a capture. The reader must not be used again.
    pub fn next_packet(&mut self) -> Result<Option<CapturedPacket<'_>>, CaptureError> {
        loop {
            let found = match &mut self.format {
                Format::Unknown => {
                    if !self.read_format()? {
                        return Ok(None);
                    }
                    continue;
                }
                Format::Pcap(header) => {
                    let header = *header;
                    let Some(head) = self.peek(header.packet_header_len())? else { return Ok(None) };
                    let packet = header.packet(head).ok_or(CaptureError::Corrupt("a packet header"))?;
                    let len = header.packet_header_len() + packet.captured;
                    let Some(start) = self.take(len)? else { return Ok(None) };
                    let data = start + header.packet_header_len()..start + len;
                    Some((packet.time, header.link, packet.sent, data))
                }
                Format::PcapNg(_) => match self.next_block()? {
                    None => return Ok(None),
                    Some(found) => found,
                },
            };
            if let Some((time, link, sent, data)) = found {
                return Ok(Some(CapturedPacket { time, link, sent, data: &self.buffer[data] }));
            }
        }
    }

    /// Reads the header of the file. Returns false at the end of the input.
    fn read_format(&mut self) -> Result<bool, CaptureError> {
        let Some(first) = self.peek(4)? else {
            let first = self.buffer[self.unread.clone()].to_vec();
            let empty_so_far = first.is_empty() && matches!(self.source, Source::Undecided(_));
            return if first.is_empty() && !empty_so_far {
                Ok(false)
            } else {
                Err(CaptureError::NotACapture(first))
            };
        };
        if first == pcapng::SECTION_HEADER {
            self.format = Format::PcapNg(Section::default());
            return Ok(true);
        }
        let Some(magic) = first.first_chunk().and_then(|magic| pcap::Magic::read(*magic)) else {
            let len = self.unread.len().min(16);
            let first = &self.buffer[self.unread.start..self.unread.start + len];
            return Err(CaptureError::NotACapture(first.to_vec()));
        };
        let Some(start) = self.take(pcap::FILE_HEADER_LEN)? else { return Ok(false) };
        let header = FileHeader::read(magic, &self.buffer[start..start + pcap::FILE_HEADER_LEN]);
        self.format = Format::Pcap(header.ok_or(CaptureError::Corrupt("the header of a capture file"))?);
        Ok(true)
    }

    /// Reads one block of a pcapng file: `None` at the end of the input, `Some(None)` for a block without a packet.
    #[expect(clippy::type_complexity, reason = "the two levels are what the loop above distinguishes")]
    fn next_block(&mut self) -> Result<Option<Option<(u64, u16, u32, Range<usize>)>>, CaptureError> {
        let corrupt = || CaptureError::Corrupt("a block of a pcapng file");
        let Some(head) = self.peek(12)? else { return Ok(None) };
        let head: [u8; 12] = head.first_chunk().copied().ok_or_else(corrupt)?;
        let Format::PcapNg(section) = &mut self.format else { return Err(corrupt()) };
        let len = section.block_len(&head).ok_or_else(corrupt)?;
        let Some(start) = self.take(len)? else { return Ok(None) };
        let Format::PcapNg(section) = &mut self.format else { return Err(corrupt()) };
        match section.block(&self.buffer[start..start + len]).ok_or_else(corrupt)? {
            Block::Packet { time, link, sent, data } => {
                Ok(Some(Some((time, link, sent, start + data.start..start + data.end))))
            }
            Block::Other => Ok(Some(None)),
        }
    }

    /// Returns the next `len` octets without consuming them, or `None` if the input ends before.
    fn peek(&mut self, len: usize) -> Result<Option<&[u8]>, CaptureError> {
        if !self.fill(len)? {
            return Ok(None);
        }
        Ok(self.buffer.get(self.unread.start..self.unread.start + len))
    }

    /// Consumes `len` octets and returns where they start in the buffer, or `None` if the input ends before.
    fn take(&mut self, len: usize) -> Result<Option<usize>, CaptureError> {
        if len > MAX_BLOCK {
            return Err(CaptureError::Corrupt("a packet of at most 16 MiB"));
        }
        if !self.fill(len)? {
            return Ok(None);
        }
        let start = self.unread.start;
        self.unread.start += len;
        Ok(Some(start))
    }

    /// Makes `len` unread octets contiguous. Returns false if the input ends before.
    fn fill(&mut self, len: usize) -> Result<bool, CaptureError> {
        const READ: usize = 256 * 1024;
        if self.unread.len() >= len {
            return Ok(true);
        }
        self.buffer.copy_within(self.unread.clone(), 0);
        self.unread = 0..self.unread.len();
        let needed = len.max(READ);
        if self.buffer.len() < needed {
            self.buffer.resize(needed, 0);
        }
        while self.unread.len() < len {
            match self.source.read(&mut self.buffer[self.unread.end..]) {
                Ok(0) => return Ok(false),
                Ok(read) => self.unread.end += read,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                // A compressed file that was cut off.
                Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(false),
                Err(error) => return Err(CaptureError::Io(error)),
            }
        }
        Ok(true)
    }
}

/// The input, decompressed if its first octets are those of gzip.
enum Source<R> {
    Undecided(Option<R>),
    Plain(io::Chain<io::Cursor<Vec<u8>>, R>),
    Gzip(Box<MultiGzDecoder<io::Chain<io::Cursor<Vec<u8>>, R>>>),
}

impl<R: Read> Read for Source<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if let Self::Undecided(reader) = self {
            let Some(mut reader) = reader.take() else { return Ok(0) };
            let mut first = Vec::new();
            let read = reader.by_ref().take(2).read_to_end(&mut first);
            if first.is_empty() {
                *self = Self::Undecided(Some(reader));
                return read;
            }
            let gzip = first == [0x1f, 0x8b];
            let reader = io::Cursor::new(first).chain(reader);
            *self =
                if gzip { Self::Gzip(Box::new(MultiGzDecoder::new(reader))) } else { Self::Plain(reader) };
        }
        match self {
            Self::Undecided(_) => Ok(0),
            Self::Plain(reader) => reader.read(buffer),
            Self::Gzip(reader) => reader.read(buffer),
        }
    }
}
