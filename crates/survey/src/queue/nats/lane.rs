//! A lane that a worker has got from the queue.

use std::collections::{HashSet, VecDeque};
use std::fmt;
use std::hash::{BuildHasher, RandomState};
use std::io::Read;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use async_nats::jetstream::{AckKind, Message};
use bytes::Bytes;
use futures_util::StreamExt;
use serde::{Deserialize, Serialize};

use super::{NatsRun, Published, failed, parse};
use crate::error::SurveyError;
use crate::files::{compress, json};
use crate::folder::{ShardId, Stage};
use crate::queue::{Claim, Journal, Queue, TargetRecord, ThrottleMemory};

/// How long a worker waits for a lane before it asks again.
const WAIT: Duration = Duration::from_secs(2);

/// The largest message. The usual limit of a server is 1 MiB.
pub(super) const MAX_MESSAGE: usize = 512 * 1024;

/// The largest message after decompression.
const MAX_DECOMPRESSED: u64 = 64 * 1024 * 1024;

/// A message in the journal of a shard.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum JournalEntry {
    /// A worker starts with the targets that have no record yet.
    Started,
    /// A worker starts with the target that has this key. That is written only if an earlier worker ended at the shard.
    Target(String),
    /// Records of targets.
    Records(Vec<TargetRecord>),
    /// A worker that ended in order has given the shard back.
    PutBack,
}

impl JournalEntry {
    fn encode(&self) -> Result<Bytes, SurveyError> {
        let octets = compress([json(self).as_str()]);
        octets.map(Bytes::from).map_err(|error| failed("cannot compress a message", error))
    }

    pub(super) fn decode(subject: &str, octets: &[u8]) -> Result<Self, SurveyError> {
        parse(subject, &decompress(subject, octets)?)
    }
}

pub(super) fn decompress(subject: &str, octets: &[u8]) -> Result<Vec<u8>, SurveyError> {
    let mut text = Vec::new();
    let decoder = zstd::stream::Decoder::new(octets);
    let read = decoder.and_then(|it| it.take(MAX_DECOMPRESSED).read_to_end(&mut text));
    read.map(|_| text).map_err(|error| failed(format_args!("cannot decompress {subject}"), error))
}

/// The record `holder` of a lane.
#[derive(Debug, Default, Serialize, Deserialize)]
struct HolderRecord {
    /// Identifies one time that a worker has got the lane.
    by: String,
    /// Whether the worker has the lane; otherwise it has given it back.
    holds: bool,
    memory: ThrottleMemory,
}

/// A lane of a run on a NATS server that this worker has got.
pub struct NatsLane {
    run: NatsRun,
    /// The stage of the lane's shards.
    pub(crate) stage: Stage,
    /// The number of the lane.
    pub(crate) lane: u16,
    message: Message,
    by: String,
    /// The lane is given back after this time, so that workers that started later get one.
    longest: Duration,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    /// The number of the last record `holder` by this worker.
    holder: u64,
    /// The shards without a result.
    open: VecDeque<ShardId>,
    memory: ThrottleMemory,
    since: Instant,
    has_claimed: bool,
}

impl fmt::Debug for NatsLane {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("NatsLane")
            .field("stage", &self.stage)
            .field("lane", &self.lane)
            .finish_non_exhaustive()
    }
}

impl NatsRun {
    /// Waits for a lane that no worker has, at most a few seconds.
    pub(crate) async fn take(&self, longest: Duration) -> Result<Option<NatsLane>, SurveyError> {
        let unable = |error: &dyn fmt::Display| failed("cannot ask for a lane", error);
        let pull = self.consumer.batch().max_messages(1).expires(WAIT).messages().await;
        let Some(message) = pull.map_err(|error| unable(&error))?.next().await else { return Ok(None) };
        let message = message.map_err(|error| unable(&error))?;
        let lane = message.subject.rsplit('.').next().and_then(|it| it.parse().ok());
        let stage = std::str::from_utf8(&message.payload).ok().and_then(|it| it.parse().ok());
        let (Some(lane), Some(stage)) = (lane, stage) else {
            return Err(SurveyError::Queue(format!(
                "the message of {} has another form: \"{}\"",
                message.subject,
                message.payload.escape_ascii()
            )));
        };
        let state = State {
            holder: 0,
            open: VecDeque::new(),
            memory: ThrottleMemory::new(),
            since: Instant::now(),
            has_claimed: false,
        };
        Ok(Some(NatsLane {
            run: self.clone(),
            stage,
            lane,
            message,
            by: format!("{:016x}", RandomState::new().hash_one((std::process::id(), lane))),
            longest,
            state: Mutex::new(state),
        }))
    }
}

