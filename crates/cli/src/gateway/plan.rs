//! What a configuration comes to, and whether its backends are there.

use std::io::Write;
use std::time::Instant;

use starttls::validity;
use starttls_gateway::{Config, probe};
use tokio::task::JoinSet;

use super::report::{
    Backend, ClientCertificates, Listener, Mode, Outcome, Probed, Report, Route, ServerCertificate,
};
use crate::args::Format;
use crate::error::Failed;
use crate::exit;

/// Shows every listener and every way from there; every backend is tried, all at once.
pub(super) async fn show(config: &Config, format: Format) -> Result<u8, Failed> {
    let report = Report::new(config, try_all(config).await);
    let text = match format {
        Format::Text => text(&report),
        Format::Json => {
            let json = serde_json::to_string(&report);
            json.map_err(|error| Failed::new(exit::BUG, error.to_string()))? + "\n"
        }
    };
    print(&text)?;
    Ok(report.exit_code)
}

/// Tries the backends; what came of it is in the order of the configuration, whoever answered first.
async fn try_all(config: &Config) -> Vec<Probed> {
    let mut probes = JoinSet::new();
    for listener in &config.listeners {
        for backend in listener.routes().iter().flat_map(|route| route.backends.clone()) {
            let (place, limit) = (probes.len(), listener.limits.dial);
            probes.spawn(async move {
                let began = Instant::now();
                let probed = probe(&backend, limit).await;
                (place, (probed, began.elapsed()))
            });
        }
    }
    let mut all = probes.join_all().await;
    all.sort_by_key(|(place, _)| *place);
    all.into_iter().map(|(_, probed)| probed).collect()
}

/// Prints to standard output.
pub(super) fn print(text: &str) -> Result<(), Failed> {
    let mut out = std::io::stdout().lock();
    out.write_all(text.as_bytes()).and_then(|()| out.flush())?;
    Ok(())
}

/// A line for each listener, and one for each way from there.
fn text(report: &Report) -> String {
    let mut text = String::new();
    for listener in &report.listeners {
        text += &format!("{}\n", line(listener));
        for route in &listener.routes {
            for backend in &route.backends {
                text += &format!("  {} -> {}: {}\n", names(route), backend.url, said(backend));
            }
        }
    }
    text
}

fn line(listener: &Listener) -> String {
    let mode = match listener.mode {
        Mode::UpgradeRequired => "upgrade required",
        Mode::UpgradeOptional => "upgrade optional",
        Mode::UpgradeHidden => "upgrade required, not announced",
        Mode::ImplicitTls => "TLS from the first byte",
        Mode::Cleartext => "cleartext",
    };
    let Listener { name, address, protocol, .. } = listener;
    let title = starttls::proto::protocol(protocol).map_or(*protocol, |protocol| protocol.title);
    let place = if name.contains(address) { String::new() } else { format!(" on {address}") };
    let mut line = format!("{name}{place}: {title}, {mode}");
    if !listener.certificates.is_empty() {
        line += "; ";
        line += &certificates(&listener.certificates);
    }
    line
}

/// Certificates in a few words: all names of a few, the number of many; what matters is which goes first.
fn certificates(all: &[ServerCertificate]) -> String {
    let one = |own: &ServerCertificate| {
        let names = if own.names.is_empty() { String::from("no name") } else { own.names.join(" ") };
        format!("{names} ({}, {})", own.key, validity::remaining(own.days_left))
    };
    match all {
        few if few.len() <= 3 => few.iter().map(one).collect::<Vec<_>>().join(", "),
        many => {
            let first = many.iter().min_by_key(|own| own.not_after_unix);
            format!("{} certificates, first to expire {}", many.len(), first.map(one).unwrap_or_default())
        }
    }
}

fn names(route: &Route) -> String {
    let auth = if route.client_certificate == ClientCertificates::Required {
        " with a client certificate"
    } else {
        ""
    };
    if route.names.is_empty() {
        format!("any name{auth}")
    } else {
        format!("{}{auth}", route.names.join(" "))
    }
}

fn said(backend: &Backend) -> String {
    let time = format!("{:.1} ms", backend.time_ms);
    let login = backend.login.as_ref().map(|user| format!(", logged in as {user}")).unwrap_or_default();
    let version = backend.tls.as_ref().map(|tls| tls.version).unwrap_or_default();
    let verdict = backend.certificate.as_ref().map(|it| it.verdict.as_str()).unwrap_or_default();
    match backend.outcome {
        Outcome::Cleartext => format!("there, in cleartext, {time}"),
        Outcome::Unverified => format!("{version}, {verdict}, {time}; anybody can be it"),
        Outcome::Verified => format!("{version}, {verdict}, {time}{login}"),
        Outcome::Failed => format!("FAILED, {}", backend.error.as_deref().unwrap_or_default()),
    }
}
