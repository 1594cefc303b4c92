//! The probes: what is said to a server to see what it does.

mod answers;
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
mod tls;

use std::time::Instant;

use baseline::Baseline;

use starttls::validity;
use starttls_hello::Version;

use crate::filter::is_wrong;
use crate::finding::{FindingBuilder, ProbeResult};
use crate::plan::Plan;
use crate::report::{CheckOutcome, EndpointReport, EndpointVerdict, Finding, Presented, Severity};
use crate::session::{CleartextSession, Opening, ProbeError};

/// Runs every probe against one endpoint, in an order that shares what earlier ones learned.
pub(crate) async fn run(mut plan: Plan) -> EndpointReport {
    let (started, started_at) = (Instant::now(), validity::rfc3339(validity::now()));
    let mut base = first(&plan).await;
    let mut seen = std::mem::take(&mut base.seen);
    if base.large_hello
        && let Some(small) = plan.connectors.small.take()
    {
        let usual = std::mem::replace(&mut plan.connectors, *small);
        let mut again = first(&plan).await;
        if again.ended.is_none() {
            seen = large_hello(seen);
            seen.absorb(std::mem::take(&mut again.seen));
            base = again;
        } else {
            plan.connectors = usual;
        }
    }
    let plan = &plan;
    if base.ended.is_none() {
        plan.calibrate(base.took_ms);
        let usual_sha =
            base.certificate.as_ref().and_then(|it| it.chain.first()).map(|own| own.sha256.clone());
        let (part, works, unserved) = match plan.implicit {
            true => implicit::handshakes(plan, usual_sha.as_deref(), base.version).await,
            false => upgrades(plan, base.certificate.as_ref(), usual_sha.as_deref(), base.version).await,
        };
        seen.absorb(part);
        if let Some(stop) = unserved {
            // A handshake that the session does not outlive is half an upgrade, and an answer that everybody gets is none.
            for id in ["srv-upgrade", "srv-offer-inside", "srv-caps-kept"] {
                seen.revise(id, &stop);
            }
        }
        throttled(&mut seen);
        if let Some(tls) = &mut base.tls {
            tls.versions.extend(works.iter().map(ToString::to_string));
            tls.versions.sort();
            tls.versions.dedup();
        }
    } else if !plan.implicit
        && !seen
            .findings
            .iter()
            .any(|finding| finding.id == "srv-reachable" && finding.outcome == CheckOutcome::Pass)
    {
        // The server has not spoken the protocol.
        let diagnosed = base.port_was_asked || matches!(base.ended, Some((EndpointVerdict::WrongPort, _)));
        let diagnosis = if diagnosed { None } else { port::probe(plan).await };
        if let Some(diagnosis) = diagnosis {
            // One cause, one finding.
            seen.findings.clear();
            seen.absorb(diagnosis.seen);
            base.ended = Some((EndpointVerdict::WrongPort, diagnosis.why));
        }
    }
    let (mut findings, mut transcripts) = (Vec::new(), Vec::new());
    seen.into_report(&mut transcripts, &mut findings);
    if let Some(own) = base.certificate.as_ref().and_then(|presented| presented.chain.first()) {
        let wrong = findings.iter_mut().filter(|it| it.id.starts_with("cert-") && is_wrong(it));
        wrong.for_each(|finding| finding.details.extend(own.identification()));
    }
    let (outcome, summary) = base.ended.unwrap_or_else(|| judge(&findings));
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
        findings,
        transcripts,
    }
}

/// The first connection, with verification.
async fn first(plan: &Plan) -> Baseline {
    match plan.implicit {
        true => implicit::baseline(plan).await,
        false => baseline::probe(plan).await,
    }
}

/// Opens a connection and a session on it, up to where the client can ask for TLS. On failure the record is in `seen`, at
/// this index.
async fn open_session(
    plan: &Plan,
    purpose: &str,
    seen: &mut ProbeResult,
) -> Result<(CleartextSession, Opening), (ProbeError, usize)> {
    let mut session = match plan.open(purpose).await {
        Ok(session) => session,
        Err((stop, record)) => return Err((stop, seen.record(record))),
    };
    match session.read_greeting_and_hello().await {
        Ok(opening) => Ok((session, opening)),
        Err(stop) => Err((stop, seen.record(session.record))),
    }
}

/// A small ClientHello is accepted, and the usual one was not.
fn large_hello(failed: ProbeResult) -> ProbeResult {
    let mut seen = ProbeResult { records: failed.records, findings: Vec::new() };
    let why = "the handshake fails with a ClientHello of more than 1400 octets, which one with a post-quantum key share \
        has, and succeeds with a small one";
    seen.push_shown(FindingBuilder::fail("tls-large-hello", why), seen.records.len().saturating_sub(1));
    seen
}

/// All that can be probed where an upgrade works; the versions of TLS that do, and why a session inside is not served.
async fn upgrades(
    plan: &Plan,
    presented: Option<&Presented>,
    usual_sha: Option<&str>,
    version: Option<Version>,
) -> (ProbeResult, Vec<Version>, Option<ProbeError>) {
    let (mut seen, usual) = cleartext::probe(plan).await;
    let (fixation, alpn, names, cross_protocol, (versions, works)) = tokio::join!(
        fixation::probe(plan, usual.as_deref()),
        tls::alpn(plan),
        tls::names(plan, usual_sha),
        cross_protocol::probe(plan, presented),
        tls::versions(plan, version),
    );
    // What comes where a ClientHello belongs can hold a server that does one thing at a time: by turns, and last.
    let (injection, unserved) = injection::probe(plan, usual.as_deref()).await;
    let fallback = fallback::probe(plan, usual.as_deref()).await;
    let stall = stall::probe(plan).await;
    for part in [injection, fallback, fixation, alpn, names, cross_protocol, versions, stall] {
        seen.absorb(part);
    }
    (seen, works, unserved)
}

/// Connections that a server turned away after it had served one tell of its reply_timeout, not of its upgrade.
const TURNED_AWAY: usize = 3;

/// Reports a server that turns connections away once, and not once for every check that it kept from running.
fn throttled(seen: &mut ProbeResult) {
    let turned_away = seen.findings.iter().filter(|finding| finding.turned_away);
    let Some(first) = turned_away.clone().next().filter(|_| turned_away.clone().count() >= TURNED_AWAY)
    else {
        return;
    };
    let why = format!("later connections were turned away ({}): try again with --pace 1s", first.summary());
    let ids: Vec<_> = turned_away.map(|finding| finding.id).collect();
    let not_run = format!("not run: {}", ids.join(", "));
    seen.findings.retain(|finding| !finding.turned_away);
    seen.push(FindingBuilder::new("srv-throttled", CheckOutcome::Inconclusive, why).details(vec![not_run]));
}

/// The verdict on the whole: the worst finding, or how much could not be told.
fn judge(findings: &[Finding]) -> (EndpointVerdict, String) {
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
    let unserved = inconclusive().find(|finding| finding.id == "srv-upgrade");
    match (inconclusive().count(), unserved) {
        (0, _) => (EndpointVerdict::Sound, String::from("the upgrade is sound")),
        (_, Some(finding)) => (EndpointVerdict::Inconclusive, finding.summary.clone()),
        (count, None) => {
            let checks = crate::filter::plural(count, "check was inconclusive", "checks were inconclusive");
            (EndpointVerdict::Inconclusive, format!("{checks}; no problems found"))
        }
    }
}
