//! The handshake of the first connection, and the session inside TLS.

use std::time::{Duration, Instant};

use starttls::proto::Escaped;
use starttls_hello::Version;
use starttls_x509::Certificate;

use super::baseline::Baseline;
use super::capabilities::{Again, asked_again, capabilities};
use super::certificate as judge;
use crate::check::id;
use crate::error::ProbeError;
use crate::finding::FindingBuilder;
use crate::message;
use crate::plan::Plan;
use crate::record::Mark;
use crate::report::{Capabilities, CheckOutcome, EndpointVerdict, Presented, TlsSummary};
use crate::requirement::Requirement;
use crate::session::{CleartextSession, Opening};
use crate::tls_version::tls_version;

/// The longest wait for a session ticket, where the server has sent nothing inside TLS.
const TICKET_WAIT: Duration = Duration::from_secs(1);

/// The fix for a server that ends handshakes without a server name.
const NAME_NEEDED: &str = "Audit the server by its name. A certificate for connections without a server name helps \
    clients that cannot send one.";

impl Baseline {
    /// Keeps the certificate of a handshake that failed because of it, and judges its key.
    fn unproven(&mut self, error: &starttls::Error) -> Option<FindingBuilder> {
        let starttls::Error::Certificate { failure, chain, .. } = error else { return None };
        let presented = Presented::refused(failure, chain);
        let finding = judge::key(&Certificate::from_der(chain.first()?).ok()?.public_key().algorithm());
        self.certificate = Some(presented);
        Some(finding)
    }

    /// Completes the handshake, asks for the capabilities inside TLS, and judges the certificate and the session.
    pub(super) async fn inside(
        mut self,
        plan: &Plan,
        mut session: CleartextSession,
        opening: &Opening,
    ) -> Self {
        let beyond = session.unread();
        let started = session.record.elapsed_ms();
        if !beyond.is_empty() {
            let at = session.record.all();
            // The transcript shows more of it.
            let shown = Escaped(beyond.get(..200).unwrap_or(&beyond));
            let why = format!("the server sent cleartext after the go-ahead: \"{shown}\"");
            return self.end(EndpointVerdict::Violation, FindingBuilder::fail(id::SRV_UPGRADE, why).at(at));
        }
        let check = if plan.implicit { id::TLS_HANDSHAKE } else { id::SRV_UPGRADE };
        let boundary = session.record.all().last + 1;
        let handshake_started = Instant::now();
        let mut inside = match plan.secure(session).await {
            Ok(inside) => inside,
            Err(error) => {
                if !matches!(error, starttls::Error::Timeout { .. }) {
                    self.took_ms = started + handshake_started.elapsed().as_secs_f64() * 1e3;
                }
                let evidence = self.result.log.last();
                if plan.is_over() {
                    return self.end(
                        EndpointVerdict::Inconclusive,
                        FindingBuilder::inconclusive(check, &ProbeError::Deadline).at_all(evidence),
                    );
                }
                self.large_hello = error.may_be_large_hello();
                let why = match plan.implicit {
                    true => message::HANDSHAKE_FAILS.with(&[("why", &error)]),
                    false => message::UPGRADE_FAILS.with(&[("why", &error)]),
                };
                // A key that is too weak for every client makes the handshake fail; the finding names the key.
                let weak = self.unproven(&error).filter(|finding| finding.outcome == CheckOutcome::Fail);
                let finding = weak.unwrap_or_else(|| FindingBuilder::fail(check, why));
                let finding = match error {
                    starttls::Error::NoServerName(_) => {
                        finding.fix(NAME_NEEDED).needs(Requirement::ServerName)
                    }
                    _ => finding,
                };
                return self.end(EndpointVerdict::TlsFailed, finding.at_all(evidence));
            }
        };
        self.step("handshake", inside.record.elapsed_ms() - started);
        let handshake = Mark { first: boundary, ..inside.record.all() };
        self.took_ms = inside.record.elapsed_ms();
        let Again { offer, before, inside: after } = asked_again(plan, &mut inside, opening).await;
        if after.is_ok() {
            self.took_ms = inside.record.elapsed_ms();
        }
        let facts = inside.session().facts().clone();
        let is_tls13 = tls_version(&facts) == Some(Version::Tls13);
        let wanted = plan.selection.wants_any(&[id::TLS_EARLY_DATA, id::TLS_RESUMPTION]) && is_tls13;
        let early_data_limit = match wanted && inside.wait_for_tickets(TICKET_WAIT).await {
            true => Some(inside.session().early_data_limit()),
            false => None,
        };
        let tickets = inside.session().tickets_received();
        self.version = tls_version(&facts);
        self.tls = Some(TlsSummary {
            version: Some(facts.version_name().to_owned()),
            versions: vec![facts.version_name().to_owned()],
            cipher_suite: Some(facts.cipher_suite_name()),
            post_quantum: facts.is_post_quantum(),
            group: facts.group_name(),
            alpn: facts.alpn.as_deref().map(|id| Escaped(id).to_string()),
            resumption: tickets > 0,
            early_data_limit,
            ocsp_stapled: facts.ocsp_response.is_some(),
            survey: None,
        });
        self.certificate = Some(Presented::of(&facts));
        self.ocsp_response = facts.ocsp_response.clone();
        self.own_certificate = facts.chain.first().map(|own| own.to_vec());
        inside.quit().await;
        let at = inside.record.all();
        let done = match plan.implicit {
            true => "the TLS handshake succeeds",
            false => "the server agrees to the upgrade, and the TLS handshake succeeds",
        };
        self.result.push(FindingBuilder::pass(check, done).at(at));
        self.result.push(offer.at(at));
        if !plan.implicit {
            self.result.push(capabilities(plan, &before, &after).at(at));
        }
        if let (Some(presented), Some(tls)) = (&self.certificate, &self.tls) {
            let soon = plan.limits.expiry_warning;
            for finding in judge::certificate(presented, &facts, &plan.server_name, soon)
                .into_iter()
                .chain(judge::session(&facts, tls, plan.required_alpn(), plan.protocol.name == "http"))
            {
                self.result.push(finding.at(handshake));
            }
        }
        let steps =
            self.steps.iter().map(|step| format!("{} {:.1} ms", step.name, step.ms)).collect::<Vec<_>>();
        self.result.push(FindingBuilder::new(id::TIME_STEPS, CheckOutcome::Info, steps.join(", ")).at(at));
        self.unserved = after.as_ref().err().cloned();
        self.capabilities = Some(Capabilities { before, inside: after.unwrap_or_default() });
        self
    }
}
