//! The folder of a run: settings, planned shards, results.
//!
//! ```text
//! plan.json                          the settings
//! shards/STAGE/stage.json            what was planned, and when it is due
//! shards/STAGE/LANE-NUMBER.jsonl.zst targets
//! results/STAGE/LANE-NUMBER.jsonl.zst rows; also in evidence/ and certificates/
//! joined/                            the result of `join`
//! ```
//!
//! A folder of shards gets its name when all of its shards are written, and a result when all of its rows are. These names
//! are the only state: a shard is done when its result exists.

use std::collections::BTreeSet;
use std::fmt;
use std::fs::{self, File, TryLockError};
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::error::SurveyError;
use crate::files::{compress, json, sync_folder, write_whole};
use crate::lanes::LaneLoad;
use crate::settings::RunSettings;

/// The most targets of a shard: few enough to repeat, and many enough that a run has few files.
pub const SHARD_TARGETS: usize = 256;

/// A stage of a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Stage {
    /// The exchangers of each domain.
    Resolve,
    /// The addresses of each exchanger.
    Addresses,
    /// The endpoints; the number of the pass, from 1.
    Probe(u8),
}

impl fmt::Display for Stage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Resolve => f.write_str("resolve"),
            Self::Addresses => f.write_str("addresses"),
            Self::Probe(pass) => write!(f, "probe-{pass}"),
        }
    }
}

impl FromStr for Stage {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        match text {
            "resolve" => Ok(Self::Resolve),
            "addresses" => Ok(Self::Addresses),
            text => text.strip_prefix("probe-").and_then(|it| it.parse().ok()).map(Self::Probe).ok_or(()),
        }
    }
}

/// The name of a shard: its lane, and its number in the lane.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ShardId {
    /// The lane.
    pub lane: u16,
    /// The number in the lane, from 0.
    pub number: u32,
}

impl fmt::Display for ShardId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:04}-{:06}", self.lane, self.number)
    }
}

impl FromStr for ShardId {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let (lane, number) = text.split_once('-').ok_or(())?;
        Ok(Self { lane: lane.parse().map_err(drop)?, number: number.parse().map_err(drop)? })
    }
}

/// What was planned for a stage.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct StagePlan {
    /// The number of shards.
    pub shards: u64,
    /// The number of targets.
    pub targets: u64,
    /// When the stage may begin, in seconds since 1970.
    pub due_unix: i64,
    /// What each lane has to do.
    pub lanes: Vec<LaneLoad>,
    /// Lines of the input that are not domains. Only the first stage has them.
    #[serde(default)]
    pub invalid_lines: u64,
}

impl StagePlan {
    /// Returns the time that no number of workers can go below.
    pub fn floor(&self) -> Duration {
        self.lanes.iter().map(|it| it.floor).max().unwrap_or_default()
    }
}

/// The folder of a run.
#[derive(Clone, Debug)]
pub struct RunFolder {
    path: PathBuf,
}

