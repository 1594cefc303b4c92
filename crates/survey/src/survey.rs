//! A whole survey: every stage, one after the other.

#[cfg(feature = "nats")]
use std::collections::BTreeSet;
use std::io::BufRead;
use std::sync::Arc;
use std::time::Duration;

use starttls_x509::validity;
use tokio::sync::watch;

use crate::error::SurveyError;
use crate::event::SurveyEvent;
#[cfg(feature = "nats")]
use crate::folder::ShardId;
use crate::folder::{RunFolder, Stage, StagePlan};
use crate::join::{JoinSummary, join};
use crate::monitor::Monitor;
#[cfg(feature = "nats")]
use crate::monitor::QueueOperation;
use crate::network::AsTable;
use crate::planning::{plan_addresses, plan_probe, plan_resolve, plan_retry};
use crate::queue::FilesQueue;
#[cfg(feature = "nats")]
use crate::queue::NatsRun;
use crate::settings::RunSettings;
use crate::suffix::Suffixes;
use crate::surveyor::{Resources, Surveyor};

/// A survey.
#[derive(Debug)]
pub struct Survey {
    /// The folder of the run.
    pub run: RunFolder,
    /// The settings of the run.
    pub settings: RunSettings,
    /// Who works on the shards.
    pub workers: Workers,
    /// The registrable suffixes of names.
    pub suffixes: Suffixes,
    /// The networks of addresses.
    pub networks: AsTable,
    /// The progress.
    pub monitor: Arc<Monitor>,
    /// Whether the survey ends before the first connection to a server, with everything planned.
    pub plan_only: bool,
    /// Whether the survey has to end.
    pub stop: watch::Receiver<bool>,
}

/// Who works on the shards of a survey.
#[derive(Debug)]
pub enum Workers {
    /// This process.
    Here(Box<Surveyor>),
    /// The processes that take lanes from a queue. This one publishes what is planned, and writes the results into the folder.
    #[cfg(feature = "nats")]
    Queue(Box<NatsRun>),
}

/// How a survey ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SurveyEnd {
    /// All stages are done, and their results are joined.
    Finished(JoinSummary),
    /// Everything is planned, and no server was connected to.
    Planned(StagePlan),
    /// The survey had to end. The results so far are kept.
    Stopped,
}

impl Survey {
    /// Runs the stages that have no results yet, and joins the results. `input` is the list of domains, which is read if the run
    /// does not have it yet; `note` is told what happens; `before_probe` is asked before the first connection to a server.
    ///
    /// # Errors
    /// If a file cannot be read or written, or the folder contains another run.
    pub async fn run<R: BufRead>(
        &self,
        input: impl FnOnce() -> Result<R, SurveyError>,
        note: &mut (dyn FnMut(SurveyEvent) + Send),
        before_probe: impl Future<Output = Result<(), SurveyError>>,
    ) -> Result<SurveyEnd, SurveyError> {
        let place = self.place().await?;

        if self.run.stage(Stage::Resolve)?.is_none() {
            let plan = plan_resolve(&self.run, &self.settings, input()?)?;
            note(SurveyEvent::Planned(Stage::Resolve, plan));
        }
        if !self.stage(Stage::Resolve, &place, note).await? {
            return Ok(SurveyEnd::Stopped);
        }

        if self.run.stage(Stage::Addresses)?.is_none() {
            let plan = plan_addresses(&self.run, &self.settings)?;
            note(SurveyEvent::Planned(Stage::Addresses, plan));
        }
        if !self.stage(Stage::Addresses, &place, note).await? {
            return Ok(SurveyEnd::Stopped);
        }

        if self.run.stage(Stage::Probe(1))?.is_none() {
            let plan = plan_probe(&self.run, &self.settings, &self.suffixes, &self.networks)?;
            note(SurveyEvent::Planned(Stage::Probe(1), plan));
        }
        if self.plan_only {
            return Ok(SurveyEnd::Planned(self.run.stage(Stage::Probe(1))?.unwrap_or_default()));
        }
        before_probe.await?;
        let passes = u8::try_from(self.settings.retry_after.len()).unwrap_or(u8::MAX).saturating_add(1);
        for pass in 1..=passes {
            let stage = Stage::Probe(pass);
            if self.run.stage(stage)?.is_none() {
                let plan = plan_retry(&self.run, &self.settings, pass)?;
                note(SurveyEvent::Planned(stage, plan));
            }
            if !self.is_due(stage, note).await? {
                return Ok(SurveyEnd::Stopped);
            }
            if !self.stage(stage, &place, note).await? {
                return Ok(SurveyEnd::Stopped);
            }
        }
        #[cfg(feature = "nats")]
        if let Workers::Queue(queue) = &self.workers {
            queue.end().await?;
        }
        Ok(SurveyEnd::Finished(join(&self.run, &self.suffixes)?))
    }

