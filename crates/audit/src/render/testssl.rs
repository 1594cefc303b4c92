//! The flat JSON of testssl.sh (`--jsonfile`), for programs that read it: one list with an object for each fact. Only the
//! facts that both programs report are in the list, with the ids of testssl.sh. The entry `engine` names the run.

use serde::Serialize;

use super::common;
use crate::report::{
    AuditReport, CheckOutcome, EndpointReport, Finding, Severity, SurveyedVersion, TlsSurvey, Unaudited,
};

/// One object of the list.
#[derive(Serialize)]
struct Entry {
    id: &'static str,
    ip: String,
    port: String,
    severity: &'static str,
    finding: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    cve: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    cwe: Option<&'static str>,
}

/// An id of testssl.sh, with the vulnerability and the weakness that it stands for.
struct Id {
    name: &'static str,
    cve: Option<&'static str>,
    cwe: Option<&'static str>,
}

const fn id(name: &'static str) -> Id {
    Id { name, cve: None, cwe: None }
}

const fn weak(name: &'static str, cwe: &'static str) -> Id {
    Id { name, cve: None, cwe: Some(cwe) }
}

const fn attack(name: &'static str, cve: &'static str, cwe: &'static str) -> Id {
    Id { name, cve: Some(cve), cwe: Some(cwe) }
}

/// The versions, with the check that judges each and the ids.
const VERSIONS: &[(&str, &str, &[Id])] = &[
    // DROWN is left out: it depends on every other server with the same key, which an audit of this one does not see.
    ("SSL 2.0", "tls-ssl", &[id("SSLv2")]),
    ("SSL 3.0", "tls-ssl", &[id("SSLv3"), attack("POODLE_SSL", "CVE-2014-3566", "CWE-310")]),
    ("TLS 1.0", "tls-deprecated", &[id("TLS1")]),
    ("TLS 1.1", "tls-deprecated", &[id("TLS1_1")]),
    ("TLS 1.2", "tls-none", &[id("TLS1_2")]),
    ("TLS 1.3", "tls-old", &[id("TLS1_3")]),
];

/// The checks, with the ids.
const CHECKS: &[(&str, &[Id])] = &[
    ("tls-null", &[weak("cipherlist_NULL", "CWE-327")]),
    ("tls-anon", &[weak("cipherlist_aNULL", "CWE-327")]),
    ("tls-export", &[weak("cipherlist_EXPORT", "CWE-327"), attack("FREAK", "CVE-2015-0204", "CWE-310")]),
    (
        "tls-weak",
        &[weak("cipherlist_LOW", "CWE-327"), attack("RC4", "CVE-2013-2566 CVE-2015-2808", "CWE-310")],
    ),
    (
        "tls-block",
        &[
            weak("cipherlist_3DES_IDEA", "CWE-310"),
            attack("SWEET32", "CVE-2016-2183 CVE-2016-6329", "CWE-327"),
        ],
    ),
    ("tls-static", &[id("cipherlist_STRONG_NOFS")]),
    ("tls-cbc", &[weak("cipherlist_OBSOLETED", "CWE-310"), attack("LUCKY13", "CVE-2013-0169", "CWE-310")]),
    ("tls-dhe", &[id("DH_groups")]),
    ("tls-dh-size", &[attack("LOGJAM", "CVE-2015-4000", "CWE-310")]),
    ("tls-curve", &[id("FS_ECDHE_curves")]),
    ("tls-group", &[id("FS_KEMs")]),
    ("tls-hash", &[id("FS_TLS12_sig_algs")]),
    ("tls-order", &[id("cipher_order")]),
    ("tls-compression", &[attack("CRIME_TLS", "CVE-2012-4929", "CWE-310")]),
    ("tls-master", &[id("TLS_misses_extension_23")]),
    ("tls-fallback", &[id("fallback_SCSV")]),
    ("tls-renegotiation", &[weak("secure_renego", "CWE-310")]),
    ("tls-resumption", &[id("TLS_session_ticket")]),
    ("tls-alpn", &[id("ALPN")]),
    ("tls-early-data", &[id("early_data")]),
    ("tls-client-auth", &[id("clientAuth")]),
    ("tls-intolerant", &[id("GREASE")]),
    ("tls-random", &[id("TLS_timestamp")]),
    ("cert-chain", &[id("cert_chain_of_trust")]),
    ("cert-name", &[id("cert_trust")]),
    ("cert-expiry", &[id("cert_expirationStatus")]),
    ("cert-key", &[id("cert_keySize")]),
    ("cert-signature", &[id("cert_signatureAlgorithm")]),
    ("cert-san", &[id("cert_subjectAltName")]),
    ("cert-ocsp", &[id("OCSP_stapling")]),
    ("cert-transparency", &[id("certificate_transparency")]),
    ("srv-reachable", &[id("service")]),
];

