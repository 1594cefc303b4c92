//! The text format: the verdict, the problems with their evidence and fix, then the checks that passed in one line.

mod wrap;

use std::fmt::{self, Display, Write};

use starttls_report::Plain;

use super::{common, survey};
use crate::filter::{plural, severity_word};
use crate::report::{
    AuditReport, CertificateReport, CheckOutcome, EndpointReport, EndpointVerdict, Entry, EntryKind, Finding,
    Severity, TlsSurvey,
};

/// The most lines of evidence that are shown in full.
const MOST_LINES: usize = 16;
/// In longer evidence, the most lines of one message.
const MOST_AT_ONCE: usize = 4;

/// The options of the text format.
#[derive(Clone, Copy, Debug, Default)]
pub struct Style {
    /// The colors.
    pub palette: Palette,
    /// Whether each check that passed gets its own line, and decoded messages are followed by their bytes.
    pub verbose: bool,
    /// The maximum number of columns; `None` does not wrap lines.
    pub width: Option<usize>,
}

/// The escape sequences that color text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Palette {
    good: &'static str,
    warning: &'static str,
    bad: &'static str,
    strong: &'static str,
    faint: &'static str,
    reset: &'static str,
}

impl Palette {
    /// No colors.
    pub const PLAIN: Self = Self { good: "", warning: "", bad: "", strong: "", faint: "", reset: "" };
    /// The colors of a terminal.
    pub const TERMINAL: Self = Self {
        good: "\x1b[32m",
        warning: "\x1b[33m",
        bad: "\x1b[1;31m",
        strong: "\x1b[1m",
        faint: "\x1b[2m",
        reset: "\x1b[0m",
    };
}

impl Default for Palette {
    fn default() -> Self {
        Self::PLAIN
    }
}

/// Renders the report as text.
pub fn render(report: &AuditReport, style: Style) -> String {
    let mut page = Page { out: String::new(), style };
    for lookup in &report.lookups {
        page.line(0, style.palette.faint, format_args!("looked up: {}", Plain(lookup)));
    }
    if !report.lookups.is_empty() {
        page.out.push('\n');
    }
    let several = report.endpoints.len() != 1 || !report.unaudited.is_empty();
    if several {
        page.line(0, style.palette.strong, Plain(&common::overview(report)));
    }
    for (index, endpoint) in report.endpoints.iter().enumerate() {
        if index > 0 || several {
            page.out.push('\n');
        }
        page.endpoint(endpoint);
    }
    for it in &report.unaudited {
        let verdict = common::verdict_word(it.outcome).to_uppercase();
        let verdict = Painted(verdict_color(style.palette, it.outcome), style.palette.reset, verdict);
        page.out.push('\n');
        page.line(0, "", format_args!("{verdict}  {}: {}", Plain(&it.asked), Plain(&it.reason)));
    }
    page.out.push('\n');
    page.line(0, style.palette.faint, format_args!("report: {}", Plain(&common::provenance(report))));
    page.out
}

struct Page {
    out: String,
    style: Style,
}

impl Page {
    fn line(&mut self, indent: usize, color: &'static str, text: impl Display) {
        self.hanging(indent, indent + 4, color, text);
    }

    /// Writes a line. Continuation lines start in column `hang`.
    fn hanging(&mut self, indent: usize, hang: usize, color: &'static str, text: impl Display) {
        let line = format!("{:indent$}{}", "", Painted(color, self.style.palette.reset, text));
        let line = match self.style.width {
            Some(width) => wrap::wrap(&line, width, hang),
            None => line,
        };
        // Writing to a String cannot fail.
        let _ = writeln!(self.out, "{line}");
    }