    /// Gets the right to work on the run.
    async fn place(&self) -> Result<Place, SurveyError> {
        let queue = Arc::new(FilesQueue::new(&self.run)?);
        self.run.begin(&self.settings)?;
        let resources = match &self.workers {
            Workers::Here(surveyor) => Some(surveyor.resources()?),
            #[cfg(feature = "nats")]
            Workers::Queue(on_queue) => {
                on_queue.bind(&self.run, &self.settings).await?;
                None
            }
        };
        Ok(Place { queue, resources })
    }

    /// Waits until a stage is due. Returns whether it is; otherwise the survey has to end.
    async fn is_due(
        &self,
        stage: Stage,
        note: &mut (dyn FnMut(SurveyEvent) + Send),
    ) -> Result<bool, SurveyError> {
        let plan = self.run.stage(stage)?.unwrap_or_default();
        let wait = u64::try_from(plan.due_unix.saturating_sub(validity::now())).unwrap_or_default();
        if wait > 0 && plan.targets > 0 {
            let wait = Duration::from_secs(wait);
            note(SurveyEvent::Waiting(stage, wait));
            let mut stop = self.stop.clone();
            tokio::select! {
                () = tokio::time::sleep(wait) => {}
                _ = stop.wait_for(|it| *it) => {}
            }
        }
        Ok(!*self.stop.borrow())
    }

    /// Gets the results of a stage, and returns whether it has all of them.
    async fn stage(
        &self,
        stage: Stage,
        place: &Place,
        note: &mut (dyn FnMut(SurveyEvent) + Send),
    ) -> Result<bool, SurveyError> {
        let plan = self.run.stage(stage)?.unwrap_or_default();
        let lanes = place.queue.open(stage)?;
        if lanes.is_empty() {
            return Ok(true);
        }
        let done = self.run.done(stage)?.len() as u64;
        let done = plan.targets * done / plan.shards.max(1);
        self.monitor.begin(stage, plan.targets, done, plan.floor());
        note(SurveyEvent::Begun(stage));
        match (&self.workers, &place.resources) {
            (Workers::Here(surveyor), Some(resources)) => {
                surveyor.work(stage, lanes, &place.queue, resources).await?;
            }
            (Workers::Here(_), None) => {}
            #[cfg(feature = "nats")]
            (Workers::Queue(queue), _) => self.collect(stage, queue, note).await?,
        }
        // What is done is what has a result, not what the worker believes.
        let is_done = self.run.planned(stage)? == self.run.done(stage)?;
        if is_done {
            note(SurveyEvent::Finished(stage));
        }
        Ok(is_done)
    }

    /// Offers a stage to the workers of a queue, and writes their results into the folder, until it has all of them or the survey has
    /// to end. A queue that fails is tried again: its server may be starting.
    #[cfg(feature = "nats")]
    async fn collect(
        &self,
        stage: Stage,
        queue: &NatsRun,
        note: &mut (dyn FnMut(SurveyEvent) + Send),
    ) -> Result<(), SurveyError> {
        let mut stop = self.stop.clone();
        let (mut is_published, mut has_failed) = (false, false);
        let done = self.run.done(stage)?;
        let mut open = self.run.planned(stage)?.into_iter().filter(|it| !done.contains(it)).collect();
        while !*stop.borrow() {
            let began = std::time::Instant::now();
            match self.collect_once(stage, queue, &mut open, &mut is_published).await {
                Ok(()) if open.is_empty() => return Ok(()),
                Ok(()) => has_failed = false,
                Err(SurveyError::Queue(why)) => {
                    self.monitor.queue_failed(QueueOperation::Collect);
                    if !std::mem::replace(&mut has_failed, true) {
                        note(SurveyEvent::QueueFailed(why));
                    }
                }
                Err(error) => return Err(error),
            }
            tokio::select! {
                () = tokio::time::sleep(COLLECT_AFTER.max(began.elapsed())) => {}
                _ = stop.wait_for(|it| *it) => {}
            }
        }
        Ok(())
    }

    #[cfg(feature = "nats")]
    async fn collect_once(
        &self,
        stage: Stage,
        queue: &NatsRun,
        open: &mut BTreeSet<ShardId>,
        is_published: &mut bool,
    ) -> Result<(), SurveyError> {
        if !*is_published {
            queue.publish_stage(&self.run, stage).await?;
            *is_published = true;
        }
        for (word, rows) in queue.collect(&self.run, stage, open).await? {
            self.monitor.collected(stage, word, rows);
        }
        // A lane is missing if it was never offered, or if the server has lost it.
        queue.offer(stage, &open.iter().map(|it| it.lane).collect()).await
    }
}

/// The right to work on a run, and what the lanes of this process share.
struct Place {
    queue: Arc<FilesQueue>,
    resources: Option<Resources>,
}

/// The wait between two looks at the results of a queue. It is longer if a look takes longer, so that a large run does not keep the
/// server busy.
#[cfg(feature = "nats")]
const COLLECT_AFTER: Duration = Duration::from_millis(500);
