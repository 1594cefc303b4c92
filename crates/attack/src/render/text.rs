//! The report as text: one line for each scenario, and the transcripts with evidence.

use std::fmt::Write;

use crate::report::{AttackReport, Layer, ScenarioOutcome, ScenarioResult, TranscriptSide};

/// The appearance of the text.
#[derive(Clone, Copy, Debug, Default)]
pub struct TextStyle {
    /// Whether every transcript is shown, or only those with evidence.
    pub verbose: bool,
    /// The colors of the outcomes on a terminal.
    pub paint: Option<Paint>,
}

/// Returns the control sequences before and after the word for an outcome.
pub type Paint = fn(ScenarioOutcome) -> (&'static str, &'static str);

/// Renders the report as text.
pub fn render(report: &AttackReport, style: TextStyle) -> String {
    let rows = std::iter::once(&report.control).chain(&report.scenarios).map(|tested| row(tested, style));
    rows.collect::<String>() + "\n" + &summary(report) + "\n"
}

/// Renders the number of scenarios with each outcome in one line.
pub fn summary(report: &AttackReport) -> String {
    if report.control.outcome != ScenarioOutcome::Sound {
        return format!("inconclusive: the run without an attack is not sound: {}", report.control.summary);
    }
    let count = |outcome| report.scenarios.iter().filter(|tested| tested.outcome == outcome).count();
    let words: Vec<String> = ScenarioOutcome::ALL
        .iter()
        .map(|outcome| (outcome, count(*outcome)))
        .filter(|(_, count)| *count > 0)
        .map(|(outcome, count)| format!("{count} {}", outcome.word()))
        .collect();
    let (tested, missing) = (report.scenarios.len(), report.unfinished.len());
    let counted = if words.is_empty() { String::from("none") } else { words.join(", ") };
    let counted = format!("{}: {counted} of {tested} scenarios", report.outcome.word());
    if missing == 0 {
        return counted;
    }
    format!(
        "{counted}\ninterrupted: the report is partial, {missing} of {} scenarios are missing",
        tested + missing
    )
}

/// Renders one run: a line, and the transcripts with evidence.
pub fn row(tested: &ScenarioResult, style: TextStyle) -> String {
    let mut out = String::new();
    let (before, after) = style.paint.map_or(("", ""), |paint| paint(tested.outcome));
    let often = tested.frequency().map(|often| format!(" ({often})")).unwrap_or_default();
    // Writing to a String cannot fail, here and below.
    let _ = writeln!(
        out,
        "{:<24} {before}{:<12}{after} {}{often}",
        tested.id,
        tested.outcome.word(),
        tested.summary
    );
    if let Some(fix) = &tested.fix {
        let _ = writeln!(out, "{:<24} fix: {fix}", "");
    }
    let shown = |at: usize| tested.evidence.iter().any(|it| it.transcript == Some(at));
    for (at, transcript) in tested.transcripts.iter().enumerate() {
        if !style.verbose && !shown(at) {
            continue;
        }
        for (number, line) in transcript.entries.iter().enumerate() {
            let is_evidence =
                tested.evidence.iter().any(|it| (it.transcript, it.entry) == (Some(at), Some(number)));
            let pointer = if is_evidence { '>' } else { ' ' };
            let side = if line.from == TranscriptSide::Client { 'C' } else { 'S' };
            let layer = if line.layer == Layer::Inside { " inside TLS" } else { "" };
            let _ = writeln!(out, "  {pointer} {:9.1} ms {side}{layer}: {}", line.at_ms, line.text);
        }
    }
    out
}
