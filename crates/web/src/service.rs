//! The audits of the service: which may start, which are running, and where their reports go.

use std::collections::{HashMap, HashSet};
use std::fmt;
use std::net::IpAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use data_encoding::BASE32_NOPAD;
use starttls_audit::report::{AuditReport, EndpointReport, EndpointVerdict, Severity, Unaudited};
use starttls_audit::{Audit, Limits, filter};
use starttls_x509::validity;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use crate::bulk::Bulks;
use crate::keys::{ApiKey, ApiKeys};
use crate::limits::Budgets;
use crate::preset::Preset;
use crate::resolve::{AllowedEndpoint, Resolution, TargetResolver};
use crate::run::{LiveEvent, Run, RunObserver};
use crate::store::{RunEnd, RunStore, RunStoreError, RunSummary, StoredRun};
use crate::target::{InvalidTarget, WebTarget};

/// The endpoints that are audited at the same time.
const PLACES: usize = 8;
/// The most runs in progress, with those that wait.
const MAX_RUNS: usize = 100;
/// The age up to which a report is shown instead of a new run.
const RECENT: Duration = Duration::from_secs(600);

/// The most runs that are read to find a recent one.
const MAX_RECENT: usize = 20;
/// How long the slow checks wait, as in `check --slow`.
const SLOW: Duration = Duration::from_secs(300);

/// The reason of an endpoint whose audit is not finished.
const UNFINISHED: &str = "the audit was not finished";
/// The reason of a run without a report.
const BROKEN_OFF: &str =
    "the service ended before the audit was finished, or its report could not be written";

/// How much an audit does, and until when.
#[derive(Clone, Copy, Debug)]
struct Extent {
    preset: Preset,
    until: Option<Instant>,
}

/// Who wants an audit.
#[derive(Clone, Debug)]
pub(crate) enum Requester {
    Visitor(IpAddr),
    KeyHolder(Arc<ApiKey>),
}

/// What a service needs.
#[derive(Debug)]
pub struct WebSettings {
    /// The audit, with its trusted roots and limits.
    pub audit: Audit,
    /// The way from targets to addresses.
    pub resolver: TargetResolver,
    /// Where reports are kept.
    pub store: RunStore,
    /// The program and its version.
    pub generator: String,
    /// How long reports are kept.
    pub keep: Duration,
    /// The keys of the API.
    pub keys: ApiKeys,
    /// Whether anybody may ask. The service then limits how often.
    pub is_public: bool,
}

/// Why a run was not started.
#[derive(Debug)]
pub(crate) enum NotStarted {
    /// The target is invalid, or may not be asked.
    Target(InvalidTarget),
    /// The extent is for holders of keys.
    NeedsKey,
    /// The client has asked too often.
    Client(Duration),
    /// Too many runs are waiting.
    Busy,
    /// The system has no random octets, or the store cannot be read.
    Broken(String),
}

impl fmt::Display for NotStarted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Target(invalid) => write!(f, "{invalid}"),
            Self::NeedsKey => f.write_str("this extent needs a key of the API"),
            Self::Client(_) => f.write_str("the budget of audits is used up"),
            Self::Busy => f.write_str("too many audits are waiting"),
            Self::Broken(text) => f.write_str(text),
        }
    }
}

impl From<RunStoreError> for NotStarted {
    fn from(error: RunStoreError) -> Self {
        Self::Broken(error.to_string())
    }
}

/// How a request for a run was answered.
#[derive(Debug)]
pub(crate) enum Started {
    /// A new run.
    New(String),
    /// A run of the same target in progress, or a recent report.
    Known(String),
}

/// Numbers for monitoring.
#[derive(Debug, Default)]
pub(crate) struct Numbers {
    pub(crate) runs: AtomicU64,
    pub(crate) endpoints: AtomicU64,
    pub(crate) refused: AtomicU64,
    pub(crate) store_failures: AtomicU64,
}

/// The service. Clones are the same service.
#[derive(Clone, Debug)]
pub(crate) struct Service(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    settings: WebSettings,
    budgets: Budgets,
    places: Semaphore,
    runs: Mutex<HashMap<String, Arc<Run>>>,
    /// The addresses whose audit is running.
    active: Mutex<HashSet<IpAddr>>,
    bulks: Mutex<Bulks>,
    numbers: Numbers,
}

impl Service {
    pub(crate) fn new(settings: WebSettings) -> Self {
        Self(Arc::new(Shared {
            settings,
            budgets: Budgets::default(),
            places: Semaphore::new(PLACES),
            runs: Mutex::default(),
            active: Mutex::default(),
            bulks: Mutex::default(),
            numbers: Numbers::default(),
        }))
    }

