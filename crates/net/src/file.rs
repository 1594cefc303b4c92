//! Files that a user names, for reading and for writing. A read has a size limit, and no call waits for a file that never
//! begins or never ends.
//!
//! A path may lead to a FIFO without a writer, to a device without an end, or to a directory. [`read`], [`open`] and
//! [`append`] look at the type first and open without blocking, so that none of these stops the program.
//! [`read_input`] and [`create`] also take pipes and terminals, for commands that a person runs.

use std::fs::{File, FileType, Metadata, OpenOptions};
use std::io::{self, ErrorKind, Read};
use std::path::Path;
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

/// Reads a regular file of at most `limit` octets. Symbolic links are followed.
///
/// This is for a program that reads its files again while it runs: a pipe can be read only once.
///
/// # Errors
/// If the file is missing, is not readable, is not a regular file, or is larger than `limit`.
pub fn read(path: &Path, limit: u64) -> io::Result<Vec<u8>> {
    let file = open(path)?;
    // Files in /proc have the length 0 for any content, so the read has a limit too.
    if file.metadata()?.len() > limit {
        return Err(too_large(limit));
    }
    read_bounded(file, limit)
}

/// Opens a regular file for reading.
///
/// # Errors
/// As for [`read`].
pub fn open(path: &Path) -> io::Result<File> {
    // Opening a device can have side effects, so the type is checked first.
    expect_regular(&std::fs::metadata(path)?)?;
    let file = without_blocking(OpenOptions::new().read(true)).open(path)?;
    // The path may have changed in between.
    expect_regular(&file.metadata()?)?;
    Ok(file)
}

/// Opens a regular file for appending, and creates it with these permissions (as for `chmod`) if it does not exist.
///
/// # Errors
/// If the path leads to something else than a regular file, or the file cannot be opened for writing.
pub fn append(path: &Path, permissions: u32) -> io::Result<File> {
    match std::fs::metadata(path) {
        Ok(metadata) => expect_regular(&metadata)?,
        Err(error) if error.kind() == ErrorKind::NotFound => {}
        Err(error) => return Err(error),
    }
    let mut options = OpenOptions::new();
    options.create(true).append(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, permissions);
    #[cfg(not(unix))]
    let _ = permissions;
    let file = without_blocking(&mut options).open(path)?;
    expect_regular(&file.metadata()?)?;
    Ok(file)
}

/// Opens a file for writing from its start, and creates it if it does not exist.
///
/// The path may also lead to a terminal, or to a pipe that a program reads, such as `/dev/stderr`.
///
/// # Errors
/// If the path leads to a directory, a socket, a block device, or a FIFO without a reader, or the file cannot be
/// opened for writing.
pub fn create(path: &Path) -> io::Result<File> {
    match std::fs::metadata(path) {
        Ok(metadata) if is_stream(metadata.file_type()) => return open_stream(path, metadata.file_type()),
        Ok(metadata) => expect_regular(&metadata)?,
        Err(error) if error.kind() == ErrorKind::NotFound => {}
        Err(error) => return Err(error),
    }
    let file = without_blocking(OpenOptions::new().create(true).write(true).truncate(true)).open(path)?;
    expect_regular(&file.metadata()?)?;
    Ok(file)
}

#[cfg(unix)]
fn open_stream(path: &Path, kind: FileType) -> io::Result<File> {
    use nix::fcntl::{FcntlArg, OFlag, fcntl};
    use std::os::unix::fs::FileTypeExt;
    if !kind.is_fifo() {
        return without_blocking(OpenOptions::new().write(true)).open(path);
    }
    let file = open_fifo(path)?;
    // Only the opening must not wait. A slow reader slows the writer down, as in any pipeline.
    fcntl(&file, FcntlArg::F_SETFL(OFlag::empty()))?;
    Ok(file)
}

#[cfg(not(unix))]
fn open_stream(path: &Path, _: FileType) -> io::Result<File> {
    OpenOptions::new().write(true).open(path)
}

