//! One connection after the other, for clients that somebody else drives: in the foreground, with a verdict for each.

use std::sync::Arc;
use std::time::{Duration, Instant};

use starttls::proto::Protocol;
use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tokio::task::JoinSet;

use crate::campaign::{Environment, certificate, middle};
use crate::canary::Canary;
use crate::judge::{self, ClientBaseline, Observations};
use crate::middle::Upstream;
use crate::record::{ConnectionRecord, RunRecords};
use crate::report::{ScenarioOutcome, ScenarioResult};
use crate::scenario::{Filling, Scenario, SessionAction};
use crate::subject::{ClientExit, ClientOutput, ClientRun};

/// A man in the middle for whoever comes: the first connection is not attacked, to compare with; then the scenarios
/// take turns.
pub struct AttackServer {
    /// The protocol.
    pub protocol: &'static Protocol,
    /// The scenarios.
    pub scenarios: Vec<Scenario>,
    /// The certificates.
    pub environment: Arc<dyn Environment>,
    /// The server behind.
    pub upstream: Upstream,
    /// Whether TLS passes unread where a scenario can do without it, and what clients say is not shown: the server
    /// behind is a real one.
    pub real: bool,
    /// Who may log in, and with which password, where that is known.
    pub canary: Canary,
    /// How long a client may be silent before TLS is up. A connection ends after six times as long.
    pub timeout: Duration,
}

/// Connections that are served at once; others wait.
const AT_ONCE: usize = 64;
/// How many times [`AttackServer::timeout`] one connection may take.
const DEADLINE: u32 = 6;

impl std::fmt::Debug for AttackServer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("AttackServer").field("protocol", &self.protocol).finish_non_exhaustive()
    }
}

impl AttackServer {
    /// Serves until it is dropped; each verdict goes to `verdicts` as it falls.
    ///
    /// # Errors
    /// What kept it from serving, in words.
    pub async fn run(
        self,
        listener: TcpListener,
        verdicts: mpsc::Sender<ScenarioResult>,
    ) -> Result<(), String> {
        let watch = Arc::new(self);
        // What the client does when nobody attacks it has to be known before the first attack is judged.
        let mut known = Known::default();
        let mut turn = 0;
        let mut attacks = JoinSet::new();
        loop {
            let accepted = tokio::select! {
                accepted = listener.accept(), if attacks.len() < AT_ONCE => accepted,
                Some(_) = attacks.join_next() => continue,
            };
            let (tcp, _) = accepted.map_err(|error| format!("cannot accept connections: {error}"))?;
            let needs_mute = watch.scenarios.iter().any(|it| it.inside == SessionAction::Mute);
            let control = match (known.control.is_some(), known.mute.is_some()) {
                (false, _) => Some(SessionAction::Pass),
                (true, false) if needs_mute => Some(SessionAction::Mute),
                _ => None,
            };
            if let Some(inside) = control {
                let scenario = Scenario::control(inside);
                let (records, ended, elapsed) = watch.once(&scenario, tcp, 0).await?;
                let ran = ClientRun { ended, output: ClientOutput::default() };
                let seen = Observations { records: &records, ran: &ran, canary: &watch.canary };
                let verdict = judge::control(&seen);
                let sound = verdict.outcome == ScenarioOutcome::Sound;
                // A verdict that nobody hears is one all the same.
                let _ = verdicts.send(ScenarioResult::of(&scenario, verdict, &records, &ran, elapsed)).await;
                match inside {
                    SessionAction::Mute => known.mute = Some(records),
                    SessionAction::Pass if sound => known.control = Some(records),
                    // The next connection has another try.
                    SessionAction::Pass | SessionAction::Truncate => {}
                }
                continue;
            }
            let Some(scenario) = watch.scenarios.get(turn % watch.scenarios.len().max(1)).cloned() else {
                return Ok(());
            };
            turn += 1;
            let (watch, verdicts, baseline) = (watch.clone(), verdicts.clone(), known.baseline());
            attacks.spawn(async move {
                let Ok((records, ended, elapsed)) = watch.once(&scenario, tcp, baseline.answered.len()).await
                else {
                    return;
                };
                let ran = ClientRun { ended, output: ClientOutput::default() };
                let seen = Observations { records: &records, ran: &ran, canary: &watch.canary };
                let verdict = judge::judge(&scenario, &seen, &baseline);
                let _ = verdicts.send(ScenarioResult::of(&scenario, verdict, &records, &ran, elapsed)).await;
            });
        }
    }

    /// Serves one connection to its end, or until the client has been silent for too long.
    async fn once(
        &self,
        scenario: &Scenario,
        tcp: tokio::net::TcpStream,
        answered: usize,
    ) -> Result<(Vec<ConnectionRecord>, ClientExit, Duration), String> {
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
        let Some(number) = records.open() else { return Err(String::from("too many connections")) };
        records.with(number, |record| record.secret = self.real);
        let redirected = async {
            match &elsewhere {
                Some(listener) => drop(listener.accept().await),
                None => std::future::pending().await,
            }
        };
        let ended = tokio::select! {
            () = middle.serve(number, tcp) => ClientExit::Unknown,
            () = redirected => {
                if let Some(number) = records.open() {
                    records.with(number, |record| record.redirected = true);
                }
                ClientExit::Unknown
            }
            () = silence(&records, number, self.timeout) => ClientExit::TimedOut,
        };
        Ok((records.taken(), ended, started.elapsed()))
    }
}

/// The runs without an attack.
#[derive(Default)]
struct Known {
    control: Option<Vec<ConnectionRecord>>,
    mute: Option<Vec<ConnectionRecord>>,
}

impl Known {
    fn baseline(&self) -> ClientBaseline {
        let records = |of: &Option<Vec<ConnectionRecord>>| of.clone().unwrap_or_default();
        judge::baseline(&records(&self.control), &[], &records(&self.mute))
    }
}

/// Waits until the client has said nothing for so long, and TLS is not up.
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
