//! The handshake: versions, ALPN, and what is served under other names.

use starttls::Connector;
use starttls_hello::Version;

use crate::algorithms;
use crate::finding::{FindingBuilder, ProbeResult};
use crate::plan::Plan;
use crate::report::{Certificate, CheckOutcome};
use crate::session::ProbeError;

/// What one handshake came to.
struct Shake {
    version: Option<Version>,
    own: Option<Certificate>,
    alpn: Option<Vec<u8>>,
}

/// Upgrades and shakes hands with this connector, under this name, and says goodbye.
async fn shake(
    plan: &Plan,
    purpose: &str,
    connector: &Connector,
    name: &str,
    seen: &mut ProbeResult,
) -> (usize, Result<Shake, ProbeError>) {
    let _place = plan.place().await;
    let mut session = match plan.open(purpose).await {
        Ok(session) => session,
        Err((stop, record)) => return (seen.record(record), Err(stop)),
    };
    let agreed = if plan.implicit { Ok(()) } else { session.agree().await };
    if let Err(stop) = agreed {
        return (seen.record(session.record), Err(stop));
    }
    match session.secure(connector, name, plan.identity()).await {
        Ok(mut inside) => {
            let facts = inside.session().facts();
            let own = facts.chain.first().map(|der| Certificate::read(der));
            let shake = Shake { version: algorithms::version(facts), own, alpn: facts.alpn.clone() };
            inside.goodbye().await;
            (seen.record(inside.record), Ok(shake))
        }
        Err((error, record)) => (seen.record(record), Err(plan.unshaken(&error))),
    }
}

/// Both versions of TLS; the ones that work, for the report. One is known to already, from the first connection.
pub(crate) async fn versions(plan: &Plan, known: Option<Version>) -> (ProbeResult, Vec<Version>) {
    let mut seen = ProbeResult::default();
    let mut works = Vec::from_iter(known);
    let mut finding = None;
    for (connector, purpose) in
        [(&plan.connectors.tls12, "TLS 1.2 only"), (&plan.connectors.tls13, "TLS 1.3 only")]
    {
        let (_, result) = shake(plan, purpose, connector, &plan.server_name, &mut seen).await;
        finding = match result {
            Ok(shake) => {
                works.extend(shake.version);
                None
            }
            Err(ProbeError::Unshaken(_)) => {
                Some(FindingBuilder::new("tls-old", CheckOutcome::Warning, "TLS 1.3 is not available"))
            }
            // Who was not let in has not tried.
            Err(stop) => Some(FindingBuilder::inconclusive("tls-old", &stop)),
        };
    }
    works.sort();
    works.dedup();
    let is_new = works.contains(&Version::Tls13);
    let finding = finding.filter(|_| !is_new).unwrap_or_else(|| {
        let names = works.iter().map(ToString::to_string).collect::<Vec<_>>().join(" and ");
        FindingBuilder::pass("tls-old", format!("handshakes succeed with {names}"))
    });
    let last = seen.records.len().saturating_sub(1);
    seen.push_shown(finding, last);
    (seen, works)
}

/// Only another protocol's ALPN id (rule S7, CVE-2021-3618).
pub(crate) async fn alpn(plan: &Plan) -> ProbeResult {
    let id = "srv-alpn";
    let mut seen = ProbeResult::default();
    let purpose = "only another protocol's ALPN id";
    let (at, result) =
        shake(plan, purpose, &plan.connectors.foreign_alpn, &plan.server_name, &mut seen).await;
    let finding = match result {
        Ok(Shake { alpn: Some(id_chosen), .. }) => FindingBuilder::fail(
            id,
            format!("another protocol's ALPN id is accepted: {}", starttls::proto::Escaped(&id_chosen)),
        ),
        // RFC 7301 leaves it to the server, and most do not look.
        Ok(_) => FindingBuilder::new(
            id,
            CheckOutcome::Warning,
            "ALPN is ignored: a client of another protocol can be led here",
        )
        .severity(crate::report::Severity::Info),
        // A connection that breaks may have broken for another reason.
        Err(ProbeError::Unshaken(why)) if why.contains("alert") => {
            FindingBuilder::pass(id, "another protocol's ALPN id is refused")
        }
        Err(stop) => FindingBuilder::inconclusive(id, &stop),
    };
    seen.push_shown(finding, at);
    seen
}

/// What is served without a name, and under one that nobody has.
pub(crate) async fn names(plan: &Plan, usual: Option<&str>) -> ProbeResult {
    let mut seen = ProbeResult::default();
    // An address has no name in SNI (RFC 6066 section 3).
    let cases = [
        ("cert-no-sni", "without a name in SNI", plan.address.ip().to_string()),
        ("cert-unknown-sni", "under an unknown name in SNI", String::from("unknown.starttls-probe.invalid")),
    ];
    for (id, purpose, name) in cases {
        let (at, result) = shake(plan, purpose, &plan.connectors.open, &name, &mut seen).await;
        let finding = match result {
            Ok(Shake { own: Some(own), .. }) if Some(own.sha256.as_str()) == usual => FindingBuilder::new(
                id,
                CheckOutcome::Info,
                format!("{purpose}, the same certificate is served"),
            ),
            Ok(Shake { own: Some(own), .. }) => FindingBuilder::new(
                id,
                CheckOutcome::Info,
                format!("{purpose}, another certificate is served: {}", own.names.join(", ")),
            ),
            Ok(_) => {
                FindingBuilder::new(id, CheckOutcome::Info, format!("{purpose}, no certificate is served"))
            }
            Err(ProbeError::Unshaken(why)) => FindingBuilder::new(
                id,
                CheckOutcome::Info,
                format!("{purpose}, the handshake is refused: {why}"),
            ),
            Err(stop) => FindingBuilder::inconclusive(id, &stop),
        };
        seen.push_shown(finding, at);
    }
    seen
}