/// Opens a FIFO for writing that a program has opened for reading.
///
/// The file does not block: while the pipe is full, writing fails with [`ErrorKind::WouldBlock`].
///
/// # Errors
/// If the path does not lead to a FIFO, or no program reads from it.
#[cfg(unix)]
pub fn open_fifo(path: &Path) -> io::Result<File> {
    use std::os::unix::fs::FileTypeExt;
    let kind = std::fs::metadata(path)?.file_type();
    if !kind.is_fifo() {
        let what = format!("expected a pipe (FIFO), found {}", describe(kind));
        return Err(io::Error::new(ErrorKind::InvalidInput, what));
    }
    without_blocking(OpenOptions::new().write(true)).open(path).map_err(|error| match error.raw_os_error() {
        Some(code) if code == nix::errno::Errno::ENXIO as i32 => io::Error::new(
            ErrorKind::NotConnected,
            "expected a pipe (FIFO) that a program reads, found no reader",
        ),
        _ => error,
    })
}

/// Reads a file of at most `limit` octets that may also be a pipe or a terminal: `/dev/stdin`, a named FIFO, or the
/// `/dev/fd/63` of a shell's `<(command)`. The writer has to close it within `wait`.
///
/// This is for a command that reads its input once.
///
/// # Errors
/// As for [`read`]; [`ErrorKind::TimedOut`] if the end did not arrive within `wait`.
pub fn read_input(path: &Path, limit: u64, wait: Duration) -> io::Result<Vec<u8>> {
    let metadata = std::fs::metadata(path)?;
    if !is_stream(metadata.file_type()) {
        return read(path, limit);
    }
    let (sender, receiver) = mpsc::sync_channel(1);
    let (path, found) = (path.to_owned(), describe(metadata.file_type()));
    // Opening a FIFO waits for its writer, and reading for the data. A thread that is still waiting at the deadline is
    // abandoned; it does not keep the process alive.
    thread::Builder::new().name(String::from("input")).spawn(move || {
        let read = File::open(path).and_then(|file| read_bounded(file, limit));
        // After the deadline nothing receives the result.
        let _ = sender.send(read);
    })?;
    receiver.recv_timeout(wait).unwrap_or_else(|_| {
        let what = format!("expected the end of {found} within {} s, found none", wait.as_secs());
        Err(io::Error::new(ErrorKind::TimedOut, what))
    })
}

fn read_bounded(file: File, limit: u64) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    file.take(limit.saturating_add(1)).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > limit { Err(too_large(limit)) } else { Ok(bytes) }
}

fn too_large(limit: u64) -> io::Error {
    let limit = match limit {
        mib if mib > 0 && mib % (1 << 20) == 0 => format!("{} MiB", mib >> 20),
        kib if kib > 0 && kib % (1 << 10) == 0 => format!("{} KiB", kib >> 10),
        octets => format!("{octets} octets"),
    };
    io::Error::new(ErrorKind::FileTooLarge, format!("expected at most {limit}, found more"))
}

fn expect_regular(metadata: &Metadata) -> io::Result<()> {
    if metadata.is_file() {
        return Ok(());
    }
    let found = describe(metadata.file_type());
    Err(io::Error::new(ErrorKind::InvalidInput, format!("expected a regular file, found {found}")))
}

/// With this flag, opening a FIFO does not wait for its other end. Reading a regular file is not affected.
#[cfg(unix)]
fn without_blocking(options: &mut OpenOptions) -> &OpenOptions {
    use nix::fcntl::OFlag;
    std::os::unix::fs::OpenOptionsExt::custom_flags(options, (OFlag::O_NONBLOCK | OFlag::O_NOCTTY).bits())
}

#[cfg(not(unix))]
fn without_blocking(options: &mut OpenOptions) -> &OpenOptions {
    options
}

#[cfg(unix)]
fn is_stream(kind: FileType) -> bool {
    use std::os::unix::fs::FileTypeExt;
    kind.is_fifo() || kind.is_char_device()
}

#[cfg(not(unix))]
fn is_stream(_: FileType) -> bool {
    false
}

/// What the path leads to, with its article.
fn describe(kind: FileType) -> &'static str {
    #[cfg(unix)]
    {
        use std::os::unix::fs::FileTypeExt;
        match kind {
            fifo if fifo.is_fifo() => return "a pipe (FIFO)",
            socket if socket.is_socket() => return "a socket",
            device if device.is_char_device() => return "a character device",
            device if device.is_block_device() => return "a block device",
            _ => {}
        }
    }
    match kind {
        file if file.is_file() => "a regular file",
        folder if folder.is_dir() => "a directory",
        _ => "a special file",
    }
}
