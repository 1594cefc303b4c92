//! Temporary folders and files that programs of other users can read.

use std::fs;
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::PathBuf;

use tempfile::TempDir;

use crate::error::Error;

/// Creates a temporary folder that every user can read. It is removed on drop.
///
/// # Errors
/// Returns an error if the folder cannot be created.
pub fn readable_folder() -> Result<TempDir, Error> {
    let folder = tempfile::Builder::new()
        .prefix("starttls-lab-")
        .permissions(fs::Permissions::from_mode(0o755))
        .tempdir()
        .map_err(Error::io("a scratch folder"))?;
    // The umask limits the mode at creation.
    fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755))
        .map_err(Error::at(folder.path()))?;
    Ok(folder)
}

/// Writes a file that never has a wider mode than `mode`, and returns its path.
///
/// # Errors
/// Returns an error if the file cannot be written.
pub fn write(path: PathBuf, text: &str, mode: u32) -> Result<PathBuf, Error> {
    use std::io::Write;
    let mut file = fs::OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(mode)
        .open(&path)
        .map_err(Error::at(&path))?;
    // The umask limits the mode at creation.
    file.set_permissions(fs::Permissions::from_mode(mode)).map_err(Error::at(&path))?;
    file.write_all(text.as_bytes()).map_err(Error::at(&path))?;
    Ok(path)
}
