//! Probes an endpoint, and makes its rows from the report.

use std::fmt;
use std::net::IpAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use starttls::proto::Protocol;
use starttls_audit::check::id;
use starttls_audit::report::{
    CertificateReport, CheckOutcome, EndpointReport, EndpointVerdict, Presented, Reach, StepTime,
};
use starttls_audit::{Audit, DialGate, InvalidSelection, LIGHT_CONNECTIONS, Limits, Selection};
use starttls_dns::{DialPolicy, Permitted};
use starttls_x509::validity;
use tokio::sync::Notify;

use crate::budget::BudgetKeys;
use crate::files::json;
use crate::monitor::Timed;
use crate::opt_out::OptOut;
use crate::queue::TargetRecord;
use crate::row::{
    Attempt, CertificateFacts, CertificateRow, EndpointOutcome, EndpointRow, EvidenceRow, FindingFacts,
    ROW_VERSION, TargetReach,
};
use crate::settings::{EvidenceKept, ProbeKind};
use crate::target::EndpointTarget;
use crate::worker::{Contact, Done, Job, LaneGate, Skipped};

/// The most names of a certificate in a row.
const MAX_NAMES: usize = 100;

/// Probes endpoints.
#[derive(Debug)]
pub(crate) struct ProbeEndpoints {
    audit: Audit,
    protocol: &'static Protocol,
    pass: u8,
    evidence: EvidenceKept,
    kind: ProbeKind,
    policy: DialPolicy,
    opt_out: Arc<OptOut>,
}

/// How endpoints are probed.
pub(crate) struct ProbeOptions {
    /// The protocol.
    pub(crate) protocol: &'static Protocol,
    /// What is asked.
    pub(crate) kind: ProbeKind,
    /// The number of the pass, from 1.
    pub(crate) pass: u8,
    /// The limit for each answer.
    pub(crate) timeout: Duration,
    /// The time between two connections to one address.
    pub(crate) interval: Duration,
    /// Which evidence is kept.
    pub(crate) evidence: EvidenceKept,
    /// The addresses that may be dialed.
    pub(crate) policy: DialPolicy,
    /// Those that are not dialed.
    pub(crate) opt_out: Arc<OptOut>,
}

impl fmt::Debug for ProbeOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ProbeOptions").field("kind", &self.kind).finish_non_exhaustive()
    }
}

impl ProbeEndpoints {
    /// Returns the probes of an audit, which has the trusted roots, the client's name and the route.
    ///
    /// # Errors
    /// If the table of checks does not have the checks of the kind of probe.
    pub(crate) fn new(audit: &Audit, options: ProbeOptions) -> Result<Self, InvalidSelection> {
        let ProbeOptions { protocol, kind, pass, timeout, interval, evidence, policy, opt_out } = options;
        let connections = kind.connections();
        let limits = Limits {
            connections,
            concurrency: 1,
            reply_timeout: timeout,
            // The connections wait for their budgets meanwhile.
            deadline: 4 * timeout + connections * (timeout + 2 * interval),
            ..Limits::default()
        };
        let selection = match kind {
            ProbeKind::Offer | ProbeKind::Certificate => Selection::light(),
            ProbeKind::Tls => {
                let names = [
                    "srv-reachable",
                    "srv-throttled",
                    "srv-plain-tls",
                    "srv-preauth",
                    "srv-offered",
                    "srv-upgrade",
                    "cert",
                    "tls",
                ];
                Selection::new(&names.map(String::from), &[])?
            }
            ProbeKind::Full => Selection::default(),
        };
        debug_assert!(LIGHT_CONNECTIONS >= ProbeKind::Certificate.connections());
        let audit =
            audit.with_limits(limits).with_selection(selection).until_offer(matches!(kind, ProbeKind::Offer));
        Ok(Self { audit, protocol, pass, evidence, kind, policy, opt_out })
    }

    fn row(
        &self,
        target: &EndpointTarget,
        reach: TargetReach,
        outcome: EndpointOutcome,
        summary: &str,
    ) -> EndpointRow {
        EndpointRow {
            schema_version: ROW_VERSION,
            key: target.key(),
            pass: self.pass,
            at: validity::rfc3339(validity::now()),
            protocol: target.protocol.clone(),
            address: target.address,
            port: target.port,
            server_name: target.server_name.clone(),
            suffix: target.suffix.clone(),
            network: target.network.to_string(),
            source: None,
            reach,
            outcome,
            summary: summary.to_owned(),
            attempts: target.attempts.clone(),
            connections: 0,
            elapsed_ms: 0.0,
            offered: None,
            tls: None,
            certificate: None,
            capabilities: Vec::new(),
            passed: Vec::new(),
            findings: Vec::new(),
        }
    }

    fn undialed(&self, target: &EndpointTarget, reach: TargetReach, why: &str) -> Done {
        self.ended(target, reach, why, 0)
    }

