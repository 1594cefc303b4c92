//! The probes of a server, and the order in which they run.
//!
//! A probe is one file here and one line in [`PROBES`]. The first connection is not in the list: every audit makes it.

mod answers;
mod ask;
mod baseline;
mod capabilities;
mod certificate;
mod cleartext;
mod cross_protocol;
mod fallback;
mod fixation;
mod handshake;
mod implicit;
mod injection;
mod login;
mod mechanisms;
mod port;
mod pre_tls_text;
mod stall;
mod survey;
mod tls;

use std::pin::Pin;
use std::sync::OnceLock;
use std::task::Poll;
use std::time::Instant;

use starttls::proto::Protocol;
use starttls_hello::Version;
use starttls_x509::validity;

use crate::check::{Check, id};
use crate::error::ProbeError;
use crate::filter::is_wrong;
use crate::finding::{FindingBuilder, ProbeResult};
use crate::message;
use crate::plan::Plan;
use crate::profile::ProtocolProfile;
use crate::record::Log;
use crate::report::{
    CheckOutcome, EndpointReport, EndpointVerdict, Finding, Presented, Severity, TlsSummary, TlsSurvey,
};
use crate::requirement::Requirement;
use crate::selection::{Selection, SurveyExtent};
use crate::session::{CleartextSession, Opening};
use crate::survey::{Handshake, SESSION_CHECKS};
use baseline::Baseline;

/// Every probe, in the order of the transcripts in a report.
const PROBES: &[&dyn Probe] = &[
    &cleartext::Cleartext,
    &injection::Injection,
    &fallback::Fallback,
    &fixation::StateBeforeTls,
    &tls::ForeignAlpn,
    &tls::OtherNames,
    &cross_protocol::CrossProtocol,
    &survey::TlsOffer,
    &stall::Stall,
];

/// Makes checks on connections of its own, after the first connection has shown that the upgrade works.
trait Probe: Sync {
    /// Returns the checks that this probe makes.
    fn checks(&self) -> &'static [&'static Check];

    /// Returns what the selected checks of this probe need on an endpoint of this protocol.
    fn cost(&self, selection: &Selection, protocol: &'static Protocol) -> Cost;

    /// Makes the selected checks.
    fn run<'a>(&'a self, context: &'a Context<'a>) -> Running<'a>;

    /// Returns when the probe runs.
    fn turn(&self) -> Turn {
        Turn::Together
    }

    /// Returns whether the probe also runs on a port with implicit TLS.
    fn runs_with_implicit_tls(&self) -> bool {
        false
    }

    /// Returns whether the selected checks compare with the answer to a harmless command in cleartext, which
    /// [`cleartext`] asks for.
    fn needs_harmless_reply(&self, _: &Selection) -> bool {
        false
    }

    /// Returns whether the probe has to run for this selection.
    fn is_needed(&self, selection: &Selection) -> bool {
        selection.wants_any(self.checks())
    }
}

/// A probe that is running.
type Running<'a> = Pin<Box<dyn Future<Output = ProbeResult> + Send + 'a>>;

/// When a probe runs.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Turn {
    /// Before the others, which use its result.
    First,
    /// At the same time as others.
    Together,
    /// Alone, after the others. Its connections can hold a server that serves one connection at a time.
    Alone,
}

/// What a check needs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Cost {
    /// The most connections to the server, if no other check is selected.
    pub connections: u32,
    /// Whether the server sees a login that fails.
    pub failed_login: bool,
    /// Whether the check waits for minutes, and runs only if [`Limits::slow`](crate::Limits::slow) is set.
    pub is_slow: bool,
}

impl Cost {
    fn new(connections: u32) -> Self {
        Self { connections, failed_login: false, is_slow: false }
    }

    fn and(self, other: Self) -> Self {
        Self {
            connections: self.connections + other.connections,
            failed_login: self.failed_login || other.failed_login,
            is_slow: self.is_slow || other.is_slow,
        }
    }
}

/// Returns what one check needs on an endpoint of this protocol, with the first connection. An endpoint that does not
/// upgrade may need two connections more for a diagnosis.
pub fn cost(check: &'static Check, protocol: &'static Protocol, survey: SurveyExtent) -> Cost {
    let selection = Selection::of(check).with_survey(survey);
    let needed = PROBES.iter().filter(|probe| probe.is_needed(&selection));
    let cost = needed.fold(Cost::new(1), |sum, probe| sum.and(probe.cost(&selection, protocol)));
    // Whole sessions between the others, for servers that lose their patience.
    let patience = ProtocolProfile::of(protocol).patience;
    cost.and(Cost::new(patience.map_or(0, |patience| (cost.connections - 1) / patience)))
}

