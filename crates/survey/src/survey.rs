//! A whole survey in one process: every stage, one after the other.

use std::io::BufRead;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use starttls::proto::Protocol;
use starttls_audit::Audit;
use starttls_dns::{DialPolicy, Stub};
use starttls_x509::validity;
use tokio::sync::{Semaphore, watch};

use crate::error::SurveyError;
use crate::folder::{RunFolder, Stage, StagePlan};
use crate::join::{JoinSummary, join};
use crate::monitor::Monitor;
use crate::network::AsTable;
use crate::opt_out::OptOutFile;
use crate::planning::{plan_addresses, plan_probe, plan_resolve, plan_retry};
use crate::queue::FilesQueue;
use crate::settings::RunSettings;
use crate::stage::names::{ResolveAddresses, ResolveDomains};
use crate::stage::probe::{ProbeEndpoints, ProbeOptions};
use crate::suffix::Suffixes;
use crate::worker::{Shared, work};

/// A survey on one machine.
#[derive(Debug)]
pub struct Survey {
    /// The folder of the run.
    pub run: RunFolder,
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
    /// The registrable suffixes of names.
    pub suffixes: Suffixes,
    /// The networks of addresses.
    pub networks: AsTable,
    /// The file with those that opted out.
    pub opt_out: Option<PathBuf>,
    /// The most questions at the same time.
    pub questions: usize,
    /// The most connections at the same time.
    pub connections: usize,
    /// The progress.
    pub monitor: Arc<Monitor>,
    /// Whether the survey ends before the first connection to a server, with everything planned.
    pub plan_only: bool,
    /// Whether the survey has to end.
    pub stop: watch::Receiver<bool>,
}

/// What happens in a survey, for its user.
#[derive(Clone, Debug, PartialEq)]
pub enum SurveyEvent {
    /// A stage was planned.
    Planned(Stage, StagePlan),
    /// A stage begins or goes on.
    Begun(Stage),
    /// The next pass waits for its time.
    Waiting(Stage, Duration),
    /// A stage has all of its results.
    Finished(Stage),
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
        let queue = Arc::new(FilesQueue::new(&self.run)?);
        self.run.begin(&self.settings)?;

        if self.run.stage(Stage::Resolve)?.is_none() {
            let plan = plan_resolve(&self.run, &self.settings, input()?)?;
            note(SurveyEvent::Planned(Stage::Resolve, plan));
        }
        let opt_out = Arc::new(OptOutFile::new(self.opt_out.clone())?);
        let job = ResolveDomains { stub: self.stub.clone(), opt_out: Arc::clone(&opt_out) };
        if !self.stage(Stage::Resolve, Arc::new(job), &queue, self.questions, note).await? {
            return Ok(SurveyEnd::Stopped);
        }

        if self.run.stage(Stage::Addresses)?.is_none() {
            let plan = plan_addresses(&self.run, &self.settings)?;
            note(SurveyEvent::Planned(Stage::Addresses, plan));
        }
        let job = ResolveAddresses { stub: self.stub.clone() };
        if !self.stage(Stage::Addresses, Arc::new(job), &queue, self.questions, note).await? {
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
            let job = Arc::new(self.probes(pass, &opt_out)?);
            if !self.stage(stage, job, &queue, self.connections, note).await? {
                return Ok(SurveyEnd::Stopped);
            }
        }
        Ok(SurveyEnd::Finished(join(&self.run, &self.suffixes)?))
    }

    fn probes(&self, pass: u8, opt_out: &Arc<OptOutFile>) -> Result<ProbeEndpoints, SurveyError> {
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

    /// Works on a stage, and returns whether it has all of its results.
    async fn stage<J: crate::worker::Job>(
        &self,
        stage: Stage,
        job: Arc<J>,
        queue: &Arc<FilesQueue>,
        places: usize,
        note: &mut (dyn FnMut(SurveyEvent) + Send),
    ) -> Result<bool, SurveyError> {
        let plan = self.run.stage(stage)?.unwrap_or_default();
        let lanes = queue.open(stage)?;
        if lanes.is_empty() {
            return Ok(true);
        }
        let done = self.run.done(stage)?.len() as u64;
        let done = plan.targets * done / plan.shards.max(1);
        self.monitor.begin(stage, plan.targets, done, plan.floor());
        note(SurveyEvent::Begun(stage));
        let places = u32::try_from(places.max(1)).unwrap_or(u32::MAX);
        let shared = Shared {
            pace: self.settings.pace,
            places: Arc::new(Semaphore::new(places as usize)),
            all_places: places,
            monitor: Arc::clone(&self.monitor),
            stop: self.stop.clone(),
        };
        work(stage, lanes, &job, queue, &shared).await?;
        // What is done is what has a result, not what the worker believes.
        let is_done = self.run.planned(stage)? == self.run.done(stage)?;
        if is_done {
            note(SurveyEvent::Finished(stage));
        }
        Ok(is_done)
    }
}