impl NatsLane {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn subject(&self, kind: &str, id: ShardId) -> String {
        self.run.name.of_shard(kind, self.stage, id)
    }

    fn holder_subject(&self) -> String {
        self.run.name.record(format_args!("holder.{}", self.lane))
    }

    /// Writes the record `holder` after the one with the number `expected`.
    async fn hold(&self, holds: bool, expected: u64, memory: ThrottleMemory) -> Result<(), SurveyError> {
        let subject = self.holder_subject();
        let record = HolderRecord { by: self.by.clone(), holds, memory };
        let sequence = match self.run.publish(&subject, json(&record).into(), Some(expected)).await? {
            Published::At(sequence) => sequence,
            // The answer to an earlier attempt may be lost.
            Published::Refused => match self.run.last(&subject).await? {
                Some(last) if parse::<HolderRecord>(&subject, &last.payload)?.by == self.by => last.sequence,
                _ => return Err(SurveyError::Queue(format!("another worker has lane {}", self.lane))),
            },
        };
        let mut state = self.state();
        (state.holder, state.memory) = (sequence, record.memory);
        Ok(())
    }

    async fn write(&self, id: ShardId, entry: &JournalEntry) -> Result<u64, SurveyError> {
        self.write_encoded(id, entry.encode()?).await
    }

    async fn write_encoded(&self, id: ShardId, octets: Bytes) -> Result<u64, SurveyError> {
        match self.run.publish(&self.subject("journal", id), octets, None).await? {
            Published::At(sequence) => Ok(sequence),
            Published::Refused => Err(SurveyError::Queue(format!("the journal of shard {id} is full"))),
        }
    }

    /// Reads a shard, and what workers have done with it.
    async fn read(&self, id: ShardId) -> Result<Claim, SurveyError> {
        let subject = self.subject("shard", id);
        let shard = self.run.last(&subject).await?;
        let shard = shard.ok_or_else(|| SurveyError::Queue(format!("{subject} is missing")))?;
        let text = decompress(&subject, &shard.payload)?;
        let targets = text.split(|it| *it == b'\n').filter(|line| !line.is_empty());
        let targets = targets.map(|line| String::from_utf8_lossy(line).into_owned()).collect();

        let subject = self.subject("journal", id);
        let (mut done, mut messages, mut suspects) = (HashSet::new(), Vec::new(), HashSet::new());
        let (mut starts, mut from) = (1_u32, 1);
        while let Some(message) = self.run.first(&subject, from).await? {
            from = message.sequence + 1;
            match JournalEntry::decode(&subject, &message.payload)? {
                JournalEntry::Started => {
                    starts = starts.saturating_add(1);
                    suspects.clear();
                }
                JournalEntry::Target(key) => suspects.extend([key]),
                JournalEntry::PutBack => {
                    starts = 1;
                    suspects.clear();
                }
                JournalEntry::Records(records) => {
                    starts = 1;
                    messages.push(message.sequence);
                    suspects.retain(|key| !records.iter().any(|it| it.key == *key));
                    done.extend(records.into_iter().map(|it| it.key));
                }
            }
        }
        Ok(Claim {
            stage: self.stage,
            shard: id,
            targets,
            done,
            starts,
            journal: Journal::Messages(messages, suspects),
        })
    }

    /// Writes records into the journal, in messages that are small enough.
    async fn write_records(
        &self,
        id: ShardId,
        mut records: Vec<TargetRecord>,
    ) -> Result<Vec<u64>, SurveyError> {
        let mut parts = Vec::new();
        let mut written = Vec::new();
        loop {
            let octets = JournalEntry::Records(records.clone()).encode()?;
            if octets.len() > MAX_MESSAGE {
                match records.as_mut_slice() {
                    // The row shows what was found; the evidence would not fit.
                    [record] if !record.evidence.is_empty() => record.evidence.clear(),
                    [_] => return Err(SurveyError::Queue(format!("a record of shard {id} is too large"))),
                    more => {
                        let half = more.len() / 2;
                        parts.push(records.split_off(half));
                    }
                }
                continue;
            }
            written.push(self.write_encoded(id, octets).await?);
            match parts.pop() {
                Some(next) => records = next,
                None => return Ok(written),
            }
        }
    }
}

