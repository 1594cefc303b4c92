//! The same service with implicit TLS on a port of its own: can an attacker lead a client of one port to the other?
//!
//! A machine in the middle speaks the cleartext part itself and joins the handshakes. Neither end notices when both
//! ports have certificates for the same name and accept the same ALPN id. What the server sends inside TLS without a
//! request inside TLS is then taken for an answer (CVE-2025-49812).

use starttls::Error;
use starttls::proto::{AfterUpgrade, Escaped, Protocol, ReplyTo};

use super::{Context, Cost, Probe, Running};
use crate::check::{Check, id};
use crate::error::ProbeError;
use crate::finding::{FindingBuilder, ProbeResult};
use crate::plan::Plan;
use crate::record::Log;
use crate::report::{CertificateReport, CheckOutcome, Presented};
use crate::requirement::Requirement;
use crate::selection::Selection;

const CHECK: &Check = id::SRV_XPROTO;

/// A message that the server sends inside TLS without a request inside TLS.
enum Unasked {
    /// The answer to the request before TLS: a client of the TLS port does not expect it.
    Answer,
    /// The greeting on the TLS port: a client that upgrades does not expect it.
    Greeting,
}

impl Unasked {
    fn of(protocol: &Protocol) -> Option<Self> {
        match protocol.flow.after {
            AfterUpgrade::AnswerPending => Some(Self::Answer),
            AfterUpgrade::Silent if protocol.flow.greeting => Some(Self::Greeting),
            _ => None,
        }
    }
}

/// Completes a handshake on the TLS port as a client that upgrades would, and listens.
pub(super) struct CrossProtocol;

impl Probe for CrossProtocol {
    fn checks(&self) -> &'static [&'static Check] {
        &[CHECK]
    }

    fn cost(&self, _: &Selection, protocol: &'static Protocol) -> Cost {
        Cost::new(u32::from(Unasked::of(protocol).is_some()))
    }

    fn run<'a>(&'a self, context: &'a Context<'a>) -> Running<'a> {
        Box::pin(probe(context.plan, context.presented))
    }
}

async fn probe(plan: &Plan, upgraded: Option<&Presented>) -> ProbeResult {
    let not_applicable = |why: String| FindingBuilder::new(CHECK, CheckOutcome::NotApplicable, why);
    let Some(unasked) = Unasked::of(plan.protocol) else {
        let why = "servers of this protocol send nothing inside TLS without a request inside TLS";
        return ProbeResult::of(not_applicable(why.to_owned()));
    };
    let Some(port) = plan.implicit_port() else {
        let finding = not_applicable(String::from("the port with implicit TLS is unknown"));
        return ProbeResult::of(finding.needs(Requirement::ImplicitPort));
    };
    let _place = plan.place().await;
    let mut result = ProbeResult::default();
    let finding = match join(plan, port, &unasked, upgraded, &result.log).await {
        Ok(finding) => finding,
        Err(ProbeError::Unreachable(why)) => not_applicable(format!("port {port} is closed: {why}")),
        Err(error) => FindingBuilder::inconclusive(CHECK, &error),
    };
    result.push_with_last(finding);
    result
}

async fn join(
    plan: &Plan,
    port: u16,
    unasked: &Unasked,
    upgraded: Option<&Presented>,
    log: &Log,
) -> Result<FindingBuilder, ProbeError> {
    let mut session = plan.open_port(port, &format!("port {port}, by a client that upgrades"), log).await?;
    session.reply_timeout = plan.handshake_timeout();
    let mut inside = match plan.secure(session).await {
        Ok(inside) => inside,
        Err(_) if plan.is_over() => return Err(ProbeError::Deadline),
        Err(error) => return Ok(no_handshake(port, &error)),
    };
    let facts = inside.session().facts().clone();
    let own = facts.chain.first().map(|der| CertificateReport::read(der));
    let verified = facts.verdict == starttls::CertificateVerdict::Verified;
    let greeting = match unasked {
        Unasked::Answer => None,
        Unasked::Greeting => Some(inside.reply(inside.question(ReplyTo::Connect, "the greeting")).await),
    };
    inside.quit().await;
    let same = upgraded.is_some_and(|it| alike(it, own.as_ref(), verified));
    let finding = match (same, greeting) {
        (false, _) => FindingBuilder::pass(CHECK, format!("port {port} has a certificate for other names")),
        (true, None) => {
            let why = format!(
                "an attacker can lead clients of port {port} here, where the first answer inside TLS belongs to the \
                 request before it"
            );
            FindingBuilder::new(CHECK, CheckOutcome::Warning, why)
        }
        (true, Some(Ok(_))) => {
            let why = format!(
                "an attacker can lead clients to port {port}, where they take the greeting for the answer to their \
                 first command"
            );
            FindingBuilder::new(CHECK, CheckOutcome::Info, why)
        }
        // A session that ends, or is slow to greet, does not show what other clients receive.
        (true, Some(Err(error))) => FindingBuilder::inconclusive(CHECK, &error.unserved()),
    };
    let alpn = match &facts.alpn {
        Some(id) => format!("both ports accept the ALPN id {}", Escaped(id)),
        None => String::from("ALPN does not distinguish the ports"),
    };
    Ok(finding.details(vec![alpn]))
}

/// Judges a port that does not complete the handshake, so that an attacker cannot join it.
fn no_handshake(port: u16, error: &Error) -> FindingBuilder {
    match error {
        Error::Tls(_) | Error::ClientCertificate(_) | Error::NoServerName(_) => FindingBuilder::pass(
            CHECK,
            format!("port {port} refuses the handshake of a client that upgrades"),
        ),
        _ => FindingBuilder::new(
            CHECK,
            CheckOutcome::NotApplicable,
            format!("port {port} does not speak TLS: {error}"),
        ),
    }
}

/// Returns whether a client cannot distinguish the ports by their certificates: both are valid for the name, or would be
/// with a trusted CA.
fn alike(upgraded: &Presented, own: Option<&CertificateReport>, verified: bool) -> bool {
    let (Some(first), Some(own)) = (upgraded.chain.first(), own) else { return false };
    let shared = first.names.iter().any(|name| own.names.iter().any(|it| it.eq_ignore_ascii_case(name)));
    (upgraded.verified && verified) || first.sha256 == own.sha256 || shared
}
