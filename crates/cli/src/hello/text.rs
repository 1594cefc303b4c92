//! The text output of `hello`: one line per fact.

use starttls_audit::report::CertificateReport;
use starttls_report::Plain;

use super::report::{KeyExchange, ReceivedAlert, Report, Server, Ssl2, Suite};
use crate::error::Failed;
use crate::output::Sink;

/// Writes the server's answer. Errors are reported separately.
pub(super) fn show(report: &Report, sink: &mut Sink) -> Result<(), Failed> {
    let mut lines = Vec::new();
    if report.server.is_some() || report.ssl2.is_some() || report.alert.is_some() {
        let hello = &report.hello;
        let (suites, groups) = (hello.suites.len(), hello.groups.len());
        let groups = if groups == 0 { String::new() } else { format!(", {groups} groups") };
        lines.push(fact(
            "Offered",
            &format!("{}, {suites} suites{groups}; {} octets", hello.version, hello.octets),
        ));
    }
    if let Some(server) = &report.server {
        lines.extend(answer(server));
    }
    if let Some(ssl2) = &report.ssl2 {
        lines.extend(ssl2_answer(ssl2));
    }
    lines.extend(report.alert.as_ref().map(|it| fact("Alert", &alert(it))));
    // A certificate can contain control characters.
    lines.iter().try_for_each(|line| sink.line(&Plain(line).to_string()))
}

fn answer(server: &Server) -> Vec<String> {
    let retry = if server.retry { ", by HelloRetryRequest" } else { "" };
    let mut lines =
        vec![fact("Version", &format!("{}{retry}", server.version)), fact("Suite", &suite(&server.suite))];
    lines.extend(server.group.as_ref().map(|group| fact("Group", group)));
    lines.extend(server.key_exchange.as_ref().map(|exchange| fact("Key exchange", &key_exchange(exchange))));
    if server.compression != 0 {
        lines.push(fact("Compression", &format!("method {}", server.compression)));
    }
    let extensions: Vec<_> = server
        .extensions
        .iter()
        .map(|it| it.name.map_or_else(|| format!("{:#06x}", it.code), str::to_owned))
        .collect();
    let extensions = if extensions.is_empty() { String::from("none") } else { extensions.join(", ") };
    lines.push(fact("Extensions", &extensions));
    lines.extend(server.alpn.as_ref().map(|protocol| fact("ALPN", protocol)));
    lines.extend(
        server
            .downgrade_mark
            .map(|version| fact("Downgrade", &format!("marked as a downgrade to {version}"))),
    );
    for (depth, it) in server.certificates.iter().enumerate() {
        lines.push(fact("Certificate", &format!("{depth} {}", certificate(it))));
    }
    if server.ocsp_stapled {
        lines.push(fact("OCSP", "a response is stapled"));
    }
    if server.client_certificate_requested {
        lines.push(fact("Client", "a client certificate is requested"));
    }
    lines.extend(server.warnings.iter().map(|it| fact("Warning", &alert(it))));
    lines.push(fact("Flight", end(server.end)));
    lines
}

fn ssl2_answer(ssl2: &Ssl2) -> Vec<String> {
    let mut lines = vec![fact("Version", "SSL 2.0")];
    lines.extend(ssl2.kinds.iter().map(|kind| fact("Kind", &suite(kind))));
    lines.extend(ssl2.certificate.as_ref().map(|it| fact("Certificate", &format!("0 {}", certificate(it)))));
    lines
}

fn fact(key: &str, value: &str) -> String {
    format!("{key:<13} {value}")
}

fn suite(suite: &Suite) -> String {
    let mut text = suite.code.clone();
    for part in [suite.name, suite.openssl_name].into_iter().flatten() {
        text.push_str(", ");
        text.push_str(part);
    }
    match suite.class {
        Some(class) => format!("{text} (class {class})"),
        None => text,
    }
}

fn key_exchange(exchange: &KeyExchange) -> String {
    let mut text = exchange.kind.to_owned();
    if let Some(bits) = exchange.bits {
        text += &format!(", {bits} bits");
    }
    if exchange.explicit_curve {
        text += ", a curve with explicit parameters";
    }
    if let Some(scheme) = &exchange.signature {
        text += &format!(", signed with {scheme}");
    }
    text
}

fn certificate(certificate: &CertificateReport) -> String {
    match &certificate.unreadable {
        Some(error) => format!("unreadable: {error}"),
        None => format!("{} (issuer {})", certificate.subject, certificate.issuer),
    }
}

fn alert(alert: &ReceivedAlert) -> String {
    let name = alert.name.unwrap_or("unknown");
    format!("{name} ({})", alert.code)
}

fn end(end: &str) -> &'static str {
    match end {
        "done" => "complete",
        "retry" => "the server asks for another hello",
        "encrypted" => "the rest is encrypted",
        "alert" => "ended by an alert",
        "closed" => "ended by closing",
        "silent" => "ended without an answer in time",
        _ => "ended by a malformed message",
    }
}
