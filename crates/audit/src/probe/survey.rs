//! The TLS survey as a probe.

use starttls::proto::Protocol;
use starttls_hello::{Support, Version};

use super::{Context, Cost, Probe, Running};
use crate::check::Check;
use crate::finding::ProbeResult;
use crate::selection::Selection;
use crate::survey::{CHECKS, Role, Survey, findings, summary};

/// Asks for versions, suites and groups with ClientHellos of its own.
pub(super) struct TlsOffer;

impl Probe for TlsOffer {
    fn checks(&self) -> &'static [&'static Check] {
        CHECKS
    }

    fn cost(&self, selection: &Selection, _: &'static Protocol) -> Cost {
        Cost::new(u32::try_from(selection.survey().hellos).unwrap_or(u32::MAX))
    }

    fn run<'a>(&'a self, context: &'a Context<'a>) -> Running<'a> {
        Box::pin(survey(context))
    }

    fn runs_with_implicit_tls(&self) -> bool {
        true
    }
}

async fn survey(context: &Context<'_>) -> ProbeResult {
    let plan = context.plan;
    let mut result = ProbeResult::default();
    let survey = Survey::run(plan, plan.selection.survey(), &result.log).await;
    let is_enforced = plan.implicit || context.is_enforced.get() == Some(&true);
    let role = Role::of(plan.protocol, is_enforced);
    for finding in findings(&survey, role, context.handshake, plan.selection.profile()) {
        result.push(finding);
    }
    let facts = survey.facts();
    let offered = |version: &Version| facts.version(*version).value() == Some(Support::Offered);
    let _ = context.versions.set(Version::ALL.iter().copied().filter(offered).collect());
    let _ = context.survey.set(summary(&survey));
    result
}