    pub(crate) fn settings(&self) -> &WebSettings {
        &self.0.settings
    }

    pub(crate) fn store(&self) -> &RunStore {
        &self.0.settings.store
    }

    pub(crate) fn numbers(&self) -> &Numbers {
        &self.0.numbers
    }

    /// Returns the run in progress with this id.
    pub(crate) fn running(&self, id: &str) -> Option<Arc<Run>> {
        self.runs().get(id).cloned()
    }

    /// Returns the number of runs in progress.
    pub(crate) fn count(&self) -> usize {
        self.runs().len()
    }

    fn runs(&self) -> MutexGuard<'_, HashMap<String, Arc<Run>>> {
        self.0.runs.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns the bulks in progress.
    pub(crate) fn bulks(&self) -> MutexGuard<'_, Bulks> {
        self.0.bulks.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn parse(&self, text: &str) -> Result<WebTarget, InvalidTarget> {
        WebTarget::parse(text, &self.0.settings.resolver.targets)
    }

    /// Starts a run, unless one of the same target is running or a report is recent. `fresh` ignores reports.
    pub(crate) fn start(
        &self,
        text: &str,
        preset: Preset,
        fresh: bool,
        requester: &Requester,
    ) -> Result<Started, NotStarted> {
        let target = self.parse(text).map_err(NotStarted::Target)?;
        if preset == Preset::Full && matches!(requester, Requester::Visitor(_)) {
            return Err(NotStarted::NeedsKey);
        }
        let name = target.to_string();
        if let Some(run) = self.runs().values().find(|run| run.target == name && run.preset == preset) {
            return Ok(Started::Known(run.id.clone()));
        }
        if !fresh && let Some(id) = self.recent(&name, preset)? {
            return Ok(Started::Known(id));
        }
        // A server is protected before a client is: its report is the answer, and does not count for the client.
        let (is_public, targets) = (self.0.settings.is_public, &self.0.budgets.targets);
        if is_public
            && targets.is_used_up(&name, Instant::now())
            && let Some(id) = self.newest(&name)?
        {
            return Ok(Started::Known(id));
        }
        let holder = match requester {
            Requester::Visitor(client) => self.admit_client(*client).map(|()| None),
            Requester::KeyHolder(key) => key.admit(Instant::now()).map(|()| Some(key.name.clone())),
        };
        let holder = holder.map_err(NotStarted::Client)?;
        if is_public {
            // Without a report, the budgets of the addresses still hold.
            let _ = targets.take(name, Instant::now());
        }
        let (run, stored) = self.begin(&target, preset, holder)?;
        let (id, service) = (run.id.clone(), self.clone());
        tokio::spawn(async move { service.run(&run, &target, preset, stored).await });
        Ok(Started::New(id))
    }

    /// Adds a run to those in progress and to the store. The holder of a key may have asked for it.
    pub(crate) fn begin(
        &self,
        target: &WebTarget,
        preset: Preset,
        holder: Option<String>,
    ) -> Result<(Arc<Run>, StoredRun), NotStarted> {
        let id = random_id().map_err(NotStarted::Broken)?;
        let run = Arc::new(Run::new(id.clone(), target.to_string(), preset));
        let stored = self.unfinished(&run, holder);
        {
            let mut runs = self.runs();
            if runs.len() >= MAX_RUNS {
                return Err(NotStarted::Busy);
            }
            runs.insert(id.clone(), Arc::clone(&run));
        }
        // A run whose report cannot be kept would end on a page that does not exist.
        if let Err(error) = self.put(&stored) {
            self.runs().remove(&id);
            return Err(error.into());
        }
        self.0.numbers.runs.fetch_add(1, Ordering::Relaxed);
        Ok((run, stored))
    }

    /// Takes one audit of a client's budget. Returns how long to wait if it is used up.
    pub(crate) fn admit_client(&self, client: IpAddr) -> Result<(), Duration> {
        if self.0.settings.is_public { self.0.budgets.client(client, Instant::now()) } else { Ok(()) }
    }

    fn put(&self, run: &StoredRun) -> Result<(), RunStoreError> {
        let result = self.store().put(run);
        self.0.numbers.store_failures.fetch_add(result.is_err().into(), Ordering::Relaxed);
        result
    }

