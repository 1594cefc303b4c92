//! A server for clients that are started elsewhere, with a verdict for each connection.

use std::sync::Arc;
use std::time::{Duration, Instant};

use starttls::proto::Protocol;
use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tokio::task::JoinSet;

use crate::campaign::{certificate, middle};
use crate::canary::Canary;
use crate::environment::Environment;
use crate::error::AttackError;
use crate::judge::{self, ClientBaseline, Observations};
use crate::middle::Upstream;
use crate::record::{ConnectionRecord, RunRecords};
use crate::report::{ScenarioOutcome, ScenarioResult};
use crate::scenario::{Filling, Scenario, SessionAction};
use crate::subject::{ClientExit, ClientOutput, ClientRun};

/// A man in the middle for clients that are started elsewhere.
///
/// It does not attack the first connection, which is the baseline. Each further connection gets the next scenario.
pub struct AttackServer {
    /// The protocol.
    pub protocol: &'static Protocol,
    /// The scenarios.
    pub scenarios: Vec<Scenario>,
    /// The source of the certificates.
    pub environment: Arc<dyn Environment>,
    /// The upstream server.
    pub upstream: Upstream,
    /// Whether the upstream server is a real one. TLS is then relayed without decryption where the scenario allows it, and
    /// the texts of the client are not shown.
    pub real: bool,
    /// The credentials of the client, as far as they are controls.
    pub canary: Canary,
    /// How long a client may be silent before TLS is up. A connection ends after six times this limit.
    pub timeout: Duration,
}

/// The most connections served at once. Further ones wait.
const AT_ONCE: usize = 64;
/// The time limit of a connection, as a multiple of [`AttackServer::timeout`].
const DEADLINE: u32 = 6;

impl std::fmt::Debug for AttackServer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("AttackServer").field("protocol", &self.protocol).finish_non_exhaustive()
    }
}

impl AttackServer {
    /// Serves until the future is dropped, and sends each verdict to `verdicts`.
    ///
    /// # Errors
    /// Returns an error if a connection cannot be accepted or the control run cannot be played.
    pub async fn run(
        self,
        listener: TcpListener,
        verdicts: mpsc::Sender<ScenarioResult>,
    ) -> Result<(), AttackError> {
        let watch = Arc::new(self);
        // The baseline must be known before the first attack is judged.
        let mut controls = ControlRuns::default();
        let mut turn = 0;
        let mut attacks = JoinSet::new();
        loop {
            let accepted = tokio::select! {
                accepted = listener.accept(), if attacks.len() < AT_ONCE => accepted,
                Some(_) = attacks.join_next() => continue,
            };
            let (tcp, _) = accepted.map_err(AttackError::Accept)?;
            let needs_mute = watch.scenarios.iter().any(|it| it.inside == SessionAction::Mute);
            let control = match (controls.control.is_some(), controls.mute.is_some()) {
                (false, _) => Some(SessionAction::Pass),
                (true, false) if needs_mute => Some(SessionAction::Mute),
                _ => None,
            };
            if let Some(inside) = control {
                let scenario = Scenario::control(inside);
                let (records, exit, elapsed) = watch.once(&scenario, tcp, 0).await?;
                let client = ClientRun { exit, output: ClientOutput::default() };
                let seen = Observations { records: &records, client: &client, canary: &watch.canary };
                let verdict = judge::control(&seen);
                let sound = verdict.outcome == ScenarioOutcome::Sound;
                // The receiver may be gone.
                let _ =
                    verdicts.send(ScenarioResult::of(&scenario, verdict, &records, &client, elapsed)).await;
                match inside {
                    SessionAction::Mute => controls.mute = Some(records),
                    SessionAction::Pass if sound => controls.control = Some(records),
                    // The next connection is a control run again.
                    SessionAction::Pass | SessionAction::Truncate => {}
                }
                continue;
            }
            let Some(scenario) = watch.scenarios.get(turn % watch.scenarios.len().max(1)).cloned() else {
                return Ok(());
            };
            turn += 1;
            let (watch, verdicts, baseline) = (watch.clone(), verdicts.clone(), controls.baseline());
            attacks.spawn(async move {
                let Ok((records, exit, elapsed)) = watch.once(&scenario, tcp, baseline.answered.len()).await
                else {
                    return;
                };
                let client = ClientRun { exit, output: ClientOutput::default() };
                let seen = Observations { records: &records, client: &client, canary: &watch.canary };
                let verdict = judge::judge(&scenario, &seen, &baseline);
                let _ =
                    verdicts.send(ScenarioResult::of(&scenario, verdict, &records, &client, elapsed)).await;
            });
        }
    }

    /// Serves one connection until it ends or the client has been silent for too long.
    async fn once(
        &self,
        scenario: &Scenario,
        tcp: tokio::net::TcpStream,
        answered: usize,
    ) -> Result<(Vec<ConnectionRecord>, ClientExit, Duration), AttackError> {
        let certificate = certificate(&self.environment, scenario).await?;
        let started = Instant::now();
        let records = Arc::new(RunRecords::default());
        let elsewhere = if scenario.refers() { Some(crate::campaign::listen().await?) } else { None };
        let port = elsewhere.as_ref().map_or(0, crate::campaign::port);
        let filling = Filling { canary: &self.canary, port };
        let mut middle =
            middle(self.protocol, scenario, filling, &certificate, self.upstream.clone(), &records)?;
        if self.real && !scenario.needs_tls() {
            middle.acceptor = None;
        }
        middle.answered = answered;
        middle.deadline = self.timeout * DEADLINE;
        let Some(number) = records.open() else { return Err(AttackError::TooManyConnections) };
        records.with(number, |record| record.secret = self.real);
        let redirected = async {
            match &elsewhere {
                Some(listener) => drop(listener.accept().await),
                None => std::future::pending().await,
            }
        };
        let exit = tokio::select! {
            () = middle.serve(number, tcp) => ClientExit::Unknown,
            () = redirected => {
                if let Some(number) = records.open() {
                    records.with(number, |record| record.redirected = true);
                }
                ClientExit::Unknown
            }
            () = silence(&records, number, self.timeout) => ClientExit::TimedOut,
        };
        Ok((records.taken(), exit, started.elapsed()))
    }
}

/// The records of the runs without an attack.
#[derive(Default)]
struct ControlRuns {
    control: Option<Vec<ConnectionRecord>>,
    mute: Option<Vec<ConnectionRecord>>,
}

impl ControlRuns {
    fn baseline(&self) -> ClientBaseline {
        let records = |of: &Option<Vec<ConnectionRecord>>| of.clone().unwrap_or_default();
        judge::baseline(&records(&self.control), &[], &records(&self.mute))
    }
}

/// Waits until the client has been silent for `timeout` before TLS.
async fn silence(records: &RunRecords, number: usize, timeout: Duration) {
    loop {
        let mut quiet = Duration::ZERO;
        records.with(number, |record| quiet = record.quiet());
        match timeout.checked_sub(quiet) {
            Some(left) => tokio::time::sleep(left.max(Duration::from_millis(10))).await,
            None => return,
        }
    }
}
