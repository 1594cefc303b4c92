//! One process of a survey: whom it asks, how it connects, and how much of both at once.

use std::path::PathBuf;
use std::sync::Arc;

use starttls::proto::Protocol;
use starttls_audit::Audit;
use starttls_dns::{DialPolicy, Stub};
use tokio::sync::{Semaphore, watch};

use crate::error::SurveyError;
use crate::folder::Stage;
use crate::monitor::Monitor;
use crate::opt_out::OptOut;
use crate::queue::Queue;
use crate::settings::RunSettings;
use crate::stage::names::{ResolveAddresses, ResolveDomains};
use crate::stage::probe::{ProbeEndpoints, ProbeOptions};
use crate::worker::{Shared, work};

/// One process of a survey.
#[derive(Debug)]
pub struct Surveyor {
    /// The settings of the run.
    pub settings: RunSettings,
    /// The protocol that the settings name.
    pub protocol: &'static Protocol,
    /// An audit with the trusted roots, the client's name and the route.
    pub audit: Audit,
    /// Whom to ask for names.
    pub stub: Stub,
    /// The addresses that may be dialed.
    pub policy: DialPolicy,
    /// The file with those that opted out.
    pub opt_out: Option<PathBuf>,
    /// The most questions at the same time.
    pub questions: usize,
    /// The most connections at the same time.
    pub connections: usize,
    /// The progress.
    pub monitor: Arc<Monitor>,
    /// Whether the process has to end.
    pub stop: watch::Receiver<bool>,
}

/// What all lanes of a process share.
#[derive(Debug)]
pub(crate) struct Resources {
    questions: (Arc<Semaphore>, u32),
    connections: (Arc<Semaphore>, u32),
    opt_out: Arc<OptOut>,
}

impl Surveyor {
    /// Makes what all lanes of this process share.
    ///
    /// # Errors
    /// If the opt-out list cannot be read.
    pub(crate) fn resources(&self) -> Result<Resources, SurveyError> {
        let places = |count: usize| {
            let count = u32::try_from(count.max(1)).unwrap_or(u32::MAX);
            (Arc::new(Semaphore::new(count as usize)), count)
        };
        Ok(Resources {
            questions: places(self.questions),
            connections: places(self.connections),
            opt_out: Arc::new(OptOut::new(self.opt_out.clone())?),
        })
    }

    /// Works on these lanes of a stage until they have no more shards, or until the process has to end.
    ///
    /// # Errors
    /// The first error of the queue.
    pub(crate) async fn work<Q: Queue>(
        &self,
        stage: Stage,
        lanes: impl IntoIterator<Item = u16>,
        queue: &Arc<Q>,
        resources: &Resources,
    ) -> Result<(), SurveyError> {
        let (places, all_places) =
            if let Stage::Probe(_) = stage { &resources.connections } else { &resources.questions };
        let shared = Shared {
            pace: self.settings.pace,
            places: Arc::clone(places),
            all_places: *all_places,
            monitor: Arc::clone(&self.monitor),
            stop: self.stop.clone(),
        };
        match stage {
            Stage::Resolve => {
                let opt_out = Arc::clone(&resources.opt_out);
                let job = ResolveDomains { stub: self.stub.clone(), opt_out };
                work(stage, lanes, &Arc::new(job), queue, &shared).await
            }
            Stage::Addresses => {
                let job = ResolveAddresses { stub: self.stub.clone() };
                work(stage, lanes, &Arc::new(job), queue, &shared).await
            }
            Stage::Probe(pass) => {
                let job = self.probes(pass, &resources.opt_out)?;
                work(stage, lanes, &Arc::new(job), queue, &shared).await
            }
        }
    }

    fn probes(&self, pass: u8, opt_out: &Arc<OptOut>) -> Result<ProbeEndpoints, SurveyError> {
        let options = ProbeOptions {
            protocol: self.protocol,
            kind: self.settings.probe,
            pass,
            timeout: self.settings.timeout,
            interval: self.settings.pace.longest_interval(),
            evidence: self.settings.evidence,
            policy: self.policy.clone(),
            opt_out: Arc::clone(opt_out),
        };
        ProbeEndpoints::new(&self.audit, options).map_err(|error| SurveyError::Queue(error.to_string()))
    }
}

#[cfg(feature = "nats")]
mod serve {
    use std::collections::BTreeSet;
    use std::time::Duration;

    use tokio::task::JoinSet;

    use super::{Arc, SurveyError, Surveyor};
    use crate::event::{SurveyEvent, WorkerEnd};
    use crate::monitor::QueueOperation;
    use crate::opt_out::OptOut;
    use crate::queue::{NatsLane, NatsRun};

