//! What the renderers tell in common: the order of findings, the words, and what evidence points at.

use starttls::validity;

use crate::filter::{is_wrong, plural};
use crate::report::{
    Endpoint, Entry, Evidence, Finding, Kind, Outcome, Presented, Report, Tls, Transcript, Verdict,
};

/// What is wrong, worst first; its place in the report comes with each finding.
pub(crate) fn wrong(endpoint: &Endpoint) -> Vec<(usize, &Finding)> {
    let mut wrong: Vec<_> = numbered(endpoint).filter(|(_, finding)| is_wrong(finding)).collect();
    wrong.sort_by_key(|(_, finding)| std::cmp::Reverse(finding.severity));
    wrong
}

/// The findings with this outcome.
pub(crate) fn with(endpoint: &Endpoint, outcome: Outcome) -> Vec<(usize, &Finding)> {
    numbered(endpoint).filter(|(_, finding)| finding.outcome == outcome).collect()
}

fn numbered(endpoint: &Endpoint) -> impl Iterator<Item = (usize, &Finding)> {
    endpoint.findings.iter().enumerate()
}

/// The conversation and the part of it that evidence points at, if there is such a part.
pub(crate) fn excerpt(endpoint: &Endpoint, at: Evidence) -> Option<(&Transcript, &[Entry])> {
    let transcript = endpoint.transcripts.get(at.transcript)?;
    let last = at.last.min(transcript.entries.len().checked_sub(1)?);
    let entries = transcript.entries.get(at.first..=last).filter(|entries| !entries.is_empty())?;
    Some((transcript, entries))
}

/// The lines of an entry. Its line ends are spelled out as `\n` and stay where they are.
pub(crate) fn lines(entry: &Entry) -> Vec<&str> {
    let text = entry.text.as_str();
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

/// Who spoke.
pub(crate) fn speaker(kind: Kind) -> &'static str {
    match kind {
        Kind::Client => "C",
        Kind::Server => "S",
        Kind::ClientInside => "TLS C",
        Kind::ServerInside => "TLS S",
        Kind::Boundary | Kind::Event => "",
    }
}

/// What stands at the boundary: always that it is one, and more if the entry says more.
pub(crate) fn boundary(text: &str) -> (&'static str, &str) {
    const WORDS: &str = "TLS from here";
    (WORDS, text.strip_prefix(WORDS).unwrap_or(text).trim_start_matches([':', ',', ' ']))
}

/// The word for a verdict.
pub(crate) fn verdict_word(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Sound => "sound",
        Verdict::Findings => "not sound",
        Verdict::Declined => "declined",
        Verdict::Unreachable => "unreachable",
        Verdict::TlsFailed => "TLS failed",
        Verdict::Violation => "broke the rules",
        Verdict::WrongPort => "wrong port",
        Verdict::Inconclusive => "inconclusive",
    }
}

/// The name of a verdict as the JSON has it.
pub(crate) fn verdict_key(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Sound => "sound",
        Verdict::Findings => "findings",
        Verdict::Declined => "declined",
        Verdict::Unreachable => "unreachable",
        Verdict::TlsFailed => "tls-failed",
        Verdict::Violation => "violation",
        Verdict::WrongPort => "wrong-port",
        Verdict::Inconclusive => "inconclusive",
    }
}

/// The name of an outcome as the JSON has it.
pub(crate) fn outcome_key(outcome: Outcome) -> &'static str {
    match outcome {
        Outcome::Pass => "pass",
        Outcome::Fail => "fail",
        Outcome::Warning => "warning",
        Outcome::Info => "info",
        Outcome::NotApplicable => "not-applicable",
        Outcome::Inconclusive => "inconclusive",
    }
}

/// Several endpoints in one line: "3 endpoints: 1 sound, 2 not sound".
pub(crate) fn overview(report: &Report) -> String {
    const ORDER: [Verdict; 8] = [
        Verdict::Sound,
        Verdict::Findings,
        Verdict::Declined,
        Verdict::TlsFailed,
        Verdict::Violation,
        Verdict::WrongPort,
        Verdict::Unreachable,
        Verdict::Inconclusive,
    ];
    let count = |verdict| report.endpoints.iter().filter(|endpoint| endpoint.outcome == verdict).count();
    let parts: Vec<_> = ORDER
        .iter()
        .map(|&verdict| (count(verdict), verdict_word(verdict)))
        .filter(|(count, _)| *count > 0)
        .map(|(count, word)| format!("{count} {word}"))
        .collect();
    let all = plural(report.endpoints.len(), "endpoint", "endpoints");
    if parts.is_empty() { all } else { format!("{all}: {}", parts.join(", ")) }
}

/// Why a report has no endpoints: the look-ups.
pub(crate) fn nothing_to_audit(report: &Report) -> String {
    match report.lookups.as_slice() {
        [] => String::from("there is nothing to audit"),
        lookups => format!("there is nothing to audit: {}", lookups.join("; ")),
    }
}

/// A TLS session in one line.
pub(crate) fn session(tls: &Tls) -> String {
    let group = tls.group.as_deref().unwrap_or("no key exchange");
    let quantum = if tls.post_quantum { " (post-quantum)" } else { "" };
    let alpn = tls.alpn.as_deref().map(|id| format!(", ALPN {id}")).unwrap_or_default();
    format!("{}, {}, {group}{quantum}{alpn}", tls.version, tls.cipher_suite)
}

/// What was presented, in one line.
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
    fn lines_end_where_the_peer_ended_them() {
        let cut = |text: &str| {
            let entry = Entry { at_ms: 0.0, kind: Kind::Server, text: text.to_owned() };
            lines(&entry).into_iter().map(str::to_owned).collect::<Vec<_>>()
        };
        assert_eq!(cut(r"250-a\r\n250 b\r\n"), [r"250-a\r\n", r"250 b\r\n"]);
        assert_eq!(cut(r"a literal \\n here\nnext"), [r"a literal \\n here\n", "next"]);
        assert_eq!(cut(r"Zoë\n"), [r"Zoë\n"]);
        assert_eq!(cut(""), [""]);
    }
}
