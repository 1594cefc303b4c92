//! Writes results to standard output, or to the file of `--output`.

use std::fs::File;
use std::io::{IsTerminal, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use serde::Serialize;
use starttls::file;
use tempfile::NamedTempFile;

use crate::args::Output;
use crate::error::Failed;
use crate::exit;

/// The destination of the results. It is opened before anything is dialed.
pub(crate) struct Sink {
    out: Out,
    terminal: bool,
}

enum Out {
    /// A file or standard output that is written directly.
    Stream(Box<dyn Write + Send>),
    /// A temporary file that replaces the old one when everything is written.
    Replacing { new: NamedTempFile, path: PathBuf },
}

impl Out {
    fn write(&mut self) -> &mut dyn Write {
        match self {
            Self::Stream(out) => out,
            Self::Replacing { new, .. } => new,
        }
    }
}

impl Sink {
    pub(crate) fn open(output: &Output) -> Result<Self, Failed> {
        let Some(path) = &output.output else {
            let out = std::io::stdout();
            return Ok(Self { terminal: out.is_terminal(), out: Out::Stream(Box::new(out)) });
        };
        let file = file::create(path).map_err(|error| unwritable(path, &error))?;
        Ok(Self { out: Out::Stream(Box::new(file)), terminal: false })
    }

    /// Opens the output of a report. A file is replaced as a whole by [`Sink::finish`]: until then, and if the program
    /// ends without it, the old file stays as it is.
    pub(crate) fn replacing(output: &Output) -> Result<Self, Failed> {
        match &output.output {
            Some(path) => Self::whole(path),
            None => Self::open(output),
        }
    }

    /// Opens a file that is replaced as a whole by [`Sink::finish`]. A device or a pipe is written directly.
    pub(crate) fn whole(path: &Path) -> Result<Self, Failed> {
        let failed = |error| unwritable(path, &error);
        // The target of a symbolic link is replaced, not the link.
        let path = path.canonicalize().unwrap_or_else(|_| path.to_owned());
        let old = std::fs::metadata(&path).ok();
        if old.as_ref().is_some_and(|old| !old.is_file()) {
            let file = file::create(&path).map_err(failed)?;
            return Ok(Self { out: Out::Stream(Box::new(file)), terminal: false });
        }
        let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
        let mut builder = tempfile::Builder::new();
        builder.prefix(".starttls-").suffix(".new");
        #[cfg(unix)]
        builder.permissions(mode(0o666));
        let new = builder.tempfile_in(folder.unwrap_or(Path::new("."))).map_err(failed)?;
        if let Some(old) = old {
            new.as_file().set_permissions(old.permissions()).map_err(failed)?;
        }
        Ok(Self { out: Out::Replacing { new, path }, terminal: false })
    }

    /// Ends the output. A temporary file replaces the old one.
    pub(crate) fn finish(self) -> Result<(), Failed> {
        match self.out {
            Out::Stream(_) => Ok(()),
            Out::Replacing { new, path } => {
                new.as_file().sync_all().map_err(|error| unwritable(&path, &error))?;
                new.persist(&path).map(drop).map_err(|error| unwritable(&path, &error.error))
            }
        }
    }

    /// Opens an earlier output and continues after its first `length` octets.
    pub(crate) fn append(path: &Path, length: u64) -> Result<Self, Failed> {
        let opened = File::options().create(true).write(true).truncate(false).open(path);
        let at_end = opened.and_then(|mut file| {
            file.set_len(length)?;
            file.seek(SeekFrom::End(0))?;
            Ok(file)
        });
        let file = at_end.map_err(|error| unwritable(path, &error))?;
        Ok(Self { out: Out::Stream(Box::new(file)), terminal: false })
    }

    /// Writes one line in a single call, so that an interrupted run leaves only whole lines.
    pub(crate) fn line(&mut self, line: &str) -> Result<(), Failed> {
        let line = format!("{line}\n");
        let out = self.out.write();
        out.write_all(line.as_bytes()).and_then(|()| out.flush()).map_err(unwritten)
    }

    /// Writes a report as one line of JSON, without terminal control characters.
    pub(crate) fn json(&mut self, report: &impl Serialize) -> Result<(), Failed> {
        let json =
            serde_json::to_string(report).map_err(|error| Failed::new(exit::BUG, error.to_string()))?;
        self.line(&starttls_report::json(&json))
    }

    /// Writes the bytes of a server unchanged to a file. A terminal gets control characters escaped, because the server
    /// could otherwise control it.
    pub(crate) fn show(&mut self, bytes: &[u8]) -> Result<(), Failed> {
        self.write(bytes).map_err(unwritten)
    }

    fn write(&mut self, bytes: &[u8]) -> std::io::Result<()> {
        let out = self.out.write();
        if self.terminal {
            for &byte in bytes {
                match byte {
                    b'\n' | b'\t' | 0x20..=0x7e => out.write_all(&[byte])?,
                    b'\r' => {}
                    _ => write!(out, "\\x{byte:02x}")?,
                }
            }
        } else {
            out.write_all(bytes)?;
        }
        out.flush()
    }
}

/// Returns the permissions of a new file, which the umask of the process restricts.
#[cfg(unix)]
fn mode(mode: u32) -> std::fs::Permissions {
    use std::os::unix::fs::PermissionsExt;
    std::fs::Permissions::from_mode(mode)
}

fn unwritable(path: &Path, error: &std::io::Error) -> Failed {
    Failed::usage(format!("cannot write {}: {error}", path.display()))
}

fn unwritten(error: std::io::Error) -> Failed {
    match error.kind() {
        // The reader of the output has closed the pipe, as `head` does.
        std::io::ErrorKind::BrokenPipe => Failed::new(exit::DONE, ""),
        _ => Failed::usage(format!("cannot write the output: {error}")),
    }
}
