//! The text report: findings by server, then the table of servers, then clients that never encrypted.

use std::collections::BTreeMap;

use starttls_inspect::{
    CaptureSummary, ClientSummary, Clue, ConnectionReport, Observation, Offered, RequestAnswer, Requested,
    ServerSummary, SideName, TlsUse, Visibility, Weight,
};
use starttls_report::Plain;

use crate::console::{Console, Tone};
use crate::error::Failed;
use crate::output::Sink;

/// The most findings that are kept for the report of one run.
const MAX_KEPT: usize = 10_000;
/// The most lines of a table.
const MAX_ROWS: usize = 100;

/// The findings so far.
#[derive(Default)]
pub(super) struct TextReport {
    /// By server: the client and the finding.
    findings: BTreeMap<String, Vec<(String, Observation)>>,
    kept: usize,
    dropped: u64,
    counts: BTreeMap<Weight, u64>,
}

impl TextReport {
    /// Adds a connection. With `--verbose` its line is written at once.
    pub(super) fn add(
        &mut self,
        report: ConnectionReport,
        console: Console,
        sink: &mut Sink,
    ) -> Result<(), Failed> {
        if console.verbose {
            sink.line(&connection(&report))?;
            report.hints.iter().try_for_each(|hint| sink.line(&format!("  hint: {hint}")))?;
        }
        let server = report.server_name();
        for finding in report.findings {
            *self.counts.entry(finding.severity).or_default() += 1;
            if finding.severity < Weight::Low && !console.verbose {
                continue;
            }
            self.keep(&server, report.client.clone(), finding);
        }
        Ok(())
    }

    fn keep(&mut self, server: &str, client: String, finding: Observation) {
        if self.kept >= MAX_KEPT {
            self.dropped += 1;
            return;
        }
        self.kept += 1;
        self.findings.entry(server.to_owned()).or_default().push((client, finding));
    }

    /// Writes the totals so far.
    pub(super) fn totals(&self, summary: &CaptureSummary, sink: &mut Sink) -> Result<(), Failed> {
        totals(&self.counts, summary, sink)
    }

    /// Writes the report.
    pub(super) fn finish(
        mut self,
        servers: &[ServerSummary],
        clients: &[ClientSummary],
        summary: &CaptureSummary,
        console: Console,
        sink: &mut Sink,
    ) -> Result<(), Failed> {
        for server in servers {
            for finding in &server.findings {
                *self.counts.entry(finding.severity).or_default() += 1;
                self.keep(&server.server, String::new(), finding.clone());
            }
        }
        for client in clients {
            for finding in &client.findings {
                *self.counts.entry(finding.severity).or_default() += 1;
                self.keep(&format!("client {}", client.client), String::new(), finding.clone());
            }
        }
        for (server, findings) in &self.findings {
            let known = servers.iter().find(|it| it.server == *server);
            sink.line(&console.word(Tone::Heading, &Plain(&heading(server, known)).to_string()))?;
            for (client, finding) in findings {
                show(client, finding, console, sink)?;
            }
        }
        if self.dropped > 0 {
            sink.line(&format!("{} more findings are not shown", self.dropped))?;
        }
        table(servers, sink)?;
        never_encrypted(clients, sink)?;
        totals(&self.counts, summary, sink)
    }
}

fn heading(server: &str, known: Option<&ServerSummary>) -> String {
    let Some(known) = known else { return server.to_owned() };
    let protocol = known.protocol.as_deref().unwrap_or("unknown");
    format!(
        "{server} {protocol}: offered in {} of {} connections, encrypted {}",
        known.offered, known.connections, known.encrypted
    )
}

/// Returns the name of a finding, colored by its severity, with its certainty if that matters.
pub(super) fn title(finding: &Observation, console: Console) -> String {
    let word = finding.id.trim_start_matches("obs-").to_uppercase().replace('-', " ");
    let tone = match finding.severity {
        Weight::High => Tone::Bad,
        Weight::Medium => Tone::Boundary,
        Weight::Low | Weight::Info => Tone::Plain,
    };
    let certainty = match finding.id {
        "obs-stripped" => format!(" ({})", finding.certainty.name()),
        _ => String::new(),
    };
    console.word(tone, &format!("{word}{certainty}"))
}

/// Returns a line of evidence.
pub(super) fn clue(clue: &Clue) -> String {
    let side = match clue.side {
        SideName::Client => "client",
        SideName::Server => "server",
    };
    let text = if clue.text.is_empty() { String::new() } else { format!(": {}", Plain(&clue.text)) };
    format!("packet {}, {side} octets {}..{}{text}", clue.packet, clue.from, clue.to)
}

fn show(client: &str, finding: &Observation, console: Console, sink: &mut Sink) -> Result<(), Failed> {
    let client = if client.is_empty() { String::new() } else { format!("client {client}: ") };
    let title = title(finding, console);
    sink.line(&format!("  {title}  {client}{}", Plain(&finding.summary)))?;
    finding.evidence.iter().try_for_each(|it| sink.line(&format!("      {}", clue(it))))
}

