//! `gateway --plan`: shows the listeners and routes of a configuration, and connects to its backends.

use std::io::Write;
use std::time::Instant;

use starttls_gateway::{Config, probe};
use starttls_x509::validity;
use tokio::task::JoinSet;

use super::report::{
    Backend, ClientCertificates, Listener, Mode, Outcome, Probed, Report, Route, ServerCertificate,
};
use crate::args::Format;
use crate::error::Failed;
use crate::exit;

/// Shows every listener with its routes. Connects to every backend, in parallel.
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

/// Connects to the backends. Returns the results in the order of the configuration.
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

/// Returns a line for each listener and for each of its backends.
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

/// Returns a summary of the certificates: the names of up to three; otherwise the number and the first to expire.
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
        Outcome::Cleartext => format!("reachable in cleartext, {time}"),
        Outcome::Unverified => format!("{version}, {verdict}, {time}; the backend is not authenticated"),
        Outcome::Verified => format!("{version}, {verdict}, {time}{login}"),
        Outcome::Failed => format!("FAILED, {}", backend.error.as_deref().unwrap_or_default()),
    }
}
