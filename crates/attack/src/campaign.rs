//! Runs all scenarios against one client: first the run without an attack, then the others, several at a time.

use std::net::Ipv4Addr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use starttls::Acceptor;
use starttls::proto::Protocol;
use starttls::rustls::sign::{CertifiedKey, SingleCertAndKey};
use tokio::net::TcpListener;
use tokio::sync::{Semaphore, oneshot};
use tokio::task::JoinSet;

use crate::canary::Canary;
use crate::domain::{DomainPorts, EXCHANGER, PlayedDomain};
use crate::environment::{Environment, named_certificate};
use crate::error::AttackError;
use crate::judge::{self, ClientBaseline, Observations};
use crate::middle::{Middle, Upstream};
use crate::outcome::{Judgment, ScenarioOutcome};
use crate::record::{ConnectionRecord, RunRecords};
use crate::report::{AttackReport, SCHEMA_VERSION, ScenarioResult};
use crate::scenario::{Filling, SOUND_CERTIFICATE, Scenario, SessionAction};
use crate::subject::{ClientExit, ClientOutput, ClientRun, Subject, Target};

/// A client and the scenarios to run against it.
pub struct Campaign {
    /// The protocol.
    pub protocol: &'static Protocol,
    /// The scenarios. Those that do not apply to the protocol are left out.
    pub scenarios: Vec<Scenario>,
    /// The servers and certificates.
    pub environment: Arc<dyn Environment>,
    /// The client.
    pub subject: Arc<dyn Subject>,
    /// The time limit for one run of the client.
    pub timeout: Duration,
    /// The number of runs at a time.
    pub jobs: usize,
    /// The number of runs of each scenario.
    pub repeat: u32,
    /// The ports of the domain that the client delivers to; `None` if the client connects to the server itself. Only the
    /// scenarios for this kind of client are run.
    pub domain: Option<DomainPorts>,
}

impl std::fmt::Debug for Campaign {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Campaign").field("protocol", &self.protocol).finish_non_exhaustive()
    }
}

/// One run of the client, before it is judged.
struct Run {
    records: Vec<ConnectionRecord>,
    client: ClientRun,
    canary: Canary,
    elapsed: Duration,
    delivery: Delivery,
}

/// What a run shows besides its connections, if the client delivers to a domain.
#[derive(Clone, Debug)]
enum Delivery {
    /// It connects to the server itself.
    Direct,
    /// The delivery before the attack failed, for this reason.
    Unprepared(String),
    /// It delivered before the attack. After that, it did or did not ask DNS.
    Prepared { asked: bool },
}

/// The runs of a campaign, each with the index of its scenario. `None` is the run without an attack in which the server
/// does not answer inside TLS.
type Runs = JoinSet<(Option<usize>, Result<Run, AttackError>)>;

impl Campaign {
    /// Runs every scenario and judges each.
    ///
    /// # Errors
    /// Returns an error if the environment or the client cannot be started.
    pub async fn run(self) -> Result<AttackReport, AttackError> {
        self.run_until(std::future::pending()).await
    }