/// The right to work on a run, which one process has.
#[derive(Debug)]
pub struct RunLock(#[expect(dead_code, reason = "the lock ends with the file")] File);

const ENDING: &str = ".jsonl.zst";

/// How often a lock is tried.
const LOCK_ATTEMPTS: u32 = 10;

impl RunFolder {
    /// Returns the run in a folder that may not exist yet.
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self { path: path.into() }
    }

    /// Returns the path of the folder.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Makes the folder, and locks it until the value is dropped or the process ends.
    ///
    /// # Errors
    /// If another process has locked it, or it cannot be written.
    pub fn lock(&self) -> Result<RunLock, SurveyError> {
        fs::create_dir_all(&self.path).map_err(SurveyError::file(&self.path))?;
        let path = self.path.join("lock");
        let file = File::create(&path).map_err(SurveyError::file(&path))?;
        // `is_locked` holds the lock for a moment.
        for _ in 0..LOCK_ATTEMPTS {
            match file.try_lock() {
                Ok(()) => return Ok(RunLock(file)),
                Err(TryLockError::WouldBlock) => std::thread::sleep(Duration::from_millis(20)),
                Err(TryLockError::Error(error)) => return Err(SurveyError::file(&path)(error)),
            }
        }
        Err(SurveyError::Locked(self.path.clone()))
    }

    /// Returns whether a process works on the run.
    pub fn is_locked(&self) -> bool {
        let file = File::open(self.path.join("lock"));
        file.is_ok_and(|file| matches!(file.try_lock_shared(), Err(TryLockError::WouldBlock)))
    }

    /// Returns the settings; `None` if the folder contains no run.
    ///
    /// # Errors
    /// If they cannot be read.
    pub fn settings(&self) -> Result<Option<RunSettings>, SurveyError> {
        self.read_json(&self.path.join("plan.json"))
    }

    /// Writes the settings of a new run, or compares them with those of the run in the folder.
    ///
    /// # Errors
    /// If the folder contains a run with other settings.
    pub fn begin(&self, settings: &RunSettings) -> Result<(), SurveyError> {
        match self.settings()? {
            None => write_whole(&self.path.join("plan.json"), (json(settings) + "\n").as_bytes()),
            Some(known) => match known.differences(settings) {
                differences if differences.is_empty() => Ok(()),
                differences => Err(SurveyError::OtherSettings(self.path.clone(), differences)),
            },
        }
    }

    /// Returns a folder for temporary files.
    ///
    /// # Errors
    /// If it cannot be made.
    pub fn scratch(&self) -> Result<PathBuf, SurveyError> {
        self.made("tmp")
    }

    /// Returns the folder of the results of `join`.
    ///
    /// # Errors
    /// If it cannot be made.
    pub fn joined(&self) -> Result<PathBuf, SurveyError> {
        self.made("joined")
    }

    pub(crate) fn made(&self, name: impl AsRef<Path>) -> Result<PathBuf, SurveyError> {
        let path = self.path.join(name);
        fs::create_dir_all(&path).map_err(SurveyError::file(&path))?;
        Ok(path)
    }

    /// Returns what was planned for a stage; `None` if it was not planned yet.
    ///
    /// # Errors
    /// If it cannot be read.
    pub fn stage(&self, stage: Stage) -> Result<Option<StagePlan>, SurveyError> {
        self.read_json(&self.shards(stage).join("stage.json"))
    }

    /// Returns the stages that were planned, in order.
    ///
    /// # Errors
    /// If the folder cannot be read.
    pub fn stages(&self) -> Result<Vec<Stage>, SurveyError> {
        let names = names(&self.path.join("shards"))?;
        let mut stages: Vec<Stage> = names.iter().filter_map(|name| name.parse().ok()).collect();
        stages.sort();
        Ok(stages)
    }

    /// Returns the shards of a stage that were planned.
    ///
    /// # Errors
    /// If the folder cannot be read.
    pub fn planned(&self, stage: Stage) -> Result<BTreeSet<ShardId>, SurveyError> {
        ids(&self.shards(stage))
    }

    /// Returns the shards of a stage that have a result.
    ///
    /// # Errors
    /// If the folder cannot be read.
    pub fn done(&self, stage: Stage) -> Result<BTreeSet<ShardId>, SurveyError> {
        ids(&self.path.join("results").join(stage.to_string()))
    }

    pub(crate) fn shards(&self, stage: Stage) -> PathBuf {
        self.path.join("shards").join(stage.to_string())
    }

    pub(crate) fn shard(&self, stage: Stage, id: ShardId) -> PathBuf {
        self.shards(stage).join(format!("{id}{ENDING}"))
    }

    /// Returns the path of a file about a shard in one of the folders of results.
    pub(crate) fn of_shard(&self, kind: &str, stage: Stage, id: ShardId) -> PathBuf {
        self.path.join(kind).join(stage.to_string()).join(format!("{id}{ENDING}"))
    }

    fn read_json<T: serde::de::DeserializeOwned>(&self, path: &Path) -> Result<Option<T>, SurveyError> {
        match fs::read(path) {
            Ok(octets) => {
                serde_json::from_slice(&octets).map(Some).map_err(|error| SurveyError::contents(path, error))
            }
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(SurveyError::file(path)(error)),
        }
    }
}

fn names(folder: &Path) -> Result<Vec<String>, SurveyError> {
    let entries = match fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(SurveyError::file(folder)(error)),
    };
    let mut names = Vec::new();
    for entry in entries {
        names.extend(entry.map_err(SurveyError::file(folder))?.file_name().into_string());
    }
    Ok(names)
}