    /// Returns the record of a target without a report.
    fn ended(&self, target: &EndpointTarget, reach: TargetReach, why: &str, connections: u32) -> Done {
        let mut row = self.row(target, reach, EndpointOutcome::Inconclusive, why);
        row.connections = connections;
        Done {
            record: crate::worker::record(row.key.clone(), &row),
            word: reach.word(),
            contact: Contact::Other,
            steps: Vec::new(),
        }
    }

    fn done(&self, target: &EndpointTarget, report: EndpointReport) -> Done {
        let reach = reach(&report);
        let mut row = self.row(target, reach, outcome(self.kind, &report, reach), &report.summary);
        let contact = match reach {
            TargetReach::Answered => Contact::Served,
            TargetReach::Throttled => Contact::TurnedAway,
            TargetReach::Closed => Contact::Closed,
            _ => Contact::Other,
        };
        row.at.clone_from(&report.started_at);
        row.source.clone_from(&report.source);
        (row.connections, row.elapsed_ms) = (report.connections, report.elapsed_ms);
        row.offered = offered(&report);
        row.capabilities = report.capabilities.as_ref().map(|it| it.before.clone()).unwrap_or_default();
        for finding in &report.findings {
            match finding.outcome {
                CheckOutcome::Pass => row.passed.push(finding.id.clone()),
                CheckOutcome::NotApplicable | CheckOutcome::NotRun => {}
                _ => row.findings.push(FindingFacts {
                    id: finding.id.clone(),
                    outcome: finding.outcome,
                    severity: finding.severity,
                    summary: finding.summary.clone(),
                }),
            }
        }
        let certificates = report.certificate.as_ref().map(certificate_rows).unwrap_or_default();
        row.certificate = report.certificate.as_ref().map(certificate_facts);
        let evidence = self.evidence_rows(&row.key, &report);
        row.tls = report.tls;
        Done {
            record: TargetRecord { key: row.key.clone(), row: json(&row), evidence, certificates },
            word: reach.word(),
            contact,
            steps: report.steps.iter().filter_map(timed).collect(),
        }
    }

    fn evidence_rows(&self, key: &str, report: &EndpointReport) -> Vec<String> {
        let is_kept = |outcome| match self.evidence {
            EvidenceKept::None => false,
            EvidenceKept::Failures => matches!(outcome, CheckOutcome::Fail | CheckOutcome::Warning),
            EvidenceKept::All => true,
        };
        let findings = report.findings.iter().filter(|it| is_kept(it.outcome));
        let evidence = findings.flat_map(|finding| finding.evidence.iter().map(move |part| (finding, part)));
        let rows = evidence.filter_map(|(finding, part)| {
            let transcript = report.transcripts.get(part.transcript)?;
            Some(json(&EvidenceRow {
                schema_version: ROW_VERSION,
                key: key.to_owned(),
                pass: self.pass,
                finding: finding.id.clone(),
                purpose: transcript.purpose.clone(),
                entries: transcript.entries.get(part.first..=part.last)?.to_vec(),
            }))
        });
        rows.collect()
    }
}

impl Job for ProbeEndpoints {
    type Target = EndpointTarget;

    fn key(&self, target: &EndpointTarget) -> String {
        target.key()
    }

    fn budgets(&self, target: &EndpointTarget) -> Option<(IpAddr, BudgetKeys)> {
        Some((target.address, target.budget_keys()))
    }

    fn refuse(&self, target: &EndpointTarget) -> Option<Done> {
        if self.opt_out.has_endpoint(target) {
            return Some(self.undialed(target, TargetReach::OptedOut, "the operator opted out"));
        }
        let refused = Permitted::new(target.socket(), &self.policy).err()?;
        Some(self.undialed(target, TargetReach::Blocked, &refused.to_string()))
    }

    fn skip(&self, target: &EndpointTarget, why: Skipped) -> Done {
        match why {
            Skipped::Paused => {
                let why = "not dialed: servers of its network turned the survey away a short time ago";
                self.undialed(target, TargetReach::Throttled, why)
            }
            Skipped::Crashed => {
                let why = "the program ended several times while it probed this endpoint";
                self.undialed(target, TargetReach::Crashed, why)
            }
        }
    }

    async fn run(&self, target: Arc<EndpointTarget>, gate: Option<LaneGate>) -> Done {
        // The only way to an address leads through the check.
        let permitted = match Permitted::new(target.socket(), &self.policy) {
            Ok(permitted) => permitted,
            Err(refused) => return self.undialed(&target, TargetReach::Blocked, &refused.to_string()),
        };
        let gate = Arc::new(EndpointGate {
            lane: gate,
            opt_out: Arc::clone(&self.opt_out),
            target: Arc::clone(&target),
            connections: AtomicU32::new(0),
            is_closed: Notify::new(),
        });
        let audit = self.audit.with_gate(Arc::clone(&gate) as Arc<dyn DialGate>);
        let url = format!("{}://{}:{}", target.protocol, target.server_name, target.port);
        tokio::select! {
            report = audit.endpoint(self.protocol, &url, &target.server_name, permitted.address()) => {
                self.done(&target, report)
            }
            () = gate.is_closed.notified() => {
                let connections = gate.connections.load(Ordering::Relaxed);
                self.ended(&target, TargetReach::OptedOut, "the operator opted out meanwhile", connections)
            }
        }
    }
}