/// Renders the report as a list of facts. A target without an endpoint has one entry, `scanProblem`.
pub fn render(report: &AuditReport) -> String {
    let endpoints = report.endpoints.iter().flat_map(|endpoint| {
        let source = endpoint.source.as_deref().map(|it| format!(" from {it}")).unwrap_or_default();
        let run = [report.generator.as_str(), &report.options.join(" ")].join(" ");
        let text = format!("{}, {}{source}", run.trim_end(), endpoint.started_at);
        [entry(endpoint, &id("engine"), "INFO", text)].into_iter().chain(facts(endpoint))
    });
    let entries: Vec<_> = endpoints.chain(report.unaudited.iter().map(unaudited)).collect();
    // The types have no map with other keys than strings and no float, so that this cannot fail.
    starttls_report::json(&serde_json::to_string_pretty(&entries).unwrap_or_default()) + "\n"
}

fn facts(endpoint: &EndpointReport) -> Vec<Entry> {
    let survey = endpoint.tls.as_ref().and_then(|tls| tls.survey.as_ref());
    let versions =
        survey.into_iter().flat_map(|survey| VERSIONS.iter().flat_map(|row| version(endpoint, survey, row)));
    let checks = CHECKS.iter().flat_map(|(check, ids)| {
        let finding = finding(endpoint, check).filter(|it| it.outcome != CheckOutcome::NotRun);
        finding.into_iter().flat_map(|finding| {
            ids.iter().map(|id| entry(endpoint, id, severity(finding), finding.summary.clone()))
        })
    });
    let mut entries: Vec<_> = versions.chain(checks).collect();
    if entries.is_empty() {
        let text = format!("{}: {}", common::verdict_word(endpoint.outcome), endpoint.summary);
        entries.push(entry(endpoint, &id("scanProblem"), "FATAL", text));
    }
    entries
}

fn version(
    endpoint: &EndpointReport,
    survey: &TlsSurvey,
    (name, check, ids): &(&str, &str, &'static [Id]),
) -> Vec<Entry> {
    let Some(version) = survey.versions.iter().find(|it| it.name == *name) else { return Vec::new() };
    let is_modern = *check == "tls-none" || *check == "tls-old";
    let judged = || finding(endpoint, check).map_or("INFO", severity);
    let negotiated = endpoint.tls.as_ref().is_some_and(|tls| tls.version.as_deref() == Some(*name));
    let (severity, text) = match version {
        SurveyedVersion { offered: Some(true), .. } => (if is_modern { "OK" } else { judged() }, "offered"),
        _ if negotiated => ("OK", "offered"),
        SurveyedVersion { offered: Some(false), .. } => {
            (if is_modern { judged() } else { "OK" }, "not offered")
        }
        SurveyedVersion { reason, .. } => ("WARN", reason.as_deref().unwrap_or("not asked")),
    };
    ids.iter().map(|id| entry(endpoint, id, severity, text.to_owned())).collect()
}

fn finding<'r>(endpoint: &'r EndpointReport, check: &str) -> Option<&'r Finding> {
    endpoint.findings.iter().find(|it| it.id == check)
}

/// Returns the severity as testssl.sh writes it.
fn severity(finding: &Finding) -> &'static str {
    match (finding.outcome, finding.severity) {
        (CheckOutcome::Pass, _) => "OK",
        (CheckOutcome::Info | CheckOutcome::NotApplicable, _) => "INFO",
        (CheckOutcome::Inconclusive | CheckOutcome::NotRun, _) => "WARN",
        (_, Severity::Critical) => "CRITICAL",
        (_, Severity::Error) => "HIGH",
        (_, Severity::Warning) => "MEDIUM",
        (_, Severity::Info) => "LOW",
    }
}

fn entry(endpoint: &EndpointReport, id: &Id, severity: &'static str, finding: String) -> Entry {
    let address = endpoint.address.as_deref().unwrap_or_default();
    let address = address.rsplit_once(':').map_or(address, |(address, _)| address);
    let address = address.trim_start_matches('[').trim_end_matches(']');
    Entry {
        id: id.name,
        ip: format!("{}/{address}", endpoint.server_name),
        port: endpoint.port.to_string(),
        severity,
        finding,
        cve: id.cve,
        cwe: id.cwe,
    }
}

fn unaudited(target: &Unaudited) -> Entry {
    Entry {
        id: "scanProblem",
        ip: format!("{}/", target.asked),
        port: String::new(),
        severity: "FATAL",
        finding: target.reason.clone(),
        cve: None,
        cwe: None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::check;

    #[test]
    fn every_check_in_the_table_exists_and_every_id_is_used_once() {
        for (name, ..) in VERSIONS {
            assert!(starttls_hello::Version::ALL.iter().any(|it| it.name() == *name), "{name}");
        }
        let checks = VERSIONS.iter().map(|row| row.1).chain(CHECKS.iter().map(|row| row.0));
        checks.for_each(|id| assert!(check::check(id).is_some(), "{id}"));
        let ids = VERSIONS.iter().flat_map(|row| row.2).chain(CHECKS.iter().flat_map(|row| row.1));
        let mut names: Vec<_> = ids.map(|id| id.name).collect();
        let count = names.len();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), count);
    }
}
