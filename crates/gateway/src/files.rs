//! Files that a configuration names.

use std::os::unix::fs::MetadataExt;
use std::path::Path;

use starttls_x509::{Bundle, BundleError};

use crate::setup_error::SetupError;

/// The largest certificate, key or list of them that is read.
const LARGEST: u64 = 1 << 20;

/// Reads a small regular file. `what` names the file in errors.
pub(crate) fn read(what: &str, path: &Path) -> Result<Vec<u8>, SetupError> {
    starttls::file::read(path, LARGEST).map_err(|source| SetupError::unreadable(what, path, source))
}

/// Reads a file with certificates or keys, in PEM or DER. `what` names the file in errors.
pub(crate) fn bundle(what: &str, path: &Path) -> Result<Bundle, SetupError> {
    Bundle::read(path.display().to_string(), &read(what, path)?).map_err(SetupError::from)
}

/// Reads a file with certificates or keys, and checks that it contains what is expected.
pub(crate) fn checked<T>(
    what: &str,
    path: &Path,
    expected: impl FnOnce(&Bundle) -> Result<T, BundleError>,
) -> Result<Vec<u8>, SetupError> {
    let content = read(what, path)?;
    let bundle = Bundle::read(path.display().to_string(), &content).map_err(SetupError::from)?;
    expected(&bundle).map_err(SetupError::from)?;
    Ok(content)
}

/// Returns a warning if every user of the machine can read or change this file, which holds a secret.
pub(crate) fn exposure(what: &str, path: &Path) -> Option<String> {
    let exposed = std::fs::metadata(path).is_ok_and(|it| it.mode() & 0o007 != 0);
    let path = path.display();
    exposed.then(|| format!("{what} {path} is accessible to every user: run chmod o-rwx {path}"))
}
