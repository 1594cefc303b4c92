//! The reports of connections as an HTML page with a picture of each conversation.

use starttls::proto::Side;
use starttls_audit::report::CertificateReport;
use starttls_report::Language;
use starttls_report::diagram::{Crossing, Diagram, DiagramRow, HandshakeResult, Mark, RowContent, When};
use starttls_report::html::{self, Html};
use starttls_x509::validity;

use crate::session::conversation::Message;
use crate::session::report::{Outcome, Report, Tls};
use crate::target::{Mode, Target};

/// Returns the page.
pub(crate) fn render(reports: &[(&Target, &Report)]) -> String {
    let mut out = Html::default();
    out.markup("<header>\n<h1>STARTTLS connection</h1>\n<dl class=\"facts\">\n");
    out.time_fact("Time", &validity::rfc3339(validity::now()));
    out.fact("Program", concat!("starttls ", env!("CARGO_PKG_VERSION")));
    out.markup("</dl>\n</header>\n<main>\n");
    for (number, (target, report)) in reports.iter().enumerate() {
        connection(&mut out, number, target, report);
    }
    out.markup("</main>\n");
    let title = match reports {
        [(target, report)] => format!("{target}: {}", outcome(report.outcome).1),
        reports => format!("{} connections", reports.len()),
    };
    html::page(Language::English, &title, &out)
}

fn connection(out: &mut Html, number: usize, target: &Target, report: &Report) {
    out.markup("<section class=\"endpoint\">\n<h2>");
    let (class, word) = outcome(report.outcome);
    out.badge(class, word);
    out.text(target);
    out.markup("</h2>\n");
    if let Some(error) = &report.error {
        out.element("p", &[("class", &"verdict")], &error.message);
        if let Some(hint) = &error.hint {
            out.markup("<p class=\"fix\"><strong>Hint:</strong> ");
            out.text(hint);
            out.markup("</p>\n");
        }
    }
    out.markup("<dl class=\"facts\">\n");
    out.fact("Address", report.address.as_deref().unwrap_or_default());
    if let Some(tls) = &report.tls {
        session(out, tls);
    }
    if let Some(presented) = &report.certificate {
        out.fact("Certificate", &presented.verdict);
        presented.chain.iter().take(1).for_each(|own| certificate(out, own));
    }
    out.fact("Steps", &report.timings.steps());
    out.markup("</dl>\n");
    let (diagram, text) = (diagram(target, report), format!("c{number}"));
    out.append(&diagram.figure(&format!("{text}-picture"), &text));
    out.open("section", &[("id", &text), ("aria-label", &"The conversation as text")]);
    out.append(&diagram.list(Some(&text)));
    out.markup("</section>\n</section>\n");
}

fn session(out: &mut Html, tls: &Tls) {
    let quantum = if tls.post_quantum { " (post-quantum hybrid)" } else { "" };
    let group = tls.group.as_deref().unwrap_or("no key exchange");
    out.fact("TLS", &format!("{}, {}, {group}{quantum}", tls.version, tls.cipher_suite));
    out.fact(
        "Handshake",
        &format!("{}; {} bytes read, {} written", tls.handshake, tls.handshake_read, tls.handshake_written),
    );
    out.fact("Server name", tls.server_name.as_deref().unwrap_or("none sent"));
    out.fact("ALPN", tls.alpn.as_deref().unwrap_or("none"));
}

fn certificate(out: &mut Html, own: &CertificateReport) {
    if let Some(error) = &own.unreadable {
        return out.fact("Unreadable", error);
    }
    out.fact("Subject", &own.subject);
    out.fact("Names", &own.names.join(", "));
    out.fact("Issued by", &own.issuer);
    let left = validity::remaining(own.days_left);
    out.fact("Valid", &format!("{} to {}, {left}", own.not_before, own.not_after));
    out.fact("Key", &own.key);
    out.fact("SHA-256", &own.sha256);
}

