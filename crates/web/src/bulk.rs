//! Audits of many targets for a holder of a key, a few at a time.

use std::collections::hash_map::Entry;
use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};
use starttls_audit::report::EndpointVerdict;
use starttls_report::Plain;
use tokio::task::JoinSet;

use crate::keys::ApiKey;
use crate::service::{NotStarted, Preset, Service, now, random_id};
use crate::store::{RunEnd, RunStoreError};
use crate::target::WebTarget;
use crate::verdict::overall;

/// The most targets of a bulk.
pub(crate) const MAX_TARGETS: usize = 1000;
/// The most runs of a bulk at the same time, so that visitors are served meanwhile.
const PLACES: usize = 4;
/// The pause before a run is tried again that did not start.
const AGAIN: Duration = Duration::from_secs(2);

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

impl From<RunEnd> for BulkState {
    fn from(end: RunEnd) -> Self {
        match end {
            RunEnd::Finished => Self::Finished,
            RunEnd::Stopped => Self::Stopped,
            RunEnd::Postponed => Self::Postponed,
            RunEnd::BrokenOff => Self::BrokenOff,
        }
    }
}

impl BulkState {
    /// Returns whether nothing will happen any more.
    pub(crate) fn is_final(self) -> bool {
        !matches!(self, Self::Waiting | Self::Running)
    }
}

/// Why a bulk was not started.
#[derive(Debug)]
pub(crate) enum NoBulk {
    /// It has no target, or too many.
    Size,
    /// Another bulk of the holder is in progress.
    Busy,
    /// The store cannot be written, or the system has no random octets.
    Broken(String),
}

impl From<RunStoreError> for NoBulk {
    fn from(error: RunStoreError) -> Self {
        Self::Broken(error.to_string())
    }
}

impl Service {
    /// Starts the audits of these targets. Returns the id of the bulk.
    pub(crate) fn start_bulk(
        &self,
        targets: &[String],
        preset: Preset,
        key: Arc<ApiKey>,
    ) -> Result<String, NoBulk> {
        if targets.is_empty() || targets.len() > MAX_TARGETS {
            return Err(NoBulk::Size);
        }
        let id = random_id().map_err(NoBulk::Broken)?;
        let bulk = Bulk { id: id.clone(), holder: key.name.clone(), started: now() };
        let (mut items, mut parsed, mut known) = (Vec::new(), Vec::new(), HashSet::new());
        for text in targets {
            match self.parse(text) {
                Ok(target) => {
                    let name = target.to_string();
                    if known.insert(name.clone()) {
                        let index = u32::try_from(items.len()).unwrap_or(u32::MAX);
                        parsed.push((index, target));
                        items.push(BulkItem::new(name, BulkState::Waiting));
                    }
                }
                Err(error) => {
                    let shown: String = text.chars().take(300).collect();
                    let error = Some(error.to_string());
                    items.push(BulkItem { error, ..BulkItem::new(shown, BulkState::Invalid) });
                }
            }
        }
        if !self.bulks().insert(key.name.clone(), id.clone()) {
            return Err(NoBulk::Busy);
        }
        let guard = BulkGuard { service: self.clone(), holder: key.name.clone() };
        self.store().put_bulk(&bulk, &items)?;
        let service = self.clone();
        tokio::spawn(async move {
            let _guard = guard;
            service.bulk(&bulk.id, items, parsed, preset, &key).await;
        });
        Ok(id)
    }

    async fn bulk(
        &self,
        id: &str,
        items: Vec<BulkItem>,
        targets: Vec<(u32, WebTarget)>,
        preset: Preset,
        key: &Arc<ApiKey>,
    ) {
        let mut runs = JoinSet::new();
        for (index, target) in targets {
            let Some(item) = items.get(index as usize).cloned() else { continue };
            if runs.len() >= PLACES {
                runs.join_next().await;
            }
            while let Err(wait) = key.admit(Instant::now()) {
                tokio::time::sleep(wait).await;
            }
            let (service, id, holder) = (self.clone(), id.to_owned(), key.name.clone());
            runs.spawn(async move { service.bulk_item(&id, index, item, target, preset, holder).await });
        }
        while runs.join_next().await.is_some() {}
    }

    async fn bulk_item(
        &self,
        id: &str,
        index: u32,
        mut item: BulkItem,
        target: WebTarget,
        preset: Preset,
        holder: String,
    ) {
        let run = loop {
            match self.begin(&target, preset, Some(holder.clone())) {
                Err(NotStarted::Busy) => tokio::time::sleep(AGAIN).await,
                other => break other,
            }
        };
        match run {
            Ok((run, stored)) => {
                item.run = Some(run.id.clone());
                item.state = BulkState::Running;
                // The state is written again at the end.
                let _ = self.store().put_bulk_item(id, index, &item);
                let stored = self.run(&run, &target, preset, stored).await;
                item.state = stored.end.into();
                item.verdict = Some(overall(&stored.report));
            }
            Err(error) => {
                item.state = BulkState::Failed;
                item.error = Some(error.to_string());
            }
        }
        // The run itself is in the store.
        let _ = self.store().put_bulk_item(id, index, &item);
    }

    /// Returns a bulk and its targets. What was in progress when the service ended is broken off.
    pub(crate) fn stored_bulk(&self, id: &str) -> Result<Option<(Bulk, Vec<BulkItem>)>, RunStoreError> {
        let Some((bulk, mut items)) = self.store().bulk(id)? else { return Ok(None) };
        if !self.bulks().has(id) {
            let unfinished = items.iter_mut().filter(|item| !item.state.is_final());
            unfinished.for_each(|item| item.state = BulkState::BrokenOff);
        }
        Ok(Some((bulk, items)))
    }
}

impl BulkItem {
    fn new(target: String, state: BulkState) -> Self {
        Self { target, state, run: None, verdict: None, error: None }
    }
}

/// The bulks in progress: their ids by the name of the holder.
#[derive(Debug, Default)]
pub(crate) struct Bulks(HashMap<String, String>);

impl Bulks {
    /// Adds a bulk, unless one of the holder is in progress. Returns whether it was added.
    fn insert(&mut self, holder: String, id: String) -> bool {
        match self.0.entry(holder) {
            Entry::Occupied(_) => false,
            Entry::Vacant(place) => {
                place.insert(id);
                true
            }
        }
    }

    fn has(&self, id: &str) -> bool {
        self.0.values().any(|known| known == id)
    }

    fn remove(&mut self, holder: &str) {
        self.0.remove(holder);
    }
}

/// Removes a bulk from those in progress when it is dropped.
struct BulkGuard {
    service: Service,
    holder: String,
}

impl Drop for BulkGuard {
    fn drop(&mut self) {
        self.service.bulks().remove(&self.holder);
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
