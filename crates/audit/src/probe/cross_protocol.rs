//! The same service with TLS from the first byte, on a port of its own: can a client of one port be led to the other?
//!
//! Whoever is in the middle speaks the cleartext part himself and joins the handshakes. Neither end notices when
//! both ports are good for the same name and take the same ALPN id; and what the server says inside TLS without
//! being asked there is then taken for an answer (CVE-2025-49812).

use starttls::Error;
use starttls::proto::{AfterUpgrade, Escaped, ReplyTo};

use crate::finding::{FindingBuilder, ProbeResult};
use crate::plan::Plan;
use crate::report::{Certificate, CheckOutcome, Presented};
use crate::session::ProbeError;

const ID: &str = "srv-xproto";

/// What is said inside TLS without having been asked for there.
enum Unasked {
    /// The answer to the request before TLS: one too many for a client of the TLS port.
    Answer,
    /// The greeting on the TLS port: one too many for a client that upgrades.
    Greeting,
}

impl Unasked {
    fn by(plan: &Plan) -> Option<Self> {
        let flow = plan.protocol.flow;
        match flow.after {
            AfterUpgrade::AnswerPending => Some(Self::Answer),
            AfterUpgrade::Silent if flow.greeting => Some(Self::Greeting),
            _ => None,
        }
    }
}

/// Shakes hands on the TLS port as a client that upgrades would, and listens.
pub(crate) async fn probe(plan: &Plan, upgraded: Option<&Presented>) -> ProbeResult {
    let mut seen = ProbeResult::default();
    let na = |why: String| FindingBuilder::new(ID, CheckOutcome::NotApplicable, why);
    let Some(unasked) = Unasked::by(plan) else {
        seen.push(na(String::from(
            "inside TLS this protocol's servers say nothing that was not asked for there",
        )));
        return seen;
    };
    let Some(port) = plan.implicit_port() else {
        seen.push(na(String::from("no port is known where TLS starts at the first byte (--implicit-port)")));
        return seen;
    };
    let _place = plan.place().await;
    let purpose = format!("port {port}, by a client that upgrades");
    let mut session = match plan.open_port(port, &purpose).await {
        Ok(session) => session,
        Err((stop, record)) => {
            let finding = match &stop {
                ProbeError::Unreachable(why) => na(format!("port {port} is closed: {why}")),
                _ => FindingBuilder::inconclusive(ID, &stop),
            };
            let at = seen.record(record);
            seen.push_shown(finding, at);
            return seen;
        }
    };
    session.reply_timeout = plan.handshake_timeout();
    let (finding, record) =
        match session.secure(&plan.connectors.open, &plan.server_name, plan.identity()).await {
            Err((_, record)) if plan.is_over() => {
                (FindingBuilder::inconclusive(ID, &ProbeError::Deadline), record)
            }
            Err((error, record)) => (unshaken(port, &error), record),
            Ok(mut inside) => {
                let facts = inside.session().facts().clone();
                let own = facts.chain.first().map(|der| Certificate::read(der));
                let verified = facts.verdict == starttls::CertificateVerdict::Verified;
                let said = match unasked {
                    Unasked::Answer => None,
                    Unasked::Greeting => {
                        Some(inside.reply(inside.question(ReplyTo::Connect, "the greeting")).await)
                    }
                };
                inside.goodbye().await;
                let same = upgraded.is_some_and(|it| alike(it, own.as_ref(), verified));
                let alpn = match &facts.alpn {
                    Some(id) => format!("both ports take the ALPN id {}", Escaped(id)),
                    None => String::from("ALPN does not tell the ports apart"),
                };
                let finding = match (same, said) {
                    (false, _) => {
                        FindingBuilder::pass(ID, format!("port {port} has a certificate for other names"))
                    }
                    (true, None) => {
                        let why = "the first answer inside an upgrade belongs to the request before it";
                        FindingBuilder::new(
                            ID,
                            CheckOutcome::Warning,
                            format!("clients of port {port} can be led here, where {why}"),
                        )
                    }
                    (true, Some(Ok(_))) => {
                        let why = "a greeting comes where the answer to their first command belongs";
                        FindingBuilder::new(
                            ID,
                            CheckOutcome::Info,
                            format!("clients can be led to port {port}, where {why}"),
                        )
                    }
                    // A session that ends, or is slow to greet, does not show what others hear.
                    (true, Some(Err(stop))) => FindingBuilder::inconclusive(ID, &stop.unserved()),
                };
                (finding.details(vec![alpn]), inside.record)
            }
        };
    let at = seen.record(record);
    seen.push_shown(finding, at);
    seen
}

/// Without a handshake there is nothing to join.
fn unshaken(port: u16, error: &Error) -> FindingBuilder {
    match error {
        Error::Tls(_) | Error::ClientCertificate(_) | Error::NoServerName(_) => {
            FindingBuilder::pass(ID, format!("port {port} refuses the handshake of a client that upgrades"))
        }
        _ => FindingBuilder::new(
            ID,
            CheckOutcome::NotApplicable,
            format!("port {port} does not speak TLS: {error}"),
        ),
    }
}

/// Whether a client cannot tell the two by their certificates: both are good for the name, or would be if their
/// authority was trusted.
fn alike(upgraded: &Presented, own: Option<&Certificate>, verified: bool) -> bool {
    let (Some(first), Some(own)) = (upgraded.chain.first(), own) else { return false };
    let shared = first.names.iter().any(|name| own.names.iter().any(|it| it.eq_ignore_ascii_case(name)));
    (upgraded.verified && verified) || first.sha256 == own.sha256 || shared
}
