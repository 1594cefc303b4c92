//! Finished runs, in one file.

use std::fs::File;
use std::io::{Read, Write};
use std::path::Path;
use std::sync::{PoisonError, RwLock};

use flate2::Compression;
use flate2::read::ZlibDecoder;
use flate2::write::ZlibEncoder;
use redb::backends::{FileBackend, InMemoryBackend};
use redb::{
    CommitError, Database, ReadableDatabase, ReadableTable, StorageBackend, StorageError, TableDefinition,
    TableError, TransactionError,
};
use serde::{Deserialize, Serialize};
use starttls_audit::report::{AuditReport, EndpointVerdict};

use crate::bulk::{Bulk, BulkItem};
use crate::verdict::overall;

/// Runs by id: compressed JSON.
const RUNS: TableDefinition<'_, &str, &[u8]> = TableDefinition::new("runs");
/// Summaries by target, the newest first: the key has the time before `u64::MAX`.
const HISTORY: TableDefinition<'_, (&str, u64, &str), &[u8]> = TableDefinition::new("history");
/// Targets by time and id, to delete old runs.
const TIMES: TableDefinition<'_, (u64, &str), &str> = TableDefinition::new("times");

/// Bulks by id.
const BULKS: TableDefinition<'_, &str, &[u8]> = TableDefinition::new("bulks");
/// The targets of bulks, by the id of the bulk and their index.
const BULK_ITEMS: TableDefinition<'_, (&str, u32), &[u8]> = TableDefinition::new("bulk-items");

/// The most runs that are read to find a finished one.
const MAX_UNFINISHED: usize = 100;
/// The largest run, decompressed. A larger one is an error of the file.
const MAX_RUN: u64 = 64 << 20;

/// How a run ended.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum RunEnd {
    /// Its audit was finished.
    #[default]
    Finished,
    /// A visitor stopped it.
    Stopped,
    /// No server was audited, because its budget was used up.
    Postponed,
    /// The service ended before it did. A run is stored like this when it starts, so that a crash leaves it so.
    BrokenOff,
}

/// A run. It contains all texts as they were, so that a later version of the program does not change the page.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct StoredRun {
    /// The id.
    pub id: String,
    /// The target in its canonical form.
    pub target: String,
    /// The start, in seconds since 1970.
    pub started: u64,
    /// How it ended.
    #[serde(default)]
    pub end: RunEnd,
    /// The name of the holder whose key started it.
    #[serde(default)]
    pub holder: Option<String>,
    /// The report.
    pub report: AuditReport,
}

/// A run in the history of a target.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RunSummary {
    /// The id.
    pub id: String,
    /// The start: RFC 3339, UTC.
    pub started_at: String,
    /// The start, in seconds since 1970.
    pub started: u64,
    /// How it ended.
    #[serde(default)]
    pub end: RunEnd,
    /// The extent of its audit.
    #[serde(default)]
    pub preset: String,
    /// The worst verdict of its endpoints.
    pub verdict: EndpointVerdict,
    /// The program and its version.
    pub generator: String,
}

/// Why the file cannot be used.
#[derive(Debug)]
pub struct RunStoreError(Box<dyn std::error::Error + Send + Sync>);

impl std::fmt::Display for RunStoreError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "the file of reports cannot be used: {}", self.0)
    }
}

impl std::error::Error for RunStoreError {}

impl RunStoreError {
    /// Returns whether the database has refused to act, because an earlier act has failed.
    fn is_of_earlier_failure(&self) -> bool {
        let error = self.0.as_ref();
        let storage = match (error.downcast_ref(), error.downcast_ref(), error.downcast_ref()) {
            (Some(TransactionError::Storage(error)), ..)
            | (_, Some(TableError::Storage(error)), _)
            | (.., Some(CommitError::Storage(error))) => Some(error),
            _ => error.downcast_ref(),
        };
        matches!(storage, Some(StorageError::PreviousIo))
    }
}

/// Converts the errors of the database.
fn broken(error: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> RunStoreError {
    RunStoreError(error.into())
}

/// The file of runs. A run is in it as a whole or not at all, also after a crash.
pub struct RunStore {
    /// `None` if it could not be opened again.
    database: RwLock<Option<Database>>,
    open: OpenDatabase,
}

/// Opens the database.
type OpenDatabase = Box<dyn Fn() -> Result<Database, RunStoreError> + Send + Sync>;

impl std::fmt::Debug for RunStore {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("RunStore").field("database", &self.database).finish_non_exhaustive()
    }
}

