//! The report, for people and for machines. What a peer said is escaped when it gets here; what the client's command
//! and the scenarios say is made harmless where it is written.

pub mod json;
pub mod junit;
pub mod sarif;
pub mod text;

use crate::report::{EvidenceItem, ScenarioResult, TranscriptLine};

/// What shows that a client was fooled, piece by piece.
fn evidence(tested: &ScenarioResult) -> impl Iterator<Item = String> {
    tested.evidence.iter().map(|it| match line(tested, it) {
        Some(line) => format!("{} ({line})", it.text),
        None => it.text.clone(),
    })
}

/// The entry that a piece of evidence points at.
fn line(tested: &ScenarioResult, evidence: &EvidenceItem) -> Option<String> {
    let TranscriptLine { at_ms, from, layer, text } =
        tested.transcripts.get(evidence.transcript?)?.entries.get(evidence.entry?)?;
    Some(format!("connection {}, {at_ms:.1} ms, {from}, {layer}: {text}", evidence.transcript? + 1))
}
