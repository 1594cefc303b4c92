//! Runs the gateway as a service: start, reload and drain, with notes to the service manager, the log and the metrics.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use sd_notify::NotifyState;
use starttls_gateway::certificates::Certificates;
use starttls_gateway::config::{Listener, Log};
use starttls_gateway::log::Logger;
use starttls_gateway::metrics::{self, Metrics};
use starttls_gateway::report::Reporter;
use starttls_gateway::watch::{self, WatchEvent, Watched};
use starttls_gateway::{Config, Gateway, LogLevel, log_spans};
use tokio::net::TcpListener;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::task::{JoinHandle, spawn_blocking};
use tokio::time::Instant;

use super::source::ConfigSource;
use super::{files, sandbox};
use crate::error::Failed;
use crate::exit;

/// Serves until a signal stops the gateway.
pub(super) async fn run(source: &ConfigSource, config: Config) -> Result<u8, Failed> {
    // Landlock confines a thread and the threads that it starts, so the service runs on a confined thread.
    std::thread::scope(|scope| {
        let serving = std::thread::Builder::new().name(String::from("service")).spawn_scoped(scope, || {
            let confined = sandbox::enter(&config);
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
            let confined =
                confined.map_or_else(|error| format!("files are not confined: {error}"), String::from);
            let ended = runtime.block_on(serve(source, config, &confined));
            // After a second signal, the open sessions are not awaited.
            runtime.shutdown_background();
            ended
        });
        let ended = serving.map_err(Failed::from)?.join();
        ended.unwrap_or_else(|_| Err(Failed::new(exit::BUG, "the gateway panicked")))
    })
}

async fn serve(source: &ConfigSource, config: Config, confined: &str) -> Result<u8, Failed> {
    let mut config = config;
    let lowered = files::fit(&mut config);
    // Before anything listens, so that no signal is missed.
    let mut signals = Signals::new()?;
    let fixed = RestartOnly::of(&config);
    let log = Logger::open(&config.log).map_err(|error| unlogged(&config, &error))?;
    log.set_level(config.log_level);
    let reporter = Arc::new(Reporter::new(log, Arc::new(Metrics::new())));
    // This process collects spans nowhere else.
    log_spans(reporter.clone());
    let asked = match config.metrics {
        Some(address) => Some(TcpListener::bind(address).await.map_err(|error| {
            Failed::new(exit::UNREACHABLE, format!("cannot listen on {address} for metrics: {error}"))
        })?),
        None => None,
    };
    let mut life = FileWatcher::new(&config, reporter.clone());
    // These warnings were written to standard error.
    let mut warned = config.warnings.clone();
    let mut gateway = Gateway::start(config, reporter.clone()).map_err(unstarted)?;
    let metrics = reporter.metrics.clone();
    let answering = asked.map(|listener| tokio::spawn(metrics::serve(listener, metrics.clone())));
    let notes: Vec<_> = [addresses(&gateway), confined.to_owned()].into_iter().chain(lowered).collect();
    reporter.log.event(LogLevel::Info, "started", &notes.join("; "));
    notify(&[NotifyState::Ready]);
    let mut loading = PendingReload::default();
    loop {
        let loaded = tokio::select! {
            order = signals.next() => match order {
                ServiceSignal::Stop => break,
                ServiceSignal::Reload => {
                    loading.request(source, &reporter);
                    continue;
                }
            },
            loaded = loading.ended() => loaded,
        };
        let reloaded =
            loaded.and_then(|config| take_over(config, &fixed, &mut gateway, &reporter, &mut warned));
        metrics.reloaded(reloaded.is_ok());
        match reloaded {
            Ok((new, lowered)) => {
                life = new;
                let notes: Vec<_> = [addresses(&gateway)].into_iter().chain(lowered).collect();
                reporter.log.event(LogLevel::Info, "reloaded", &notes.join("; "));
            }
            Err(failed) => {
                let hint = failed.hint.as_deref().map(|hint| format!("; {hint}")).unwrap_or_default();
                reporter.log.event(LogLevel::Error, "kept", &format!("{failed}{hint}"));
            }
        }
        notify(&[NotifyState::Ready]);
        loading.start_requested(source, &reporter);
    }
    notify(&[NotifyState::Stopping]);
    metrics.drain();
    reporter.log.event(LogLevel::Info, "draining", &sessions(gateway.sessions()));
    let draining = spawn_blocking(move || gateway.drain());
    tokio::select! {
        cut = draining => {
            let cut = cut.map_err(|error| Failed::new(exit::BUG, error.to_string()))?;
            reporter.log.event(LogLevel::Info, "stopped", &format!("{} cut off", sessions(cut)));
        }
        // A second signal stops the gateway at once.
        () = signals.stop() => reporter.log.event(LogLevel::Info, "stopped", "at once"),
    }
    reporter.log.flush();
    drop(life);
    answering.iter().for_each(JoinHandle::abort);
    Ok(exit::DONE)
}

