//! All scenarios against one client: the run without an attack first, then the others, some at a time.

use std::any::Any;
use std::net::Ipv4Addr;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use starttls::Acceptor;
use starttls::proto::Protocol;
use starttls::rustls::sign::{CertifiedKey, SingleCertAndKey};
use tokio::net::TcpListener;
use tokio::sync::{Semaphore, oneshot};
use tokio::task::JoinSet;

use crate::canary::Canary;
use crate::judge::{self, ClientBaseline, Judgment, Observations};
use crate::middle::{Middle, Upstream};
use crate::record::{ConnectionRecord, RunRecords};
use crate::report::{AttackReport, SCHEMA_VERSION, ScenarioOutcome, ScenarioResult};
use crate::scenario::{Filling, Scenario, SessionAction};
use crate::subject::{ClientExit, ClientOutput, ClientRun, Subject, Target};

/// What an attack is played with: servers behind, and certificates.
pub trait Environment: Send + Sync {
    /// A server for one run.
    ///
    /// # Errors
    /// Why there is none, in words.
    fn upstream(&self, protocol: &'static Protocol) -> Result<UpstreamLease, String>;

    /// The certificate of this name, `sound` among them: its chain and its key. It may take its time: it is asked
    /// for where nothing else is kept waiting.
    fn certificate(&self, name: &str) -> Option<Arc<CertifiedKey>>;

    /// The root that the client is told to trust.
    fn ca_file(&self) -> &Path;
}

/// A server behind the man in the middle, for one run.
pub struct UpstreamLease {
    /// Where it is.
    pub upstream: Upstream,
    /// Who can log in there.
    pub user: String,
    /// With which password.
    pub password: String,
    /// Ends with the run.
    pub keep: Box<dyn Any + Send>,
}

impl std::fmt::Debug for UpstreamLease {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("UpstreamLease").field("upstream", &self.upstream).finish_non_exhaustive()
    }
}

/// A client, and what is to be tried on it.
pub struct Campaign {
    /// The protocol.
    pub protocol: &'static Protocol,
    /// The scenarios; those without a meaning in the protocol are left out.
    pub scenarios: Vec<Scenario>,
    /// The servers and certificates.
    pub environment: Arc<dyn Environment>,
    /// The client.
    pub subject: Arc<dyn Subject>,
    /// How long one run of the client may take.
    pub timeout: Duration,
    /// Runs at a time.
    pub jobs: usize,
    /// How often each scenario is run.
    pub repeat: u32,
}

impl std::fmt::Debug for Campaign {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Campaign").field("protocol", &self.protocol).finish_non_exhaustive()
    }
}

/// One run of the client, before it is judged.
struct Run {
    records: Vec<ConnectionRecord>,
    ran: ClientRun,
    canary: Canary,
    elapsed: Duration,
}

/// The runs of a campaign, each with the index of its scenario. `None` is the run without an attack in which the server
/// does not answer inside TLS.
type Runs = JoinSet<(Option<usize>, Result<Run, String>)>;

impl Campaign {
    /// Runs every scenario and judges each.
    ///
    /// # Errors
    /// Why it could not be run.
    pub async fn run(self) -> Result<AttackReport, String> {
        self.run_until(std::future::pending()).await
    }

    /// Runs every scenario and judges each. When `stop` is ready, ends the clients that are running, and reports on
    /// the scenarios that are finished.
    ///
    /// # Errors
    /// Why it could not be run.
    pub async fn run_until(self, stop: impl Future<Output = ()>) -> Result<AttackReport, String> {
        let campaign = Arc::new(self);
        let mut stop = std::pin::pin!(stop);
        let applicable = |it: &&Scenario| it.inapplicable(campaign.protocol).is_none();
        let scenarios: Vec<Arc<Scenario>> =
            campaign.scenarios.iter().filter(applicable).cloned().map(Arc::new).collect();
        let plain = Arc::new(Scenario::control(SessionAction::Pass));
        let control_run = tokio::select! {
            run = campaign.once(&plain, 0) => run?,
            () = &mut stop => {
                let verdict = Judgment::new(ScenarioOutcome::Inconclusive, "a signal ended the run");
                let ran = ClientRun { ended: ClientExit::Unknown, output: ClientOutput::default() };
                let control = ScenarioResult::of(&plain, verdict, &[], &ran, Duration::ZERO);
                return Ok(campaign.report(control, Vec::new(), &scenarios));
            }
        };
        let control = control_run.tested(&plain, judge::control(&control_run.seen()));
        if control.outcome != ScenarioOutcome::Sound {
            return Ok(campaign.report(control, Vec::new(), &[]));
        }
        let unheard = judge::baseline(&control_run.records, control_run.ran.output.bytes(), &[]);
        let mut bench = Bench::new(&scenarios, unheard);
        let mut runs = campaign.start(&scenarios, bench.baseline.answered.len());
        loop {
            let next = tokio::select! {
                biased;
                () = &mut stop => break,
                next = runs.join_next() => next,
            };
            let Some(next) = next else { break };
            let (at, run) = next.map_err(|error| error.to_string())?;
            bench.take(at, run?);
        }
        // Ends the clients that are running, and waits until they have ended.
        runs.shutdown().await;
        Ok(campaign.report(control, bench.tested, &scenarios))
    }

