//! Results go to standard output, or where `--output` says.

use std::fs::File;
use std::io::{IsTerminal, Seek, SeekFrom, Write};
use std::path::Path;

use crate::args::Output;
use crate::exit;
use crate::failure::Failed;

/// Where data goes. It is opened before anything is dialled.
pub(crate) struct Sink {
    out: Box<dyn Write + Send>,
    terminal: bool,
}

impl Sink {
    pub(crate) fn open(output: &Output) -> Result<Self, Failed> {
        let Some(path) = &output.output else {
            let out = std::io::stdout();
            return Ok(Self { terminal: out.is_terminal(), out: Box::new(out) });
        };
        let file = File::create(path)
            .map_err(|error| Failed::usage(format!("cannot write {}: {error}", path.display())))?;
        Ok(Self { out: Box::new(file), terminal: false })
    }

    /// Goes on behind the first so many bytes of an earlier output.
    pub(crate) fn append(path: &Path, length: u64) -> Result<Self, Failed> {
        let file = File::options().create(true).write(true).truncate(false).open(path);
        let at_end = file.and_then(|mut file| {
            file.set_len(length)?;
            file.seek(SeekFrom::End(0))?;
            Ok(file)
        });
        let file =
            at_end.map_err(|error| Failed::usage(format!("cannot write {}: {error}", path.display())))?;
        Ok(Self { out: Box::new(file), terminal: false })
    }

    /// Writes one line of our own, in one piece, so that whoever is interrupted leaves whole lines.
    pub(crate) fn line(&mut self, line: &str) -> Result<(), Failed> {
        let line = format!("{line}\n");
        self.out.write_all(line.as_bytes()).and_then(|()| self.out.flush()).map_err(unwritten)
    }

    /// Writes what a server says as it is, but a terminal gets no control characters from a peer.
    pub(crate) fn show(&mut self, bytes: &[u8]) -> Result<(), Failed> {
        self.write(bytes).map_err(unwritten)
    }

    fn write(&mut self, bytes: &[u8]) -> std::io::Result<()> {
        if self.terminal {
            for &byte in bytes {
                match byte {
                    b'\n' | b'\t' | 0x20..=0x7e => self.out.write_all(&[byte])?,
                    b'\r' => {}
                    _ => write!(self.out, "\\x{byte:02x}")?,
                }
            }
        } else {
            self.out.write_all(bytes)?;
        }
        self.out.flush()
    }
}

fn unwritten(error: std::io::Error) -> Failed {
    match error.kind() {
        // Whoever read our output has read enough.
        std::io::ErrorKind::BrokenPipe => Failed::new(exit::DONE, ""),
        _ => Failed::usage(format!("cannot write the output: {error}")),
    }
}