fn on_backend(backend: impl StorageBackend) -> Result<Database, RunStoreError> {
    Database::builder().create_with_backend(backend).map_err(broken)
}

impl RunStore {
    /// Opens a file, or creates it.
    ///
    /// # Errors
    /// [`RunStoreError`] if the file is not a file of runs, or if another program has opened it.
    pub fn open(path: &Path) -> Result<Self, RunStoreError> {
        let file = File::options().read(true).write(true).create(true).truncate(false).open(path);
        let file = file.map_err(broken)?;
        // A confined service may open no file later on.
        Self::new(Box::new(move || {
            let file = file.try_clone().map_err(broken)?;
            on_backend(FileBackend::new(file).map_err(broken)?)
        }))
    }

    /// Returns a store that forgets everything when it is dropped.
    ///
    /// # Errors
    /// [`RunStoreError`] if there is not enough memory.
    pub fn in_memory() -> Result<Self, RunStoreError> {
        Self::new(Box::new(|| on_backend(InMemoryBackend::new())))
    }

    fn new(open: OpenDatabase) -> Result<Self, RunStoreError> {
        let database = open()?;
        let write = database.begin_write().map_err(broken)?;
        write.open_table(RUNS).map_err(broken)?;
        write.open_table(HISTORY).map_err(broken)?;
        write.open_table(TIMES).map_err(broken)?;
        write.open_table(BULKS).map_err(broken)?;
        write.open_table(BULK_ITEMS).map_err(broken)?;
        write.commit().map_err(broken)?;
        Ok(Self { database: RwLock::new(Some(database)), open })
    }

    /// Does something with the database. After an error of the disk, for example because it is full, the database refuses
    /// everything until it is opened again.
    fn attempt<T>(&self, act: impl Fn(&Database) -> Result<T, RunStoreError>) -> Result<T, RunStoreError> {
        if let Some(database) = &*self.database.read().unwrap_or_else(PoisonError::into_inner) {
            match act(database) {
                Err(error) if error.is_of_earlier_failure() => {}
                result => return result,
            }
        }
        let mut database = self.database.write().unwrap_or_else(PoisonError::into_inner);
        // The lock of the file ends first.
        *database = None;
        act(database.insert((self.open)()?))
    }

    /// Adds a run, or replaces the one with the same id, target and start.
    ///
    /// # Errors
    /// [`RunStoreError`] if it cannot be written.
    pub fn put(&self, run: &StoredRun) -> Result<(), RunStoreError> {
        let preset = run.report.options.iter().find_map(|option| option.strip_prefix("preset="));
        let summary = RunSummary {
            id: run.id.clone(),
            started_at: run.report.started_at.clone(),
            started: run.started,
            end: run.end,
            preset: preset.unwrap_or_default().to_owned(),
            verdict: overall(&run.report),
            generator: run.report.generator.clone(),
        };
        let (bytes, summary) = (packed(run)?, serde_json::to_vec(&summary).map_err(broken)?);
        self.attempt(|database| {
            let write = database.begin_write().map_err(broken)?;
            {
                let (id, target) = (run.id.as_str(), run.target.as_str());
                write.open_table(RUNS).map_err(broken)?.insert(id, bytes.as_slice()).map_err(broken)?;
                let key = (target, u64::MAX - run.started, id);
                write.open_table(HISTORY).map_err(broken)?.insert(key, summary.as_slice()).map_err(broken)?;
                write.open_table(TIMES).map_err(broken)?.insert((run.started, id), target).map_err(broken)?;
            }
            write.commit().map_err(broken)
        })
    }

    /// Returns the run with this id.
    ///
    /// # Errors
    /// [`RunStoreError`] if the file cannot be read.
    pub fn get(&self, id: &str) -> Result<Option<StoredRun>, RunStoreError> {
        self.attempt(|database| {
            let read = database.begin_read().map_err(broken)?;
            let table = read.open_table(RUNS).map_err(broken)?;
            let Some(value) = table.get(id).map_err(broken)? else { return Ok(None) };
            unpacked(value.value()).map(Some)
        })
    }

    /// Returns the latest runs of a target, the newest first.
    ///
    /// # Errors
    /// [`RunStoreError`] if the file cannot be read.
    pub fn history(&self, target: &str, most: usize) -> Result<Vec<RunSummary>, RunStoreError> {
        self.attempt(|database| {
            let read = database.begin_read().map_err(broken)?;
            let table = read.open_table(HISTORY).map_err(broken)?;
            let mut runs = Vec::new();
            for entry in
                table.range((target, 0, "")..=(target, u64::MAX, "\u{ff}")).map_err(broken)?.take(most)
            {
                let (_, value) = entry.map_err(broken)?;
                runs.push(serde_json::from_slice(value.value()).map_err(broken)?);
            }
            Ok(runs)
        })
    }

