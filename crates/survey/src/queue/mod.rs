//! Where workers take shards from and where results go.

mod files;
#[cfg(feature = "nats")]
mod nats;

use std::collections::{HashMap, HashSet};
use std::fs::File;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::budget::ThrottledSubnet;
use crate::error::SurveyError;
use crate::folder::{ShardId, Stage};

pub use files::FilesQueue;
#[cfg(feature = "nats")]
pub(crate) use files::write_result;
#[cfg(feature = "nats")]
pub use nats::{NatsLane, NatsRun, QueueAddress, RunName, StageCounts};

/// The result for one target: a row, and what belongs to it. All parts are JSON.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TargetRecord {
    /// The key of the target.
    pub key: String,
    /// The row.
    pub row: String,
    /// Rows of evidence.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub evidence: Vec<String>,
    /// Rows of certificates, and the SHA-256 of each.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub certificates: Vec<(String, String)>,
}

/// A shard that this worker holds.
#[derive(Debug)]
pub struct Claim {
    /// The stage.
    pub stage: Stage,
    /// The shard.
    pub shard: ShardId,
    /// Its targets, as JSON.
    pub targets: Vec<String>,
    /// The keys of the targets that have a result from an earlier attempt.
    pub done: HashSet<String>,
    /// How many times a worker started with the targets of this shard without a result for any of them, this time included.
    pub starts: u32,
    journal: Journal,
}

/// Where the records of a shard are kept until it has a result.
#[derive(Debug)]
enum Journal {
    /// In a file, which is written at its end.
    File(File),
    /// In messages of the queue, with these numbers; and the keys of the targets that were in work when the last worker ended.
    #[cfg(feature = "nats")]
    Messages(Vec<u64>, HashSet<String>),
}

/// After this many starts without a result, a target probably ends the worker, so that each suspect is probed alone.
pub const CAUTIOUS_STARTS: u32 = 4;

/// From this start on, the queue is told which targets are in work.
pub const RECORDED_STARTS: u32 = 2;

/// After this many starts without a result, the target that is probed first ends the worker. Ten of them probed it alone.
pub const FATAL_STARTS: u32 = 14;

/// Subnets that turned clients away, by prefix.
pub type ThrottleMemory = HashMap<String, ThrottledSubnet>;

/// A queue of shards. Each shard gets exactly one visible result, however often it is worked on.
pub trait Queue: Send + Sync + 'static {
    /// Makes this worker the holder of its lane, and returns how long the previous holder may still connect to servers.
    fn enter(&self) -> impl Future<Output = Result<Duration, SurveyError>> + Send {
        async { Ok(Duration::ZERO) }
    }

    /// Takes the next shard of a lane; `None` if the lane has no more.
    fn claim(
        &self,
        stage: Stage,
        lane: u16,
    ) -> impl Future<Output = Result<Option<Claim>, SurveyError>> + Send;

    /// Records that the worker starts with the first target of a shard.
    fn start(&self, claim: &Claim) -> impl Future<Output = Result<(), SurveyError>> + Send;

    /// Records that the worker starts with this target.
    fn start_target(&self, claim: &Claim, key: &str) -> impl Future<Output = Result<(), SurveyError>> + Send;

    /// Returns the keys of the targets that were in work when the last worker ended.
    fn suspects(&self, claim: &Claim) -> Result<HashSet<String>, SurveyError>;

    /// Keeps results of a shard, so that they need not be repeated after a crash, as far as the queue can.
    fn save(
        &self,
        claim: &mut Claim,
        records: Vec<TargetRecord>,
    ) -> impl Future<Output = Result<(), SurveyError>> + Send;

    /// Makes the results of a shard visible, all at once.
    fn finish(&self, claim: Claim) -> impl Future<Output = Result<(), SurveyError>> + Send;

    /// Gives a shard back without a result, because the worker ends.
    fn put_back(&self, claim: Claim) -> impl Future<Output = Result<(), SurveyError>> + Send;

    /// Tells the queue that the worker is alive, and returns whether it still holds its lane. If that fails for half of
    /// [`Queue::lease`], another worker may have the lane.
    fn progress(&self) -> impl Future<Output = Result<bool, SurveyError>> + Send {
        async { Ok(true) }
    }

    /// Gives the lane back. Without it, another worker gets the lane after [`Queue::lease`].
    fn leave(&self) -> impl Future<Output = Result<(), SurveyError>> + Send {
        async { Ok(()) }
    }

    /// Returns how long a worker holds a lane without a sign of life; `None` without a limit.
    fn lease(&self) -> Option<Duration>;

    /// Returns the subnets of a lane that turned clients away.
    fn throttled(&self, lane: u16) -> impl Future<Output = Result<ThrottleMemory, SurveyError>> + Send;

    /// Remembers the subnets of a lane that turned clients away.
    fn remember(
        &self,
        lane: u16,
        memory: ThrottleMemory,
    ) -> impl Future<Output = Result<(), SurveyError>> + Send;
}
