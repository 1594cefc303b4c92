//! Works on the shards of a stage: one task for each lane, and within a lane as many targets at once as its budgets permit.

use std::collections::{HashMap, VecDeque};
use std::fmt;
use std::net::IpAddr;
use std::pin::{Pin, pin};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use serde::de::DeserializeOwned;
use starttls_audit::DialGate;
use starttls_x509::validity;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio::task::{Id, JoinSet};

use crate::budget::{BudgetKeys, Budgets, DialAdmission, Pace};
use crate::error::SurveyError;
use crate::files::json;
use crate::folder::Stage;
use crate::monitor::{Monitor, QueueOperation, Timed};
use crate::network::subnet;
use crate::queue::{CAUTIOUS_STARTS, Claim, FATAL_STARTS, Queue, RECORDED_STARTS, TargetRecord};

/// Results are kept together, at most this many.
const SAVED_TOGETHER: usize = 16;

/// Results are not kept in memory for longer than this.
const SAVE_AFTER: Duration = Duration::from_millis(500);

/// A target whose subnet is left alone for longer than this is left to the next pass.
const PATIENCE: Duration = Duration::from_secs(5);

/// What is done with the targets of a stage.
pub(crate) trait Job: Send + Sync + 'static {
    /// A target.
    type Target: DeserializeOwned + Send + Sync + 'static;

    /// Returns the key of a target, which its record has too.
    fn key(&self, target: &Self::Target) -> String;

    /// Returns the address that is dialed, and the budgets that a connection to it uses. Without an address there are none.
    fn budgets(&self, target: &Self::Target) -> Option<(IpAddr, BudgetKeys)>;

    /// Returns the record of a target that must not be worked on.
    fn refuse(&self, target: &Self::Target) -> Option<Done>;

    /// Returns the record of a target that was not worked on, and why.
    fn skip(&self, target: &Self::Target, why: Skipped) -> Done;

    /// Works on a target. Each connection needs the permission of the gate.
    fn run(&self, target: Arc<Self::Target>, gate: Option<LaneGate>) -> impl Future<Output = Done> + Send;
}

/// Why a target was not worked on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Skipped {
    /// Its subnet turned the survey away.
    Paused,
    /// The program ended several times while it worked on this target alone.
    Crashed,
}

/// The result of a target.
#[derive(Debug)]
pub(crate) struct Done {
    /// The record.
    pub(crate) record: TargetRecord,
    /// The kind of result, for the metrics.
    pub(crate) word: &'static str,
    /// What the server did.
    pub(crate) contact: Contact,
    /// How long its steps took, for the metrics.
    pub(crate) steps: Vec<(Timed, Duration)>,
}

/// What a server did, for the budgets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Contact {
    /// It served the client.
    Served,
    /// It turned the client away.
    TurnedAway,
    /// It closed the connection without a message. That is a limit if the subnet has served clients before.
    Closed,
    /// Neither.
    Other,
}

/// What all lanes of a worker share.
#[derive(Clone, Debug)]
pub(crate) struct Shared {
    /// The budgets.
    pub(crate) pace: Pace,
    /// The places for targets in work.
    pub(crate) places: Arc<Semaphore>,
    /// The number of places. A target that has all of them is alone in the process.
    pub(crate) all_places: u32,
    /// The progress.
    pub(crate) monitor: Arc<Monitor>,
    /// Whether the worker has to end.
    pub(crate) stop: watch::Receiver<bool>,
}