/// The time limit for loading a configuration and its files. Twenty thousand certificates take a few seconds.
const LOADING: Duration = Duration::from_secs(60);

/// A reload in progress.
///
/// The configuration is loaded on a separate thread, so that a file system that does not respond blocks neither the
/// sessions nor the signals.
#[derive(Default)]
struct PendingReload {
    task: Option<(JoinHandle<Result<Config, Failed>>, Instant)>,
    /// Whether another reload was requested in the meantime.
    again: bool,
}

impl PendingReload {
    /// Starts a reload, now or after the one in progress.
    fn request(&mut self, source: &ConfigSource, reporter: &Reporter) {
        self.again = true;
        self.start_requested(source, reporter);
    }

    /// Starts the requested reload, if none is in progress.
    fn start_requested(&mut self, source: &ConfigSource, reporter: &Reporter) {
        if self.task.is_some() || !std::mem::take(&mut self.again) {
            return;
        }
        let since = NotifyState::monotonic_usec_now();
        notify(&[NotifyState::Reloading].into_iter().chain(since).collect::<Vec<_>>());
        reporter.log.reopen();
        let source = source.clone();
        self.task = Some((spawn_blocking(move || source.load()), Instant::now() + LOADING));
    }

    /// Waits for the end of the reload in progress. Never completes if no reload is in progress.
    async fn ended(&mut self) -> Result<Config, Failed> {
        let Some((task, deadline)) = &mut self.task else { return std::future::pending().await };
        let ended = tokio::time::timeout_at(*deadline, task).await;
        self.task = None;
        match ended {
            Ok(Ok(loaded)) => loaded,
            Ok(Err(panicked)) => Err(Failed::new(exit::BUG, panicked.to_string())),
            // The thread continues until the file system responds, and is not awaited.
            Err(_) => Err(Failed::usage(format!(
                "loading the configuration and its files took longer than {} s",
                LOADING.as_secs()
            ))
            .hint(Some(String::from("check whether the file system responds")))),
        }
    }
}

/// Applies a new configuration completely or not at all (rule G6). Returns a note if its limits were lowered.
fn take_over(
    mut config: Config,
    fixed: &RestartOnly,
    gateway: &mut Gateway,
    reporter: &Arc<Reporter>,
    warned: &mut Vec<String>,
) -> Result<(FileWatcher, Option<String>), Failed> {
    if RestartOnly::of(&config) != *fixed {
        return Err(Failed::usage("changing `log` or `metrics` requires a restart"));
    }
    let warnings = config.warnings.clone();
    let new = warnings.iter().filter(|warning| !warned.contains(warning));
    new.for_each(|warning| reporter.log.event(LogLevel::Warn, "warning", warning));
    *warned = warnings;
    let lowered = files::fit(&mut config);
    let (watched, level) = (Watch::of(&config), config.log_level);
    gateway.reload(config).map_err(unstarted)?;
    reporter.log.set_level(level);
    Ok((FileWatcher::watching(watched, reporter.clone()), lowered))
}

/// The settings that only a restart changes.
#[derive(PartialEq, Eq)]
struct RestartOnly {
    log: Log,
    metrics: Option<SocketAddr>,
}

impl RestartOnly {
    fn of(config: &Config) -> Self {
        Self { log: config.log.clone(), metrics: config.metrics }
    }
}

/// The task that watches the files of the current configuration.
struct FileWatcher {
    task: JoinHandle<()>,
}