    /// Returns the newest run of a target whose audit was finished.
    ///
    /// # Errors
    /// [`RunStoreError`] if the file cannot be read.
    pub fn newest(&self, target: &str) -> Result<Option<RunSummary>, RunStoreError> {
        let runs = self.history(target, MAX_UNFINISHED)?;
        Ok(runs.into_iter().find(|run| run.end == RunEnd::Finished))
    }

    /// Deletes a run. Returns whether it existed.
    ///
    /// # Errors
    /// [`RunStoreError`] if the file cannot be written.
    pub fn delete(&self, id: &str) -> Result<bool, RunStoreError> {
        let Some(run) = self.get(id)? else { return Ok(false) };
        self.remove(&[(run.started, run.id, run.target)])?;
        Ok(true)
    }

    /// Keeps a run until it is deleted by its id.
    ///
    /// # Errors
    /// [`RunStoreError`] if the file cannot be written.
    pub fn pin(&self, run: &StoredRun) -> Result<(), RunStoreError> {
        self.attempt(|database| {
            let write = database.begin_write().map_err(broken)?;
            // Old runs are found there.
            let key = (run.started, run.id.as_str());
            write.open_table(TIMES).map_err(broken)?.remove(key).map_err(broken)?;
            write.commit().map_err(broken)
        })
    }

    /// Deletes the runs that started before this time, in seconds since 1970. Returns their number.
    ///
    /// # Errors
    /// [`RunStoreError`] if the file cannot be written.
    pub fn delete_before(&self, time: u64) -> Result<usize, RunStoreError> {
        let old: Vec<(u64, String, String)> = self.attempt(|database| {
            let read = database.begin_read().map_err(broken)?;
            let table = read.open_table(TIMES).map_err(broken)?;
            let entries = table.range(..(time, "")).map_err(broken)?;
            let owned = |entry: Result<_, redb::StorageError>| {
                let (key, target): (redb::AccessGuard<'_, (u64, &str)>, redb::AccessGuard<'_, &str>) =
                    entry.map_err(broken)?;
                let (started, id) = key.value();
                Ok((started, id.to_owned(), target.value().to_owned()))
            };
            entries.map(owned).collect()
        })?;
        self.remove(&old)?;
        self.delete_bulks_before(time)?;
        Ok(old.len())
    }

    /// Adds a bulk with its targets.
    ///
    /// # Errors
    /// [`RunStoreError`] if the file cannot be written.
    pub fn put_bulk(&self, bulk: &Bulk, items: &[BulkItem]) -> Result<(), RunStoreError> {
        self.attempt(|database| {
            let write = database.begin_write().map_err(broken)?;
            {
                let value = serde_json::to_vec(bulk).map_err(broken)?;
                let id = bulk.id.as_str();
                write.open_table(BULKS).map_err(broken)?.insert(id, value.as_slice()).map_err(broken)?;
                let mut table = write.open_table(BULK_ITEMS).map_err(broken)?;
                for (index, item) in (0..).zip(items) {
                    let value = serde_json::to_vec(item).map_err(broken)?;
                    table.insert((id, index), value.as_slice()).map_err(broken)?;
                }
            }
            write.commit().map_err(broken)
        })
    }

    /// Replaces a target of a bulk.
    ///
    /// # Errors
    /// [`RunStoreError`] if the file cannot be written.
    pub fn put_bulk_item(&self, id: &str, index: u32, item: &BulkItem) -> Result<(), RunStoreError> {
        self.attempt(|database| {
            let write = database.begin_write().map_err(broken)?;
            let value = serde_json::to_vec(item).map_err(broken)?;
            let key = (id, index);
            write.open_table(BULK_ITEMS).map_err(broken)?.insert(key, value.as_slice()).map_err(broken)?;
            write.commit().map_err(broken)
        })
    }