/// Works on these lanes of a stage until they have no more shards, or until the worker has to end.
///
/// # Errors
/// The first error of the queue. The other lanes end as if the worker had to end.
pub(crate) async fn work<J: Job, Q: Queue>(
    stage: Stage,
    lanes: impl IntoIterator<Item = u16>,
    job: &Arc<J>,
    queue: &Arc<Q>,
    shared: &Shared,
) -> Result<(), SurveyError> {
    let mut running = JoinSet::new();
    let mut failed = None;
    for lane in lanes {
        let lane = LaneWorker {
            lease: Lease::new(queue.lease()),
            stage,
            lane,
            job: Arc::clone(job),
            queue: Arc::clone(queue),
            shared: shared.clone(),
            budgets: LaneBudgets::new(shared.pace),
        };
        running.spawn(lane.run());
    }
    while let Some(ended) = running.join_next().await {
        let ended = ended.unwrap_or_else(|error| Err(SurveyError::Queue(format!("a lane ended: {error}"))));
        if let Err(error) = ended {
            failed.get_or_insert(error);
            running.abort_all();
        }
    }
    failed.map_or(Ok(()), Err)
}

/// The budgets of a lane, with a clock.
#[derive(Clone, Debug)]
struct LaneBudgets {
    budgets: Arc<Mutex<Budgets>>,
    started: Instant,
}

impl LaneBudgets {
    fn new(pace: Pace) -> Self {
        Self { budgets: Arc::new(Mutex::new(Budgets::new(pace))), started: Instant::now() }
    }

    fn now(&self) -> Duration {
        self.started.elapsed()
    }

    fn lock(&self) -> MutexGuard<'_, Budgets> {
        self.budgets.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn at(&self, time: Duration) -> tokio::time::Instant {
        (self.started + time).into()
    }
}

/// The gate of one target: its first connection was admitted when it was started, and each further one waits for the budgets.
#[derive(Clone)]
pub(crate) struct LaneGate {
    budgets: LaneBudgets,
    keys: Arc<BudgetKeys>,
    is_first: Arc<AtomicBool>,
    lease: Lease,
}

impl fmt::Debug for LaneGate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LaneGate").finish_non_exhaustive()
    }
}

impl DialGate for LaneGate {
    fn admit(&self) -> Pin<Box<dyn Future<Output = ()> + Send + '_>> {
        Box::pin(async {
            loop {
                if !self.lease.is_held() {
                    // Another worker may dial this network by now. This target is about to be dropped.
                    return std::future::pending().await;
                }
                let is_first = self.is_first.load(Ordering::Relaxed);
                let admission = {
                    let mut budgets = self.budgets.lock();
                    let now = self.budgets.now();
                    if is_first {
                        budgets.dial(now, &self.keys)
                    } else {
                        budgets.admit_again(now, &self.keys)
                    }
                };
                match admission {
                    DialAdmission::At(time) => tokio::time::sleep_until(self.budgets.at(time)).await,
                    _ => {
                        self.is_first.store(false, Ordering::Relaxed);
                        return;
                    }
                }
            }
        })
    }
}

struct LaneWorker<J, Q> {
    stage: Stage,
    lane: u16,
    job: Arc<J>,
    queue: Arc<Q>,
    shared: Shared,
    budgets: LaneBudgets,
    lease: Lease,
}

/// A target that waits for its turn, or that is in work.
struct Pending<T> {
    target: Arc<T>,
    keys: Option<(IpAddr, Arc<BudgetKeys>)>,
}

/// What can be done next with the targets that wait.
enum Next {
    /// The target at this index is started; its connection counts already.
    Start(usize),
    /// The target at this index is left to the next pass.
    Leave(usize),
    /// Nothing before this time.
    Wait(Duration),
    /// Nothing before another target has ended.
    WaitForEnd,
    /// Nothing before another lane gives up a place.
    WaitForPlace,
}

/// The targets of a shard that are in work.
struct Running<T> {
    tasks: JoinSet<Done>,
    by_task: HashMap<Id, (Pending<T>, Instant)>,
}

impl<J: Job, Q: Queue> LaneWorker<J, Q> {
    async fn run(self) -> Result<(), SurveyError> {
        let monitor = &self.shared.monitor;
        let since = Instant::now();
        monitor.lane(self.stage, self.lane, true);
        let result = self.shards().await;
        monitor.lane(self.stage, self.lane, false);
        monitor.took(Timed::LaneHold, since.elapsed());
        result
    }

