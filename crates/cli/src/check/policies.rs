//! The policies of a domain in the report of `check DOMAIN`, as the findings of one more endpoint.

use std::time::{Duration, Instant};

use starttls::{ConnectorBuilder, validity};
use starttls_audit::report::{CheckOutcome, EndpointReport, EndpointVerdict, Finding, Reach, Severity};
use starttls_dns::{DnsName, Stub};

use super::selection::{PolicySelection, Relevance, Selected};
use crate::args::{Check, Resolver};
use crate::error::Failed;
use crate::policy::check::report::Report;
use crate::policy::check::row::{Row, RowSeverity};
use crate::policy::check::table::{RULES, policy_rule};
use crate::policy::check::{Ports, examine};
use crate::policy::resolver;

/// Checks the policies of domains.
pub(super) struct PolicyAudit {
    stub: Stub,
    roots: ConnectorBuilder,
    timeout: Duration,
    selection: PolicySelection,
}

impl PolicyAudit {
    /// Returns the audit if the options do not leave it out.
    pub(super) fn new(args: &Check, selected: &Selected) -> Result<Option<Self>, Failed> {
        let peer = &args.peer;
        if selected.policies.is_empty() || peer.way.proxy.is_some() {
            return Ok(None);
        }
        let resolver = Resolver { resolver: args.resolver, trust_ad: false };
        let stub = match resolver::stub(&resolver, peer.timeout) {
            // Without a configured resolver, the lookups of the targets report the fault.
            Err(_) if selected.audits_servers => return Ok(None),
            stub => stub?,
        };
        let selection = selected.policies.clone();
        Ok(Some(Self { stub, roots: peer.builder(true)?, timeout: peer.timeout, selection }))
    }

    /// Returns the report on a domain.
    pub(super) async fn report(&self, domain: &DnsName) -> Result<EndpointReport, Failed> {
        let (started_at, started) = (validity::rfc3339(validity::now()), Instant::now());
        let ports = Ports { mx: 25, sts: 443 };
        let report = examine(&self.stub, self.roots.clone(), self.timeout, &ports, domain).await?;
        let connections = report.mx.iter().map(|it| it.addresses.len()).sum::<usize>();
        let mut findings: Vec<Finding> =
            report.findings.iter().filter_map(|row| self.finding(row, report.dnssec)).collect();
        findings.push(decision(&report));
        Ok(EndpointReport {
            target: format!("domain:{domain}"),
            address: None,
            protocol: String::from("smtp"),
            server_name: domain.to_string(),
            port: ports.mx,
            target_line: None,
            started_at,
            source: None,
            outcome: EndpointVerdict::Sound,
            summary: String::new(),
            tls: None,
            certificate: None,
            capabilities: None,
            steps: Vec::new(),
            connections: u32::try_from(connections).unwrap_or(u32::MAX),
            elapsed_ms: started.elapsed().as_secs_f64() * 1000.0,
            not_selected: RULES.len() - self.selection.ids().len(),
            findings,
            transcripts: Vec::new(),
            reach: Reach::Answered,
        })
    }
}

impl PolicyAudit {
    /// Returns the finding for a row if its check is selected. A row that prevents a selected check makes that
    /// inconclusive.
    fn finding(&self, row: &Row, dnssec: bool) -> Option<Finding> {
        let found = finding(row, dnssec || self.selection.is_explicit);
        match self.selection.relevance(row.id) {
            Relevance::Selected => Some(found),
            Relevance::None => None,
            Relevance::Prevents => {
                let outcome = match found.outcome {
                    CheckOutcome::NotRun => CheckOutcome::NotRun,
                    _ => CheckOutcome::Inconclusive,
                };
                Some(Finding { outcome, severity: Severity::Info, ..found })
            }
        }
    }
}

/// Returns the finding for a row. `dnssec`: whether DANE counts as checked.
fn finding(row: &Row, dnssec: bool) -> Finding {
    let (outcome, severity) = match row.severity {
        // The reports on the exchangers themselves judge this. Nothing was compared with an exchanger without an address.
        _ if row.id == "mx-address" => (CheckOutcome::Inconclusive, Severity::Info),
        _ if row.id == "mx-alias" || row.id == "mx-literal" => (CheckOutcome::Info, Severity::Info),
        RowSeverity::Info => (CheckOutcome::Info, Severity::Info),
        // A machine without a validating resolver is not a fault of the domain.
        RowSeverity::Inconclusive if row.id == "dane-lookup" && !dnssec => {
            (CheckOutcome::NotRun, Severity::Info)
        }
        RowSeverity::Inconclusive => (CheckOutcome::Inconclusive, Severity::Info),
        RowSeverity::Warning => (CheckOutcome::Warning, Severity::Warning),
        RowSeverity::Error => (CheckOutcome::Fail, Severity::Error),
        RowSeverity::Critical => (CheckOutcome::Fail, Severity::Critical),
    };
    let is_wrong = matches!(outcome, CheckOutcome::Warning | CheckOutcome::Fail);
    let fix = policy_rule(row.id).filter(|_| is_wrong).map(|rule| rule.fix.to_owned());
    Finding {
        id: row.id.to_owned(),
        outcome,
        severity,
        known: false,
        summary: format!("{}: {}", row.subject, row.text),
        details: Vec::new(),
        evidence: Vec::new(),
        fix,
        requirement: None,
        message: None,
    }
}

/// Returns what senders do, as a note.
fn decision(report: &Report) -> Finding {
    let send = report.decision.send.iter().map(|host| format!("send to {}: {}", host.host, host.in_words()));
    let steps = report.decision.steps.iter().map(|it| {
        let subject = it.host.as_deref().unwrap_or(&report.domain);
        format!("{} {subject}: {}", it.step, it.meaning)
    });
    let postfix = format!("policy serve answers Postfix: {}", report.decision.postfix);
    Finding {
        id: String::from("mx-lookup"),
        outcome: CheckOutcome::Pass,
        severity: Severity::Info,
        known: false,
        summary: match report.dnssec {
            true => String::from("the policies of the domain were looked up"),
            false => String::from(
                "the policies of the domain were looked up without DNSSEC, so DANE is not judged",
            ),
        },
        details: send.chain([postfix]).chain(steps).collect(),
        evidence: Vec::new(),
        fix: None,
        requirement: None,
        message: None,
    }
}