    /// Returns the runs of a target that are not in progress, the newest first.
    pub(crate) fn history(&self, target: &str, most: usize) -> Result<Vec<RunSummary>, RunStoreError> {
        let mut runs = self.store().history(target, most)?;
        let running = self.runs();
        runs.retain(|run| !running.contains_key(&run.id));
        Ok(runs)
    }

    /// Returns the newest finished run of this extent, if it is recent.
    fn recent(&self, target: &str, preset: Preset) -> Result<Option<String>, RunStoreError> {
        let oldest = now().saturating_sub(RECENT.as_secs());
        let runs = self.store().history(target, MAX_RECENT)?;
        let mut recent = runs.into_iter().take_while(|run| run.started > oldest);
        let run = recent.find(|run| run.end == RunEnd::Finished && run.preset == preset.name());
        Ok(run.map(|run| run.id))
    }

    fn newest(&self, target: &str) -> Result<Option<String>, RunStoreError> {
        Ok(self.store().newest(target)?.map(|run| run.id))
    }

    /// Returns a run as it is stored until it ends.
    fn unfinished(&self, run: &Run, holder: Option<String>) -> StoredRun {
        let options = vec![format!("preset={}", run.preset.name())];
        let mut report = AuditReport::new(self.0.settings.generator.clone(), options);
        report.unaudited.push(Unaudited {
            asked: run.target.clone(),
            target_line: None,
            outcome: EndpointVerdict::Inconclusive,
            reason: String::from(BROKEN_OFF),
        });
        let (id, target) = (run.id.clone(), run.target.clone());
        StoredRun { id, target, started: now(), end: RunEnd::BrokenOff, holder, report }
    }

    /// Audits the target of a run, and stores the report. Returns what was stored.
    pub(crate) async fn run(
        &self,
        run: &Arc<Run>,
        target: &WebTarget,
        preset: Preset,
        mut stored: StoredRun,
    ) -> StoredRun {
        let extent = Extent { preset, until: None };
        stored.report.unaudited.clear();
        stored.end = tokio::select! {
            end = self.audit(run, target, extent, &mut stored.report) => end,
            () = run.stopped() => RunEnd::Stopped,
        };
        // Without its report, the run stays in the store as broken off.
        let _ = self.put(&stored);
        let oldest = now().saturating_sub(self.0.settings.keep.as_secs());
        // Old runs are deleted later if this fails.
        let _ = self.store().delete_before(oldest);
        self.runs().remove(&run.id);
        run.finish();
        stored
    }

    /// Audits all endpoints of a target. The report is complete so far whenever this is dropped.
    async fn audit(
        &self,
        run: &Arc<Run>,
        target: &WebTarget,
        extent: Extent,
        report: &mut AuditReport,
    ) -> RunEnd {
        let Resolution { lookups, endpoints, left_out } = self.0.settings.resolver.resolve(target).await;
        report.lookups = lookups;
        for it in left_out {
            self.leave_out(run, report, it);
        }
        let (mut audits, mut is_over_budget) = (JoinSet::new(), false);
        for (index, endpoint) in endpoints.into_iter().enumerate() {
            let unfinished = |reason: String| Unaudited {
                asked: endpoint.target.clone(),
                target_line: None,
                outcome: EndpointVerdict::Inconclusive,
                reason,
            };
            match self.admit(&endpoint) {
                Ok(active) => {
                    // Until its audit is finished. The verdict on a run that is stopped must not leave it out.
                    report.unaudited.push(unfinished(String::from(UNFINISHED)));
                    let (service, run) = (self.clone(), Arc::clone(run));
                    audits.spawn(async move {
                        (index, service.endpoint(&run, index, &endpoint, extent, active).await)
                    });
                }
                Err(reason) => {
                    is_over_budget = true;
                    self.leave_out(run, report, unfinished(reason));
                }
            }
        }
        let mut finished: Vec<(usize, EndpointReport)> = Vec::new();
        while let Some(audited) = audits.join_next().await {
            // A task that panicked has no report, and stays unfinished.
            let Ok((index, endpoint)) = audited else { continue };
            let is_it = |it: &Unaudited| it.asked == endpoint.target && it.reason == UNFINISHED;
            if let Some(place) = report.unaudited.iter().position(is_it) {
                report.unaudited.remove(place);
            }
            finished.push((index, endpoint));
            finished.sort_by_key(|(index, _)| *index);
            report.endpoints = finished.iter().map(|(_, endpoint)| endpoint.clone()).collect();
        }
        if is_over_budget && report.endpoints.is_empty() { RunEnd::Postponed } else { RunEnd::Finished }
    }

