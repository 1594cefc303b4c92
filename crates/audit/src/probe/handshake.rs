//! The handshake of the first connection, and what the session inside shows.

use starttls::proto::Escaped;

use super::baseline::Baseline;
use super::capabilities::{Again, asked_again, capabilities};
use super::certificate as judge;
use crate::algorithms::{self, KeyKind};
use crate::finding::FindingBuilder;
use crate::plan::Plan;
use crate::record::Mark;
use crate::report::{Capabilities, CheckOutcome, EndpointVerdict, Presented, TlsSummary};
use crate::session::{CleartextSession, Opening, ProbeError};

/// What to do about a server that ends handshakes without a server name.
const NAME_NEEDED: &str = "Audit the server by its name: give the name with --server-name, or dial the address with \
    --connect. A certificate for connections without a server name helps clients that cannot send one.";

impl Baseline {
    /// Of a handshake that failed by its certificate: keeps it for the report, and judges its key.
    fn unproven(&mut self, error: &starttls::Error) -> Option<FindingBuilder> {
        let starttls::Error::Certificate { failure, chain, .. } = error else { return None };
        let presented = Presented::refused(failure, chain);
        let finding = judge::key(&KeyKind::of_certificate(chain.first()?)?);
        self.certificate = Some(presented);
        Some(finding)
    }

    /// Shakes hands, asks inside for what it may do, and judges the certificate and the session.
    pub(super) async fn inside(
        mut self,
        plan: &Plan,
        mut session: CleartextSession,
        opening: &Opening,
    ) -> Self {
        let beyond = session.unread();
        let started = session.record.elapsed_ms();
        if !beyond.is_empty() {
            let all = session.record.all();
            let at = self.seen.record(session.record);
            // The transcript has more of it.
            let shown = Escaped(beyond.get(..200).unwrap_or(&beyond));
            let why = format!("cleartext came after the go-ahead: \"{shown}\"");
            return self
                .end(EndpointVerdict::Violation, FindingBuilder::fail("srv-upgrade", why).at(at, all));
        }
        let id = if plan.implicit { "tls-handshake" } else { "srv-upgrade" };
        let boundary = session.record.all().last + 1;
        let secured = session.secure(&plan.connectors.open, &plan.server_name, plan.identity()).await;
        let mut inside = match secured {
            Ok(inside) => inside,
            Err((error, record)) => {
                let all = record.all();
                let at = self.seen.record(record);
                if plan.is_over() {
                    let finding = FindingBuilder::inconclusive(id, &ProbeError::Deadline);
                    return self.end(EndpointVerdict::Inconclusive, finding.at(at, all));
                }
                self.large_hello = error.may_be_large_hello();
                let why = match plan.implicit {
                    true => format!("the handshake fails: {error}"),
                    false => format!("the upgrade is agreed, and the handshake fails: {error}"),
                };
                // A key that is too weak for every client makes the handshake fail; the finding names the key.
                let weak = self.unproven(&error).filter(|finding| finding.outcome == CheckOutcome::Fail);
                let finding = weak.unwrap_or_else(|| FindingBuilder::fail(id, why));
                let finding = match error {
                    starttls::Error::NoServerName(_) => finding.fix(NAME_NEEDED),
                    _ => finding,
                };
                return self.end(EndpointVerdict::TlsFailed, finding.at(at, all));
            }
        };
        self.step("handshake", inside.record.elapsed_ms() - started);
        let handshake = Mark { first: boundary, last: inside.record.all().last };
        self.took_ms = inside.record.elapsed_ms();
        let Again { offer, before, inside: after } = asked_again(plan, &mut inside, opening).await;
        if after.is_ok() {
            self.took_ms = inside.record.elapsed_ms();
        }
        let (facts, tickets) = (inside.session().facts().clone(), inside.session().tickets_received());
        self.version = algorithms::version(&facts);
        self.tls = Some(TlsSummary {
            version: facts.version_name().to_owned(),
            versions: vec![facts.version_name().to_owned()],
            cipher_suite: facts.cipher_suite_name(),
            post_quantum: facts.is_post_quantum(),
            group: facts.group_name(),
            alpn: facts.alpn.as_deref().map(|id| Escaped(id).to_string()),
            resumption: tickets > 0,
            ocsp_stapled: facts.ocsp_stapled,
        });
        self.certificate = Some(Presented::of(&facts));
        inside.goodbye().await;
        let all = inside.record.all();
        let at = self.seen.record(inside.record);
        let done = match plan.implicit {
            true => "the handshake succeeds",
            false => "the upgrade is agreed, and the handshake succeeds",
        };
        self.seen.push(FindingBuilder::pass(id, done).at(at, all));
        self.seen.push(offer.at(at, all));
        if !plan.implicit {
            self.seen.push(capabilities(plan, &before, &after).at(at, all));
        }
        if let (Some(presented), Some(tls)) = (&self.certificate, &self.tls) {
            let soon = plan.limits.expiry_warning;
            for finding in judge::certificate(presented, &facts, &plan.server_name, soon)
                .into_iter()
                .chain(judge::session(&facts, tls, plan.required_alpn()))
            {
                self.seen.push(finding.at(at, handshake));
            }
        }
        let steps =
            self.steps.iter().map(|step| format!("{} {:.1} ms", step.name, step.ms)).collect::<Vec<_>>();
        self.seen.push(FindingBuilder::new("time-steps", CheckOutcome::Info, steps.join(", ")).at(at, all));
        self.capabilities = Some(Capabilities { before, inside: after.unwrap_or_default() });
        self
    }
}