    /// Waits for an operation of the queue, and counts a failure.
    async fn counted<T>(
        &self,
        name: QueueOperation,
        operation: impl Future<Output = Result<T, SurveyError>>,
    ) -> Result<T, SurveyError> {
        let result = operation.await;
        if result.is_err() {
            self.shared.monitor.queue_failed(name);
        }
        result
    }

    async fn shards(&self) -> Result<(), SurveyError> {
        let after_holder = self.counted(QueueOperation::Enter, self.queue.enter()).await?;
        let memory = self.queue.throttled(self.lane).await?;
        self.budgets.lock().remember(self.budgets.now(), validity::now(), &memory);
        let mut is_new_holder = matches!(self.stage, Stage::Probe(_));
        while !*self.shared.stop.borrow() {
            let claim = self.queue.claim(self.stage, self.lane);
            let Some(claim) = self.counted(QueueOperation::Claim, claim).await? else { break };
            if std::mem::take(&mut is_new_holder) {
                // The previous holder may have used every budget until a moment ago.
                self.wait(after_holder + self.shared.pace.longest_interval()).await;
            }
            if !self.shard(claim).await? {
                self.shared.monitor.queue_failed(QueueOperation::Hold);
                return Ok(());
            }
            let now = self.budgets.now();
            let memory = {
                let mut budgets = self.budgets.lock();
                budgets.forget_idle(now);
                self.shared.monitor.paused(self.lane, budgets.paused(now) as u64);
                budgets.memory(now, validity::now())
            };
            if !memory.is_empty() {
                self.counted(QueueOperation::Remember, self.queue.remember(self.lane, memory)).await?;
            }
        }
        self.counted(QueueOperation::Leave, self.queue.leave()).await
    }

    /// Waits, and keeps the lane meanwhile. It ends early if the worker has to end or has lost the lane.
    async fn wait(&self, time: Duration) {
        let until = tokio::time::Instant::now() + time;
        let mut stop = self.shared.stop.clone();
        while self.lease.is_held() {
            tokio::select! {
                () = async { drop(stop.wait_for(|it| *it).await) } => return,
                () = self.lease.due() => self.lease.renew(self.queue.progress()).await,
                () = tokio::time::sleep_until(until) => return,
            }
        }
    }

    /// Waits for an operation of the queue, and keeps the lane meanwhile. Returns `None` if the worker has lost the lane: a queue that
    /// does not answer must not keep the worker from ending its connections in time.
    async fn held<T>(
        &self,
        name: QueueOperation,
        operation: impl Future<Output = Result<T, SurveyError>>,
    ) -> Result<Option<T>, SurveyError> {
        let mut operation = pin!(self.counted(name, operation));
        while self.lease.is_held() {
            tokio::select! {
                done = &mut operation => return done.map(Some),
                () = self.lease.due() => self.lease.renew(self.queue.progress()).await,
            }
        }
        Ok(None)
    }

