//! Certificates that changed on disk, also by a symbolic link that now leads elsewhere.

use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use super::{Certificates, load};
use crate::config::Error;

/// How often to look. Asking for a few inodes costs microseconds, works on every file system, and has
/// no queue that can overflow.
const EVERY: Duration = Duration::from_secs(2);

/// What came of a look at files that had changed.
#[derive(Debug)]
pub enum Event {
    /// The new certificates are in use.
    Reloaded(Vec<PathBuf>),
    /// They are not usable, and the old ones stay in use. The files may be in the middle of a change:
    /// they are looked at again when they change again.
    Kept(Error),
}

/// Reads certificates anew whenever their files change. Ends never.
pub async fn watch(all: Vec<Arc<Certificates>>, mut tell: impl FnMut(Event)) {
    let mut stamps: Vec<_> = look(&all).await;
    loop {
        tokio::time::sleep(EVERY).await;
        // Looked at before they are read: what changes meanwhile is seen the next time.
        let now = look(&all).await;
        for (certificates, _) in all.iter().zip(stamps.iter().zip(&now)).filter(|(_, (old, new))| old != new)
        {
            let reading = certificates.clone();
            let read = tokio::task::spawn_blocking(move || reading.reload()).await;
            match read {
                Ok(Ok(())) => tell(Event::Reloaded(certificates.paths())),
                Ok(Err(error)) => tell(Event::Kept(error)),
                // The runtime is shutting down.
                Err(_) => return,
            }
        }
        stamps = now;
    }
}

async fn look(all: &[Arc<Certificates>]) -> Vec<Vec<Stamp>> {
    let looking = all.to_vec();
    let stamps = tokio::task::spawn_blocking(move || looking.iter().map(|it| it.stamps()).collect());
    stamps.await.unwrap_or_default()
}

/// What tells one state of a file from another.
#[derive(Debug, PartialEq, Eq)]
struct Stamp {
    path: PathBuf,
    /// Device, inode, size, time of the last change; nothing if there is no such file.
    state: Option<(u64, u64, u64, i64, i64)>,
}

impl Certificates {
    fn stamps(&self) -> Vec<Stamp> {
        // A folder that is away for a moment has no files in it.
        let files = load::find_all(&self.sources).unwrap_or_default();
        let paths = files.into_iter().flat_map(|files| [files.ocsp(), files.chain, files.key]);
        paths
            .map(|path| {
                let state = std::fs::metadata(&path).ok();
                let state = state.map(|it| (it.dev(), it.ino(), it.size(), it.mtime(), it.mtime_nsec()));
                Stamp { path, state }
            })
            .collect()
    }

    fn paths(&self) -> Vec<PathBuf> {
        self.index().all().iter().map(|it| it.summary().path).collect()
    }
}