    /// Returns the bulk with this id, and its targets.
    ///
    /// # Errors
    /// [`RunStoreError`] if the file cannot be read.
    pub fn bulk(&self, id: &str) -> Result<Option<(Bulk, Vec<BulkItem>)>, RunStoreError> {
        self.attempt(|database| {
            let read = database.begin_read().map_err(broken)?;
            let table = read.open_table(BULKS).map_err(broken)?;
            let Some(value) = table.get(id).map_err(broken)? else { return Ok(None) };
            let bulk = serde_json::from_slice(value.value()).map_err(broken)?;
            let table = read.open_table(BULK_ITEMS).map_err(broken)?;
            let mut items = Vec::new();
            for entry in table.range((id, 0)..=(id, u32::MAX)).map_err(broken)? {
                items.push(serde_json::from_slice(entry.map_err(broken)?.1.value()).map_err(broken)?);
            }
            Ok(Some((bulk, items)))
        })
    }

    fn delete_bulks_before(&self, time: u64) -> Result<(), RunStoreError> {
        self.attempt(|database| {
            let mut old: Vec<Bulk> = Vec::new();
            let read = database.begin_read().map_err(broken)?;
            for entry in read.open_table(BULKS).map_err(broken)?.iter().map_err(broken)? {
                old.push(serde_json::from_slice(entry.map_err(broken)?.1.value()).map_err(broken)?);
            }
            old.retain(|bulk| bulk.started < time);
            if old.is_empty() {
                return Ok(());
            }
            let write = database.begin_write().map_err(broken)?;
            for Bulk { id, .. } in &old {
                let id = id.as_str();
                write.open_table(BULKS).map_err(broken)?.remove(id).map_err(broken)?;
                let mut items = write.open_table(BULK_ITEMS).map_err(broken)?;
                items.retain_in((id, 0)..=(id, u32::MAX), |_, _| false).map_err(broken)?;
            }
            write.commit().map_err(broken)
        })
    }

    fn remove(&self, runs: &[(u64, String, String)]) -> Result<(), RunStoreError> {
        self.attempt(|database| {
            let write = database.begin_write().map_err(broken)?;
            for (started, id, target) in runs {
                write.open_table(RUNS).map_err(broken)?.remove(id.as_str()).map_err(broken)?;
                let key = (target.as_str(), u64::MAX - started, id.as_str());
                write.open_table(HISTORY).map_err(broken)?.remove(key).map_err(broken)?;
                write.open_table(TIMES).map_err(broken)?.remove((*started, id.as_str())).map_err(broken)?;
            }
            write.commit().map_err(broken)
        })
    }
}

fn packed(run: &StoredRun) -> Result<Vec<u8>, RunStoreError> {
    let mut encoder = ZlibEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(&serde_json::to_vec(run).map_err(broken)?).map_err(broken)?;
    encoder.finish().map_err(broken)
}

