//! The side of the queue that has the folder of the run: it publishes what was planned, and writes the results into the folder.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::fs;
use std::hash::{BuildHasher, RandomState};

use bytes::Bytes;
use futures_util::future::try_join_all;
use serde::{Deserialize, Serialize};

use super::lane::JournalEntry;
use super::{NatsRun, PlannedRun, parse};
use crate::error::SurveyError;
use crate::files::{json, write_whole};
use crate::folder::{RunFolder, ShardId, Stage};
use crate::queue::write_result;
use crate::settings::RunSettings;

/// The most messages that wait for an answer.
const AT_ONCE: usize = 32;

/// The file in the folder of a run that says which run on a queue belongs to it.
const QUEUE_FILE: &str = "queue.json";

#[derive(Debug, Serialize, Deserialize)]
struct QueueFile {
    run: String,
    plan: String,
}

/// How far a stage is on the queue.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct StageCounts {
    /// The planned shards that the queue has.
    pub planned: BTreeSet<ShardId>,
    /// The shards that have a result on the queue.
    pub done: BTreeSet<ShardId>,
}

impl NatsRun {
    /// Connects the run on the queue with a folder, or checks that it belongs to it.
    ///
    /// # Errors
    /// If the run on the queue belongs to another folder.
    pub(crate) async fn bind(&self, run: &RunFolder, settings: &RunSettings) -> Result<(), SurveyError> {
        let path = run.path().join(QUEUE_FILE);
        let name = self.name.to_string();
        let file = match fs::read(&path) {
            Ok(octets) => {
                serde_json::from_slice(&octets).map_err(|error| SurveyError::contents(&path, error))?
            }
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                let plan = format!("{:016x}", RandomState::new().hash_one(std::process::id()));
                let file = QueueFile { run: name.clone(), plan };
                write_whole(&path, (json(&file) + "\n").as_bytes())?;
                file
            }
            Err(error) => return Err(SurveyError::file(&path)(error)),
        };
        let subject = self.name.record("settings");
        let planned = PlannedRun { plan: file.plan.clone(), settings: settings.clone() };
        self.publish(&subject, json(&planned).into(), Some(0)).await?;
        let on_queue = self.record::<PlannedRun>("settings").await?.map(|it| it.plan);
        if file.run == name && on_queue.as_ref() == Some(&file.plan) {
            return Ok(());
        }
        Err(SurveyError::OtherRun(format!(
            "the run {name} on the queue does not belong to {}",
            run.path().display()
        )))
    }

    /// Publishes the shards of a stage that have no result.
    pub(crate) async fn publish_stage(&self, run: &RunFolder, stage: Stage) -> Result<(), SurveyError> {
        let known: HashSet<_> = self.shards("shard", stage, '*').await?.into_iter().collect();
        let done = run.done(stage)?;
        let open: Vec<_> =
            run.planned(stage)?.into_iter().filter(|it| !known.contains(it) && !done.contains(it)).collect();
        for ids in open.chunks(AT_ONCE) {
            try_join_all(ids.iter().map(|id| async move {
                let path = run.shard(stage, *id);
                let targets = fs::read(&path).map_err(SurveyError::file(&path))?;
                self.publish(&self.name.of_shard("shard", stage, *id), targets.into(), Some(0)).await
            }))
            .await?;
        }
        let plan = run.stage(stage)?.unwrap_or_default();
        let subject = self.name.record(format_args!("stage.{stage}"));
        self.publish(&subject, json(&plan).into(), Some(0)).await.map(drop)
    }

    /// Offers lanes to the workers. A lane that a worker has, or that is offered already, is not offered again.
    pub(crate) async fn offer(&self, stage: Stage, lanes: &BTreeSet<u16>) -> Result<(), SurveyError> {
        let offered = self.subjects(&self.lanes, &self.name.lane('*')).await?;
        let offered: HashSet<u16> =
            offered.iter().filter_map(|it| it.rsplit('.').next()?.parse().ok()).collect();
        for lane in lanes.iter().filter(|it| !offered.contains(*it)) {
            self.offer_lane(stage, *lane).await?;
        }
        Ok(())
    }

    /// Offers a lane to the workers, unless it is offered already.
    pub(super) async fn offer_lane(&self, stage: Stage, lane: u16) -> Result<(), SurveyError> {
        self.publish(&self.name.lane(lane), Bytes::from(stage.to_string()), None).await.map(drop)
    }

    /// Writes the results that the queue has of these shards into the folder, and removes the shards from the set. Returns the number of
    /// rows by kind.
    pub(crate) async fn collect(
        &self,
        run: &RunFolder,
        stage: Stage,
        open: &mut BTreeSet<ShardId>,
    ) -> Result<BTreeMap<&'static str, u64>, SurveyError> {
        let ids = self.shards("result", stage, '*').await?;
        let ids: Vec<_> = ids.into_iter().filter(|it| open.contains(it)).collect();
        let mut words = BTreeMap::new();
        for ids in ids.chunks(AT_ONCE / 8) {
            for rows in try_join_all(ids.iter().map(|id| self.collect_shard(run, stage, *id))).await? {
                rows.into_iter().for_each(|word| *words.entry(word).or_default() += 1);
            }
            open.retain(|id| !ids.contains(id));
        }
        Ok(words)
    }

    /// Writes the result of a shard into the folder, and returns the kinds of its rows.
    async fn collect_shard(
        &self,
        run: &RunFolder,
        stage: Stage,
        id: ShardId,
    ) -> Result<Vec<&'static str>, SurveyError> {
        let subject = self.name.of_shard("result", stage, id);
        let missing = || SurveyError::Queue(format!("{subject} is missing"));
        let result = self.last(&subject).await?.ok_or_else(missing)?;
        let messages: Vec<u64> = parse(&subject, &result.payload)?;
        let journal = try_join_all(messages.iter().map(|sequence| self.message(*sequence))).await?;
        // After a crash, several messages may have a record of the same target.
        let mut records = BTreeMap::new();
        for message in journal {
            if let JournalEntry::Records(of_message) = JournalEntry::decode(&subject, &message.payload)? {
                for record in of_message {
                    records.entry(record.key.clone()).or_insert(record);
                }
            }
        }
        let words = records.values().map(|it| word(&it.row)).collect();
        write_result(run, stage, id, records.into_values().collect())?;
        Ok(words)
    }

    /// Tells the workers that the run has all of its results.
    pub(crate) async fn end(&self) -> Result<(), SurveyError> {
        self.publish(&self.name.record("end"), Bytes::from_static(b"{}"), Some(0)).await.map(drop)
    }

    /// Returns the stages that were planned, in order.
    ///
    /// # Errors
    /// If the server does not answer.
    pub async fn stages(&self) -> Result<Vec<Stage>, SurveyError> {
        let subjects = self.subjects(&self.records, &self.name.record("stage.*")).await?;
        let mut stages: Vec<Stage> =
            subjects.iter().filter_map(|it| it.rsplit('.').next()?.parse().ok()).collect();
        stages.sort();
        Ok(stages)
    }

    /// Returns how far a stage is.
    ///
    /// # Errors
    /// If the server does not answer.
    pub async fn counts(&self, stage: Stage) -> Result<StageCounts, SurveyError> {
        let planned = self.shards("shard", stage, '*').await?.into_iter().collect();
        let done = self.shards("result", stage, '*').await?.into_iter().collect();
        Ok(StageCounts { planned, done })
    }

    /// Returns the number of lanes that workers have.
    ///
    /// # Errors
    /// If the server does not answer.
    pub async fn lanes_in_work(&self) -> Result<usize, SurveyError> {
        let info = self
            .repeat(|| async {
                self.lanes.consumer_info(super::CONSUMER).await.map_err(|error| error.to_string())
            })
            .await?;
        Ok(info.num_ack_pending)
    }
}

/// The part of a row that shows whether a look-up failed.
#[derive(Deserialize)]
struct LookUp {
    status: Option<String>,
    error: Option<String>,
    addresses: Option<Vec<String>>,
}

/// Returns the kind of a row: whether it is a look-up that failed, because a survey without DNS has to say so.
fn word(row: &str) -> &'static str {
    let has_failed = serde_json::from_str::<LookUp>(row).is_ok_and(|it| {
        it.status.as_deref() == Some("failed")
            || (it.error.is_some() && it.addresses.is_some_and(|it| it.is_empty()))
    });
    if has_failed { "failed" } else { "collected" }
}
