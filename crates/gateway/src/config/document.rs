//! The top level of the configuration file.

use std::collections::HashSet;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use super::listener::{self, parse_limits};
use super::login::{BackendLogin, SecretSource};
use super::reader::{Source, Value, duration};
use super::types::{BackendTrust, Config, Listener, ListenerLimits, Log};
use crate::files::exposure;
use crate::log_level::LogLevel;
use crate::setup_error::{SetupError, shown};
use crate::tickets::TicketKeys;
use crate::watch::Watched;

/// The default of `drain`.
pub(super) const DRAIN: Duration = Duration::from_secs(30);

pub(super) fn parse(source: &Source<'_>) -> Result<Config, SetupError> {
    let mut table = source.table()?;
    let limits = table.take("limits").map_or_else(
        || Ok(ListenerLimits::default()),
        |value| parse_limits(value.table("limits")?, ListenerLimits::default()),
    )?;
    let drain = table.read("drain", duration)?.unwrap_or(DRAIN);
    let log = table.read("log", |text| Ok(log(text)))?.unwrap_or_default();
    let log_level = table.read("log-level", log_level)?.unwrap_or_default();
    let metrics = table.read("metrics", |text| {
        text.parse().map_err(|_| {
            SetupError::new(format!("invalid address and port {}", shown(text)))
                .with_hint("write \"127.0.0.1:9464\"")
        })
    })?;
    let shared = table.read("ticket-keys", |path| TicketKeys::shared(path.as_ref()))?;
    let drafts = table.list("listener").unwrap_or_default();
    table.end()?;
    let listeners =
        drafts.into_iter().map(|value| one(value, limits, shared.clone())).collect::<Result<Vec<_>, _>>()?;
    if listeners.is_empty() {
        let hint = "add [[listener]] with listen = \"…\" and forward = \"…\"";
        return Err(SetupError::new("the configuration has no listener")
            .with_hint(hint)
            .at(|| source.name.to_owned()));
    }
    let config = Config::of(listeners).map_err(|error| error.at(|| source.name.to_owned()))?;
    let exposed = shared.iter().flat_map(|keys| keys.files());
    let exposed = exposed.filter_map(|path| exposure("the ticket key file", &path));
    let warnings = config.warnings.into_iter().chain(exposed).collect();
    let connections = limits.connections;
    Ok(Config { connections, drain, log, log_level, metrics, warnings, tickets: shared, ..config })
}

fn one(
    value: Value<'_>,
    limits: ListenerLimits,
    tickets: Option<Arc<TicketKeys>>,
) -> Result<Listener, SetupError> {
    listener::parse(value.table("[[listener]]")?, limits, tickets)
}

fn log(text: &str) -> Log {
    match text {
        // Containers use these paths. They lead to a pipe, which cannot be opened as a file.
        "stderr" | "/dev/stderr" => Log::Stderr,
        "stdout" | "/dev/stdout" => Log::Stdout,
        "none" | "/dev/null" => Log::Nowhere,
        path => Log::File(PathBuf::from(path)),
    }
}

fn log_level(text: &str) -> Result<LogLevel, SetupError> {
    let names = LogLevel::ALL.map(|level| format!("\"{}\"", level.name())).join(", ");
    text.parse().map_err(|()| {
        SetupError::new(format!("invalid level {}", shown(text)))
            .with_hint(format!("expected one of {names}"))
    })
}

impl Config {
    /// Makes a configuration of these listeners, with defaults for everything else.
    pub(super) fn of(listeners: Vec<Listener>) -> Result<Self, SetupError> {
        for (index, listener) in listeners.iter().enumerate() {
            for earlier in listeners.iter().take(index) {
                if earlier.address == listener.address {
                    return Err(SetupError::new(format!(
                        "two listeners have the address {}",
                        listener.address
                    )));
                }
                if earlier.name == listener.name {
                    return Err(SetupError::new(format!(
                        "two listeners have the name {}",
                        shown(&listener.name)
                    )));
                }
            }
        }
        let mut warnings: Vec<_> = listeners.iter().flat_map(Listener::warnings).collect();
        // Listeners may share a certificate, a backend or a password.
        let mut known = HashSet::new();
        warnings.retain(|warning| known.insert(warning.clone()));
        Ok(Self {
            listeners,
            connections: ListenerLimits::default().connections,
            drain: DRAIN,
            log: Log::default(),
            log_level: LogLevel::default(),
            metrics: None,
            tickets: None,
            warnings,
        })
    }
}

impl Listener {
    fn warnings(&self) -> Vec<String> {
        let mut warnings = self.tls().map(|tls| tls.certificates.warnings()).unwrap_or_default();
        for backend in self.routes().iter().flat_map(|route| &route.backends) {
            if backend.tls().is_some_and(|it| matches!(it.trust, BackendTrust::Unverified)) {
                warnings.push(format!(
                    "the certificate of {backend} is not verified (insecure): an attacker can impersonate it"
                ));
            }
            let strangers = self.allow.is_none() && !self.address.is_local();
            if strangers && backend.tls().is_some_and(|it| it.certificate) {
                warnings.push(format!(
                    "the gateway presents its certificate to {backend} for every client of {}. If the backend logs \
                     in by certificate, every client acts as the gateway: set \"allow\" to the networks that may \
                     connect",
                     self.name
                ));
            }
            if let Some(SecretSource::File(path)) = backend.login().and_then(BackendLogin::secret) {
                warnings.extend(exposure("the password file", path));
            }
        }
        warnings
    }
}