    /// Starts all runs, [`jobs`](Self::jobs) at a time. The runs in which a client may wait until its timeout come first.
    fn start(self: &Arc<Self>, scenarios: &[Arc<Scenario>], answered: usize) -> Runs {
        let slots = Arc::new(Semaphore::new(self.jobs.max(1)));
        let mute = scenarios.iter().any(|it| it.inside == SessionAction::Mute);
        let mute = mute.then(|| (None, Arc::new(Scenario::control(SessionAction::Mute))));
        let repeated = (0..self.repeat.max(1)).flat_map(|_| {
            scenarios.iter().enumerate().map(|(at, scenario)| (Some(at), Arc::clone(scenario)))
        });
        let mut turns: Vec<_> = mute.into_iter().chain(repeated).collect();
        turns.sort_by_key(|(at, scenario)| at.is_some() && !scenario.makes_wait());
        let mut runs = JoinSet::new();
        for (at, scenario) in turns {
            let (campaign, slots) = (Arc::clone(self), Arc::clone(&slots));
            runs.spawn(async move {
                let _slot = slots.acquire().await;
                (at, campaign.once(&scenario, answered).await)
            });
        }
        runs
    }

    fn report(
        &self,
        control: ScenarioResult,
        tested: Vec<Option<ScenarioResult>>,
        scenarios: &[Arc<Scenario>],
    ) -> AttackReport {
        let is_missing = |at: &usize| tested.get(*at).is_none_or(Option::is_none);
        let missing = (0..scenarios.len()).filter(is_missing);
        let unfinished: Vec<String> = missing.map(|at| scenarios[at].id.clone()).collect();
        let scenarios: Vec<ScenarioResult> = tested.into_iter().flatten().collect();
        AttackReport {
            schema_version: SCHEMA_VERSION,
            generator: format!("starttls {}", env!("CARGO_PKG_VERSION")),
            protocol: self.protocol.name.to_owned(),
            client: self.subject.name(),
            outcome: AttackReport::overall(&control, &scenarios, unfinished.is_empty()),
            control,
            scenarios,
            unfinished,
        }
    }

    /// Runs the client once, with the man in the middle at work.
    async fn once(&self, scenario: &Scenario, answered: usize) -> Result<Run, String> {
        let certificate = certificate(&self.environment, scenario).await?;
        let started = Instant::now();
        let backing = self.environment.upstream(self.protocol)?;
        let canary = Canary::new(&backing.user, &backing.password);
        let listener = listen().await?;
        let elsewhere = if scenario.refers() { Some(listen().await?) } else { None };
        let filling = Filling { canary: &canary, port: elsewhere.as_ref().map_or(0, port) };
        let target = Target {
            protocol: self.protocol.name,
            host: String::from("localhost"),
            port: port(&listener),
            ca_file: self.environment.ca_file().to_owned(),
            user: backing.user.clone(),
            password: backing.password.clone(),
            timeout: self.timeout,
        };
        let records = Arc::new(RunRecords::default());
        let middle = Middle {
            // The client has ended by then.
            deadline: self.timeout + Duration::from_secs(5),
            answered,
            ..middle(self.protocol, scenario, filling, &certificate, backing.upstream, &records)?
        };
        let (stop, stopped) = oneshot::channel();
        let middle = tokio::spawn(middle.run(listener, elsewhere, stopped));
        let ran = self.subject.run(&target).await;
        // A man in the middle who has ended already needs no telling.
        let _ = stop.send(());
        middle.await.map_err(|error| error.to_string())?;
        drop(backing.keep);
        Ok(Run { records: records.taken(), ran: ran?, canary, elapsed: started.elapsed() })
    }
}

