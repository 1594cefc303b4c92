//! Watches files and reloads them when they change, changed symbolic links included.

use std::collections::{HashMap, HashSet};
use std::convert::Infallible;
use std::fmt::{self, Debug};
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc::{UnboundedSender, unbounded_channel};
use tokio::task::{JoinSet, spawn_blocking};

use crate::setup_error::SetupError;

/// How often the files are checked. `stat` of a few files costs microseconds, works on every file system, and needs no
/// queue that can overflow.
const EVERY: Duration = Duration::from_secs(2);

/// How long a check or a reload may take before a warning. A local disk needs milliseconds.
const PATIENCE: Duration = Duration::from_secs(10);

/// A value that is loaded from files and reloaded when they change.
pub trait Watched: Debug + Send + Sync {
    /// Returns the name in the log.
    fn name(&self) -> String;

    /// Returns the files as they are now.
    fn files(&self) -> Vec<PathBuf>;

    /// Returns the states of the files from before they were read first, so that no later change is missed. `None` if it
    /// is enough to notice the changes after the first check.
    fn first_stamps(&self) -> Option<Vec<Stamp>> {
        None
    }

    /// Returns the current warnings. They change with time: a certificate expires.
    fn warnings(&self) -> Vec<String> {
        Vec::new()
    }

    /// Reads all files again. If one is not usable, the values that were read before stay in use.
    ///
    /// # Errors
    /// When a file is not usable.
    fn reload(&self) -> Result<(), SetupError>;
}

/// The result of a check of files.
#[derive(Debug)]
pub enum WatchEvent {
    /// The files were reloaded, because these files have changed.
    Reloaded(Vec<FileChange>),
    /// A changed file is not usable, and the old values stay in use. The files may be in the middle of a change. They are
    /// reloaded when they change again.
    Kept(SetupError),
    /// A new warning.
    Warned(String),
}

/// A change of a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FileChange {
    /// The file is new, or its content has changed.
    Changed(PathBuf),
    /// The file was removed.
    Removed(PathBuf),
}

impl fmt::Display for FileChange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Changed(path) => write!(f, "{}", path.display()),
            Self::Removed(path) => write!(f, "{} (removed)", path.display()),
        }
    }
}

/// How often files are checked, and how long a check or a reload may take before a warning.
#[derive(Clone, Copy, Debug)]
struct Pace {
    every: Duration,
    patience: Duration,
}

/// Reloads each item when its files change, and reports the results to `tell`. Returns only if `all` is empty.
///
/// Files are read on separate threads, and each item is watched by its own task. So a file system that does not answer blocks
/// neither the caller nor the other items.
pub async fn watch(all: Vec<Arc<dyn Watched>>, tell: impl FnMut(WatchEvent)) {
    watch_at(all, tell, Pace { every: EVERY, patience: PATIENCE }).await;
}

async fn watch_at(all: Vec<Arc<dyn Watched>>, mut tell: impl FnMut(WatchEvent), pace: Pace) {
    let (events, mut told) = unbounded_channel();
    let mut tasks = JoinSet::new();
    for (number, watched) in all.into_iter().enumerate() {
        let item = Item { number, watched, events: events.clone(), pace };
        // The task ends when the runtime shuts down.
        tasks.spawn(async move { item.watch().await });
    }
    drop(events);
    let mut warned = Warned::default();
    while let Some((number, event)) = told.recv().await {
        if !matches!(&event, WatchEvent::Warned(warning) if warned.is_known(number, warning)) {
            tell(event);
        }
    }
}

/// The warnings that were reported, each with the items that had it. Listeners may share a file, so several items may have
/// the same warning.
#[derive(Default)]
struct Warned(HashMap<String, HashSet<usize>>);

impl Warned {
    /// Returns whether another item has reported this warning. If an item reports a warning again, the warning had
    /// disappeared in between.
    fn is_known(&mut self, number: usize, warning: &str) -> bool {
        let items = self.0.entry(warning.to_owned()).or_default();
        if !items.insert(number) {
            *items = HashSet::from([number]);
        }
        items.len() > 1
    }
}

/// An item, which is watched by its own task.
struct Item {
    number: usize,
    watched: Arc<dyn Watched>,
    events: UnboundedSender<(usize, WatchEvent)>,
    pace: Pace,
}

impl Item {
    /// Watches until the runtime shuts down.
    async fn watch(&self) -> Option<Infallible> {
        // A file may have changed between its reading and this moment.
        let mut stamps = match self.watched.first_stamps() {
            Some(stamps) => stamps,
            None => self.look().await?,
        };
        let mut known = self.watched.warnings();
        loop {
            tokio::time::sleep(self.pace.every).await;
            // The stamps are taken before the reload, so that a change during the reload is noticed next time.
            let now = self.look().await?;
            if now == stamps {
                self.warn(&mut known);
                continue;
            }
            let changes = changes(&stamps, &now);
            stamps = now;
            match self.apart(|watched| watched.reload()).await? {
                Ok(()) => self.tell(WatchEvent::Reloaded(changes)),
                Err(error) => self.tell(WatchEvent::Kept(error)),
            }
            self.warn(&mut known);
        }
    }

    async fn look(&self) -> Option<Vec<Stamp>> {
        self.apart(|watched| watched.files().into_iter().map(Stamp::of).collect()).await
    }

