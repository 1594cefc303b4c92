//! The handshake: versions, ALPN, and what is served under other names.

use starttls::Connector;

use crate::dialogue::Stop;
use crate::draft::{Draft, Seen};
use crate::plan::Plan;
use crate::report::{Certificate, Outcome};

/// What one handshake came to.
struct Shake {
    version: String,
    own: Option<Certificate>,
    alpn: Option<Vec<u8>>,
}

/// Upgrades and shakes hands with this connector, under this name, and says goodbye.
async fn shake(
    plan: &Plan,
    purpose: &str,
    connector: &Connector,
    name: &str,
    seen: &mut Seen,
) -> (usize, Result<Shake, Stop>) {
    let _place = plan.place().await;
    let mut dialogue = match plan.open(purpose).await {
        Ok(dialogue) => dialogue,
        Err((stop, record)) => return (seen.record(record), Err(stop)),
    };
    let agreed = if plan.implicit { Ok(()) } else { dialogue.agree().await };
    if let Err(stop) = agreed {
        return (seen.record(dialogue.record), Err(stop));
    }
    match dialogue.secure(connector, name, plan.identity()).await {
        Ok(mut inside) => {
            let facts = inside.session().facts();
            let own = facts.chain.first().map(|der| Certificate::read(der));
            let shake = Shake { version: facts.version_name().to_owned(), own, alpn: facts.alpn.clone() };
            inside.goodbye().await;
            (seen.record(inside.record), Ok(shake))
        }
        Err((error, record)) => (seen.record(record), Err(plan.unshaken(&error))),
    }
}

/// Both versions of TLS; the ones that work, for the report. One is known to already, from the first connection.
pub(crate) async fn versions(plan: &Plan, known: Option<&str>) -> (Seen, Vec<String>) {
    let mut seen = Seen::default();
    let mut works = Vec::from_iter(known.map(str::to_owned));
    let mut draft = None;
    for (connector, purpose) in
        [(&plan.connectors.tls12, "TLS 1.2 only"), (&plan.connectors.tls13, "TLS 1.3 only")]
    {
        let (_, result) = shake(plan, purpose, connector, &plan.server_name, &mut seen).await;
        draft = match result {
            Ok(shake) => {
                works.push(shake.version);
                None
            }
            Err(Stop::Unshaken(_)) => {
                Some(Draft::new("tls-old", Outcome::Warning, "TLS 1.3 is not available"))
            }
            // Who was not let in has not tried.
            Err(stop) => Some(Draft::untold("tls-old", &stop)),
        };
    }
    works.sort();
    works.dedup();
    let is_new = works.iter().any(|version| version == "TLS 1.3");
    let draft = draft.filter(|_| !is_new).unwrap_or_else(|| {
        Draft::pass("tls-old", format!("handshakes succeed with {}", works.join(" and ")))
    });
    let last = seen.records.len().saturating_sub(1);
    seen.push_shown(draft, last);
    (seen, works)
}

/// Only another protocol's ALPN id (rule S7, CVE-2021-3618).
pub(crate) async fn alpn(plan: &Plan) -> Seen {
    let id = "srv-alpn";
    let mut seen = Seen::default();
    let purpose = "only another protocol's ALPN id";
    let (at, result) =
        shake(plan, purpose, &plan.connectors.foreign_alpn, &plan.server_name, &mut seen).await;
    let draft = match result {
        Ok(Shake { alpn: Some(id_chosen), .. }) => Draft::fail(
            id,
            format!("another protocol's ALPN id is accepted: {}", starttls::proto::Escaped(&id_chosen)),
        ),
        // RFC 7301 leaves it to the server, and most do not look.
        Ok(_) => {
            Draft::new(id, Outcome::Warning, "ALPN is ignored: a client of another protocol can be led here")
                .severity(crate::report::Severity::Info)
        }
        // A connection that breaks may have broken for another reason.
        Err(Stop::Unshaken(why)) if why.contains("alert") => {
            Draft::pass(id, "another protocol's ALPN id is refused")
        }
        Err(stop) => Draft::untold(id, &stop),
    };
    seen.push_shown(draft, at);
    seen
}

/// What is served without a name, and under one that nobody has.
pub(crate) async fn names(plan: &Plan, usual: Option<&str>) -> Seen {
    let mut seen = Seen::default();
    // An address has no name in SNI (RFC 6066 section 3).
    let cases = [
        ("cert-no-sni", "without a name in SNI", plan.address.ip().to_string()),
        ("cert-unknown-sni", "under an unknown name in SNI", String::from("unknown.starttls-probe.invalid")),
    ];
    for (id, purpose, name) in cases {
        let (at, result) = shake(plan, purpose, &plan.connectors.open, &name, &mut seen).await;
        let draft = match result {
            Ok(Shake { own: Some(own), .. }) if Some(own.sha256.as_str()) == usual => {
                Draft::new(id, Outcome::Info, format!("{purpose}, the same certificate is served"))
            }
            Ok(Shake { own: Some(own), .. }) => Draft::new(
                id,
                Outcome::Info,
                format!("{purpose}, another certificate is served: {}", own.names.join(", ")),
            ),
            Ok(_) => Draft::new(id, Outcome::Info, format!("{purpose}, no certificate is served")),
            Err(Stop::Unshaken(why)) => {
                Draft::new(id, Outcome::Info, format!("{purpose}, the handshake is refused: {why}"))
            }
            Err(stop) => Draft::untold(id, &stop),
        };
        seen.push_shown(draft, at);
    }
    seen
}
