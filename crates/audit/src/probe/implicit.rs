//! A port where TLS starts at the first byte (RFC 8314 section 3).

use starttls_hello::Version;

use super::baseline::Baseline;
use super::port::{self, Diagnosis};
use super::tls;
use crate::check::CHECKS;
use crate::finding::{FindingBuilder, ProbeResult};
use crate::plan::Plan;
use crate::report::{CheckOutcome, EndpointVerdict};
use crate::session::{Opening, ProbeError};

/// Shakes hands at once, with verification, and asks inside for what it may do.
pub(super) async fn baseline(plan: &Plan) -> Baseline {
    let mut base = Baseline::default();
    let session = match plan.open("TLS from the first byte").await {
        Ok(session) => session,
        Err((stop, record)) => {
            base.seen.record(record);
            return base
                .end(EndpointVerdict::Unreachable, FindingBuilder::fail("srv-reachable", stop.to_string()));
        }
    };
    base.step("connect", session.record.elapsed_ms());
    let reachable = FindingBuilder::pass("srv-reachable", format!("{} answers", plan.address));
    base.seen.push(reachable.at(0, session.record.all()));
    // A server that starts in cleartext may wait for the rest of what it takes for a line.
    let nothing = Opening::default();
    let shaken = base.inside(plan, session, &nothing);
    let base = if plan.has_one_port() {
        shaken.await
    } else {
        match port::or_other(port::in_cleartext(plan), shaken).await {
            Ok(base) => base,
            Err(diagnosis) => return wrong_port(diagnosis),
        }
    };
    match base.ended {
        Some((EndpointVerdict::TlsFailed, _)) if base.certificate.is_none() => {
            match port::in_cleartext(plan).await {
                Some(diagnosis) => wrong_port(diagnosis),
                None => base,
            }
        }
        _ => base,
    }
}

fn wrong_port(Diagnosis { seen, why }: Diagnosis) -> Baseline {
    Baseline { seen, ended: Some((EndpointVerdict::WrongPort, why)), ..Baseline::default() }
}

/// The other handshakes; the versions that work.
pub(super) async fn handshakes(
    plan: &Plan,
    usual_sha: Option<&str>,
    version: Option<Version>,
) -> (ProbeResult, Vec<Version>, Option<ProbeError>) {
    let mut seen = ProbeResult::default();
    let (alpn, names, (versions, works)) =
        tokio::join!(tls::alpn(plan), tls::names(plan, usual_sha), tls::versions(plan, version));
    for part in [alpn, names, versions] {
        seen.absorb(part);
    }
    for id in CHECKS.iter().map(|row| row.id).filter(|id| is_about_cleartext(id)) {
        if !seen.findings.iter().any(|finding| finding.id == id) {
            let why = "TLS starts at the first byte here, so no cleartext precedes it";
            seen.push(FindingBuilder::new(id, CheckOutcome::NotApplicable, why));
        }
    }
    (seen, works, None)
}

/// Whether a check looks at the part of a connection that this port does not have.
fn is_about_cleartext(id: &str) -> bool {
    let elsewhere =
        ["srv-reachable", "srv-mx-name", "srv-throttled", "srv-plain-tls", "srv-offer-inside", "srv-alpn"];
    (id.starts_with("srv-") || id.starts_with("leak-")) && !elsewhere.contains(&id)
}