/// The files to watch, and the certificates for the metrics.
struct Watch {
    all: Vec<Arc<dyn Watched>>,
    certificates: Vec<(String, Arc<Certificates>)>,
}

impl Watch {
    fn of(config: &Config) -> Self {
        let tls = |listener: &Listener| Some((listener.name.clone(), listener.tls()?.certificates.clone()));
        Self { all: config.watched(), certificates: config.listeners.iter().filter_map(tls).collect() }
    }

    fn count(&self, metrics: &Metrics) {
        metrics.certificates(
            self.certificates.iter().map(|(name, certificates)| (name.as_str(), &**certificates)),
        );
    }
}

impl FileWatcher {
    fn new(config: &Config, reporter: Arc<Reporter>) -> Self {
        Self::watching(Watch::of(config), reporter)
    }

    fn watching(watched: Watch, reporter: Arc<Reporter>) -> Self {
        watched.count(&reporter.metrics);
        let all = watched.all.clone();
        let task = tokio::spawn(watch::watch(all, move |event| match event {
            WatchEvent::Reloaded(changes) => {
                reporter.metrics.reloaded(true);
                watched.count(&reporter.metrics);
                let changes: Vec<_> = changes.iter().map(ToString::to_string).collect();
                reporter.log.event(LogLevel::Info, "renewed", &changes.join(", "));
            }
            WatchEvent::Kept(error) => {
                reporter.metrics.reloaded(false);
                reporter.log.event(LogLevel::Error, "kept", &error.to_string());
            }
            WatchEvent::Warned(warning) => reporter.log.event(LogLevel::Warn, "warning", &warning),
        }));
        Self { task }
    }
}

impl Drop for FileWatcher {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// The request of a signal.
#[derive(PartialEq, Eq)]
enum ServiceSignal {
    Reload,
    Stop,
}

struct Signals {
    hangup: Signal,
    terminate: Signal,
    interrupt: Signal,
}

impl Signals {
    fn new() -> std::io::Result<Self> {
        Ok(Self {
            hangup: signal(SignalKind::hangup())?,
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
        })
    }

    async fn next(&mut self) -> ServiceSignal {
        tokio::select! {
            _ = self.hangup.recv() => ServiceSignal::Reload,
            _ = self.terminate.recv() => ServiceSignal::Stop,
            _ = self.interrupt.recv() => ServiceSignal::Stop,
        }
    }

    async fn stop(&mut self) {
        while self.next().await != ServiceSignal::Stop {}
    }
}

/// Notifies the service manager, if there is one.
fn notify(states: &[NotifyState<'_>]) {
    // The service also runs without a manager.
    let _ = sd_notify::notify(states);
}

fn addresses(gateway: &Gateway) -> String {
    let each = gateway.addresses().into_iter().map(|(name, address)| match address {
        Some(address) => format!("{name} listens on {address}"),
        None => format!("{name} listens"),
    });
    each.collect::<Vec<_>>().join(", ")
}

fn sessions(count: usize) -> String {
    if count == 1 { String::from("1 session") } else { format!("{count} sessions") }
}

fn unstarted(error: std::io::Error) -> Failed {
    let hint = match error.kind() {
        std::io::ErrorKind::PermissionDenied => Some(
            "ports below 1024 need the capability CAP_NET_BIND_SERVICE, or a socket from the service manager",
        ),
        std::io::ErrorKind::AddrInUse => {
            Some("another program listens on this address: find it with ss -ltnp")
        }
        _ => None,
    };
    Failed::new(exit::UNREACHABLE, error.to_string()).hint(hint.map(str::to_owned))
}

/// Returns the failure for a log that cannot be opened.
pub(super) fn unlogged(config: &Config, error: &std::io::Error) -> Failed {
    let hint = match error.kind() {
        std::io::ErrorKind::InvalidInput | std::io::ErrorKind::NotConnected => {
            Some("specify a file, or use log = \"stderr\" and the log of the service manager")
        }
        _ => None,
    };
    let what = format!("cannot write the log {}: {error}", shown(&config.log));
    Failed::usage(what).hint(hint.map(str::to_owned))
}

fn shown(log: &Log) -> String {
    match log {
        Log::File(path) => path.display().to_string(),
        _ => String::from("to this terminal"),
    }
}