/// The certificate that a scenario shows. A key can take seconds to be found, in which nothing else would go on here:
/// connections of other runs would time out at their other ends.
pub(crate) async fn certificate(
    environment: &Arc<dyn Environment>,
    scenario: &Scenario,
) -> Result<Arc<CertifiedKey>, String> {
    let (environment, name) = (Arc::clone(environment), scenario.certificate.clone());
    let missing = format!("unknown certificate \"{name}\"");
    let made = tokio::task::spawn_blocking(move || environment.certificate(&name)).await;
    made.map_err(|error| error.to_string())?.ok_or(missing)
}

/// The man in the middle for one run of a scenario, with TLS of his own towards the client.
pub(crate) fn middle(
    protocol: &'static Protocol,
    scenario: &Scenario,
    filling: Filling<'_>,
    certificate: &Arc<CertifiedKey>,
    upstream: Upstream,
    records: &Arc<RunRecords>,
) -> Result<Middle, String> {
    let acceptor = Acceptor::builder(protocol, "localhost")
        .resolver(Arc::new(SingleCertAndKey::from(Arc::clone(certificate))))
        .without_alpn()
        .build()
        .map_err(|error| error.to_string())?;
    Ok(Middle {
        protocol,
        rules: scenario.rules(protocol, filling)?,
        handshake: scenario.handshake,
        inside: scenario.inside,
        pause: Duration::from_millis(scenario.pause),
        hold: if scenario.watches_output() { HOLD } else { Duration::ZERO },
        deadline: Duration::from_secs(60),
        answered: 0,
        acceptor: Some(acceptor),
        certificate: Arc::clone(certificate),
        upstream,
        records: Arc::clone(records),
    })
}

/// Where it listens; 0 nowhere.
pub(crate) fn port(listener: &TcpListener) -> u16 {
    listener.local_addr().map_or(0, |address| address.port())
}

pub(crate) async fn listen() -> Result<TcpListener, String> {
    let listening = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await;
    listening.map_err(|error| format!("cannot listen on loopback: {error}"))
}

/// Judges each run as soon as the runs without an attack are finished.
struct Bench {
    scenarios: Vec<Arc<Scenario>>,
    baseline: ClientBaseline,
    /// Whether the run without an attack and without answers inside TLS is still missing.
    awaits_mute: bool,
    /// The runs that are compared with it, each with the index of its scenario.
    waiting: Vec<(usize, Run)>,
    /// The verdicts, in the order of the list.
    tested: Vec<Option<ScenarioResult>>,
}

impl Bench {
    fn new(scenarios: &[Arc<Scenario>], baseline: ClientBaseline) -> Self {
        let awaits_mute = scenarios.iter().any(|it| it.inside == SessionAction::Mute);
        let tested = scenarios.iter().map(|_| None).collect();
        Self { scenarios: scenarios.to_vec(), baseline, awaits_mute, waiting: Vec::new(), tested }
    }

    fn take(&mut self, at: Option<usize>, run: Run) {
        match at {
            None => {
                self.baseline.set_unanswered(&run.records);
                self.awaits_mute = false;
                for (at, run) in std::mem::take(&mut self.waiting) {
                    self.judge(at, &run);
                }
            }
            Some(at) if self.awaits_mute && self.scenarios[at].inside == SessionAction::Mute => {
                self.waiting.push((at, run));
            }
            Some(at) => self.judge(at, &run),
        }
    }

    fn judge(&mut self, at: usize, run: &Run) {
        let scenario = &self.scenarios[at];
        let tested = run.tested(scenario, judge::judge(scenario, &run.seen(), &self.baseline));
        match &mut self.tested[at] {
            Some(earlier) => earlier.add(tested),
            place => *place = Some(tested),
        }
    }
}

/// How long a handshake is held back where the client's output is evidence.
const HOLD: Duration = Duration::from_millis(50);

impl Run {
    fn seen(&self) -> Observations<'_> {
        Observations { records: &self.records, ran: &self.ran, canary: &self.canary }
    }

    fn tested(&self, scenario: &Scenario, verdict: Judgment) -> ScenarioResult {
        ScenarioResult::of(scenario, verdict, &self.records, &self.ran, self.elapsed)
    }
}
