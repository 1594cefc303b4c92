//! For people: what was looked up, if anything; the verdict, then what is wrong with its evidence and its cure, then what is fine, folded.

use std::fmt::{self, Display, Write};

use super::escape::Plain;
use super::story;
use crate::filter::severity_word;
use crate::report::{Endpoint, Finding, Kind, Outcome, Report, Severity, Verdict};

/// Of one piece of evidence, this many lines are shown.
const MOST_LINES: usize = 16;

/// How a report is shown.
#[derive(Clone, Copy, Debug, Default)]
pub struct Style {
    /// The colours.
    pub palette: Palette,
    /// Whether what is fine gets a line each.
    pub verbose: bool,
}

/// What to write around text to colour it.
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
    /// No colour: nothing but the text.
    pub const PLAIN: Self = Self { good: "", warning: "", bad: "", strong: "", faint: "", reset: "" };
    /// The colours of a terminal.
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

/// The report for people.
pub fn render(report: &Report, style: Style) -> String {
    let mut page = Page { out: String::new(), style };
    for lookup in &report.lookups {
        page.line(0, style.palette.faint, format_args!("looked up: {}", Plain(lookup)));
    }
    if !report.lookups.is_empty() {
        page.out.push('\n');
    }
    if report.endpoints.len() != 1 {
        page.line(0, style.palette.strong, story::overview(report));
    }
    for (index, endpoint) in report.endpoints.iter().enumerate() {
        if index > 0 || report.endpoints.len() != 1 {
            page.out.push('\n');
        }
        page.endpoint(endpoint);
    }
    page.out
}

struct Page {
    out: String,
    style: Style,
}

impl Page {
    fn line(&mut self, indent: usize, colour: &'static str, text: impl Display) {
        let painted = Painted(colour, self.style.palette.reset, text);
        // Writing to a String cannot fail.
        let _ = writeln!(self.out, "{:indent$}{painted}", "");
    }

    fn endpoint(&mut self, endpoint: &Endpoint) {
        let Style { palette, verbose } = self.style;
        let verdict = story::verdict_word(endpoint.outcome).to_uppercase();
        let verdict = Painted(verdict_colour(palette, endpoint.outcome), palette.reset, verdict);
        let address = endpoint.address.as_deref().map(|address| format!(" ({address})")).unwrap_or_default();
        let target = Painted(palette.strong, palette.reset, Plain(&endpoint.target));
        self.line(
            0,
            "",
            format_args!("{verdict}  {target}{}: {}", Plain(&address), Plain(&endpoint.summary)),
        );
        for (_, finding) in story::wrong(endpoint) {
            self.wrong(endpoint, finding);
        }
        for (_, finding) in story::with(endpoint, Outcome::Inconclusive) {
            self.out.push('\n');
            self.remark(endpoint, "could not be told", finding);
        }
        self.out.push('\n');
        self.facts(endpoint);
        // The steps are among the facts already.
        let told = |id: &str| id == "time-steps" && !verbose && !endpoint.steps.is_empty();
        for (_, finding) in story::with(endpoint, Outcome::Info).iter().filter(|(_, each)| !told(&each.id)) {
            self.line(2, "", format_args!("note: {} [{}]", Plain(&finding.summary), Plain(&finding.id)));
            self.details(finding);
        }
        self.folded("fine", palette.good, &story::with(endpoint, Outcome::Pass), verbose);
        self.folded(
            "no meaning here",
            palette.faint,
            &story::with(endpoint, Outcome::NotApplicable),
            verbose,
        );
    }

