//! The text exposition format of Prometheus. Measures that blackbox_exporter has too have the same names.

use std::fmt::{self, Write};

use starttls_report::Plain;
use starttls_x509::validity;

use super::common;
use crate::filter::severity_word;
use crate::report::{AuditReport, CertificateReport, EndpointReport, EndpointVerdict, Unaudited};

/// Renders the report as metrics.
pub fn render(report: &AuditReport) -> String {
    let mut out = String::new();
    for Family { name, help, samples } in FAMILIES {
        let mut lines = String::new();
        for endpoint in &report.endpoints {
            let address = endpoint.address.as_deref().unwrap_or_default();
            let common = [
                ("target", endpoint.target.as_str()),
                ("address", address),
                ("protocol", &endpoint.protocol),
            ];
            for Sample { labels, value } in samples(endpoint) {
                // Writing to a String cannot fail, here and below.
                let labels =
                    common.into_iter().chain(labels.iter().map(|(name, value)| (*name, value.as_str())));
                let _ = writeln!(lines, "{name}{} {value}", Labels(labels.collect()));
            }
        }
        family(&mut out, name, help, &lines);
    }
    let options = report.options.join(" ");
    let build = Labels(vec![("generator", report.generator.as_str()), ("options", options.as_str())]);
    family(
        &mut out,
        "starttls_build_info",
        "The program of the audit, and its options.",
        &format!("starttls_build_info{build} 1\n"),
    );
    let mut lines = String::new();
    for Unaudited { asked, reason, .. } in &report.unaudited {
        let labels = Labels(vec![("target", asked.as_str()), ("reason", reason.as_str())]);
        let _ = writeln!(lines, "starttls_target_unaudited{labels} 1");
    }
    family(&mut out, "starttls_target_unaudited", "A target without an endpoint, and the reason.", &lines);
    out
}

fn family(out: &mut String, name: &str, help: &str, lines: &str) {
    if !lines.is_empty() {
        let _ = write!(out, "# HELP {name} {help}\n# TYPE {name} gauge\n{lines}");
    }
}

struct Family {
    name: &'static str,
    help: &'static str,
    samples: fn(&EndpointReport) -> Vec<Sample>,
}