    /// Runs every scenario and judges each. When `stop` is ready, ends the clients that are running, and reports on
    /// the scenarios that are finished.
    ///
    /// # Errors
    /// Returns an error if the environment or the client cannot be started.
    pub async fn run_until(self, stop: impl Future<Output = ()>) -> Result<AttackReport, AttackError> {
        let campaign = Arc::new(self);
        let mut stop = std::pin::pin!(stop);
        let applicable = |it: &&Scenario| {
            it.inapplicable(campaign.protocol).is_none() && it.needs_domain() == campaign.domain.is_some()
        };
        let scenarios: Vec<Arc<Scenario>> =
            campaign.scenarios.iter().filter(applicable).cloned().map(Arc::new).collect();
        let plain = Arc::new(Scenario::control(SessionAction::Pass));
        let control_run = tokio::select! {
            run = campaign.once(&plain, 0) => run?,
            () = &mut stop => {
                let verdict = Judgment::new(ScenarioOutcome::Inconclusive, "a signal ended the run");
                let client = ClientRun { exit: ClientExit::Unknown, output: ClientOutput::default() };
                let control = ScenarioResult::of(&plain, verdict, &[], &client, Duration::ZERO);
                return Ok(campaign.report(control, Vec::new(), &scenarios));
            }
        };
        let control = control_run.tested(&plain, judge::control(&control_run.seen()));
        if control.outcome != ScenarioOutcome::Sound {
            return Ok(campaign.report(control, Vec::new(), &[]));
        }
        let baseline = judge::baseline(&control_run.records, control_run.client.output.bytes(), &[]);
        let mut jury = Jury::new(&scenarios, baseline);
        let mut runs = campaign.start(&scenarios, jury.baseline.answered.len());
        loop {
            let next = tokio::select! {
                biased;
                () = &mut stop => break,
                next = runs.join_next() => next,
            };
            let Some(next) = next else { break };
            let (at, run) = next?;
            jury.take(at, run?);
        }
        // Ends the clients that are running, and waits until they have ended.
        runs.shutdown().await;
        Ok(campaign.report(control, jury.tested, &scenarios))
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

    /// Runs the client once against the man in the middle; twice if it delivers to a domain that is attacked after the first
    /// delivery.
    async fn once(&self, scenario: &Scenario, answered: usize) -> Result<Run, AttackError> {
        let Some(ports) = self.domain else { return self.phase(scenario, answered, None).await };
        let attack = scenario.domain.clone().unwrap_or_default();
        let domain = PlayedDomain::start(ports, &self.environment, attack.policy).await?;
        let first = self.phase(&Scenario::control(SessionAction::Pass), answered, Some(&domain)).await?;
        if !scenario.needs_domain() {
            return Ok(first);
        }
        let judged = judge::control(&first.seen());
        if judged.outcome != ScenarioOutcome::Sound {
            return Ok(Run { delivery: Delivery::Unprepared(judged.summary), ..first });
        }
        domain.attack(&attack);
        let questions = domain.questions();
        let attacked = self.phase(scenario, answered, Some(&domain)).await?;
        let asked = domain.questions() > questions;
        Ok(Run { delivery: Delivery::Prepared { asked }, ..attacked })
    }

    async fn phase(
        &self,
        scenario: &Scenario,
        answered: usize,
        domain: Option<&PlayedDomain>,
    ) -> Result<Run, AttackError> {
        let certificate = match domain {
            Some(_) if scenario.certificate == SOUND_CERTIFICATE => {
                named_certificate(&self.environment, &format!("name:{EXCHANGER}")).await?
            }
            _ => certificate(&self.environment, scenario).await?,
        };
        let started = Instant::now();
        let backing = self.environment.upstream(self.protocol).map_err(AttackError::Upstream)?;
        let canary = Canary::new(&backing.user, &backing.password);
        let listener = match domain {
            Some(domain) => domain.exchanger()?,
            None => listen().await?,
        };
        let elsewhere = if scenario.refers() { Some(listen().await?) } else { None };
        let filling = Filling { canary: &canary, port: elsewhere.as_ref().map_or(0, port) };
        let target = Target {
            protocol: self.protocol.name,
            host: String::from(if domain.is_some() { EXCHANGER } else { "localhost" }),
            port: port(&listener),
            ca_file: self.environment.ca_file().to_owned(),
            user: backing.user.clone(),
            password: backing.password.clone(),
            timeout: self.timeout,
            domain: domain.map(PlayedDomain::target),
        };
        let records = Arc::new(RunRecords::default());
        let middle = Middle {
            // The client was ended by then.
            deadline: self.timeout + Duration::from_secs(5),
            answered,
            ..middle(self.protocol, scenario, filling, &certificate, backing.upstream, &records)?
        };
        let (stop, stopped) = oneshot::channel();
        let middle = tokio::spawn(middle.run(listener, elsewhere, stopped));
        let client = self.subject.run(&target).await;
        // The receiver is gone if the man in the middle has ended already.
        let _ = stop.send(());
        middle.await?;
        drop(backing.keep);
        let elapsed = started.elapsed();
        Ok(Run { records: records.taken(), client: client?, canary, elapsed, delivery: Delivery::Direct })
    }
}

/// Returns the certificate of a scenario. Generating a key can take seconds, so it runs on a thread for blocking work: the
/// connections of other runs would time out otherwise.
pub(crate) async fn certificate(
    environment: &Arc<dyn Environment>,
    scenario: &Scenario,
) -> Result<Arc<CertifiedKey>, AttackError> {
    named_certificate(environment, &scenario.certificate).await
}

/// Returns the man in the middle for one run of a scenario, which terminates TLS toward the client.
pub(crate) fn middle(
    protocol: &'static Protocol,
    scenario: &Scenario,
    filling: Filling<'_>,
    certificate: &Arc<CertifiedKey>,
    upstream: Upstream,
    records: &Arc<RunRecords>,
) -> Result<Middle, AttackError> {
    let acceptor = Acceptor::builder(protocol, "localhost")
        .cert_resolver(Arc::new(SingleCertAndKey::from(Arc::clone(certificate))))
        .without_alpn()
        .build()
        .map_err(AttackError::Tls)?;
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

/// Returns the port of a listener.
pub(crate) fn port(listener: &TcpListener) -> u16 {
    listener.local_addr().map_or(0, |address| address.port())
}

pub(crate) async fn listen() -> Result<TcpListener, AttackError> {
    let listening = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await;
    listening.map_err(AttackError::Listen)
}

/// Judges each run as soon as the runs it is compared with are finished.
struct Jury {
    scenarios: Vec<Arc<Scenario>>,
    baseline: ClientBaseline,
    /// Whether the run without an attack and without answers inside TLS is not finished.
    awaits_mute: bool,
    /// The runs that wait for it, each with the index of its scenario.
    waiting: Vec<(usize, Run)>,
    /// The verdicts, in the order of the list.
    tested: Vec<Option<ScenarioResult>>,
}

impl Jury {
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
        let judged = match &run.delivery {
            Delivery::Direct => judge::judge(scenario, &run.seen(), &self.baseline),
            Delivery::Unprepared(why) => Judgment::new(
                ScenarioOutcome::Inconclusive,
                format!("the delivery before the attack failed: {why}"),
            ),
            Delivery::Prepared { asked } => judge::delivery(scenario, &run.seen(), &self.baseline, *asked),
        };
        let tested = run.tested(scenario, judged);
        match &mut self.tested[at] {
            Some(earlier) => earlier.add(tested),
            place => *place = Some(tested),
        }
    }
}

/// How long the handshake is delayed where the output of the client is evidence.
const HOLD: Duration = Duration::from_millis(50);

impl Run {
    fn seen(&self) -> Observations<'_> {
        Observations { records: &self.records, client: &self.client, canary: &self.canary }
    }

    fn tested(&self, scenario: &Scenario, verdict: Judgment) -> ScenarioResult {
        ScenarioResult::of(scenario, verdict, &self.records, &self.client, self.elapsed)
    }
}
