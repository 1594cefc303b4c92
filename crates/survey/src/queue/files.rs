//! The queue in the folder of the run, for one machine.
//!
//! The result of a shard is written to a file with another name and renamed when it is whole, so a result that exists is complete. Until
//! then the rows are in a journal; after a crash it is cut after its last whole line and continued.

use std::collections::{BTreeSet, HashMap, HashSet, VecDeque};
use std::fs::{self, File, OpenOptions};
use std::io::{ErrorKind, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use super::{Claim, Journal, Queue, TargetRecord, ThrottleMemory};
use crate::error::SurveyError;
use crate::files::{LineReader, compress, json, write_whole};
use crate::folder::{RunFolder, RunLock, ShardId, Stage};

/// The queue in the folder of a run. The process that made it holds the run's lock.
#[derive(Debug)]
pub struct FilesQueue {
    run: RunFolder,
    /// The shards of each lane that are neither done nor claimed.
    open: Mutex<HashMap<(Stage, u16), VecDeque<ShardId>>>,
    _lock: RunLock,
}

impl FilesQueue {
    /// Returns the queue of a run.
    ///
    /// # Errors
    /// If another process works on the run.
    pub fn new(run: &RunFolder) -> Result<Self, SurveyError> {
        Ok(Self { run: run.clone(), open: Mutex::default(), _lock: run.lock()? })
    }

    /// Compares the planned shards of a stage with the results, and returns the lanes that have work. Journals of shards with a result
    /// are removed.
    ///
    /// # Errors
    /// If the folders cannot be read.
    pub fn open(&self, stage: Stage) -> Result<BTreeSet<u16>, SurveyError> {
        let done = self.run.done(stage)?;
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        let mut lanes = BTreeSet::new();
        for id in self.run.planned(stage)? {
            if done.contains(&id) {
                for path in [self.journal(stage, id), self.starts(stage, id)] {
                    remove(&path)?;
                }
                continue;
            }
            lanes.insert(id.lane);
            let lane = open.entry((stage, id.lane)).or_default();
            if !lane.contains(&id) {
                lane.push_back(id);
            }
        }
        Ok(lanes)
    }

    fn journal(&self, stage: Stage, id: ShardId) -> PathBuf {
        self.run.of_shard("results", stage, id).with_extension("journal")
    }

    fn starts(&self, stage: Stage, id: ShardId) -> PathBuf {
        self.run.of_shard("results", stage, id).with_extension("starts")
    }

    fn memory(&self, lane: u16) -> PathBuf {
        self.run.path().join("throttled").join(format!("{lane:04}.json"))
    }

    fn read(&self, stage: Stage, id: ShardId) -> Result<Claim, SurveyError> {
        let mut targets = Vec::new();
        let mut reader = LineReader::open(&self.run.shard(stage, id))?;
        while let Some(line) = reader.next_line()? {
            targets.push(line);
        }
        let (journal, done) = continued(&self.journal(stage, id))?;
        let starts = next_start(&self.starts(stage, id), done.len());
        Ok(Claim { stage, shard: id, targets, done, starts, journal: Journal::File(journal) })
    }

    fn publish(&self, claim: Claim) -> Result<(), SurveyError> {
        let Claim { stage, shard, journal, .. } = claim;
        drop(journal);
        let path = self.journal(stage, shard);
        let text = fs::read_to_string(&path).map_err(SurveyError::file(&path))?;
        let mut records = Vec::new();
        for line in text.lines() {
            let record: TargetRecord =
                serde_json::from_str(line).map_err(|error| SurveyError::contents(&path, error))?;
            records.push(record);
        }
        write_result(&self.run, stage, shard, records)?;
        remove(&path)?;
        remove(&self.starts(stage, shard))
    }
}

/// Writes the result of a shard into the folder of a run.
///
/// # Errors
/// If a file cannot be written.
pub(crate) fn write_result(
    run: &RunFolder,
    stage: Stage,
    id: ShardId,
    mut records: Vec<TargetRecord>,
) -> Result<(), SurveyError> {
    records.sort_by(|one, other| one.key.cmp(&other.key));
    let evidence: Vec<_> = records.iter().flat_map(|it| &it.evidence).map(String::as_str).collect();
    let mut known = HashSet::new();
    let certificates: Vec<_> = records
        .iter()
        .flat_map(|it| &it.certificates)
        .filter(|(sha256, _)| known.insert(sha256))
        .map(|(_, row)| row.as_str())
        .collect();
    let rows = records.iter().map(|it| it.row.as_str()).collect();
    // The rows come last: the name of their file makes the shard done.
    for (kind, lines, always) in
        [("evidence", evidence, false), ("certificates", certificates, false), ("results", rows, true)]
    {
        if always || !lines.is_empty() {
            let path = run.of_shard(kind, stage, id);
            write_whole(&path, &compress(lines).map_err(SurveyError::file(&path))?)?;
        }
    }
    Ok(())
}

/// Returns the number of starts since the last result of a target, with the next one.
fn next_start(path: &Path, rows: usize) -> u32 {
    let text = fs::read_to_string(path).unwrap_or_default();
    let before =
        text.lines().next().and_then(|line| line.split_once(' ')).and_then(|(starts, rows)| {
            Some((starts.parse::<u32>().ok()?, rows.trim().parse::<usize>().ok()?))
        });
    match before {
        Some((starts, then)) if then == rows => starts.saturating_add(1),
        _ => 1,
    }
}

/// Opens a journal at the end of its last whole line, and returns the keys in it.
fn continued(path: &Path) -> Result<(File, HashSet<String>), SurveyError> {
    let open = || {
        let mut file = OpenOptions::new().create(true).truncate(false).read(true).write(true).open(path)?;
        let octets = fs::read(path)?;
        let whole = octets.iter().rposition(|it| *it == b'\n').map_or(0, |at| at + 1);
        file.set_len(whole as u64)?;
        file.seek(SeekFrom::End(0))?;
        Ok((file, octets.get(..whole).unwrap_or_default().to_vec()))
    };
    let (file, whole) = open().map_err(SurveyError::file(path))?;
    let mut keys = HashSet::new();
    for line in whole.split(|it| *it == b'\n').filter(|line| !line.is_empty()) {
        let record: TargetRecord =
            serde_json::from_slice(line).map_err(|error| SurveyError::contents(path, error))?;
        keys.insert(record.key);
    }
    Ok((file, keys))
}

fn remove(path: &Path) -> Result<(), SurveyError> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != ErrorKind::NotFound => Err(SurveyError::file(path)(error)),
        _ => Ok(()),
    }
}

