//! Files that change on disk while they are in use, also by a symbolic link that now leads elsewhere.

use std::fmt::Debug;
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use crate::config::Error;

/// How often to look. Asking for a few inodes costs microseconds, works on every file system, and has
/// no queue that can overflow.
const EVERY: Duration = Duration::from_secs(2);

/// What is made of files, and made anew when they change.
pub trait Watched: Debug + Send + Sync {
    /// The files as they are now.
    fn files(&self) -> Vec<PathBuf>;

    /// What works, and should not stay as it is: at this moment, since time does its work too.
    fn warnings(&self) -> Vec<String> {
        Vec::new()
    }

    /// Reads them all anew; what was read before stays in use if one of them is not usable.
    ///
    /// # Errors
    /// What is wrong with them.
    fn reload(&self) -> Result<(), Error>;
}

/// What came of a look at files that had changed.
#[derive(Debug)]
pub enum Event {
    /// What is in them is in use.
    Reloaded(Arc<dyn Watched>),
    /// It is not usable, and the old stays in use. The files may be in the middle of a change: they are
    /// looked at again when they change again.
    Kept(Error),
    /// Something works, and should not stay as it is; it was not so before.
    Warned(String),
}

/// Reads everything anew whose files change. Never ends by itself.
pub async fn watch(all: Vec<Arc<dyn Watched>>, mut tell: impl FnMut(Event)) {
    let warnings = || all.iter().flat_map(|it| it.warnings()).collect::<Vec<_>>();
    let (mut stamps, mut known) = (look(&all).await, warnings());
    loop {
        tokio::time::sleep(EVERY).await;
        // Looked at before they are read: what changes meanwhile is seen the next time.
        let now = look(&all).await;
        for (watched, _) in all.iter().zip(stamps.iter().zip(&now)).filter(|(_, (old, new))| old != new) {
            let reading = watched.clone();
            match tokio::task::spawn_blocking(move || reading.reload()).await {
                Ok(Ok(())) => tell(Event::Reloaded(watched.clone())),
                Ok(Err(error)) => tell(Event::Kept(error)),
                // The runtime is shutting down.
                Err(_) => return,
            }
        }
        stamps = now;
        let warnings = warnings();
        warnings.iter().filter(|it| !known.contains(it)).for_each(|it| tell(Event::Warned(it.clone())));
        known = warnings;
    }
}

async fn look(all: &[Arc<dyn Watched>]) -> Vec<Vec<Stamp>> {
    let looking = all.to_vec();
    let look = move || looking.iter().map(|it| it.files().into_iter().map(Stamp::of).collect()).collect();
    tokio::task::spawn_blocking(look).await.unwrap_or_default()
}

/// What tells one state of a file from another.
#[derive(Debug, PartialEq, Eq)]
struct Stamp {
    path: PathBuf,
    /// Device, inode, size, time of the last change; nothing if there is no such file.
    state: Option<(u64, u64, u64, i64, i64)>,
}

impl Stamp {
    fn of(path: PathBuf) -> Self {
        let state = std::fs::metadata(&path).ok();
        let state = state.map(|it| (it.dev(), it.ino(), it.size(), it.mtime(), it.mtime_nsec()));
        Self { path, state }
    }
}