    /// Works on a shard. Returns whether the worker still holds the lane.
    async fn shard(&self, mut claim: Claim) -> Result<bool, SurveyError> {
        let mut pending = self.pending(&claim)?;
        let mut waiting: Vec<TargetRecord> = Vec::new();
        // A target that is not dialed needs no budget.
        pending.retain(|it| match self.job.refuse(&it.target) {
            Some(refused) => {
                waiting.push(self.count(refused, Duration::ZERO));
                false
            }
            None => true,
        });
        // So many targets at the front are probed in their order, each alone in the process. If the program ends again, it was that
        // target, and no target of another lane is suspected with it.
        let mut alone = self.suspects_first(&claim, &mut pending)?;
        if claim.starts >= FATAL_STARTS
            && alone > 0
            && let Some(fatal) = pending.pop_front()
        {
            alone -= 1;
            waiting.push(self.count(self.job.skip(&fatal.target, Skipped::Crashed), Duration::ZERO));
            // The others are not suspected for what this target did.
            claim.starts = 1;
        }
        if !waiting.is_empty() {
            let saved = self.queue.save(&mut claim, std::mem::take(&mut waiting));
            self.counted(QueueOperation::Save, saved).await?;
        }
        let mut running = Running { tasks: JoinSet::new(), by_task: HashMap::new() };
        let mut save_at = Instant::now() + SAVE_AFTER;
        let mut stop = self.shared.stop.clone();
        let (mut place, mut has_started) = (None, false);
        // It is kept between rounds, so that other lanes do not overtake it again and again.
        let mut place_to_come = None;
        loop {
            if !self.lease.is_held() {
                // Another worker may dial these networks by now. The end of `running` ends its tasks.
                return Ok(false);
            }
            let is_stopped = *stop.borrow_and_update();
            if running.tasks.is_empty() && (pending.is_empty() || is_stopped) {
                break;
            }
            let is_alone = alone > 0;
            let (at_once, places) = if is_alone { (1, self.shared.all_places) } else { (usize::MAX, 1) };
            let may_start = !is_stopped && !pending.is_empty() && running.tasks.len() < at_once;
            if !may_start {
                place_to_come = None;
            } else if place.is_none() && place_to_come.is_none() {
                place = Arc::clone(&self.shared.places).try_acquire_many_owned(places).ok();
            }
            let next = match (may_start, place.is_some()) {
                (true, true) => self.next(&pending, at_once),
                (true, false) => Next::WaitForPlace,
                (false, _) => Next::WaitForEnd,
            };
            match next {
                Next::Start(index) => {
                    if !std::mem::replace(&mut has_started, true)
                        && self.held(QueueOperation::Start, self.queue.start(&claim)).await?.is_none()
                    {
                        return Ok(false);
                    }
                    if let (Some(it), Some(place)) = (pending.remove(index), place.take()) {
                        let key = self.job.key(&it.target);
                        let started = self.queue.start_target(&claim, &key);
                        if claim.starts >= RECORDED_STARTS
                            && self.held(QueueOperation::Start, started).await?.is_none()
                        {
                            return Ok(false);
                        }
                        self.start(it, place, &mut running);
                    }
                }
                Next::Leave(index) => {
                    let left = pending.remove(index).map(|it| self.job.skip(&it.target, Skipped::Paused));
                    waiting.extend(left.map(|done| self.count(done, Duration::ZERO)));
                    alone = alone.saturating_sub(1);
                }
                Next::Wait(_) | Next::WaitForEnd | Next::WaitForPlace => {
                    // Other lanes may use the place meanwhile.
                    place = None;
                    let wake = match next {
                        Next::Wait(time) => self.budgets.started + time,
                        _ => Instant::now() + Duration::from_secs(3600),
                    };
                    let wake = if waiting.is_empty() { wake } else { wake.min(save_at) };
                    tokio::select! {
                        biased;
                        Some(ended) = running.tasks.join_next_with_id(), if !running.tasks.is_empty() => {
                            waiting.extend(self.ended(ended, &mut running));
                            alone = alone.saturating_sub(1);
                        }
                        free = async {
                            let all = || Box::pin(Arc::clone(&self.shared.places).acquire_many_owned(places));
                            place_to_come.get_or_insert_with(all).await
                        }, if matches!(next, Next::WaitForPlace) => {
                            place_to_come = None;
                            place = free.ok();
                        }
                        changed = stop.changed(), if !is_stopped => {
                            if changed.is_err() {
                                // The owner of the worker is gone, and the runtime will be.
                                break;
                            }
                        }
                        () = self.lease.due() => self.lease.renew(self.queue.progress()).await,
                        () = tokio::time::sleep_until(wake.into()) => {}
                    }
                }
            }
            // The next target after one that was alone may end the program.
            let is_due = is_alone || waiting.len() >= SAVED_TOGETHER || Instant::now() >= save_at;
            if !waiting.is_empty() && is_due {
                let saved = self.queue.save(&mut claim, std::mem::take(&mut waiting));
                if self.held(QueueOperation::Save, saved).await?.is_none() {
                    return Ok(false);
                }
                save_at = Instant::now() + SAVE_AFTER;
            }
        }
        self.counted(QueueOperation::Save, self.queue.save(&mut claim, waiting)).await?;
        if pending.is_empty() {
            self.counted(QueueOperation::Finish, self.queue.finish(claim)).await?;
        } else {
            self.counted(QueueOperation::Leave, self.queue.put_back(claim)).await?;
        }
        Ok(true)
    }