impl Queue for FilesQueue {
    async fn claim(&self, stage: Stage, lane: u16) -> Result<Option<Claim>, SurveyError> {
        let next = {
            let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
            open.get_mut(&(stage, lane)).and_then(VecDeque::pop_front)
        };
        next.map(|id| self.read(stage, id)).transpose()
    }

    async fn start(&self, claim: &Claim) -> Result<(), SurveyError> {
        let path = self.starts(claim.stage, claim.shard);
        fs::write(&path, format!("{} {}\n", claim.starts, claim.done.len())).map_err(SurveyError::file(&path))
    }

    async fn save(&self, claim: &mut Claim, records: Vec<TargetRecord>) -> Result<(), SurveyError> {
        let path = self.journal(claim.stage, claim.shard);
        let mut lines = String::new();
        for record in records {
            lines.push_str(&json(&record));
            lines.push('\n');
            claim.done.insert(record.key);
        }
        // One write, so that a crash cuts at most the last lines of it.
        let written = match &mut claim.journal {
            Journal::File(file) => file.write_all(lines.as_bytes()),
            #[cfg(feature = "nats")]
            Journal::Messages(..) => Ok(()),
        };
        written.map_err(SurveyError::file(&path))
    }

    async fn start_target(&self, claim: &Claim, key: &str) -> Result<(), SurveyError> {
        let path = self.starts(claim.stage, claim.shard);
        let append = || OpenOptions::new().append(true).open(&path)?.write_all(format!("{key}\n").as_bytes());
        append().map_err(SurveyError::file(&path))
    }

    fn suspects(&self, claim: &Claim) -> Result<HashSet<String>, SurveyError> {
        let text = fs::read_to_string(self.starts(claim.stage, claim.shard)).unwrap_or_default();
        let started = text.lines().skip(1).map(str::to_owned);
        Ok(started.filter(|key| !claim.done.contains(key)).collect())
    }

    async fn finish(&self, claim: Claim) -> Result<(), SurveyError> {
        self.publish(claim)
    }

    async fn put_back(&self, claim: Claim) -> Result<(), SurveyError> {
        // An orderly end says nothing about the targets.
        remove(&self.starts(claim.stage, claim.shard))
    }

    fn lease(&self) -> Option<Duration> {
        None
    }