    fn endpoint(&mut self, endpoint: &EndpointReport) {
        let Style { palette, verbose, .. } = self.style;
        let verdict = common::verdict_word(endpoint.outcome).to_uppercase();
        let verdict = Painted(verdict_color(palette, endpoint.outcome), palette.reset, verdict);
        let address = endpoint.address.as_deref().map(|address| format!(" ({address})")).unwrap_or_default();
        let target = Painted(palette.strong, palette.reset, Plain(&endpoint.target));
        self.line(
            0,
            "",
            format_args!("{verdict}  {target}{}: {}", Plain(&address), Plain(&endpoint.summary)),
        );
        for (_, finding) in common::new(endpoint) {
            self.wrong(endpoint, finding);
        }
        for (_, finding) in common::with(endpoint, CheckOutcome::Inconclusive) {
            self.out.push('\n');
            self.remark(endpoint, "inconclusive", finding);
        }
        self.out.push('\n');
        self.facts(endpoint);
        // The facts contain the steps.
        let is_shown = |id: &str| id == "time-steps" && !verbose && !endpoint.steps.is_empty();
        for (_, finding) in
            common::with(endpoint, CheckOutcome::Info).iter().filter(|(_, it)| !is_shown(&it.id))
        {
            self.line(2, "", format_args!("note: {} [{}]", Plain(&finding.summary), Plain(&finding.id)));
            self.details(finding);
        }
        self.folded("known", palette.warning, &common::known(endpoint), verbose);
        self.folded("passed", palette.good, &common::with(endpoint, CheckOutcome::Pass), verbose);
        let not_applicable = common::with(endpoint, CheckOutcome::NotApplicable);
        self.folded("not applicable", palette.faint, &not_applicable, verbose);
        self.not_run(endpoint);
    }

    fn wrong(&mut self, endpoint: &EndpointReport, finding: &Finding) {
        let palette = self.style.palette;
        let color = if finding.severity >= Severity::Error { palette.bad } else { palette.warning };
        let severity = Painted(color, palette.reset, severity_word(finding.severity));
        let summary = Painted(palette.strong, palette.reset, Plain(&finding.summary));
        self.out.push('\n');
        self.line(2, "", format_args!("{severity}: {summary} [{}]", Plain(&finding.id)));
        self.details(finding);
        self.evidence(endpoint, finding);
        if let Some(fix) = &finding.fix {
            let word = Painted(palette.good, palette.reset, "fix:");
            self.hanging(6, 11, "", format_args!("{word} {}", Plain(fix)));
        }
    }

    fn remark(&mut self, endpoint: &EndpointReport, word: &str, finding: &Finding) {
        let color = self.style.palette.warning;
        let word = Painted(color, self.style.palette.reset, word);
        self.line(2, "", format_args!("{word}: {} [{}]", Plain(&finding.summary), Plain(&finding.id)));
        self.details(finding);
        self.evidence(endpoint, finding);
    }

    fn details(&mut self, finding: &Finding) {
        for detail in &finding.details {
            self.line(6, "", Plain(detail));
        }
    }

    fn evidence(&mut self, endpoint: &EndpointReport, finding: &Finding) {
        let palette = self.style.palette;
        for &at in &finding.evidence {
            let Some((transcript, entries)) = common::excerpt(endpoint, at) else { continue };
            let purpose = Plain(&transcript.purpose);
            self.line(6, palette.faint, format_args!("connection {}, {purpose}:", at.transcript + 1));
            let mut timed = None;
            for shown in shown(entries) {
                let (entry, line) = match shown {
                    Shown::Line(entry, line) => (entry, line),
                    Shown::Folded(count) => {
                        let more = plural(count, "more line", "more lines");
                        self.line(6, palette.faint, format_args!("{:12}         ... {more}", ""));
                        continue;
                    }
                };
                let first = timed != Some(std::ptr::from_ref(entry));
                timed = Some(std::ptr::from_ref(entry));
                let time = if first { format!("{:9.1} ms", entry.at_ms) } else { " ".repeat(12) };
                let time = Painted(palette.faint, palette.reset, time);
                let line = Plain(line);
                match entry.kind {
                    EntryKind::Boundary => {
                        let (words, more) = common::boundary(&entry.text);
                        let more = if more.is_empty() { String::new() } else { format!(": {more}") };
                        self.line(6, "", format_args!("{time}  ----- {words}{} -----", Plain(&more)));
                    }
                    EntryKind::Event => self.line(6, "", format_args!("{time}         ({line})")),
                    kind => {
                        let speaker = common::speaker(kind);
                        self.hanging(6, 27, "", format_args!("{time}  {speaker:>5}: {line}"));
                        if self.style.verbose && entry.decoded.is_some() {
                            self.hanging(
                                6,
                                27,
                                palette.faint,
                                format_args!("{:19}: {}", "", Plain(&entry.text)),
                            );
                        }
                    }
                }
            }
        }
    }