impl Queue for NatsLane {
    async fn enter(&self) -> Result<Duration, SurveyError> {
        let subject = self.holder_subject();
        let (before, expected) = match self.run.last(&subject).await? {
            Some(last) => (parse(&subject, &last.payload)?, last.sequence),
            None => (HolderRecord::default(), 0),
        };
        self.hold(true, expected, before.memory).await?;
        // After that, because the previous holder may write results until it reads this.
        let planned = self.run.shards("shard", self.stage, self.lane).await?;
        let done: HashSet<_> = self.run.shards("result", self.stage, self.lane).await?.into_iter().collect();
        self.state().open = planned.into_iter().filter(|it| !done.contains(it)).collect();
        Ok(if before.holds { self.run.lease / 2 } else { Duration::ZERO })
    }

    async fn claim(&self, _: Stage, _: u16) -> Result<Option<Claim>, SurveyError> {
        let next = {
            let mut state = self.state();
            // Each holder works on one shard at least, so that lanes with long shards get done.
            let is_over =
                std::mem::replace(&mut state.has_claimed, true) && state.since.elapsed() > self.longest;
            if is_over { None } else { state.open.pop_front() }
        };
        match next {
            Some(id) => self.read(id).await.map(Some),
            None => Ok(None),
        }
    }

    async fn start(&self, claim: &Claim) -> Result<(), SurveyError> {
        self.write(claim.shard, &JournalEntry::Started).await.map(drop)
    }

    async fn start_target(&self, claim: &Claim, key: &str) -> Result<(), SurveyError> {
        self.write(claim.shard, &JournalEntry::Target(key.to_owned())).await.map(drop)
    }

    fn suspects(&self, claim: &Claim) -> Result<HashSet<String>, SurveyError> {
        match &claim.journal {
            Journal::Messages(_, suspects) => Ok(suspects.clone()),
            Journal::File(_) => Ok(HashSet::new()),
        }
    }

    async fn save(&self, claim: &mut Claim, records: Vec<TargetRecord>) -> Result<(), SurveyError> {
        if records.is_empty() {
            return Ok(());
        }
        let keys: Vec<_> = records.iter().map(|it| it.key.clone()).collect();
        let written = self.write_records(claim.shard, records).await?;
        if let Journal::Messages(messages, _) = &mut claim.journal {
            messages.extend(written);
        }
        claim.done.extend(keys);
        Ok(())
    }

    async fn finish(&self, claim: Claim) -> Result<(), SurveyError> {
        let Journal::Messages(messages, _) = &claim.journal else { return Ok(()) };
        // If it is refused, the shard has a result.
        self.run.publish(&self.subject("result", claim.shard), json(messages).into(), Some(0)).await.map(drop)
    }

    async fn put_back(&self, claim: Claim) -> Result<(), SurveyError> {
        self.state().open.push_front(claim.shard);
        // An orderly end says nothing about the targets.
        self.write(claim.shard, &JournalEntry::PutBack).await.map(drop)
    }

    async fn progress(&self) -> Result<bool, SurveyError> {
        let subject = self.holder_subject();
        let last = self.run.records.get_last_raw_message_by_subject(&subject).await;
        let last = last.map_err(|error| failed("the queue does not answer", error))?;
        if last.sequence != self.state().holder {
            return Ok(false);
        }
        let sent = self.message.double_ack_with(AckKind::Progress).await;
        sent.map(|()| true).map_err(|error| failed("the queue does not answer", error))
    }

    fn lease(&self) -> Option<Duration> {
        Some(self.run.lease)
    }

    async fn throttled(&self, _: u16) -> Result<ThrottleMemory, SurveyError> {
        Ok(self.state().memory.clone())
    }

    async fn remember(&self, _: u16, memory: ThrottleMemory) -> Result<(), SurveyError> {
        let expected = self.state().holder;
        self.hold(true, expected, memory).await
    }

    async fn leave(&self) -> Result<(), SurveyError> {
        let (expected, memory, is_done) = {
            let state = self.state();
            (state.holder, state.memory.clone(), state.open.is_empty())
        };
        self.hold(false, expected, memory).await?;
        // Without this answer, the server gives the lane to another worker after the lease.
        let answered = self.message.double_ack().await;
        answered.map_err(|error| failed("cannot give a lane back", error))?;
        // The message that a worker does not want would be delivered before those that none has got yet. A new one is the last.
        if is_done { Ok(()) } else { self.run.offer_lane(self.stage, self.lane).await }
    }
}