struct Sample {
    labels: Vec<(&'static str, String)>,
    value: f64,
}

const FAMILIES: &[Family] = &[
    Family {
        name: "probe_success",
        help: "Whether the upgrade is sound.",
        samples: |endpoint| one(f64::from(u8::from(endpoint.outcome == EndpointVerdict::Sound))),
    },
    Family {
        name: "probe_duration_seconds",
        help: "The duration of the audit.",
        samples: |endpoint| one(from_ms(endpoint.elapsed_ms)),
    },
    Family {
        name: "probe_tls_version_info",
        help: "The negotiated TLS version.",
        samples: |endpoint| {
            info(endpoint.tls.as_ref().and_then(|tls| Some(vec![("version", tls.version.clone()?)])))
        },
    },
    Family {
        name: "probe_tls_cipher_info",
        help: "The negotiated cipher suite.",
        samples: |endpoint| {
            info(endpoint.tls.as_ref().and_then(|tls| Some(vec![("cipher", tls.cipher_suite.clone()?)])))
        },
    },
    Family {
        name: "probe_ssl_earliest_cert_expiry",
        help: "The expiry of the first certificate of the chain to expire, in seconds since 1970, verified or not.",
        samples: |endpoint| earliest(endpoint, false),
    },
    Family {
        name: "probe_ssl_last_chain_expiry_timestamp_seconds",
        help: "The expiry of the verified chain, in seconds since 1970.",
        samples: |endpoint| earliest(endpoint, true),
    },
    Family {
        name: "probe_ssl_last_chain_info",
        help: "The server's own certificate, verified or not.",
        samples: |endpoint| {
            info(readable(endpoint).next().map(|(_, own)| {
                vec![
                    ("fingerprint_sha256", own.sha256.clone()),
                    ("subject", own.subject.clone()),
                    ("issuer", own.issuer.clone()),
                    ("subjectalternative", own.names.join(",")),
                ]
            }))
        },
    },
    Family {
        name: "starttls_certificate_verified",
        help: "Whether the certificate leads to a trusted root and is valid now for the expected name.",
        samples: |endpoint| match &endpoint.certificate {
            Some(presented) => one(f64::from(u8::from(presented.verified))),
            None => Vec::new(),
        },
    },
    Family {
        name: "starttls_certificate_not_after_seconds",
        help: "The expiry of each certificate of the chain, in seconds since 1970; position 0 is the server's own.",
        samples: |endpoint| readable(endpoint).map(expires).collect(),
    },
    Family {
        name: "starttls_verdict_info",
        help: "The verdict on the endpoint.",
        samples: |endpoint| info(Some(vec![("verdict", common::verdict_key(endpoint.outcome).to_owned())])),
    },
    Family {
        name: "starttls_finding",
        help: "The outcome of each check.",
        samples: |endpoint| endpoint.findings.iter().map(finding).collect(),
    },
    Family {
        name: "starttls_step_seconds",
        help: "The duration of each step to the first answer inside TLS.",
        samples: |endpoint| {
            let step = |step: &crate::report::StepTime| Sample {
                labels: vec![("step", step.name.clone())],
                value: from_ms(step.ms),
            };
            endpoint.steps.iter().map(step).collect()
        },
    },
    Family {
        name: "starttls_audit_start_timestamp_seconds",
        help: "The start of the audit, in seconds since 1970.",
        samples: |endpoint| {
            validity::unix(&endpoint.started_at).into_iter().flat_map(|at| one(seconds(at))).collect()
        },
    },
    Family {
        name: "starttls_audit_info",
        help: "The local address of the audit, and the name that was verified.",
        samples: |endpoint| {
            let source = endpoint.source.clone().unwrap_or_default();
            info(Some(vec![("source", source), ("server_name", endpoint.server_name.clone())]))
        },
    },
    Family {
        name: "starttls_connections",
        help: "The number of connections that the audit opened.",
        samples: |endpoint| one(f64::from(endpoint.connections)),
    },
];

fn one(value: f64) -> Vec<Sample> {
    vec![Sample { labels: Vec::new(), value }]
}

fn info(labels: Option<Vec<(&'static str, String)>>) -> Vec<Sample> {
    labels.into_iter().map(|labels| Sample { labels, value: 1.0 }).collect()
}

fn earliest(endpoint: &EndpointReport, verified_only: bool) -> Vec<Sample> {
    let presented = endpoint.certificate.as_ref().filter(|presented| presented.verified || !verified_only);
    let expires = presented.and_then(|presented| presented.expires.as_ref());
    expires.map(|expires| one(seconds(expires.not_after_unix))).unwrap_or_default()
}

fn readable(endpoint: &EndpointReport) -> impl Iterator<Item = (usize, &CertificateReport)> {
    let chain = endpoint.certificate.as_ref().map(|presented| presented.chain.as_slice()).unwrap_or_default();
    chain.iter().enumerate().filter(|(_, certificate)| certificate.unreadable.is_none())
}

fn expires((position, certificate): (usize, &CertificateReport)) -> Sample {
    Sample {
        labels: vec![("position", position.to_string()), ("subject", certificate.subject.clone())],
        value: seconds(certificate.not_after_unix),
    }
}

fn finding(finding: &crate::report::Finding) -> Sample {
    Sample {
        labels: vec![
            ("id", finding.id.clone()),
            ("severity", severity_word(finding.severity).to_owned()),
            ("outcome", common::outcome_key(finding.outcome).to_owned()),
            ("known", finding.known.to_string()),
        ],
        value: 1.0,
    }
}

/// Converts milliseconds to seconds, rounded to microseconds.
fn from_ms(ms: f64) -> f64 {
    (ms * 1000.0).round() / 1e6
}

#[expect(clippy::cast_precision_loss, reason = "a date in this millennium has 11 digits, a float 15")]
fn seconds(unix: i64) -> f64 {
    unix as f64
}

struct Labels<'a>(Vec<(&'a str, &'a str)>);

impl fmt::Display for Labels<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, (name, value)) in self.0.iter().enumerate() {
            let value = Plain(value).to_string().replace('\\', "\\\\").replace('"', "\\\"");
            write!(f, "{}{name}=\"{value}\"", if index == 0 { '{' } else { ',' })?;
        }
        f.write_char('}')
    }
}