    /// Reads the targets of a shard that have no result yet.
    fn pending(&self, claim: &Claim) -> Result<VecDeque<Pending<J::Target>>, SurveyError> {
        let mut pending = VecDeque::with_capacity(claim.targets.len());
        for line in &claim.targets {
            let target: J::Target = serde_json::from_str(line).map_err(|error| {
                SurveyError::Queue(format!("shard {}: a target has another form: {error}", claim.shard))
            })?;
            if !claim.done.contains(&self.job.key(&target)) {
                let keys = self.job.budgets(&target).map(|(address, keys)| (address, Arc::new(keys)));
                pending.push_back(Pending { target: Arc::new(target), keys });
            }
        }
        Ok(pending)
    }

    /// Moves the targets to the front that may have ended the program, and returns their number.
    fn suspects_first(
        &self,
        claim: &Claim,
        pending: &mut VecDeque<Pending<J::Target>>,
    ) -> Result<usize, SurveyError> {
        if claim.starts < CAUTIOUS_STARTS {
            return Ok(0);
        }
        let keys = self.queue.suspects(claim)?;
        let is_suspect = |it: &Pending<J::Target>| keys.contains(&self.job.key(&it.target));
        pending.make_contiguous().sort_by_key(|it| !is_suspect(it));
        Ok(pending.iter().take_while(|it| is_suspect(it)).count())
    }

    /// Returns what can be done next with the first targets of those that wait. A target that may be started uses its budgets from now
    /// on.
    fn next(&self, pending: &VecDeque<Pending<J::Target>>, first: usize) -> Next {
        let now = self.budgets.now();
        let mut budgets = self.budgets.lock();
        let mut wake = None;
        for (index, it) in pending.iter().enumerate().take(first) {
            let Some((_, keys)) = &it.keys else { return Next::Start(index) };
            match budgets.admit(now, keys) {
                DialAdmission::Now => return Next::Start(index),
                DialAdmission::Paused(until) if until > now + PATIENCE => return Next::Leave(index),
                DialAdmission::At(time) | DialAdmission::Paused(time) => {
                    wake = Some(wake.map_or(time, |known: Duration| known.min(time)));
                }
                DialAdmission::Full => {}
            }
        }
        wake.map_or(Next::WaitForEnd, Next::Wait)
    }

    fn start(&self, it: Pending<J::Target>, place: OwnedSemaphorePermit, running: &mut Running<J::Target>) {
        self.shared.monitor.started();
        let gate = it.keys.as_ref().map(|(_, keys)| LaneGate {
            budgets: self.budgets.clone(),
            keys: Arc::clone(keys),
            is_first: Arc::new(AtomicBool::new(true)),
            lease: self.lease.clone(),
        });
        let (job, of_task) = (Arc::clone(&self.job), Arc::clone(&it.target));
        let task = running.tasks.spawn(async move {
            let refused = job.refuse(&of_task);
            let done = match refused {
                Some(refused) => refused,
                None => job.run(of_task, gate).await,
            };
            drop(place);
            done
        });
        running.by_task.insert(task.id(), (it, Instant::now()));
    }

