//! Reads files once, with limits for the size and the time.
//!
//! A file may be a pipe, such as `/dev/stdin` or the `<(command)` of a shell, if its writer closes it in time.

use std::io::Read;
use std::path::Path;
use std::time::Duration;

use starttls::file;

use crate::error::Failed;

/// The largest certificate, key or list of roots, in octets: the roots of a system have 250 KiB.
pub(crate) const PEM: u64 = 16 << 20;
/// The largest secret.
pub(crate) const SECRET: u64 = 64 << 10;
/// The largest body or attachment of a message.
pub(crate) const MESSAGE: u64 = 128 << 20;

/// The largest report of an earlier run.
pub(crate) const REPORT: u64 = 1 << 30;

/// The time that the writer of a pipe has. Programs that prompt for a passphrase are slow.
const WAIT: Duration = Duration::from_secs(60);

/// Reads a file, or a pipe.
pub(crate) fn read(path: &Path, limit: u64) -> Result<Vec<u8>, Failed> {
    file::read_input(path, limit, WAIT).map_err(|error| unreadable(path, &error))
}

/// Reads a file, a pipe, or with `-` standard input.
pub(crate) fn read_or_stdin(path: &Path, limit: u64) -> Result<Vec<u8>, Failed> {
    if path.as_os_str() != "-" {
        return read(path, limit);
    }
    let mut bytes = Vec::new();
    let input = std::io::stdin().lock().take(limit.saturating_add(1)).read_to_end(&mut bytes);
    input.map_err(|error| unreadable(path, &error))?;
    if bytes.len() as u64 > limit {
        return Err(Failed::usage(format!("standard input is larger than {} MiB", limit >> 20)));
    }
    Ok(bytes)
}

pub(crate) fn unreadable(path: &Path, error: &std::io::Error) -> Failed {
    Failed::usage(format!("cannot read {}: {error}", path.display()))
}
