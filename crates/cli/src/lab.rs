//! `starttls lab`: runs a sound server of each protocol, until Ctrl-C.

use std::io::Write;

use serde_json::json;
use starttls::proto::{Protocol, Start, scheme};
use starttls_lab as lab;

use crate::args::{Format, Lab};
use crate::error::Failed;
use crate::exit;
use crate::interruption::Interruption;
use crate::target;

/// Runs the command and returns its exit code.
pub(crate) async fn run(args: &Lab, mut interruption: Interruption) -> Result<u8, Failed> {
    let only = args.only.iter().map(|name| scheme(name).ok_or_else(|| target::unknown(name, "")));
    let only = only.collect::<Result<Vec<_>, _>>()?;
    let running = start()?;
    let chosen = choose(&running, &only);
    show(args.format, &running, &chosen)?;
    interruption.code().await;
    // Dropping the lab joins its threads and removes its folder, which would block this runtime.
    tokio::task::spawn_blocking(move || drop(running)).await.map_err(Failed::bug)?;
    Ok(exit::DONE)
}

fn show(format: Format, running: &lab::Lab, chosen: &[&lab::LabEndpoint]) -> std::io::Result<()> {
    let mut out = std::io::stdout().lock();
    match format {
        Format::Json => writeln!(out, "{}", as_json(running, chosen))?,
        Format::Text => table(&mut out, running, chosen)?,
    }
    out.flush()
}

/// Starts the lab on free ports.
pub(crate) fn start() -> Result<lab::Lab, Failed> {
    lab::Lab::start(lab::Options::default())
        .map_err(|error| Failed::new(exit::UNREACHABLE, format!("cannot start the lab: {error}")))
}

fn choose<'a>(running: &'a lab::Lab, only: &[(&'static Protocol, Start)]) -> Vec<&'a lab::LabEndpoint> {
    let is = |endpoint: &lab::LabEndpoint, (protocol, start): (&Protocol, Start)| {
        endpoint.protocol == protocol && endpoint.implicit == (start == Start::FirstByte)
    };
    let wanted = |endpoint: &&lab::LabEndpoint| only.is_empty() || only.iter().any(|it| is(endpoint, *it));
    running.endpoints().iter().filter(wanted).collect()
}

fn as_json(running: &lab::Lab, chosen: &[&lab::LabEndpoint]) -> serde_json::Value {
    let servers: Vec<_> = chosen
        .iter()
        .map(|it| {
            json!({
                "url": it.url(), "protocol": it.protocol.name, "implicit_tls": it.implicit,
                "address": it.address.to_string(), "server_name": it.server_name,
            })
        })
        .collect();
    json!({
        "schema_version": 1, "servers": servers, "ca_file": running.ca_file(),
        "user": running.user(), "password": running.password(),
    })
}

fn table(out: &mut impl Write, running: &lab::Lab, chosen: &[&lab::LabEndpoint]) -> std::io::Result<()> {
    let ca_file = running.ca_file().display();
    for endpoint in chosen {
        let start = if endpoint.implicit { "TLS from the first byte" } else { endpoint.protocol.spec };
        writeln!(out, "{:<32} {:<26} {start}", endpoint.url(), endpoint.protocol.title)?;
    }
    writeln!(out, "\nca file   {ca_file}\nuser      {}\npassword  {}", running.user(), running.password())?;
    let Some(first) = chosen.first() else { return Ok(()) };
    writeln!(
        out,
        "\ntry       starttls connect {} --ca-file {ca_file}\n\nCtrl-C stops the servers.",
        first.url()
    )
}
