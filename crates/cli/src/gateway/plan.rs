//! What a configuration comes to, and whether its backends are there.

use std::io::Write;
use std::time::{Duration, Instant};

use starttls::Facts;
use starttls_gateway::certificates::Summary;
use starttls_gateway::config::{Backend, Front, Listener, Offer, Route, Trust};
use starttls_gateway::{Config, Failure, Leg, probe};
use tokio::task::JoinSet;

use crate::exit;
use crate::failure::Failed;

/// Prints a line for each listener, and one for each way from there; every backend is tried, all at once.
pub(super) async fn show(config: &Config) -> Result<u8, Failed> {
    let mut probes = JoinSet::new();
    let backends = |listener: &Listener| {
        let routes = listener.routes().iter();
        routes.flat_map(|route| route.backends.clone()).collect::<Vec<_>>()
    };
    for (at, listener) in config.listeners.iter().enumerate() {
        for (nth, backend) in backends(listener).into_iter().enumerate() {
            let limit = listener.limits.dial;
            probes.spawn(async move {
                let began = Instant::now();
                let probed = probe(&backend, limit).await;
                ((at, nth), probed, began.elapsed())
            });
        }
    }
    let mut all = probes.join_all().await;
    // In the order of the configuration, whoever answered first.
    all.sort_by_key(|(place, ..)| *place);
    let mut probed = all.into_iter();
    let (mut text, mut code) = (String::new(), exit::DONE);
    for listener in &config.listeners {
        text += &format!("{}\n", line(listener));
        for route in listener.routes() {
            for backend in &route.backends {
                let Some((_, outcome, time)) = probed.next() else { continue };
                text += &format!("  {} -> {backend}: {}\n", names(route), said(backend, &outcome, time));
                if let Err(failure) = &outcome {
                    code = code.max(exit_code(failure));
                }
            }
        }
    }
    say(&text)?;
    Ok(code)
}

/// Prints to standard output.
pub(super) fn say(text: &str) -> Result<(), Failed> {
    let mut out = std::io::stdout().lock();
    out.write_all(text.as_bytes()).and_then(|()| out.flush())?;
    Ok(())
}

fn line(listener: &Listener) -> String {
    let mode = match listener.front {
        Front::Upgrade(Offer::Required, _) => "upgrade required",
        Front::Upgrade(Offer::Optional, _) => "upgrade optional",
        Front::Upgrade(Offer::Hidden, _) => "upgrade required, not announced",
        Front::Implicit(_) => "TLS from the first byte",
        Front::Cleartext => "cleartext",
    };
    let (name, title) = (&listener.name, listener.protocol.title);
    let place = listener.address.to_string();
    let place = if name.contains(&place) { String::new() } else { format!(" on {place}") };
    let mut line = format!("{name}{place}: {title}, {mode}");
    if let Some(tls) = listener.tls() {
        line += "; ";
        line += &certificates(&tls.certificates.summaries());
    }
    line
}

/// Certificates in a few words: all names of a few, the number of many; what matters is which goes first.
fn certificates(all: &[Summary]) -> String {
    let days = |summary: &Summary| match summary.days_left {
        left if left < 0 => String::from("expired"),
        1 => String::from("1 day left"),
        left => format!("{left} days left"),
    };
    let one = |summary: &Summary| {
        let names = if summary.names.is_empty() { String::from("no name") } else { summary.names.join(" ") };
        format!("{names} ({}, {})", summary.key, days(summary))
    };
    match all {
        few if few.len() <= 3 => few.iter().map(one).collect::<Vec<_>>().join(", "),
        many => {
            let first = many.iter().min_by_key(|summary| summary.not_after);
            format!("{} certificates, first to expire {}", many.len(), first.map(one).unwrap_or_default())
        }
    }
}

fn names(route: &Route) -> String {
    let auth = match &route.client_auth {
        Some(policy) if policy.auth == starttls::ClientAuth::Required => " with a client certificate",
        _ => "",
    };
    if route.names.is_empty() {
        format!("any name{auth}")
    } else {
        format!("{}{auth}", route.names.join(" "))
    }
}

fn said(backend: &Backend, outcome: &Result<Option<Facts>, Failure>, time: Duration) -> String {
    let time = format!("{:.1} ms", time.as_secs_f64() * 1000.0);
    let login = backend.login().map(|login| format!(", logged in as {}", login.user())).unwrap_or_default();
    match (outcome, backend.upstream().map(|upstream| &upstream.trust)) {
        (Ok(None), _) => format!("there, in cleartext, {time}"),
        (Ok(Some(facts)), Some(Trust::Unverified)) => {
            format!("{}, {}, {time}; anybody can be it", facts.version_name(), facts.verdict)
        }
        (Ok(Some(facts)), _) => format!("{}, {}, {time}{login}", facts.version_name(), facts.verdict),
        (Err(failure), _) => format!("FAILED, {}", with_causes(failure)),
    }
}

/// One line: the failure and its causes.
fn with_causes(failure: &Failure) -> String {
    let mut line = failure.to_string();
    let mut cause = std::error::Error::source(failure);
    while let Some(current) = cause {
        line = format!("{line}: {current}");
        cause = current.source();
    }
    line
}

fn exit_code(failure: &Failure) -> u8 {
    match failure {
        Failure::Tls { leg: Leg::Backend, source } => exit::code(source),
        Failure::Protocol { .. } => exit::VIOLATION,
        Failure::Refused { .. } => exit::INCONCLUSIVE,
        Failure::Login { .. } => exit::REFUSED,
        _ => exit::UNREACHABLE,
    }
}
