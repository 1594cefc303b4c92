//! Renders the report for people and for programs. The bytes of the peers arrive here escaped. The renderers escape the
//! client's command and the texts of the scenarios.

pub mod json;
pub mod junit;
pub mod sarif;
pub mod text;

use crate::report::{EvidenceItem, ScenarioResult, TranscriptLine};

/// Returns the pieces of evidence as lines.
fn evidence(tested: &ScenarioResult) -> impl Iterator<Item = String> {
    tested.evidence.iter().map(|it| match line(tested, it) {
        Some(line) => format!("{} ({line})", it.text),
        None => it.text.clone(),
    })
}

/// Returns the entry of the transcript that a piece of evidence refers to.
fn line(tested: &ScenarioResult, evidence: &EvidenceItem) -> Option<String> {
    let TranscriptLine { at_ms, from, layer, text } =
        tested.transcripts.get(evidence.transcript?)?.entries.get(evidence.entry?)?;
    let (connection, from, layer) = (evidence.transcript? + 1, from.word(), layer.word());
    Some(format!("connection {connection}, {at_ms:.1} ms, {from}, {layer}: {text}"))
}