/// Returns the class and the words of an outcome.
fn outcome(outcome: Outcome) -> (&'static str, &'static str) {
    match outcome {
        Outcome::Encrypted => ("good", "✓ encrypted"),
        Outcome::EncryptedUnverified => ("warning", "▲ encrypted, not verified"),
        Outcome::Declined => ("bad", "✕ declined"),
        Outcome::Inconclusive => ("inconclusive", "? inconclusive"),
        Outcome::Unreachable => ("bad", "✕ unreachable"),
        Outcome::TlsFailed => ("bad", "✕ TLS failed"),
        Outcome::Violation => ("bad", "✕ protocol violation"),
    }
}

fn diagram(target: &Target, report: &Report) -> Diagram {
    let mut rows = Vec::new();
    if let Some(address) = &report.address {
        rows.push(DiagramRow {
            content: RowContent::Event(format!("connected to {address}")),
            ..DiagramRow::default()
        });
    }
    let negotiation = report.negotiation.as_ref();
    rows.extend(negotiation.iter().flat_map(|it| &it.messages).map(message));
    let beyond = rows.iter().position(|row| row.marks.iter().any(|mark| mark.text == BEYOND));
    let accepted = target.mode == Mode::ImplicitTls || negotiation.is_some_and(|it| it.accepted);
    let error = || report.error.iter().map(|error| error.message.clone());
    let boundary = match &report.tls {
        Some(tls) => Some((HandshakeResult::Done, facts(tls, report))),
        None if accepted && report.outcome == Outcome::TlsFailed => {
            Some((HandshakeResult::Failed, error().collect()))
        }
        None => None,
    };
    match boundary {
        Some((handshake, facts)) => {
            rows.push(DiagramRow {
                content: RowContent::Boundary { handshake, facts },
                ..DiagramRow::default()
            });
        }
        None => rows.extend(
            error().map(|text| DiagramRow { content: RowContent::Event(text), ..DiagramRow::default() }),
        ),
    }
    let crossings = beyond.map(|from| Crossing { from, to: rows.len() - 1, text: String::from(BEYOND) });
    Diagram {
        language: Language::English,
        title: format!("Conversation with {}, {}", target.host.ascii, target.protocol.title),
        names: [String::from("starttls connect"), target.host.ascii.clone()],
        rows,
        crossings: crossings.into_iter().collect(),
    }
}

/// The meaning of bytes after the boundary in cleartext.
const BEYOND: &str = "beyond-boundary";

fn message(message: &Message) -> DiagramRow {
    let from = if message.from == Side::Client.name() { Side::Client } else { Side::Server };
    let is_wrong = matches!(
        message.meaning,
        "no-offer"
            | "no-list"
            | "refuse-temporary"
            | "refuse-permanent"
            | "pre-authenticated"
            | "bye"
            | "incomplete"
            | "malformed"
            | "credentials"
            | BEYOND
    );
    let mark = is_wrong.then(|| Mark { text: message.meaning.to_owned(), target: None });
    DiagramRow {
        when: When::Milliseconds(message.at.as_secs_f64() * 1000.0),
        content: RowContent::Message { from, inside_tls: false, lines: message.lines.clone(), octets: None },
        is_evidence: is_wrong,
        marks: mark.into_iter().collect(),
    }
}

/// Returns what is known of the session, for the boundary.
fn facts(tls: &Tls, report: &Report) -> Vec<String> {
    let octets = report
        .negotiation
        .as_ref()
        .map(|it| format!("cleartext: {} bytes sent, {} received", it.client_bytes, it.server_bytes));
    let group = tls.group.as_deref().unwrap_or("no key exchange");
    let session = format!("{} · {group}", tls.version);
    let certificate = report.certificate.as_ref().map(|it| format!("certificate: {}", it.verdict));
    octets.into_iter().chain([session]).chain(certificate).collect()
}