/// What probes know about the endpoint, from the first connection and from each other.
struct Context<'a> {
    plan: &'a Plan,
    /// What the server presented on the first connection.
    presented: Option<&'a Presented>,
    /// What the TLS survey needs to know about the first connection.
    handshake: Handshake<'a>,
    /// The signature of the server's answer to a harmless command in cleartext.
    harmless_reply: OnceLock<String>,
    /// Whether the server serves only clients that request TLS.
    is_enforced: OnceLock<bool>,
    /// Every version that the TLS survey found.
    versions: OnceLock<Vec<Version>>,
    /// The result of the TLS survey.
    survey: OnceLock<TlsSurvey>,
    /// Why a session inside TLS is not served.
    unserved: OnceLock<ProbeError>,
}

impl<'a> Context<'a> {
    fn new(plan: &'a Plan, base: &'a Baseline) -> Self {
        Self {
            plan,
            presented: base.certificate.as_ref(),
            handshake: Handshake {
                version: base.version,
                group: base.tls.as_ref().and_then(|tls| tls.group.as_deref()),
                certificate: base.own_certificate.as_deref(),
                ocsp_stapled: base
                    .tls
                    .as_ref()
                    .and_then(|tls| Some(tls.ocsp_stapled).filter(|_| tls.version.is_some())),
                ocsp_response: base.ocsp_response.as_deref(),
            },
            harmless_reply: OnceLock::new(),
            is_enforced: OnceLock::new(),
            versions: OnceLock::new(),
            survey: OnceLock::new(),
            unserved: OnceLock::new(),
        }
    }

    fn harmless_reply(&self) -> Option<&str> {
        self.harmless_reply.get().map(String::as_str)
    }

    /// Returns the fingerprint of the server's own certificate on the first connection.
    fn fingerprint(&self) -> Option<&str> {
        self.presented.and_then(|it| it.chain.first()).map(|own| own.sha256.as_str())
    }
}

/// Audits one endpoint.
pub(crate) async fn run(mut plan: Plan) -> EndpointReport {
    let (started, started_at) = (Instant::now(), validity::rfc3339(validity::now()));
    let mut base = first(&plan).await;
    let mut result = std::mem::take(&mut base.result);
    if base.large_hello
        && let Some(small) = plan.connectors.small.take()
    {
        let usual = std::mem::replace(&mut plan.connectors, *small);
        let mut again = first(&plan).await;
        if again.ended.is_none() {
            result = large_hello(result);
            result.absorb(std::mem::take(&mut again.result));
            base = again;
        } else {
            plan.connectors = usual;
        }
    }
    let plan = &plan;
    if base.ended.is_none() {
        Box::pin(after_upgrade(plan, &mut base, &mut result)).await;
    } else if matches!(base.ended, Some((EndpointVerdict::TlsFailed, _))) {
        Box::pin(after_failed_handshake(plan, &mut base, &mut result)).await;
    } else if !plan.implicit
        && !result.findings.iter().any(|it| it.is_of(id::SRV_REACHABLE) && it.outcome == CheckOutcome::Pass)
    {
        // The server has not spoken the protocol.
        let diagnosed = base.port_was_asked || matches!(base.ended, Some((EndpointVerdict::WrongPort, _)));
        let diagnosis = if diagnosed { None } else { Box::pin(port::probe(plan)).await };
        if let Some(diagnosis) = diagnosis {
            // One cause, one finding.
            result.findings.clear();
            result.absorb(diagnosis.result);
            base.ended = Some((EndpointVerdict::WrongPort, diagnosis.why.into()));
        }
    }
    result.findings.retain(|finding| plan.selection.wants(finding.check));
    let (mut findings, mut transcripts) = (Vec::new(), Vec::new());
    result.into_report(plan.advice, &mut transcripts, &mut findings);
    if let Some(own) = base.certificate.as_ref().and_then(|presented| presented.chain.first()) {
        let wrong = findings.iter_mut().filter(|it| it.id.starts_with("cert-") && is_wrong(it));
        wrong.for_each(|finding| finding.details.extend(own.identification()));
    }
    let ended = base.ended.map(|(outcome, why)| (outcome, why.worded(plan.advice)));
    let (outcome, summary) = ended.unwrap_or_else(|| verdict(&findings));
    EndpointReport {
        target: plan.target.clone(),
        address: Some(plan.address.to_string()),
        protocol: plan.protocol.name.to_owned(),
        server_name: plan.server_name.clone(),
        port: plan.port(),
        target_line: None,
        started_at,
        source: plan.source(),
        outcome,
        summary,
        tls: base.tls,
        certificate: base.certificate,
        capabilities: base.capabilities,
        steps: base.steps,
        connections: plan.opened(),
        elapsed_ms: (started.elapsed().as_secs_f64() * 1e4).round() / 10.0,
        not_selected: plan.selection.left_out(),
        findings,
        transcripts,
        reach: base.reach,
    }
}