    fn facts(&mut self, endpoint: &EndpointReport) {
        if let Some(tls) = &endpoint.tls {
            let session = common::session(tls);
            let session = session.unwrap_or_else(|| String::from("no handshake succeeded"));
            self.line(2, "", format_args!("TLS: {}", Plain(&session)));
            // A brief survey is in the note about the inventory.
            if let Some(survey) = tls.survey.as_ref().filter(|it| self.style.verbose || it.size != "brief") {
                self.survey(survey);
            }
        }
        if let Some(presented) = &endpoint.certificate {
            self.line(2, "", format_args!("certificate: {}", Plain(&common::certificate(presented))));
            if self.style.verbose {
                for line in presented.chain.iter().flat_map(CertificateReport::identification) {
                    self.line(6, "", Plain(&line));
                }
            }
        }
        if !endpoint.steps.is_empty() {
            let steps: Vec<_> =
                endpoint.steps.iter().map(|step| format!("{} {:.1} ms", step.name, step.ms)).collect();
            self.line(2, "", format_args!("steps: {}", Plain(&steps.join(", "))));
        }
        self.line(2, "", format_args!("audit: {}", Plain(&common::effort(endpoint))));
    }

    fn survey(&mut self, survey: &TlsSurvey) {
        self.line(2, "", format_args!("TLS survey: {}", Plain(&survey::title(survey))));
        for version in &survey.versions {
            self.line(6, "", Plain(&survey::version(version)));
            for suite in &version.suites {
                self.line(10, "", Plain(&survey::suite(suite)));
            }
        }
        for (name, text) in survey::facts(survey) {
            self.line(6, "", format_args!("{name}: {}", Plain(&text)));
        }
    }

    /// Writes one line for each reason why checks were not run.
    fn not_run(&mut self, endpoint: &EndpointReport) {
        let mut reasons: Vec<(String, Vec<&str>)> = Vec::new();
        for (_, finding) in common::with(endpoint, CheckOutcome::NotRun) {
            let reason = common::not_run(finding);
            match reasons.iter_mut().find(|(known, _)| *known == reason) {
                Some((_, ids)) => ids.push(&finding.id),
                None => reasons.push((reason, vec![&finding.id])),
            }
        }
        for (reason, ids) in reasons {
            let reason =
                Painted(self.style.palette.faint, self.style.palette.reset, Plain(&reason).to_string());
            self.line(2, "", format_args!("{reason}: {}", Plain(&ids.join(" "))));
        }
    }

    fn folded(&mut self, word: &str, color: &'static str, findings: &[(usize, &Finding)], verbose: bool) {
        if findings.is_empty() {
            return;
        }
        let word = Painted(color, self.style.palette.reset, word);
        if verbose {
            for (_, finding) in findings {
                self.line(
                    2,
                    "",
                    format_args!("{word}: {} [{}]", Plain(&finding.summary), Plain(&finding.id)),
                );
            }
        } else {
            let ids = findings.iter().map(|(_, finding)| finding.id.as_str()).collect::<Vec<_>>().join(" ");
            self.line(2, "", format_args!("{word} ({}): {}", findings.len(), Plain(&ids)));
        }
    }
}