    async fn throttled(&self, lane: u16) -> Result<ThrottleMemory, SurveyError> {
        match fs::read(self.memory(lane)) {
            Ok(octets) => serde_json::from_slice(&octets)
                .map_err(|error| SurveyError::contents(&self.memory(lane), error)),
            Err(_) => Ok(ThrottleMemory::new()),
        }
    }

    async fn remember(&self, lane: u16, memory: ThrottleMemory) -> Result<(), SurveyError> {
        self.run.made("throttled")?;
        write_whole(&self.memory(lane), (json(&memory) + "\n").as_bytes())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::folder::ShardWriter;
    use crate::target::NameTarget;

    fn planned(folder: &Path, targets: usize) -> RunFolder {
        let run = RunFolder::new(folder);
        let mut writer = ShardWriter::new(&run, Stage::Resolve, 2).unwrap();
        for number in 0..targets {
            writer.push((number % 2) as u16, &NameTarget { name: format!("d{number}.test") }).unwrap();
        }
        writer.finish(0, &[]).unwrap();
        run
    }

    fn record(key: &str) -> TargetRecord {
        TargetRecord {
            key: key.to_owned(),
            row: format!("\"{key}\""),
            evidence: vec![],
            certificates: vec![],
        }
    }

    fn rows(run: &RunFolder, id: ShardId) -> Vec<String> {
        let mut reader = LineReader::open(&run.of_shard("results", Stage::Resolve, id)).unwrap();
        std::iter::from_fn(|| reader.next_line().unwrap()).collect()
    }

    #[tokio::test]
    async fn a_shard_has_one_result_and_a_truncated_journal_is_continued() {
        let folder = tempfile::tempdir().unwrap();
        let run = planned(folder.path(), 6);
        let queue = FilesQueue::new(&run).unwrap();
        assert!(matches!(FilesQueue::new(&run), Err(SurveyError::Locked(_))), "one process at a time");
        assert_eq!(queue.open(Stage::Resolve).unwrap(), BTreeSet::from([0, 1]));
        let mut claim = queue.claim(Stage::Resolve, 0).await.unwrap().unwrap();
        let id = claim.shard;
        assert_eq!((claim.targets.len(), claim.starts), (3, 1));
        queue.save(&mut claim, vec![record("b"), record("a")]).await.unwrap();
        drop((claim, queue));
        // A crash in the middle of a write.
        let journal = run.of_shard("results", Stage::Resolve, id).with_extension("journal");
        let mut file = OpenOptions::new().append(true).open(&journal).unwrap();
        file.write_all(b"{\"key\":\"c\",\"ro").unwrap();

        let queue = FilesQueue::new(&run).unwrap();
        queue.open(Stage::Resolve).unwrap();
        let mut claim = queue.claim(Stage::Resolve, 0).await.unwrap().unwrap();
        assert_eq!(claim.done, ["a", "b"].map(String::from).into());
        assert_eq!(claim.starts, 1, "results were added since the last start");
        queue.save(&mut claim, vec![record("c")]).await.unwrap();
        assert!(run.done(Stage::Resolve).unwrap().is_empty());
        queue.finish(claim).await.unwrap();
        assert_eq!(run.done(Stage::Resolve).unwrap(), BTreeSet::from([id]));
        assert_eq!(rows(&run, id), ["\"a\"", "\"b\"", "\"c\""]);
        assert!(!journal.exists());
        assert!(queue.claim(Stage::Resolve, 0).await.unwrap().is_none());
    }

    #[tokio::test]
    async fn starts_without_a_result_are_counted_and_an_orderly_end_is_not() {
        let folder = tempfile::tempdir().unwrap();
        let run = planned(folder.path(), 1);
        for start in 1..=5 {
            let queue = FilesQueue::new(&run).unwrap();
            queue.open(Stage::Resolve).unwrap();
            let claim = queue.claim(Stage::Resolve, 0).await.unwrap().unwrap();
            assert_eq!(claim.starts, start);
            let suspects = if start == 1 { HashSet::new() } else { HashSet::from([String::from("a")]) };
            assert_eq!(queue.suspects(&claim).unwrap(), suspects);
            queue.start(&claim).await.unwrap();
            queue.start_target(&claim, "a").await.unwrap();
        }
        let queue = FilesQueue::new(&run).unwrap();
        queue.open(Stage::Resolve).unwrap();
        let claim = queue.claim(Stage::Resolve, 0).await.unwrap().unwrap();
        queue.put_back(claim).await.unwrap();
        queue.open(Stage::Resolve).unwrap();
        assert_eq!(queue.claim(Stage::Resolve, 0).await.unwrap().unwrap().starts, 1);
    }
}
