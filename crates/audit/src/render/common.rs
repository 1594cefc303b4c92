//! Shared by the renderers: the order of the findings, the words, and the excerpts of transcripts.

use starttls_report::Language;
use starttls_x509::validity;

use crate::filter::{is_wrong, plural};
use crate::report::{
    AuditReport, CheckOutcome, EndpointReport, EndpointVerdict, Entry, EntryKind, Evidence, Finding,
    Presented, TlsSummary, Transcript,
};
use crate::words;

/// Returns all problems, worst first, with their index in the report.
pub(crate) fn wrong(endpoint: &EndpointReport) -> Vec<(usize, &Finding)> {
    let mut wrong: Vec<_> = numbered(endpoint).filter(|(_, finding)| is_wrong(finding)).collect();
    wrong.sort_by_key(|(_, finding)| std::cmp::Reverse(finding.severity));
    wrong
}

/// Returns the problems that the baseline does not contain, worst first.
pub(crate) fn new(endpoint: &EndpointReport) -> Vec<(usize, &Finding)> {
    wrong(endpoint).into_iter().filter(|(_, finding)| !finding.known).collect()
}

/// Returns the problems that the baseline contains, worst first.
pub(crate) fn known(endpoint: &EndpointReport) -> Vec<(usize, &Finding)> {
    wrong(endpoint).into_iter().filter(|(_, finding)| finding.known).collect()
}

/// Returns the findings with this outcome.
pub(crate) fn with(endpoint: &EndpointReport, outcome: CheckOutcome) -> Vec<(usize, &Finding)> {
    numbered(endpoint).filter(|(_, finding)| finding.outcome == outcome).collect()
}

fn numbered(endpoint: &EndpointReport) -> impl Iterator<Item = (usize, &Finding)> {
    endpoint.findings.iter().enumerate()
}

/// Returns the transcript and the entries that the evidence refers to, if they exist.
pub(crate) fn excerpt(endpoint: &EndpointReport, at: Evidence) -> Option<(&Transcript, &[Entry])> {
    let transcript = endpoint.transcripts.get(at.transcript)?;
    let last = at.last.min(transcript.entries.len().checked_sub(1)?);
    let entries = transcript.entries.get(at.first..=last).filter(|entries| !entries.is_empty())?;
    Some((transcript, entries))
}

/// Returns the text of an entry: the decoded message of a binary protocol, otherwise the escaped bytes.
pub(crate) fn shown(entry: &Entry) -> &str {
    entry.decoded.as_deref().unwrap_or(&entry.text)
}

/// Returns the lines of an entry. Each line keeps its escaped line end (`\n`).
pub(crate) fn lines(entry: &Entry) -> Vec<&str> {
    let text = shown(entry);
    if matches!(entry.kind, EntryKind::Boundary | EntryKind::Event) {
        return vec![text];
    }
    let (mut lines, mut start, mut escape) = (Vec::new(), 0, false);
    for (at, c) in text.char_indices() {
        if escape && c == 'n' && at + 1 < text.len() {
            lines.push(&text[start..=at]);
            start = at + 1;
        }
        escape = c == '\\' && !escape;
    }
    lines.push(&text[start..]);
    lines
}

/// Returns the label of the sender.
pub(crate) fn speaker(kind: EntryKind) -> &'static str {
    match kind {
        EntryKind::Client => "C",
        EntryKind::Server => "S",
        EntryKind::ClientInside => "TLS C",
        EntryKind::ServerInside => "TLS S",
        EntryKind::Boundary | EntryKind::Event => "",
    }
}

/// Returns the text of a boundary: its label, and the rest of the entry.
pub(crate) fn boundary(text: &str) -> (&'static str, &str) {
    const WORDS: &str = "TLS starts here";
    (WORDS, text.strip_prefix(WORDS).unwrap_or(text).trim_start_matches([':', ',', ' ']))
}