/// Makes the first connection, with verification.
async fn first(plan: &Plan) -> Baseline {
    match plan.implicit {
        true => Box::pin(implicit::baseline(plan)).await,
        false => Box::pin(baseline::probe(plan)).await,
    }
}

/// Opens a connection and a session on it, up to where the client can request TLS.
async fn open_session(
    plan: &Plan,
    purpose: &str,
    log: &Log,
) -> Result<(CleartextSession, Opening), ProbeError> {
    let mut session = plan.open(purpose, log).await?;
    let opening = session.read_greeting_and_hello().await?;
    Ok((session, opening))
}

/// Reports that the server accepts a small ClientHello, and not the usual one.
fn large_hello(failed: ProbeResult) -> ProbeResult {
    let mut result = ProbeResult { log: failed.log, findings: Vec::new() };
    let why = "the handshake fails with a ClientHello of more than 1400 octets, which one with a post-quantum key share \
        has, and succeeds with a small one";
    result.push_with_last(FindingBuilder::fail(id::TLS_LARGE_HELLO, why));
    result
}

/// Runs the probes for the selected checks on an endpoint where the first connection got inside TLS.
async fn after_upgrade(plan: &Plan, base: &mut Baseline, result: &mut ProbeResult) {
    plan.calibrate(base.took_ms);
    let context = Context::new(plan, base);
    for part in run_probes(&context).await {
        // A survey shows more than one session does.
        let is_superseded = |known: &FindingBuilder| {
            SESSION_CHECKS.iter().any(|check| known.is_of(check))
                && part.findings.iter().any(|it| it.is_of(known.check))
        };
        result.findings.retain(|known| !is_superseded(known));
        result.absorb(part);
    }
    if plan.implicit {
        implicit::add_not_applicable(result);
    }
    let Context { versions, survey, unserved, .. } = context;
    // The control run of the injection probe is the better evidence; a smaller selection has only the first connection.
    if let Some(error) = unserved.into_inner().or(base.unserved.take()) {
        // A server that serves nothing inside TLS has done half an upgrade.
        for check in [id::SRV_UPGRADE, id::SRV_OFFER_INSIDE, id::SRV_CAPS_KEPT] {
            result.revise(check, &error);
        }
    }
    if plan.selection.wants(id::SRV_THROTTLED) {
        throttled(result);
    }
    if let Some(tls) = &mut base.tls {
        tls.versions.extend(versions.into_inner().unwrap_or_default().iter().map(ToString::to_string));
        tls.versions.sort();
        tls.versions.dedup();
        tls.survey = survey.into_inner();
    }
}

/// Runs the TLS survey on an endpoint where the handshake failed: the server may offer only versions or suites that the TLS
/// library does not speak.
async fn after_failed_handshake(plan: &Plan, base: &mut Baseline, result: &mut ProbeResult) {
    let probe: &dyn Probe = &survey::TlsOffer;
    if !probe.is_needed(&plan.selection) {
        return;
    }
    // A handshake that ended by a timeout shows nothing about the speed of the server.
    if base.took_ms > 0.0 {
        plan.calibrate(base.took_ms);
    }
    let context = Context::new(plan, base);
    let part = probe.run(&context).await;
    let (versions, survey) = (context.versions.into_inner(), context.survey.into_inner());
    let cause = part
        .findings
        .iter()
        .find(|it| it.is_wrong() && [id::TLS_NONE, id::TLS_SUITE].iter().any(|cause| it.is_of(cause)));
    if let (Some(cause), Some((_, summary))) = (cause, &mut base.ended) {
        summary.text = format!("{}; {}", summary.text, cause.summary());
    }
    result.absorb(part);
    base.tls = Some(TlsSummary {
        versions: versions.unwrap_or_default().iter().map(ToString::to_string).collect(),
        survey,
        ..TlsSummary::default()
    });
}

