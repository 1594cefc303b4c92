//! Bulks: many targets of one request.

use std::collections::HashMap;
use std::collections::hash_map::Entry;

use serde::{Deserialize, Serialize};
use starttls_audit::report::EndpointVerdict;
use starttls_report::Plain;

/// Targets that are audited together.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Bulk {
    /// The id.
    pub id: String,
    /// The name of the key's holder.
    pub holder: String,
    /// The start, in seconds since 1970.
    pub started: u64,
}

/// A target of a bulk.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BulkItem {
    /// The target in its canonical form, or the text if it is invalid.
    pub target: String,
    /// How far it is.
    pub state: BulkState,
    /// The id of its run.
    pub run: Option<String>,
    /// The worst verdict of its endpoints.
    pub verdict: Option<EndpointVerdict>,
    /// Why it has no report.
    pub error: Option<String>,
}

/// How far a target of a bulk is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum BulkState {
    /// It waits for its turn.
    Waiting,
    /// Its run is in progress.
    Running,
    /// Its run is finished.
    Finished,
    /// Its run was stopped.
    Stopped,
    /// Its servers were audited too often.
    Postponed,
    /// The service ended before its run did.
    BrokenOff,
    /// The text is not a target, or the target may not be audited.
    Invalid,
    /// Its run did not start.
    Failed,
}

impl BulkState {
    /// Returns whether nothing will happen any more.
    pub(crate) fn is_final(self) -> bool {
        !matches!(self, Self::Waiting | Self::Running)
    }
}

impl BulkItem {
    pub(crate) fn new(target: String, state: BulkState) -> Self {
        Self { target, state, run: None, verdict: None, error: None }
    }
}

/// The bulks in progress: their ids by the name of the holder.
#[derive(Debug, Default)]
pub(crate) struct Bulks(HashMap<String, String>);

impl Bulks {
    /// Adds a bulk, unless one of the holder is in progress. Returns whether it was added.
    pub(crate) fn insert(&mut self, holder: String, id: String) -> bool {
        match self.0.entry(holder) {
            Entry::Occupied(_) => false,
            Entry::Vacant(place) => {
                place.insert(id);
                true
            }
        }
    }

    pub(crate) fn has(&self, id: &str) -> bool {
        self.0.values().any(|known| known == id)
    }

    pub(crate) fn remove(&mut self, holder: &str) {
        self.0.remove(holder);
    }
}

/// Returns the targets as lines of CSV (RFC 4180).
pub(crate) fn csv(items: &[BulkItem]) -> String {
    let mut out = String::from("target,state,verdict,run,error\r\n");
    for item in items {
        let word = |value: Option<serde_json::Value>| {
            value.and_then(|value| value.as_str().map(str::to_owned)).unwrap_or_default()
        };
        let fields = [
            item.target.clone(),
            word(serde_json::to_value(item.state).ok()),
            word(item.verdict.and_then(|verdict| serde_json::to_value(verdict).ok())),
            item.run.clone().unwrap_or_default(),
            item.error.clone().unwrap_or_default(),
        ];
        let fields: Vec<String> = fields.iter().map(|field| quoted(field)).collect();
        out.push_str(&fields.join(","));
        out.push_str("\r\n");
    }
    out
}

/// Quotes a field. A spreadsheet takes a field with one of these first characters for a formula.
fn quoted(field: &str) -> String {
    let plain = Plain(field).to_string();
    let formula = if plain.starts_with(['=', '+', '-', '@']) { "'" } else { "" };
    format!("\"{formula}{}\"", plain.replace('"', "\"\""))
}
