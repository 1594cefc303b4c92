//! Shows a report as text.

use super::report::{Presented, Report, Tls};
use crate::console::{Console, Tone};
use crate::target::{Mode, Target};
use starttls_audit::report::CertificateReport;
use starttls_x509::validity;

/// A certificate with fewer days left is shown in red.
const SOON: i64 = 14;

/// Shows the TLS parameters, the certificate, the timings and the information that was visible in cleartext.
pub(crate) fn show(console: &Console, target: &Target, report: &Report, local: Option<String>) {
    if let (Some(negotiation), Some(_)) = (&report.negotiation, &report.tls) {
        let (sent, received) = (negotiation.client_bytes, negotiation.server_bytes);
        let boundary =
            format!("--- TLS starts here; {sent} bytes were sent in cleartext, {received} received ---");
        console.line(Tone::Boundary, boundary);
    }
    if let Some(tls) = &report.tls {
        session(console, tls);
    }
    if let Some(presented) = &report.certificate {
        certificate(console, presented);
    }
    if report.tls.is_none() {
        return;
    }
    console.fact("Time", report.timings.steps());
    console.fact("Visible", visible(target, report, local));
}

fn session(console: &Console, tls: &Tls) {
    let quantum = if tls.post_quantum { " (post-quantum hybrid)" } else { "" };
    let group = tls.group.as_deref().unwrap_or("no key exchange");
    console.fact("TLS", format_args!("{}, {}, {group}{quantum}", tls.version, tls.cipher_suite));
    let (read, written, tickets) = (tls.handshake_read, tls.handshake_written, tls.tickets);
    let kind = tls.handshake;
    let noun = if tickets == 1 { "ticket" } else { "tickets" };
    console.fact(
        "Handshake",
        format_args!("{kind}; {read} bytes read, {written} written; {tickets} session {noun}"),
    );
    console.fact(
        "Server name",
        tls.server_name
            .as_deref()
            .unwrap_or("none sent (SNI needs a host name, and the target is an address)"),
    );
    console.fact("ALPN", tls.alpn.as_deref().unwrap_or("none"));
    if tls.ocsp_stapled {
        console.fact("OCSP", "response stapled");
    }
}

fn certificate(console: &Console, presented: &Presented) {
    let tone = if presented.verified { Tone::Good } else { Tone::Bad };
    console.fact("Certificate", console.word(tone, &presented.verdict));
    for (depth, certificate) in presented.chain.iter().enumerate() {
        if let Some(error) = &certificate.unreadable {
            console.line(Tone::Bad, format_args!("  {depth} unreadable: {error}"));
            continue;
        }
        console.line(Tone::Plain, format_args!("  {depth} {}", or_none(&certificate.subject)));
        details(console, certificate, depth == 0);
    }
}

fn details(console: &Console, certificate: &CertificateReport, own: bool) {
    let detail = |key: &str, value: String| console.line(Tone::Plain, format_args!("      {key:<7} {value}"));
    if own || console.verbose {
        detail("names", or_none(&certificate.names.join(", ")).to_owned());
    }
    detail("issuer", or_none(&certificate.issuer).to_owned());
    let days = validity::remaining(certificate.days_left);
    let days = if certificate.days_left < SOON { console.word(Tone::Bad, &days) } else { days };
    let day = |time: &str| time.get(..10).unwrap_or(time).to_owned();
    detail("valid", format!("{} to {}, {days}", day(&certificate.not_before), day(&certificate.not_after)));
    detail("key", format!("{}, signed by {}", certificate.key, certificate.signature));
    detail("serial", certificate.serial.clone());
    detail("sha256", certificate.sha256.clone());
    if own || console.verbose {
        detail("spki", certificate.spki_sha256.clone());
    }
}

/// Returns the information that an observer of the connection can read.
fn visible(target: &Target, report: &Report, local: Option<String>) -> String {
    let mut seen = Vec::new();
    if let (Some(local), Some(address)) = (local, &report.address) {
        seen.push(format!("addresses {local} and {address}"));
    }
    if let Some(negotiation) = &report.negotiation {
        let first = |from, meanings: &[&str]| {
            let message =
                negotiation.messages.iter().find(|it| it.from == from && meanings.contains(&it.meaning));
            message.and_then(|it| it.lines.first())
        };
        seen.extend(first("client", &["hello"]).map(|line| format!("the client's hello \"{line}\"")));
        seen.extend(
            first("server", &["greeting", "offer"]).map(|line| format!("the server's greeting \"{line}\"")),
        );
    }
    if let Some(name) = report.tls.as_ref().and_then(|tls| tls.server_name.as_ref()) {
        seen.push(format!("the server name {name} (in the ClientHello)"));
    }
    if target.mode == Mode::Upgrade {
        seen.push(format!("the protocol {}", target.protocol.title));
    }
    seen.join("\n              ")
}

fn or_none(text: &str) -> &str {
    if text.is_empty() { "(none)" } else { text }
}