    fn leave_out(&self, run: &Run, report: &mut AuditReport, it: Unaudited) {
        self.0.numbers.refused.fetch_add(1, Ordering::Relaxed);
        run.add(LiveEvent::LeftOut { target: it.asked.clone(), reason: it.reason.clone() });
        report.unaudited.push(it);
    }

    /// Reserves an endpoint's address, within its budget.
    fn admit(&self, endpoint: &AllowedEndpoint) -> Result<Active, String> {
        let address = endpoint.address.address().ip();
        if self.0.settings.is_public
            && let Err(wait) = self.0.budgets.server(address, Instant::now())
        {
            let minutes = wait.as_secs().div_ceil(60);
            return Err(format!("{address} was audited several times just now; try again in {minutes} min"));
        }
        Ok(Active { service: self.clone(), address })
    }

    async fn endpoint(
        &self,
        run: &Arc<Run>,
        index: usize,
        endpoint: &AllowedEndpoint,
        extent: Extent,
        active: Active,
    ) -> EndpointReport {
        // The semaphore is never closed.
        let _place = self.0.places.acquire().await;
        let _turn = active.turn().await;
        self.0.numbers.endpoints.fetch_add(1, Ordering::Relaxed);
        let address = endpoint.address.address();
        run.add(LiveEvent::Endpoint {
            endpoint: index,
            target: endpoint.target.clone(),
            address: address.to_string(),
        });
        let observer = Arc::new(RunObserver { run: Arc::clone(run), endpoint: index });
        let audit = self.0.settings.audit.with_selection(extent.preset.selection()).observed_by(observer);
        let mut audit = audit.with_implicit_tls(endpoint.implicit);
        if extent.preset == Preset::Full {
            let limits = audit.limits();
            let deadline = limits.deadline.saturating_add(SLOW);
            audit = audit.with_limits(Limits { slow: Some(SLOW), deadline, ..limits });
        }
        if let Some(until) = extent.until {
            let limits = audit.limits();
            let deadline = limits.deadline.min(until.saturating_duration_since(Instant::now()));
            audit = audit.with_limits(Limits { deadline, ..limits });
        }
        let mut report =
            audit.endpoint(endpoint.protocol, &endpoint.target, &endpoint.server_name, address).await;
        filter::settle(&mut report, Severity::Warning);
        run.add(LiveEvent::Verdict {
            endpoint: index,
            target: report.target.clone(),
            verdict: report.outcome,
            summary: report.summary.clone(),
        });
        report
    }

    /// Audits the endpoints of a target now, without a run, for monitoring. Returns the report, and whether the limit ended the
    /// audit.
    pub(crate) async fn probe(
        &self,
        target: &WebTarget,
        preset: Preset,
        limit: Duration,
    ) -> (AuditReport, bool) {
        let run = Arc::new(Run::new(String::new(), target.to_string(), preset));
        let mut report = AuditReport::new(self.0.settings.generator.clone(), Vec::new());
        // An audit that ends by itself reports what it has found until then.
        let until = Instant::now() + limit.mul_f64(0.9);
        let extent = Extent { preset, until: Some(until) };
        // Endpoints that are not finished are in the report with their reason.
        let _ = tokio::time::timeout(limit, self.audit(&run, target, extent, &mut report)).await;
        (report, Instant::now() >= until)
    }
}

/// An address that is going to be audited.
struct Active {
    service: Service,
    address: IpAddr,
}

/// The turn of an address: no other audit of it runs until this is dropped.
struct Turn<'a>(&'a Active);

impl Active {
    /// Waits until no other audit of the address runs.
    async fn turn(&self) -> Turn<'_> {
        const STEP: Duration = Duration::from_millis(50);
        while !self.addresses().insert(self.address) {
            tokio::time::sleep(STEP).await;
        }
        Turn(self)
    }

    fn addresses(&self) -> MutexGuard<'_, HashSet<IpAddr>> {
        self.service.0.active.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        self.0.addresses().remove(&self.0.address);
    }
}

/// Returns the seconds since 1970.
pub(crate) fn now() -> u64 {
    u64::try_from(validity::now()).unwrap_or(0)
}

/// Returns an id that cannot be guessed: 128 bits.
pub(crate) fn random_id() -> Result<String, String> {
    let mut octets = [0; 16];
    getrandom::fill(&mut octets).map_err(|error| format!("the system has no random octets: {error}"))?;
    Ok(BASE32_NOPAD.encode(&octets).to_ascii_lowercase())
}
