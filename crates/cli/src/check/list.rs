//! `starttls check --list`.

use serde_json::{Value, json};
use starttls::proto::PROTOCOLS;
use starttls_audit::check::{Check as Row, GROUPS};
use starttls_audit::{Cost, Selection, SurveyExtent, cost};

use crate::args::{Check, ReportFormat};
use crate::error::Failed;
use crate::exit;
use crate::output::Sink;

/// Lists the selected checks, with the connections and logins that each of them needs.
pub(super) fn run(args: &Check, selection: &Selection) -> Result<u8, Failed> {
    match args.format.as_slice() {
        [ReportFormat::Text] => text(args, selection),
        [ReportFormat::Json] => json(args, selection),
        _ => return Err(Failed::usage("--list has the formats text and json")),
    }?;
    Ok(exit::DONE)
}

fn text(args: &Check, selection: &Selection) -> Result<(), Failed> {
    let mut sink = Sink::open(&args.output)?;
    for group in GROUPS {
        let rows: Vec<_> = group.checks.iter().filter(|row| selection.wants(row)).collect();
        if rows.is_empty() {
            continue;
        }
        sink.line(group.title)?;
        for row in rows {
            let needs = Needs::of(row, selection.survey());
            let login = match needs.failed_login.len() {
                0 => "-",
                all if all == PROTOCOLS.len() => "login",
                _ => "login*",
            };
            let slow = if needs.is_slow { " (needs --slow)" } else { "" };
            sink.line(&format!("  {:<20} {:>2} {login:<6} {}{slow}", row.id, needs.connections, row.title))?;
        }
    }
    sink.line("\nThe columns: the check; the most connections that it needs alone, with the first one that every audit")?;
    sink.line("opens; \"login\" if the server sees a login that fails, \"login*\" if only servers of some protocols do.")?;
    sink.line("--format json names these protocols. A port that does not upgrade gets two more connections for a diagnosis.")
}

fn json(args: &Check, selection: &Selection) -> Result<(), Failed> {
    let mut sink = Sink::open(&args.output)?;
    let rows = GROUPS.iter().flat_map(|group| group.checks.iter().map(move |row| (group.title, row)));
    let checks: Vec<Value> = rows
        .filter(|(_, row)| selection.wants(row))
        .map(|(group, row)| {
            let Needs { connections, failed_login, is_slow } = Needs::of(row, selection.survey());
            json!({
                "id": row.id, "group": group, "severity": row.severity, "title": row.title,
                "connections": connections, "failed_login": !failed_login.is_empty(),
                "failed_login_protocols": failed_login, "needs_slow": is_slow,
            })
        })
        .collect();
    sink.line(&json!({ "schema_version": 1, "checks": checks }).to_string())
}

/// What a check needs, of all protocols.
struct Needs {
    /// The most connections.
    connections: u32,
    /// The protocols whose servers see a login that fails.
    failed_login: Vec<&'static str>,
    is_slow: bool,
}

impl Needs {
    fn of(row: &'static Row, survey: SurveyExtent) -> Self {
        let costs: Vec<(&str, Cost)> = PROTOCOLS.iter().map(|it| (it.name, cost(row, it, survey))).collect();
        Self {
            connections: costs.iter().map(|(_, cost)| cost.connections).max().unwrap_or_default(),
            failed_login: costs.iter().filter(|(_, cost)| cost.failed_login).map(|(name, _)| *name).collect(),
            is_slow: costs.iter().any(|(_, cost)| cost.is_slow),
        }
    }
}