/// Runs every probe that the selection needs, and returns their results in the order of [`PROBES`]. Each selected check of these
/// probes has a finding.
async fn run_probes<'a>(context: &'a Context<'a>) -> Vec<ProbeResult> {
    let plan = context.plan;
    let mut results: Vec<_> = PROBES.iter().map(|_| None).collect();
    for turn in [Turn::First, Turn::Together, Turn::Alone] {
        let due = PROBES.iter().enumerate().filter(|(_, probe)| {
            probe.turn() == turn
                && (!plan.implicit || probe.runs_with_implicit_tls())
                && probe.is_needed(&plan.selection)
        });
        let mut batch = Vec::new();
        for (index, probe) in due {
            batch.push((index, probe.run(context)));
            if turn != Turn::Together {
                complete(std::mem::take(&mut batch), &mut results).await;
            }
        }
        complete(batch, &mut results).await;
    }
    let results = PROBES.iter().zip(results).filter_map(|(probe, result)| {
        let mut result = result?;
        result.leave_none_out(probe.checks().iter().filter(|check| plan.selection.wants(check)).copied());
        Some(result)
    });
    results.collect()
}

/// Waits for probes that run at the same time.
async fn complete(mut batch: Vec<(usize, Running<'_>)>, results: &mut [Option<ProbeResult>]) {
    std::future::poll_fn(|context| {
        batch.retain_mut(|(index, running)| match running.as_mut().poll(context) {
            Poll::Ready(done) => {
                if let Some(slot) = results.get_mut(*index) {
                    *slot = Some(done);
                }
                false
            }
            Poll::Pending => true,
        });
        if batch.is_empty() { Poll::Ready(()) } else { Poll::Pending }
    })
    .await;
}

/// After the server has served a connection, so many that it turns away are about its limits, not about its upgrade.
const TURNED_AWAY: usize = 3;

/// Reports a server that turns connections away once, instead of once for every check that it prevented.
fn throttled(result: &mut ProbeResult) {
    let turned_away = result.findings.iter().filter(|finding| finding.turned_away);
    let Some(first) = turned_away.clone().next().filter(|_| turned_away.clone().count() >= TURNED_AWAY)
    else {
        return;
    };
    let why = message::LATER_TURNED_AWAY.with(&[("why", &first.summary())]);
    let ids: Vec<_> = turned_away.map(|finding| finding.check.id).collect();
    let not_run = format!("not run: {}", ids.join(", "));
    result.findings.retain(|finding| !finding.turned_away);
    let finding = FindingBuilder::new(id::SRV_THROTTLED, CheckOutcome::Inconclusive, why);
    result.push(finding.needs(Requirement::SlowerPace).details(vec![not_run]));
}

/// Returns the verdict on the endpoint: the worst finding, or how many checks were inconclusive.
fn verdict(findings: &[Finding]) -> (EndpointVerdict, String) {
    let bad = |finding: &&Finding| {
        matches!(finding.outcome, CheckOutcome::Fail | CheckOutcome::Warning)
            && finding.severity >= Severity::Warning
    };
    let worst = findings.iter().filter(bad).max_by_key(|finding| finding.severity);
    if let Some(worst) = worst {
        let more = findings.iter().filter(bad).count() - 1;
        let more = if more == 0 { String::new() } else { format!(", and {more} more") };
        return (EndpointVerdict::Findings, format!("{}{more}", worst.summary));
    }
    let inconclusive = || findings.iter().filter(|finding| finding.outcome == CheckOutcome::Inconclusive);
    let unserved = inconclusive().find(|finding| finding.id == id::SRV_UPGRADE.id);
    match (inconclusive().count(), unserved) {
        (0, _) => (EndpointVerdict::Sound, String::from("the upgrade is sound")),
        (_, Some(finding)) => (EndpointVerdict::Inconclusive, finding.summary.clone()),
        (count, None) => {
            let checks = crate::filter::plural(count, "check was inconclusive", "checks were inconclusive");
            (EndpointVerdict::Inconclusive, format!("{checks}; no problems found"))
        }
    }
}