fn verdict_color(palette: Palette, verdict: EndpointVerdict) -> &'static str {
    match verdict {
        EndpointVerdict::Sound => palette.good,
        EndpointVerdict::Inconclusive => palette.warning,
        _ => palette.bad,
    }
}

struct Painted<T>(&'static str, &'static str, T);

impl<T: Display> Display for Painted<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let reset = if self.0.is_empty() { "" } else { self.1 };
        write!(f, "{}{}{reset}", self.0, self.2)
    }
}

/// A line of the evidence, or the number of omitted lines.
#[derive(Debug, PartialEq)]
enum Shown<'a> {
    Line(&'a Entry, &'a str),
    Folded(usize),
}

/// Shortens evidence: first long messages, then the middle. The end stays, because it usually proves the finding.
fn shown(entries: &[Entry]) -> Vec<Shown<'_>> {
    let said: Vec<_> = entries.iter().map(|entry| (entry, common::lines(entry))).collect();
    let all = said.iter().map(|(_, lines)| lines.len()).sum::<usize>();
    let mut shown = Vec::new();
    for (entry, lines) in &said {
        let [before, behind] = match lines.len().checked_sub(MOST_AT_ONCE) {
            Some(2..) if all > MOST_LINES => [MOST_AT_ONCE - 2, lines.len() - 1],
            _ => [lines.len(); 2],
        };
        shown.extend(lines[..before].iter().map(|line| Shown::Line(entry, line)));
        if before < behind {
            shown.push(Shown::Folded(behind - before));
        }
        shown.extend(lines[behind..].iter().map(|line| Shown::Line(entry, line)));
    }
    if let Some(over) = shown.len().checked_sub(MOST_LINES).filter(|over| *over > 0) {
        let from = MOST_AT_ONCE;
        let hidden = shown.drain(from..=from + over).map(|it| match it {
            Shown::Line(..) => 1,
            Shown::Folded(count) => count,
        });
        let hidden = hidden.sum();
        shown.insert(from, Shown::Folded(hidden));
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(kind: EntryKind, lines: usize) -> Entry {
        let text = (1..=lines).map(|number| format!(r"line {number}\n")).collect();
        Entry { at_ms: 0.0, kind, text, decoded: None }
    }

    fn text(shown: &[Shown<'_>]) -> Vec<String> {
        let text = |it: &Shown<'_>| match it {
            Shown::Line(_, line) => (*line).to_owned(),
            Shown::Folded(count) => format!("{count} more"),
        };
        shown.iter().map(text).collect()
    }

    #[test]
    fn short_evidence_is_shown_in_full_and_long_messages_are_folded() {
        let short = [said(EntryKind::Server, 8), said(EntryKind::Client, 1), said(EntryKind::Server, 7)];
        assert_eq!(shown(&short).len(), 16);
        let long =
            [said(EntryKind::Server, 15), said(EntryKind::Client, 1), said(EntryKind::ServerInside, 4)];
        let lines = text(&shown(&long));
        assert_eq!(lines[..4], [r"line 1\n", r"line 2\n", "12 more", r"line 15\n"]);
        assert_eq!(lines[4..], [r"line 1\n", r"line 1\n", r"line 2\n", r"line 3\n", r"line 4\n"]);
    }

    #[test]
    fn the_end_of_long_evidence_is_always_shown() {
        let mut entries: Vec<Entry> = (0..40).map(|_| said(EntryKind::Client, 1)).collect();
        entries.push(said(EntryKind::ServerInside, 9));
        let shown = shown(&entries);
        assert_eq!(shown.len(), MOST_LINES);
        let lines = text(&shown);
        assert_eq!(lines[4], "29 more");
        assert_eq!(lines[13..], [r"line 2\n", "6 more", r"line 9\n"]);
    }
}