    /// The wait after the queue failed.
    const AFTER_FAILURE: Duration = Duration::from_secs(1);

    /// The opt-out list of the queue is read again after this time.
    const LIST_AGE: Duration = Duration::from_secs(2);

    /// A lane is given back after so many of the longest waits of its budgets, because the next holder has to wait once.
    const INTERVALS_OF_A_HOLDER: u32 = 30;

    /// Reads the opt-out list of the queue again and again. A list that cannot be read stays as it was.
    async fn watch_opt_out(run: NatsRun, opt_out: Arc<OptOut>, mut known: u64) {
        loop {
            tokio::time::sleep(LIST_AGE).await;
            if let Ok(Some((list, sequence))) = run.opt_out_after(known).await {
                opt_out.set_of_queue(list);
                known = sequence;
            }
        }
    }

    impl Surveyor {
        /// Works on the lanes that the queue gives, at most so many at a time, until the run has all of its results or the process has
        /// to end. `note` is told what happens. An error of the queue ends a lane, and not the process.
        ///
        /// # Errors
        /// If an opt-out list cannot be read.
        pub async fn serve(
            self: Arc<Self>,
            run: &NatsRun,
            most_lanes: usize,
            note: &mut (dyn FnMut(SurveyEvent) + Send),
        ) -> Result<WorkerEnd, SurveyError> {
            let resources = Arc::new(self.resources()?);
            // Before the first lane, so that no network is connected to that opted out before this process was started.
            let mut watching = JoinSet::new();
            let known = match run.opt_out_after(0).await? {
                Some((list, sequence)) => {
                    resources.opt_out.set_of_queue(list);
                    sequence
                }
                None => 0,
            };
            // It ends with this function.
            watching.spawn(watch_opt_out(run.clone(), Arc::clone(&resources.opt_out), known));
            let longest = run.lease().max(self.settings.pace.longest_interval() * INTERVALS_OF_A_HOLDER);
            let (mut lanes, mut begun, mut stop) = (JoinSet::new(), BTreeSet::new(), self.stop.clone());
            let mut taking = None;
            loop {
                let is_stopped = *stop.borrow_and_update();
                // A lane that was asked for is waited for: it could arrive after the question was dropped, and then no worker would
                // have it.
                if taking.is_none() && !is_stopped && lanes.len() < most_lanes.max(1) {
                    taking = Some(Box::pin(run.take(longest)));
                }
                if taking.is_none() && lanes.is_empty() {
                    return Ok(WorkerEnd::Stopped);
                }
                let next = async {
                    match &mut taking {
                        Some(taking) => taking.await,
                        None => std::future::pending().await,
                    }
                };
                tokio::select! {
                    taken = next => {
                        taking = None;
                        match taken {
                            Ok(Some(lane)) => {
                                if begun.insert(lane.stage) {
                                    self.begin(run, &lane, note).await;
                                }
                                let (surveyor, resources) = (Arc::clone(&self), Arc::clone(&resources));
                                lanes.spawn(async move {
                                    let (stage, number) = (lane.stage, lane.lane);
                                    surveyor.work(stage, [number], &Arc::new(lane), &resources).await
                                });
                            }
                            Ok(None) => {
                                if lanes.is_empty() && run.has_ended().await.unwrap_or_default() {
                                    return Ok(WorkerEnd::Finished);
                                }
                            }
                            Err(error) => {
                                self.monitor.queue_failed(QueueOperation::Take);
                                note(SurveyEvent::QueueFailed(error.to_string()));
                                tokio::time::sleep(AFTER_FAILURE).await;
                            }
                        }
                    }
                    Some(ended) = lanes.join_next(), if !lanes.is_empty() => {
                        let failed = match ended {
                            Ok(Ok(())) => None,
                            Ok(Err(error)) => Some(error.to_string()),
                            Err(error) => Some(error.to_string()),
                        };
                        failed.into_iter().for_each(|why| note(SurveyEvent::QueueFailed(why)));
                    }
                    changed = stop.changed(), if !is_stopped => {
                        if changed.is_err() {
                            return Ok(WorkerEnd::Stopped);
                        }
                    }
                }
            }
        }

        async fn begin(&self, run: &NatsRun, lane: &NatsLane, note: &mut (dyn FnMut(SurveyEvent) + Send)) {
            // Only the progress needs it.
            let plan = run.stage(lane.stage).await.ok().flatten().unwrap_or_default();
            self.monitor.begin(lane.stage, plan.targets, 0, plan.floor());
            note(SurveyEvent::Begun(lane.stage));
        }
    }
}
