//! Adds up reports.

use std::collections::{BTreeMap, BTreeSet};

use super::TlsReport;

/// The sum of many reports.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ReportSummary {
    /// The reports that were counted.
    pub reports: u64,
    /// Reports that were left out because they were counted before: the same organization, id and domain.
    pub duplicates: u64,
    /// The first day; empty if no report has one.
    pub first_day: String,
    /// The last day.
    pub last_day: String,
    /// The organizations that sent reports.
    pub organizations: BTreeSet<String>,
    /// The sessions by policy domain and policy type.
    pub policies: BTreeMap<(String, String), PolicySummary>,
    seen: BTreeSet<(String, String, String)>,
}

/// The sessions that one policy governed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PolicySummary {
    /// The sessions with a successful upgrade.
    pub successful: u64,
    /// The sessions that failed.
    pub failed: u64,
    /// The failures, by result type, exchanger and reporter.
    pub failures: BTreeMap<FailureKey, FailureSummary>,
}

/// What failures have in common.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct FailureKey {
    /// The result type.
    pub result: String,
    /// The name or the address of the exchanger; may be empty.
    pub receiver: String,
    /// The organization that reported.
    pub organization: String,
}

/// Failures of one kind.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FailureSummary {
    /// The number of sessions.
    pub sessions: u64,
    /// The first day.
    pub first_day: String,
    /// The last day.
    pub last_day: String,
    /// What the last reporter added.
    pub reason: String,
}

impl ReportSummary {
    /// Adds a report.
    pub fn add(&mut self, report: &TlsReport) {
        let mut is_new = false;
        for policy in &report.policies {
            let key = (
                report.organization.clone(),
                report.id.clone(),
                format!("{} {}", policy.domain, policy.kind),
            );
            // Reports without an id cannot be recognized.
            if !report.id.is_empty() && !self.seen.insert(key) {
                continue;
            }
            is_new = true;
            let sum = self.policies.entry((policy.domain.clone(), policy.kind.clone())).or_default();
            sum.successful = sum.successful.saturating_add(policy.successful);
            sum.failed = sum.failed.saturating_add(policy.failed);
            for failure in &policy.failures {
                let receiver =
                    if failure.receiver.is_empty() { &failure.receiver_address } else { &failure.receiver };
                let key = FailureKey {
                    result: failure.result.clone(),
                    receiver: receiver.clone(),
                    organization: report.organization.clone(),
                };
                let kind = sum.failures.entry(key).or_default();
                // Some reporters leave the count out.
                kind.sessions = kind.sessions.saturating_add(failure.sessions.max(1));
                widen(&mut kind.first_day, &mut kind.last_day, report);
                if !failure.reason.is_empty() {
                    kind.reason.clone_from(&failure.reason);
                }
            }
        }
        if is_new || report.policies.is_empty() {
            self.reports += 1;
            self.organizations.insert(report.organization.clone());
            let (mut first, mut last) =
                (std::mem::take(&mut self.first_day), std::mem::take(&mut self.last_day));
            widen(&mut first, &mut last, report);
            (self.first_day, self.last_day) = (first, last);
        } else {
            self.duplicates += 1;
        }
    }

    /// Returns the sessions that failed.
    pub fn failed(&self) -> u64 {
        self.policies.values().fold(0, |sum, it| sum.saturating_add(it.failed))
    }

    /// Returns the sessions that succeeded.
    pub fn successful(&self) -> u64 {
        self.policies.values().fold(0, |sum, it| sum.saturating_add(it.successful))
    }
}

fn widen(first: &mut String, last: &mut String, report: &TlsReport) {
    let (start, end) = &report.days;
    if !start.is_empty() && (first.is_empty() || start < first) {
        first.clone_from(start);
    }
    if !end.is_empty() && end > last {
        last.clone_from(end);
    }
}

/// Returns what a result type means and what to do about it (RFC 8460 section 4.3).
pub fn advice(result: &str) -> &'static str {
    match result {
        "starttls-not-supported" => {
            "the exchanger did not offer STARTTLS, or an attacker removed the offer: check every exchanger from outside"
        }
        "certificate-host-mismatch" => "install a certificate that contains the name of the exchanger",
        "certificate-expired" => "renew the certificate of the exchanger and restart the mail server",
        "certificate-not-trusted" => "send the whole chain, from a CA that senders trust",
        "validation-failure" => "see the reason; for MTA-STS, an exchanger may be missing in the policy",
        "tlsa-invalid" => "publish TLSA records that match the certificate in use",
        "dnssec-invalid" => "repair DNSSEC for the zone of the exchanger",
        "dane-required" => "the sender requires DANE: publish TLSA records in a signed zone",
        "sts-policy-fetch-error" => {
            "make the policy available at https://mta-sts.DOMAIN/.well-known/mta-sts.txt"
        }
        "sts-policy-invalid" => "correct the policy text",
        "sts-webpki-invalid" => "install a certificate that is valid for mta-sts.DOMAIN",
        _ => "this result type is not registered",
    }
}
