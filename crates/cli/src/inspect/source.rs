//! Reads packets from capture files: one file after the other, or merged by time.

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::time::Duration;

use starttls_inspect::{CaptureError, CaptureReader, CapturedPacket};

use crate::console;
use crate::error::Failed;

/// How often a file that is followed is examined for more packets.
const FOLLOW: Duration = Duration::from_millis(200);

/// Captures to read.
#[derive(Clone, Debug)]
pub(super) struct Captures {
    pub(super) files: Vec<PathBuf>,
    /// Whether the packets of all files are put into the order of their time stamps.
    pub(super) merge: bool,
    /// Whether to wait for more packets at the end of the last file.
    pub(super) follow: bool,
}

/// Takes a packet. Returns false to end the reading.
type Taker<'a> = dyn FnMut(&CapturedPacket<'_>) -> Result<bool, Failed> + 'a;

impl Captures {
    /// Gives every packet to `take`. `is_over` ends the waiting for more packets.
    pub(super) fn read(&self, take: &mut Taker<'_>, is_over: &dyn Fn() -> bool) -> Result<(), Failed> {
        if self.merge {
            return self.merged(take);
        }
        let last = self.files.len().saturating_sub(1);
        for (at, path) in self.files.iter().enumerate() {
            let mut capture = Capture::open(path)?;
            loop {
                if let Some(packet) = capture.next()? {
                    if !take(&packet)? {
                        return Ok(());
                    }
                    continue;
                }
                if !self.follow || at != last || capture.is_corrupt {
                    break;
                }
                if is_over() {
                    return Ok(());
                }
                std::thread::sleep(FOLLOW);
            }
            capture.end();
        }
        Ok(())
    }

    fn merged(&self, take: &mut Taker<'_>) -> Result<(), Failed> {
        let mut captures =
            self.files.iter().map(|path| Capture::open(path)).collect::<Result<Vec<_>, _>>()?;
        let mut heads = Vec::new();
        for capture in &mut captures {
            heads.push(capture.head()?);
        }
        loop {
            let first =
                heads.iter().enumerate().filter_map(|(at, head)| Some((head.as_ref()?.time, at))).min();
            let Some((_, at)) = first else { break };
            if let Some(head) = &heads[at]
                && !take(&head.packet())?
            {
                return Ok(());
            }
            heads[at] = captures[at].head()?;
        }
        captures.iter().for_each(Capture::end);
        Ok(())
    }
}

/// A capture that is being read.
struct Capture {
    name: String,
    reader: CaptureReader<Box<dyn Read>>,
    packets: u64,
    is_corrupt: bool,
}

/// The next packet of a capture.
struct Head {
    time: u64,
    link: u16,
    sent: u32,
    data: Vec<u8>,
}

impl Head {
    fn packet(&self) -> CapturedPacket<'_> {
        CapturedPacket { time: self.time, link: self.link, sent: self.sent, data: &self.data }
    }
}

impl Capture {
    fn open(path: &Path) -> Result<Self, Failed> {
        let name = path.display().to_string();
        let source: Box<dyn Read> = match path.as_os_str() == "-" {
            true => Box::new(std::io::stdin()),
            false => {
                let opened = File::open(path);
                Box::new(opened.map_err(|error| Failed::usage(format!("cannot read {name}: {error}")))?)
            }
        };
        Ok(Self { name, reader: CaptureReader::new(source), packets: 0, is_corrupt: false })
    }

    /// Returns the next packet. A capture that is corrupt after some packets ends there, with a warning.
    fn next(&mut self) -> Result<Option<CapturedPacket<'_>>, Failed> {
        if self.is_corrupt {
            return Ok(None);
        }
        match self.reader.next_packet() {
            Ok(packet) => {
                self.packets += u64::from(packet.is_some());
                Ok(packet)
            }
            Err(CaptureError::Corrupt(expected)) if self.packets > 0 => {
                let Self { name, packets, is_corrupt, .. } = self;
                console::warning(&format!("{name}: corrupt after {packets} packets: expected {expected}"));
                *is_corrupt = true;
                Ok(None)
            }
            Err(error) => Err(Failed::usage(format!("{}: {error}", self.name))),
        }
    }

    fn head(&mut self) -> Result<Option<Head>, Failed> {
        let owned = |it: CapturedPacket<'_>| Head {
            time: it.time,
            link: it.link,
            sent: it.sent,
            data: it.data.to_vec(),
        };
        Ok(self.next()?.map(owned))
    }

    /// Warns of a file that was cut off.
    fn end(&self) {
        if !self.is_corrupt && self.reader.is_truncated() {
            console::warning(&format!("{}: the file ends within packet {}", self.name, self.packets + 1));
        }
    }
}