    fn ended(
        &self,
        ended: Result<(Id, Done), tokio::task::JoinError>,
        running: &mut Running<J::Target>,
    ) -> Option<TargetRecord> {
        self.shared.monitor.ended();
        let (id, done) = match ended {
            Ok((id, done)) => (id, Some(done)),
            Err(error) => (error.id(), None),
        };
        let (Pending { target, keys }, started) = running.by_task.remove(&id)?;
        // A panic is a bug of ours, and must not hide the other targets.
        let done = done.unwrap_or_else(|| self.job.skip(&target, Skipped::Crashed));
        if let Some((address, keys)) = keys {
            let (now, subnet) = (self.budgets.now(), subnet(address));
            let mut budgets = self.budgets.lock();
            budgets.release(&keys);
            match done.contact {
                Contact::Served => budgets.served(subnet),
                Contact::TurnedAway => budgets.throttled(now, subnet),
                Contact::Closed if budgets.has_served(subnet) => budgets.throttled(now, subnet),
                Contact::Closed | Contact::Other => {}
            }
        }
        Some(self.count(done, started.elapsed()))
    }

    fn count(&self, done: Done, took: Duration) -> TargetRecord {
        let monitor = &self.shared.monitor;
        monitor.result(self.stage, done.word);
        for (timed, time) in [(Timed::Target, took)].into_iter().chain(done.steps) {
            monitor.took(timed, time);
        }
        done.record
    }
}

/// The worker's right to a lane, by its own clock.
#[derive(Clone, Debug)]
struct Lease {
    limit: Option<Duration>,
    times: Arc<Mutex<LeaseTimes>>,
}

#[derive(Debug)]
struct LeaseTimes {
    /// When the worker sent the last sign of life that was answered.
    renewed: Instant,
    next: Instant,
    is_lost: bool,
}

impl Lease {
    fn new(limit: Option<Duration>) -> Self {
        let now = Instant::now();
        let times = LeaseTimes { renewed: now, next: now + limit.unwrap_or_default() / 6, is_lost: false };
        Self { limit, times: Arc::new(Mutex::new(times)) }
    }

    fn times(&self) -> MutexGuard<'_, LeaseTimes> {
        self.times.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns whether the worker still holds the lane. After half of the limit without an answer it acts as if it does not: the next
    /// holder waits for as long before it dials.
    fn is_held(&self) -> bool {
        let Some(limit) = self.limit else { return true };
        let times = self.times();
        !times.is_lost && times.renewed.elapsed() <= limit / 2
    }

    /// Waits until the next sign of life is due, or the lease has ended.
    async fn due(&self) {
        let Some(limit) = self.limit else { return std::future::pending().await };
        let at = {
            let times = self.times();
            times.next.min(times.renewed + limit / 2 + Duration::from_millis(1))
        };
        tokio::time::sleep_until(at.into()).await;
    }

    /// Sends a sign of life.
    async fn renew(&self, progress: impl Future<Output = Result<bool, SurveyError>>) {
        let Some(limit) = self.limit else { return };
        let asked = Instant::now();
        // Not beyond the end of the lease, which ends the connections of the lane.
        let end = self.times().renewed + limit / 2 + Duration::from_millis(1);
        let answer = tokio::time::timeout_at((asked + limit / 6).min(end).into(), progress).await;
        let mut times = self.times();
        times.next = Instant::now() + limit / 12;
        match answer {
            Ok(Ok(true)) => (times.renewed, times.next) = (asked, asked + limit / 6),
            Ok(Ok(false)) => times.is_lost = true,
            Ok(Err(_)) | Err(_) => {}
        }
    }
}

/// Returns the record of a target with this row.
pub(crate) fn record(key: String, row: &impl serde::Serialize) -> TargetRecord {
    TargetRecord { key, row: json(row), evidence: Vec::new(), certificates: Vec::new() }
}
