//! EVE JSON, as Suricata writes it: a `tls` event for each handshake, and a `starttls` event for each negotiation.

use serde_json::{Map, Value, json};

use super::{ends, word};
use crate::facts::{CertificateView, Handshake};
use crate::inspector::ConnectionReport;

/// Returns the events of a connection, one line each. Findings are part of the `starttls` event: alerts of signatures
/// that do not exist are not imitated.
pub fn eve(report: &ConnectionReport) -> Vec<String> {
    let facts = &report.facts;
    let ((source, source_port), (target, target_port)) = ends(report);
    let event = |kind: &str, body: Value| {
        let event = json!({
            "timestamp": report.start,
            "flow_id": report.id,
            "event_type": kind,
            "src_ip": source,
            "src_port": source_port,
            "dest_ip": target,
            "dest_port": target_port,
            "proto": "TCP",
            "community_id": report.community_id,
            kind: body,
        });
        starttls_report::json(&event.to_string())
    };
    let mut events = Vec::new();
    if let Some(handshake) = facts.handshake.as_ref().filter(|it| it.version.is_some()) {
        events.push(event("tls", tls(handshake, facts.protocol.map(|it| it.name))));
    }
    if facts.protocol.is_some() || !report.findings.is_empty() {
        let findings = report.findings.iter().map(|it| {
            json!({
                "id": it.id,
                "severity": it.severity.name(),
                "certainty": it.certainty.name(),
                "summary": it.summary,
            })
        });
        let body = json!({
            "protocol": facts.protocol.map(|it| it.name),
            "seen": word(&facts.seen),
            "offered": word(&facts.offered),
            "requested": word(&facts.requested),
            "answer": word(&facts.answer),
            "tls": word(&facts.tls),
            "readable": word(&facts.readable),
            "findings": findings.collect::<Vec<_>>(),
        });
        events.push(event("starttls", body));
    }
    events
}

fn tls(handshake: &Handshake, protocol: Option<&str>) -> Value {
    let mut tls = Map::new();
    let mut add = |key: &str, value: Option<String>| {
        if let Some(value) = value {
            tls.insert(key.to_owned(), Value::String(value));
        }
    };
    add("version", handshake.version.clone());
    add("sni", handshake.sni.clone());
    add("from_proto", protocol.map(str::to_owned));
    if let Some(CertificateView::Visible { sha256, subject, issuer, not_after, .. }) = &handshake.certificate
    {
        add("subject", subject.clone());
        add("issuerdn", issuer.clone());
        add("notafter", not_after.clone());
        add("fingerprint_sha256", Some(sha256.clone()));
    }
    add("ja4", handshake.ja4.clone());
    if let Some(hash) = &handshake.ja3 {
        tls.insert(String::from("ja3"), json!({ "hash": hash }));
    }
    Value::Object(tls)
}