/// The gate of an endpoint: that of its lane, which does not open any more when the operator opted out. An audit can take minutes.
#[derive(Debug)]
struct EndpointGate {
    lane: Option<LaneGate>,
    opt_out: Arc<OptOut>,
    target: Arc<EndpointTarget>,
    connections: AtomicU32,
    is_closed: Notify,
}

impl DialGate for EndpointGate {
    fn admit(&self) -> Pin<Box<dyn Future<Output = ()> + Send + '_>> {
        Box::pin(async {
            if let Some(lane) = &self.lane {
                lane.admit().await;
            }
            if self.opt_out.has_endpoint(&self.target) {
                self.is_closed.notify_one();
                // The audit is about to be dropped.
                return std::future::pending().await;
            }
            self.connections.fetch_add(1, Ordering::Relaxed);
        })
    }
}

/// Returns the duration of a step that the metrics have.
fn timed(step: &StepTime) -> Option<(Timed, Duration)> {
    let timed = match step.name.as_str() {
        "connect" => Timed::Connect,
        "handshake" => Timed::Handshake,
        _ => return None,
    };
    Some((timed, Duration::try_from_secs_f64(step.ms / 1000.0).ok()?))
}

/// Returns how far the probe got.
fn reach(report: &EndpointReport) -> TargetReach {
    match report.reach {
        Reach::Answered => TargetReach::Answered,
        Reach::Refused => TargetReach::Refused,
        Reach::Timeout => TargetReach::Timeout,
        Reach::Reset => TargetReach::Reset,
        Reach::Unroutable => TargetReach::Unroutable,
        Reach::Throttled => TargetReach::Throttled,
        Reach::Silent => TargetReach::Silent,
        Reach::Closed => TargetReach::Closed,
    }
}

/// Returns the result. A server that was not reached far enough to show something about its TLS is inconclusive or unreachable.
fn outcome(kind: ProbeKind, report: &EndpointReport, reach: TargetReach) -> EndpointOutcome {
    match (reach, report.outcome) {
        (TargetReach::Throttled | TargetReach::Closed, _) => EndpointOutcome::Inconclusive,
        (TargetReach::Answered, EndpointVerdict::Inconclusive)
            if kind == ProbeKind::Offer && offered(report) == Some(true) =>
        {
            EndpointOutcome::Offered
        }
        (_, verdict) => verdict.into(),
    }
}

fn offered(report: &EndpointReport) -> Option<bool> {
    let finding = report.findings.iter().find(|it| it.id == id::SRV_OFFERED.id)?;
    match finding.outcome {
        CheckOutcome::Pass => Some(true),
        CheckOutcome::Fail => Some(false),
        _ => None,
    }
}

fn certificate_facts(presented: &Presented) -> CertificateFacts {
    let own = presented.chain.first();
    CertificateFacts {
        verified: presented.verified,
        verdict: presented.verdict.clone(),
        not_after_unix: presented.expires.as_ref().map(|it| it.not_after_unix),
        names: own.map(|it| it.names.iter().take(MAX_NAMES).cloned().collect()).unwrap_or_default(),
        chain: presented.chain.iter().map(|it| it.sha256.clone()).collect(),
    }
}

fn certificate_rows(presented: &Presented) -> Vec<(String, String)> {
    presented.chain.iter().map(|it| (it.sha256.clone(), json(&certificate_row(it)))).collect()
}

fn certificate_row(it: &CertificateReport) -> CertificateRow {
    CertificateRow {
        schema_version: ROW_VERSION,
        sha256: it.sha256.clone(),
        spki_sha256: it.spki_sha256.clone(),
        subject: it.subject.clone(),
        issuer: it.issuer.clone(),
        serial: it.serial.clone(),
        names: it.names.clone(),
        not_before: it.not_before.clone(),
        not_after: it.not_after.clone(),
        not_after_unix: it.not_after_unix,
        key: it.key.clone(),
        signature: it.signature.clone(),
        unreadable: it.unreadable.clone(),
        pem: starttls_x509::certificate_to_pem(&it.der),
    }
}

/// Returns what a row adds to the attempts of the next pass.
pub(crate) fn attempt(row: &EndpointRow) -> Attempt {
    Attempt { pass: row.pass, at: row.at.clone(), reach: row.reach }
}