    /// Runs a blocking step on another thread. A step that takes too long is reported once, and the item waits for it, so that
    /// an item never blocks more than one thread. Returns `None` when the runtime shuts down.
    async fn apart<T: Send + 'static>(
        &self,
        step: impl FnOnce(&dyn Watched) -> T + Send + 'static,
    ) -> Option<T> {
        let watched = self.watched.clone();
        let mut task = spawn_blocking(move || step(&*watched));
        let Ok(done) = tokio::time::timeout(self.pace.patience, &mut task).await else {
            self.tell(WatchEvent::Warned(format!(
                "reading {} has taken more than {} s, and the previous values stay in use: check whether the file \
                 system responds",
                self.watched.name(),
                self.pace.patience.as_secs()
            )));
            return task.await.ok();
        };
        done.ok()
    }

    /// Reports the warnings that are new.
    fn warn(&self, known: &mut Vec<String>) {
        let warnings = self.watched.warnings();
        let new = warnings.iter().filter(|it| !known.contains(it));
        new.for_each(|warning| self.tell(WatchEvent::Warned(warning.clone())));
        *known = warnings;
    }

    fn tell(&self, event: WatchEvent) {
        // The receiver is dropped when the watch ends.
        let _ = self.events.send((self.number, event));
    }
}

/// Returns the differences between two checks.
fn changes(before: &[Stamp], now: &[Stamp]) -> Vec<FileChange> {
    let changed = now.iter().filter(|stamp| stamp.state.is_some() && !before.contains(stamp));
    let there = |path: &PathBuf| now.iter().any(|stamp| stamp.state.is_some() && stamp.path == *path);
    let removed = before.iter().filter(|stamp| stamp.state.is_some() && !there(&stamp.path));
    let changed = changed.map(|stamp| FileChange::Changed(stamp.path.clone()));
    let mut all: Vec<_> =
        changed.chain(removed.map(|stamp| FileChange::Removed(stamp.path.clone()))).collect();
    // The chain and the key may be in the same file.
    all.dedup();
    all
}

/// The state of a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stamp {
    path: PathBuf,
    /// Device, inode, size and time of the last change; `None` if the file does not exist.
    state: Option<(u64, u64, u64, i64, i64)>,
}

impl Stamp {
    pub(crate) fn of(path: PathBuf) -> Self {
        let state = std::fs::metadata(&path).ok();
        let state = state.map(|it| (it.dev(), it.ino(), it.size(), it.mtime(), it.mtime_nsec()));
        Self { path, state }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::sync::mpsc;

    use super::*;

    /// An item whose files cannot be read until the test allows it.
    #[derive(Debug)]
    struct Stuck(Mutex<mpsc::Receiver<()>>);

    impl Watched for Stuck {
        fn name(&self) -> String {
            String::from("the stuck one")
        }

        fn files(&self) -> Vec<PathBuf> {
            let _ = self.0.lock().unwrap().recv();
            Vec::new()
        }

        fn reload(&self) -> Result<(), SetupError> {
            Ok(())
        }
    }

    /// An item whose files change with each check.
    #[derive(Debug, Default)]
    struct Busy(AtomicUsize);

    impl Watched for Busy {
        fn name(&self) -> String {
            String::from("the busy one")
        }

        fn files(&self) -> Vec<PathBuf> {
            vec![self.0.fetch_add(1, Ordering::Relaxed).to_string().into()]
        }

        fn reload(&self) -> Result<(), SetupError> {
            Ok(())
        }
    }

    #[tokio::test]
    async fn what_does_not_end_is_reported_and_does_not_stop_the_others() {
        let (release, stuck) = mpsc::channel();
        let all: Vec<Arc<dyn Watched>> = vec![Arc::new(Stuck(Mutex::new(stuck))), Arc::new(Busy::default())];
        let (events, mut told) = unbounded_channel();
        let pace = Pace { every: Duration::from_millis(10), patience: Duration::from_secs(1) };
        let watching = tokio::spawn(watch_at(all, move |event| drop(events.send(event)), pace));
        let is_expected = |it: &String| it.starts_with("reading the stuck one has taken more than 1 s");
        let (mut reloads, mut warnings) = (0, Vec::new());
        let waiting = async {
            // On a slow machine there may be other warnings.
            while reloads < 3 || !warnings.iter().any(is_expected) {
                match told.recv().await.unwrap() {
                    WatchEvent::Warned(warning) => warnings.push(warning),
                    WatchEvent::Reloaded(_) => reloads += 1,
                    WatchEvent::Kept(error) => panic!("{error}"),
                }
            }
        };
        tokio::time::timeout(Duration::from_secs(60), waiting).await.unwrap();
        watching.abort();
        drop(release);
    }

    #[test]
    fn a_warning_of_several_items_is_logged_once_until_it_returns() {
        let mut warned = Warned::default();
        let told = [(1, "a"), (2, "a"), (2, "b"), (1, "a"), (2, "a"), (1, "b")];
        let new = told.into_iter().filter(|(number, warning)| !warned.is_known(*number, warning));
        assert_eq!(new.collect::<Vec<_>>(), [(1, "a"), (2, "b"), (1, "a")]);
    }

    #[test]
    fn changes_are_named_by_file() {
        let stamp = |path: &str, size: Option<u64>| Stamp {
            path: PathBuf::from(path),
            state: size.map(|size| (1, 2, size, 4, 5)),
        };
        let before =
            [stamp("a.pem", Some(1)), stamp("a.ocsp", None), stamp("b.pem", Some(1)), stamp("c", Some(1))];
        let now = [
            stamp("a.pem", Some(2)),
            stamp("a.ocsp", Some(1)),
            stamp("b.pem", Some(1)),
            stamp("c", None),
            stamp("d.pem", Some(9)),
            stamp("d.pem", Some(9)),
        ];
        let named: Vec<_> = changes(&before, &now).iter().map(ToString::to_string).collect();
        assert_eq!(named, ["a.pem", "a.ocsp", "d.pem", "c (removed)"]);
        assert_eq!(changes(&now, &now), []);
        assert_eq!(changes(&before, &[]).len(), 3);
    }
}
