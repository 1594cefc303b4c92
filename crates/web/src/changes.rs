//! What changed between two reports.

use starttls_audit::filter::is_wrong;
use starttls_audit::render::html::verdict_text;
use starttls_audit::report::{AuditReport, EndpointReport, Finding};
use starttls_report::{Language, Text};

use crate::words;

/// The changes of an endpoint.
#[derive(Clone, Debug, Default)]
pub(crate) struct EndpointChanges<'a> {
    pub(crate) target: &'a str,
    /// Problems that only the later report contains.
    pub(crate) new: Vec<&'a Finding>,
    /// Problems that only the earlier report contains.
    pub(crate) gone: Vec<&'a Finding>,
    /// Problems that both contain.
    pub(crate) same: Vec<&'a Finding>,
    /// Facts that differ: the name, the earlier and the later value.
    pub(crate) facts: Vec<(&'static str, String, String)>,
}

/// Compares two reports, endpoint by endpoint, with the facts in a language. An endpoint that only one of them contains has all of its facts changed.
pub(crate) fn changes<'a>(
    before: &'a AuditReport,
    after: &'a AuditReport,
    language: Language,
) -> Vec<EndpointChanges<'a>> {
    let mut targets: Vec<&str> = Vec::new();
    for endpoint in before.endpoints.iter().chain(&after.endpoints) {
        if !targets.contains(&endpoint.target.as_str()) {
            targets.push(&endpoint.target);
        }
    }
    let of = |report: &'a AuditReport, target: &str| report.endpoints.iter().find(|it| it.target == target);
    let compared = |target| compared(target, of(before, target), of(after, target), language);
    targets.into_iter().map(compared).collect()
}

fn compared<'a>(
    target: &'a str,
    before: Option<&'a EndpointReport>,
    after: Option<&'a EndpointReport>,
    language: Language,
) -> EndpointChanges<'a> {
    let problems = |endpoint: Option<&'a EndpointReport>| {
        let findings = endpoint.map(|it| it.findings.as_slice()).unwrap_or_default();
        findings.iter().filter(|finding| is_wrong(finding)).collect::<Vec<_>>()
    };
    let (old, now) = (problems(before), problems(after));
    let has = |findings: &[&Finding], id: &str| findings.iter().any(|it| it.id == id);
    let (same, new) = now.iter().partition(|finding| has(&old, &finding.id));
    let gone = old.iter().copied().filter(|finding| !has(&now, &finding.id)).collect();
    let facts = FACTS.iter().filter_map(|(name, fact)| {
        let of =
            |endpoint: Option<&EndpointReport>| endpoint.map(|it| fact(it, language)).unwrap_or_default();
        let (old, now) = (of(before), of(after));
        (old != now).then_some((name.of(language), old, now))
    });
    EndpointChanges { target, new, gone, same, facts: facts.collect() }
}

type Fact = (Text, fn(&EndpointReport, Language) -> String);

const FACTS: &[Fact] = &[
    (words::VERDICT, |it, language| verdict_text(it.outcome).of(language).to_owned()),
    (words::ADDRESS, |it, _| it.address.clone().unwrap_or_default()),
    (words::TLS_VERSIONS, |it, _| it.tls.as_ref().map(|tls| tls.versions.join(", ")).unwrap_or_default()),
    (words::CIPHER_SUITE, |it, _| {
        it.tls.as_ref().and_then(|tls| tls.cipher_suite.clone()).unwrap_or_default()
    }),
    (words::KEY_EXCHANGE, |it, _| it.tls.as_ref().and_then(|tls| tls.group.clone()).unwrap_or_default()),
    (words::CERTIFICATE, |it, _| {
        let own = it.certificate.as_ref().and_then(|presented| presented.chain.first());
        own.map(|own| own.sha256.clone()).unwrap_or_default()
    }),
    (words::CAPABILITIES_BEFORE, |it, _| {
        it.capabilities.as_ref().map(|both| both.before.join(", ")).unwrap_or_default()
    }),
    (words::CAPABILITIES_INSIDE, |it, _| {
        it.capabilities.as_ref().map(|both| both.inside.join(", ")).unwrap_or_default()
    }),
];
