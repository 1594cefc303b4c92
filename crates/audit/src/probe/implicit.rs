//! A port with implicit TLS (RFC 8314 section 3).

use super::baseline::Baseline;
use super::port::{self, Diagnosis};
use crate::check::{CHECKS, Check, id};
use crate::error::ProbeError;
use crate::finding::{FindingBuilder, ProbeResult};
use crate::message;
use crate::plan::Plan;
use crate::report::{CheckOutcome, EndpointVerdict};
use crate::session::Opening;

/// Completes the handshake at once, with verification, and asks for the capabilities inside TLS.
pub(super) async fn baseline(plan: &Plan) -> Baseline {
    let mut base = Baseline::default();
    let session = match plan.open("TLS from the first byte", &base.result.log).await {
        Ok(session) => session,
        Err(error @ ProbeError::Proxy(_)) => {
            return base
                .end(EndpointVerdict::Inconclusive, FindingBuilder::inconclusive(id::SRV_REACHABLE, &error));
        }
        Err(error) => {
            base.reach = error.reach();
            return base.end(EndpointVerdict::Unreachable, FindingBuilder::fail(id::SRV_REACHABLE, &error));
        }
    };
    base.step("connect", session.record.elapsed_ms());
    let reachable =
        FindingBuilder::pass(id::SRV_REACHABLE, message::REACHED.with(&[("address", &plan.address)]));
    base.result.push(reachable.at(session.record.all()));
    // A server that starts in cleartext may read the ClientHello as the beginning of a line and wait for its end.
    let nothing = Opening::default();
    let secured = base.inside(plan, session, &nothing);
    let base = if plan.has_one_port() || plan.has_one_connection_at_once() {
        secured.await
    } else {
        match port::or_other(port::in_cleartext(plan), secured).await {
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

fn wrong_port(Diagnosis { result, why }: Diagnosis) -> Baseline {
    Baseline { result, ended: Some((EndpointVerdict::WrongPort, why.into())), ..Baseline::default() }
}

/// Adds the checks of the cleartext part of a connection, which this port does not have.
pub(super) fn add_not_applicable(result: &mut ProbeResult) {
    for check in CHECKS.iter().filter(|check| is_about_cleartext(check)) {
        if !result.findings.iter().any(|finding| finding.is_of(check)) {
            let why = message::NO_CLEARTEXT_HERE.with(&[]);
            result.push(FindingBuilder::new(check, CheckOutcome::NotApplicable, why));
        }
    }
}

/// Returns whether a check looks at the cleartext part of a connection.
fn is_about_cleartext(check: &Check) -> bool {
    const OTHERS: &[&Check] = &[
        id::SRV_REACHABLE,
        id::SRV_MX_NAME,
        id::SRV_THROTTLED,
        id::SRV_PLAIN_TLS,
        id::SRV_OFFER_INSIDE,
        id::SRV_ALPN,
    ];
    ["srv", "leak"].contains(&check.family()) && !OTHERS.iter().any(|other| other.id == check.id)
}