fn unpacked(bytes: &[u8]) -> Result<StoredRun, RunStoreError> {
    let mut text = Vec::new();
    ZlibDecoder::new(bytes).take(MAX_RUN).read_to_end(&mut text).map_err(broken)?;
    serde_json::from_slice(&text).map_err(broken)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicBool, Ordering};

    use super::*;

    fn run(id: &str, target: &str, started: u64) -> StoredRun {
        let report = AuditReport::new(String::from("starttls 0.0.0"), Vec::new());
        let (end, holder) = (RunEnd::Finished, None);
        StoredRun { id: id.to_owned(), target: target.to_owned(), started, end, holder, report }
    }

    #[test]
    fn runs_are_found_by_id_and_by_target() {
        let store = RunStore::in_memory().unwrap();
        for (id, target, started) in
            [("a", "x.example", 10), ("b", "x.example", 20), ("c", "x.example.org", 15)]
        {
            store.put(&run(id, target, started)).unwrap();
        }
        assert_eq!(
            store.get("b").unwrap(),
            Some(run("b", "x.example", 20))
                .map(|it| StoredRun { report: store.get("b").unwrap().unwrap().report, ..it })
        );
        assert!(store.get("d").unwrap().is_none());
        let ids = |target: &str, most| {
            let runs = store.history(target, most).unwrap();
            runs.into_iter().map(|run| run.id).collect::<Vec<_>>()
        };
        assert_eq!(ids("x.example", 9), ["b", "a"]);
        assert_eq!(ids("x.example", 1), ["b"]);
        assert_eq!(ids("x", 9), Vec::<String>::new());
        let pinned = run("p", "pinned.example", 1);
        store.put(&pinned).unwrap();
        store.pin(&pinned).unwrap();
        assert!(store.delete("b").unwrap() && !store.delete("b").unwrap());
        assert_eq!(ids("x.example", 9), ["a"]);
        assert_eq!(store.delete_before(15).unwrap(), 1);
        assert_eq!((ids("x.example", 9), ids("x.example.org", 9)), (vec![], vec![String::from("c")]));
        assert_eq!(ids("pinned.example", 9), ["p"]);
        assert!(store.delete("p").unwrap() && store.get("p").unwrap().is_none());
    }

    /// The first files had neither ends nor holders.
    #[test]
    fn a_run_of_an_older_version_is_read() {
        let mut old = serde_json::to_value(run("a", "x.example", 10)).unwrap();
        let fields = old.as_object_mut().unwrap();
        assert!(fields.remove("end").is_some() && fields.remove("holder").is_some());
        fields.insert(String::from("is_stopped"), false.into());
        let read: StoredRun = serde_json::from_value(old).unwrap();
        assert_eq!((read.end, read.holder, read.started), (RunEnd::Finished, None, 10));
        let summary = r#"{"id":"a","started_at":"","started":10,"verdict":"sound","generator":""}"#;
        let read: RunSummary = serde_json::from_str(summary).unwrap();
        assert_eq!((read.end, read.preset.as_str()), (RunEnd::Finished, ""));
    }

    #[test]
    fn a_run_is_replaced_when_it_ends() {
        let store = RunStore::in_memory().unwrap();
        store.put(&run("a", "x.example", 10)).unwrap();
        store.put(&StoredRun { end: RunEnd::BrokenOff, ..run("b", "x.example", 20) }).unwrap();
        assert_eq!(store.newest("x.example").unwrap().unwrap().id, "a");
        store.put(&run("b", "x.example", 20)).unwrap();
        assert_eq!(store.newest("x.example").unwrap().unwrap().id, "b");
        assert_eq!(store.history("x.example", 9).unwrap().len(), 2);
    }

    /// A file on a disk that can be full.
    #[derive(Debug)]
    struct Disk {
        file: FileBackend,
        is_full: Arc<AtomicBool>,
    }

    impl Disk {
        fn space(&self) -> Result<(), std::io::Error> {
            match self.is_full.load(Ordering::Relaxed) {
                true => Err(std::io::ErrorKind::StorageFull.into()),
                false => Ok(()),
            }
        }
    }

    impl StorageBackend for Disk {
        fn len(&self) -> Result<u64, std::io::Error> {
            self.file.len()
        }
        fn read(&self, offset: u64, out: &mut [u8]) -> Result<(), std::io::Error> {
            self.file.read(offset, out)
        }
        fn set_len(&self, len: u64) -> Result<(), std::io::Error> {
            self.space()?;
            self.file.set_len(len)
        }
        fn sync_data(&self) -> Result<(), std::io::Error> {
            self.file.sync_data()
        }
        fn write(&self, offset: u64, data: &[u8]) -> Result<(), std::io::Error> {
            self.space()?;
            self.file.write(offset, data)
        }
    }

    #[test]
    fn a_store_works_again_when_the_disk_has_space_again() {
        let (file, is_full) = (tempfile::tempfile().unwrap(), Arc::new(AtomicBool::new(false)));
        let full = Arc::clone(&is_full);
        let store = RunStore::new(Box::new(move || {
            let file = FileBackend::new(file.try_clone().unwrap()).unwrap();
            on_backend(Disk { file, is_full: Arc::clone(&full) })
        }))
        .unwrap();
        store.put(&run("a", "x.example", 10)).unwrap();
        is_full.store(true, Ordering::Relaxed);
        let error = store.put(&run("b", "x.example", 20)).unwrap_err().to_string();
        assert!(error.contains("storage") || error.contains("space"), "{error}");
        assert!(store.put(&run("b", "x.example", 20)).is_err());
        is_full.store(false, Ordering::Relaxed);
        assert_eq!(store.get("a").unwrap().unwrap().target, "x.example");
        assert!(store.get("b").unwrap().is_none());
        store.put(&run("b", "x.example", 20)).unwrap();
        assert_eq!(store.newest("x.example").unwrap().unwrap().id, "b");
    }

    #[test]
    fn a_file_keeps_its_runs() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("runs.redb");
        RunStore::open(&path).unwrap().put(&run("a", "x.example", 10)).unwrap();
        let store = RunStore::open(&path).unwrap();
        assert_eq!(store.get("a").unwrap().unwrap().target, "x.example");
        assert!(RunStore::open(&path).is_err(), "one program at a time");
        drop(store);
        std::fs::write(&path, "no database").unwrap();
        assert!(RunStore::open(&path).is_err());
    }
}
