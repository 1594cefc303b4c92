//! The report of `policy check`, as data. The schema is in `docs/schema/policy-check.json`.

use serde::Serialize;
use starttls_dns::DnsName;
use starttls_policy::dane::{DaneStep, ExchangerState, HostDane};
use starttls_policy::decide::{HostRule, PartialDane, PolicyChoice, decide, host_rule};
use starttls_policy::socketmap::{MapReply, reply};
use starttls_policy::sts::StsPolicy;

use super::observe::Observed;
use super::row::{Row, RowSeverity};
use super::rows::shown;
use crate::exit;

/// What a domain publishes, and the results of the checks.
#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(crate) struct Report {
    /// Increases when a field changes its meaning or is removed.
    pub(crate) schema_version: u32,
    /// The domain, in A-labels.
    pub(crate) domain: String,
    /// Whether the resolver validates DNSSEC and is trusted; otherwise DANE is inconclusive.
    pub(crate) dnssec: bool,
    /// Whether the domain accepts no mail (RFC 7505).
    pub(crate) null_mx: bool,
    /// The exchangers, in the order in which senders try them.
    pub(crate) mx: Vec<Exchanger>,
    /// The MTA-STS policy.
    pub(crate) sts: Sts,
    /// The destinations of TLSRPT reports.
    pub(crate) tlsrpt: Vec<String>,
    /// What senders do.
    pub(crate) decision: Decided,
    /// The results of the checks, the most severe first.
    pub(crate) findings: Vec<Row>,
    /// The exit code of the program.
    pub(crate) exit_code: u8,
}

/// A host that accepts mail for the domain.
#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(crate) struct Exchanger {
    /// The name.
    pub(crate) host: String,
    /// Lower values are preferred.
    pub(crate) preference: u16,
    /// Whether DNSSEC proves that this host is an exchanger of the domain.
    pub(crate) secure: bool,
    /// The addresses.
    pub(crate) addresses: Vec<String>,
    /// Whether DNSSEC proves the addresses.
    pub(crate) addresses_secure: bool,
    /// The TLSA base domain, if the host has secure TLSA records.
    pub(crate) tlsa_base: Option<String>,
    /// The secure TLSA records.
    pub(crate) tlsa: Vec<String>,
}

/// The MTA-STS policy.
#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(crate) struct Sts {
    /// The id in the record.
    pub(crate) id: Option<String>,
    /// The mode: enforce, testing or none.
    pub(crate) mode: Option<&'static str>,
    /// How long senders keep the policy, in seconds.
    pub(crate) max_age: Option<u64>,
    /// The patterns.
    pub(crate) mx: Vec<String>,
    /// The addresses of the policy host that answered.
    pub(crate) fetched_from: Vec<String>,
}

/// What senders do.
#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(crate) struct Decided {
    /// For each host, what a sender does that obeys DANE and MTA-STS.
    pub(crate) send: Vec<HostDecision>,
    /// What `policy serve` answers to Postfix.
    pub(crate) postfix: String,
    /// The steps that led to it.
    pub(crate) steps: Vec<StepTaken>,
}

/// What a sender does at one host.
#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(crate) struct HostDecision {
    /// The host.
    pub(crate) host: String,
    /// `skip`, `require` or `opportunistic`.
    pub(crate) tls: &'static str,
    /// How the certificate is authenticated: `dane`, `pkix`, both or neither.
    pub(crate) authenticated_by: Vec<&'static str>,
    /// Why the host is skipped.
    pub(crate) reason: Option<String>,
}

impl HostDecision {
    /// Returns what a sender does, as a clause.
    pub(crate) fn in_words(&self) -> String {
        match (self.tls, self.authenticated_by.as_slice()) {
            ("skip", _) => format!("no delivery: {}", self.reason.as_deref().unwrap_or_default()),
            ("require", []) => String::from("TLS required, not authenticated"),
            ("require", ways) => format!("TLS required, authenticated by {}", ways.join(" and ")),
            _ => String::from("TLS if the server offers it"),
        }
    }
}