    fn wrong(&mut self, endpoint: &Endpoint, finding: &Finding) {
        let palette = self.style.palette;
        let colour = if finding.severity >= Severity::Error { palette.bad } else { palette.warning };
        let severity = Painted(colour, palette.reset, severity_word(finding.severity));
        let summary = Painted(palette.strong, palette.reset, Plain(&finding.summary));
        self.out.push('\n');
        self.line(2, "", format_args!("{severity}: {summary} [{}]", Plain(&finding.id)));
        self.details(finding);
        self.evidence(endpoint, finding);
        if let Some(fix) = &finding.fix {
            let cure = Painted(palette.good, palette.reset, "cure:");
            self.line(6, "", format_args!("{cure} {}", Plain(fix)));
        }
    }

    fn remark(&mut self, endpoint: &Endpoint, word: &str, finding: &Finding) {
        let colour = self.style.palette.warning;
        let word = Painted(colour, self.style.palette.reset, word);
        self.line(2, "", format_args!("{word}: {} [{}]", Plain(&finding.summary), Plain(&finding.id)));
        self.details(finding);
        self.evidence(endpoint, finding);
    }

    fn details(&mut self, finding: &Finding) {
        for detail in &finding.details {
            self.line(6, "", Plain(detail));
        }
    }

    fn evidence(&mut self, endpoint: &Endpoint, finding: &Finding) {
        let palette = self.style.palette;
        for &at in &finding.evidence {
            let Some((transcript, entries)) = story::excerpt(endpoint, at) else { continue };
            let purpose = Plain(&transcript.purpose);
            self.line(6, palette.faint, format_args!("connection {}, {purpose}:", at.transcript + 1));
            let lines: Vec<_> = entries
                .iter()
                .flat_map(|entry| story::lines(entry).into_iter().map(move |line| (entry, line)))
                .collect();
            let mut timed = None;
            for (entry, line) in lines.iter().take(MOST_LINES) {
                let first = timed != Some(std::ptr::from_ref(*entry));
                timed = Some(std::ptr::from_ref(*entry));
                let time = if first { format!("{:9.1} ms", entry.at_ms) } else { " ".repeat(12) };
                let time = Painted(palette.faint, palette.reset, time);
                let line = Plain(line);
                match entry.kind {
                    Kind::Boundary => {
                        let (words, more) = story::boundary(&entry.text);
                        let more = if more.is_empty() { String::new() } else { format!(": {more}") };
                        self.line(6, "", format_args!("{time}  ----- {words}{} -----", Plain(&more)));
                    }
                    Kind::Event => self.line(6, "", format_args!("{time}         ({line})")),
                    kind => self.line(6, "", format_args!("{time}  {:>5}: {line}", story::speaker(kind))),
                }
            }
            if lines.len() > MOST_LINES {
                let more = crate::filter::plural(lines.len() - MOST_LINES, "more line", "more lines");
                self.line(6, palette.faint, format_args!("{:12}  ... {more}", ""));
            }
        }
    }

    fn facts(&mut self, endpoint: &Endpoint) {
        if let Some(tls) = &endpoint.tls {
            self.line(2, "", format_args!("TLS: {}", Plain(&story::session(tls))));
        }
        if let Some(presented) = &endpoint.certificate {
            self.line(2, "", format_args!("certificate: {}", Plain(&story::certificate(presented))));
        }
        if !endpoint.steps.is_empty() {
            let steps: Vec<_> =
                endpoint.steps.iter().map(|step| format!("{} {:.1} ms", step.name, step.ms)).collect();
            self.line(2, "", format_args!("steps: {}", Plain(&steps.join(", "))));
        }
        let connections = crate::filter::plural(endpoint.connections as usize, "connection", "connections");
        self.line(2, "", format_args!("audit: {connections}, {:.2} s", endpoint.elapsed_ms / 1000.0));
    }

    fn folded(&mut self, word: &str, colour: &'static str, findings: &[(usize, &Finding)], verbose: bool) {
        if findings.is_empty() {
            return;
        }
        let word = Painted(colour, self.style.palette.reset, word);
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

fn verdict_colour(palette: Palette, verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Sound => palette.good,
        Verdict::Inconclusive => palette.warning,
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