fn ids(folder: &Path) -> Result<BTreeSet<ShardId>, SurveyError> {
    let names = names(folder)?;
    Ok(names.iter().filter_map(|name| name.strip_suffix(ENDING)?.parse().ok()).collect())
}

/// The shards of a stage that are being written.
#[derive(Debug)]
pub(crate) struct ShardWriter {
    run: RunFolder,
    stage: Stage,
    part: PathBuf,
    lanes: Vec<Lane>,
    plan: StagePlan,
}

#[derive(Debug, Default)]
struct Lane {
    targets: Vec<String>,
    next: u32,
}

impl ShardWriter {
    /// Starts to plan a stage. What an interrupted attempt has written is removed.
    ///
    /// # Errors
    /// If the folder cannot be made.
    pub(crate) fn new(run: &RunFolder, stage: Stage, lanes: usize) -> Result<Self, SurveyError> {
        run.made("shards")?;
        let part = run.path.join("shards").join(format!("{stage}.part"));
        if part.exists() {
            fs::remove_dir_all(&part).map_err(SurveyError::file(&part))?;
        }
        fs::create_dir(&part).map_err(SurveyError::file(&part))?;
        let lanes: Vec<Lane> = (0..lanes).map(|_| Lane::default()).collect();
        let plan = StagePlan { lanes: vec![LaneLoad::default(); lanes.len()], ..StagePlan::default() };
        Ok(Self { run: run.clone(), stage, part, lanes, plan })
    }

    /// Adds a target to a lane.
    ///
    /// # Errors
    /// If a shard cannot be written.
    pub(crate) fn push(&mut self, lane: u16, target: &impl Serialize) -> Result<(), SurveyError> {
        let index = usize::from(lane) % self.lanes.len().max(1);
        let Some(in_lane) = self.lanes.get_mut(index) else { return Ok(()) };
        in_lane.targets.push(json(target));
        self.plan.targets += 1;
        self.plan.lanes[index].targets += 1;
        if in_lane.targets.len() >= SHARD_TARGETS { self.flush(index) } else { Ok(()) }
    }

    /// Counts a line of the input that is not a domain.
    pub(crate) fn invalid(&mut self) {
        self.plan.invalid_lines += 1;
    }

    /// Gives the planned shards their name. `due_unix` is when the stage may begin, and `loads` what the lanes need at least.
    ///
    /// # Errors
    /// If a file cannot be written.
    pub(crate) fn finish(mut self, due_unix: i64, loads: &[LaneLoad]) -> Result<StagePlan, SurveyError> {
        for index in 0..self.lanes.len() {
            self.flush(index)?;
        }
        for (planned, load) in self.plan.lanes.iter_mut().zip(loads) {
            planned.floor = load.floor;
        }
        self.plan.due_unix = due_unix;
        write_whole(&self.part.join("stage.json"), (json(&self.plan) + "\n").as_bytes())?;
        for kind in ["results", "evidence", "certificates"] {
            self.run.made(Path::new(kind).join(self.stage.to_string()))?;
        }
        let path = self.run.shards(self.stage);
        let rename = fs::rename(&self.part, &path);
        let synced = rename.and_then(|()| path.parent().map_or(Ok(()), sync_folder));
        synced.map_err(SurveyError::file(&path))?;
        Ok(self.plan)
    }

    fn flush(&mut self, index: usize) -> Result<(), SurveyError> {
        let Some(lane) = self.lanes.get_mut(index).filter(|it| !it.targets.is_empty()) else { return Ok(()) };
        let id = ShardId { lane: u16::try_from(index).unwrap_or(u16::MAX), number: lane.next };
        let path = self.part.join(format!("{id}{ENDING}"));
        let octets = compress(lane.targets.iter().map(String::as_str)).map_err(SurveyError::file(&path))?;
        // The folder gets its name after all files are written, and is written to the disk then.
        fs::write(&path, octets).map_err(SurveyError::file(&path))?;
        lane.targets.clear();
        lane.next += 1;
        self.plan.shards += 1;
        Ok(())
    }
}