/// A step of a decision.
#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(crate) struct StepTaken {
    /// The id: M7.
    pub(crate) step: String,
    /// The host; the domain without one.
    pub(crate) host: Option<String>,
    /// What was found and what follows.
    pub(crate) meaning: &'static str,
}

impl Report {
    pub(super) fn new(domain: &DnsName, observed: &Observed, findings: Vec<Row>) -> Self {
        let facts = &observed.facts;
        let secure = matches!(facts.exchangers, ExchangerState::Known { secure: true, .. });
        let fetched = observed.policies.as_deref().unwrap_or_default();
        let policy: Option<StsPolicy> = fetched.iter().find_map(|it| it.policy().ok());
        let mx = facts.hosts.iter().map(|host| {
            let records = if let HostDane::Records(records) = &host.dane { Some(records) } else { None };
            Exchanger {
                host: shown(&host.host),
                preference: host.preference,
                secure,
                addresses: host.addresses.iter().map(ToString::to_string).collect(),
                addresses_secure: host.addresses_secure,
                tlsa_base: records.map(|it| it.base.to_string()),
                tlsa: records.map_or(&[][..], |it| &it.published).iter().map(ToString::to_string).collect(),
            }
        });
        let send = facts.hosts.iter().map(|host| {
            let (tls, authenticated_by, reason) =
                match host_rule(facts, host, policy.as_ref(), PolicyChoice::Best) {
                    HostRule::Skip(reason) => ("skip", Vec::new(), Some(reason.to_string())),
                    HostRule::Opportunistic => ("opportunistic", Vec::new(), None),
                    HostRule::Require { dane, pkix } => {
                        let ways = [dane.map(|_| "dane"), pkix.then_some("pkix")];
                        ("require", ways.into_iter().flatten().collect(), None)
                    }
                };
            HostDecision { host: shown(&host.host), tls, authenticated_by, reason }
        });
        let taken = |step: &DaneStep, host: Option<String>| StepTaken {
            step: format!("{step:?}"),
            host,
            meaning: step.meaning(),
        };
        let of_hosts =
            facts.hosts.iter().flat_map(|it| it.steps.iter().map(|step| taken(step, Some(shown(&it.host)))));
        let steps = facts.steps.iter().map(|step| taken(step, None)).chain(of_hosts).collect();
        let decision = decide(facts, policy.as_ref(), PartialDane::Sts);
        let postfix = match reply(&decision, domain, policy.as_ref(), false) {
            MapReply::Found(value) => format!("OK {value}"),
            MapReply::NotFound => String::from("NOTFOUND"),
            MapReply::Temporary(reason) => format!("TEMP {reason}"),
            MapReply::Permanent(reason) => format!("PERM {reason}"),
        };
        let answered = fetched.iter().filter(|it| it.status != 0).map(|it| it.address.to_string());
        Self {
            schema_version: 1,
            domain: domain.to_string(),
            dnssec: observed.dnssec.is_ok(),
            null_mx: facts.exchangers == ExchangerState::NullMx,
            mx: mx.collect(),
            sts: Sts {
                id: observed.sts_record.as_ref().ok().and_then(|it| it.as_ref().ok()).map(|it| it.id.clone()),
                mode: policy.as_ref().map(|it| it.mode.name()),
                max_age: policy.as_ref().map(|it| it.max_age),
                mx: policy.iter().flat_map(|it| &it.mx).map(ToString::to_string).collect(),
                fetched_from: answered.collect(),
            },
            tlsrpt: observed.tlsrpt.iter().flatten().flat_map(|it| it.rua.clone()).collect(),
            decision: Decided { send: send.collect(), postfix, steps },
            exit_code: code(&findings),
            findings,
        }
    }
}

/// Problems outrank what is inconclusive.
fn code(findings: &[Row]) -> u8 {
    let worst = findings.iter().map(|it| it.severity).filter(|it| *it != RowSeverity::Inconclusive).max();
    let is_inconclusive = findings.iter().any(|it| it.severity == RowSeverity::Inconclusive);
    match (worst, is_inconclusive) {
        (Some(severity), _) if severity >= RowSeverity::Warning => exit::FINDINGS,
        (_, true) => exit::INCONCLUSIVE,
        _ => exit::DONE,
    }
}
