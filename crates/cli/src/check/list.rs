//! `starttls check --list`.

use serde_json::{Value, json};
use starttls::proto::PROTOCOLS;
use starttls_audit::check::{Check as Row, GROUPS};
use starttls_audit::{Cost, SurveyExtent, cost};

use super::selection::Selected;
use crate::args::{Check, ReportFormat};
use crate::error::Failed;
use crate::exit;
use crate::output::Sink;
use crate::policy::check::table::policy_rule;

/// Lists the selected checks, with the connections and logins that each of them needs.
pub(super) fn run(args: &Check, selected: &Selected) -> Result<u8, Failed> {
    match args.format.as_slice() {
        [ReportFormat::Text] => text(args, selected),
        [ReportFormat::Json] => json(args, selected),
        _ => return Err(Failed::usage("--list has the formats text and json")),
    }?;
    Ok(exit::DONE)
}

fn text(args: &Check, selected: &Selected) -> Result<(), Failed> {
    let mut sink = Sink::open(&args.output)?;
    for group in GROUPS {
        let rows: Vec<_> = group.checks.iter().filter(|row| selected.wants(row)).collect();
        if rows.is_empty() {
            continue;
        }
        sink.line(group.title)?;
        for row in rows {
            let needs = Needs::of(row, selected.servers.survey());
            let login = match needs.failed_login.len() {
                0 => "-",
                all if all == PROTOCOLS.len() => "login",
                _ => "login*",
            };
            let slow = if needs.is_slow { " (needs --slow)" } else { "" };
            sink.line(&format!("  {:<20} {:>2} {login:<6} {}{slow}", row.id, needs.connections, row.title))?;
        }
    }
    if !selected.policies.is_empty() {
        sink.line("The policies of a domain (check DOMAIN)")?;
    }
    for rule in selected.policies.ids().iter().filter_map(|id| policy_rule(id)) {
        sink.line(&format!("  {:<20}           {}", rule.id, rule.title))?;
    }
    sink.line("\nThe columns: the check; the most connections that it needs alone, with the first one that every audit")?;
    sink.line("opens; \"login\" if the server sees a login that fails, \"login*\" if only servers of some protocols do.")?;
    sink.line("--format json names these protocols. A port that does not upgrade gets two more connections for a diagnosis.")
}

fn json(args: &Check, selected: &Selected) -> Result<(), Failed> {
    let mut sink = Sink::open(&args.output)?;
    let rows = GROUPS.iter().flat_map(|group| group.checks.iter().map(move |row| (group.title, row)));
    let checks: Vec<Value> = rows
        .filter(|(_, row)| selected.wants(row))
        .map(|(group, row)| {
            let Needs { connections, failed_login, is_slow } = Needs::of(row, selected.servers.survey());
            json!({
                "id": row.id, "group": group, "severity": row.severity, "title": row.title,
                "connections": connections, "failed_login": !failed_login.is_empty(),
                "failed_login_protocols": failed_login, "needs_slow": is_slow,
            })
        })
        .collect();
    let policies = selected.policies.ids().iter().filter_map(|id| policy_rule(id));
    let policies: Vec<Value> = policies.map(|rule| json!({ "id": rule.id, "title": rule.title })).collect();
    sink.line(&json!({ "schema_version": 1, "checks": checks, "policies": policies }).to_string())
}

impl Selected {
    fn wants(&self, row: &Row) -> bool {
        self.audits_servers && self.servers.wants(row)
    }
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
