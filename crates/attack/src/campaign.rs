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

use crate::canary::Canary;
use crate::judge::{self, Baseline, Seen, Verdict};
use crate::middle::{Middle, Upstream};
use crate::record::{Record, Records};
use crate::report::{Outcome, Report, SCHEMA_VERSION, Tested};
use crate::scenario::{Filling, Inside, Scenario};
use crate::subject::{Ran, Subject, Target};

/// What an attack is played with: servers behind, and certificates.
pub trait Stage: Send + Sync {
    /// A server for one run.
    ///
    /// # Errors
    /// Why there is none, in words.
    fn upstream(&self, protocol: &'static Protocol) -> Result<Backing, String>;

    /// The certificate of this name, `sound` among them: its chain and its key. It may take its time: it is asked
    /// for where nothing else is kept waiting.
    fn certificate(&self, name: &str) -> Option<Arc<CertifiedKey>>;

    /// The root that the client is told to trust.
    fn ca_file(&self) -> &Path;
}

/// A server behind the man in the middle, for one run.
pub struct Backing {
    /// Where it is.
    pub upstream: Upstream,
    /// Who can log in there.
    pub user: String,
    /// With which password.
    pub password: String,
    /// Ends with the run.
    pub keep: Box<dyn Any + Send>,
}

impl std::fmt::Debug for Backing {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Backing").field("upstream", &self.upstream).finish_non_exhaustive()
    }
}

/// A client, and what is to be tried on it.
pub struct Campaign {
    /// The protocol.
    pub protocol: &'static Protocol,
    /// The scenarios; those without a meaning in the protocol are left out.
    pub scenarios: Vec<Scenario>,
    /// The servers and certificates.
    pub stage: Arc<dyn Stage>,
    /// The client.
    pub subject: Arc<dyn Subject>,
    /// How long one run of the client may take.
    pub timeout: Duration,
    /// Runs at a time.
    pub jobs: usize,
}

impl std::fmt::Debug for Campaign {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Campaign").field("protocol", &self.protocol).finish_non_exhaustive()
    }
}

/// One run of the client, before it is judged.
struct Run {
    records: Vec<Record>,
    ran: Ran,
    canary: Canary,
    elapsed: Duration,
}

impl Campaign {
    /// Runs it all and judges.
    ///
    /// # Errors
    /// What kept it from being run, in words.
    pub async fn run(self) -> Result<Report, String> {
        let campaign = Arc::new(self);
        let applicable = |it: &&Scenario| it.inapplicable(campaign.protocol).is_none();
        let scenarios: Vec<Arc<Scenario>> =
            campaign.scenarios.iter().filter(applicable).cloned().map(Arc::new).collect();
        let plain = Arc::new(Scenario::control(Inside::Pass));
        let control_run = campaign.once(&plain).await?;
        let control = control_run.tested(&plain, judge::control(&control_run.seen()));
        if control.outcome != Outcome::Sound {
            return Ok(campaign.report(control, Vec::new()));
        }
        let mute = scenarios
            .iter()
            .any(|it| it.inside == Inside::Mute)
            .then(|| Arc::new(Scenario::control(Inside::Mute)));
        let slots = Arc::new(Semaphore::new(campaign.jobs.max(1)));
        let mut turns: Vec<(usize, &Arc<Scenario>)> = mute.iter().chain(&scenarios).enumerate().collect();
        // What makes the client wait goes first, and the others while it does.
        turns.sort_by_key(|(_, scenario)| !scenario.makes_wait());
        let tasks: Vec<_> = turns
            .into_iter()
            .map(|(turn, scenario)| {
                let (campaign, slots, scenario) = (campaign.clone(), slots.clone(), scenario.clone());
                let run = async move {
                    let _slot = slots.acquire().await;
                    campaign.once(&scenario).await
                };
                (turn, tokio::spawn(run))
            })
            .collect();
        let mut runs = Vec::new();
        for (turn, task) in tasks {
            runs.push((turn, task.await.map_err(|error| error.to_string())??));
        }
        runs.sort_by_key(|(turn, _)| *turn);
        let mut runs: Vec<Run> = runs.into_iter().map(|(_, run)| run).collect();
        let unheard = if mute.is_some() { runs.remove(0).records } else { Vec::new() };
        let baseline: Baseline = judge::baseline(&control_run.records, &control_run.ran.output, &unheard);
        let tested = scenarios
            .iter()
            .zip(&runs)
            .map(|(scenario, run)| run.tested(scenario, judge::judge(scenario, &run.seen(), baseline)));
        Ok(campaign.report(control, tested.collect()))
    }

    fn report(&self, control: Tested, scenarios: Vec<Tested>) -> Report {
        Report {
            schema_version: SCHEMA_VERSION,
            generator: format!("starttls {}", env!("CARGO_PKG_VERSION")),
            protocol: self.protocol.name.to_owned(),
            client: self.subject.name(),
            outcome: Report::overall(&control, &scenarios),
            control,
            scenarios,
        }
    }

    /// Runs the client once, with the man in the middle at work.
    async fn once(&self, scenario: &Scenario) -> Result<Run, String> {
        let certificate = certificate(&self.stage, scenario).await?;
        let started = Instant::now();
        let backing = self.stage.upstream(self.protocol)?;
        let canary = Canary::new(&backing.user, &backing.password);
        let listener = listen().await?;
        let elsewhere = if scenario.refers() { Some(listen().await?) } else { None };
        let filling = Filling { canary: &canary, port: elsewhere.as_ref().map_or(0, port) };
        let target = Target {
            protocol: self.protocol.name,
            host: String::from("localhost"),
            port: port(&listener),
            ca_file: self.stage.ca_file().to_owned(),
            user: backing.user.clone(),
            password: backing.password.clone(),
            timeout: self.timeout,
        };
        let records = Arc::new(Records::default());
        let middle = middle(self.protocol, scenario, filling, &certificate, backing.upstream, &records)?;
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
    stage: &Arc<dyn Stage>,
    scenario: &Scenario,
) -> Result<Arc<CertifiedKey>, String> {
    let (stage, name) = (Arc::clone(stage), scenario.certificate.clone());
    let missing = format!("there is no certificate \"{name}\"");
    let made = tokio::task::spawn_blocking(move || stage.certificate(&name)).await;
    made.map_err(|error| error.to_string())?.ok_or(missing)
}

/// The man in the middle for one run of a scenario, with TLS of his own towards the client.
pub(crate) fn middle(
    protocol: &'static Protocol,
    scenario: &Scenario,
    filling: Filling<'_>,
    certificate: &Arc<CertifiedKey>,
    upstream: Upstream,
    records: &Arc<Records>,
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

impl Run {
    fn seen(&self) -> Seen<'_> {
        Seen { records: &self.records, ran: &self.ran, canary: &self.canary }
    }

    fn tested(&self, scenario: &Scenario, verdict: Verdict) -> Tested {
        Tested::of(scenario, verdict, &self.records, &self.ran, self.elapsed)
    }
}