/// Returns the word for a verdict.
pub(crate) fn verdict_word(verdict: EndpointVerdict) -> &'static str {
    words::verdict(verdict).of(Language::English)
}

/// Returns the name of a verdict in JSON.
pub(crate) fn verdict_key(verdict: EndpointVerdict) -> &'static str {
    match verdict {
        EndpointVerdict::Sound => "sound",
        EndpointVerdict::Findings => "findings",
        EndpointVerdict::Declined => "declined",
        EndpointVerdict::Unreachable => "unreachable",
        EndpointVerdict::TlsFailed => "tls-failed",
        EndpointVerdict::Violation => "violation",
        EndpointVerdict::WrongPort => "wrong-port",
        EndpointVerdict::Inconclusive => "inconclusive",
    }
}

/// Returns the name of an outcome in JSON.
pub(crate) fn outcome_key(outcome: CheckOutcome) -> &'static str {
    match outcome {
        CheckOutcome::Pass => "pass",
        CheckOutcome::Fail => "fail",
        CheckOutcome::Warning => "warning",
        CheckOutcome::Info => "info",
        CheckOutcome::NotApplicable => "not-applicable",
        CheckOutcome::NotRun => "not-run",
        CheckOutcome::Inconclusive => "inconclusive",
    }
}

/// Returns an outcome and its summary in words: "passed: valid now", "not run (needs --slow)".
pub(crate) fn outcome_text(finding: &Finding) -> String {
    let (word, summary) = (outcome_word(finding.outcome), &finding.summary);
    let known = if finding.known { " (known)" } else { "" };
    match finding.outcome {
        CheckOutcome::NotRun => not_run(finding),
        _ => format!("{word}{known}: {summary}"),
    }
}

/// Returns "not run" with the reason.
pub(crate) fn not_run(finding: &Finding) -> String {
    format!("{} ({})", outcome_word(CheckOutcome::NotRun), finding.summary)
}

/// Returns the word for an outcome.
fn outcome_word(outcome: CheckOutcome) -> &'static str {
    match outcome {
        CheckOutcome::Pass => "passed",
        CheckOutcome::Fail => "failed",
        CheckOutcome::Warning => "warning",
        CheckOutcome::Info => "info",
        CheckOutcome::NotApplicable => "not applicable",
        CheckOutcome::NotRun => "not run",
        CheckOutcome::Inconclusive => "inconclusive",
    }
}

/// Returns several endpoints in one line: "3 endpoints: 1 sound, 2 not sound". The reason why a target has no endpoint is not
/// in it.
pub(crate) fn counts(report: &AuditReport, language: Language) -> String {
    const ORDER: [EndpointVerdict; 8] = [
        EndpointVerdict::Sound,
        EndpointVerdict::Findings,
        EndpointVerdict::Declined,
        EndpointVerdict::TlsFailed,
        EndpointVerdict::Violation,
        EndpointVerdict::WrongPort,
        EndpointVerdict::Unreachable,
        EndpointVerdict::Inconclusive,
    ];
    let count = |verdict| report.endpoints.iter().filter(|endpoint| endpoint.outcome == verdict).count();
    let parts: Vec<_> = ORDER
        .iter()
        .map(|&verdict| (count(verdict), words::verdict(verdict).of(language)))
        .filter(|(count, _)| *count > 0)
        .map(|(count, word)| format!("{count} {word}"))
        .collect();
    if report.endpoints.is_empty() && report.unaudited.is_empty() {
        return words::NO_ENDPOINTS.of(language).to_owned();
    }
    let mut counts = words::ENDPOINTS.filled(language, report.endpoints.len());
    if !parts.is_empty() {
        let values: [(&str, &dyn std::fmt::Display); 2] =
            [("endpoints", &counts), ("verdicts", &parts.join(", "))];
        counts = words::COUNTED.filled(language, &values);
    }
    match report.unaudited.len() {
        0 => counts,
        some => format!("{counts}; {}", words::WITHOUT_ENDPOINT.filled(language, some)),
    }
}