fn table(servers: &[ServerSummary], sink: &mut Sink) -> Result<(), Failed> {
    if servers.is_empty() {
        return Ok(());
    }
    sink.line("")?;
    let row = |server: &str, protocol: &str, columns: [&str; 5]| {
        let [connections, offered, not_offered, encrypted, readable] = columns;
        format!(
            "{server:<40} {protocol:<12} {connections:>11} {offered:>8} {not_offered:>12} {encrypted:>10} {readable:>9}"
        )
    };
    let columns = ["connections", "offered", "not offered", "encrypted", "readable"];
    sink.line(&row("server", "protocol", columns))?;
    for it in servers.iter().take(MAX_ROWS) {
        let numbers =
            [it.connections, it.offered, it.not_offered, it.encrypted, it.readable].map(|it| it.to_string());
        let [a, b, c, d, e] = &numbers;
        sink.line(&row(
            &Plain(&it.server).to_string(),
            it.protocol.as_deref().unwrap_or("unknown"),
            [a, b, c, d, e],
        ))?;
    }
    match servers.len().checked_sub(MAX_ROWS) {
        Some(more) if more > 0 => sink.line(&format!("{more} more servers are in the JSON report")),
        _ => Ok(()),
    }
}

fn never_encrypted(clients: &[ClientSummary], sink: &mut Sink) -> Result<(), Failed> {
    let mut never = clients.iter().filter(|it| it.encrypted == 0 && it.readable > 0).peekable();
    if never.peek().is_none() {
        return Ok(());
    }
    sink.line("")?;
    sink.line("clients that never encrypted:")?;
    for it in never.take(MAX_ROWS) {
        sink.line(&format!("  {} ({} of {} connections readable)", it.client, it.readable, it.connections))?;
    }
    Ok(())
}

fn totals(counts: &BTreeMap<Weight, u64>, summary: &CaptureSummary, sink: &mut Sink) -> Result<(), Failed> {
    let found: Vec<_> =
        counts.iter().rev().map(|(severity, count)| format!("{count} {}", severity.name())).collect();
    let found = if found.is_empty() { String::from("none") } else { found.join(", ") };
    sink.line("")?;
    sink.line(&format!("findings: {found}"))?;
    sink.line(&format!(
        "{} packets, {} connections, {} recognized",
        summary.packets, summary.connections, summary.recognized
    ))?;
    let lost: Vec<_> =
        [(summary.gaps, "gaps"), (summary.evicted, "evicted"), (summary.conflicts, "conflicts")]
            .into_iter()
            .filter(|(count, _)| *count > 0)
            .map(|(count, what)| format!("{count} {what}"))
            .chain(summary.skipped.iter().map(|it| format!("{} packets skipped: {}", it.packets, it.reason)))
            .collect();
    if lost.is_empty() { Ok(()) } else { sink.line(&lost.join(", ")) }
}

/// Returns the line of one connection.
fn connection(report: &ConnectionReport) -> String {
    let facts = &report.facts;
    let protocol = facts.protocol.map_or("unknown", |it| it.name);
    let offered = match facts.offered {
        Offered::Yes => "offered",
        Offered::No => "not offered",
        Offered::Masked => "masked",
        Offered::NeverAsked => "never asked",
        Offered::Unannounced => "unannounced",
        Offered::Unknown => "offer unknown",
    };
    let requested = match facts.requested {
        Requested::Yes => "requested",
        Requested::No => "not requested",
        Requested::Unknown => "request unknown",
    };
    let answer = match facts.answer {
        RequestAnswer::Accepted => ", accepted",
        RequestAnswer::RefusedTemporary => ", refused for now",
        RequestAnswer::RefusedPermanent => ", refused",
        RequestAnswer::Missing => ", not answered",
        RequestAnswer::Implied | RequestAnswer::NotRequested | RequestAnswer::Unknown => "",
    };
    let tls = match facts.tls {
        TlsUse::Upgrade => "upgraded",
        TlsUse::FirstOctet => "implicit TLS",
        TlsUse::Never => "cleartext",
        TlsUse::Failed => "handshake failed",
        TlsUse::WrongMode => "wrong mode",
        TlsUse::Broken => "broken",
        TlsUse::Left => "left TLS",
        TlsUse::Unknown => "TLS unknown",
    };
    let session = facts.handshake.as_ref().map_or(String::new(), |it| {
        let parts = [it.version.clone(), it.suite.as_ref().map(|suite| suite.name.clone())];
        parts.into_iter().flatten().fold(String::new(), |text, part| format!("{text}, {part}"))
    });
    let seen = match facts.seen {
        Visibility::Whole => "",
        Visibility::Midstream => " (joined late)",
        Visibility::OneSide => " (one side)",
        Visibility::Gaps => " (with gaps)",
        Visibility::Open => " (open)",
        Visibility::Evicted => " (evicted)",
    };
    format!(
        "{} {} -> {} {protocol}: {offered}, {requested}{answer}, {tls}{session}{seen}",
        report.start,
        report.client,
        Plain(&report.server_name())
    )
}