/// Returns several endpoints in one line, with the reason why the first target without an endpoint has none.
pub(crate) fn overview(report: &AuditReport) -> String {
    let mut overview = counts(report, Language::English);
    if let [first, ..] = report.unaudited.as_slice() {
        overview = format!("{overview}: {}: {}", first.asked, first.reason);
        if report.unaudited.len() > 1 {
            overview += "; …";
        }
    }
    overview
}

/// Returns the origin of the report: the program and its version, the time, the options.
pub(crate) fn provenance(report: &AuditReport) -> String {
    let options = match report.options.as_slice() {
        [] => String::from("no options"),
        options => format!("options: {}", options.join(" ")),
    };
    let parts = [report.generator.as_str(), report.started_at.as_str(), &options];
    parts.into_iter().filter(|part| !part.is_empty()).collect::<Vec<_>>().join(", ")
}

/// Returns the connections and the duration of an audit, its local address and its time.
pub(crate) fn effort(endpoint: &EndpointReport) -> String {
    let connections = plural(endpoint.connections as usize, "connection", "connections");
    let mut effort = format!("{connections}, {:.2} s", endpoint.elapsed_ms / 1000.0);
    if let Some(source) = &endpoint.source {
        effort += &format!(", from {source}");
    }
    if !endpoint.started_at.is_empty() {
        effort += &format!(", at {}", endpoint.started_at);
    }
    effort
}

/// The text for a report without endpoints.
const NO_ENDPOINTS: &str = words::NO_ENDPOINTS.of(Language::English);

/// Returns why a report has no endpoints: the answers of DNS that are not empty.
pub(crate) fn nothing_to_audit(report: &AuditReport) -> String {
    let answers = report.lookups.iter().filter(|line| !line.ends_with(": none"));
    match answers.map(String::as_str).collect::<Vec<_>>().as_slice() {
        [] => String::from(NO_ENDPOINTS),
        answers => format!("{NO_ENDPOINTS}: {}", answers.join("; ")),
    }
}

/// Returns the TLS session in one line, if a handshake succeeded.
pub(crate) fn session(tls: &TlsSummary) -> Option<String> {
    let (version, suite) = tls.version.as_ref().zip(tls.cipher_suite.as_ref())?;
    let group = tls.group.as_deref().unwrap_or("no key exchange");
    let quantum = if tls.post_quantum { " (post-quantum)" } else { "" };
    let alpn = tls.alpn.as_deref().map(|id| format!(", ALPN {id}")).unwrap_or_default();
    Some(format!("{version}, {suite}, {group}{quantum}{alpn}"))
}

/// Returns the presented certificate in one line.
pub(crate) fn certificate(presented: &Presented) -> String {
    let Some(own) = presented.chain.first() else { return presented.verdict.clone() };
    if let Some(why) = &own.unreadable {
        return format!("{}; unreadable: {why}", presented.verdict);
    }
    let (left, until) = match &presented.expires {
        Some(expires) => (expires.days_left, &expires.not_after),
        None => (own.days_left, &own.not_after),
    };
    let left = validity::remaining(left);
    format!("{}; {}, {}, {left} ({until})", presented.verdict, own.subject, own.key)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_end_at_the_escaped_line_ends_of_the_peer() {
        let cut = |text: &str| {
            let entry = Entry { at_ms: 0.0, kind: EntryKind::Server, text: text.to_owned(), decoded: None };
            lines(&entry).into_iter().map(str::to_owned).collect::<Vec<_>>()
        };
        assert_eq!(cut(r"250-a\r\n250 b\r\n"), [r"250-a\r\n", r"250 b\r\n"]);
        assert_eq!(cut(r"a literal \\n here\nnext"), [r"a literal \\n here\n", "next"]);
        assert_eq!(cut(r"Zoë\n"), [r"Zoë\n"]);
        assert_eq!(cut(""), [""]);
    }
}
